"""Tests of the coil view."""
