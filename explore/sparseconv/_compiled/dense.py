"""Compiled im2col and MEC: the matrices of the plain encoders, multiplied by BLAS."""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel
from explore._parallel.work_sharing import run_shared
from explore.sparseconv._compiled.blas import multiply_parts
from explore.sparseconv._compiled.encoders import flatten
from explore.sparseconv.formats.base import Product
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import Im2col
from explore.sparseconv.formats.mec import MEC


@kernel
def write_patches(maps, strides, sizes, first, step, out):
    """Set ``out [N, C, Kh, Kw, Oh, Ow]``, flat, to the map values that each kernel tap reads."""
    images, channels, rows, columns, kh, kw, sh, sw, above, left, oh, ow = sizes
    by_image, by_channel, by_row, by_column = strides
    for task in range(first, images * channels * kh, step):
        n, c, line = task // (channels * kh), task // kh % channels, task % kh
        for tap in range(kw):
            # The output columns from low to high read the map, the others read padding.
            low = min(ow, max(0, -((tap - left) // sw)))
            high = max(low, min(ow, (columns + left - tap - 1) // sw + 1))
            for y in range(oh):
                target = out[((task * kw + tap) * oh + y) * ow :][:ow]
                i = y * sh + line - above
                if i < 0 or i >= rows:
                    target[:] = np.float32(0)
                    continue
                source = n * by_image + c * by_channel + i * by_row + (tap - left) * by_column
                target[:low] = np.float32(0)
                target[high:] = np.float32(0)
                if sw * by_column == 1:  # by vectors
                    target[low:high] = maps[source + low : source + high]
                else:
                    for x in range(low, high):
                        target[x] = maps[np.uintp(source + x * sw * by_column)]


@kernel
def write_windows(maps, strides, sizes, first, step, out):
    """Set ``out [N, Ow, Hp, Kw, C]``, flat, to the map values of each window."""
    images, channels, rows, columns, kw, sw, above, left, padded_rows, ow = sizes
    by_image, by_channel, by_row, by_column = strides
    line = np.zeros((columns + 2 * left, channels), np.float32)  # a row of the padded maps
    row_size = kw * channels
    for task in range(first, images * padded_rows, step):
        n, i = task // padded_rows, task % padded_rows - above
        inside = 0 <= i < rows
        if inside:
            corner = n * by_image + i * by_row
            for c0 in range(0, channels, 16):
                for j in range(columns):
                    for c in range(c0, min(channels, c0 + 16)):
                        line[left + j, c] = maps[np.uintp(corner + c * by_channel + j * by_column)]
        pixels = line.reshape(-1)
        for s in range(ow):
            target = out[((n * ow + s) * padded_rows + i + above) * row_size :][:row_size]
            if inside:
                target[:] = pixels[s * sw * channels :][:row_size]
            else:
                target[:] = np.float32(0)


def compiled_im2col(x: np.ndarray, geometry: Geometry, product: Product | None = None) -> Im2col:
    """Encode maps as ``encode_im2col`` does, compiled.

    In memory a row holds what one tap reads, which is faster to write.
    """
    (n, c, _, _), (oh, ow), maps = geometry.shape, geometry.output, flatten(x)
    out = np.empty(geometry.im2col_elements, np.float32)
    sizes = (*geometry.shape, *geometry.kernel, *geometry.stride, *geometry.padding, oh, ow)
    run_shared(out.size // 4, write_patches, maps.memory, maps.strides, sizes, out=out)
    rows = out.reshape(n, c * geometry.kernel[0] * geometry.kernel[1], oh * ow)
    rows.flags.writeable = False
    return Im2col(geometry, rows.transpose(0, 2, 1), product=product)


def im2col_product(
    encoding: Im2col, weight: np.ndarray, bias: np.ndarray, last: bool = False
) -> np.ndarray:
    """Multiply the im2col matrix by weights ``[K, C, Kh, Kw]``."""
    (oh, ow), filters = encoding.geometry.output, weight.reshape(len(weight), -1)
    by_tap = encoding.matrix.transpose(0, 2, 1)[:, None]  # [N, 1, C·Kh·Kw, Oh·Ow]
    out = empty_output(len(encoding.matrix), len(weight), oh, ow, last)
    if last:
        pixels = out.transpose(0, 2, 3, 1).reshape(len(out), -1, len(weight)).swapaxes(1, 2)
    else:
        pixels = out.reshape(*out.shape[:2], -1)
    multiply_parts(filters, by_tap, pixels[:, None])  # a view of out
    out += bias[:, None, None]
    return out


def compiled_mec(x: np.ndarray, geometry: Geometry, product: Product | None = None) -> MEC:
    """Encode maps as ``encode_mec`` does, compiled."""
    maps, padded_rows, ow = flatten(x), geometry.padded[0], geometry.output[1]
    out = np.empty(geometry.mec_elements, np.float32)
    kernel_and_stride = (geometry.kernel[1], geometry.stride[1])
    sizes = (*geometry.shape, *kernel_and_stride, *geometry.padding, padded_rows, ow)
    run_shared(out.size // 4, write_windows, maps.memory, maps.strides, sizes, out=out)
    return MEC(geometry, out.reshape(geometry.shape[0], ow, -1), product=product)


def mec_product(
    encoding: MEC, weight: np.ndarray, bias: np.ndarray, last: bool = False
) -> np.ndarray:
    """Multiply weights ``[K, C, Kh, Kw]`` by a part of the lowered matrix for each output row.

    The parts are views, not copies.
    """
    g, lowered = encoding.geometry, encoding.lowered
    (oh, ow), row = g.output, g.kernel[1] * g.shape[1]
    by_image, by_window, by_entry = lowered.strides
    shape = (g.shape[0], oh, ow, g.kernel[0] * row)
    strides = (by_image, g.stride[0] * row * by_entry, by_window, by_entry)
    parts = np.lib.stride_tricks.as_strided(lowered, shape, strides, writeable=False)
    filters = np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(len(weight), -1)
    out = empty_output(g.shape[0], len(weight), oh, ow, last)
    multiply_parts(filters, parts.transpose(0, 1, 3, 2), out.transpose(0, 2, 1, 3))
    out += bias[:, None, None]
    return out


def empty_output(images: int, filters: int, oh: int, ow: int, last: bool) -> np.ndarray:
    """Return an output ``[N, K, Oh, Ow]``, not set, with channels last in memory if asked for."""
    if last:
        return np.empty((images, oh, ow, filters), np.float32).transpose(0, 3, 1, 2)
    return np.empty((images, filters, oh, ow), np.float32)
