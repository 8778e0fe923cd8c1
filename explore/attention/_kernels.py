"""Numba: instance norm, ReLU, attention sums and average pooling in one visit to a convolution's output, channels last."""

from __future__ import annotations

import numba
import numpy as np

ZERO, QUARTER = np.float32(0), np.float32(0.25)


@numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def _scale_and_shift(f, weight, bias, eps, scale, shift):  # type: ignore[no-untyped-def]
    """Set ``scale`` and ``shift`` ``[C]`` so that ``f · scale + shift`` is the instance norm of ``f [P, C]``.

    Mean and variance take a pass each, for one pass would cancel digits.
    """
    pixels, channels = f.shape
    count = np.float32(pixels)
    scale[:] = ZERO
    shift[:] = ZERO
    for p in range(pixels):
        for c in range(channels):
            shift[c] += f[p, c]
    for c in range(channels):
        shift[c] /= count
    for p in range(pixels):
        for c in range(channels):
            difference = f[p, c] - shift[c]
            scale[c] += difference * difference
    for c in range(channels):
        scale[c] = weight[c] / np.sqrt(scale[c] / count + eps)
        shift[c] = bias[c] - shift[c] * scale[c]


@numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def _sum_of_powers(values, power):  # type: ignore[no-untyped-def]
    """``Σ values ** power`` of values ≥ 0."""
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


@numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def _add_powers(values, sums, power):  # type: ignore[no-untyped-def]
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


@numba.njit(fastmath=True, nogil=True, cache=True, parallel=True, error_model="numpy")
def norm_relu_sums_pool(f, weight, bias, pooled, by_pixel, by_channel, eps, spatial, channel):  # type: ignore[no-untyped-def]
    """Over images ``f [N, H, W, C]`` (H and W even; overwritten): ``pooled [N, H/2, W/2, C]`` is set,
    ``by_pixel [N, H, W]`` set and ``by_channel [N, C]`` added to; a power of 0 leaves that sum out.

    Every loop runs over the channels of one pixel: short, contiguous, and vectorised by the compiler.
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
