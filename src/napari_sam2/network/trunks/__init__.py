"""Trunks of the image encoder: Hiera and two convolutional ones."""
