"""The report of a finished run, its figures, and the example images beside it."""
