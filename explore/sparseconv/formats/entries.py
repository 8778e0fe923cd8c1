"""Entries: stored values with their places as a format spells them; how each one is replayed into the output."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from explore.sparseconv.formats.geometry import Geometry


class Entries(NamedTuple):
    """L stored values and where each belongs; all arrays ``[L]``.

    ``row`` is of the padded map, ``column`` of the window (0 … Kw − 1), and ``more`` says how many windows to the right
    read the value too, though it is stored for this one only.
    """

    values: np.ndarray
    image: np.ndarray
    channel: np.ndarray
    row: np.ndarray
    window: np.ndarray
    column: np.ndarray
    more: np.ndarray


def convolve_entries(entries: Entries, geometry: Geometry, weight: np.ndarray) -> np.ndarray:
    """Multiply every stored value into the outputs that read it, float64 ``[N, K, Oh, Ow]``.

    Vertical overlap is a loop over kernel rows l: row i serves output row (i − l) / Sh where that is whole and inside.
    Horizontal overlap is a loop over windows u = 0 … more: kernel column ``column − u·Sw`` serves output column ``window + u``.

    Source: our reading of CPO's convolution (arXiv 2104.08314), for any stride; CSCC is the case ``more = 0``.
    """
    (kh, kw), (sh, sw), (oh, ow) = geometry.kernel, geometry.stride, geometry.output
    values, filters = (
        entries.values.astype(np.float64),
        weight.reshape(len(weight), -1).astype(np.float64),
    )
    out = np.zeros((len(weight), geometry.shape[0] * oh * ow))
    for line in range(kh):
        y, beside = np.divmod(entries.row - line, sh)
        read = (beside == 0) & (y >= 0) & (y < oh)
        for u in range(int(entries.more.max(initial=0)) + 1):
            on = np.flatnonzero(read & (entries.more >= u))
            place = (entries.image[on] * oh + y[on]) * ow + entries.window[on] + u
            tap = (entries.channel[on] * kh + line) * kw + entries.column[on] - u * sw
            for k, taps in enumerate(filters):
                out[k] += np.bincount(place, values[on] * taps[tap], out.shape[1])
    return out.reshape(len(weight), geometry.shape[0], oh, ow).transpose(1, 0, 2, 3)


def restore(entries: Entries, geometry: Geometry) -> np.ndarray:
    """Put every stored value back in its map, float32 ``[N, C, H, W]``."""
    padded = np.zeros((*geometry.shape[:2], *geometry.padded), np.float32)
    column = entries.window * geometry.stride[1] + entries.column
    padded[entries.image, entries.channel, entries.row, column] = entries.values
    return geometry.crop(padded)
