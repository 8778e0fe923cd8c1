"""Closed-form distances between Gaussian mixtures: angle, chord, ISE, NISE and Cauchy–Schwarz.

The angle is our reading of the metric in Sajedi, Lawryshyn and Plataniotis (ICASSP 2023), of which
only the abstract and the beginning were available to us. They announce a metric on densities, in
closed form for Gaussian mixtures, and treat densities as elements of a Hilbert space; the angle
there is the simplest function with these properties. Minus the log of its cosine is the
Cauchy–Schwarz divergence, long known in closed form (Kampa et al., 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from explore.core.validation import check_choice, check_items
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.divergence import kl_divergence, mean_log_ratio
from explore.mixtures.inner_products import (
    InnerProducts,
    check_pair,
    gram_log,
    inner_log,
    inner_products,
)
from explore.mixtures.mixture import GaussianMixture

MAX_DIRECT_COSINE = 0.999
"""Above this cosine, the angle comes from the chord: arccos loses half of the digits near one."""


@quiet
def pdf_angle(
    f: GaussianMixture, g: GaussianMixture, products: InnerProducts | None = None
) -> float:
    """Compute the angle between two densities in L2, in radians.

    ``arccos(<f, g> / (‖f‖ ‖g‖))`` is a metric on ``[0, π/2]``. It does not change under a common
    invertible affine map. It does not measure mass: a wide component may carry much probability
    and hardly change the angle. Values below 1e-7 are rounding, except between two single
    Gaussians. Source: our reading of Sajedi et al. 2023 (see the docstring of this module).

    Args:
        f, g: of equal dimension.
        products: their inner products, if they are already computed.

    Example:
        >>> two = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> one = GaussianMixture([1.0], [0.0], [1.1])
        >>> round(pdf_angle(two, one), 4)
        0.805
    """
    products = _resolve_products(f, g, products)
    if len(f) == len(g) == 1:
        divergence = min(350.0, _cauchy_schwarz_of_gaussians(f, g))
        return float(np.arctan(np.sqrt(np.expm1(2 * divergence))))
    cosine = float(np.exp(products.log_cosine))
    if cosine <= MAX_DIRECT_COSINE:
        return float(np.arccos(cosine))
    return float(2 * np.arcsin(min(1.0, pdf_chord(f, g, products) / 2)))


@quiet
def pdf_chord(
    f: GaussianMixture, g: GaussianMixture, products: InnerProducts | None = None
) -> float:
    """Compute the chord ``‖f/‖f‖ − g/‖g‖‖ = √(2 − 2 cos θ)``, a metric on ``[0, √2]``.

    Arguments as for ``pdf_angle``.
    """
    products = _resolve_products(f, g, products)
    if len(f) == len(g) == 1:
        return float(np.sqrt(-2 * np.expm1(-_cauchy_schwarz_of_gaussians(f, g))))
    cosine = np.exp(products.log_cosine)
    if cosine <= MAX_DIRECT_COSINE:
        return float(np.sqrt(2 - 2 * cosine))
    both = GaussianMixture._unchecked(
        np.concatenate([f.weights, g.weights]),
        np.vstack([f.means, g.means]),
        np.vstack([f.covariances, g.covariances]),
    )
    sizes = [len(f), len(g)]
    scale = np.repeat(np.exp(-0.5 * (np.array([products.ff, products.gg]) - products.ff)), sizes)
    signed = np.repeat([1.0, -1.0], sizes) * both.weights * scale
    # Relative to <f, f>, equal terms of f and g cancel exactly, row by row.
    gram = np.exp(np.minimum(gram_log(both, both) - products.ff, 600.0))
    return float(np.sqrt(max(0.0, signed @ gram @ signed)))


@quiet
def ise(f: GaussianMixture, g: GaussianMixture, products: InnerProducts | None = None) -> float:
    """Compute the integrated squared error ``∫ (f − g)² dx``, in units of a density (1 / volume).

    It is not a metric, but its square root is. Arguments as for ``pdf_angle``.
    """
    products = _resolve_products(f, g, products)
    if abs(products.ff - products.gg) > 2:
        error = float(np.exp(products.ff) + np.exp(products.gg) - 2 * np.exp(products.fg))
    else:
        scale = float(np.exp(0.5 * (products.ff + products.gg)))
        error = scale * _relative_ise(f, g, products)
    return _check_size("ISE", error, "choose a smaller unit, or nise, which has none")


@quiet
def nise(f: GaussianMixture, g: GaussianMixture, products: InnerProducts | None = None) -> float:
    """Compute the normalised integrated squared error ``ISE / (‖f‖² + ‖g‖²)``, in ``[0, 1]``.

    It equals ``1 − cos θ / cosh(log(‖f‖ / ‖g‖))``, so it combines shape and size; its square root
    is a metric. Arguments as for ``pdf_angle``.
    """
    products = _resolve_products(f, g, products)
    size = float(np.cosh(min(700.0, 0.5 * abs(products.ff - products.gg))))
    if abs(products.ff - products.gg) > 2:
        return 1 - float(np.exp(products.log_cosine)) / size
    return min(1.0, _relative_ise(f, g, products) / (2 * size))


@quiet
def cauchy_schwarz(
    f: GaussianMixture, g: GaussianMixture, products: InnerProducts | None = None
) -> float:
    """Compute the Cauchy–Schwarz divergence ``−log cos θ``, in nats, on ``[0, ∞)``.

    It orders pairs as the angle does, but is not a metric. Arguments as for ``pdf_angle``.
    """
    products = _resolve_products(f, g, products)
    if len(f) == len(g) == 1:
        return _check_size("divergence", _cauchy_schwarz_of_gaussians(f, g), "use the angle")
    if products.log_cosine > np.log(MAX_DIRECT_COSINE):
        return float(-np.log1p(-0.5 * pdf_chord(f, g, products) ** 2))
    return _check_size("divergence", -products.log_cosine, "use the angle")


def _resolve_products(
    f: GaussianMixture, g: GaussianMixture, products: InnerProducts | None
) -> InnerProducts:
    """Return the inner products, which are computed if there are none.

    Raises:
        InvalidInput: they are something else, or one of the arguments is no mixture.
    """
    if products is None:
        return inner_products(f, g)
    check_pair(f, g)
    if not isinstance(products, InnerProducts):
        raise InvalidInput(
            f"products must be those of inner_products(f, g), got {type(products).__name__}"
        )
    return products


def _check_size(name: str, value: float, advice: str) -> float:
    """Return a distance that a float can hold.

    Raises:
        InvalidInput: it is larger than any number.
    """
    if not np.isfinite(value):
        raise InvalidInput(f"the {name} of these mixtures is larger than any number; {advice}")
    return value


def _relative_ise(f: GaussianMixture, g: GaussianMixture, products: InnerProducts) -> float:
    """Compute ``ISE / (‖f‖ ‖g‖)`` as a sum of two terms ≥ 0, so that no digits cancel."""
    size_term = 4 * float(np.sinh(0.25 * (products.ff - products.gg)) ** 2)
    return size_term + pdf_chord(f, g, products) ** 2


def _cauchy_schwarz_of_gaussians(f: GaussianMixture, g: GaussianMixture) -> float:
    """Compute the divergence of two single Gaussians.

    Shape and position are computed apart: in their sum, terms below 1e-16 would be lost.
    """
    first, second = f.covariances[0], g.covariances[0]
    lower = np.linalg.cholesky(0.5 * (first + second))
    position = 0.25 * float((np.linalg.solve(lower, f.means[0] - g.means[0]) ** 2).sum())
    if np.array_equal(first, second):
        return position
    log_roots = [float(np.log(np.diag(np.linalg.cholesky(c))).sum()) for c in (first, second)]
    return max(0.0, float(np.log(np.diag(lower)).sum()) - 0.5 * sum(log_roots)) + position


CLOSED_FORM_DISTANCES: dict[str, Callable[..., float]] = {
    "angle": pdf_angle,
    "chord": pdf_chord,
    "ise": ise,
    "nise": nise,
    "cauchy-schwarz": cauchy_schwarz,
}
"""The functions behind the kinds of ``distance``, except "kl"."""


@quiet
def distance(f: GaussianMixture, g: GaussianMixture, kind: str = "angle") -> float:
    """Compute the distance from ``f`` to ``g``.

    Args:
        f, g: of equal dimension.
        kind: "angle" (radians), "chord", "ise", "nise", "cauchy-schwarz" (nats), or "kl" (nats;
            10,000 draws, seed 0).

    Raises:
        UnknownName: another kind.
        InvalidInput: no mixtures, different dimensions, or a distance larger than any number.
    """
    kind = _check_kind(kind)
    if kind == "kl":
        return kl_divergence(f, g)[0]
    return CLOSED_FORM_DISTANCES[kind](f, g)


@quiet
def distance_matrix(mixtures: Sequence[GaussianMixture], kind: str = "angle") -> np.ndarray:
    """Compute the distances between all pairs, ``[n, n]``; "kl" is not symmetric.

    What depends on one mixture alone (its norm, its samples) is computed once.
    """
    mixtures = check_items("mixtures", mixtures)
    kind = _check_kind(kind)
    n = len(mixtures)
    matrix = np.zeros((n, n))
    for mixture in mixtures:
        check_pair(mixtures[0], mixture)
    if kind == "kl":
        for i, f in enumerate(mixtures):
            points = f.sample(10_000, 0)
            log_f = f.log_pdf(points)
            for j, g in enumerate(mixtures):
                if g is not f:
                    matrix[i, j] = mean_log_ratio(log_f - g.log_pdf(points))[0]
        return matrix
    measure = CLOSED_FORM_DISTANCES[kind]
    norms = [inner_log(f, f) for f in mixtures]
    for i in range(n):
        for j in range(i):
            products = inner_products(mixtures[i], mixtures[j], norms[i], norms[j])
            matrix[i, j] = matrix[j, i] = measure(mixtures[i], mixtures[j], products)
    return matrix


def _check_kind(kind: str) -> str:
    return check_choice("distance", kind, [*CLOSED_FORM_DISTANCES, "kl"])
