"""Compiled product integrals of Gaussian components, many at a time.

The components are the columns of ``c [F, N]``: d rows of means, then the lower triangle of the
covariances row by row. Every inner loop runs over neighbouring columns (lanes), so that the
compiler vectorises it in any dimension. ``rows [N, F]`` holds the same numbers, one component
after another. All products are in units of the largest self-product (``unit``, per dimension), so
that nothing overflows and what underflows is negligible.
"""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel

LANES = 64
"""Components that are processed together; their temporary arrays fit in the first cache."""

PAD = 8
"""Lanes are computed in multiples of this (a register), so ``c`` and ``w`` have spare columns."""

LOG2E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUNDER = 6755399441055744.0  # 1.5 · 2^52: adding it leaves an integer in the lowest bits
EXP_COEFFICIENTS = tuple(1.0 / float(np.prod(np.arange(1, k + 1, dtype=float))) for k in range(14))
"""Coefficients of the exponential series."""

FAST_MATH = {"contract", "nsz", "arcp"}


@kernel(fastmath=FAST_MATH)
def exp_nonpositive(x):
    """Compute ``exp(x)`` for x ≤ 0 to two units in the last place, but never less than 1e-307.

    A Taylor polynomial around the nearest multiple of log 2. Unlike the library's function it has
    no branches and no calls, so that the loops around it are vectorised.
    """
    x = max(x, -707.0)
    exponent = np.floor(x * LOG2E + 0.5)
    rest = (x - exponent * LN2_HIGH) - exponent * LN2_LOW
    total = EXP_COEFFICIENTS[13]
    for k in range(12, -1, -1):
        total = total * rest + EXP_COEFFICIENTS[k]
    power = (np.float64(exponent + ROUNDER).view(np.int64) + 1023) << 52
    return total * np.int64(power).view(np.float64)


@kernel(fastmath=FAST_MATH)
def product_in_2d(component, x, y, xx, xy, yy):
    """Compute ``exp(-r' C^-1 r / 2) / √det C`` of a component ``[5]`` with another one in 2-D."""
    x, y = x - component[0], y - component[1]
    xx, xy, yy = xx + component[2], xy + component[3], yy + component[4]
    inverse = 1.0 / (xx * yy - xy * xy)
    square = (yy * x * x - 2.0 * xy * x * y + xx * y * y) * inverse
    return np.sqrt(inverse) * exp_nonpositive(min(0.0, -0.5 * square))


@kernel(fastmath=FAST_MATH)
def add_products(d, unit, factor, component, lanes, count, total, work):
    """Add ``factor · k(component, lane)`` to ``total [count]`` for ``count`` lanes ``[F, LANES]``.

    ``k`` is the product integral without ``(2π)^(-d/2)``, in units of ``unit^(-d)``.
    Up to three dimensions it has a closed form; in more it needs a factorisation L D Lᵀ in
    ``work [F, LANES]``.
    """
    if d == 1:
        for b in range(count):
            inverse = 1.0 / (component[1] + lanes[1, b])
            shift = lanes[0, b] - component[0]
            total[b] += (
                factor * unit * np.sqrt(inverse) * exp_nonpositive(-0.5 * shift * shift * inverse)
            )
    elif d == 2:
        for b in range(count):
            value = product_in_2d(
                component, lanes[0, b], lanes[1, b], lanes[2, b], lanes[3, b], lanes[4, b]
            )
            total[b] += factor * unit * unit * value
    elif d == 3:
        for b in range(count):
            x, y, z = (
                lanes[0, b] - component[0],
                lanes[1, b] - component[1],
                lanes[2, b] - component[2],
            )
            xx, xy, yy = (
                component[3] + lanes[3, b],
                component[4] + lanes[4, b],
                component[5] + lanes[5, b],
            )
            xz, yz, zz = (
                component[6] + lanes[6, b],
                component[7] + lanes[7, b],
                component[8] + lanes[8, b],
            )
            first = 1.0 / xx
            xy_, xz_ = xy * first, xz * first
            yy_ = yy - xy * xy_
            yz_ = (yz - xy * xz_) / yy_
            zz_ = zz - xz * xz_ - yz_ * yz_ * yy_
            y_ = y - xy_ * x
            z_ = z - xz_ * x - yz_ * y_
            square = x * x * first + y_ * y_ / yy_ + z_ * z_ / zz_
            total[b] += factor * unit**3 / np.sqrt(xx * yy_ * zz_) * exp_nonpositive(-0.5 * square)
    else:
        _add_in_any_dimension(d, unit, factor, component, lanes, count, total, work)


@kernel(fastmath=FAST_MATH)
def _add_in_any_dimension(d, unit, factor, component, lanes, count, total, work):
    squares, scales = work[len(component)], work[len(component) + 1]
    for b in range(count):
        squares[b], scales[b] = 0.0, factor
    for u in range(d):
        for b in range(count):
            work[u, b] = lanes[u, b] - component[u]
    for u in range(d, len(component)):
        for b in range(count):
            work[u, b] = lanes[u, b] + component[u]
    for j in range(d):  # Column by column: the pivot, then its part of all later rows.
        pivot = d + j * (j + 1) // 2 + j
        for b in range(count):
            inverse = 1.0 / work[pivot, b]
            work[pivot, b] = inverse
            scales[b] *= unit * np.sqrt(inverse)
            squares[b] += work[j, b] * work[j, b] * inverse
        for i in range(j + 1, d):
            row = d + i * (i + 1) // 2
            for b in range(count):
                work[i, b] -= work[row + j, b] * work[pivot, b] * work[j, b]
            for k in range(j + 1, i + 1):
                column = d + k * (k + 1) // 2 + j
                for b in range(count):
                    work[row + k, b] -= work[row + j, b] * work[pivot, b] * work[column, b]
    for b in range(count):
        total[b] += scales[b] * exp_nonpositive(-0.5 * squares[b])


@kernel(fastmath=FAST_MATH)
def compute_products(d, unit, w, rows, c, first, last, total):
    """Set ``total [first : last]`` to the products of those components of ``c`` with a mixture.

    The mixture has the weights ``w`` and the components ``rows``. The
    longer of the two is cut.
    """
    features = len(c)
    lanes, sums = np.empty((features, LANES)), np.empty(LANES)
    work = np.empty((features + 2, LANES))
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
                add_products(d, unit, w[k], rows[k], lanes, full, sums, work)
        for b in range(count):
            total[start + b] = sums[b]
