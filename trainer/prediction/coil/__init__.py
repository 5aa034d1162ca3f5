"""Overlapping images laid out as strips of surface, on which each defect counts once."""
