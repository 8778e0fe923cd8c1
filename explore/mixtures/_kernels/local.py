"""Numba: pair costs that no other merge changes (Runnalls, Salmond, local ISE), kept with the cheapest partner of each row."""

from __future__ import annotations

import numba
import numpy as np

from explore.mixtures._kernels.pairs import FAST, LANES, PAD, losses, merge_lanes

RUNNALLS, SALMOND, ISE = 0, 1, 2


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def log_determinants(d, lanes, count, out, work):  # type: ignore[no-untyped-def]
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
                    other = d + k * (k + 1) // 2 + j
                    for b in range(count):
                        work[row + k, b] -= work[row + j, b] * work[pivot, b] * work[other, b]


@numba.njit(error_model="numpy", fastmath=FAST, nogil=True, cache=True)
def cost(kind, d, unit, w, c, rows, own, tasks, first, step, costs):  # type: ignore[no-untyped-def]
    """The cost of merging two components, ``costs [N, N]`` (lower triangle), for ``tasks`` as in ``kernels.rate``.

    ``own`` are log determinants for Runnalls, self-products for the ISE. Salmond's fixed metric is the identity, for the
    components are whitened.
    """
    features = len(c)
    lanes, temporary, found = (
        np.empty((features + 1, LANES)),
        np.empty((2 * features + 7, LANES)),
        np.empty(LANES),
    )
    for t in range(first, len(tasks), step):
        i, start, count = tasks[t, 0], tasks[t, 1], tasks[t, 2]
        if kind == SALMOND:
            for b in range(count):
                j, square = start + b, 0.0
                for u in range(d):
                    square += (c[u, j] - c[u, i]) * (c[u, j] - c[u, i])
                found[b] = w[i] * w[j] / (w[i] + w[j]) * square if w[i] + w[j] > 0.0 else 0.0
        else:
            merge_lanes(d, c, w, i, start, (count + PAD - 1) // PAD * PAD, lanes)
            if kind == ISE:
                losses(d, unit, w, c, rows, own, i, start, count, lanes, found, temporary)
            else:
                log_determinants(d, lanes, count, found, temporary)
                for b in range(count):
                    j = start + b
                    found[b] = max(
                        0.0, 0.5 * (w[i] * (found[b] - own[i]) + w[j] * (found[b] - own[j]))
                    )
        for b in range(count):
            j = start + b
            if j != i:
                costs[max(i, j), min(i, j)] = found[b]


@numba.njit(error_model="numpy", nogil=True, cache=True)
def find_cheapest(j, alive, costs, least, partner):  # type: ignore[no-untyped-def]
    """The cheapest partner of ``j`` among the components before it; ties go to the lowest."""
    least[j], partner[j] = np.inf, -1
    for i in range(j):
        if alive[i] and costs[j, i] < least[j]:
            least[j], partner[j] = costs[j, i], i


@numba.njit(error_model="numpy", nogil=True, cache=True)
def cheapest_pair(alive, least, partner):  # type: ignore[no-untyped-def]
    """The pair ``(i, j)``, i < j, of least cost, and the cost; ties go to the lowest pair."""
    best, at_i, at_j = np.inf, -1, -1
    for j in range(len(alive)):
        if (
            alive[j]
            and partner[j] >= 0
            and (at_j < 0 or least[j] < best or (least[j] == best and partner[j] < at_i))
        ):
            best, at_i, at_j = least[j], partner[j], j
    return at_i, at_j, best


@numba.njit(error_model="numpy", nogil=True, cache=True)
def relink(i, j, alive, costs, least, partner):  # type: ignore[no-untyped-def]
    """Cheapest partners after ``j`` was merged into ``i`` (i < j) and the costs of ``i`` were computed anew."""
    find_cheapest(i, alive, costs, least, partner)
    for k in range(i + 1, len(alive)):
        if not alive[k]:
            continue
        if partner[k] == i or partner[k] == j:
            find_cheapest(k, alive, costs, least, partner)
        elif costs[k, i] < least[k] or (costs[k, i] == least[k] and i < partner[k]):
            least[k], partner[k] = costs[k, i], i
