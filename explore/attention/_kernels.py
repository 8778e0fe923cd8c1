"""Numba: instance norm, ReLU, attention sums and average pooling in one pass over a map.

Arrays have channels last. Every inner loop runs over the channels of one pixel: short, contiguous
and vectorised by the compiler.
"""

from __future__ import annotations

import numba
import numpy as np

from explore._parallel.compile import kernel
from explore.models._fused.moments import ZERO, sum_moments

QUARTER = np.float32(0.25)


@kernel(fastmath=True)
def _scale_and_shift(f, weight, bias, eps, scale, shift):
    """Set ``scale, shift [C]`` of the instance norm ``f · scale + shift`` of ``f [P, C]``."""
    pixels, channels = f.shape
    count = np.float32(pixels)
    sum_moments(f, shift, scale)
    for c in range(channels):
        scale[c] = weight[c] / np.sqrt(scale[c] / count + eps)
        shift[c] = bias[c] - shift[c] * scale[c]


@kernel(fastmath=True)
def _sum_of_powers(values, power):
    """Return ``Σ values ** power`` of values ≥ 0."""
    total = ZERO
    if power == np.float32(4):
        for c in range(len(values)):
            square = values[c] * values[c]
            total += square * square
    elif power == np.float32(2):
        for c in range(len(values)):
            total += values[c] * values[c]
    elif power == np.float32(1):
        for c in range(len(values)):
            total += values[c]
    else:
        for c in range(len(values)):
            total += values[c] ** power
    return total


@kernel(fastmath=True)
def _add_powers(values, sums, power):
    """Add ``values ** power`` (values ≥ 0) to ``sums``, element by element."""
    if power == np.float32(4):
        for c in range(len(values)):
            square = values[c] * values[c]
            sums[c] += square * square
    elif power == np.float32(2):
        for c in range(len(values)):
            sums[c] += values[c] * values[c]
    elif power == np.float32(1):
        for c in range(len(values)):
            sums[c] += values[c]
    else:
        for c in range(len(values)):
            sums[c] += values[c] ** power


@kernel(fastmath=True, parallel=True)
def norm_relu_sums_pool(f, weight, bias, pooled, by_pixel, by_channel, eps, spatial, channel):
    """Normalise, rectify, sum powers of and pool images ``f [N, H, W, C]`` (H and W even).

    Overwrites ``f``, sets ``pooled [N, H/2, W/2, C]`` and ``by_pixel [N, H, W]``, and adds to
    ``by_channel [N, C]``. A power of 0 leaves out that sum.
    """
    images, height, width, channels = f.shape
    for n in numba.prange(images):
        scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
        _scale_and_shift(f[n].reshape(height * width, channels), weight, bias, eps, scale, shift)
        pooled[n] = ZERO
        for y in range(height):
            for x in range(width):
                values, mean = f[n, y, x], pooled[n, y // 2, x // 2]
                for c in range(channels):
                    values[c] = max(values[c] * scale[c] + shift[c], ZERO)
                    mean[c] += QUARTER * values[c]
                if spatial > ZERO:
                    by_pixel[n, y, x] = _sum_of_powers(values, spatial)
                if channel > ZERO:
                    _add_powers(values, by_channel[n], channel)
