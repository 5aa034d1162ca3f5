"""Find images that show the same piece of surface: shifted, turned, mirrored, or stored anew."""

from trainer.overlaps.confirm import SMALLEST_SHARED_AREA, Overlap
from trainer.overlaps.search import find_overlaps, group_images

__all__ = ["SMALLEST_SHARED_AREA", "Overlap", "find_overlaps", "group_images"]
