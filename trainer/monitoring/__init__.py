"""What one sees of a training: phases, progress, epoch log, trackers."""
