"""Random numbers of the augmentation, drawn for all images of an epoch at once.

They follow from seed, epoch and image alone, so that a resumed run repeats them. They are those
that `torch.Generator().manual_seed(seed)` gives for each image, without a generator for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

Seeds = npt.NDArray[np.uint64]

# The random numbers of one image: angle, shear in x and y, zoom, shift in x and y, flip in x and y,
# contrast, brightness; whether it is corrupted, and the seed of the corruption.
DRAWS = 12
# The index of the first flip; the numbers before it move pixels out of the image.
FLIPS = 6
# Of the 64-bit linear congruential generator of Knuth's MMIX.
FACTOR, SUMMAND = 6364136223846793005, 1442695040888963407
# Of the Mersenne Twister (Matsumoto and Nishimura 1998): a number depends on three of its state.
GROWTH, DISTANCE, TWIST = 1812433253, 397, 0x9908B0DF


def mixed_seed(*numbers: int) -> int:
    """Combine several numbers into one seed; unlike with `a + b`, seeds do not coincide.

    Not numpy's SeedSequence: torch uses only the lowest 32 bits of a seed, and hashes of 200,000
    images coincide there. These are distinct for all images of an epoch.
    """
    return int(mixed_seeds(*numbers)[0])


def mixed_seeds(*numbers: int | Seeds) -> Seeds:
    """Combine numbers into a seed for each image; each is that of all images, or an array."""
    mixed = np.zeros(1, np.uint64)
    for number in numbers:
        mixed = (mixed ^ np.asarray(number, np.uint64)) * np.uint64(FACTOR) + np.uint64(SUMMAND)
    return mixed % np.uint64(2**63)


def tile_seeds(counts: Sequence[int] | npt.NDArray[np.int64], *numbers: int | Seeds) -> Seeds:
    """Return a seed for each tile; an image's first is that of the image.

    Args:
        counts: number of tiles of each image.
        numbers: each of all images, or of each image.
    """
    images = np.repeat(np.arange(len(counts)), counts)
    of_tiles = [number if isinstance(number, int) else number[images] for number in numbers]
    ends = np.cumsum(counts)
    tiles = np.arange(len(images)) - np.repeat(ends - counts, counts)
    whole = np.broadcast_to(mixed_seeds(*of_tiles), tiles.shape)
    return np.where(tiles == 0, whole, mixed_seeds(*of_tiles, tiles.astype(np.uint64)))


def draw(seeds: Sequence[int] | Seeds, *, whole: bool = False) -> torch.Tensor:
    """Draw random numbers from -1 to 1 for each seed: [image, 12].

    Args:
        seeds: of the images; the result depends on the arguments alone.
        whole: set the geometric changes to zero, so that the whole image stays visible.
    """
    words = _twister_words(np.asarray(seeds, np.uint64))
    # As torch does: the lowest 24 bits are the digits of a float32.
    levels = (words & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)
    numbers = torch.from_numpy(levels).mul_(2).sub_(1)
    if whole:
        numbers[:, :FLIPS] = 0
    return numbers


def _twister_words(seeds: Seeds) -> npt.NDArray[np.uint32]:
    """Return the first words of a Mersenne Twister for each seed: [image, 12]."""
    state = (seeds % np.uint64(2**32)).astype(np.uint32)
    near, far = [state], []
    # Of the 624 words of the state, the first results need these.
    for place in range(1, DISTANCE + DRAWS):
        state = (state ^ (state >> np.uint32(30))) * np.uint32(GROWTH) + np.uint32(place)
        if place <= DRAWS:
            near.append(state)
        if place >= DISTANCE:
            far.append(state)
    first, second = np.stack(near[:-1], 1), np.stack(near[1:], 1)
    joined = (first & np.uint32(2**31)) | (second & np.uint32(2**31 - 1))
    odd = (second & np.uint32(1)) * np.uint32(TWIST)
    words: npt.NDArray[np.uint32] = np.stack(far, 1) ^ (joined >> np.uint32(1)) ^ odd
    words ^= words >> np.uint32(11)
    words ^= (words << np.uint32(7)) & np.uint32(0x9D2C5680)
    words ^= (words << np.uint32(15)) & np.uint32(0xEFC60000)
    return words ^ (words >> np.uint32(18))
