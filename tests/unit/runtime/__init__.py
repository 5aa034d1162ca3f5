"""Tests of machine and disk."""
