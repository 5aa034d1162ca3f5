"""Tests of the house: imports, names, dependencies, furniture."""
