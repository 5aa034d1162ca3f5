"""Predict a list of images: the model, where the answers go, progress, a resumed start."""
