"""Tests of the model card and its figures."""
