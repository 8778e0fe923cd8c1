"""Numba: Gaussian product integrals, many at a time, and what every pair of components would lose by being merged.

Components lie side by side, ``c [F, N]``: d rows of means, then the lower triangle of the covariances row by row, so
that every inner loop runs over neighbouring components (lanes) and is vectorised by the compiler in any dimension;
``rows [N, F]`` holds the same, one component after another. All inner products are in units of the largest
self-product (``unit``, per dimension), so that nothing overflows and what underflows is nothing beside it.
"""

from __future__ import annotations

import numba
import numpy as np

LANES = 64
"""Components handled together; their temporaries fit in the first cache."""

PAD = 8
"""Lanes are computed in multiples of this, a whole vector register; so ``c`` and ``w`` have as many empty columns more."""

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUNDER = 6755399441055744.0  # 1.5 · 2^52: adding it leaves an integer in the lowest bits
A = tuple(1.0 / float(np.prod(np.arange(1, k + 1, dtype=float))) for k in range(14))
"""Coefficients of the exponential series."""

GONE = -1.0
"""Stands for the self-product of a component that was merged into another one, or removed."""

FAST = {"contract", "nsz", "arcp"}


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def exp_of_negative(x):  # type: ignore[no-untyped-def]
    """``exp(x)`` for x ≤ 0 to two units in the last place; below 1e-307 that number stays.

    A Taylor polynomial around the nearest multiple of log 2. Free of branches and calls, unlike the library's, and so
    the loops around it are vectorised.
    """
    x = max(x, -707.0)
    whole = np.floor(x * LOG2E + 0.5)
    rest = (x - whole * LN2_HIGH) - whole * LN2_LOW
    total = A[13]
    for k in range(12, -1, -1):
        total = total * rest + A[k]
    power = (np.float64(whole + ROUNDER).view(np.int64) + 1023) << 52
    return total * np.int64(power).view(np.float64)


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def kernel_in_2d(one, x, y, xx, xy, yy):  # type: ignore[no-untyped-def]
    """``exp(-r' C^-1 r / 2) / √det C`` of a component ``[5]`` with the one at (x, y) with covariance (xx, xy, yy)."""
    x, y, xx, xy, yy = x - one[0], y - one[1], xx + one[2], xy + one[3], yy + one[4]
    inverse = 1.0 / (xx * yy - xy * xy)
    square = (yy * x * x - 2.0 * xy * x * y + xx * y * y) * inverse
    return np.sqrt(inverse) * exp_of_negative(min(0.0, -0.5 * square))


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def add_kernels(d, unit, factor, one, lanes, count, total, work):  # type: ignore[no-untyped-def]
    """Add ``factor · k(one, lane)`` to ``total [count]``, for one component ``[F]`` and ``count`` lanes ``[F, LANES]``.

    ``k`` is the product integral without ``(2π)^(-d/2)``, in units that make ``unit^d / √det`` of it. Up to three
    dimensions by closed forms, beyond by a factorisation L D Lᵀ in ``work [F, LANES]``.
    """
    if d == 1:
        for b in range(count):
            inverse = 1.0 / (one[1] + lanes[1, b])
            away = lanes[0, b] - one[0]
            total[b] += (
                factor * unit * np.sqrt(inverse) * exp_of_negative(-0.5 * away * away * inverse)
            )
    elif d == 2:
        for b in range(count):
            value = kernel_in_2d(
                one, lanes[0, b], lanes[1, b], lanes[2, b], lanes[3, b], lanes[4, b]
            )
            total[b] += factor * unit * unit * value
    elif d == 3:
        for b in range(count):
            x, y, z = lanes[0, b] - one[0], lanes[1, b] - one[1], lanes[2, b] - one[2]
            xx, xy, yy = one[3] + lanes[3, b], one[4] + lanes[4, b], one[5] + lanes[5, b]
            xz, yz, zz = one[6] + lanes[6, b], one[7] + lanes[7, b], one[8] + lanes[8, b]
            first = 1.0 / xx
            xy_, xz_ = xy * first, xz * first
            yy_ = yy - xy * xy_
            yz_ = (yz - xy * xz_) / yy_
            zz_ = zz - xz * xz_ - yz_ * yz_ * yy_
            y_ = y - xy_ * x
            z_ = z - xz_ * x - yz_ * y_
            square = x * x * first + y_ * y_ / yy_ + z_ * z_ / zz_
            total[b] += factor * unit**3 / np.sqrt(xx * yy_ * zz_) * exp_of_negative(-0.5 * square)
    else:
        _add_in_any_dimension(d, unit, factor, one, lanes, count, total, work)


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def _add_in_any_dimension(d, unit, factor, one, lanes, count, total, work):  # type: ignore[no-untyped-def]
    squares, before = work[len(one)], work[len(one) + 1]
    for b in range(count):
        squares[b], before[b] = 0.0, factor
    for u in range(d):
        for b in range(count):
            work[u, b] = lanes[u, b] - one[u]
    for u in range(d, len(one)):
        for b in range(count):
            work[u, b] = lanes[u, b] + one[u]
    for j in range(d):  # column by column: the pivot, then what it takes from all that follows
        pivot = d + j * (j + 1) // 2 + j
        for b in range(count):
            inverse = 1.0 / work[pivot, b]
            work[pivot, b] = inverse
            before[b] *= unit * np.sqrt(inverse)
            squares[b] += work[j, b] * work[j, b] * inverse
        for i in range(j + 1, d):
            row = d + i * (i + 1) // 2
            for b in range(count):
                work[i, b] -= work[row + j, b] * work[pivot, b] * work[j, b]
            for k in range(j + 1, i + 1):
                other = d + k * (k + 1) // 2 + j
                for b in range(count):
                    work[row + k, b] -= work[row + j, b] * work[pivot, b] * work[other, b]
    for b in range(count):
        total[b] += before[b] * exp_of_negative(-0.5 * squares[b])


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def merge_lanes(d, c, w, i, start, count, lanes):  # type: ignore[no-untyped-def]
    """Set ``lanes [F + 1, LANES]`` to the merges of component ``i`` with each of ``start …``; weightless pairs stay as ``i``
    is. The last row is left with the other component's share.
    """
    share = lanes[len(c)]
    for b in range(count):
        weight = w[i] + w[start + b]
        share[b] = w[start + b] / weight if weight > 0.0 else 0.0
    for f in range(len(c)):
        for b in range(count):
            lanes[f, b] = c[f, i] + share[b] * (c[f, start + b] - c[f, i])
    for u in range(d):
        for v in range(u + 1):
            f = d + u * (u + 1) // 2 + v
            for b in range(count):
                apart = (c[u, start + b] - c[u, i]) * (c[v, start + b] - c[v, i])
                lanes[f, b] += share[b] * (1.0 - share[b]) * apart


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def losses(d, unit, w, c, rows, own, i, start, count, lanes, loss, temporary):  # type: ignore[no-untyped-def]
    """Set ``loss [count]`` to ``‖W N − w_i N_i − w_l N_l‖²`` of merging ``i`` with each lane l from ``start``.

    ``lanes`` are those merges, ``own [N]`` the self-products, ``temporary`` is ``[2 F + 7, LANES]``.
    """
    features = len(c)
    work, sums, others = (
        temporary[: features + 2],
        temporary[features + 2 : 2 * features + 2],
        temporary[2 * features + 2 :],
    )
    full = (count + PAD - 1) // PAD * PAD
    nothing = np.zeros(features)
    for k in range(4):
        for b in range(full):
            others[k, b] = 0.0
    for kind in range(4):  # i with l, i with the merge, l with the merge, the merge with itself
        for f in range(features):
            sign = -1.0 if f < d else 1.0
            for b in range(full):
                if kind == 0:
                    sums[f, b] = c[f, start + b]
                elif kind == 1:
                    sums[f, b] = lanes[f, b]
                elif kind == 2:
                    sums[f, b] = lanes[f, b] + sign * c[f, start + b]
                else:
                    sums[f, b] = lanes[f, b] + sign * lanes[f, b]
        add_kernels(d, unit, 1.0, rows[i] if kind < 2 else nothing, sums, full, others[kind], work)
    for b in range(count):
        p, q = w[i], w[start + b]
        weight = p + q
        singles = p * p * own[i] + q * q * own[start + b] + 2.0 * p * q * others[0, b]
        with_merge = p * others[1, b] + q * others[2, b]
        loss[b] = max(0.0, weight * weight * others[3, b] + singles - 2.0 * weight * with_merge)


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def products(d, unit, w, rows, c, first, last, total):  # type: ignore[no-untyped-def]
    """Set ``total [first : last]`` to the product of those components of ``c`` with the mixture of ``w`` and ``rows`` (the
    longer of the two is cut).
    """
    features = len(c)
    lanes, work, sums = (
        np.empty((features, LANES)),
        np.empty((features + 2, LANES)),
        np.empty(LANES),
    )
    for start in range(first, last, LANES):
        count = min(LANES, last - start)
        full = (count + PAD - 1) // PAD * PAD
        for f in range(features):
            for b in range(full):
                lanes[f, b] = c[f, start + b]
        for b in range(full):
            sums[b] = 0.0
        for k in range(min(len(w), len(rows))):
            if w[k] != 0.0:
                add_kernels(d, unit, w[k], rows[k], lanes, full, sums, work)
        for b in range(count):
            total[start + b] = sums[b]


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def merge(d, unit, i, j, fw, frows, w, c, rows, own, phi, s, pairs):  # type: ignore[no-untyped-def]
    """Merge component ``j`` into ``i``: everything but the pairs' products, for which ``refresh`` and ``rate`` are there.

    Returns:
        What g rose by: weights ``[3]``, components ``[3, F]`` and products with every component ``[N]``.
    """
    features, n = len(c), len(rows)
    lanes = np.empty((features + 1, LANES))
    merge_lanes(d, c, w, i, j, 1, lanes)
    hw, hrows, rho = np.array([w[i] + w[j], -w[i], -w[j]]), np.empty((3, features)), np.empty(n)
    for f in range(features):
        hrows[0, f], hrows[1, f], hrows[2, f] = lanes[f, 0], rows[i, f], rows[j, f]
    products(d, unit, hw, hrows, c, 0, n, rho)
    for k in range(n):
        s[k] += rho[k]
    for f in range(features):
        c[f, i] = rows[i, f] = lanes[f, 0]
    w[i], w[j] = hw[0], 0.0
    products(d, unit, np.ones(1), hrows, c, i, i + 1, own)
    products(d, unit, fw, frows, c, i, i + 1, phi)
    products(d, unit, w, rows, c, i, i + 1, s)
    own[j] = GONE
    for k in range(n):
        if k != j:
            pairs[1, max(j, k), min(j, k)] = np.inf
    return hw, hrows, rho


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def rate(d, unit, fw, frows, phi, w, c, rows, own, s, same, tasks, first, step, pairs):  # type: ignore[no-untyped-def]
    """What merging two components changes, ``pairs [3, N, N]`` (lower triangle): the rise of ``<f, g>``, the squared norm of
    the change, and its product with g.

    Each of ``tasks [T, 3]`` is a component, the first of its partners and how many (``LANES`` at most); every ``step``-th
    from ``first`` on is done. ``phi`` and ``s`` are the components' products with f and with g, ``own`` with themselves,
    or ``GONE``, which makes a pair's loss infinite; ``same``: g is f.
    """
    features = len(c)
    lanes, temporary, out = (
        np.empty((features + 1, LANES)),
        np.empty((2 * features + 7, LANES)),
        np.empty((3, LANES)),
    )
    for t in range(first, len(tasks), step):
        i, start, count = tasks[t, 0], tasks[t, 1], tasks[t, 2]
        full = (count + PAD - 1) // PAD * PAD
        merge_lanes(d, c, w, i, start, full, lanes)
        losses(d, unit, w, c, rows, own, i, start, count, lanes, out[1], temporary)
        for b in range(full):
            out[0, b] = out[2, b] = 0.0
        for which in range(1 if same else 2):
            weights, components = (w, rows) if which else (fw, frows)
            for n in range(len(components)):
                if weights[n] > 0.0:
                    add_kernels(
                        d, unit, weights[n], components[n], lanes, full, out[2 * which], temporary
                    )
        for b in range(count):
            j = start + b
            weight = w[i] + w[j]
            rise = weight * out[0, b] - w[i] * phi[i] - w[j] * phi[j]
            high, low = max(i, j), min(i, j)
            if high > low:
                pairs[0, high, low] = rise
                pairs[1, high, low] = out[1, b] if own[j] >= 0.0 else np.inf
                pairs[2, high, low] = (
                    rise if same else weight * out[2, b] - w[i] * s[i] - w[j] * s[j]
                )


@numba.njit(error_model="numpy", nogil=True, cache=True)
def as_numbers(row):  # type: ignore[no-untyped-def]
    """The first five numbers of a component as a tuple; as many as it has in two dimensions."""
    if len(row) < 5:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    return row[0], row[1], row[2], row[3], row[4]


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def refresh(d, unit, hw, hrows, rho, w, c, rows, tasks, first, step, pairs):  # type: ignore[no-untyped-def]
    """After g rose by ``h`` (weights ``hw [3]``, components ``hrows [3, F]``; ``rho`` its product with each component): the
    pairs' products with g. ``tasks``, ``first`` and ``step`` as in ``rate``.
    """
    features = len(c)
    lanes, work, total = (
        np.empty((features + 1, LANES)),
        np.empty((features + 2, LANES)),
        np.empty(LANES),
    )
    # numbers, not arrays, in the loop below: the compiler cannot know that a store leaves them as they are
    first_, second, third = as_numbers(hrows[0]), as_numbers(hrows[1]), as_numbers(hrows[2])
    hw0, hw1, hw2 = hw[0] * unit * unit, hw[1] * unit * unit, hw[2] * unit * unit
    for t in range(first, len(tasks), step):
        i, start, count = tasks[t, 0], tasks[t, 1], tasks[t, 2]
        if (
            w[i] == 0.0
        ):  # no component is left there, or it has no weight and no merge of it changes anything
            continue
        if d == 2:  # merge and products in one loop that keeps everything in registers
            full = (count + PAD - 1) // PAD * PAD
            wi, own = w[i], as_numbers(rows[i])
            for b in range(full):
                j = start + b
                share = w[j] / (wi + w[j])
                spread = share * (1.0 - share)
                x, y = c[0, j] - own[0], c[1, j] - own[1]
                xx = own[2] + share * (c[2, j] - own[2]) + spread * x * x
                xy = own[3] + share * (c[3, j] - own[3]) + spread * x * y
                yy = own[4] + share * (c[4, j] - own[4]) + spread * y * y
                x, y = own[0] + share * x, own[1] + share * y
                change = hw0 * kernel_in_2d(first_, x, y, xx, xy, yy)
                change += hw1 * kernel_in_2d(second, x, y, xx, xy, yy)
                change += hw2 * kernel_in_2d(third, x, y, xx, xy, yy)
                total[b] = change
            for b in range(count):
                j = start + b
                pairs[2, i, j] += (w[i] + w[j]) * total[b] - w[i] * rho[i] - w[j] * rho[j]
            continue
        full = (count + PAD - 1) // PAD * PAD
        merge_lanes(d, c, w, i, start, full, lanes)
        for b in range(full):
            total[b] = 0.0
        for k in range(3):
            add_kernels(d, unit, hw[k], hrows[k], lanes, full, total, work)
        for b in range(count):
            j = start + b
            pairs[2, i, j] += (w[i] + w[j]) * total[b] - w[i] * rho[i] - w[j] * rho[j]


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def best_pair(angle, a, b, pairs):  # type: ignore[no-untyped-def]
    """The pair ``(i, j)``, i < j, whose merge leaves the largest cosine (``angle``) or the smallest ISE, and its score.

    Cosines are compared as what they change, ``(c'/c)² − 1``, in which nothing cancels. Ties go to the lowest pair.
    Pairs with an infinite loss are out: their scores are minus infinity, or no number, which is larger than nothing.
    """
    n = pairs.shape[1]
    scores = np.empty(n)
    best, at_i, at_j = -np.inf, -1, -1
    for j in range(n):
        rises, losses, products_ = pairs[0, j], pairs[1, j], pairs[2, j]
        if angle:
            for i in range(j):
                x, y = rises[i] / a, (losses[i] + 2.0 * products_[i]) / b
                scores[i] = (2.0 * x + x * x - y) / (1.0 + y)
        else:
            for i in range(j):
                scores[i] = 2.0 * (rises[i] - products_[i]) - losses[i]
        for i in range(j):
            if scores[i] >= best and (scores[i] > best or i < at_i):  # rows come in the order of j
                best, at_i, at_j = scores[i], i, j
    return at_i, at_j, best
