"""Compiled products: every format times the weights, on all cores, in the order in which the format stores its entries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import get_num_threads

from explore._parallel.thread_pool import shared
from explore.errors import InvalidInput
from explore.sparseconv._compiled import product_kernels as kernels
from explore.sparseconv._compiled.dense import im2col_product, mec_product
from explore.sparseconv._engine.convolution import BitmapConvolution
from explore.sparseconv._engine.simd import LANES, aligned
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

TILE = 24_000
"""Sums that one step of the loops over entries should touch at most; a few more than the first cache holds, as what is
done for each entry, whatever the filters, weighs more."""

TASKS = 4
"""Tasks for each thread, if there is enough to share: their work differs as the maps do."""


EMPTY = (np.empty(0, np.uint16), np.empty(0, np.uint32))
for _empty in EMPTY:
    _empty.flags.writeable = False


def multiply(encoding: Encoding, weight: Any, bias: Any = None, last: bool = False) -> np.ndarray:
    """Convolve encoded maps, compiled and on all cores.

    The sparse formats add in float32, in the order of their entries; NaN and infinities propagate.

    Args:
        encoding: from any encoder.
        weight: float32 ``[K, C, Kh, Kw]``.
        bias: float32 ``[K]``, or None.
        last: whether the filters of a pixel shall lie next to one another in memory (channels last).

    Returns:
        float32 ``[N, K, Oh, Ow]``.

    Raises:
        InvalidInput: weights or a bias that do not fit, or an encoding of another kind.

    Source: the loops of CSCC and CPO (arXiv 2104.08314) in our reading, with all filters of a block in the innermost one.

    Example:
        >>> from explore.sparseconv import encode
        >>> x = np.eye(3, dtype=np.float32)
        >>> multiply(encode(x, 2), np.ones((1, 1, 2, 2), np.float32))
        array([[[[2., 1.],
                 [1., 2.]]]], dtype=float32)
    """
    filters = as_weight(weight, encoding.geometry.shape[1], encoding.geometry.kernel)
    return product(encoding, filters, as_bias(bias, len(filters)), last)


def product(
    encoding: Encoding, weight: np.ndarray, bias: np.ndarray, last: bool = False
) -> np.ndarray:
    """The same, of weights and a bias that are checked."""
    if isinstance(encoding, Im2col):
        return im2col_product(encoding, weight, bias, last)
    if isinstance(encoding, MEC):
        return mec_product(encoding, weight, bias, last)
    if isinstance(encoding, Bitmap):  # packed anew, in the blocks that suit these weights
        x = np.ascontiguousarray(encoding.decode().transpose(0, 2, 3, 1))
        found = BitmapConvolution(
            weight, bias, encoding.geometry.stride, encoding.geometry.padding
        )(x)
        found = found.transpose(0, 3, 1, 2)
        return found if last else np.ascontiguousarray(found)
    if isinstance(encoding, CSCC | CPO | CPS):
        return _scatter(encoding, weight, bias, last)
    raise InvalidInput(f"encoding must be one of explore.sparseconv, got {type(encoding).__name__}")


def _scatter(
    encoding: CSCC | CPO | CPS, weight: np.ndarray, bias: np.ndarray, last: bool
) -> np.ndarray:
    g, filters = encoding.geometry, len(weight)
    (n, c, _, _), (tall, _), (kh, kw), (oh, ow) = g.shape, g.padded, g.kernel, g.output
    index = encoding.words if isinstance(encoding, CPS) else encoding.indices
    if index.itemsize > 4:
        index = index.astype(np.uint32) if index.max(initial=0) < 2**32 else index
    if index.itemsize > 4:  # as nobody needs so many, the plain way
        return (encoding._product(weight) + bias[:, None, None]).astype(np.float32)
    numbers = (frozen(index), EMPTY[1]) if index.dtype == np.uint16 else (EMPTY[0], frozen(index))
    classes = 1 if isinstance(encoding, CSCC) else g.classes
    split = shares(g, filters, classes)
    packed = pack(weight, split[0], g.stride[1])
    row = np.arange(tall)
    reach = np.stack(
        [
            np.maximum(0, -((kh - 1 - row) // g.stride[0])),
            np.minimum(oh - 1, row // g.stride[0]) + 1,
        ]
    )
    out = np.empty((n, oh, ow, filters) if last else (n, filters, oh, ow), np.float32)
    by = (
        (oh * ow * filters, 1, ow * filters, filters)
        if last
        else (filters * oh * ow, oh * ow, ow, 1)
    )
    maps = None if isinstance(encoding, CSCC) else encoding.maps
    image, channel = np.divmod((np.arange(n) * c if maps is None else maps).astype(np.int64), c)
    groups, tables = (
        (np.searchsorted(image, np.arange(n + 1)), channel),
        (column_places(kw, g.stride[1]), reach),
    )
    stored, weights = (frozen(encoding.values), *numbers), (packed, bias + np.float32(0))
    kernel, sizes = (kh, kw, *g.stride), (filters, oh, ow, *by)
    readers = -(-kh // g.stride[0]) * classes  # of a value, at most
    work = encoding.values.size * (5 + readers * split[0] * split[1] // LANES // 2) + out.size // 2
    if isinstance(encoding, CPS):
        starts, code = places_of_words(encoding, numbers)
        told = c if maps is None else 1
        rest: tuple[Any, ...] = (kernel, (tall, c, classes, told), weights, sizes, split)
        shared(
            work, kernels.add_sets, stored, starts, code, groups, tables, *rest, out=out.reshape(-1)
        )
    else:
        rest = (kernel, (tall, c, classes), weights, sizes, split)
        shared(
            work,
            kernels.add_entries,
            stored,
            ends(bucket_counts(encoding)),
            groups,
            tables,
            *rest,
            out=out.reshape(-1),
        )
    return out.transpose(0, 3, 1, 2) if last else out


def bucket_counts(encoding: CSCC | CPO) -> np.ndarray:
    """How many entries each bucket has, in their order."""
    if isinstance(encoding, CSCC):
        return np.diff(encoding.pointers.astype(np.int64))
    return pointer_counts(encoding.pointers, encoding.geometry)


def frozen(array: np.ndarray) -> np.ndarray:
    """An array as the kernels take it: contiguous and read-only, for one type of each is compiled."""
    found = np.require(array, requirements=["C", "A"]).view()
    found.flags.writeable = False
    return found


def ends(held: np.ndarray) -> np.ndarray:
    """Where each of some parts begins, and where the last one ends, of how much each holds."""
    found = np.zeros(held.size + 1, np.int64)
    np.cumsum(held.ravel(), out=found[1:])
    return found


def places_of_words(
    encoding: CPS, numbers: tuple[np.ndarray, np.ndarray]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Where the values, and where the words of each bucket begin; and what to add to the columns that words spell."""
    g, ow = encoding.geometry, encoding.geometry.output[1]
    buckets = g.classes * ow
    if encoding.maps is None:
        words = ends(pointer_counts(encoding.pointers, g))
        held: np.ndarray = np.zeros(len(words) - 1, np.int64)
        kernels.sum_bits(*numbers, words, held)
        code = np.zeros(buckets, np.int64)
        first = g.order[g.rank == 0]
        code[(g.windows[first] - 1) * ow + g.owner[first]] = first - g.owner[first] * g.stride[1]
        return (ends(held), words), code
    many, held = (np.zeros((len(encoding.maps), buckets), np.int64) for _ in range(2))
    bucket = np.maximum(0, (g.windows - 1) * ow + g.owner)
    kernels.tally(
        *numbers,
        encoding.pointers[0].astype(np.int64),
        bucket,
        -(-g.padded[0] // SET_ROWS),
        many,
        held,
    )
    return (ends(held), ends(many)), np.tile(-np.arange(ow) * g.stride[1], g.classes)


def shares(geometry: Geometry, filters: int, classes: int) -> tuple[int, int, int, int]:
    """How a product is split: filters of a block, blocks, output columns of a range, ranges."""
    (oh, ow), vectors = geometry.output, -(-filters // LANES)
    fitting = [
        many
        for many in range(1, vectors + 1)
        if vectors % many == 0 and many * LANES * oh * classes <= TILE
    ]
    block = max(fitting, default=1) * LANES
    blocks = vectors * LANES // block
    threads = get_num_threads()
    wanted = 1 if threads == 1 else -(-TASKS * threads // (geometry.shape[0] * blocks))
    ranges = max(
        1, min(wanted, ow // (2 * classes))
    )  # not narrower: what a range reads of its neighbour is read twice
    across = -(-ow // ranges)
    return block, blocks, across, -(-ow // across)


def column_places(width: int, stride: int) -> np.ndarray:
    """In which order the columns of a kernel are kept, so that the taps with which neighbouring windows, from left to
    right, read one value lie side by side: ``[Kw]``, the place of each.

    Example:
        >>> column_places(3, 1), column_places(5, 2)
        (array([2, 1, 0]), array([2, 4, 1, 3, 0]))
    """
    order = [j for rest in range(min(stride, width)) for j in reversed(range(rest, width, stride))]
    return np.argsort(order)


def pack(weight: np.ndarray, block: int, stride: int) -> np.ndarray:
    """Weights ``[K, C, Kh, Kw]`` as ``[blocks, C, Kh, Kw, filters of a block]``, flat; zero beyond the last filter.

    Columns are in the order that suits a horizontal stride (see ``column_places``).
    """
    filters, channels = weight.shape[:2]
    kh, kw = weight.shape[2:]
    taps = kh * kw
    places, sizes = (
        np.arange(kh)[:, None] * kw + column_places(kw, stride),
        (filters, channels, taps, block),
    )
    out = aligned(-(-filters // block) * block * channels * taps)
    shared(
        out.size // 2, kernels.repack, frozen(weight).reshape(-1), sizes, places.ravel(), out=out
    )
    return out
