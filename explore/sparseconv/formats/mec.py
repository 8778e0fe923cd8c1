"""MEC: every window written out once, in full height; each output row is a product with a slice of that matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.geometry import Geometry


@dataclass(frozen=True, eq=False, repr=False)
class MEC(Encoding):
    """MEC's lowered matrix, zeros included: rows repeat horizontally shared columns, but nothing vertically.

    Attributes:
        lowered: float32 ``[N, Ow, Hp·Kw·C]``; a row is a window, its entries (map row, kernel column, channel).

    Source: Cho and Brand, "MEC: memory-efficient convolution", ICML 2017, algorithm 2; N·C·Kw·Hp·Ow elements.
    """

    name: ClassVar[str] = "mec"
    lowered: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """``lowered``."""
        return {"lowered": self.lowered}

    @property
    def elements(self) -> int:
        """N·C·Kw·Hp·Ow."""
        return self.lowered.size

    def decode(self) -> np.ndarray:
        """The maps again, ``[N, C, H, W]``, zero in columns that no window reads."""
        g = self.geometry
        padded = np.zeros(
            (g.shape[0], g.padded[1], g.padded[0], g.shape[1]), np.float32
        )  # N, W, H, C
        windows = self.lowered.reshape(
            g.shape[0], g.output[1], g.padded[0], g.kernel[1], g.shape[1]
        )
        padded[:, g.window_columns] = windows.transpose(0, 1, 3, 2, 4)
        return g.crop(padded.transpose(0, 3, 2, 1))

    def _product(self, weight: np.ndarray) -> np.ndarray:
        g = self.geometry
        step = g.kernel[1] * g.shape[1]  # entries of one map row
        filters = weight.transpose(2, 3, 1, 0).reshape(
            -1, len(weight)
        )  # [(kernel row, kernel column, channel), K]
        out = np.empty((g.shape[0], len(weight), *g.output), np.float32)
        for y in range(g.output[0]):
            start = y * g.stride[0] * step
            part = self.lowered[
                :, :, start : start + g.kernel[0] * step
            ]  # a view: no copy, as the paper wants
            out[:, :, y] = (part @ filters).transpose(0, 2, 1)
        return out


def encode_mec(x: np.ndarray, geometry: Geometry) -> MEC:
    """Checked maps ``[N, C, H, W]`` as MEC's lowered matrix.

    Example:
        >>> x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
        >>> encode_mec(x, Geometry(x.shape, 2)).lowered
        array([[[0., 1., 3., 4.],
                [1., 2., 4., 5.]]], dtype=float32)
    """
    windows = sliding_window_view(geometry.pad(x), geometry.kernel[1], 3)[
        :, :, :, :: geometry.stride[1]
    ]  # [N, C, Hp, Ow, Kw]
    return MEC(geometry, windows.transpose(0, 3, 2, 4, 1).reshape(len(x), geometry.output[1], -1))
