"""CPS: CPO whose indices are shared by neighbours: one word for four rows, with a bit for each value among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import Encoding, unsigned_type
from explore.sparseconv.formats.entries import Entries, convolve_entries, restore
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import fill, group_maps, nonzeros, places

SET_ROWS = 4
"""Rows of a set."""


@dataclass(frozen=True, eq=False, repr=False)
class CPS(Encoding):
    """Compressed Pattern Sets, in a code that can be read in one way only.

    A column of a padded map is cut into sets of four rows (0–3, 4–7, …, G = ⌈Hp / 4⌉ of them; the last may be shorter).
    A set with at least one value is one word, ``16·g + mask``: bit b of the mask stands for its row b.

    Attributes:
        values: float32 ``[L]``, in the order of CPO.
        words: ``[P]``. Where channels share pointers, ``g = (r·C + c)·G + set`` with r the place of the column in its bucket
            (0 unless two columns share class and owner); otherwise ``g = column·G + set``, from which class
            and owner follow. 2 bytes each where g < 4,096, else 4.
        pointers: with shared pointers one array a class as in ``CPO``, counting words; otherwise one array ``[M + 1]``, where
            the words of each map begin.
        maps: which of the N·C maps have words, ``[M]``; None where channels share pointers.

    Source: the sets are those of CPS (arXiv 2104.08314) in our reading; its own stream of indices is ambiguous
    (see ``encode_cps_stream``), so the word is ours.
    """

    name: ClassVar[str] = "cps"
    values: np.ndarray
    words: np.ndarray
    pointers: tuple[np.ndarray, ...]
    maps: np.ndarray | None

    def arrays(self) -> dict[str, np.ndarray]:
        """``values``, ``words``, ``pointers_1`` … ``pointers_n`` (or ``pointers_1`` alone), and ``maps``."""
        found = {"values": self.values, "words": self.words}
        found |= {f"pointers_{t + 1}": row for t, row in enumerate(self.pointers)}
        return found if self.maps is None else found | {"maps": self.maps}

    @property
    def elements(self) -> int:
        """L values, P words and the pointers."""
        return self.values.size + self.words.size + sum(row.size for row in self.pointers)

    def entries(self) -> Entries:
        """Every stored value and its place, from the arrays alone."""
        g = self.geometry
        word, row = np.nonzero(
            self.words[:, None] >> np.arange(SET_ROWS, dtype=self.words.dtype) & 1
        )
        number, high = self.words.astype(np.int64) >> SET_ROWS, -(-g.padded[0] // SET_ROWS)
        line, block = np.divmod(number, high)
        if self.maps is None:
            image, overlap, owner = places(self.pointers, g)
            rank, channel = np.divmod(line, g.shape[1])
            first = (overlap + 1) * g.padded[
                1
            ] + owner  # the column: the rank-th that has this class and owner
            order = g.windows[g.order] * g.padded[1] + g.owner[g.order]
            column = g.order[np.searchsorted(order, first) + rank]
        else:
            column = line
            begin = self.pointers[0].astype(np.int64)
            group = np.repeat(self.maps.astype(np.int64), begin[1:] - begin[:-1])
            image, channel = np.divmod(group, g.shape[1])
            overlap, owner = g.windows[column] - 1, g.owner[column]
        local = column - owner * g.stride[1]
        image, channel, owner, local, overlap = (
            part[word] for part in (image, channel, owner, local, overlap)
        )
        return Entries(
            self.values, image, channel, block[word] * SET_ROWS + row, owner, local, overlap
        )

    def decode(self) -> np.ndarray:
        """The maps again, ``[N, C, H, W]``, zero in columns that no window reads."""
        return restore(self.entries(), self.geometry)

    def _product(self, weight: np.ndarray) -> np.ndarray:
        return convolve_entries(self.entries(), self.geometry, weight)


def encode_cps(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
) -> CPS:
    """Checked maps ``[N, C, H, W]`` in CPS.

    Args:
        x: the maps.
        geometry: of the convolution.
        pointers: "shared": buckets as in CPO, one set of pointers for all channels; "per-channel": words that know
            their column, and one pointer for each channel that has values.
        trim: as in ``encode_cpo``; only for shared pointers.
        index_bytes: width of a word, 2 or 4; None takes the narrowest that fits.

    Raises:
        UnknownName: another kind of pointers.
        InvalidInput: words do not fit in so many bytes.

    Example:
        >>> x = np.array([[[[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]]], np.float32)
        >>> found = encode_cps(x, Geometry(x.shape, 3), pointers="per-channel")
        >>> found.words.tolist()  # column 0 with rows 0 and 2: 16·0 + 0b0101
        [5, 76, 18, 55]
    """
    (n, c, _, w), high = geometry.shape, -(-geometry.padded[0] // SET_ROWS)
    found = nonzeros(x, geometry, pointers)
    block, bit = np.divmod(found.row, SET_ROWS)
    if pointers == "shared":
        ranks = int(geometry.rank.max(initial=0)) + 1
        limit, line = ranks * c * high, geometry.rank[found.place] * c + found.channel
    else:
        limit, line = geometry.padded[1] * high, found.column
    number = line * high + block
    starts = set_starts(number, found.image, found.channel, found.column)
    mask = np.bitwise_or.reduceat(1 << bit, starts)
    words = (number[starts] << SET_ROWS | mask).astype(
        unsigned_type(limit << SET_ROWS, index_bytes, "words")
    )
    image, channel, column = (part[starts] for part in (found.image, found.channel, found.column))
    if pointers == "shared":
        return CPS(
            geometry,
            found.values,
            words,
            fill(image, column, n, geometry, trim, c * high * w),
            None,
        )
    maps, group = group_maps(image, channel, geometry)
    begin = np.searchsorted(group, np.arange(len(maps) + 1)).astype(
        unsigned_type(n * c * high * w + 1)
    )
    return CPS(geometry, found.values, words, (begin,), maps)


def set_starts(*keys: np.ndarray) -> np.ndarray:
    """Where runs of equal keys begin, of entries ``[L]`` in order."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(new)
