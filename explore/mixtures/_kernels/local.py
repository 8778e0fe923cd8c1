"""Compiled kernels for costs that depend on a pair alone (Runnalls, Salmond, local ISE)."""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel
from explore.mixtures._kernels.pairs import compute_losses, merge_lanes
from explore.mixtures._kernels.products import FAST_MATH, LANES, PAD

RUNNALLS, SALMOND, ISE = 0, 1, 2


@kernel(fastmath=FAST_MATH)
def lane_log_determinants(d, lanes, count, out, work):
    """Set ``out [count]`` to the log determinants of the covariances in ``lanes``."""
    if d == 1:
        for b in range(count):
            out[b] = np.log(lanes[1, b])
    elif d == 2:
        for b in range(count):
            out[b] = np.log(lanes[2, b] * lanes[4, b] - lanes[3, b] * lanes[3, b])
    else:
        for b in range(count):
            out[b] = 0.0
            for f in range(d, d + d * (d + 1) // 2):
                work[f, b] = lanes[f, b]
        for j in range(d):
            pivot = d + j * (j + 1) // 2 + j
            for b in range(count):
                out[b] += np.log(work[pivot, b])
                work[pivot, b] = 1.0 / work[pivot, b]
            for i in range(j + 1, d):
                row = d + i * (i + 1) // 2
                for k in range(j + 1, i + 1):
                    column = d + k * (k + 1) // 2 + j
                    for b in range(count):
                        work[row + k, b] -= work[row + j, b] * work[pivot, b] * work[column, b]


@kernel(fastmath=FAST_MATH)
def compute_costs(kind, d, unit, w, c, rows, own, tasks, first, step, costs):
    """Set ``costs [N, N]`` (lower triangle) to the costs of merges; ``tasks`` as in ``rate_pairs``.

    ``own`` holds log determinants for Runnalls, self-products for the ISE. Salmond's fixed metric
    is the identity, because the components are whitened.
    """
    features = len(c)
    lanes, values = np.empty((features + 1, LANES)), np.empty(LANES)
    temporary = np.empty((2 * features + 7, LANES))
    for t in range(first, len(tasks), step):
        i, start, count = tasks[t, 0], tasks[t, 1], tasks[t, 2]
        if kind == SALMOND:
            for b in range(count):
                j, square = start + b, 0.0
                for u in range(d):
                    square += (c[u, j] - c[u, i]) * (c[u, j] - c[u, i])
                values[b] = w[i] * w[j] / (w[i] + w[j]) * square if w[i] + w[j] > 0.0 else 0.0
        else:
            merge_lanes(d, c, w, i, start, (count + PAD - 1) // PAD * PAD, lanes)
            if kind == ISE:
                compute_losses(d, unit, w, c, rows, own, i, start, count, lanes, values, temporary)
            else:
                lane_log_determinants(d, lanes, count, values, temporary)
                for b in range(count):
                    j = start + b
                    bound = 0.5 * (w[i] * (values[b] - own[i]) + w[j] * (values[b] - own[j]))
                    values[b] = max(0.0, bound)
        for b in range(count):
            j = start + b
            if j != i:
                costs[max(i, j), min(i, j)] = values[b]


@kernel
def find_cheapest_partner(j, alive, costs, least, partner):
    """Find the cheapest partner of ``j`` among the components before it; ties go to the lowest."""
    least[j], partner[j] = np.inf, -1
    for i in range(j):
        if alive[i] and costs[j, i] < least[j]:
            least[j], partner[j] = costs[j, i], i


@kernel
def find_cheapest_pair(alive, least, partner):
    """Return the pair ``(i, j)``, i < j, of least cost, and its cost; ties go to the lowest."""
    best, best_i, best_j = np.inf, -1, -1
    for j in range(len(alive)):
        if not alive[j] or partner[j] < 0:
            continue
        tie = least[j] == best and partner[j] < best_i
        if best_j < 0 or least[j] < best or tie:
            best, best_i, best_j = least[j], partner[j], j
    return best_i, best_j, best


@kernel
def update_partners(i, j, alive, costs, least, partner):
    """Update the cheapest partners after ``j`` was merged into ``i`` (i < j)."""
    find_cheapest_partner(i, alive, costs, least, partner)
    for k in range(i + 1, len(alive)):
        if not alive[k]:
            continue
        if partner[k] == i or partner[k] == j:
            find_cheapest_partner(k, alive, costs, least, partner)
        elif costs[k, i] < least[k] or (costs[k, i] == least[k] and i < partner[k]):
            least[k], partner[k] = costs[k, i], i
