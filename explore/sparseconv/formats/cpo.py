"""CPO: every value stored once, under the first window that reads it and the number of windows that share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import Encoding, unsigned_type
from explore.sparseconv.formats.entries import Entries, convolve_entries, restore
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.pointers import fill, group_maps, nonzeros, places


@dataclass(frozen=True, eq=False, repr=False)
class CPO(Encoding):
    """Compressed Pattern Overlap.

    Attributes:
        values: float32 ``[L]`` (the paper's DA), by group, class, owner, column, channel, row. A group is an image where
            channels share pointers, else a map (one channel of an image) that is not empty.
        indices: ``[L]`` (IN), ``i·Kw + column in the owner window``, plus ``c·Hp·Kw`` where channels share pointers;
            2 bytes each where the range is at most 65,536, else 4.
        pointers: (Ptr) one array a class, ``[groups, Ow + 1]`` running counts that begin at 0 in each class: bucket s of
            a class is entries ``pointers[t][group, s] … pointers[t][group, s + 1] − 1`` of that class. Trimmed, the
            first is ``[groups, 3]``.
        maps: which of the N·C maps each group is, ``[groups]``; None where channels share pointers.

    Source: CPO (arXiv 2104.08314) in our reading; the order by channel within a bucket and the list of maps are ours.
    The papers' count: N·n(Ow + 1) + 2L elements with shared pointers; the list ``maps`` is in ``nbytes`` alone.
    """

    name: ClassVar[str] = "cpo"
    values: np.ndarray
    indices: np.ndarray
    pointers: tuple[np.ndarray, ...]
    maps: np.ndarray | None

    def arrays(self) -> dict[str, np.ndarray]:
        """``values``, ``indices``, ``pointers_1`` … ``pointers_n`` (by how many windows share a column), and ``maps``."""
        found = {"values": self.values, "indices": self.indices}
        found |= {f"pointers_{t + 1}": row for t, row in enumerate(self.pointers)}
        return found if self.maps is None else found | {"maps": self.maps}

    @property
    def elements(self) -> int:
        """2L and the pointers."""
        return 2 * self.values.size + sum(row.size for row in self.pointers)

    def entries(self) -> Entries:
        """Every stored value and its place, from the arrays alone."""
        g = self.geometry
        group, overlap, owner = places(self.pointers, g)
        line, column = np.divmod(self.indices.astype(np.int64), g.kernel[1])
        if self.maps is None:
            image, (channel, row) = group, np.divmod(line, g.padded[0])
        else:
            (image, channel), row = np.divmod(self.maps.astype(np.int64)[group], g.shape[1]), line
        return Entries(self.values, image, channel, row, owner, column, overlap)

    def decode(self) -> np.ndarray:
        """The maps again, ``[N, C, H, W]``, zero in columns that no window reads."""
        return restore(self.entries(), self.geometry)

    def _product(self, weight: np.ndarray) -> np.ndarray:
        return convolve_entries(self.entries(), self.geometry, weight)


def encode_cpo(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
) -> CPO:
    """Checked maps ``[N, C, H, W]`` in CPO.

    Args:
        x: the maps.
        geometry: of the convolution.
        pointers: "shared": one set for all channels of an image, as in the authors' count; "per-channel": one for
            each channel, and none for a channel without values.
        trim: store three pointers of class 0 with stride 1, as the authors' fastest program does.
        index_bytes: 2 or 4; None takes the narrowest that fits.

    Raises:
        UnknownName: another kind of pointers.
        InvalidInput: indices do not fit in so many bytes.

    Example:
        >>> x = np.array([[[[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]]], np.float32)
        >>> found = encode_cpo(x, Geometry(x.shape, 3))
        >>> found
        CPO(1×1×4×5 in 28 elements, 72 bytes)
        >>> found.values.astype(int).tolist(), found.indices.tolist()
        ([1, 3, 7, 8, 2, 4, 5, 6], [0, 6, 8, 11, 4, 2, 5, 8])
        >>> [row.tolist() for row in found.pointers]
        [[[0, 2, 2, 4]], [[0, 1, 4, 4]], [[0, 0, 0, 0]]]
    """
    (n, c, h, w), (tall, _), (_, kw) = geometry.shape, geometry.padded, geometry.kernel
    found = nonzeros(x, geometry, pointers)
    index = found.row * kw + found.column - geometry.owner[found.column] * geometry.stride[1]
    if pointers == "shared":
        kind, most, maps, groups, group = (
            unsigned_type(c * tall * kw, index_bytes),
            c * h * w,
            None,
            n,
            found.image,
        )
        index += found.channel * (tall * kw)
    else:
        kind, most = unsigned_type(tall * kw, index_bytes), h * w
        maps, group = group_maps(found.image, found.channel, geometry)
        groups = len(maps)
    rows = fill(group, found.column, groups, geometry, trim, most)
    return CPO(geometry, found.values, index.astype(kind), rows, maps)
