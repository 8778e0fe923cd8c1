"""Buckets of CPO and CPS: values by overlap class and owner window, and pointers to their ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from explore.core.validation import check_choice
from explore.sparseconv.formats.base import unsigned_type
from explore.sparseconv.formats.geometry import Geometry

POINTER_KINDS = ("shared", "per-channel")
"""One set of pointers for all channels of an image, or one for each channel that is not empty."""


class Nonzeros(NamedTuple):
    """The non-zero values that some window reads, in the order of CPO; all arrays ``[L]``.

    They are sorted by group (image, or image and channel: see ``POINTER_KINDS``), then by class,
    owner and column, then by channel and row. ``row`` and ``column`` count in the padded map,
    ``position`` is the position of the column in ``geometry.order``.
    """

    values: np.ndarray
    image: np.ndarray
    channel: np.ndarray
    row: np.ndarray
    column: np.ndarray
    position: np.ndarray


def find_nonzeros(x: np.ndarray, geometry: Geometry, pointers: str) -> Nonzeros:
    """Find the non-zero values of checked maps ``[N, C, H, W]``; padding is never stored.

    Raises:
        UnknownName: ``pointers`` is neither "shared" nor "per-channel".
    """
    pointers = check_choice("kind of pointers", pointers, POINTER_KINDS)
    axes = (0, 3, 1, 2) if pointers == "shared" else (0, 1, 3, 2)
    ordered = x[..., geometry.order - geometry.padding[1]].transpose(axes)
    indices = np.nonzero(ordered)  # NaN counts as non-zero, −0.0 does not
    if pointers == "shared":
        image, position, channel, row = indices
    else:
        image, channel, position, row = indices
    column = geometry.order[position]
    return Nonzeros(ordered[indices], image, channel, row + geometry.padding[0], column, position)


def bucket_pointers(
    group: np.ndarray, column: np.ndarray, groups: int, geometry: Geometry, trim: bool, most: int
) -> tuple[np.ndarray, ...]:
    """Count the entries of each bucket, as running counts: one array ``[groups, Ow + 1]`` a class.

    Args:
        group: the set of pointers in which each entry counts, ``[L]``.
        column: padded column of each entry, ``[L]``.
        groups: number of sets of pointers.
        geometry: of the convolution.
        trim: leave out the pointers of class 0 that cannot change. With stride 1 and Kw > 1 only
            the first and the last window own columns of class 0, so ``[0, n₀, n₀ + n₁]`` suffices.
            With other strides nothing is left out.
        most: an upper bound of the counts. It determines the width of the pointers.
    """
    ow, n = geometry.output[1], geometry.classes
    bucket = (group * n + geometry.windows[column] - 1) * ow + geometry.owner[column]
    return running_counts(np.bincount(bucket, minlength=groups * n * ow), geometry, trim, most)


def running_counts(
    counts: np.ndarray, geometry: Geometry, trim: bool, most: int
) -> tuple[np.ndarray, ...]:
    """Return the arrays of ``bucket_pointers`` for bucket sizes ``[groups · n · Ow]``."""
    ow, n = geometry.output[1], geometry.classes
    counts = counts.reshape(counts.size // (n * ow), n, ow)
    running = np.zeros((len(counts), n, ow + 1), unsigned_type(most + 1))
    running[:, :, 1:] = np.cumsum(counts, axis=2)
    pointers = [np.ascontiguousarray(running[:, t]) for t in range(n)]
    if trim and geometry.stride[1] == 1 and n > 1 and ow > 2:
        pointers[0] = pointers[0][:, [0, 1, ow]]
    return tuple(pointers)


class EntryBuckets(NamedTuple):
    """Group, overlap class and owner window of every entry, ``[L]`` each."""

    group: np.ndarray
    overlap: np.ndarray
    owner: np.ndarray


def entry_buckets(pointers: tuple[np.ndarray, ...], geometry: Geometry) -> EntryBuckets:
    """Return the bucket of each entry, from the pointers alone (trimmed or not)."""
    counts, ow = pointer_counts(pointers, geometry), geometry.output[1]
    bucket = np.repeat(np.arange(counts.size), counts.ravel())
    group, within = np.divmod(bucket, geometry.classes * ow)
    return EntryBuckets(group, *np.divmod(within, ow))


def pointer_counts(pointers: tuple[np.ndarray, ...], geometry: Geometry) -> np.ndarray:
    """Return the number of entries of each bucket, ``[groups, n, Ow]``, from the pointers alone."""
    groups, n, ow = len(pointers[0]), geometry.classes, geometry.output[1]
    counts = np.zeros((groups, n, ow), np.int64)
    for t, row in enumerate(pointers):
        steps = np.diff(row.astype(np.int64), axis=1)
        counts[:, t, np.arange(ow) if steps.shape[1] == ow else [0, ow - 1]] = steps
    return counts


def group_maps(
    image: np.ndarray, channel: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, np.ndarray]:
    """Number the maps that are not empty.

    Returns:
        The index of each such map among all N·C, ``[M]``, and for each entry the number of its
        map, ``[L]``.
    """
    n, c = geometry.shape[:2]
    maps, group = np.unique(image * c + channel, return_inverse=True)
    return maps.astype(unsigned_type(n * c, what="maps")), group
