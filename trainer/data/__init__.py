"""Images in: sources, datasets on the Hub, bit depth, boxes."""
