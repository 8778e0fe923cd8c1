"""Compiled encoders of CSCC, CPO and CPS: the same arrays as the plain ones, bit for bit, from all cores."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from explore._parallel.thread_pool import shared
from explore.errors import UnknownName
from explore.sparseconv._compiled import encoder_kernels as kernels
from explore.sparseconv.formats.base import Product, unsigned_type
from explore.sparseconv.formats.cpo import CPO, encode_cpo
from explore.sparseconv.formats.cps import CPS, SET_ROWS, encode_cps
from explore.sparseconv.formats.cscc import CSCC, encode_cscc
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import POINTER_KINDS, running_counts

EMPTY = (np.empty(0, np.uint16), np.empty(0, np.uint32))


class Flat(NamedTuple):
    """Maps as flat memory in one of two orders, so that each kernel is compiled once."""

    memory: np.ndarray
    last: bool
    """Whether channels come last (else columns do)."""
    by_image: int
    by_channel: int
    by_row: int
    by_column: int

    def strips(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """An array's shape [N, C, strips of a channel] as the kernels number strips, [N, A, B]."""
        return (shape[0], shape[2], shape[1]) if self.last else shape

    def seen(self, strips: np.ndarray) -> np.ndarray:
        """A view ``[…, N, C, strips of a channel]`` of numbers of strips ``[…, N, A, B]``."""
        return strips.swapaxes(-1, -2) if self.last else strips

    def by(self, channel: np.ndarray, strip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What belongs to channels, and what to their strips, as what belongs to A and to B."""
        return (strip, channel) if self.last else (channel, strip)


def flat(x: np.ndarray) -> Flat:
    """Lay out maps ``[N, C, H, W]``: as they are if columns or channels are next to one another, else copied."""
    _, c, h, w = x.shape
    moved = x.transpose(0, 2, 3, 1)
    last = moved.flags.c_contiguous and not x.flags.c_contiguous
    memory = np.require(moved if last else x, requirements=["C", "A"]).reshape(-1).view()
    memory.flags.writeable = False  # one type for the compiler, whatever is given
    return Flat(memory, last, c * h * w, *((1, w * c, c) if last else (h * w, w, 1)))


def counted(x: Flat, geometry: Geometry) -> np.ndarray:
    """How many values each column has, and how many sets of four rows, ``[2, N, A, B]``."""
    n, c, h, w = geometry.shape
    held = np.zeros((2, *x.strips((n, c, w))), np.int32)
    by_a = x.by_column if x.last else x.by_channel
    shared(
        n * c * h * w // 16,
        kernels.count,
        x.memory,
        x.by_image,
        by_a,
        x.by_row,
        h,
        geometry.padding[0],
        out=held,
    )
    return held


def placed(
    x: Flat, held: np.ndarray, geometry: Geometry, pointers: str
) -> tuple[np.ndarray, int, np.ndarray, np.ndarray | None]:
    """Where each column's entries begin in the order of CPO, ``[N, A, B]``; how many there are; how many each bucket has,
    ``[groups, n·Ow]``; and the maps that have any, where channels do not share pointers.
    """
    (n, c, _, _), order = geometry.shape, geometry.order
    bucket = (geometry.windows[order] - 1) * geometry.output[1] + geometry.owner[order]
    start, one = np.empty(held.shape, np.int64), pointers == "shared"
    filed = np.zeros((n if one else n * c, geometry.classes * geometry.output[1]), np.int64)
    maps = np.empty(0 if one else n * c, unsigned_type(n * c, what="maps"))
    numbers = np.empty(len(maps), np.int64)
    total, groups = kernels.place(
        x.seen(held), order - geometry.padding[1], bucket, one, x.seen(start), filed, numbers
    )
    maps = numbers[:groups].astype(maps.dtype)
    return start, total, filed[:groups], None if one else maps


def numbered(
    count: int, limit: int, width: int | None, what: str = "indices"
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """An array for ``count`` indices below ``limit``, and the same as the kernels take it: narrow, or wide."""
    found = np.empty(count, unsigned_type(limit, width, what))
    return found, (found, EMPTY[1]) if found.dtype == np.uint16 else (EMPTY[0], found)


def too_wide(limit: int, width: int | None, what: str = "indices") -> bool:
    """Whether indices are of 8 bytes: as nobody needs them, the plain encoder writes them."""
    return unsigned_type(limit, width, what).itemsize > 4


def compiled_cscc(
    x: np.ndarray,
    geometry: Geometry,
    index_bytes: int | None = None,
    product: Product | None = None,
) -> CSCC:
    """What ``encode_cscc`` makes, compiled; ``product`` is how the encoding convolves."""
    (n, c, h, w), tall, ow = geometry.shape, geometry.padded[0], geometry.output[1]
    kw, sw = geometry.kernel[1], geometry.stride[1]
    if too_wide(c * tall * kw, index_bytes):
        return replace(encode_cscc(x, geometry, index_bytes), product=product)
    maps, left = flat(x), geometry.padding[1]
    held = counted(maps, geometry)[0]
    start, filed = np.empty(maps.strips((n, c, ow)), np.int64), np.zeros((n, ow), np.int64)
    total = kernels.place_windows(maps.seen(held), kw, sw, left, maps.seen(start), filed)
    values = np.empty(total, np.float32)
    indices, either = numbered(total, c * tall * kw, index_bytes)
    before = np.arange(c) * (tall * kw) + geometry.padding[0] * kw
    if maps.last:  # window by window, all its columns
        window = (kw, sw, left, kw, 0)
        sizes, of_a, each = (n, ow, c, h, w), sw * maps.by_column, np.arange(c)
        places = (np.zeros(ow, np.int64), before, each, np.ones_like(each))
    else:  # column by column, all its windows
        window, real = (1, 0, 0, kw, sw), slice(left, left + w)
        sizes, of_a, owner = (n, c, w, h, 1), maps.by_channel, geometry.owner[real]
        places = (before, np.arange(w) + left - owner * sw, owner, geometry.windows[real])
    strides = (maps.by_image, of_a, maps.by_row, maps.by_column)
    shared(
        x.size // 8 + 2 * total,
        kernels.fill,
        maps.memory,
        strides,
        sizes,
        window,
        *places,
        start,
        *either,
        out=values,
    )
    pointers = np.zeros((n, ow + 1), unsigned_type(c * h * kw * ow + 1))
    pointers[:, 1:] = np.cumsum(filed, axis=1)
    return CSCC(geometry, values, indices, pointers, product=product)


def compiled_cpo(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
    product: Product | None = None,
) -> CPO:
    """What ``encode_cpo`` makes, compiled; ``product`` is how the encoding convolves."""
    (_, c, h, w), (tall, wide), kw = geometry.shape, geometry.padded, geometry.kernel[1]
    if pointers not in POINTER_KINDS:
        raise UnknownName("kind of pointers", pointers, POINTER_KINDS)
    one = pointers == "shared"
    limit = (c if one else 1) * tall * kw
    if too_wide(limit, index_bytes):
        return replace(encode_cpo(x, geometry, pointers, trim, index_bytes), product=product)
    maps, column = flat(x), np.arange(wide)
    start, total, filed, found = placed(maps, counted(maps, geometry)[0], geometry, pointers)
    values = np.empty(total, np.float32)
    indices, either = numbered(total, limit, index_bytes)
    local = (column - geometry.owner * geometry.stride[1])[geometry.padding[1] :][:w]
    by_a, by_b = maps.by(np.arange(c) * (tall * kw * one) + geometry.padding[0] * kw, local)
    if maps.last:
        of_a, window, sizes = maps.by_column, (1, 1, 0, kw, 0), (len(x), w, c, h, w)
    else:
        of_a, window, sizes = maps.by_channel, (1, 0, 0, kw, 0), (len(x), c, w, h, 1)
    strides = (maps.by_image, of_a, maps.by_row, maps.by_column)
    places = (by_a, by_b, np.arange(len(by_b)), np.ones_like(by_b))
    shared(
        x.size // 8 + 2 * total,
        kernels.fill,
        maps.memory,
        strides,
        sizes,
        window,
        *places,
        start,
        *either,
        out=values,
    )
    rows = running_counts(filed, geometry, trim, c * h * w if one else h * w)
    return CPO(geometry, values, indices, rows, found, product=product)


def compiled_cps(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
    product: Product | None = None,
) -> CPS:
    """What ``encode_cps`` makes, compiled; ``product`` is how the encoding convolves."""
    (n, c, h, w), high = geometry.shape, -(-geometry.padded[0] // SET_ROWS)
    if pointers not in POINTER_KINDS:
        raise UnknownName("kind of pointers", pointers, POINTER_KINDS)
    one = pointers == "shared"
    limit = high * ((int(geometry.rank.max(initial=0)) + 1) * c if one else geometry.padded[1])
    if too_wide(limit << SET_ROWS, index_bytes, "words"):
        return replace(encode_cps(x, geometry, pointers, trim, index_bytes), product=product)
    maps = flat(x)
    held = counted(maps, geometry)
    start, total, _, _ = placed(maps, held[0], geometry, pointers)
    words_start, many, filed, found = placed(maps, held[1], geometry, pointers)
    values = np.empty(total, np.float32)
    words, either = numbered(many, limit << SET_ROWS, index_bytes, "words")
    if one:
        line = np.zeros(w, np.int64)
        line[geometry.order - geometry.padding[1]] = geometry.rank * (c * high)
    else:
        line = (np.arange(w) + geometry.padding[1]) * high
    by_a, by_b = maps.by(np.arange(c) * (high * one), line)
    of_a, sizes = (maps.by_column, (n, w, c, h)) if maps.last else (maps.by_channel, (n, c, w, h))
    places = (geometry.padding[0], by_a, by_b, start, words_start)
    strides = (maps.by_image, of_a, maps.by_row)
    shared(
        x.size // 8 + 2 * total,
        kernels.fill_sets,
        maps.memory,
        strides,
        sizes,
        *places,
        *either,
        out=values,
    )
    if one:
        rows = running_counts(filed, geometry, trim, c * high * w)
    else:
        begin = np.concatenate([[0], np.cumsum(filed.sum(1))])
        rows = (begin.astype(unsigned_type(n * c * high * w + 1)),)
    return CPS(geometry, values, words, rows, found, product=product)
