"""The authors' own stream of CPS indices, for study: it is ambiguous, so nothing here convolves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explore.errors import InvalidInput
from explore.sparseconv.formats.base import unsigned_type
from explore.sparseconv.formats.cps import SET_ROWS, set_starts
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import fill, nonzeros
from explore.sparseconv.formats.validation import as_maps

CODES = (7, 11, 13, 14, 15)
"""Masks of sets with three or four values."""


@dataclass(frozen=True, eq=False)
class CPSStream:
    """Values, indices and pointers as the authors' program writes them.

    Positions count down the columns, ``j·Hp + i`` (plus ``c·Hp·Wp``). A set of four rows with one or two values is one or
    two positions; with three or four it is the position of its first row and a mask (bit 0 the top row). Nothing
    tells a position from a mask, and one such stream can stand for several maps: see ``readings``.

    Attributes:
        geometry: sizes of the convolution.
        values: float32 ``[L]`` (DA), in the order of CPO.
        indices: ``[Q]`` (IN).
        pointers: (Ptr) as in ``CPO``, counting values; one array ``[N, Ow + 1]`` a class.

    Source: our reading of the authors' development program of CPS (arXiv 2104.08314); several channels are our reading.
    N·n(Ow + 1) + L + P₁ + 2(P₂ + P₃ + P₄) elements, with P_k sets that have k values.
    """

    geometry: Geometry
    values: np.ndarray
    indices: np.ndarray
    pointers: tuple[np.ndarray, ...]

    @property
    def elements(self) -> int:
        """Values, indices and pointers."""
        return self.values.size + self.indices.size + sum(row.size for row in self.pointers)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.values.nbytes + self.indices.nbytes + sum(row.nbytes for row in self.pointers)

    def readings(self, pointers: bool = True) -> list[np.ndarray]:
        """Every map ``[H, W]`` of which this could be the stream; tries them all, so for one small map.

        Args:
            pointers: whether a reading must agree with the pointers (and so with the number of values), or with the
                indices alone; without them the values are shown as ones.

        Raises:
            InvalidInput: several images or channels.
        """
        g = self.geometry
        if g.shape[:2] != (1, 1):
            raise InvalidInput(
                f"readings are of one map, got {g.shape[0]} images of {g.shape[1]} channels"
            )
        found, here = [], self.indices.tolist()
        for cells in _parse(here, g):
            x = np.zeros((1, 1, *g.padded), np.float32)
            for position in cells:
                x[0, 0, position % g.padded[0], position // g.padded[0]] = 1
            inner = g.crop(x)
            again = encode_cps_stream(inner, g.kernel, g.stride, g.padding)
            if inner.sum() != len(cells) or again.indices.tolist() != here:
                continue
            if pointers:
                if any(
                    not np.array_equal(a, b)
                    for a, b in zip(again.pointers, self.pointers, strict=True)
                ):
                    continue
                kept = nonzeros(inner, g, "shared")
                inner[0, 0, kept.row - g.padding[0], kept.column - g.padding[1]] = self.values
            found.append(inner[0, 0])
        return found


def _parse(stream: list[int], geometry: Geometry) -> Iterator[list[int]]:
    """Every way to take a stream for positions and masks, as lists of positions."""
    if not stream:
        yield []
        return
    first, (high, wide) = stream[0], geometry.padded
    if first >= high * wide:  # can only be a mask
        return
    for rest in _parse(stream[1:], geometry):
        yield [first, *rest]
    row = first % high
    if len(stream) > 1 and row % SET_ROWS == 0 and stream[1] in CODES:
        cells = [first + b for b in range(SET_ROWS) if stream[1] >> b & 1]
        if row + stream[1].bit_length() <= high:
            for rest in _parse(stream[2:], geometry):
                yield [*cells, *rest]


def encode_cps_stream(
    x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, index_bytes: int | None = None
) -> CPSStream:
    """Write maps as the authors' stream.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map).
        kernel_size: a whole number, or (Kh, Kw).
        stride: a whole number, or (Sh, Sw).
        padding: a whole number, or (above and below, left and right).
        index_bytes: 2 or 4 (the authors'); None takes the narrowest that fits.

    Raises:
        InvalidInput: maps or sizes that cannot be used, or positions that do not fit in so many bytes.

    Example:
        >>> x = np.array([[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]], np.float32)
        >>> encode_cps_stream(x, 3).indices.tolist()  # 12, 7: three values from row 0 of column 3
        [0, 2, 18, 19, 5, 12, 7]
    """
    checked = as_maps(x)
    geometry = Geometry(checked.shape, kernel_size, stride, padding)
    (n, c, h, w), (tall, wide) = geometry.shape, geometry.padded
    found = nonzeros(checked, geometry, "shared")
    block, bit = np.divmod(found.row, SET_ROWS)
    starts = set_starts(found.image, found.channel, found.column, block)
    held = np.diff(np.append(starts, len(bit)))
    place = np.arange(len(bit)) - np.repeat(starts, held)  # of a value in its set
    many = np.repeat(held > 2, held)
    index = (found.channel * wide + found.column) * tall + found.row
    mask = np.repeat(np.bitwise_or.reduceat(1 << bit, starts), held)
    index = np.where(many, np.where(place == 0, index - bit, mask), index)
    kind = unsigned_type(max(c * wide * tall, CODES[-1] + 1), index_bytes, "positions")
    rows = fill(found.image, found.column, n, geometry, False, c * h * w)
    return CPSStream(geometry, found.values, index[~many | (place < 2)].astype(kind), rows)
