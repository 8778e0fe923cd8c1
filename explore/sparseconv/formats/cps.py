"""CPS: CPO with one index word for four rows of a column and one bit for each value among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import unsigned_type
from explore.sparseconv.formats.entries import Entries, SparseEncoding
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import (
    bucket_pointers,
    entry_buckets,
    find_nonzeros,
    group_maps,
)

SET_ROWS = 4
"""Rows of a set."""


@dataclass(frozen=True, eq=False, repr=False)
class CPS(SparseEncoding):
    """Compressed Pattern Sets, in a code with exactly one reading.

    A column of a padded map is cut into G = ⌈Hp / 4⌉ sets of four rows (0–3, 4–7, …; the last may
    be shorter). A set with at least one value is one word, ``16·g + mask``: bit b of the mask
    stands for its row b.

    Attributes:
        values: float32 ``[L]``, in the order of CPO.
        words: ``[P]``. If channels share pointers, ``g = (r·C + c)·G + set``, where r is the
            position of the column in its bucket (0 unless two columns share class and owner).
            Otherwise ``g = column·G + set``, and class and owner follow from the column. 2 bytes
            each if g < 4,096, else 4.
        pointers: with shared pointers one array a class as in ``CPO``, counting words; otherwise
            one array ``[M + 1]``, where the words of each map begin.
        maps: the index of each map with words among the N·C maps, ``[M]``; None if channels share
            pointers.

    Source: the sets are those of CPS (arXiv 2104.08314) in our reading. Its own stream of indices
    is ambiguous (see ``encode_cps_stream``), so the word is ours.
    """

    name: ClassVar[str] = "cps"
    values: np.ndarray
    words: np.ndarray
    pointers: tuple[np.ndarray, ...]
    maps: np.ndarray | None

    def entries(self) -> Entries:
        """Return every stored value and its position, computed from the arrays alone."""
        g = self.geometry
        bits = self.words[:, None] >> np.arange(SET_ROWS, dtype=self.words.dtype) & 1
        word, row = np.nonzero(bits)
        line, number = np.divmod(self.words.astype(np.int64) >> SET_ROWS, _set_count(g))
        if self.maps is None:
            image, overlap, owner = entry_buckets(self.pointers, g)
            rank, channel = np.divmod(line, g.shape[1])
            # The column is the rank-th that has this class and this owner.
            key = (overlap + 1) * g.padded[1] + owner
            order = g.windows[g.order] * g.padded[1] + g.owner[g.order]
            column = g.order[np.searchsorted(order, key) + rank]
        else:
            column = line
            group = np.repeat(self.maps.astype(np.int64), np.diff(self.pointers[0].astype(int)))
            image, channel = np.divmod(group, g.shape[1])
            overlap, owner = g.windows[column] - 1, g.owner[column]
        local = column - owner * g.stride[1]
        row += number[word] * SET_ROWS
        image, channel, owner, local, overlap = (
            array[word] for array in (image, channel, owner, local, overlap)
        )
        return Entries(self.values, image, channel, row, owner, local, overlap)


def encode_cps(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
) -> CPS:
    """Encode checked maps ``[N, C, H, W]`` in CPS.

    Args:
        x: the maps.
        geometry: of the convolution.
        pointers: "shared": buckets as in CPO, one set of pointers for all channels; "per-channel":
            words that contain their column, and one pointer for each channel that has values.
        trim: as in ``encode_cpo``; it has an effect on shared pointers only.
        index_bytes: width of a word, 2 or 4; None uses the narrowest width that fits.

    Raises:
        UnknownName: ``pointers`` is unknown.
        InvalidInput: the words do not fit in ``index_bytes`` bytes.

    Example:
        >>> rows = [[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]
        >>> x = np.array([[rows]], np.float32)
        >>> encoding = encode_cps(x, Geometry(x.shape, 3), pointers="per-channel")
        >>> encoding.words.tolist()  # column 0 with rows 0 and 2: 16·0 + 0b0101
        [5, 76, 18, 55]
    """
    (n, c, _, w), sets = geometry.shape, _set_count(geometry)
    nonzeros = find_nonzeros(x, geometry, pointers)
    block, bit = np.divmod(nonzeros.row, SET_ROWS)
    if pointers == "shared":
        lines = (int(geometry.rank.max(initial=0)) + 1) * c
        line = geometry.rank[nonzeros.position] * c + nonzeros.channel
    else:
        lines, line = geometry.padded[1], nonzeros.column
    number = line * sets + block
    starts = run_starts(number, nonzeros.image, nonzeros.channel, nonzeros.column)
    mask = np.bitwise_or.reduceat(1 << bit, starts)
    word_type = unsigned_type(lines * sets << SET_ROWS, index_bytes, "words")
    words = (number[starts] << SET_ROWS | mask).astype(word_type)
    image, channel = nonzeros.image[starts], nonzeros.channel[starts]
    if pointers == "shared":
        column, most = nonzeros.column[starts], c * sets * w
        rows = bucket_pointers(image, column, n, geometry, trim, most)
        return CPS(geometry, nonzeros.values, words, rows, None)
    maps, group = group_maps(image, channel, geometry)
    begin = np.searchsorted(group, np.arange(len(maps) + 1))
    begin = begin.astype(unsigned_type(n * c * sets * w + 1))
    return CPS(geometry, nonzeros.values, words, (begin,), maps)


def run_starts(*keys: np.ndarray) -> np.ndarray:
    """Return where runs of equal keys begin, for ordered entries ``[L]``."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(new)


def _set_count(geometry: Geometry) -> int:
    """Sets of each column of the padded map."""
    return -(-geometry.padded[0] // SET_ROWS)
