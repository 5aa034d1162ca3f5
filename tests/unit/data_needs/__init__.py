"""Tests of `trainer.data_needs`."""
