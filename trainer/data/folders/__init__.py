"""Find images and labels in a folder: layouts, and the problems in them."""
