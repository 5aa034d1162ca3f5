"""A prediction without its network: pixels in, decision out, with numpy and Pillow alone."""
