"""The typed report of a run, read by the model card and the Space."""
