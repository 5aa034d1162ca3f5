"""What can be chosen: settings and their bounds, paths, the folder of a run."""
