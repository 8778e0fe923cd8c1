"""Numba: instance norm, ReLU and average pooling in one pass over a convolution's output, and back.

Arrays have channels last. Every inner loop runs over the channels of one pixel: short, contiguous
and vectorised by the compiler. NaN and infinities pass through.
"""

from __future__ import annotations

import numba
import numpy as np

from explore._parallel.compile import kernel
from explore.models._fused.moments import ZERO, sum_moments

QUARTER, FLOAT_ONE = np.float32(0.25), np.float32(1)


@kernel(fastmath=True)
def _moments(f, eps, mean, inverse):
    """Set the mean and 1 / standard deviation ``[C]`` of each channel of ``f [P, C]``."""
    pixels, channels = f.shape
    count = np.float32(pixels)
    sum_moments(f, mean, inverse)
    for c in range(channels):
        inverse[c] = FLOAT_ONE / np.sqrt(inverse[c] / count + eps)


@kernel(fastmath=True, parallel=True)
def norm_relu_pool(f, weight, bias, eps, pooled, mean, inverse):
    """Normalise, rectify and pool images ``f [N, H, W, C]`` (H and W even).

    Sets ``pooled [N, H/2, W/2, C]``, ``mean [N, C]`` and ``inverse [N, C]`` (1 / standard
    deviation).
    """
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
                    a, b = scale[c], shift[c]
                    upper = max(p[c] * a + b, ZERO) + max(q[c] * a + b, ZERO)
                    lower = max(r[c] * a + b, ZERO) + max(s[c] * a + b, ZERO)
                    out[c] = QUARTER * (upper + lower)


@kernel(fastmath=True, parallel=True)
def norm_relu_pool_back(
    f, weight, bias, mean, inverse, grad_pooled, grad_f, grad_weight, grad_bias
):
    """Set the gradients by ``f``, and by weight and bias (``[N, C]``, not yet summed over images).

    With x = (f − mean)·inverse and g the gradient by the norm's output, the gradient by f is
    weight·inverse·(g − Σg/P − x·Σ(g·x)/P).
    """
    images, height, width, channels = f.shape
    count = np.float32(height * width)
    for n in numba.prange(images):
        scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
        # Σg and Σg·(f − mean), without the factor ¼ of the pooling.
        g_sum, gf_sum = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        for c in range(channels):
            scale[c] = weight[c] * inverse[n, c]
            shift[c] = bias[c] - mean[n, c] * scale[c]
        for y in range(height):
            for x in range(width):
                values, pooled, out = f[n, y, x], grad_pooled[n, y // 2, x // 2], grad_f[n, y, x]
                for c in range(channels):
                    g = pooled[c] if values[c] * scale[c] + shift[c] > ZERO else ZERO
                    out[c] = g
                    g_sum[c] += g
                    gf_sum[c] += g * (values[c] - mean[n, c])
        slope, offset = np.empty(channels, np.float32), np.empty(channels, np.float32)
        for c in range(channels):
            grad_bias[n, c] = QUARTER * g_sum[c]
            grad_weight[n, c] = QUARTER * gf_sum[c] * inverse[n, c]
            scale[c] *= QUARTER
            slope[c] = -scale[c] * gf_sum[c] * inverse[n, c] * inverse[n, c] / count
            offset[c] = -scale[c] * g_sum[c] / count - slope[c] * mean[n, c]
        for y in range(height):
            for x in range(width):
                values, out = f[n, y, x], grad_f[n, y, x]
                for c in range(channels):
                    out[c] = scale[c] * out[c] + slope[c] * values[c] + offset[c]
