"""Drift of a batch of predicted images: the test, and its words on the terminal and on the page."""
