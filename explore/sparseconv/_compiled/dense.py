"""Compiled im2col and MEC: the same matrices as the plain encoders write, from all cores, and BLAS for the products."""

from __future__ import annotations

import numba
import numpy as np

from explore._parallel.thread_pool import shared
from explore.sparseconv._compiled.blas import multiply_parts
from explore.sparseconv._compiled.encoders import flat
from explore.sparseconv.formats.base import Product
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import Im2col
from explore.sparseconv.formats.mec import MEC


@numba.njit(nogil=True, cache=True, error_model="numpy")
def write_patches(flat, strides, sizes, first, step, out):  # type: ignore[no-untyped-def]
    """Set ``out [N, C, Kh, Kw, Oh, Ow]``, flat, to what each tap of the kernel meets."""
    images, channels, rows, columns, kh, kw, sh, sw, above, left, oh, ow = sizes
    by_image, by_channel, by_row, by_column = strides
    for task in range(first, images * channels * kh, step):
        n, c, line = task // (channels * kh), task // kh % channels, task % kh
        for tap in range(kw):
            low = min(
                ow, max(0, -((tap - left) // sw))
            )  # the first output column that does not meet padding at the left
            high = max(low, min(ow, (columns + left - tap - 1) // sw + 1))
            for y in range(oh):
                to = out[((task * kw + tap) * oh + y) * ow :][:ow]
                i = y * sh + line - above
                if i < 0 or i >= rows:
                    to[:] = np.float32(0)
                    continue
                source = n * by_image + c * by_channel + i * by_row + (tap - left) * by_column
                to[:low] = np.float32(0)
                to[high:] = np.float32(0)
                if sw * by_column == 1:  # vectors
                    to[low:high] = flat[source + low : source + high]
                else:
                    for x in range(low, high):
                        to[x] = flat[np.uintp(source + x * sw * by_column)]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def write_windows(flat, strides, sizes, first, step, out):  # type: ignore[no-untyped-def]
    """Set ``out [N, Ow, Hp, Kw, C]``, flat, to what each window holds."""
    images, channels, rows, columns, kw, sw, above, left, tall, ow = sizes
    by_image, by_channel, by_row, by_column = strides
    line = np.zeros((columns + 2 * left, channels), np.float32)  # a row of the padded maps
    wide = kw * channels
    for task in range(first, images * tall, step):
        n, i = task // tall, task % tall - above
        inside = 0 <= i < rows
        if inside:
            corner = n * by_image + i * by_row
            for c0 in range(0, channels, 16):
                for j in range(columns):
                    for c in range(c0, min(channels, c0 + 16)):
                        line[left + j, c] = flat[np.uintp(corner + c * by_channel + j * by_column)]
        pixels = line.reshape(-1)
        for s in range(ow):
            to = out[((n * ow + s) * tall + i + above) * wide :][:wide]
            if inside:
                to[:] = pixels[s * sw * channels :][:wide]
            else:
                to[:] = np.float32(0)


def compiled_im2col(x: np.ndarray, geometry: Geometry, product: Product | None = None) -> Im2col:
    """What ``encode_im2col`` makes, compiled; in memory a row is what one tap meets, which is faster to write."""
    (n, c, _, _), (oh, ow), maps = geometry.shape, geometry.output, flat(x)
    out = np.empty(geometry.im2col_elements, np.float32)
    sizes = (*geometry.shape, *geometry.kernel, *geometry.stride, *geometry.padding, oh, ow)
    shared(out.size // 4, write_patches, maps.memory, maps[2:], sizes, out=out)
    rows = out.reshape(n, c * geometry.kernel[0] * geometry.kernel[1], oh * ow)
    rows.flags.writeable = False
    return Im2col(geometry, rows.transpose(0, 2, 1), product=product)


def im2col_product(
    encoding: Im2col, weight: np.ndarray, bias: np.ndarray, last: bool = False
) -> np.ndarray:
    """The im2col matrix times the weights ``[K, C, Kh, Kw]``."""
    (oh, ow), filters = encoding.geometry.output, weight.reshape(len(weight), -1)
    by_tap = encoding.matrix.transpose(0, 2, 1)[:, None]  # [N, 1, C·Kh·Kw, Oh·Ow]
    out = room(len(encoding.matrix), len(weight), oh, ow, last)
    flat_out = (
        out.transpose(0, 2, 3, 1).reshape(len(out), -1, len(weight))
        if last
        else out.reshape(*out.shape[:2], -1)
    )
    multiply_parts(
        filters, by_tap, (flat_out.swapaxes(1, 2) if last else flat_out)[:, None]
    )  # a view of out
    out += bias[:, None, None]
    return out


def compiled_mec(x: np.ndarray, geometry: Geometry, product: Product | None = None) -> MEC:
    """What ``encode_mec`` makes, compiled."""
    maps, (tall, _), ow = flat(x), geometry.padded, geometry.output[1]
    out = np.empty(geometry.mec_elements, np.float32)
    sizes = (*geometry.shape, geometry.kernel[1], geometry.stride[1], *geometry.padding, tall, ow)
    shared(out.size // 4, write_windows, maps.memory, maps[2:], sizes, out=out)
    return MEC(geometry, out.reshape(geometry.shape[0], ow, -1), product=product)


def mec_product(
    encoding: MEC, weight: np.ndarray, bias: np.ndarray, last: bool = False
) -> np.ndarray:
    """Each output row as a product of weights ``[K, C, Kh, Kw]`` with a part of the lowered matrix, which is not copied."""
    g = encoding.geometry
    (oh, ow), row = g.output, g.kernel[1] * g.shape[1]
    lowered = encoding.lowered
    by_image, by_window, by_entry = lowered.strides
    shape, strides = (
        (g.shape[0], oh, ow, g.kernel[0] * row),
        (by_image, g.stride[0] * row * by_entry, by_window, by_entry),
    )
    parts = np.lib.stride_tricks.as_strided(lowered, shape, strides, writeable=False)
    filters = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(len(weight), -1)
    out = room(g.shape[0], len(weight), oh, ow, last)
    multiply_parts(filters, parts.transpose(0, 1, 3, 2), out.transpose(0, 2, 1, 3))
    out += bias[:, None, None]
    return out


def room(images: int, filters: int, tall: int, wide: int, last: bool) -> np.ndarray:
    """An output ``[N, K, Oh, Ow]``, not set; with ``last`` the filters of a pixel lie next to one another in memory."""
    if last:
        return np.empty((images, tall, wide, filters), np.float32).transpose(0, 3, 1, 2)
    return np.empty((images, filters, tall, wide), np.float32)
