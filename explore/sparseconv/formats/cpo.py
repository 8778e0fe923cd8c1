"""CPO: every value is stored once, by the first window that reads it and the number of windows."""

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


@dataclass(frozen=True, eq=False, repr=False)
class CPO(SparseEncoding):
    """Compressed Pattern Overlap.

    A group is an image if channels share pointers, else a map (one channel of an image) that is
    not empty.

    Attributes:
        values: float32 ``[L]`` (the paper's DA), by group, class, owner, column, channel, row.
        indices: ``[L]`` (IN), ``i·Kw + column in the owner window``, plus ``c·Hp·Kw`` if channels
            share pointers; 2 bytes each if the range is at most 65,536, else 4.
        pointers: (Ptr) one array a class, ``[groups, Ow + 1]`` running counts that begin at 0 in
            each class: bucket s of a class holds its entries
            ``pointers[t][group, s] … pointers[t][group, s + 1] − 1``. If trimmed, the first array
            is ``[groups, 3]``.
        maps: the index of each group among the N·C maps, ``[groups]``; None if channels share
            pointers.

    Source: CPO (arXiv 2104.08314) in our reading; the order by channel within a bucket and the list
    of maps are ours. The papers' count: N·n(Ow + 1) + 2L elements with shared pointers.
    """

    name: ClassVar[str] = "cpo"
    values: np.ndarray
    indices: np.ndarray
    pointers: tuple[np.ndarray, ...]
    maps: np.ndarray | None

    def entries(self) -> Entries:
        """Return every stored value and its position, computed from the arrays alone."""
        g = self.geometry
        group, overlap, owner = entry_buckets(self.pointers, g)
        line, column = np.divmod(self.indices.astype(np.int64), g.kernel[1])
        if self.maps is None:
            image, (channel, row) = group, np.divmod(line, g.padded[0])
        else:
            (image, channel), row = np.divmod(self.maps.astype(np.int64)[group], g.shape[1]), line
        return Entries(self.values, image, channel, row, owner, column, overlap)


def encode_cpo(
    x: np.ndarray,
    geometry: Geometry,
    pointers: str = "shared",
    trim: bool = False,
    index_bytes: int | None = None,
) -> CPO:
    """Encode checked maps ``[N, C, H, W]`` in CPO.

    Args:
        x: the maps.
        geometry: of the convolution.
        pointers: "shared": one set for all channels of an image, as in the authors' count;
            "per-channel": one for each channel that has values.
        trim: store three pointers of class 0 if the stride is 1, as the authors' fastest program.
        index_bytes: 2 or 4; None uses the narrowest width that fits.

    Raises:
        UnknownName: ``pointers`` is unknown.
        InvalidInput: the indices do not fit in ``index_bytes`` bytes.

    Example:
        >>> rows = [[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]
        >>> x = np.array([[rows]], np.float32)
        >>> encoding = encode_cpo(x, Geometry(x.shape, 3))
        >>> encoding
        CPO(1×1×4×5 in 28 elements, 72 bytes)
        >>> encoding.values.astype(int).tolist(), encoding.indices.tolist()
        ([1, 3, 7, 8, 2, 4, 5, 6], [0, 6, 8, 11, 4, 2, 5, 8])
        >>> [row.tolist() for row in encoding.pointers]
        [[[0, 2, 2, 4]], [[0, 1, 4, 4]], [[0, 0, 0, 0]]]
    """
    (n, c, h, w), map_size = geometry.shape, geometry.padded[0] * geometry.kernel[1]
    nonzeros = find_nonzeros(x, geometry, pointers)
    local = nonzeros.column - geometry.owner[nonzeros.column] * geometry.stride[1]
    index = nonzeros.row * geometry.kernel[1] + local
    maps = None
    if pointers == "shared":
        index_type, most = unsigned_type(c * map_size, index_bytes), c * h * w
        groups, group = n, nonzeros.image
        index += nonzeros.channel * map_size
    else:
        index_type, most = unsigned_type(map_size, index_bytes), h * w
        maps, group = group_maps(nonzeros.image, nonzeros.channel, geometry)
        groups = len(maps)
    rows = bucket_pointers(group, nonzeros.column, groups, geometry, trim, most)
    return CPO(geometry, nonzeros.values, index.astype(index_type), rows, maps)
