"""Numba: convolving from the arrays of CSCC, CPO and CPS, entry by entry as they are stored, for many filters at a time.

A task is one image, one block of filters and one range of output columns, and no two tasks share an output. Its sums
are kept in a *tile*, ``[output rows, output columns, filters of a block]``: entries come column by column, so that what
they are added to, a few columns of it, stays in the first cache. When the task is done the tile is written to the
output, with the bias.
"""

from __future__ import annotations

import numba
import numpy as np

from explore.sparseconv._engine.simd import LANES, add_product, lowest_bit

ROWS = 4  # of a set of CPS


@numba.njit(nogil=True, cache=True, error_model="numpy")
def repack(weight, sizes, places, first, step, out):  # type: ignore[no-untyped-def]
    """Weights ``[K, C, taps]``, flat, as ``[blocks, C, taps, filters of a block]``; zero beyond the last filter.

    ``places`` is where each tap goes, ``[taps]``.
    """
    filters, channels, taps, block = sizes
    row = channels * taps
    for task in range(
        first, (filters + LANES - 1) // LANES, step
    ):  # sixteen filters, each read from end to end
        k0 = task * LANES
        corner = k0 // block * row * block + k0 % block
        many = min(LANES, filters - k0)
        for c in range(channels):
            for tap in range(taps):
                source, to = k0 * row + c * taps + tap, corner + (c * taps + places[tap]) * block
                for k in range(many):
                    out[np.uintp(to + k)] = weight[np.uintp(source + k * row)]
                for k in range(many, LANES):
                    out[np.uintp(to + k)] = np.float32(0)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _give(tile, corner, row_sums, bias, n, block, k0, columns, first_column, sizes, out):  # type: ignore[no-untyped-def]
    """Write a tile ``[Oh, columns, block]`` from ``corner`` on to the output, and add the bias."""
    filters, oh, _, by_image, by_filter, by_row, by_column = sizes
    many = min(block, filters - k0)
    for y in range(oh):
        for x0 in range(0, columns, LANES):  # so few lines at a time that they stay in the cache
            last = min(columns, x0 + LANES)
            place = n * by_image + y * by_row + first_column * by_column + k0 * by_filter
            if by_filter == 1:
                for x in range(x0, last):
                    for k in range(many):
                        value = (
                            tile[np.uintp(corner + y * row_sums + x * block + k)]
                            + bias[np.uintp(k0 + k)]
                        )
                        out[np.uintp(place + x * by_column + k)] = value
            else:
                for k in range(many):
                    for x in range(x0, last):
                        value = (
                            tile[np.uintp(corner + y * row_sums + x * block + k)]
                            + bias[np.uintp(k0 + k)]
                        )
                        out[np.uintp(place + k * by_filter + x)] = value


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _add(value, rows, at, place, row_sums, row_weights, vectors, weight, tile):  # type: ignore[no-untyped-def]
    """Add one value to all outputs that read it, of each of them all filters of the block.

    Kernel rows l are a loop over output rows y = (i − l) / Sh. The windows that read the value lie side by side in the
    tile, and so do their taps in the weights (see ``column_places``): one run of vectors is the loop over u and filters.
    """
    for _ in range(rows):
        for q in range(vectors):
            offset = np.uintp(q * LANES)
            add_product(tile, at + offset, value, weight, place + offset)
        at += np.uintp(row_sums)
        place -= np.uintp(row_weights)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_entries(
    stored, starts, groups, tables, kernel, padded, weights, sizes, split, first, step, out
):  # type: ignore[no-untyped-def]
    """Convolve from CSCC or CPO.

    Args:
        stored: the values; indices of 2 bytes, or an empty array; indices of 4 bytes, or an empty array.
        starts: where each bucket begins, by group, class and window, and where the last one ends.
        groups: where the groups of each image begin, ``[N + 1]``; the channel of each group, 0 where the index says it.
        tables: where each column of the kernel stands in the weights, ``[Kw]``; the first output row that reads each padded
            row, and the one after the last, ``[2, Hp]``.
        kernel: Kh, Kw, Sh, Sw.
        padded: Hp, C and overlap classes.
        weights: repacked; and the bias, ``[K]``.
        sizes: filters, Oh, Ow, and the strides of the output: of an image, a filter, a row, a column.
        split: filters of a block, blocks, output columns of a range, ranges.
        first: of the tasks.
        step: from one task to the next.
        out: the output.
    """
    values, narrow, wide = stored
    image_groups, channels = groups
    column_place, reach = tables
    weight, bias = weights
    kw, (tall, all_channels, classes), (oh, ow) = kernel[1], padded, (sizes[1], sizes[2])
    block, blocks, across, ranges = split
    small = len(narrow) > 0
    taps = all_channels * kernel[0] * kw * block
    row_weights = kernel[2] * kw * block
    row_sums = (
        across * block // LANES | 1
    ) * LANES  # an odd number of vectors, so that rows fall in all parts of a cache
    tile = np.empty(row_sums * oh + LANES, np.float32)
    corner = (
        -(np.intp(tile.ctypes.data) // 4) % LANES
    )  # an intp: unsigned numbers would make it a float
    for task in range(first, (len(image_groups) - 1) * blocks * ranges, step):
        n, which, part = task // (blocks * ranges), task // ranges % blocks, task % ranges
        begin, end = part * across, min(ow, part * across + across)
        filters = weight[which * taps :][:taps]
        tile[corner : corner + oh * row_sums] = np.float32(0)
        for group in range(image_groups[n], image_groups[n + 1]):
            for overlap in range(classes):
                for s in range(max(0, begin - overlap), end):
                    bucket = (group * classes + overlap) * ow + s
                    further = max(0, begin - s)  # windows left of the range are another task's
                    window = corner + (s - begin + further) * block
                    vectors = (min(overlap + 1, end - s) - further) * block // LANES
                    for x in range(np.uintp(starts[bucket]), np.uintp(starts[bucket + 1])):
                        index = np.uint32(narrow[x]) if small else wide[x]
                        line = index // np.uint32(kw)
                        local = np.intp(index - line * np.uint32(kw))
                        c = np.intp(line // np.uint32(tall))
                        i = np.intp(line) - c * tall
                        c += channels[group]
                        top = reach[0, i]
                        tap = (c * kernel[0] + i) * kw + column_place[local] + further
                        place = np.uintp(tap * block - top * row_weights)
                        at_row = np.uintp(window + top * row_sums)
                        _add(
                            values[x],
                            reach[1, i] - top,
                            at_row,
                            place,
                            row_sums,
                            row_weights,
                            vectors,
                            filters,
                            tile,
                        )
        _give(tile, corner, row_sums, bias, n, block, which * block, end - begin, begin, sizes, out)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_sets(
    stored, starts, code, groups, tables, kernel, padded, weights, sizes, split, first, step, out
):  # type: ignore[no-untyped-def]
    """Convolve from CPS.

    Args:
        stored: the values; words of 2 bytes, or an empty array; words of 4 bytes, or an empty array.
        starts: where the values of each bucket begin; where its words begin; each also where the last one ends.
        code: of a class and window, what is added to a column as a word spells it to have it counted in its window.

    ``padded`` has a fourth number: how many channels a word tells apart. The others are as in ``add_entries``.
    """
    values, narrow, wide = stored
    values_starts, words_starts = starts
    image_groups, channels = groups
    column_place, reach = tables
    weight, bias = weights
    kw, (tall, all_channels, classes, told), (oh, ow) = kernel[1], padded, (sizes[1], sizes[2])
    block, blocks, across, ranges = split
    small, high = len(narrow) > 0, (tall + ROWS - 1) // ROWS
    taps = all_channels * kernel[0] * kw * block
    row_weights = kernel[2] * kw * block
    row_sums = (
        across * block // LANES | 1
    ) * LANES  # an odd number of vectors, so that rows fall in all parts of a cache
    tile = np.empty(row_sums * oh + LANES, np.float32)
    corner = (
        -(np.intp(tile.ctypes.data) // 4) % LANES
    )  # an intp: unsigned numbers would make it a float
    for task in range(first, (len(image_groups) - 1) * blocks * ranges, step):
        n, which, part = task // (blocks * ranges), task // ranges % blocks, task % ranges
        begin, end = part * across, min(ow, part * across + across)
        filters = weight[which * taps :][:taps]
        tile[corner : corner + oh * row_sums] = np.float32(0)
        for group in range(image_groups[n], image_groups[n + 1]):
            for overlap in range(classes):
                for s in range(max(0, begin - overlap), end):
                    bucket = (group * classes + overlap) * ow + s
                    further = max(0, begin - s)  # windows left of the range are another task's
                    window = corner + (s - begin + further) * block
                    vectors = (min(overlap + 1, end - s) - further) * block // LANES
                    at = np.uintp(values_starts[bucket])
                    for x in range(
                        np.uintp(words_starts[bucket]), np.uintp(words_starts[bucket + 1])
                    ):
                        word = np.uint32(narrow[x]) if small else wide[x]
                        number = word >> np.uint32(ROWS)
                        line = number // np.uint32(high)
                        row = np.intp(number - line * np.uint32(high)) * ROWS
                        rank = line // np.uint32(told)
                        c = np.intp(line - rank * np.uint32(told)) + channels[group]
                        local = np.intp(rank) + code[overlap * ow + s]
                        mask = word & np.uint32(15)
                        while mask:
                            i = row + np.intp(lowest_bit(mask))
                            mask &= mask - np.uint32(1)
                            top = reach[0, i]
                            tap = (c * kernel[0] + i) * kw + column_place[local] + further
                            place = np.uintp(tap * block - top * row_weights)
                            at_row = np.uintp(window + top * row_sums)
                            _add(
                                values[at],
                                reach[1, i] - top,
                                at_row,
                                place,
                                row_sums,
                                row_weights,
                                vectors,
                                filters,
                                tile,
                            )
                            at += np.uintp(1)
        _give(tile, corner, row_sums, bias, n, block, which * block, end - begin, begin, sizes, out)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def tally(narrow, wide, begin, bucket, high, words, values):  # type: ignore[no-untyped-def]
    """Of words that know their column: how many each bucket has, and how many values, ``[groups, buckets]`` (zero before).

    ``begin`` is where the words of each group begin, ``bucket`` the one of each padded column.
    """
    for group in range(len(begin) - 1):
        for x in range(begin[group], begin[group + 1]):
            word = np.int64(narrow[x]) if len(narrow) else np.int64(wide[x])
            which = bucket[(word >> ROWS) // high]
            words[group, which] += 1
            values[group, which] += (word & 1) + (word >> 1 & 1) + (word >> 2 & 1) + (word >> 3 & 1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_bits(narrow, wide, starts, values):  # type: ignore[no-untyped-def]
    """How many values the words of each bucket stand for (zero before)."""
    for bucket in range(len(starts) - 1):
        for x in range(starts[bucket], starts[bucket + 1]):
            word = np.int64(narrow[x]) if len(narrow) else np.int64(wide[x])
            values[bucket] += (word & 1) + (word >> 1 & 1) + (word >> 2 & 1) + (word >> 3 & 1)
