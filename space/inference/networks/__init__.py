"""Networks: which ones there are, their stages, and the one that a published folder describes."""
