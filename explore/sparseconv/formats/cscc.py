"""CSCC: the non-zero entries of MEC's lowered matrix in compressed rows, built without building that matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from explore.sparseconv.formats.base import Encoding, unsigned_type
from explore.sparseconv.formats.entries import Entries, convolve_entries, restore
from explore.sparseconv.formats.geometry import Geometry


@dataclass(frozen=True, eq=False, repr=False)
class CSCC(Encoding):
    """Window by window, the values that it reads: a value in m windows is stored m times.

    Attributes:
        values: float32 ``[L]`` (the paper's DA); by image, window, channel, row, column.
        indices: ``[L]`` (IN), ``(c·Hp + i)·Kw + column in the window``; 2 bytes each where C·Hp·Kw ≤ 65,536, else 4.
        pointers: ``[N, Ow + 1]`` (Ptr): window s of an image holds entries ``pointers[s] … pointers[s + 1] − 1`` of it.

    Source: Fan et al., "CSCC: convolution split compression calculation", IEEE Access 2019; channels are concatenated along
    the row, which is our reading. N(Ow + 1) + 2L elements.
    """

    name: ClassVar[str] = "cscc"
    values: np.ndarray
    indices: np.ndarray
    pointers: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """``values``, ``indices``, ``pointers``."""
        return {"values": self.values, "indices": self.indices, "pointers": self.pointers}

    @property
    def elements(self) -> int:
        """N(Ow + 1) + 2L."""
        return self.values.size + self.indices.size + self.pointers.size

    def entries(self) -> Entries:
        """Every stored value and its place, from the three arrays alone."""
        n, ow = self.geometry.shape[0], self.geometry.output[1]
        running = self.pointers.astype(np.int64)
        held = (running[:, 1:] - running[:, :-1]).ravel()
        image, window = (np.repeat(part, held) for part in np.divmod(np.arange(n * ow), ow))
        line, column = np.divmod(self.indices.astype(np.int64), self.geometry.kernel[1])
        channel, row = np.divmod(line, self.geometry.padded[0])
        return Entries(self.values, image, channel, row, window, column, np.zeros_like(window))

    def decode(self) -> np.ndarray:
        """The maps again, ``[N, C, H, W]``, zero in columns that no window reads."""
        return restore(self.entries(), self.geometry)

    def _product(self, weight: np.ndarray) -> np.ndarray:
        return convolve_entries(self.entries(), self.geometry, weight)


def encode_cscc(x: np.ndarray, geometry: Geometry, index_bytes: int | None = None) -> CSCC:
    """Checked maps ``[N, C, H, W]`` in CSCC.

    Args:
        x: the maps.
        geometry: of the convolution.
        index_bytes: 2 or 4; None takes the narrowest that fits.

    Raises:
        InvalidInput: indices do not fit in so many bytes.

    Example:
        >>> x = np.array([[[[0, 7, 0], [0, 0, 8]]]], np.float32)
        >>> found = encode_cscc(x, Geometry(x.shape, 2))
        >>> found.values.tolist(), found.indices.tolist(), found.pointers.tolist()
        ([7.0, 7.0, 8.0], [1, 0, 3], [[0, 1, 3]])
    """
    (n, c), (tall, _), (_, kw), ow = (
        geometry.shape[:2],
        geometry.padded,
        geometry.kernel,
        geometry.output[1],
    )
    kind = unsigned_type(c * tall * kw, index_bytes)
    image, channel, row, column = np.nonzero(x)
    column = column + geometry.padding[1]
    times = geometry.windows[column]
    which = np.repeat(np.arange(len(image)), times)  # the value that each entry repeats
    u = np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times)
    window = geometry.owner[column[which]] + u
    local = column[which] - window * geometry.stride[1]
    index = (channel[which] * tall + row[which] + geometry.padding[0]) * kw + local
    at = np.lexsort((index, window, image[which]))
    held = np.bincount(image[which] * ow + window, minlength=n * ow).reshape(n, ow)
    pointers = np.pad(np.cumsum(held, axis=1), ((0, 0), (1, 0))).astype(
        unsigned_type(c * geometry.shape[2] * kw * ow + 1)
    )
    values = x[image, channel, row, column - geometry.padding[1]][which[at]]
    return CSCC(geometry, values, index[at].astype(kind), pointers)
