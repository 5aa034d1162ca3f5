"""Tests of parts that work together, over HTTP or on disk."""
