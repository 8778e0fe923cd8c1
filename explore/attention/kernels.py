"""Numba: instance norm, ReLU, attention sums and average pooling in one pass over a convolution's output."""

from __future__ import annotations

import numba
import numpy as np

ZERO, QUARTER = np.float32(0), np.float32(0.25)


@numba.njit(fastmath=True, inline="always")
def _raised(value, power):  # type: ignore[no-untyped-def]
    if power == np.float32(4):
        square = value * value
        return square * square
    if power == np.float32(1):
        return value
    if power == np.float32(2):
        return value * value
    return value**power


@numba.njit(fastmath=True, nogil=True, cache=True)
def _one_channel(f, scale, shift, pooled, by_pixel, power):  # type: ignore[no-untyped-def]
    """Norm, ReLU, pooling and spatial sums of one channel ``f [H, W]``; overwrites ``f`` with what was pooled."""
    height, width = f.shape
    for y in range(0, height, 2):
        for x in range(width):
            upper = max(f[y, x] * scale + shift, ZERO)
            lower = max(f[y + 1, x] * scale + shift, ZERO)
            f[y, x] = upper
            f[y + 1, x] = lower
            if power > ZERO:
                by_pixel[y, x] += _raised(upper, power)
                by_pixel[y + 1, x] += _raised(lower, power)
        for x in range(width // 2):
            pooled[y // 2, x] = QUARTER * (f[y, 2 * x] + f[y, 2 * x + 1] + f[y + 1, 2 * x] + f[y + 1, 2 * x + 1])


@numba.njit(fastmath=True, nogil=True, cache=True, parallel=True)
def norm_relu_sums_pool(f, weight, bias, pooled, by_pixel, by_channel, eps, spatial, channel):  # type: ignore[no-untyped-def]
    """Over images ``f [N, C, H, W]`` (H and W even; overwritten): ``pooled [N, C, H/2, W/2]`` is set,
    ``by_pixel [N, H, W]`` and ``by_channel [N, C]`` are added to; a power of 0 leaves that sum out.

    Mean and variance are two passes over a channel, which is in the first-level cache by then.
    """
    images, channels, height, width = f.shape
    pixels = np.float32(height * width)
    for n in numba.prange(images):
        for c in range(channels):
            plane = f[n, c]
            total = ZERO
            for y in range(height):
                for x in range(width):
                    total += plane[y, x]
            mean = total / pixels
            spread = ZERO
            for y in range(height):
                for x in range(width):
                    spread += (plane[y, x] - mean) * (plane[y, x] - mean)
            scale = weight[c] / np.sqrt(spread / pixels + eps)
            _one_channel(plane, scale, bias[c] - mean * scale, pooled[n, c], by_pixel[n], spatial)
            if channel > ZERO:
                total = ZERO
                for y in range(height):
                    for x in range(width):
                        total += _raised(plane[y, x], channel)
                by_channel[n, c] = total
