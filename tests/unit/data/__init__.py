"""Tests of images in, splits out."""
