"""How many more photographs: learning curves on subsets, extrapolated, and put into words."""
