"""A published model and its decisions. The trainer evaluates with this code too."""
