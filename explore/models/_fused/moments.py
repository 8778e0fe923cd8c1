"""Numba: mean and variance of each channel of one image, which two fused kernels share."""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel

ZERO = np.float32(0)


@kernel(fastmath=True)
def sum_moments(f, mean, squares):
    """Set the mean and the sum of squared deviations ``[C]`` of each channel of ``f [P, C]``.

    In two passes, because one pass would cancel digits.
    """
    pixels, channels = f.shape
    count = np.float32(pixels)
    mean[:] = ZERO
    squares[:] = ZERO
    for p in range(pixels):
        for c in range(channels):
            mean[c] += f[p, c]
    for c in range(channels):
        mean[c] /= count
    for p in range(pixels):
        for c in range(channels):
            difference = f[p, c] - mean[c]
            squares[c] += difference * difference
