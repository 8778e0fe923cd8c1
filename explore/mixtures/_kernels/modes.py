"""Numba: hill climbing on a Gaussian mixture."""

from __future__ import annotations

import numba
import numpy as np

ROUNDS, TOLERANCE = 2_000, 1e-7
TRUST = 0.5
"""Longest Newton step, in standard deviations around the point."""


@numba.njit(error_model="numpy", nogil=True, cache=True)
def look(x, means, precisions, logs, share, slope, pull, total, curve):  # type: ignore[no-untyped-def]
    """Log density at ``x``; sets ``pull`` to its gradient, ``total`` to the precision around x, ``curve`` to minus the
    density's second derivatives (both relative to the density).
    """
    n, d = means.shape
    top = -np.inf
    for i in range(n):
        square = 0.0
        for u in range(d):
            for v in range(d):
                square += (x[u] - means[i, u]) * precisions[i, u, v] * (x[v] - means[i, v])
        share[i] = logs[i] - 0.5 * square
        top = max(top, share[i])
    weight = 0.0
    pull[:] = 0.0
    total[:] = 0.0
    curve[:] = 0.0
    for i in range(n):
        r = np.exp(share[i] - top)
        if r < 1e-18:
            continue
        weight += r
        for u in range(d):
            slope[u] = 0.0
            for v in range(d):
                slope[u] += precisions[i, u, v] * (means[i, v] - x[v])
        for u in range(d):
            pull[u] += r * slope[u]
            for v in range(d):
                total[u, v] += r * precisions[i, u, v]
                curve[u, v] += r * (precisions[i, u, v] - slope[u] * slope[v])
    for u in range(d):
        pull[u] /= weight
        for v in range(d):
            total[u, v] /= weight
            curve[u, v] /= weight
    return top + np.log(weight)


@numba.njit(error_model="numpy", nogil=True, cache=True)
def is_positive(matrix):  # type: ignore[no-untyped-def]
    """Whether a symmetric matrix is positive definite."""
    a, d = matrix.copy(), len(matrix)
    for j in range(d):
        if not a[j, j] > 0.0:
            return False
        for i in range(j + 1, d):
            for k in range(j + 1, d):
                a[i, k] -= a[i, j] * a[j, k] / a[j, j]
    return True


@numba.njit(error_model="numpy", nogil=True, cache=True)
def climb(starts, means, precisions, logs, same):  # type: ignore[no-untyped-def]
    """The maxima ``[k, d]`` that climbing from each of ``starts`` arrives at; saddles are left out.

    The fixed-point iteration ``x ← (Σ r_i P_i)⁻¹ Σ r_i P_i μ_i`` never goes down but is slow; where the density is
    concave a short Newton step is tried, and taken back if it went down. ``logs`` are log weights plus half the log
    determinants of the precisions; ``same``: points closer than this, in standard deviations, are one.
    """
    n, d = means.shape
    found, count = np.empty((len(starts), d)), 0
    share, slope, pull, total, curve = (
        np.empty(n),
        np.empty(d),
        np.empty(d),
        np.empty((d, d)),
        np.empty((d, d)),
    )
    for start in range(len(starts)):
        x = starts[start].copy()
        height, tried = look(x, means, precisions, logs, share, slope, pull, total, curve), False
        for _ in range(ROUNDS):
            safe = np.linalg.solve(total, pull)
            step, tried = safe, False
            if is_positive(curve):
                newton = np.linalg.solve(curve, pull)
                if newton @ (total @ newton) < TRUST * TRUST:
                    step, tried = newton, True
            small = step @ (total @ step) < TOLERANCE * TOLERANCE
            before = x
            x = before + step
            now = look(x, means, precisions, logs, share, slope, pull, total, curve)
            if tried and now < height - 1e-12 * abs(height):
                x = before + safe
                now = look(x, means, precisions, logs, share, slope, pull, total, curve)
            height = now
            if small:
                break
        if not is_positive(curve):
            continue
        known = False
        for k in range(count):
            away = x - found[k]
            known = known or away @ (total @ away) < same * same
        if not known:
            found[count] = x
            count += 1
    return found[:count]
