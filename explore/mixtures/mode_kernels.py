"""Numba: hill climbing on a Gaussian mixture."""

from __future__ import annotations

import numba
import numpy as np

ROUNDS, TOLERANCE = 5_000, 1e-7


@numba.njit(error_model="numpy", nogil=True, cache=True)
def climb(starts, means, precisions, logs, same):  # type: ignore[no-untyped-def]
    """The maxima ``[k, d]`` that the fixed-point iteration from each of ``starts`` arrives at; saddles are left out.

    ``x ← (Σ r_i P_i)⁻¹ Σ r_i P_i μ_i`` with responsibilities r never goes down. ``logs`` are log weights plus half the
    log determinants of the precisions.
    """
    n, d = means.shape
    found, count = np.empty((len(starts), d)), 0
    share, pull, x = np.empty(n), np.empty(d), np.empty(d)
    for start in range(len(starts)):
        x[:] = starts[start]
        for _ in range(ROUNDS):
            top = -np.inf
            for i in range(n):
                away = x - means[i]
                share[i] = logs[i] - 0.5 * (away @ (precisions[i] @ away))
                top = max(top, share[i])
            total = np.zeros((d, d))
            curve = np.zeros((d, d))
            pull[:] = 0.0
            for i in range(n):
                r = np.exp(share[i] - top)
                slope = precisions[i] @ (means[i] - x)
                for u in range(d):
                    pull[u] += r * slope[u]
                    for v in range(d):
                        total[u, v] += r * precisions[i, u, v]
                        curve[u, v] += r * (slope[u] * slope[v] - precisions[i, u, v])
            step = np.linalg.solve(total, pull)
            x += step
            if step @ (total @ step) < TOLERANCE * TOLERANCE * np.exp(share - top).sum():
                break
        if np.linalg.eigvalsh(curve)[-1] >= 0.0:
            continue
        scale = total / np.exp(share - top).sum()
        known = False
        for k in range(count):
            away = x - found[k]
            known = known or away @ (scale @ away) < same * same
        if not known:
            found[count] = x
            count += 1
    return found[:count]
