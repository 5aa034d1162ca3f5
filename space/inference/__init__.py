"""Load a published model and predict with it. The trainer evaluates with the same code."""
