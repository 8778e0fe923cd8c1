"""im2col: every patch that the kernel reads is a row of a matrix; convolution is one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.geometry import Geometry


@dataclass(frozen=True, eq=False, repr=False)
class Im2col(Encoding):
    """The im2col matrix, zeros included.

    Attributes:
        matrix: float32 ``[N, Oh·Ow, C·Kh·Kw]``; a row is an output pixel, a column is (channel,
            kernel row, kernel column).

    Source: Chellapilla et al., 2006; N·C·Kh·Kw·Oh·Ow elements.
    """

    name: ClassVar[str] = "im2col"
    matrix: np.ndarray

    def decode(self) -> np.ndarray:
        """Return the maps, ``[N, C, H, W]``, with zero where no patch reaches."""
        g = self.geometry
        flat = np.zeros((g.shape[0], g.shape[1] * g.padded[0] * g.padded[1]), np.float32)
        flat[:, g.im2col_indices()] = self.matrix
        return g.crop(flat.reshape(*g.shape[:2], *g.padded))

    def _product(self, weight: np.ndarray) -> np.ndarray:
        out = self.matrix @ weight.reshape(len(weight), -1).T  # [N, Oh·Ow, K]
        shape = (self.geometry.shape[0], len(weight), *self.geometry.output)
        return np.moveaxis(out, 2, 1).reshape(shape)


def encode_im2col(x: np.ndarray, geometry: Geometry) -> Im2col:
    """Encode checked maps ``[N, C, H, W]`` as an im2col matrix.

    Example:
        >>> x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
        >>> encode_im2col(x, Geometry(x.shape, 2)).matrix
        array([[[0., 1., 3., 4.],
                [1., 2., 4., 5.]]], dtype=float32)
    """
    (sh, sw), (oh, ow) = geometry.stride, geometry.output
    patches = sliding_window_view(geometry.pad(x), geometry.kernel, (2, 3))  # a view
    patches = patches[:, :, ::sh, ::sw].transpose(0, 2, 3, 1, 4, 5)  # [N, Oh, Ow, C, Kh, Kw]
    return Im2col(geometry, patches.reshape(len(x), oh * ow, -1))
