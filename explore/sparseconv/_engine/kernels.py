"""The two compiled steps of the bitmap engine: pack maps into bits and values, and convolve them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.np.unsafe.ndarray import to_fixed_tuple

from explore._parallel._libc import YIELD
from explore._parallel.intrinsics import let_others, pointer, seen, take
from explore._parallel.work_sharing import SPINS
from explore.sparseconv._engine.microkernel import call_sweep
from explore.sparseconv._engine.simd import (
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

U = np.uintp  # signed indices would be tested for being negative, each time
FLOAT, WORD = U(4), U(8)  # bytes


ROWS_DONE, TASKS_DONE, FOUND = U(0), U(1), U(2)
"""What all threads of a call count together: packed rows, tasks, values that are not zero."""

NEXT_ROW, NEXT_TASK = U(0), U(1)
"""What is counted of each thread's own share of the work, in a cache line of its own."""

WORDS = 8
"""Of a cache line."""

CHUNKS = U(4)
"""In which a thread packs its rows, at most."""

TOLD = 49  # numbers of a job
MAPS, OUTPUTS, MOST = 0, 2, 16  # those of them that are set in each call


@numba.njit(nogil=True, cache=True, error_model="numpy")
def pack(x, sizes, counters, number, others, masks, values):  # type: ignore[no-untyped-def]
    """Maps ``[N, H, W, C]``, flat, into words of bits and values; returns when all are, by whatever thread.

    A *segment* is one block of channels of one row: segments go by image, block, row. Segment s has its words in
    ``masks[s · pitch :]``, one for each padded column, and its values, pixel by pixel, in ``values[s · room :]``.

    Thread ``number`` begins with a share of the rows that is its own, the same in each call: what it then writes is in its
    cache, not in another's.
    """
    count, height, width, channels, parts, blocks, left, pitch, room, kernel, stride, threads = (
        sizes
    )
    whole, tail, every = (
        U(channels // LANES),
        U(channels % LANES),
        U((channels + LANES - 1) // LANES),
    )
    last = U(max(0, min(width, pitch - left)))
    lines = U(count * height)
    for turn in range(U(threads)):
        share = (number + turn) % U(threads)
        end = lines * (share + U(1)) // U(threads)
        begin = lines * share // U(threads)
        chunk = (end - begin + CHUNKS - U(1)) // CHUNKS
        while chunk > U(0):
            first_line = begin + take(counters, (share + U(1)) * U(WORDS) + NEXT_ROW, chunk)
            if first_line >= end:
                break
            last_line, held = min(first_line + chunk, end), U(0)
            for line in range(first_line, last_line):
                image, row = line // U(height), line % U(height)
                for block in range(U(blocks)):
                    segment = (image * U(blocks) + block) * U(height) + row
                    at, bit = segment * U(room), segment * U(pitch)
                    held -= at
                    for column in range(U(min(left, pitch))):
                        masks[bit + column] = np.uint64(0)
                    for column in range(U(left) + last, U(pitch)):
                        masks[bit + column] = np.uint64(0)
                    bit += U(left)
                    first = block * U(parts)
                    stop = min(first + U(parts), whole)
                    pixel = line * U(width) * U(channels)
                    for column in range(last):
                        bits, shift = np.uint64(0), np.uint64(0)
                        if (U(left) + column) % U(stride) < U(
                            kernel
                        ):  # else in a gap between windows, where nobody reads it
                            for part in range(first, stop):
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
                    held += at
            take(counters, FOUND, held)
            take(counters, ROWS_DONE, last_line - first_line)
    looks = U(0)
    while seen(counters, ROWS_DONE) < lines:  # another thread has a row in hand
        looks += U(1)
        if looks % SPINS == 0:
            let_others(others)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _convolve(
    x,
    given,
    most,
    values,
    masks,
    weights,
    bias,
    strips,
    asked,
    floor,
    address,
    counters,
    number,
    others,
    out,
):  # type: ignore[no-untyped-def]
    """Outputs ``[N, Oh, Ow, K]``, flat, from maps ``[N, H, W, C]``, flat; below ``floor`` they become it.

    Called by so many threads as the work is shared among, at most, at whatever time, each with its ``number``; each returns
    when everything is done, by whomever: who has done its own share goes on with the others'. Nothing is computed where
    more than ``most`` values are not zero: ``counters[FOUND]`` says how many are.

    ``address`` is what ``sweep`` returned. A task is a group of filters and a tile: rows of an image. Its sums are in a strip
    of the thread's own, ``[rows, Ow, filters of a group]``, until the last of them go where they belong. A share is some
    tiles for all groups, or some groups for all tiles (``by_tiles``).
    """
    pack(x, given, counters, number, others, masks, values)
    if seen(counters, FOUND) > most:
        return
    (
        count,
        height,
        tall,
        wide,
        filters,
        vectors,
        blocks,
        pitch,
        room,
        tiles,
        high,
        down,
        above,
        rows,
        one,
        threads,
        by_tiles,
    ) = asked
    lanes, all_tiles = U(vectors * LANES), U(count * tiles)
    groups = (U(filters) + lanes - U(1)) // lanes
    values_at, masks_at, weights_at = (
        U(values.ctypes.data),
        U(masks.ctypes.data),
        U(weights.ctypes.data),
    )
    bias_at, strips_at, out_at = U(bias.ctypes.data), U(strips.ctypes.data), U(out.ctypes.data)
    strip = number * U(rows) * U(wide) * lanes
    for turn in range(U(threads)):
        share = (number + turn) % U(threads)
        shared = all_tiles if by_tiles else groups
        begin, end = shared * share // U(threads), shared * (share + U(1)) // U(threads)
        first_tile, first_group = (begin, U(0)) if by_tiles else (U(0), begin)
        mine_tiles = end - begin if by_tiles else all_tiles
        tasks = mine_tiles * groups if by_tiles else mine_tiles * (end - begin)
        while True:
            task = take(counters, (share + U(1)) * U(WORDS) + NEXT_TASK, U(1))
            if task >= tasks:
                break
            group, place = (
                first_group + task // mine_tiles,
                first_tile + task % mine_tiles,
            )  # consecutive tasks share weights
            image, tile = place // U(tiles), place % U(tiles)
            top = tile * U(rows)
            bottom = min(top + U(rows), U(tall))
            mine = min(lanes, U(filters) - group * lanes)
            ahead = U(one) // (U(LANES) * (bottom - top)) + U(1)
            for block in range(U(blocks)):
                for line in range(U(high)):
                    weight = ((group * U(blocks) + block) * U(high) + line) * U(one)
                    for y in range(top, bottom):
                        for near in range((y - top) * ahead, (y - top + U(1)) * ahead):
                            fetch_soon(weights, weight + U(one) + near * U(LANES))
                        row = y * U(down) + line
                        if row < U(above) or row >= U(above + height):
                            continue  # in the padding
                        segment = (image * U(blocks) + block) * U(height) + row - U(above)
                        kept = strips_at + (strip + (y - top) * U(wide) * lanes) * FLOAT
                        before, grown, target, step, lowest = (
                            kept,
                            lanes,
                            kept,
                            lanes,
                            -np.float32(np.inf),
                        )
                        if block == U(0) and (
                            line == U(0) or row == U(above)
                        ):  # the first sums begin with the bias
                            before, grown = bias_at + group * lanes * FLOAT, U(0)
                        if block == U(blocks - 1) and (
                            line == U(high - 1) or row == U(above + height - 1)
                        ):
                            lowest = floor
                            if mine == lanes:  # the last ones go where they belong
                                pixel = (image * U(tall) + y) * U(wide)
                                target, step = (
                                    out_at + (pixel * U(filters) + group * lanes) * FLOAT,
                                    U(filters),
                                )
                        value = values_at + segment * U(room) * FLOAT
                        mask = masks_at + segment * U(pitch) * WORD
                        filters_at = weights_at + weight * FLOAT
                        call_sweep(
                            address,
                            (value, mask, filters_at, before, grown, target, step, U(wide), lowest),
                        )
            for y in range(top, bottom):
                bare = y * U(down) >= U(above + height) or y * U(down) + U(high) <= U(
                    above
                )  # reads padding alone
                if mine == lanes and not bare:
                    continue
                for column in range(U(wide)):
                    to = ((image * U(tall) + y) * U(wide) + column) * U(filters) + group * lanes
                    at = strip + ((y - top) * U(wide) + column) * lanes
                    for part in range((mine + U(LANES - 1)) // U(LANES)):
                        held = part * U(LANES)
                        some = (
                            at_least(load(bias, group * lanes + held), floor)
                            if bare
                            else load(strips, at + held)
                        )
                        store_first(out, to + held, some, min(U(LANES), mine - held))
            take(counters, TASKS_DONE, U(1))
    looks = U(0)
    while seen(counters, TASKS_DONE) < all_tiles * groups:  # another thread has a task in hand
        looks += U(1)
        if looks % SPINS == 0:
            let_others(others)


@cache
def convolution() -> int:
    """The address of the convolution as threads that join call it: with the address of a job."""

    @numba.cfunc(types.void(types.uintp, types.uintp), cache=True)
    def run(job, number):  # type: ignore[no-untyped-def]
        floats, words = np.empty(0, np.float32), np.empty(0, np.uint64)
        told = numba.carray(pointer(job, np.empty(0, np.int64)), TOLD)
        parts = numba.carray(pointer(job, words), TOLD)
        x, out, values, weights, bias, strips = (
            numba.carray(pointer(parts[MAPS], floats), told[1]),
            numba.carray(pointer(parts[OUTPUTS], floats), told[3]),
            numba.carray(pointer(parts[4], floats), told[5]),
            numba.carray(pointer(parts[6], floats), told[7]),
            numba.carray(pointer(parts[8], floats), told[9]),
            numba.carray(pointer(parts[10], floats), told[11]),
        )
        masks, counters = (
            numba.carray(pointer(parts[12], words), told[13]),
            numba.carray(pointer(parts[14], words), told[15]),
        )
        floor = np.float32(0) if told[18] else -np.float32(np.inf)
        given: Any = to_fixed_tuple(told[19:31], 12)  # type: ignore[call-arg]
        asked: Any = to_fixed_tuple(told[31:48], 17)  # type: ignore[call-arg]
        _convolve(
            x,
            given,
            parts[MOST],
            values,
            masks,
            weights,
            bias,
            strips,
            asked,
            floor,
            parts[17],
            counters,
            number,
            parts[48],
            out,
        )

    return int(run.address)  # type: ignore[arg-type]


def job_of(
    sizes: tuple[int, int],
    buffers: tuple[np.ndarray, ...],
    address: int,
    relu: bool,
    given: tuple[int, ...],
    asked: tuple[int, ...],
) -> np.ndarray:
    """What the convolution is told, as numbers: places (each call sets them, and ``MOST``) and lengths of maps and outputs;
    the same of values, weights, bias, strips, masks and counters; the address of the sweep; whether negative outputs become
    0; the sizes of both steps; and ``YIELD``."""
    ours = [number for array in buffers for number in (array.ctypes.data, array.size)]
    return np.array(
        [0, sizes[0], 0, sizes[1], *ours, 0, address, relu, *given, *asked, YIELD], np.int64
    )
