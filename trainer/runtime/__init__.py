"""The machine and its disk: files written whole, checkpoints, caches, stop signals."""
