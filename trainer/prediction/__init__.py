"""Predict folders of images: one row for each image, copies sorted by verdict, a web page."""
