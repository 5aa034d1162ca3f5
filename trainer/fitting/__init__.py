"""The training loop and what drives it."""
