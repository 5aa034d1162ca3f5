"""From a folder of defect images to a published classifier."""

__version__ = "0.1.0"
