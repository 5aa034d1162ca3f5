"""Find images that show the same piece of surface: shifted, turned, mirrored, or stored again."""

from trainer.data.overlap_search.search import find_overlaps, group_images
from trainer.data.overlap_search.verify import SMALLEST_SHARED_AREA, Overlap

# Cached results of other versions are not used: raise it with every change of what is found.
SEARCH_VERSION = 1

__all__ = ["SEARCH_VERSION", "SMALLEST_SHARED_AREA", "Overlap", "find_overlaps", "group_images"]
