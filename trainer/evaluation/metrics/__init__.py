"""Metrics of a classifier as one `evaluate` module, loaded from this folder without a network."""
