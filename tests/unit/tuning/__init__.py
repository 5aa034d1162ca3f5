"""Tests of trainer.tuning."""
