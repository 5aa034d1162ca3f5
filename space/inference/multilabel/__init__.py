"""Models that name several defects of an image: one sigmoid a class, with thresholds of its own."""
