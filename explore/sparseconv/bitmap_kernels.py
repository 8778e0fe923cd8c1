"""The two compiled steps of the bitmap engine: pack maps into bits and values, and convolve them; each for one size of kernel."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from numba import get_thread_id

from explore.sparseconv.sweep import sweep
from explore.sparseconv.vectors import (
    LANES,
    at_least,
    fetch_soon,
    load,
    load_first,
    nonzero_bits,
    packed,
    popcount,
    store,
    store_first,
)

U = np.uintp


@numba.njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def pack(x, sizes, masks, values):  # type: ignore[no-untyped-def]
    """Maps ``[N, H, W, C]``, flat, into bits and values: see ``Packed``. Returns how many values are not zero."""
    count, height, width, channels, parts, blocks, left, pitch, room, kernel, stride = sizes
    whole = U(channels // LANES)
    tail = U(channels % LANES)
    every = U((channels + LANES - 1) // LANES)
    last = U(max(0, min(width, pitch - left)))
    held = 0
    for line in numba.prange(count * height):
        image, row = U(line) // U(height), U(line) % U(height)
        found = U(0)
        for block in range(U(blocks)):
            segment = (image * U(blocks) + block) * U(height) + row
            at, begin = segment * U(room), segment * U(room)
            bit = segment * U(pitch)
            for column in range(U(left)):
                masks[bit + column] = np.uint64(0)
            for column in range(U(left) + last, U(pitch)):
                masks[bit + column] = np.uint64(0)
            bit += U(left)
            first = block * U(parts)
            end = min(first + U(parts), whole)
            pixel = U(line) * U(width) * U(channels)
            for column in range(last):
                if (U(left) + column) % U(stride) >= U(kernel):  # in a gap between windows: nobody reads it
                    masks[bit + column] = np.uint64(0)
                    pixel += U(channels)
                    continue
                bits, shift = np.uint64(0), np.uint64(0)
                for part in range(first, end):
                    some = load(x, pixel + part * U(LANES))
                    which = nonzero_bits(some)
                    store(values, at, packed(some))
                    at += popcount(which)
                    bits |= which << shift
                    shift += np.uint64(LANES)
                if tail and first + U(parts) >= every:
                    some = load_first(x, pixel + whole * U(LANES), tail)
                    which = nonzero_bits(some)
                    store(values, at, packed(some))
                    at += popcount(which)
                    bits |= which << shift
                masks[bit + column] = bits
                pixel += U(channels)
            found += at - begin
        held += found
    return held


@cache
def convolver(width: int, stride: int, vectors: int) -> Any:
    """The compiled convolution for kernels of this width and horizontal stride, in blocks of ``16 · vectors`` filters."""

    @numba.njit(parallel=True, nogil=True, cache=True, error_model="numpy")
    def convolve(values, masks, weights, bias, out, strips, sizes, floor):  # type: ignore[no-untyped-def]
        count, height, tall, wide, filters, parts, blocks, pitch, room, tiles, high, down, above, rows = sizes
        lanes = U(vectors * LANES)
        groups = (U(filters) + lanes - U(1)) // lanes
        strip_size = U(rows) * U(wide) * lanes
        one = U(parts * LANES) * U(width) * lanes  # weights of a kernel row, a block of channels and a group of filters
        for task in numba.prange(groups * U(count) * U(tiles)):
            # a group of filters, an image, a tile of rows: consecutive tasks share their weights
            tile, rest = U(task) % U(tiles), U(task) // U(tiles)
            image, group = rest % U(count), rest // U(count)
            top = tile * U(rows)
            bottom = min(top + U(rows), U(tall))
            strip = U(get_thread_id()) * strip_size
            mine = min(lanes, U(filters) - group * lanes)
            ahead = one // (U(LANES) * (bottom - top)) + U(1)
            for block in range(U(blocks)):
                for line in range(U(high)):
                    weight = ((group * U(blocks) + block) * U(high) + line) * one
                    for y in range(top, bottom):
                        row = y * U(down) + line
                        for near in range((y - top) * ahead, (y - top + U(1)) * ahead):
                            fetch_soon(weights, weight + one + near * U(LANES))
                        if row < U(above) or row >= U(above + height):
                            continue  # in the padding
                        segment = (image * U(blocks) + block) * U(height) + row - U(above)
                        kept = strip + (y - top) * U(wide) * lanes
                        begun, grown, lowest = kept, lanes, -np.float32(np.inf)
                        if block == U(0) and (line == U(0) or row == U(above)):  # the first sums begin with the bias
                            kept_before, begun, grown = bias, group * lanes, U(0)
                        else:
                            kept_before = strips
                        last = block == U(blocks) - U(1) and (line == U(high) - U(1) or row == U(above + height) - U(1))
                        if last:
                            lowest = floor
                        if last and mine == lanes:  # the last ones go where they belong
                            to, at, step = out, ((image * U(tall) + y) * U(wide)) * U(filters) + group * lanes, U(filters)
                        else:
                            to, at, step = strips, kept, lanes
                        sweep(
                            values, segment * U(room), masks, segment * U(pitch), weights, weight, kept_before, begun, grown,
                            to, at, step, U(wide), lowest, width, stride, vectors,
                        )  # fmt: skip
            for y in range(top, bottom):
                bare = y * U(down) >= U(above + height) or y * U(down) + U(high) <= U(above)  # reads padding alone
                if mine == lanes and not bare:
                    continue
                for column in range(U(wide)):
                    to = ((image * U(tall) + y) * U(wide) + column) * U(filters) + group * lanes
                    at = strip + ((y - top) * U(wide) + column) * lanes
                    for q in range((mine + U(LANES) - U(1)) // U(LANES)):
                        held = U(q * LANES)
                        some = at_least(load(bias, group * lanes + held), floor) if bare else load(strips, at + held)
                        store_first(out, to + held, some, min(U(LANES), mine - held))

    return convolve
