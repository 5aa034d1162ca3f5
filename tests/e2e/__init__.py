"""Tests of the whole, through a browser."""
