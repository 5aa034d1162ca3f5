"""Records of one run: its data, its training, its test result."""
