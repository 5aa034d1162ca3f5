"""Splits out: which images overlap, and how they are divided."""
