"""Stored values with their positions, a view of all sparse formats, and their convolution."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.geometry import Geometry


class Entries(NamedTuple):
    """L stored values and their positions; all arrays ``[L]``.

    ``row`` counts in the padded map and ``column`` in the window (0 … Kw − 1). ``further`` is the
    number of windows to the right that read the value too, although it is stored only once.
    """

    values: np.ndarray
    image: np.ndarray
    channel: np.ndarray
    row: np.ndarray
    window: np.ndarray
    column: np.ndarray
    further: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class SparseEncoding(Encoding):
    """An encoding that stores non-zero values and recovers the position of each from its arrays."""

    @abstractmethod
    def entries(self) -> Entries:
        """Return every stored value and its position, computed from the arrays alone."""

    def decode(self) -> np.ndarray:
        """Return the maps, ``[N, C, H, W]``, with zero in columns that no window reads."""
        g, entries = self.geometry, self.entries()
        padded = np.zeros((*g.shape[:2], *g.padded), np.float32)
        column = entries.window * g.stride[1] + entries.column
        padded[entries.image, entries.channel, entries.row, column] = entries.values
        return g.crop(padded)

    def _product(self, weight: np.ndarray) -> np.ndarray:
        return convolve_entries(self.entries(), self.geometry, weight)


def convolve_entries(entries: Entries, geometry: Geometry, weight: np.ndarray) -> np.ndarray:
    """Multiply every stored value into the outputs that read it, float64 ``[N, K, Oh, Ow]``.

    The outer loop runs over kernel rows l: map row i contributes to output row (i − l) / Sh if that
    is an integer inside the output. The inner loop runs over windows u = 0 … ``further``: kernel
    column ``column − u·Sw`` contributes to output column ``window + u``.

    Source: our reading of CPO's convolution (arXiv 2104.08314), for any stride; CSCC is the case
    ``further = 0``.
    """
    (kh, kw), (sh, sw), (oh, ow) = geometry.kernel, geometry.stride, geometry.output
    values = entries.values.astype(np.float64)
    filters = weight.reshape(len(weight), -1).astype(np.float64)
    out = np.zeros((len(weight), geometry.shape[0] * oh * ow))
    for line in range(kh):
        y, remainder = np.divmod(entries.row - line, sh)
        read = (remainder == 0) & (y >= 0) & (y < oh)
        for u in range(int(entries.further.max(initial=0)) + 1):
            index = np.flatnonzero(read & (entries.further >= u))
            pixel = (entries.image[index] * oh + y[index]) * ow + entries.window[index] + u
            tap = (entries.channel[index] * kh + line) * kw + entries.column[index] - u * sw
            for k, taps in enumerate(filters):
                out[k] += np.bincount(pixel, values[index] * taps[tap], out.shape[1])
    return out.reshape(len(weight), geometry.shape[0], oh, ow).transpose(1, 0, 2, 3)
