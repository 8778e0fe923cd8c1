"""The two compiled steps of the bitmap engine: pack maps into bits and values, then convolve."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
from numba import types

from explore._parallel.compile import kernel
from explore._parallel.intrinsics import (
    as_pointer,
    as_record,
    atomic_fetch_add,
    atomic_load,
    yield_core,
)
from explore._parallel.thread_pool import CHECKS_PER_YIELD
from explore.sparseconv._engine.call_record import CALL, PROGRESS, SHARE
from explore.sparseconv._engine.microkernel import call_microkernel
from explore.sparseconv._engine.simd import (
    LANES,
    clamp,
    compress,
    load,
    load_first,
    nonzero_bits,
    popcount,
    prefetch,
    store,
    store_first,
)

U = np.uintp  # Indices are unsigned: signed ones would be tested for being negative, each time.
FLOAT, WORD = U(4), U(8)  # bytes
CHUNKS = U(4)  # in which a thread packs its rows, at most


@kernel
def pack_maps(call, x, progress, shares, thread, masks, values):
    """Pack maps ``[N, H, W, C]``, flat, into masks and values.

    Returns when all rows are packed, by whatever thread. A *segment* is one block of channels of
    one row; segments are ordered by image, block and row. Segment s has its masks, one word for
    each padded column, from ``masks[s · segment_masks]`` on, and its values, pixel by pixel, from
    ``values[s · segment_values]`` on.

    Each thread begins with its own share of the rows, the same in each call: what it then writes is
    in its own cache. Later it helps with the shares of other threads.
    """
    height, width, channels = call.height, call.width, call.channels
    parts, blocks, left, stride = (
        call.channel_vectors,
        call.channel_blocks,
        call.padding_x,
        call.stride_x,
    )
    segment_masks, segment_values, kernel_width = (
        call.segment_masks,
        call.segment_values,
        call.kernel_width,
    )
    threads = call.threads
    full_vectors, tail = U(channels // LANES), U(channels % LANES)
    all_vectors = U((channels + LANES - 1) // LANES)
    columns = U(max(0, min(width, segment_masks - left)))
    rows = U(call.images * height)
    for turn in range(U(threads)):
        share = (thread + turn) % U(threads)
        end = rows * (share + U(1)) // U(threads)
        begin = rows * share // U(threads)
        chunk = (end - begin + CHUNKS - U(1)) // CHUNKS
        while chunk > U(0):
            first_row = begin + atomic_fetch_add(shares[share], "next_row", chunk)
            if first_row >= end:
                break
            last_row, nonzero = min(first_row + chunk, end), U(0)
            for image_row in range(first_row, last_row):
                image, row = image_row // U(height), image_row % U(height)
                for block in range(U(blocks)):
                    segment = (image * U(blocks) + block) * U(height) + row
                    value, mask = segment * U(segment_values), segment * U(segment_masks)
                    nonzero -= value
                    for column in range(U(min(left, segment_masks))):
                        masks[mask + column] = np.uint64(0)
                    for column in range(U(left) + columns, U(segment_masks)):
                        masks[mask + column] = np.uint64(0)
                    mask += U(left)
                    first = block * U(parts)
                    stop = min(first + U(parts), full_vectors)
                    pixel = image_row * U(width) * U(channels)
                    for column in range(columns):
                        bits, shift = np.uint64(0), np.uint64(0)
                        # No window reads the columns in a gap between windows.
                        if (U(left) + column) % U(stride) < U(kernel_width):
                            for part in range(first, stop):
                                vector = load(x, pixel + part * U(LANES))
                                vector_bits = nonzero_bits(vector)
                                store(values, value, compress(vector))
                                value += popcount(vector_bits)
                                bits |= vector_bits << shift
                                shift += np.uint64(LANES)
                            if tail and first + U(parts) >= all_vectors:
                                vector = load_first(x, pixel + full_vectors * U(LANES), tail)
                                vector_bits = nonzero_bits(vector)
                                store(values, value, compress(vector))
                                value += popcount(vector_bits)
                                bits |= vector_bits << shift
                        masks[mask + column] = bits
                        pixel += U(channels)
                    nonzero += value
            atomic_fetch_add(progress, "nonzero_values", nonzero)
            atomic_fetch_add(progress, "rows_done", last_row - first_row)
    checks = U(0)
    while atomic_load(progress, "rows_done") < rows:  # another thread still packs a row
        checks += U(1)
        if checks % CHECKS_PER_YIELD == 0:
            yield_core(call.sched_yield)


@kernel
def _convolve(call, x, progress, shares, thread, masks, values, weights, bias, strips, floor, out):
    """Set outputs ``[N, Oh, Ow, K]``, flat, from maps ``[N, H, W, C]``, flat; at least ``floor``.

    Called by at most ``call.threads`` threads, at whatever time, each with its number. Each call
    returns when everything is done, by whatever thread: a thread that has done its own share goes
    on with those of others. Nothing is computed where more than ``call.nonzero_limit`` values are
    not zero; ``progress.nonzero_values`` says how many are.

    A task is a group of filters and a tile, which is some rows of an image. Its sums are in a
    strip of the thread's own, ``[rows, Ow, filters of a group]``, until the last kernel row writes
    them to the output. A share is some tiles for all groups, or some groups for all tiles
    (``split_by_tiles``).
    """
    pack_maps(call, x, progress, shares, thread, masks, values)
    if atomic_load(progress, "nonzero_values") > call.nonzero_limit:
        return
    height, out_height, out_width = call.height, call.output_height, call.output_width
    filters, blocks, segment_masks, segment_values = (
        call.filters,
        call.channel_blocks,
        call.segment_masks,
        call.segment_values,
    )
    kernel_height, stride, above = call.kernel_height, call.stride_y, call.padding_y
    tiles, rows, row_weights = call.tiles, call.tile_rows, call.row_weights
    threads, by_tiles, microkernel = call.threads, call.split_by_tiles, call.microkernel
    lanes, all_tiles = U(call.filter_vectors * LANES), U(call.images * tiles)
    groups = (U(filters) + lanes - U(1)) // lanes
    values_address, masks_address, weights_address = (
        U(values.ctypes.data),
        U(masks.ctypes.data),
        U(weights.ctypes.data),
    )
    bias_address, strips_address, out_address = (
        U(bias.ctypes.data),
        U(strips.ctypes.data),
        U(out.ctypes.data),
    )
    strip = thread * U(rows) * U(out_width) * lanes
    for turn in range(U(threads)):
        share = (thread + turn) % U(threads)
        units = all_tiles if by_tiles else groups
        begin, end = units * share // U(threads), units * (share + U(1)) // U(threads)
        first_tile, first_group = (begin, U(0)) if by_tiles else (U(0), begin)
        share_tiles = end - begin if by_tiles else all_tiles
        tasks = share_tiles * groups if by_tiles else share_tiles * (end - begin)
        while True:
            task = atomic_fetch_add(shares[share], "next_task", U(1))
            if task >= tasks:
                break
            # Consecutive tasks share weights.
            group, image_tile = first_group + task // share_tiles, first_tile + task % share_tiles
            image, tile = image_tile // U(tiles), image_tile % U(tiles)
            top = tile * U(rows)
            bottom = min(top + U(rows), U(out_height))
            group_filters = min(lanes, U(filters) - group * lanes)
            ahead = U(row_weights) // (U(LANES) * (bottom - top)) + U(1)
            for block in range(U(blocks)):
                for line in range(U(kernel_height)):
                    weight = ((group * U(blocks) + block) * U(kernel_height) + line) * U(
                        row_weights
                    )
                    for y in range(top, bottom):
                        for near in range((y - top) * ahead, (y - top + U(1)) * ahead):
                            prefetch(weights, weight + U(row_weights) + near * U(LANES))
                        row = y * U(stride) + line
                        if row < U(above) or row >= U(above + height):
                            continue  # in the padding
                        segment = (image * U(blocks) + block) * U(height) + row - U(above)
                        sums = strips_address + (strip + (y - top) * U(out_width) * lanes) * FLOAT
                        source, source_step, target, target_step, lowest = (
                            sums,
                            lanes,
                            sums,
                            lanes,
                            -np.float32(np.inf),
                        )
                        # The first sums begin with the bias.
                        if block == U(0) and (line == U(0) or row == U(above)):
                            source, source_step = bias_address + group * lanes * FLOAT, U(0)
                        if block == U(blocks - 1) and (
                            line == U(kernel_height - 1) or row == U(above + height - 1)
                        ):
                            lowest = floor
                            if group_filters == lanes:  # the last sums go straight to the output
                                pixel = (image * U(out_height) + y) * U(out_width)
                                target, target_step = (
                                    out_address + (pixel * U(filters) + group * lanes) * FLOAT,
                                    U(filters),
                                )
                        call_microkernel(
                            microkernel,
                            (
                                values_address + segment * U(segment_values) * FLOAT,
                                masks_address + segment * U(segment_masks) * WORD,
                                weights_address + weight * FLOAT,
                                source,
                                source_step,
                                target,
                                target_step,
                                U(out_width),
                                lowest,
                            ),
                        )
            for y in range(top, bottom):
                only_padding = y * U(stride) >= U(above + height) or y * U(stride) + U(
                    kernel_height
                ) <= U(above)
                if group_filters == lanes and not only_padding:
                    continue
                for column in range(U(out_width)):
                    pixel = (image * U(out_height) + y) * U(out_width) + column
                    target = pixel * U(filters) + group * lanes
                    source = strip + ((y - top) * U(out_width) + column) * lanes
                    for part in range((group_filters + U(LANES - 1)) // U(LANES)):
                        lane = part * U(LANES)
                        vector = (
                            clamp(load(bias, group * lanes + lane), floor)
                            if only_padding
                            else load(strips, source + lane)
                        )
                        store_first(out, target + lane, vector, min(U(LANES), group_filters - lane))
            atomic_fetch_add(progress, "tasks_done", U(1))
    checks = U(0)
    while atomic_load(progress, "tasks_done") < all_tiles * groups:  # another thread has a task
        checks += U(1)
        if checks % CHECKS_PER_YIELD == 0:
            yield_core(call.sched_yield)


@cache
def convolution_kernel() -> int:
    """Return the address of the convolution for ``run_cooperative``; its argument is a ``CALL``."""

    @numba.cfunc(types.void(types.uintp, types.uintp), cache=True)
    def run(address, thread):
        call = as_record(address, CALL)
        _convolve(
            call,
            numba.carray(as_pointer(call.maps, np.float32), call.maps_size),
            as_record(call.progress, PROGRESS),
            numba.carray(as_pointer(call.shares, SHARE), call.shares_size),
            thread,
            numba.carray(as_pointer(call.masks, np.uint64), call.masks_size),
            numba.carray(as_pointer(call.values, np.float32), call.values_size),
            numba.carray(as_pointer(call.weights, np.float32), call.weights_size),
            numba.carray(as_pointer(call.bias, np.float32), call.bias_size),
            numba.carray(as_pointer(call.strips, np.float32), call.strips_size),
            np.float32(0) if call.relu else -np.float32(np.inf),
            numba.carray(as_pointer(call.outputs, np.float32), call.outputs_size),
        )

    return int(run.address)  # type: ignore[arg-type]
