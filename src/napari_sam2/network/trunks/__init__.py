"""The image encoders' trunks: Hiera and two convolutional ones."""
