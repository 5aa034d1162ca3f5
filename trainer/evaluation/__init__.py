"""What is measured: scores, reliability, robustness, heatmaps, folds."""
