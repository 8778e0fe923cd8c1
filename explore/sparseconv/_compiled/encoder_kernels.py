"""Numba: writing maps without their zeros: counting, finding where each column's values go, and putting them there.

Maps are flat, ``flat [N·C·H·W]``, with strides; a *strip* is what the formats keep together: one column of one channel
(CPO and CPS) or one window of one channel (CSCC), row by row. Strips are numbered [N, A, B] with B along the axis
that is contiguous: A are channels and B columns, or the other way round (channels last). No ``fastmath`` here: NaN is not
zero, and −0.0 is.
"""

from __future__ import annotations

import numba
import numpy as np

from explore.sparseconv._engine.simd import LANES, lowest_bit, other_than_zero

ZERO = np.float32(0)
ROWS = 4  # of a set of CPS


@numba.njit(nogil=True, cache=True, error_model="numpy")
def count(flat, by_image, by_a, by_row, rows, above, first, step, held):  # type: ignore[no-untyped-def]
    """Count what is not zero in each column, and sets of four rows with any of it: ``held [2, N, A, B]`` (zero before)."""
    _, images, first_axis, second_axis = held.shape
    seen = np.empty(second_axis, np.int32)
    for task in range(first, images * first_axis, step):
        n, a = task // first_axis, task % first_axis
        values, sets = held[0, n, a], held[1, n, a]
        seen[:] = 0
        for i in range(rows):
            line = flat[n * by_image + a * by_a + i * by_row :][:second_axis]
            for b in range(second_axis):
                found = np.int32(line[b] != ZERO)
                values[b] += found
                seen[b] |= found
            if (i + above) % ROWS == ROWS - 1 or i == rows - 1:
                for b in range(second_axis):
                    sets[b] += seen[b]
                    seen[b] = 0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def place(held, order, bucket, shared, start, filed, maps):  # type: ignore[no-untyped-def]
    """Where the values of each column begin in the order of CPO: ``start [N, C, W]``, −1 where there are none.

    Args:
        held: how many there are, ``[N, C, W]`` (of any strides, as is ``start``).
        order: the columns that are read, in order, ``[J]``.
        bucket: class and owner of each, as one number, ``[J]``.
        shared: whether channels share pointers.
        start: where each begins.
        filed: how many each bucket has, ``[groups, buckets]`` (zero before).
        maps: the maps that have any, ``[N·C]``, where channels do not share pointers.

    Returns:
        How many there are in all, and how many groups.
    """
    images, channels = held.shape[:2]
    start[:] = -1
    total, group = 0, 0
    if shared:
        for n in range(images):
            for p in range(len(order)):
                before = total
                for c in range(channels):
                    many = held[n, c, order[p]]
                    if many:
                        start[n, c, order[p]] = total
                        total += many
                filed[n, bucket[p]] += total - before
        return total, images
    for n in range(images):
        for c in range(channels):
            before = total
            for p in range(len(order)):
                many = held[n, c, order[p]]
                if many:
                    start[n, c, order[p]] = total
                    filed[group, bucket[p]] += many
                    total += many
            if total > before:
                maps[group] = n * channels + c
                group += 1
    return total, group


@numba.njit(nogil=True, cache=True, error_model="numpy")
def place_windows(held, width, stride, left, start, filed):  # type: ignore[no-untyped-def]
    """The same in the order of CSCC, by window: ``start [N, C, Ow]``, ``filed [N, Ow]``; ``left`` columns of padding."""
    images, channels, wide = held.shape
    total = 0
    for n in range(images):
        for s in range(start.shape[2]):
            before = total
            for c in range(channels):
                many = 0
                for j in range(max(0, s * stride - left), min(wide, s * stride - left + width)):
                    many += held[n, c, j]
                start[n, c, s] = total if many else -1
                total += many
            filed[n, s] = total - before
    return total


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _bits(flat, at, many):  # type: ignore[no-untyped-def]
    """A bit for each of the next ``many`` numbers (16 at most) that is not zero."""
    if at + np.uintp(LANES) <= np.uintp(len(flat)):
        found = other_than_zero(flat, at)
        return found if many >= LANES else found & np.uint32((1 << many) - 1)
    found = np.uint32(0)  # near the end of memory
    for b in range(many):
        if flat[at + np.uintp(b)] != ZERO:
            found |= np.uint32(1 << b)
    return found


@numba.njit(nogil=True, cache=True, error_model="numpy")
def fill(
    flat, strides, sizes, window, by_a, by_b, strip, times, start, narrow, wide, first, step, values
):  # type: ignore[no-untyped-def]
    """Write every value into its strip (with CSCC into several), and its index: ``by_a [A] + by_b [B] + row·pitch + …``.

    Args:
        flat: the maps.
        strides: of an image, of A, of a row, of a column.
        sizes: images, places along A, along B, rows, columns.
        window: columns that are read for one place along A, how far the next one's begin, columns of padding before the
            first; ``pitch``; and how much less an index is in each further strip.
        by_a: what an index has from A.
        by_b: what it has from B.
        strip: the first strip that each place along B belongs to, ``[B]``.
        times: to how many strips it belongs, ``[B]``.
        start: where each strip begins, ``[N, A, strips]``, −1 where it is empty.
        narrow: indices of 2 bytes, or empty.
        wide: indices of 4 bytes, or empty.
        first: of the tasks, one an image and place along A.
        step: from one task to the next.
        values: the values.
    """
    images, first_axis, second_axis, rows, columns = sizes
    by_image, of_a, by_row, by_column = strides
    width, apart, left, pitch, less = window
    cursor = np.empty(start.shape[2], np.int64)
    small = len(narrow) > 0
    for task in range(first, images * first_axis, step):
        n, a = task // first_axis, task % first_axis
        cursor[:] = start[n, a]
        column = a * apart - left
        low, high = max(0, -column), min(width, columns - column)
        for i in range(rows):
            for u in range(low, high):
                line = n * by_image + a * of_a + i * by_row + (u - left) * by_column
                index = by_a[a] + i * pitch + u
                for begin in range(0, second_axis, LANES):
                    bits = _bits(flat, np.uintp(line + begin), min(LANES, second_axis - begin))
                    while bits:
                        b = np.uintp(begin) + lowest_bit(bits)
                        bits &= bits - np.uint32(1)
                        value, number = flat[np.uintp(line) + b], index + by_b[b]
                        for t in range(times[b]):
                            s = np.uintp(strip[b] + t)
                            if cursor[s] < 0:  # no window reads it
                                continue
                            at = np.uintp(cursor[s])
                            cursor[s] += 1
                            values[at] = value
                            if small:
                                narrow[at] = number - t * less
                            else:
                                wide[at] = number - t * less


@numba.njit(nogil=True, cache=True, error_model="numpy")
def fill_sets(
    flat, strides, sizes, above, by_a, by_b, start, words_start, narrow, wide, first, step, values
):  # type: ignore[no-untyped-def]
    """Write the values of every column, and a word for each of its sets of four rows that has any.

    The number in a word is ``by_a [A] + by_b [B] + set``; the other arguments are as in ``fill``. ``above`` rows are
    padding. Columns that are not read begin at −1.
    """
    images, first_axis, second_axis, rows = sizes
    by_image, of_a, by_row = strides
    cursor, words_cursor = np.empty(second_axis, np.int64), np.empty(second_axis, np.int64)
    small = len(narrow) > 0
    lines = np.empty(ROWS, np.uint32)
    for task in range(first, images * first_axis, step):
        n, a = task // first_axis, task % first_axis
        cursor[:], words_cursor[:] = start[n, a], words_start[n, a]
        for block in range(above // ROWS, (rows + above - 1) // ROWS + 1):
            top = block * ROWS - above
            for begin in range(0, second_axis, LANES):
                any_row, many = np.uint32(0), min(LANES, second_axis - begin)
                for r in range(ROWS):
                    lines[r] = np.uint32(0)
                    if 0 <= top + r < rows:
                        at_row = n * by_image + a * of_a + (top + r) * by_row + begin
                        bits = lines[r] = _bits(flat, np.uintp(at_row), many)
                        any_row |= bits
                        while bits:
                            low = lowest_bit(bits)
                            bits &= bits - np.uint32(1)
                            b = np.uintp(begin) + low
                            if cursor[b] >= 0:
                                values[np.uintp(cursor[b])] = flat[np.uintp(at_row) + low]
                                cursor[b] += 1
                while any_row:
                    low = lowest_bit(any_row)
                    any_row &= any_row - np.uint32(1)
                    b = np.uintp(begin) + low
                    if words_cursor[b] >= 0:
                        mask = np.uint64(0)
                        for r in range(ROWS):
                            mask |= ((np.uint64(lines[r]) >> low) & np.uint64(1)) << np.uint64(r)
                        word = np.uint64((by_a[a] + by_b[b] + block) << ROWS) | mask
                        at = np.uintp(words_cursor[b])
                        words_cursor[b] += 1
                        if small:
                            narrow[at] = word
                        else:
                            wide[at] = word
