"""What the network sees: decoded images, augmentation, corruptions."""
