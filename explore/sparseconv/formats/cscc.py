"""CSCC: the non-zero entries of MEC's lowered matrix in compressed rows, without that matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import unsigned_type
from explore.sparseconv.formats.entries import Entries, SparseEncoding
from explore.sparseconv.formats.geometry import Geometry


@dataclass(frozen=True, eq=False, repr=False)
class CSCC(SparseEncoding):
    """The values that each window reads: a value that m windows read is stored m times.

    Attributes:
        values: float32 ``[L]`` (the paper's DA); by image, window, channel, row, column.
        indices: ``[L]`` (IN), ``(c·Hp + i)·Kw + column in the window``; 2 bytes each if
            C·Hp·Kw ≤ 65,536, else 4.
        pointers: ``[N, Ow + 1]`` (Ptr): window s of an image holds its entries
            ``pointers[s] … pointers[s + 1] − 1``.

    Source: Fan et al., "CSCC: convolution split compression calculation", IEEE Access 2019;
    channels are concatenated along the row, which is our reading. N(Ow + 1) + 2L elements.
    """

    name: ClassVar[str] = "cscc"
    values: np.ndarray
    indices: np.ndarray
    pointers: np.ndarray

    def entries(self) -> Entries:
        """Return every stored value and its position, computed from the arrays alone."""
        n, ow = self.geometry.shape[0], self.geometry.output[1]
        ends = self.pointers.astype(np.int64)
        counts = (ends[:, 1:] - ends[:, :-1]).ravel()
        image, window = np.divmod(np.repeat(np.arange(n * ow), counts), ow)
        line, column = np.divmod(self.indices.astype(np.int64), self.geometry.kernel[1])
        channel, row = np.divmod(line, self.geometry.padded[0])
        return Entries(self.values, image, channel, row, window, column, np.zeros_like(window))


def encode_cscc(x: np.ndarray, geometry: Geometry, index_bytes: int | None = None) -> CSCC:
    """Encode checked maps ``[N, C, H, W]`` in CSCC.

    Args:
        x: the maps.
        geometry: of the convolution.
        index_bytes: 2 or 4; None uses the narrowest width that fits.

    Raises:
        InvalidInput: the indices do not fit in ``index_bytes`` bytes.

    Example:
        >>> x = np.array([[[[0, 7, 0], [0, 0, 8]]]], np.float32)
        >>> encoding = encode_cscc(x, Geometry(x.shape, 2))
        >>> encoding.values.tolist(), encoding.indices.tolist(), encoding.pointers.tolist()
        ([7.0, 7.0, 8.0], [1, 0, 3], [[0, 1, 3]])
    """
    (n, c, h, _), height = geometry.shape, geometry.padded[0]
    kw, ow = geometry.kernel[1], geometry.output[1]
    index_type = unsigned_type(c * height * kw, index_bytes)
    image, channel, row, column = np.nonzero(x)
    column = column + geometry.padding[1]
    copies = geometry.windows[column]
    source = np.repeat(np.arange(len(image)), copies)  # the non-zero that each entry copies
    copy = np.arange(len(source)) - np.repeat(np.cumsum(copies) - copies, copies)
    window = geometry.owner[column[source]] + copy
    local = column[source] - window * geometry.stride[1]
    index = (channel[source] * height + row[source] + geometry.padding[0]) * kw + local
    order = np.lexsort((index, window, image[source]))
    counts = np.bincount(image[source] * ow + window, minlength=n * ow).reshape(n, ow)
    pointers = np.zeros((n, ow + 1), unsigned_type(c * h * kw * ow + 1))
    pointers[:, 1:] = np.cumsum(counts, axis=1)
    values = x[image, channel, row, column - geometry.padding[1]][source[order]]
    return CSCC(geometry, values, index[order].astype(index_type), pointers)
