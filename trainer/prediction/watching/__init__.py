"""Predict images as they appear in a folder, and deliver each answer exactly once."""
