"""Input of the network: frames read, resized, encoded and cached, in windows around objects."""
