"""Numba: convolves from the arrays of CSCC, CPO and CPS, entry by entry in the order of storage.

A task is one image, one block of filters and one range of output columns, and no two tasks share an
output. Its sums are kept in a *tile*, ``[output rows, output columns, filters of a block]``:
entries come column by column, so that the few tile columns to which they are added stay in the
first cache. When the task is done the tile is written to the output, with the bias.
"""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel
from explore.sparseconv._engine.simd import LANES, add_product, lowest_bit

SET_ROWS = 4  # of a set of CPS


@kernel
def repack(weight, sizes, places, first, step, out):
    """Repack weights ``[K, C, taps]``, flat, as ``[blocks, C, taps, filters of a block]``.

    They are zero beyond the last filter. ``places [taps]`` is the new place of each tap.
    """
    filters, channels, taps, block = sizes
    row = channels * taps
    for task in range(first, (filters + LANES - 1) // LANES, step):  # sixteen filters
        k0 = task * LANES
        corner = k0 // block * row * block + k0 % block
        lanes = min(LANES, filters - k0)
        for c in range(channels):
            for tap in range(taps):
                source, target = (
                    k0 * row + c * taps + tap,
                    corner + (c * taps + places[tap]) * block,
                )
                for k in range(lanes):
                    out[np.uintp(target + k)] = weight[np.uintp(source + k * row)]
                for k in range(lanes, LANES):
                    out[np.uintp(target + k)] = np.float32(0)


@kernel
def _write_tile(tile, corner, tile_row, bias, n, block, k0, columns, first_column, sizes, out):
    """Write a tile ``[Oh, columns, block]``, which begins at ``corner``, and add the bias."""
    filters, oh, _, by_image, by_filter, by_row, by_column = sizes
    block_filters = min(block, filters - k0)
    for y in range(oh):
        for x0 in range(0, columns, LANES):  # so few cache lines at a time that they stay cached
            x1 = min(columns, x0 + LANES)
            target = n * by_image + y * by_row + first_column * by_column + k0 * by_filter
            if by_filter == 1:
                for x in range(x0, x1):
                    for k in range(block_filters):
                        value = (
                            tile[np.uintp(corner + y * tile_row + x * block + k)]
                            + bias[np.uintp(k0 + k)]
                        )
                        out[np.uintp(target + x * by_column + k)] = value
            else:
                for k in range(block_filters):
                    for x in range(x0, x1):
                        value = (
                            tile[np.uintp(corner + y * tile_row + x * block + k)]
                            + bias[np.uintp(k0 + k)]
                        )
                        out[np.uintp(target + k * by_filter + x)] = value


@kernel(inline="always")
def _add_value(value, rows, sums, weights_start, tile_row, weight_row, vectors, weight, tile):
    """Add the products of one value to all outputs that read it, for all filters of the block.

    Kernel rows l are a loop over output rows y = (i − l) / Sh. The windows that read the value are
    neighbours in the tile, and so are their taps in the weights (see ``column_places``), so that
    the loop over windows and filters is one run of vectors.
    """
    for _ in range(rows):
        for q in range(vectors):
            offset = np.uintp(q * LANES)
            add_product(tile, sums + offset, value, weight, weights_start + offset)
        sums += np.uintp(tile_row)
        weights_start -= np.uintp(weight_row)


@kernel
def add_entries(
    stored,
    starts,
    groups,
    tables,
    kernel_sizes,
    padded_sizes,
    weights,
    sizes,
    split,
    first,
    step,
    out,
):
    """Convolve from CSCC or CPO.

    Args:
        stored: the values; indices of 2 bytes, or an empty array; those of 4 bytes, or empty.
        starts: where each bucket begins, by group, class and window, and where the last one ends.
        groups: where the groups of each image begin, ``[N + 1]``; the channel of each group, 0
            where the index contains it.
        tables: the place of each kernel column in the weights, ``[Kw]``; the first output row that
            reads each padded row, and the one after the last, ``[2, Hp]``.
        kernel_sizes: Kh, Kw, Sh, Sw.
        padded_sizes: Hp, C, overlap classes.
        weights: repacked; and the bias, ``[K]``.
        sizes: filters, Oh, Ow, and the output's strides: of an image, a filter, a row, a column.
        split: filters of a block, blocks, output columns of a range, ranges.
        first: task.
        step: from one task to the next.
        out: the output.
    """
    values, indices_2, indices_4 = stored
    image_groups, channels = groups
    column_place, reach = tables
    weight, bias = weights
    kw, oh, ow = kernel_sizes[1], sizes[1], sizes[2]
    padded_rows, all_channels, classes = padded_sizes
    block, blocks, range_columns, ranges = split
    two_bytes = len(indices_2) > 0
    taps = all_channels * kernel_sizes[0] * kw * block
    weight_row = kernel_sizes[2] * kw * block
    # An odd number of vectors, so that rows fall in all parts of a cache.
    tile_row = (range_columns * block // LANES | 1) * LANES
    tile = np.empty(tile_row * oh + LANES, np.float32)
    corner = -(np.intp(tile.ctypes.data) // 4) % LANES  # an unsigned number would make it a float
    for task in range(first, (len(image_groups) - 1) * blocks * ranges, step):
        n, filter_block, part = task // (blocks * ranges), task // ranges % blocks, task % ranges
        begin, end = part * range_columns, min(ow, part * range_columns + range_columns)
        filters = weight[filter_block * taps :][:taps]
        tile[corner : corner + oh * tile_row] = np.float32(0)
        for group in range(image_groups[n], image_groups[n + 1]):
            for overlap in range(classes):
                for s in range(max(0, begin - overlap), end):
                    bucket = (group * classes + overlap) * ow + s
                    skipped = max(0, begin - s)  # windows left of the range are another task's
                    window = corner + (s - begin + skipped) * block
                    vectors = (min(overlap + 1, end - s) - skipped) * block // LANES
                    for x in range(np.uintp(starts[bucket]), np.uintp(starts[bucket + 1])):
                        index = np.uint32(indices_2[x]) if two_bytes else indices_4[x]
                        line = index // np.uint32(kw)
                        local = np.intp(index - line * np.uint32(kw))
                        c = np.intp(line // np.uint32(padded_rows))
                        i = np.intp(line) - c * padded_rows
                        c += channels[group]
                        top = reach[0, i]
                        tap = (c * kernel_sizes[0] + i) * kw + column_place[local] + skipped
                        tap_start = np.uintp(tap * block - top * weight_row)
                        sums = np.uintp(window + top * tile_row)
                        _add_value(
                            values[x],
                            reach[1, i] - top,
                            sums,
                            tap_start,
                            tile_row,
                            weight_row,
                            vectors,
                            filters,
                            tile,
                        )
        _write_tile(
            tile,
            corner,
            tile_row,
            bias,
            n,
            block,
            filter_block * block,
            end - begin,
            begin,
            sizes,
            out,
        )


@kernel
def add_sets(
    stored,
    starts,
    code,
    groups,
    tables,
    kernel_sizes,
    padded_sizes,
    weights,
    sizes,
    split,
    first,
    step,
    out,
):
    """Convolve from CPS.

    Args:
        stored: the values; words of 2 bytes, or an empty array; those of 4 bytes, or empty.
        starts: where the values of each bucket begin, and where its words begin; each also where
            the last one ends.
        code: for each class and window, what turns the column in a word into one of its window.

    ``padded_sizes`` has a fourth number: the channels that a word distinguishes. The other
    arguments are those of ``add_entries``.
    """
    values, words_2, words_4 = stored
    values_starts, words_starts = starts
    image_groups, channels = groups
    column_place, reach = tables
    weight, bias = weights
    kw, oh, ow = kernel_sizes[1], sizes[1], sizes[2]
    padded_rows, all_channels, classes, word_channels = padded_sizes
    block, blocks, range_columns, ranges = split
    two_bytes, column_sets = len(words_2) > 0, (padded_rows + SET_ROWS - 1) // SET_ROWS
    taps = all_channels * kernel_sizes[0] * kw * block
    weight_row = kernel_sizes[2] * kw * block
    # An odd number of vectors, so that rows fall in all parts of a cache.
    tile_row = (range_columns * block // LANES | 1) * LANES
    tile = np.empty(tile_row * oh + LANES, np.float32)
    corner = -(np.intp(tile.ctypes.data) // 4) % LANES  # an unsigned number would make it a float
    for task in range(first, (len(image_groups) - 1) * blocks * ranges, step):
        n, filter_block, part = task // (blocks * ranges), task // ranges % blocks, task % ranges
        begin, end = part * range_columns, min(ow, part * range_columns + range_columns)
        filters = weight[filter_block * taps :][:taps]
        tile[corner : corner + oh * tile_row] = np.float32(0)
        for group in range(image_groups[n], image_groups[n + 1]):
            for overlap in range(classes):
                for s in range(max(0, begin - overlap), end):
                    bucket = (group * classes + overlap) * ow + s
                    skipped = max(0, begin - s)  # windows left of the range are another task's
                    window = corner + (s - begin + skipped) * block
                    vectors = (min(overlap + 1, end - s) - skipped) * block // LANES
                    position = np.uintp(values_starts[bucket])
                    for x in range(
                        np.uintp(words_starts[bucket]), np.uintp(words_starts[bucket + 1])
                    ):
                        word = np.uint32(words_2[x]) if two_bytes else words_4[x]
                        number = word >> np.uint32(SET_ROWS)
                        line = number // np.uint32(column_sets)
                        row = np.intp(number - line * np.uint32(column_sets)) * SET_ROWS
                        rank = line // np.uint32(word_channels)
                        c = np.intp(line - rank * np.uint32(word_channels)) + channels[group]
                        local = np.intp(rank) + code[overlap * ow + s]
                        mask = word & np.uint32(15)
                        while mask:
                            i = row + np.intp(lowest_bit(mask))
                            mask &= mask - np.uint32(1)
                            top = reach[0, i]
                            tap = (c * kernel_sizes[0] + i) * kw + column_place[local] + skipped
                            tap_start = np.uintp(tap * block - top * weight_row)
                            sums = np.uintp(window + top * tile_row)
                            _add_value(
                                values[position],
                                reach[1, i] - top,
                                sums,
                                tap_start,
                                tile_row,
                                weight_row,
                                vectors,
                                filters,
                                tile,
                            )
                            position += np.uintp(1)
        _write_tile(
            tile,
            corner,
            tile_row,
            bias,
            n,
            block,
            filter_block * block,
            end - begin,
            begin,
            sizes,
            out,
        )


@kernel
def count_buckets(words_2, words_4, starts, bucket, column_sets, words, values):
    """Count the words of each bucket, and their values, where words contain their column.

    Args:
        words_2: words of 2 bytes, or empty.
        words_4: words of 4 bytes, or empty.
        starts: where the words of each group begin.
        bucket: of each padded column.
        column_sets: sets of four rows in a column.
        words: number of words, ``[groups, buckets]`` (zero before).
        values: number of values, likewise.
    """
    for group in range(len(starts) - 1):
        for x in range(starts[group], starts[group + 1]):
            word = np.int64(words_2[x]) if len(words_2) else np.int64(words_4[x])
            word_bucket = bucket[(word >> SET_ROWS) // column_sets]
            words[group, word_bucket] += 1
            values[group, word_bucket] += _count_values(word)


@kernel
def count_bucket_values(words_2, words_4, starts, values):
    """Count the values that the words of each bucket stand for (zero before)."""
    for bucket in range(len(starts) - 1):
        for x in range(starts[bucket], starts[bucket + 1]):
            word = np.int64(words_2[x]) if len(words_2) else np.int64(words_4[x])
            values[bucket] += _count_values(word)


@kernel(inline="always")
def _count_values(word):
    return (word & 1) + (word >> 1 & 1) + (word >> 2 & 1) + (word >> 3 & 1)
