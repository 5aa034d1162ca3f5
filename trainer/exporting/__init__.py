"""Exported files: written, measured on the test images, published or refused."""
