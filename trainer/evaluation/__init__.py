"""Evaluation of the published model: scores, reliability, robustness, heatmaps, folds."""
