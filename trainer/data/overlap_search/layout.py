"""Place the images of a group on a common surface and derive which of them must overlap."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.data.overlap_search.candidates import Candidate
from trainer.data.overlap_search.orientations import COMPOSED, INVERSE, Array, moved_points
from trainer.data.overlap_search.verify import Overlap

# A long chain adds up small errors, so pairs that narrowly fail to overlap are proposed as well.
TOLERANCE = 0.8


@dataclass(frozen=True)
class Pose:
    """Pose of an image on the surface of its group: after `turn`, its corner is at (`y`, `x`)."""

    turn: int
    y: int
    x: int


def implied_candidates(
    overlaps: Sequence[Overlap], shapes: Array, smallest_shared_area: float
) -> list[Candidate]:
    """Return further pairs that must overlap, given the positions of the known ones.

    Args:
        overlaps: the known pairs.
        shapes: [image, (height, width)] in pixels.
        smallest_shared_area: of the smaller image, as a fraction of 1.
    """
    known = {(pair.a, pair.b) for pair in overlaps}
    candidates = []
    for poses in lay_out(overlaps, shapes):
        images = np.array(sorted(poses))
        sizes = np.array([turned_size(shapes[i], poses[i].turn) for i in images])
        corners = np.array([(poses[i].y, poses[i].x) for i in images])
        for place, a in enumerate(images[:-1]):
            others = slice(place + 1, None)
            top_left = np.maximum(corners[place], corners[others])
            bottom_right = np.minimum(
                corners[place] + sizes[place], corners[others] + sizes[others]
            )
            shared = np.maximum(bottom_right - top_left, 0).prod(axis=1)
            smaller = np.minimum(sizes[place].prod(), sizes[others].prod(axis=1))
            for b in images[others][shared >= TOLERANCE * smallest_shared_area * smaller]:
                if (int(a), int(b)) not in known:
                    candidates.append(_candidate(int(a), int(b), poses, shapes))
    return candidates


def lay_out(overlaps: Sequence[Overlap], shapes: Array) -> Iterator[dict[int, Pose]]:
    """Yield the poses of each group, relative to one of its images."""
    beside: dict[int, list[tuple[int, Pose]]] = defaultdict(list)
    for pair in overlaps:
        of_b, of_a = relative_poses(pair, shapes)
        beside[pair.a].append((pair.b, of_b))
        beside[pair.b].append((pair.a, of_a))
    placed: set[int] = set()
    for start in beside:
        if start in placed:
            continue
        poses, waiting = {start: Pose(0, 0, 0)}, deque([start])
        while waiting:
            image = waiting.popleft()
            for other, pose in beside[image]:
                if other not in poses:
                    poses[other] = onto_surface(poses[image], shapes[image], pose, shapes[other])
                    waiting.append(other)
        placed |= poses.keys()
        yield poses


def relative_poses(pair: Overlap, shapes: Array) -> tuple[Pose, Pose]:
    """Return the pose of image `b` in `a`, and that of `a` in `b`."""
    back = int(INVERSE[pair.turn])
    corner = _moved_corner(
        (-pair.shift_y, -pair.shift_x),
        shapes[pair.a],
        back,
        turned_size(shapes[pair.b], pair.turn),
    )
    return Pose(pair.turn, pair.shift_y, pair.shift_x), Pose(back, *corner)


def onto_surface(frame: Pose, frame_shape: Array, pose: Pose, shape: Array) -> Pose:
    """Return the pose of an image on the surface, given its pose in another image there."""
    size = turned_size(shape, pose.turn)
    y, x = _moved_corner((pose.y, pose.x), size, frame.turn, frame_shape)
    return Pose(int(COMPOSED[frame.turn, pose.turn]), frame.y + y, frame.x + x)


def _candidate(a: int, b: int, poses: dict[int, Pose], shapes: Array) -> Candidate:
    """Return the pose of `b` relative to `a`, given the poses of both on the surface."""
    one, two = poses[a], poses[b]
    back = int(INVERSE[one.turn])
    corner = _moved_corner(
        (two.y - one.y, two.x - one.x),
        turned_size(shapes[b], two.turn),
        back,
        turned_size(shapes[a], one.turn),
    )
    return Candidate(a, b, int(COMPOSED[back, two.turn]), *corner)


def turned_size(shape: Array, turn: int) -> Array:
    """Return height and width of an image after a turn."""
    return shape[::-1] if turn & 4 else shape


def _moved_corner(corner: tuple[int, int], size: Array, turn: int, frame: Array) -> tuple[int, int]:
    """Return the upper left corner of a rectangle after a turn of the frame around it."""
    y = np.array([corner[0], corner[0] + size[0] - 1])
    x = np.array([corner[1], corner[1] + size[1] - 1])
    y, x = moved_points(y, x, np.array(turn), frame[0], frame[1])
    return int(y.min()), int(x.min())
