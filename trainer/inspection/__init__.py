"""Everything that can be wrong with a collection of images, measured, named and shown."""
