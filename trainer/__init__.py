"""From a folder of defect images to a published classifier."""
