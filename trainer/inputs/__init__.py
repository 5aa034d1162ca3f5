"""The inputs of the network: decoded images, augmentation, corruptions."""
