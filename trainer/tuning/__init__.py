"""Tuning of the recipe: trials on grouped folds, and a check on folds that no trial used."""
