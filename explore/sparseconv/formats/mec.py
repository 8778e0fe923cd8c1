"""MEC: every window is written once, in full height; an output row is a product with a slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.geometry import Geometry


@dataclass(frozen=True, eq=False, repr=False)
class MEC(Encoding):
    """MEC's lowered matrix, zeros included.

    Columns that several windows read are repeated in several rows. Nothing is repeated vertically.

    Attributes:
        lowered: float32 ``[N, Ow, Hp·Kw·C]``; a row is a window, its entries are (map row, kernel
            column, channel).

    Source: Cho and Brand, "MEC: memory-efficient convolution", ICML 2017, algorithm 2;
    N·C·Kw·Hp·Ow elements.
    """

    name: ClassVar[str] = "mec"
    lowered: np.ndarray

    def decode(self) -> np.ndarray:
        """Return the maps, ``[N, C, H, W]``, with zero in columns that no window reads."""
        g = self.geometry
        (n, c), (height, width), ow = g.shape[:2], g.padded, g.output[1]
        padded = np.zeros((n, width, height, c), np.float32)
        windows = self.lowered.reshape(n, ow, height, g.kernel[1], c)
        padded[:, g.window_columns] = windows.transpose(0, 1, 3, 2, 4)
        return g.crop(padded.transpose(0, 3, 2, 1))

    def _product(self, weight: np.ndarray) -> np.ndarray:
        g = self.geometry
        row_size = g.kernel[1] * g.shape[1]
        # [(kernel row, kernel column, channel), K]
        filters = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
        out = np.empty((g.shape[0], len(weight), *g.output), np.float32)
        for y in range(g.output[0]):
            start = y * g.stride[0] * row_size
            # A view: as in the paper, the slice is not copied.
            rows = self.lowered[:, :, start : start + g.kernel[0] * row_size]
            out[:, :, y] = (rows @ filters).transpose(0, 2, 1)
        return out


def encode_mec(x: np.ndarray, geometry: Geometry) -> MEC:
    """Encode checked maps ``[N, C, H, W]`` as MEC's lowered matrix.

    Example:
        >>> x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
        >>> encode_mec(x, Geometry(x.shape, 2)).lowered
        array([[[0., 1., 3., 4.],
                [1., 2., 4., 5.]]], dtype=float32)
    """
    windows = sliding_window_view(geometry.pad(x), geometry.kernel[1], 3)  # a view
    windows = windows[:, :, :, :: geometry.stride[1]].transpose(0, 3, 2, 4, 1)
    return MEC(geometry, windows.reshape(len(x), geometry.output[1], -1))
