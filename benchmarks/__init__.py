"""Benchmarks of speed, memory and accuracy, run by hand."""
