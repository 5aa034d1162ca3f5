"""The image of a row: how it is stored, its bit depth, and how it is decoded."""
