"""Compiled encoders of CSCC, CPO and CPS: the same arrays as the plain ones, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from explore._parallel.work_sharing import run_shared
from explore.errors import UnknownName
from explore.sparseconv._compiled import encoder_kernels as kernels
from explore.sparseconv.formats.base import Product, unsigned_type
from explore.sparseconv.formats.cpo import CPO, encode_cpo
from explore.sparseconv.formats.cps import CPS, SET_ROWS, encode_cps
from explore.sparseconv.formats.cscc import CSCC, encode_cscc
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import POINTER_KINDS, running_counts

EMPTY = (np.empty(0, np.uint16), np.empty(0, np.uint32))
"""Stand-ins for indices of 2 bytes where they have 4, and the other way round."""


class FlatMaps(NamedTuple):
    """Maps as flat memory in one of two orders, so that each kernel is compiled once.

    Kernels number strips [N, A, B], with B along the contiguous axis: A are channels and B columns,
    or, with channels last, the other way round.
    """

    memory: np.ndarray
    channels_last: bool
    by_image: int
    by_channel: int
    by_row: int
    by_column: int

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """Elements from one image, channel, row and column to the next."""
        return self.by_image, self.by_channel, self.by_row, self.by_column

    def strip_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return a shape [N, C, strips of a channel] as [N, A, B]."""
        return (shape[0], shape[2], shape[1]) if self.channels_last else shape

    def by_channels(self, strips: np.ndarray) -> np.ndarray:
        """Return an array ``[…, N, A, B]`` as a view ``[…, N, C, strips of a channel]``."""
        return strips.swapaxes(-1, -2) if self.channels_last else strips

    def along_strips(self, channel: np.ndarray, strip: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return an array along channels and one along strips in the order A, B."""
        return (strip, channel) if self.channels_last else (channel, strip)


def flatten(x: np.ndarray) -> FlatMaps:
    """Return maps ``[N, C, H, W]`` as flat memory.

    They are copied only if neither columns nor channels are contiguous.
    """
    _, c, h, w = x.shape
    last_view = x.transpose(0, 2, 3, 1)
    last = last_view.flags.c_contiguous and not x.flags.c_contiguous
    memory = np.require(last_view if last else x, requirements=["C", "A"]).reshape(-1).view()
    memory.flags.writeable = False  # one type for the compiler, whatever x is
    return FlatMaps(memory, last, c * h * w, *((1, w * c, c) if last else (h * w, w, 1)))


def count_nonzeros(x: FlatMaps, geometry: Geometry) -> np.ndarray:
    """Count each column's values, and its sets of four rows that have any: ``[2, N, A, B]``."""
    n, c, h, w = geometry.shape
    counts = np.zeros((2, *x.strip_shape((n, c, w))), np.int32)
    by_a, above = x.by_column if x.channels_last else x.by_channel, geometry.padding[0]
    arguments = (x.memory, x.by_image, by_a, x.by_row, h, above)
    run_shared(n * c * h * w // 16, kernels.count_columns, *arguments, out=counts)
    return counts


class Positions(NamedTuple):
    """Where entries are stored in the order of CPO.

    Attributes:
        starts: position of the first entry of each column, ``[N, A, B]``.
        total: number of entries.
        bucket_sizes: entries of each bucket, ``[groups, n·Ow]``.
        maps: the maps that have any entry, or None where channels share pointers.
    """

    starts: np.ndarray
    total: int
    bucket_sizes: np.ndarray
    maps: np.ndarray | None


def assign_positions(
    x: FlatMaps, counts: np.ndarray, geometry: Geometry, pointers: str
) -> Positions:
    """Return the positions of all entries from the number in each column, ``[N, A, B]``."""
    (n, c, _, _), order = geometry.shape, geometry.order
    bucket = (geometry.windows[order] - 1) * geometry.output[1] + geometry.owner[order]
    starts, shared = np.empty(counts.shape, np.int64), pointers == "shared"
    buckets = geometry.classes * geometry.output[1]
    sizes = np.zeros((n if shared else n * c, buckets), np.int64)
    maps_type = unsigned_type(n * c, what="maps")
    maps = np.empty(0 if shared else n * c, np.int64)
    columns, views = order - geometry.padding[1], (x.by_channels(counts), x.by_channels(starts))
    total, groups = kernels.assign_positions(
        views[0], columns, bucket, shared, views[1], sizes, maps
    )
    return Positions(
        starts, total, sizes[:groups], None if shared else maps[:groups].astype(maps_type)
    )


def empty_indices(
    count: int, limit: int, width: int | None, what: str = "indices"
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return an array for indices below ``limit``, and the kernels' pair (2 bytes, 4 bytes)."""
    indices = np.empty(count, unsigned_type(limit, width, what))
    pair = (indices, EMPTY[1]) if indices.dtype == np.uint16 else (EMPTY[0], indices)
    return indices, pair


def has_wide_indices(limit: int, width: int | None, what: str = "indices") -> bool:
    """Return whether indices have 8 bytes, which only the plain encoders write."""
    return unsigned_type(limit, width, what).itemsize > 4


def check_pointers(pointers: str) -> None:
    """Refuse an unknown kind of pointers.

    Raises:
        UnknownName: the message lists the kinds.
    """
    if pointers not in POINTER_KINDS:
        raise UnknownName("kind of pointers", pointers, POINTER_KINDS)


def compiled_cscc(
    x: np.ndarray,
    geometry: Geometry,
    index_bytes: int | None = None,
    product: Product | None = None,
) -> CSCC:
    """Encode maps as ``encode_cscc`` does, compiled; ``product`` is how the encoding convolves."""
    (n, c, h, w), padded_rows, ow = geometry.shape, geometry.padded[0], geometry.output[1]
    (above, left), kw, sw = geometry.padding, geometry.kernel[1], geometry.stride[1]
    limit = c * padded_rows * kw
    if has_wide_indices(limit, index_bytes):
        return replace(encode_cscc(x, geometry, index_bytes), product=product)
    maps = flatten(x)
    counts = maps.by_channels(count_nonzeros(maps, geometry)[0])
    starts = np.empty(maps.strip_shape((n, c, ow)), np.int64)
    window_sizes = np.zeros((n, ow), np.int64)
    total = kernels.assign_window_positions(
        counts, kw, sw, left, maps.by_channels(starts), window_sizes
    )
    values = np.empty(total, np.float32)
    indices, pair = empty_indices(total, limit, index_bytes)
    of_channel = np.arange(c) * (padded_rows * kw) + above * kw
    if maps.channels_last:  # window by window, all its columns
        window, channels = (kw, sw, left, kw, 0), np.arange(c)
        sizes, by_a = (n, ow, c, h, w), sw * maps.by_column
        places = (np.zeros(ow, np.int64), of_channel, channels, np.ones_like(channels))
    else:  # column by column, all its windows
        window, inside = (1, 0, 0, kw, sw), slice(left, left + w)
        sizes, by_a, owner = (n, c, w, h, 1), maps.by_channel, geometry.owner[inside]
        places = (of_channel, np.arange(w) + left - owner * sw, owner, geometry.windows[inside])
    strides = (maps.by_image, by_a, maps.by_row, maps.by_column)
    arguments = (maps.memory, strides, sizes, window, *places, starts, *pair)
    run_shared(x.size // 8 + 2 * total, kernels.write_entries, *arguments, out=values)
    pointers = np.zeros((n, ow + 1), unsigned_type(c * h * kw * ow + 1))
    pointers[:, 1:] = np.cumsum(window_sizes, axis=1)
    return CSCC(geometry, values, indices, pointers, product=product)


def compiled_cpo(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
    product: Product | None = None,
) -> CPO:
    """Encode maps as ``encode_cpo`` does, compiled; ``product`` is how the encoding convolves."""
    check_pointers(pointers)
    (n, c, h, w), (padded_rows, padded_columns) = geometry.shape, geometry.padded
    (above, left), kw, shared = geometry.padding, geometry.kernel[1], pointers == "shared"
    limit = (c if shared else 1) * padded_rows * kw
    if has_wide_indices(limit, index_bytes):
        return replace(encode_cpo(x, geometry, pointers, trim, index_bytes), product=product)
    maps = flatten(x)
    counts = count_nonzeros(maps, geometry)[0]
    positions = assign_positions(maps, counts, geometry, pointers)
    values = np.empty(positions.total, np.float32)
    indices, pair = empty_indices(positions.total, limit, index_bytes)
    of_window = np.arange(padded_columns) - geometry.owner * geometry.stride[1]
    of_channel = np.arange(c) * (padded_rows * kw * shared) + above * kw
    along_a, along_b = maps.along_strips(of_channel, of_window[left:][:w])
    if maps.channels_last:
        by_a, window, sizes = maps.by_column, (1, 1, 0, kw, 0), (n, w, c, h, w)
    else:
        by_a, window, sizes = maps.by_channel, (1, 0, 0, kw, 0), (n, c, w, h, 1)
    strides = (maps.by_image, by_a, maps.by_row, maps.by_column)
    places = (along_a, along_b, np.arange(len(along_b)), np.ones_like(along_b))
    arguments = (maps.memory, strides, sizes, window, *places, positions.starts, *pair)
    run_shared(x.size // 8 + 2 * positions.total, kernels.write_entries, *arguments, out=values)
    rows = running_counts(positions.bucket_sizes, geometry, trim, c * h * w if shared else h * w)
    return CPO(geometry, values, indices, rows, positions.maps, product=product)


def compiled_cps(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
    product: Product | None = None,
) -> CPS:
    """Encode maps as ``encode_cps`` does, compiled; ``product`` is how the encoding convolves."""
    check_pointers(pointers)
    (n, c, h, w), sets = geometry.shape, -(-geometry.padded[0] // SET_ROWS)
    (above, left), shared = geometry.padding, pointers == "shared"
    lines = (int(geometry.rank.max(initial=0)) + 1) * c if shared else geometry.padded[1]
    limit = sets * lines << SET_ROWS
    if has_wide_indices(limit, index_bytes, "words"):
        return replace(encode_cps(x, geometry, pointers, trim, index_bytes), product=product)
    maps = flatten(x)
    counts = count_nonzeros(maps, geometry)
    positions = assign_positions(maps, counts[0], geometry, pointers)
    word_positions = assign_positions(maps, counts[1], geometry, pointers)
    values = np.empty(positions.total, np.float32)
    words, pair = empty_indices(word_positions.total, limit, index_bytes, "words")
    if shared:
        of_column = np.zeros(w, np.int64)
        of_column[geometry.order - left] = geometry.rank * (c * sets)
    else:
        of_column = (np.arange(w) + left) * sets
    along_a, along_b = maps.along_strips(np.arange(c) * (sets * shared), of_column)
    by_a, sizes = (
        (maps.by_column, (n, w, c, h)) if maps.channels_last else (maps.by_channel, (n, c, w, h))
    )
    places = (above, along_a, along_b, positions.starts, word_positions.starts)
    arguments = (maps.memory, (maps.by_image, by_a, maps.by_row), sizes, *places, *pair)
    run_shared(x.size // 8 + 2 * positions.total, kernels.write_sets, *arguments, out=values)
    if shared:
        rows = running_counts(word_positions.bucket_sizes, geometry, trim, c * sets * w)
    else:
        starts = np.concatenate([[0], np.cumsum(word_positions.bucket_sizes.sum(1))])
        rows = (starts.astype(unsigned_type(n * c * sets * w + 1)),)
    return CPS(geometry, values, words, rows, word_positions.maps, product=product)
