"""Recorded maps: their values in 255 levels, layer after layer, and which overlap class each of their columns belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explore.sparseconv.formats.cps import SET_ROWS
from explore.sparseconv.formats.geometry import Geometry

FORMATS = ("im2col", "mec", "cscc", "cpo", "cps")
"""In the order in which they are shown: from the largest to the smallest on sparse maps."""


def levels(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """Maps ``[C, H, W]`` as bytes, layer after layer, and where each layer begins.

    0 stands for exactly zero (also −0.0), 1 to 255 for the size of a value beside the largest of its layer, whatever its
    sign; what is not finite is 255.
    """
    parts = []
    for found in maps:
        size = np.abs(found.astype(np.float32))
        size[~np.isfinite(size)] = np.inf
        finite = size[np.isfinite(size)]
        most = float(finite.max(initial=0)) or 1.0
        part = np.ceil(np.minimum(size / most, 1) * 255)
        parts.append(np.where(found != 0, np.maximum(part, 1), 0).astype(np.uint8).ravel())
    ends = np.cumsum([0, *(len(part) for part in parts)])
    return (np.concatenate(parts) if parts else np.zeros(0, np.uint8)), ends[:-1].tolist()


def level_map(recorded: np.ndarray, offset: int, shape: Sequence[int]) -> np.ndarray:
    """The maps that begin at a place, uint8 ``[C, H, W]``.

    Example:
        >>> recorded, begin = levels([np.eye(3)[None], np.array([[[0.0, -2.0], [1.0, 0.0]]])])
        >>> level_map(recorded, begin[1], (1, 2, 2)).tolist()
        [[[0, 255], [128, 0]]]
    """
    return recorded[offset : offset + int(np.prod(shape))].reshape(tuple(int(n) for n in shape))


def strongest(maps: np.ndarray, share: float) -> np.ndarray:
    """Maps in which only this share of the values that are not zero is left: the largest (of equal ones, the first)."""
    kept = np.zeros(maps.size, maps.dtype)
    order = np.argsort(-maps.ravel().astype(float), kind="stable")  # bytes cannot be negative
    count = round(share * np.count_nonzero(maps))
    kept[order[:count]] = maps.ravel()[order[:count]]
    return kept.reshape(maps.shape)


def shuffled(maps: np.ndarray, seed: int = 0) -> np.ndarray:
    """The values of each channel of ``[C, H, W]`` at other places of the same channel, drawn at random."""
    flat = maps.reshape(len(maps), -1)
    return np.random.default_rng(seed).permuted(flat, axis=1).reshape(maps.shape)


def readers(maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Of a map ``[H, W]``, padded: how many windows read each value that is not zero, int ``[Hp, Wp]``.

    0 where the map is zero, −1 in the padding, −2 at values that no window reads.
    """
    (ph, pw), (tall, wide) = geometry.padding, geometry.padded
    found = np.full((tall, wide), -1)
    times = np.where(geometry.windows > 0, geometry.windows, -2)[pw : wide - pw]
    found[ph : tall - ph, pw : wide - pw] = np.where(maps != 0, times, 0)
    return found


def sets_held(maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    """How many values each CPS set of maps ``[C, H, W]`` holds, 0 to 4, ``[C, sets, W]``; sets begin in the padding, and
    values that no window reads are in none.
    """
    top, tall = geometry.padding[0], geometry.padded[0]
    padded = np.zeros((len(maps), -(-tall // SET_ROWS) * SET_ROWS, maps.shape[2]), bool)
    left = geometry.padding[1]
    padded[:, top : top + maps.shape[1]] = (maps != 0) & (
        geometry.windows[left : left + maps.shape[2]] > 0
    )
    return padded.reshape(len(maps), -1, SET_ROWS, maps.shape[2]).sum(2)


def sets_seen(maps: np.ndarray, geometry: Geometry) -> np.ndarray:
    """At every value of maps ``[C, H, W]`` that is not zero, how many its set holds; 0 at zeros and where nothing is read."""
    top = geometry.padding[0]
    return np.repeat(sets_held(maps, geometry), SET_ROWS, axis=1)[:, top : top + maps.shape[1]] * (
        maps != 0
    )
