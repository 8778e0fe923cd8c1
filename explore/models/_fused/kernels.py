"""Numba: instance norm, ReLU and average pooling in one visit to a convolution's output, channels last; and back."""

from __future__ import annotations

import numba
import numpy as np

ZERO, QUARTER, ONE = np.float32(0), np.float32(0.25), np.float32(1)

# Every inner loop runs over the channels of one pixel: short, contiguous, and vectorised by the compiler. Values that
# are no numbers must go through: error_model="numpy" divides as NumPy does.


@numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def _moments(f, eps, mean, inverse):  # type: ignore[no-untyped-def]
    """Set ``mean`` and ``inverse`` (1 / standard deviation) ``[C]`` of ``f [P, C]``; in two passes, for one cancels digits."""
    pixels, channels = f.shape
    count = np.float32(pixels)
    mean[:] = ZERO
    inverse[:] = ZERO
    for p in range(pixels):
        for c in range(channels):
            mean[c] += f[p, c]
    for c in range(channels):
        mean[c] /= count
    for p in range(pixels):
        for c in range(channels):
            difference = f[p, c] - mean[c]
            inverse[c] += difference * difference
    for c in range(channels):
        inverse[c] = ONE / np.sqrt(inverse[c] / count + eps)


@numba.njit(fastmath=True, nogil=True, cache=True, parallel=True, error_model="numpy")
def norm_relu_pool(f, weight, bias, eps, pooled, mean, inverse):  # type: ignore[no-untyped-def]
    """Of images ``f [N, H, W, C]`` (H and W even) set ``pooled [N, H/2, W/2, C]`` and the moments ``[N, C]``."""
    images, height, width, channels = f.shape
    for n in numba.prange(images):
        _moments(f[n].reshape(height * width, channels), eps, mean[n], inverse[n])
        scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
        for c in range(channels):
            scale[c] = weight[c] * inverse[n, c]
            shift[c] = bias[c] - mean[n, c] * scale[c]
        for y in range(height // 2):
            for x in range(width // 2):
                out = pooled[n, y, x]
                p, q = f[n, 2 * y, 2 * x], f[n, 2 * y, 2 * x + 1]
                r, s = f[n, 2 * y + 1, 2 * x], f[n, 2 * y + 1, 2 * x + 1]
                for c in range(channels):
                    upper = max(p[c] * scale[c] + shift[c], ZERO) + max(
                        q[c] * scale[c] + shift[c], ZERO
                    )
                    lower = max(r[c] * scale[c] + shift[c], ZERO) + max(
                        s[c] * scale[c] + shift[c], ZERO
                    )
                    out[c] = QUARTER * (upper + lower)


@numba.njit(fastmath=True, nogil=True, cache=True, parallel=True, error_model="numpy")
def norm_relu_pool_back(f, weight, bias, mean, inverse, by_pooled, by_f, by_weight, by_bias):  # type: ignore[no-untyped-def]
    """Gradients by ``f`` (set, like ``f``), weight and bias (set, ``[N, C]``, still to be summed), given that by ``pooled``.

    With x = (f − mean)·inverse and g the gradient by the norm's output: by f it is weight·inverse·(g − Σg/P − x·Σ(g·x)/P).
    """
    images, height, width, channels = f.shape
    count = np.float32(height * width)
    for n in numba.prange(images):
        scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
        total, along = (
            np.zeros(channels, np.float32),
            np.zeros(channels, np.float32),
        )  # Σg and Σg·(f − mean), but for the ¼
        for c in range(channels):
            scale[c] = weight[c] * inverse[n, c]
            shift[c] = bias[c] - mean[n, c] * scale[c]
        for y in range(height):
            for x in range(width):
                values, given, out = f[n, y, x], by_pooled[n, y // 2, x // 2], by_f[n, y, x]
                for c in range(channels):
                    passed = given[c] if values[c] * scale[c] + shift[c] > ZERO else ZERO
                    out[c] = passed
                    total[c] += passed
                    along[c] += passed * (values[c] - mean[n, c])
        slope, offset = np.empty(channels, np.float32), np.empty(channels, np.float32)
        for c in range(channels):
            by_bias[n, c] = QUARTER * total[c]
            by_weight[n, c] = QUARTER * along[c] * inverse[n, c]
            scale[c] *= QUARTER
            slope[c] = -scale[c] * along[c] * inverse[n, c] * inverse[n, c] / count
            offset[c] = -scale[c] * total[c] / count - slope[c] * mean[n, c]
        for y in range(height):
            for x in range(width):
                values, out = f[n, y, x], by_f[n, y, x]
                for c in range(channels):
                    out[c] = scale[c] * out[c] + slope[c] * values[c] + offset[c]
