"""Load images: folders, datasets on the Hub, bit depth, bounding boxes."""
