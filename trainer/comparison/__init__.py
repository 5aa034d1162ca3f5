"""Comparison of networks: the same folds and budget for each, one leaderboard."""
