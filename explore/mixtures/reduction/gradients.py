"""Gradients of distances by the parameters of the second mixture, in the log domain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from explore.core.validation import check_choice, check_number
from explore.errors import InvalidInput
from explore.mixtures._gaussian import LOG_2PI, log_sum_exp, quiet
from explore.mixtures.inner_products import InnerProducts, check_pair, inner_log
from explore.mixtures.mixture import GaussianMixture

DIFFERENTIABLE_DISTANCES = ("cauchy-schwarz", "ise", "angle")


class Gradient(NamedTuple):
    """A distance and its derivatives by the parameters of the second mixture.

    The shapes are ``[m]``, ``[m, d]`` and ``[m, d, d]``. The last is symmetric;
    each entry is differentiated as if it were independent.
    """

    value: float
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray


@quiet
def gradient(
    f: GaussianMixture, g: GaussianMixture, kind: str = "cauchy-schwarz", ff: float | None = None
) -> Gradient:
    """Compute the distance from ``f`` to ``g`` and its derivatives by the parameters of ``g``.

    The weights are differentiated as independent numbers.

    Args:
        f, g: of equal dimension.
        kind: "cauchy-schwarz", "ise" or "angle". The angle has no derivative where it is zero, and
            numbers near there are inaccurate: minimise the Cauchy–Schwarz divergence instead, which
            has the same minimum.
        ff: ``inner_log(f, f)``, if it is already computed.

    Raises:
        UnknownName: another kind.
        InvalidInput: different dimensions, the derivative of an angle of zero, or a derivative that
            is larger than any number.
    """
    kind = check_choice("distance with a gradient", kind, DIFFERENTIABLE_DISTANCES)
    check_pair(f, g)
    ff = inner_log(f, f) if ff is None else check_number("ff", ff)
    result = differentiate(f, g, kind, ff)
    if not all(np.isfinite(part).all() for part in result):
        raise InvalidInput(
            "the distance or one of its derivatives is larger than any number; choose another unit"
        )
    return result


def differentiate(f: GaussianMixture, g: GaussianMixture, kind: str, ff: float) -> Gradient:
    """Return ``gradient`` of valid arguments."""
    v = g.weights
    fg, fg_weights, fg_means, fg_covariances = _log_inner_derivatives(f, g)
    gg, gg_weights, gg_means, gg_covariances = _log_inner_derivatives(g, g)
    by_mean, by_covariance = v[:, None], v[:, None, None]
    cross = fg_weights, by_mean * fg_means, by_covariance * fg_covariances
    own = 2 * gg_weights, 2 * by_mean * gg_means, 2 * by_covariance * gg_covariances
    if kind == "ise":
        value = float(np.exp(ff) - 2 * np.exp(fg) + np.exp(gg))
        pairs = zip(cross, own, strict=True)
        return Gradient(value, *(np.exp(gg) * b - 2 * np.exp(fg) * a for a, b in pairs))
    log_cosine = InnerProducts(ff, fg, gg).log_cosine
    changes = [0.5 * b - a for a, b in zip(cross, own, strict=True)]
    if kind == "cauchy-schwarz":
        return Gradient(-log_cosine, *changes)
    if log_cosine == 0:
        raise InvalidInput(
            "the angle is zero and has no derivative there; "
            "use cauchy-schwarz, which has the same minimum"
        )
    cosine = float(np.exp(log_cosine))
    slope = cosine / np.sqrt(-np.expm1(2 * log_cosine))
    return Gradient(float(np.arccos(cosine)), *(slope * change for change in changes))


def _log_inner_derivatives(
    f: GaussianMixture, g: GaussianMixture
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Compute ``log <f, g>`` and its derivatives.

    Returns:
        The value; the derivatives by g's weights ``[m]``, and by its means and covariances, divided
        by the weights.
    """
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
