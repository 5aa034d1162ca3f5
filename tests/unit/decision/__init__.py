"""Tests of what is fitted after training."""
