"""Compiled kernels for the merges of pairs of components; the arrays are those of ``products``."""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel
from explore.mixtures._kernels.products import (
    FAST_MATH,
    LANES,
    PAD,
    add_products,
    compute_products,
    product_in_2d,
)

MERGED = -1.0
"""Marks the self-product of a component that was merged into another one, or removed."""


@kernel(fastmath=FAST_MATH)
def merge_lanes(d, c, w, i, start, count, lanes):
    """Set ``lanes [F + 1, LANES]`` to the merges of component ``i`` with each of ``start …``.

    Where both weights are zero, the merge equals component ``i``. The last row is set to the other
    component's share of the weight.
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
                outer = (c[u, start + b] - c[u, i]) * (c[v, start + b] - c[v, i])
                lanes[f, b] += share[b] * (1.0 - share[b]) * outer


@kernel(fastmath=FAST_MATH)
def compute_losses(d, unit, w, c, rows, own, i, start, count, lanes, loss, temporary):
    """Set ``loss [count]`` to the squared L2 norm of the change by merging ``i`` with each lane.

    It is ``‖W N − w_i N_i − w_l N_l‖²`` for the lanes l from ``start`` on.

    ``lanes`` holds the merges, ``own [N]`` the self-products; ``temporary`` is
    ``[2 F + 7, LANES]``.
    """
    features = len(c)
    work, sums = temporary[: features + 2], temporary[features + 2 : 2 * features + 2]
    products = temporary[2 * features + 2 :]
    full = (count + PAD - 1) // PAD * PAD
    zero = np.zeros(features)
    for k in range(4):
        for b in range(full):
            products[k, b] = 0.0
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
        add_products(d, unit, 1.0, rows[i] if kind < 2 else zero, sums, full, products[kind], work)
    for b in range(count):
        p, q = w[i], w[start + b]
        weight = p + q
        singles = p * p * own[i] + q * q * own[start + b] + 2.0 * p * q * products[0, b]
        with_merge = p * products[1, b] + q * products[2, b]
        loss[b] = max(0.0, weight * weight * products[3, b] + singles - 2.0 * weight * with_merge)


@kernel(fastmath=FAST_MATH)
def merge_components(d, unit, i, j, fw, frows, w, c, rows, own, phi, s, pairs):
    """Merge component ``j`` into ``i`` and update everything except the products of pairs.

    Those are updated by ``update_products`` and ``rate_pairs``.

    Returns:
        Weights ``[3]`` and components ``[3, F]`` of the change of g, and its products ``[N]``.
    """
    features, n = len(c), len(rows)
    lanes = np.empty((features + 1, LANES))
    merge_lanes(d, c, w, i, j, 1, lanes)
    hw, hrows, rho = np.array([w[i] + w[j], -w[i], -w[j]]), np.empty((3, features)), np.empty(n)
    for f in range(features):
        hrows[0, f], hrows[1, f], hrows[2, f] = lanes[f, 0], rows[i, f], rows[j, f]
    compute_products(d, unit, hw, hrows, c, 0, n, rho)
    for k in range(n):
        s[k] += rho[k]
    for f in range(features):
        c[f, i] = rows[i, f] = lanes[f, 0]
    w[i], w[j] = hw[0], 0.0
    compute_products(d, unit, np.ones(1), hrows, c, i, i + 1, own)
    compute_products(d, unit, fw, frows, c, i, i + 1, phi)
    compute_products(d, unit, w, rows, c, i, i + 1, s)
    own[j] = MERGED
    for k in range(n):
        if k != j:
            pairs[1, max(j, k), min(j, k)] = np.inf
    return hw, hrows, rho


@kernel(fastmath=FAST_MATH)
def rate_pairs(d, unit, fw, frows, phi, w, c, rows, own, s, same, tasks, first, step, pairs):
    """Set ``pairs [3, N, N]`` (lower triangle) to what each merge of two components changes.

    The three numbers are the increase of ``<f, g>``, the squared norm of the change, and its
    product with g. Each of ``tasks [T, 3]`` is a component, the first of its partners and their
    number (``LANES`` at most); this call computes every ``step``-th task from ``first`` on. ``phi``
    and ``s`` are the components' products with f and with g, ``own`` with themselves, or
    ``MERGED``, which makes a pair's loss infinite. ``same`` says that g is f.
    """
    features = len(c)
    lanes, out = np.empty((features + 1, LANES)), np.empty((3, LANES))
    temporary = np.empty((2 * features + 7, LANES))
    for t in range(first, len(tasks), step):
        i, start, count = tasks[t, 0], tasks[t, 1], tasks[t, 2]
        full = (count + PAD - 1) // PAD * PAD
        merge_lanes(d, c, w, i, start, full, lanes)
        compute_losses(d, unit, w, c, rows, own, i, start, count, lanes, out[1], temporary)
        for b in range(full):
            out[0, b] = out[2, b] = 0.0
        for side in range(1 if same else 2):  # with f, then with g
            weights, components = (w, rows) if side else (fw, frows)
            total = out[2 * side]
            for n in range(len(components)):
                if weights[n] > 0.0:
                    add_products(d, unit, weights[n], components[n], lanes, full, total, temporary)
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


@kernel
def unpack_2d(row):
    """Return the first five numbers of a component (all in 2-D); zeros if it has fewer."""
    if len(row) < 5:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    return row[0], row[1], row[2], row[3], row[4]


@kernel(fastmath=FAST_MATH)
def update_products(d, unit, hw, hrows, rho, w, c, rows, tasks, first, step, pairs):
    """Update the products of ``pairs`` with g after g changed by h.

    h has weights ``hw [3]``, components ``hrows [3, F]`` and products ``rho [N]`` with each
    component. ``tasks``, ``first`` and ``step`` as in ``rate_pairs``.
    """
    features = len(c)
    lanes, total = np.empty((features + 1, LANES)), np.empty(LANES)
    work = np.empty((features + 2, LANES))
    # The loop below uses numbers instead of arrays: the compiler cannot exclude that a store
    # changes an array.
    first_, second, third = unpack_2d(hrows[0]), unpack_2d(hrows[1]), unpack_2d(hrows[2])
    hw0, hw1, hw2 = hw[0] * unit * unit, hw[1] * unit * unit, hw[2] * unit * unit
    for t in range(first, len(tasks), step):
        i, start, count = tasks[t, 0], tasks[t, 1], tasks[t, 2]
        if w[i] == 0.0:  # The component was merged or removed, or no merge of it changes anything.
            continue
        if d == 2:  # One loop computes merge and products and keeps everything in registers.
            full = (count + PAD - 1) // PAD * PAD
            wi, own = w[i], unpack_2d(rows[i])
            for b in range(full):
                j = start + b
                share = w[j] / (wi + w[j])
                spread = share * (1.0 - share)
                x, y = c[0, j] - own[0], c[1, j] - own[1]
                xx = own[2] + share * (c[2, j] - own[2]) + spread * x * x
                xy = own[3] + share * (c[3, j] - own[3]) + spread * x * y
                yy = own[4] + share * (c[4, j] - own[4]) + spread * y * y
                x, y = own[0] + share * x, own[1] + share * y
                change = hw0 * product_in_2d(first_, x, y, xx, xy, yy)
                change += hw1 * product_in_2d(second, x, y, xx, xy, yy)
                change += hw2 * product_in_2d(third, x, y, xx, xy, yy)
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
            add_products(d, unit, hw[k], hrows[k], lanes, full, total, work)
        for b in range(count):
            j = start + b
            pairs[2, i, j] += (w[i] + w[j]) * total[b] - w[i] * rho[i] - w[j] * rho[j]


@kernel(fastmath=FAST_MATH)
def find_best_pair(angle, a, b, pairs):
    """Return the pair ``(i, j)``, i < j, of largest cosine (``angle``) or least ISE, and its score.

    Cosines are compared by their relative change ``(c'/c)² − 1``, in which nothing cancels. Ties go
    to the lowest pair. Pairs with an infinite loss are never the best: their scores are minus
    infinity, or NaN, which is not larger than any number.
    """
    n = pairs.shape[1]
    scores = np.empty(n)
    best, best_i, best_j = -np.inf, -1, -1
    for j in range(n):
        rises, losses, products = pairs[0, j], pairs[1, j], pairs[2, j]
        if angle:
            for i in range(j):
                x, y = rises[i] / a, (losses[i] + 2.0 * products[i]) / b
                scores[i] = (2.0 * x + x * x - y) / (1.0 + y)
        else:
            for i in range(j):
                scores[i] = 2.0 * (rises[i] - products[i]) - losses[i]
        for i in range(j):
            if scores[i] >= best and (scores[i] > best or i < best_i):  # j only grows
                best, best_i, best_j = scores[i], i, j
    return best_i, best_j, best
