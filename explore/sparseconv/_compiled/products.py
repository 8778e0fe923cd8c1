"""Compiled products: every format times the weights, in the order of its entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from explore._parallel.policy import kernel_threads
from explore._parallel.work_sharing import run_shared
from explore.core.validation import check_flag, describe
from explore.errors import InvalidInput
from explore.sparseconv._compiled import product_kernels as kernels
from explore.sparseconv._compiled.dense import im2col_product, mec_product
from explore.sparseconv._compiled.encoders import EMPTY
from explore.sparseconv._engine.convolution import BitmapConvolution
from explore.sparseconv._engine.simd import LANES, aligned_empty
from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.bitmap import Bitmap
from explore.sparseconv.formats.cpo import CPO
from explore.sparseconv.formats.cps import CPS, SET_ROWS
from explore.sparseconv.formats.cscc import CSCC
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import Im2col
from explore.sparseconv.formats.mec import MEC
from explore.sparseconv.formats.pointers import pointer_counts
from explore.sparseconv.formats.validation import as_bias, as_weight

TILE_SUMS = 24_000
"""Sums that the loops over entries work on at a time, at most.

A few more than the first cache holds, because what is done once for each entry weighs more.
"""

TASKS_PER_THREAD = 4
"""Tasks for each thread, if there is enough work: maps differ, and so does the work of a task."""


def multiply(encoding: Encoding, weight: Any, bias: Any = None, last: bool = False) -> np.ndarray:
    """Convolve encoded maps, compiled and on all cores.

    The sparse formats add in float32, in the order of their entries; NaN and infinities propagate.

    Args:
        encoding: from any encoder.
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        last: whether the result has channels last in memory.

    Returns:
        float32 ``[N, K, Oh, Ow]``.

    Raises:
        InvalidInput: weights or a bias that do not fit, or an encoding of another kind.

    Source: the loops of CSCC and CPO (arXiv 2104.08314) in our reading, with all filters of a
    block in the innermost loop.

    Example:
        >>> from explore.sparseconv import encode
        >>> x = np.eye(3, dtype=np.float32)
        >>> multiply(encode(x, 2), np.ones((1, 1, 2, 2), np.float32))
        array([[[[2., 1.],
                 [1., 2.]]]], dtype=float32)
    """
    if not isinstance(encoding, Encoding):
        raise InvalidInput(f"encoding must be one of explore.sparseconv, got {describe(encoding)}")
    last = check_flag("last", last)
    filters = as_weight(weight, encoding.geometry.shape[1], encoding.geometry.kernel)
    return product(encoding, filters, as_bias(bias, len(filters)), last)


def product(
    encoding: Encoding, weight: np.ndarray, bias: np.ndarray, last: bool = False
) -> np.ndarray:
    """Convolve encoded maps like ``multiply``, with validated weights and bias."""
    if isinstance(encoding, Im2col):
        return im2col_product(encoding, weight, bias, last)
    if isinstance(encoding, MEC):
        return mec_product(encoding, weight, bias, last)
    if isinstance(encoding, Bitmap):  # packed anew, in the blocks that suit these weights
        g, x = encoding.geometry, np.ascontiguousarray(encoding.decode().transpose(0, 2, 3, 1))
        outputs = BitmapConvolution(weight, bias, g.stride, g.padding)(x).transpose(0, 3, 1, 2)
        return outputs if last else np.ascontiguousarray(outputs)
    if isinstance(encoding, CSCC | CPO | CPS):
        return _scatter(encoding, weight, bias, last)
    raise InvalidInput(f"encoding must be one of explore.sparseconv, got {type(encoding).__name__}")


def _scatter(
    encoding: CSCC | CPO | CPS, weight: np.ndarray, bias: np.ndarray, last: bool
) -> np.ndarray:
    g, filters = encoding.geometry, len(weight)
    (n, c, _, _), padded_rows, (kh, kw), (oh, ow) = g.shape, g.padded[0], g.kernel, g.output
    index = encoding.words if isinstance(encoding, CPS) else encoding.indices
    if index.itemsize > 4 and index.max(initial=0) < 2**32:
        index = index.astype(np.uint32)
    if index.itemsize > 4:  # the compiled kernels have no indices of 8 bytes
        return (encoding._product(weight) + bias[:, None, None]).astype(np.float32)
    indices = frozen(index)
    pair = (indices, frozen(EMPTY[1])) if index.dtype == np.uint16 else (frozen(EMPTY[0]), indices)
    classes = 1 if isinstance(encoding, CSCC) else g.classes
    split = split_work(g, filters, classes)
    out = np.empty((n, oh, ow, filters) if last else (n, filters, oh, ow), np.float32)
    strides = (oh * ow * filters, 1, ow * filters, filters)
    if not last:
        strides = (filters * oh * ow, oh * ow, ow, 1)
    maps = None if isinstance(encoding, CSCC) else encoding.maps
    image, channel = np.divmod((np.arange(n) * c if maps is None else maps).astype(np.int64), c)
    groups = (np.searchsorted(image, np.arange(n + 1)), channel)
    row = np.arange(padded_rows)
    first_row = np.maximum(0, -((kh - 1 - row) // g.stride[0]))
    end_row = np.minimum(oh - 1, row // g.stride[0]) + 1
    tables = (column_places(kw, g.stride[1]), np.stack([first_row, end_row]))
    stored = (frozen(encoding.values), *pair)
    padded_sizes: tuple[int, ...] = (padded_rows, c, classes)
    positions: tuple[Any, ...]
    if isinstance(encoding, CPS):
        starts, code = word_starts(encoding, pair)
        padded_sizes += (c if maps is None else 1,)
        kernel, positions = kernels.add_sets, (starts, code)
    else:
        kernel, positions = kernels.add_entries, (starts_of(bucket_counts(encoding)),)
    weights = (pack_weights(weight, split[0], g.stride[1]), bias + np.float32(0))
    sizes = ((kh, kw, *g.stride), padded_sizes, weights, (filters, oh, ow, *strides), split)
    readers = -(-kh // g.stride[0]) * classes  # of one value, at most
    work = encoding.values.size * (5 + readers * split[0] * split[1] // LANES // 2) + out.size // 2
    run_shared(work, kernel, stored, *positions, groups, tables, *sizes, out=out.reshape(-1))
    return out.transpose(0, 3, 1, 2) if last else out


def bucket_counts(encoding: CSCC | CPO) -> np.ndarray:
    """Return the number of entries in each bucket, in their order."""
    if isinstance(encoding, CSCC):
        return np.diff(encoding.pointers.astype(np.int64))
    return pointer_counts(encoding.pointers, encoding.geometry)


def frozen(array: np.ndarray) -> np.ndarray:
    """Return an array as contiguous and read-only: the kernels are compiled for that type only."""
    view = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view


def starts_of(counts: np.ndarray) -> np.ndarray:
    """Return where each part begins, and where the last one ends, from the sizes of all parts."""
    starts = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.ravel(), out=starts[1:])
    return starts


def word_starts(
    encoding: CPS, pair: tuple[np.ndarray, np.ndarray]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return where each bucket's values and its words begin, and the ``code`` of ``add_sets``."""
    g, ow = encoding.geometry, encoding.geometry.output[1]
    buckets = g.classes * ow
    if encoding.maps is None:
        words = starts_of(pointer_counts(encoding.pointers, g))
        values: np.ndarray = np.zeros(len(words) - 1, np.int64)
        kernels.count_bucket_values(*pair, words, values)
        code = np.zeros(buckets, np.int64)
        first = g.order[g.rank == 0]
        code[(g.windows[first] - 1) * ow + g.owner[first]] = first - g.owner[first] * g.stride[1]
        return (starts_of(values), words), code
    counts, values = (np.zeros((len(encoding.maps), buckets), np.int64) for _ in range(2))
    bucket = np.maximum(0, (g.windows - 1) * ow + g.owner)
    column_sets, group_starts = -(-g.padded[0] // SET_ROWS), encoding.pointers[0].astype(np.int64)
    kernels.count_buckets(*pair, group_starts, bucket, column_sets, counts, values)
    return (starts_of(values), starts_of(counts)), np.tile(-np.arange(ow) * g.stride[1], g.classes)


def split_work(geometry: Geometry, filters: int, classes: int) -> tuple[int, int, int, int]:
    """Return a product's split: filters of a block, blocks, output columns of a range, ranges."""
    (oh, ow), vectors = geometry.output, -(-filters // LANES)
    sizes = (size for size in range(1, vectors + 1) if vectors % size == 0)
    fitting = [size for size in sizes if size * LANES * oh * classes <= TILE_SUMS]
    block = max(fitting, default=1) * LANES
    blocks = vectors * LANES // block
    threads = kernel_threads()
    min_ranges = (
        1 if threads == 1 else -(-TASKS_PER_THREAD * threads // (geometry.shape[0] * blocks))
    )
    # Not more ranges: what a range reads of its neighbour's columns is read twice.
    ranges = max(1, min(min_ranges, ow // (2 * classes)))
    range_columns = -(-ow // ranges)
    return block, blocks, range_columns, -(-ow // range_columns)


def column_places(width: int, stride: int) -> np.ndarray:
    """Return the place of each kernel column in the repacked weights, ``[Kw]``.

    The taps with which neighbouring windows, from left to right, read one value are neighbours.

    Example:
        >>> column_places(3, 1), column_places(5, 2)
        (array([2, 1, 0]), array([2, 4, 1, 3, 0]))
    """
    order = [j for rest in range(min(stride, width)) for j in reversed(range(rest, width, stride))]
    return np.argsort(order)


def pack_weights(weight: np.ndarray, block: int, stride: int) -> np.ndarray:
    """Repack weights ``[K, C, Kh, Kw]`` as ``[blocks, C, Kh, Kw, filters of a block]``, flat.

    They are zero beyond the last filter. Columns are in the order of ``column_places``.
    """
    filters, channels, kh, kw = weight.shape
    places = np.arange(kh)[:, None] * kw + column_places(kw, stride)
    sizes = (filters, channels, kh * kw, block)
    out = aligned_empty(-(-filters // block) * block * channels * kh * kw)
    arguments = (frozen(weight).reshape(-1), sizes, places.ravel())
    run_shared(out.size // 2, kernels.repack, *arguments, out=out)
    return out
