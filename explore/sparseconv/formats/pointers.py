"""Buckets: values filed by overlap class and owner window, and the pointers that say where each bucket ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from explore.errors import UnknownName
from explore.sparseconv.formats.base import unsigned_type
from explore.sparseconv.formats.geometry import Geometry

POINTER_KINDS = ("shared", "per-channel")
"""One set of pointers for all channels of an image, or one for each channel that is not empty."""


class Nonzeros(NamedTuple):
    """The values that are not zero and are read, in the order of CPO; all arrays ``[L]``.

    By group (image, or image and channel: see ``POINTERS``), then by class, owner and column, then by channel and row.
    ``row`` and ``column`` are of the padded map, ``place`` is the position of the column in ``geometry.order``.
    """

    values: np.ndarray
    image: np.ndarray
    channel: np.ndarray
    row: np.ndarray
    column: np.ndarray
    place: np.ndarray


def nonzeros(x: np.ndarray, geometry: Geometry, pointers: str) -> Nonzeros:
    """Find them in checked maps ``[N, C, H, W]``; padding is never stored.

    Raises:
        UnknownName: ``pointers`` is neither "shared" nor "per-channel".
    """
    if pointers not in POINTER_KINDS:
        raise UnknownName("kind of pointers", pointers, POINTER_KINDS)
    axes = (0, 3, 1, 2) if pointers == "shared" else (0, 1, 3, 2)
    ordered = x[..., geometry.order - geometry.padding[1]].transpose(axes)
    at = np.nonzero(ordered)  # NaN is not zero, −0.0 is
    if pointers == "shared":
        image, place, channel, row = at
    else:
        image, channel, place, row = at
    return Nonzeros(
        ordered[at], image, channel, row + geometry.padding[0], geometry.order[place], place
    )


def fill(
    group: np.ndarray, column: np.ndarray, groups: int, geometry: Geometry, trim: bool, most: int
) -> tuple[np.ndarray, ...]:
    """Running counts of each class, one array ``[groups, Ow + 1]`` a class; every row begins at 0.

    Args:
        group: which set of pointers each entry counts in, ``[L]``.
        column: padded column of each entry, ``[L]``.
        groups: how many sets.
        geometry: of the convolution.
        trim: leave out of class 0 what cannot change: with stride 1 (and Kw > 1) only the first and the last window own
            columns of it, so that ``[0, n₀, n₀ + n₁]`` says all. With other strides nothing is left out.
        most: no count can be larger (decides how wide the pointers are).
    """
    ow, n = geometry.output[1], geometry.classes
    bucket = (group * n + geometry.windows[column] - 1) * ow + geometry.owner[column]
    return running_counts(np.bincount(bucket, minlength=groups * n * ow), geometry, trim, most)


def running_counts(
    held: np.ndarray, geometry: Geometry, trim: bool, most: int
) -> tuple[np.ndarray, ...]:
    """The arrays of ``fill``, of how many entries each group, class and owner has, ``[groups · n · Ow]``."""
    ow, n = geometry.output[1], geometry.classes
    held = held.reshape(held.size // (n * ow), n, ow)
    running = np.zeros((len(held), n, ow + 1), unsigned_type(most + 1))
    running[:, :, 1:] = np.cumsum(held, axis=2)
    rows = [np.ascontiguousarray(running[:, t]) for t in range(n)]
    if trim and trims(geometry):
        rows[0] = rows[0][:, [0, 1, ow]]
    return tuple(rows)


def trims(geometry: Geometry) -> bool:
    """Whether trimming leaves anything out."""
    return geometry.stride[1] == 1 and geometry.classes > 1 and geometry.output[1] > 2


class Places(NamedTuple):
    """Group, class and owner window of every entry, ``[L]`` each."""

    group: np.ndarray
    overlap: np.ndarray
    owner: np.ndarray


def places(pointers: tuple[np.ndarray, ...], geometry: Geometry) -> Places:
    """What the pointers say of each entry, from the pointers alone (whole or trimmed)."""
    held, ow = pointer_counts(pointers, geometry), geometry.output[1]
    bucket = np.repeat(np.arange(held.size), held.ravel())
    group, within = np.divmod(bucket, geometry.classes * ow)
    return Places(group, *np.divmod(within, ow))


def pointer_counts(pointers: tuple[np.ndarray, ...], geometry: Geometry) -> np.ndarray:
    """How many entries each bucket has, ``[groups, n, Ow]``, from the pointers alone (whole or trimmed)."""
    groups, n, ow = len(pointers[0]), geometry.classes, geometry.output[1]
    held = np.zeros((groups, n, ow), np.int64)
    for t, row in enumerate(pointers):
        steps = np.diff(row.astype(np.int64), axis=1)
        held[:, t, np.arange(ow) if steps.shape[1] == ow else [0, ow - 1]] = steps
    return held


def group_maps(
    image: np.ndarray, channel: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, np.ndarray]:
    """Number the maps that are not empty: which of the N·C maps each is ``[M]``, and the number of each entry's map ``[L]``."""
    found, group = np.unique(image * geometry.shape[1] + channel, return_inverse=True)
    return found.astype(unsigned_type(geometry.shape[0] * geometry.shape[1], what="maps")), group
