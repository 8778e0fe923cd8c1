"""The authors' own stream of CPS indices, for study.

It is ambiguous, so nothing convolves it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from explore.core.array_validation import as_array
from explore.core.validation import check_flag, check_items, describe
from explore.errors import InvalidInput
from explore.sparseconv.formats.base import unsigned_type
from explore.sparseconv.formats.cps import SET_ROWS, run_starts
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import bucket_pointers, find_nonzeros
from explore.sparseconv.formats.validation import as_maps

MOST_INDICES, MOST_READINGS = 400, 2000
"""The longest stream, and the most ways to read one, that can be tried in seconds."""

CODED_MASKS = (7, 11, 13, 14, 15)
"""Masks of the sets with three or four values. Only these sets are written with a mask."""


@dataclass(frozen=True, eq=False)
class CPSStream:
    """Values, indices and pointers as the authors' program writes them.

    Positions count down the columns, ``j·Hp + i`` (plus ``c·Hp·Wp``). A set of four rows with one
    or two values is written as one or two positions. A set with three or four is written as the
    position of its first row and a mask (bit 0 is the top row). Positions and masks look alike, so
    one stream can stand for several maps: see ``readings``.

    Attributes:
        geometry: sizes of the convolution.
        values: float32 ``[L]`` (DA), in the order of CPO.
        indices: ``[Q]`` (IN).
        pointers: (Ptr) as in ``CPO``, counting values; one array ``[N, Ow + 1]`` a class.

    Raises:
        InvalidInput: an attribute is of another kind.

    Source: our reading of the authors' development program of CPS (arXiv 2104.08314); several
    channels are our reading. N·n(Ow + 1) + L + P₁ + 2(P₂ + P₃ + P₄) elements, where P_k is the
    number of sets with k values.
    """

    geometry: Geometry
    values: np.ndarray
    indices: np.ndarray
    pointers: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.geometry, Geometry):
            raise InvalidInput(f"geometry must be a Geometry, got {describe(self.geometry)}")
        for name in ("values", "indices"):
            object.__setattr__(self, name, as_array(name, getattr(self, name)))
        pointers = tuple(as_array("pointers", p) for p in check_items("pointers", self.pointers))
        object.__setattr__(self, "pointers", pointers)

    @property
    def elements(self) -> int:
        """Number of values, indices and pointers."""
        return sum(array.size for array in (self.values, self.indices, *self.pointers))

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in (self.values, self.indices, *self.pointers))

    def readings(self, pointers: bool = True) -> list[np.ndarray]:
        """Return every map ``[H, W]`` with this stream, by trying all of them; for one small map.

        Args:
            pointers: whether a reading must agree with the pointers (and so with the number of
                values), or with the indices alone. Without them all values are returned as ones.

        Raises:
            InvalidInput: the stream has several images or channels, is too long, or has too many
                readings to try.
        """
        pointers = check_flag("pointers", pointers)
        g = self.geometry
        if g.shape[:2] != (1, 1):
            raise InvalidInput(
                f"readings are of one map, got {g.shape[0]} images of {g.shape[1]} channels"
            )
        if self.indices.size > MOST_INDICES:
            raise InvalidInput(
                f"readings are of a small map, got a stream of {self.indices.size} indices; "
                f"at most {MOST_INDICES} can be tried"
            )
        readings = []
        for count, positions in enumerate(_parse(self.indices.tolist(), g)):
            if count == MOST_READINGS:
                raise InvalidInput(
                    f"the stream can be read in more than {MOST_READINGS} ways; use a smaller map"
                )
            padded = np.zeros((1, 1, *g.padded), np.float32)
            for position in positions:
                padded[0, 0, position % g.padded[0], position // g.padded[0]] = 1
            x = g.crop(padded)
            stream = encode_cps_stream(x, g.kernel, g.stride, g.padding)
            if x.sum() != len(positions) or not np.array_equal(stream.indices, self.indices):
                continue
            if pointers:
                if not all(map(np.array_equal, stream.pointers, self.pointers)):
                    continue
                nonzeros = find_nonzeros(x, g, "shared")
                x[0, 0, nonzeros.row - g.padding[0], nonzeros.column - g.padding[1]] = self.values
            readings.append(x[0, 0])
        return readings


def _parse(stream: list[int], geometry: Geometry) -> Iterator[list[int]]:
    """Yield the positions of every way to split a stream into positions and masks."""
    if not stream:
        yield []
        return
    first, (height, width) = stream[0], geometry.padded
    if first >= height * width:  # a mask cannot come first
        return
    for rest in _parse(stream[1:], geometry):
        yield [first, *rest]
    row = first % height
    if len(stream) > 1 and row % SET_ROWS == 0 and stream[1] in CODED_MASKS:
        positions = [first + b for b in range(SET_ROWS) if stream[1] >> b & 1]
        if row + stream[1].bit_length() <= height:
            for rest in _parse(stream[2:], geometry):
                yield [*positions, *rest]


def encode_cps_stream(
    x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, index_bytes: int | None = None
) -> CPSStream:
    """Encode maps as the authors' stream.

    Args:
        x: float32 ``[N, C, H, W]``, ``[C, H, W]`` (one image) or ``[H, W]`` (one map).
        kernel_size: an integer, or (Kh, Kw).
        stride: an integer, or (Sh, Sw).
        padding: an integer, or (above and below, left and right).
        index_bytes: 2 or 4 (the authors'); None uses the narrowest width that fits.

    Raises:
        InvalidInput: maps or sizes are invalid, or the positions do not fit in ``index_bytes``
            bytes.

    Example:
        >>> rows = [[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]
        >>> stream = encode_cps_stream(np.array(rows, np.float32), 3)
        >>> stream.indices.tolist()  # 12, 7: three values from row 0 of column 3
        [0, 2, 18, 19, 5, 12, 7]
    """
    maps = as_maps(x)
    geometry = Geometry(maps.shape, kernel_size, stride, padding)
    (n, c, h, w), (height, width) = geometry.shape, geometry.padded
    nonzeros = find_nonzeros(maps, geometry, "shared")
    block, bit = np.divmod(nonzeros.row, SET_ROWS)
    starts = run_starts(nonzeros.image, nonzeros.channel, nonzeros.column, block)
    counts = np.diff(np.append(starts, len(bit)))
    number = np.arange(len(bit)) - np.repeat(starts, counts)  # of a value within its set
    coded = np.repeat(counts > 2, counts)
    index = (nonzeros.channel * width + nonzeros.column) * height + nonzeros.row
    mask = np.repeat(np.bitwise_or.reduceat(1 << bit, starts), counts)
    index = np.where(coded, np.where(number == 0, index - bit, mask), index)
    largest = max(c * width * height, CODED_MASKS[-1] + 1)
    index_type = unsigned_type(largest, index_bytes, "positions")
    indices = index[~coded | (number < 2)].astype(index_type)
    rows = bucket_pointers(nonzeros.image, nonzeros.column, n, geometry, False, c * h * w)
    return CPSStream(geometry, nonzeros.values, indices, rows)
