"""Compiled hill climbing on the density of a Gaussian mixture."""

from __future__ import annotations

import numpy as np

from explore._parallel.compile import kernel

MAX_ITERATIONS, TOLERANCE = 2_000, 1e-7
MAX_NEWTON_STEP = 0.5
"""In standard deviations around the point."""


@kernel
def evaluate(x, means, precisions, logs, share, slope, gradient, precision, curvature):
    """Compute the log density at ``x`` and its derivatives.

    Sets ``gradient`` to that of the log density, ``precision`` to the mean precision around x, and
    ``curvature`` to minus the second derivatives of the density, relative to the density.
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
    gradient[:] = 0.0
    precision[:] = 0.0
    curvature[:] = 0.0
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
            gradient[u] += r * slope[u]
            for v in range(d):
                precision[u, v] += r * precisions[i, u, v]
                curvature[u, v] += r * (precisions[i, u, v] - slope[u] * slope[v])
    for u in range(d):
        gradient[u] /= weight
        for v in range(d):
            precision[u, v] /= weight
            curvature[u, v] /= weight
    return top + np.log(weight)


@kernel
def is_positive_definite(matrix):
    """Return whether a symmetric matrix is positive definite."""
    a, d = matrix.copy(), len(matrix)
    for j in range(d):
        if not a[j, j] > 0.0:
            return False
        for i in range(j + 1, d):
            for k in range(j + 1, d):
                a[i, k] -= a[i, j] * a[j, k] / a[j, j]
    return True


@kernel
def climb(starts, means, precisions, logs, same):
    """Find the maxima ``[k, d]`` that hill climbing from ``starts`` reaches, without saddles.

    The fixed-point iteration ``x ← (Σ r_i P_i)⁻¹ Σ r_i P_i μ_i`` never lowers the density but
    converges slowly. Where the density is concave, a short Newton step is tried first, and
    reverted if it lowers the density. ``logs`` are log weights plus half the log determinants of
    the precisions. Points closer than ``same``, in standard deviations, are one maximum.
    """
    n, d = means.shape
    maxima, count = np.empty((len(starts), d)), 0
    share, slope, gradient = np.empty(n), np.empty(d), np.empty(d)
    precision, curvature = np.empty((d, d)), np.empty((d, d))
    work = share, slope, gradient, precision, curvature
    for start in range(len(starts)):
        x = starts[start].copy()
        height = evaluate(x, means, precisions, logs, *work)
        for _ in range(MAX_ITERATIONS):
            safe_step = np.linalg.solve(precision, gradient)
            step, is_newton = safe_step, False
            if is_positive_definite(curvature):
                newton_step = np.linalg.solve(curvature, gradient)
                length = newton_step @ (precision @ newton_step)
                if length < MAX_NEWTON_STEP * MAX_NEWTON_STEP:
                    step, is_newton = newton_step, True
            converged = step @ (precision @ step) < TOLERANCE * TOLERANCE
            previous = x
            x = previous + step
            new_height = evaluate(x, means, precisions, logs, *work)
            if is_newton and new_height < height - 1e-12 * abs(height):
                x = previous + safe_step
                new_height = evaluate(x, means, precisions, logs, *work)
            height = new_height
            if converged:
                break
        if not is_positive_definite(curvature):
            continue
        is_duplicate = False
        for k in range(count):
            difference = x - maxima[k]
            is_duplicate = is_duplicate or difference @ (precision @ difference) < same * same
        if not is_duplicate:
            maxima[count] = x
            count += 1
    return maxima[:count]
