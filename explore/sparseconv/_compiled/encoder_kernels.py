"""Numba: counts the values of maps, assigns their positions in a format, and writes them there.

Maps are flat, ``maps [N·C·H·W]``, with strides. A *strip* is what the formats keep together: one
column of one channel (CPO and CPS) or one window of one channel (CSCC), row by row. Strips are
numbered [N, A, B] with B along the contiguous axis: A are channels and B columns, or, with channels
last, the other way round. No ``fastmath`` here: NaN is not zero, and −0.0 is.
"""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel
from explore.sparseconv._engine.simd import LANES, load_nonzero_bits, lowest_bit

ZERO = np.float32(0)
SET_ROWS = 4  # of a set of CPS


@kernel
def count_columns(maps, by_image, by_a, by_row, rows, above, first, step, counts):
    """Count the values of each column, and its sets of four rows that have any.

    ``counts [2, N, A, B]`` must be zero before.
    """
    _, images, first_axis, second_axis = counts.shape
    set_values = np.empty(second_axis, np.int32)
    for task in range(first, images * first_axis, step):
        n, a = task // first_axis, task % first_axis
        values, sets = counts[0, n, a], counts[1, n, a]
        set_values[:] = 0
        for i in range(rows):
            line = maps[n * by_image + a * by_a + i * by_row :][:second_axis]
            for b in range(second_axis):
                nonzero = np.int32(line[b] != ZERO)
                values[b] += nonzero
                set_values[b] |= nonzero
            if (i + above) % SET_ROWS == SET_ROWS - 1 or i == rows - 1:
                for b in range(second_axis):
                    sets[b] += set_values[b]
                    set_values[b] = 0


@kernel
def assign_positions(counts, order, bucket, shared, starts, bucket_sizes, maps):
    """Set the position of the first value of each column in the order of CPO.

    Args:
        counts: number of values of each column, ``[N, C, W]`` (of any strides, as is ``starts``).
        order: the columns that are read, in order, ``[J]``.
        bucket: class and owner of each of them, as one number, ``[J]``.
        shared: whether channels share pointers.
        starts: the positions, ``[N, C, W]``; −1 for a column without values.
        bucket_sizes: number of values in each bucket, ``[groups, buckets]`` (zero before).
        maps: the maps that have values, ``[N·C]``, where channels do not share pointers.

    Returns:
        The number of values, and the number of groups.
    """
    images, channels = counts.shape[:2]
    starts[:] = -1
    total, group = 0, 0
    if shared:
        for n in range(images):
            for p in range(len(order)):
                before = total
                for c in range(channels):
                    entries = counts[n, c, order[p]]
                    if entries:
                        starts[n, c, order[p]] = total
                        total += entries
                bucket_sizes[n, bucket[p]] += total - before
        return total, images
    for n in range(images):
        for c in range(channels):
            before = total
            for p in range(len(order)):
                entries = counts[n, c, order[p]]
                if entries:
                    starts[n, c, order[p]] = total
                    bucket_sizes[group, bucket[p]] += entries
                    total += entries
            if total > before:
                maps[group] = n * channels + c
                group += 1
    return total, group


@kernel
def assign_window_positions(counts, width, stride, left, starts, window_sizes):
    """Set the position of the first value of each window in the order of CSCC.

    Sets ``starts [N, C, Ow]`` and ``window_sizes [N, Ow]``; ``left`` is the columns of padding.
    Returns the number of values.
    """
    images, channels, columns = counts.shape
    total = 0
    for n in range(images):
        for s in range(starts.shape[2]):
            before = total
            for c in range(channels):
                entries = 0
                for j in range(max(0, s * stride - left), min(columns, s * stride - left + width)):
                    entries += counts[n, c, j]
                starts[n, c, s] = total if entries else -1
                total += entries
            window_sizes[n, s] = total - before
    return total


@kernel(inline="always")
def _bits(maps, start, lanes):
    """Return one bit for each of the next ``lanes`` values (at most 16) that is not zero."""
    if start + np.uintp(LANES) <= np.uintp(len(maps)):
        bits = load_nonzero_bits(maps, start)
        return bits if lanes >= LANES else bits & np.uint32((1 << lanes) - 1)
    bits = np.uint32(0)  # near the end of memory
    for b in range(lanes):
        if maps[start + np.uintp(b)] != ZERO:
            bits |= np.uint32(1 << b)
    return bits


@kernel
def write_entries(
    maps,
    strides,
    sizes,
    window,
    along_a,
    along_b,
    strips,
    repeats,
    starts,
    indices_2,
    indices_4,
    first,
    step,
    values,
):
    """Write every value into its strip (with CSCC into several), and its index.

    The index is ``along_a [A] + along_b [B] + row · pitch + column of the window``.

    Args:
        maps: the maps.
        strides: of an image, of A, of a row, of a column.
        sizes: images, length of A, length of B, rows, columns.
        window: columns that are read for one place along A; the step to the columns of the next
            place; columns of padding before the first; ``pitch``; and the difference of the indices
            of one value in two neighbouring strips.
        along_a: the part of an index that depends on A.
        along_b: the part that depends on B.
        strips: the first strip of each place along B, ``[B]``.
        repeats: the number of strips of each place along B, ``[B]``.
        starts: position of the first value of each strip, ``[N, A, strips]``; −1 if it has none.
        indices_2: indices of 2 bytes, or empty.
        indices_4: indices of 4 bytes, or empty.
        first: task, of which there is one for each image and place along A.
        step: from one task to the next.
        values: the values.
    """
    images, first_axis, second_axis, rows, columns = sizes
    by_image, by_a, by_row, by_column = strides
    width, window_step, left, pitch, index_step = window
    cursor = np.empty(starts.shape[2], np.int64)
    two_bytes = len(indices_2) > 0
    for task in range(first, images * first_axis, step):
        n, a = task // first_axis, task % first_axis
        cursor[:] = starts[n, a]
        column = a * window_step - left
        low, high = max(0, -column), min(width, columns - column)
        for i in range(rows):
            for u in range(low, high):
                line = n * by_image + a * by_a + i * by_row + (u - left) * by_column
                index = along_a[a] + i * pitch + u
                for begin in range(0, second_axis, LANES):
                    bits = _bits(maps, np.uintp(line + begin), min(LANES, second_axis - begin))
                    while bits:
                        b = np.uintp(begin) + lowest_bit(bits)
                        bits &= bits - np.uint32(1)
                        value, number = maps[np.uintp(line) + b], index + along_b[b]
                        for t in range(repeats[b]):
                            s = np.uintp(strips[b] + t)
                            if cursor[s] < 0:  # no window reads it
                                continue
                            position = np.uintp(cursor[s])
                            cursor[s] += 1
                            values[position] = value
                            if two_bytes:
                                indices_2[position] = number - t * index_step
                            else:
                                indices_4[position] = number - t * index_step


@kernel
def write_sets(
    maps,
    strides,
    sizes,
    above,
    along_a,
    along_b,
    starts,
    word_starts,
    words_2,
    words_4,
    first,
    step,
    values,
):
    """Write the values of every column, and a word for each of its sets of four rows that has any.

    The number in a word is ``along_a [A] + along_b [B] + set``; the other arguments are those of
    ``write_entries``. ``above`` rows are padding. Columns that no window reads start at −1.
    """
    images, first_axis, second_axis, rows = sizes
    by_image, by_a, by_row = strides
    cursor, word_cursor = np.empty(second_axis, np.int64), np.empty(second_axis, np.int64)
    two_bytes = len(words_2) > 0
    lines = np.empty(SET_ROWS, np.uint32)
    for task in range(first, images * first_axis, step):
        n, a = task // first_axis, task % first_axis
        cursor[:], word_cursor[:] = starts[n, a], word_starts[n, a]
        for block in range(above // SET_ROWS, (rows + above - 1) // SET_ROWS + 1):
            top = block * SET_ROWS - above
            for begin in range(0, second_axis, LANES):
                any_row, lanes = np.uint32(0), min(LANES, second_axis - begin)
                for r in range(SET_ROWS):
                    lines[r] = np.uint32(0)
                    if 0 <= top + r < rows:
                        row_start = n * by_image + a * by_a + (top + r) * by_row + begin
                        bits = lines[r] = _bits(maps, np.uintp(row_start), lanes)
                        any_row |= bits
                        while bits:
                            low = lowest_bit(bits)
                            bits &= bits - np.uint32(1)
                            b = np.uintp(begin) + low
                            if cursor[b] >= 0:
                                values[np.uintp(cursor[b])] = maps[np.uintp(row_start) + low]
                                cursor[b] += 1
                while any_row:
                    low = lowest_bit(any_row)
                    any_row &= any_row - np.uint32(1)
                    b = np.uintp(begin) + low
                    if word_cursor[b] >= 0:
                        mask = np.uint64(0)
                        for r in range(SET_ROWS):
                            mask |= ((np.uint64(lines[r]) >> low) & np.uint64(1)) << np.uint64(r)
                        word = np.uint64((along_a[a] + along_b[b] + block) << SET_ROWS) | mask
                        position = np.uintp(word_cursor[b])
                        word_cursor[b] += 1
                        if two_bytes:
                            words_2[position] = word
                        else:
                            words_4[position] = word
