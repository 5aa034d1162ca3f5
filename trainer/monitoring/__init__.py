"""Monitoring of a training: phases, progress, epoch log, trackers."""
