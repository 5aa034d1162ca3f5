"""Tests of trainer.comparison."""
