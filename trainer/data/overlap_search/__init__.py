"""Find images of the same piece of surface: shifted, rotated, mirrored or stored again."""

from trainer.data.overlap_search.search import find_overlaps, group_images
from trainer.data.overlap_search.verify import SMALLEST_SHARED_AREA, Overlap

# Cached results of other versions are not used: raise it when a change affects the result.
SEARCH_VERSION = 1

__all__ = ["SEARCH_VERSION", "SMALLEST_SHARED_AREA", "Overlap", "find_overlaps", "group_images"]
