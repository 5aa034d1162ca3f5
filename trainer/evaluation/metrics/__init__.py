"""Measures of a classifier as `evaluate` modules, loaded from this folder without a network."""
