"""Where images and labels lie in a folder: every layout, and what is wrong with it."""
