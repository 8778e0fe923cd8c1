"""Maps of a recording: values in 255 levels, layer after layer, and statistics of their columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explore.sparseconv.formats.cps import SET_ROWS
from explore.sparseconv.formats.geometry import Geometry

FORMAT_NAMES = ("im2col", "mec", "cscc", "cpo", "cps")
"""In the order of pictures and recordings: from the largest to the smallest on sparse maps."""


def quantise_maps(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """Convert maps ``[C, H, W]`` to levels, one byte a value, one layer after the other.

    Level 0 means exactly zero (also −0.0). Levels 1 to 255 are the magnitude of a value relative to
    the largest finite one of its layer. NaN and infinities are 255.

    Returns:
        The levels of all layers, and the offset at which each layer begins.
    """
    levels = []
    for layer in maps:
        size = np.abs(layer.astype(np.float32))
        size[~np.isfinite(size)] = np.inf
        largest = float(size[np.isfinite(size)].max(initial=0)) or 1.0
        level = np.maximum(np.ceil(np.minimum(size / largest, 1) * 255), 1)
        levels.append(np.where(layer != 0, level, 0).astype(np.uint8).ravel())
    ends = np.cumsum([0, *map(len, levels)])
    return (np.concatenate(levels) if levels else np.zeros(0, np.uint8)), ends[:-1].tolist()


def read_levels(levels: np.ndarray, offset: int, shape: Sequence[int]) -> np.ndarray:
    """Return the levels of the layer that begins at an offset, uint8 ``[C, H, W]``.

    Example:
        >>> maps = [np.eye(3)[None], np.array([[[0.0, -2.0], [1.0, 0.0]]])]
        >>> levels, offsets = quantise_maps(maps)
        >>> read_levels(levels, offsets[1], (1, 2, 2)).tolist()
        [[[0, 255], [128, 0]]]
    """
    return levels[offset : offset + math.prod(shape)].reshape(tuple(shape))


def keep_largest(maps: np.ndarray, share: float) -> np.ndarray:
    """Set all but a share of the non-zero values to zero.

    The largest values stay; of equal values the first ones stay.
    """
    sparser = np.zeros(maps.size, maps.dtype)
    # Bytes cannot be negated, so the values are converted first.
    order = np.argsort(-maps.ravel().astype(float), kind="stable")
    largest = order[: round(share * np.count_nonzero(maps))]
    sparser[largest] = maps.ravel()[largest]
    return sparser.reshape(maps.shape)


def shuffle_values(maps: np.ndarray, seed: int = 0) -> np.ndarray:
    """Move the values of each channel of ``[C, H, W]`` to random positions of the same channel."""
    flat = maps.reshape(len(maps), -1)
    return np.random.default_rng(seed).permuted(flat, axis=1).reshape(maps.shape)


def count_reading_windows(maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Count the windows that read each non-zero value of a map ``[H, W]``, int ``[Hp, Wp]``.

    The result is padded: it is 0 where the map is zero, −1 in the padding, and −2 at values that no
    window reads.
    """
    (ph, pw), (height, width) = geometry.padding, geometry.padded
    counts = np.full((height, width), -1)
    windows = np.where(geometry.windows > 0, geometry.windows, -2)[pw : width - pw]
    counts[ph : height - ph, pw : width - pw] = np.where(maps != 0, windows, 0)
    return counts


def count_set_values(maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Count the values in each CPS set of maps ``[C, H, W]``, 0 to 4, ``[C, sets, W]``.

    The first set begins in the padding. Values that no window reads are not counted.
    """
    (c, h, w), (top, left), height = maps.shape, geometry.padding, geometry.padded[0]
    stored = np.zeros((c, -(-height // SET_ROWS) * SET_ROWS, w), bool)
    stored[:, top : top + h] = (maps != 0) & (geometry.windows[left : left + w] > 0)
    return stored.reshape(c, -1, SET_ROWS, w).sum(2)


def set_sizes(maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Return for each non-zero value of maps ``[C, H, W]`` the number of values in its CPS set.

    It is 0 at zeros and in columns that no window reads.
    """
    top = geometry.padding[0]
    counts = np.repeat(count_set_values(maps, geometry), SET_ROWS, axis=1)
    return counts[:, top : top + maps.shape[1]] * (maps != 0)
