"""Checks of the published model, each with a section of the card: robustness, heatmaps."""
