"""Find overlapping images and split the dataset."""
