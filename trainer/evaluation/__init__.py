"""Evaluation of the published model: scores, reliability, OOD images, folds."""
