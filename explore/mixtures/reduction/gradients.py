"""How distances change with the second mixture's weights, means and covariances; all in the log domain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from explore.errors import InvalidInput, UnknownName
from explore.mixtures.distances import check_pair, inner_log
from explore.mixtures.mixture import LOG_2PI, GaussianMixture, log_sum_exp

KINDS = ("cauchy-schwarz", "ise", "angle")


class Gradient(NamedTuple):
    """A distance and its derivatives by ``weights [m]``, ``means [m, d]`` and ``covariances [m, d, d]`` (symmetric: each
    entry by itself).
    """

    value: float
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


def gradient(
    f: GaussianMixture, g: GaussianMixture, kind: str = "cauchy-schwarz", ff: float | None = None
) -> Gradient:
    """The distance from ``f`` to ``g`` and its derivatives by the parameters of ``g``, weights taken as free.

    Args:
        f, g: of equal dimension.
        kind: "cauchy-schwarz", "ise" or "angle". The last has no derivative where the angle is zero (it is infinite), and
            numbers lose their meaning near there: optimise the first, which has the same minimum.
        ff: ``inner_log(f, f)``, if known.

    Raises:
        UnknownName: another kind.
        InvalidInput: unlike dimensions, or the derivative of an angle of zero.
    """
    if kind not in KINDS:
        raise UnknownName("distance with a gradient", kind, KINDS)
    check_pair(f, g)
    ff = inner_log(f, f) if ff is None else ff
    v = g.weights
    fg, by_weight, by_mean, by_covariance = _pull(f, g)
    gg, own_weight, own_mean, own_covariance = _pull(g, g)
    cross = by_weight, v[:, None] * by_mean, v[:, None, None] * by_covariance  # of log <f, g>
    own = (
        2 * own_weight,
        2 * v[:, None] * own_mean,
        2 * v[:, None, None] * own_covariance,
    )  # of log <g, g>
    if kind == "ise":
        value = float(np.exp(ff) - 2 * np.exp(fg) + np.exp(gg))
        return Gradient(
            value, *(np.exp(gg) * b - 2 * np.exp(fg) * a for a, b in zip(cross, own, strict=True))
        )
    log_cosine = min(0.0, fg - 0.5 * (ff + gg))
    changes = [0.5 * b - a for a, b in zip(cross, own, strict=True)]
    if kind == "cauchy-schwarz":
        return Gradient(-log_cosine, *changes)
    if log_cosine == 0:
        raise InvalidInput(
            "the angle is zero, and has no derivative there; take cauchy-schwarz, which has the same minimum"
        )
    cosine = float(np.exp(log_cosine))
    steep = cosine / np.sqrt(-np.expm1(2 * log_cosine))
    return Gradient(float(np.arccos(cosine)), *(steep * change for change in changes))


def _pull(
    f: GaussianMixture, g: GaussianMixture
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """``log <f, g>`` and, of it, the derivative by g's weights ``[m]``, and by means and covariances over the weight."""
    with np.errstate(divide="ignore"):
        log_w, log_v = np.log(f.weights), np.log(g.weights)
    lower = np.linalg.cholesky(f.covariances[:, None] + g.covariances)
    inverse = np.linalg.inv(lower)
    solved = np.einsum("nkij,nkj->nki", inverse, f.means[:, None] - g.means)
    logs = (
        -0.5 * (solved**2).sum(-1)
        - np.log(np.diagonal(lower, axis1=2, axis2=3)).sum(-1)
        - 0.5 * f.dimension * LOG_2PI
    )
    total = log_sum_exp(log_w[:, None] + log_v + logs)
    share = np.exp(log_w[:, None] + logs - total)
    u = np.einsum("nkji,nkj->nki", inverse, solved)
    weighted = share[..., None] * u
    outer = np.einsum("nki,nkj->kij", weighted, u)
    precision = np.einsum("nk,nkli,nklj->kij", share, inverse, inverse, optimize=True)
    return total, share.sum(0), weighted.sum(0), 0.5 * (outer - precision)
