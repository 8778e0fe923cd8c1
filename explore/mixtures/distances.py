"""Closed-form distances between Gaussian mixtures: angle, chord, ISE, NISE, Cauchy–Schwarz; and Monte-Carlo KL.

The angle is our reading of the metric in Sajedi, Lawryshyn and Plataniotis (ICASSP 2023): of that paper only the
abstract and the beginning could be read. They announce a metric on densities, in closed form for Gaussian mixtures,
and see densities as elements of a Hilbert space; the angle there is the plainest function that is all of that.
Minus the log of its cosine is the Cauchy–Schwarz divergence, long known in closed form (Kampa et al., 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from explore.errors import InvalidInput, UnknownName
from explore.mixtures.mixture import LOG_2PI, GaussianMixture, log_sum_exp

SMALL = 0.999
"""Above this cosine, the angle is computed from the chord, for arccos loses half of the digits near one."""

TILE = 4_000_000
"""Most numbers in one temporary array."""

UNROLLED = 4
"""Up to this dimension factors are computed entry by entry over all pairs at once, beyond it matrix by matrix."""


class Overlap(NamedTuple):
    """Logs of the three inner products of two mixtures in L2: ``<f, f>``, ``<f, g>``, ``<g, g>``."""

    ff: float
    fg: float
    gg: float

    @property
    def log_cosine(self) -> float:
        """``log c``; above zero by rounding only, which is clipped."""
        return min(0.0, self.fg - 0.5 * (self.ff + self.gg))


def log_gaussian(away: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """``log N(away; 0, C)`` for many pairs: differences ``[d, ...]`` and covariances ``[d, d, ...]`` (lower triangle read).

    Cholesky factor and forward substitution side by side; neither an inverse nor a determinant is formed.
    """
    d = len(away)
    total = np.full(away.shape[1:], -0.5 * d * LOG_2PI)
    if d > UNROLLED:
        lower = np.linalg.cholesky(np.moveaxis(covariances, (0, 1), (-2, -1)))
        solved = np.linalg.solve(lower, np.moveaxis(away, 0, -1)[..., None])[..., 0]
        return (
            total
            - 0.5 * (solved**2).sum(-1)
            - np.log(np.diagonal(lower, axis1=-2, axis2=-1)).sum(-1)
        )
    factor: list[list[np.ndarray]] = []
    solved_rows: list[np.ndarray] = []
    for i in range(d):
        row: list[np.ndarray] = []
        for j in range(i):
            entry = covariances[i, j] - sum(row[k] * factor[j][k] for k in range(j))
            row.append(entry / factor[j][j])
        pivot = covariances[i, i] - sum(entry**2 for entry in row)
        row.append(
            np.sqrt(np.maximum(pivot, 1e-16 * covariances[i, i]))
        )  # a sum of two positive definite ones
        factor.append(row)
        solved_rows.append((away[i] - sum(row[k] * solved_rows[k] for k in range(i))) / row[i])
        total -= 0.5 * solved_rows[i] ** 2 + np.log(row[i])
    return total


def gram_log(f: GaussianMixture, g: GaussianMixture) -> np.ndarray:
    """Logs of ``k(i, j) = ∫ N(x; μ_i, Σ_i) N(x; m_j, S_j) dx = N(μ_i; m_j, Σ_i + S_j)``, as ``[len(f), len(g)]``.

    Raises:
        InvalidInput: the mixtures have unlike dimensions.
    """
    check_pair(f, g)
    d = f.dimension
    rows = max(1, TILE // (len(g) * d * d))
    found = np.empty((len(f), len(g)))
    theirs, spread = g.means.T[:, None, :], np.moveaxis(g.covariances, 0, -1)[:, :, None, :]
    for start in range(0, len(f), rows):
        part = slice(start, start + rows)
        away = f.means[part].T[:, :, None] - theirs
        found[part] = log_gaussian(
            away, np.moveaxis(f.covariances[part], 0, -1)[:, :, :, None] + spread
        )
    return found


def weighted_gram_log(f: GaussianMixture, g: GaussianMixture) -> np.ndarray:
    """``log w_i + log v_j + log k(i, j)``, as ``[len(f), len(g)]``; -inf where a weight is zero."""
    with np.errstate(divide="ignore"):
        return np.log(f.weights)[:, None] + np.log(g.weights) + gram_log(f, g)


def inner_log(f: GaussianMixture, g: GaussianMixture) -> float:
    """``log ∫ f g dx``; finite however far apart they are.

    Example:
        >>> near, far = (GaussianMixture([1.0], [at], [1.0]) for at in (0.0, 200.0))
        >>> round(inner_log(near, far), 3)
        -10001.266
    """
    return log_sum_exp(weighted_gram_log(f, g))


def overlap(
    f: GaussianMixture, g: GaussianMixture, ff: float | None = None, gg: float | None = None
) -> Overlap:
    """The three inner products; those of a mixture with itself may be given, if they are known."""
    check_pair(f, g)
    return Overlap(
        inner_log(f, f) if ff is None else ff,
        inner_log(f, g),
        inner_log(g, g) if gg is None else gg,
    )


def pdf_angle(f: GaussianMixture, g: GaussianMixture) -> float:
    """Angle between two densities in L2, in radians: ``arccos(<f, g> / (‖f‖ ‖g‖))``, a metric on ``[0, π/2]``.

    Does not change under a common invertible affine map. It is blind to mass: a wide component may carry much
    probability and hardly turn it. Below 1e-7 it is rounding, except between two single Gaussians.
    Source: our reading of Sajedi et al. 2023 (see this module's first lines).

    Example:
        >>> two = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1])
        >>> one = GaussianMixture([1.0], [0.0], [1.1])
        >>> round(pdf_angle(two, one), 4)
        0.805
    """
    return angle_of(f, g, overlap(f, g))


def angle_of(f: GaussianMixture, g: GaussianMixture, products: Overlap) -> float:
    """The angle, where the inner products are known."""
    if len(f) == len(g) == 1:
        return float(np.arctan(np.sqrt(np.expm1(2 * min(350.0, _cauchy_schwarz_of_two(f, g))))))
    cosine = float(np.exp(products.log_cosine))
    return (
        float(np.arccos(cosine))
        if cosine <= SMALL
        else float(2 * np.arcsin(min(1.0, chord_of(f, g, products) / 2)))
    )


def pdf_chord(f: GaussianMixture, g: GaussianMixture) -> float:
    """``‖f/‖f‖ − g/‖g‖‖ = √(2 − 2 cos θ)``, a metric on ``[0, √2]``."""
    return chord_of(f, g, overlap(f, g))


def chord_of(f: GaussianMixture, g: GaussianMixture, products: Overlap) -> float:
    """The chord, where the inner products are known; from the Gram matrix of both where they are nearly parallel."""
    if len(f) == len(g) == 1:
        return float(np.sqrt(-2 * np.expm1(-_cauchy_schwarz_of_two(f, g))))
    cosine = np.exp(products.log_cosine)
    if cosine <= SMALL:
        return float(np.sqrt(2 - 2 * cosine))
    both = GaussianMixture.trusted(
        np.concatenate([f.weights, g.weights]),
        np.vstack([f.means, g.means]),
        np.vstack([f.covariances, g.covariances]),
    )
    scale = np.repeat(
        np.exp(-0.5 * (np.array([products.ff, products.gg]) - products.ff)), [len(f), len(g)]
    )
    signed = np.repeat([1.0, -1.0], [len(f), len(g)]) * both.weights * scale
    # the Gram matrix relative to <f, f>; equal terms of f and g cancel exactly, row by row
    gram = np.exp(np.minimum(gram_log(both, both) - products.ff, 600.0))
    return float(np.sqrt(max(0.0, signed @ gram @ signed)))


def ise(f: GaussianMixture, g: GaussianMixture) -> float:
    """Integrated squared error ``∫ (f − g)² dx``, in units of a density (1 / volume); not a metric (its root is)."""
    return ise_of(f, g, overlap(f, g))


def ise_of(f: GaussianMixture, g: GaussianMixture, products: Overlap) -> float:
    """The integrated squared error, where the inner products are known."""
    if abs(products.ff - products.gg) > 2:
        return float(np.exp(products.ff) + np.exp(products.gg) - 2 * np.exp(products.fg))
    return float(np.exp(0.5 * (products.ff + products.gg))) * _relative_ise(f, g, products)


def nise(f: GaussianMixture, g: GaussianMixture) -> float:
    """``ISE / (‖f‖² + ‖g‖²)``, in ``[0, 1]``; its root is a metric. ``1 − cos θ / cosh(log(‖f‖ / ‖g‖))``: shape and size."""
    return nise_of(f, g, overlap(f, g))


def nise_of(f: GaussianMixture, g: GaussianMixture, products: Overlap) -> float:
    """The normalised integrated squared error, where the inner products are known."""
    size = float(np.cosh(min(700.0, 0.5 * abs(products.ff - products.gg))))
    if abs(products.ff - products.gg) > 2:
        return 1 - float(np.exp(products.log_cosine)) / size
    return min(1.0, _relative_ise(f, g, products) / (2 * size))


def _relative_ise(f: GaussianMixture, g: GaussianMixture, products: Overlap) -> float:
    """``ISE / (‖f‖ ‖g‖)``, norms not far apart, as what they differ by plus the squared chord: two terms ≥ 0, nothing cancels."""
    return (
        4 * float(np.sinh(0.25 * (products.ff - products.gg)) ** 2) + chord_of(f, g, products) ** 2
    )


def cauchy_schwarz(f: GaussianMixture, g: GaussianMixture) -> float:
    """Cauchy–Schwarz divergence ``−log cos θ``, in nats, on ``[0, ∞)``; orders pairs as the angle does, but is no metric."""
    return cauchy_schwarz_of(f, g, overlap(f, g))


def cauchy_schwarz_of(f: GaussianMixture, g: GaussianMixture, products: Overlap) -> float:
    """The Cauchy–Schwarz divergence, where the inner products are known."""
    if len(f) == len(g) == 1:
        return _cauchy_schwarz_of_two(f, g)
    if products.log_cosine > np.log(SMALL):
        return float(-np.log1p(-0.5 * chord_of(f, g, products) ** 2))
    return -products.log_cosine


def _cauchy_schwarz_of_two(f: GaussianMixture, g: GaussianMixture) -> float:
    """Between single Gaussians. Shape and position apart, for their sum would lose what is below 1e-16."""
    away, first, second = f.means[0] - g.means[0], f.covariances[0], g.covariances[0]
    lower = np.linalg.cholesky(0.5 * (first + second))
    position = 0.25 * float((np.linalg.solve(lower, away) ** 2).sum())
    if np.array_equal(first, second):
        return position
    half_logs = [float(np.log(np.diag(np.linalg.cholesky(c))).sum()) for c in (first, second)]
    return max(0.0, float(np.log(np.diag(lower)).sum()) - 0.5 * sum(half_logs)) + position


def kl_divergence(
    f: GaussianMixture, g: GaussianMixture, draws: int = 10_000, rng: int | np.random.Generator = 0
) -> tuple[float, float]:
    """Kullback–Leibler divergence ``KL(f‖g)`` by Monte Carlo, in nats, with its standard error.

    Args:
        f: where draws come from.
        g: what is judged.
        draws: at least 2.
        rng: a generator or a seed.

    Raises:
        InvalidInput: fewer draws, or mixtures of unlike dimensions.

    Example:
        >>> f, g = GaussianMixture([1.0], [0.0], [1.0]), GaussianMixture([1.0], [1.0], [1.0])
        >>> value, error = kl_divergence(f, g)
        >>> abs(value - 0.5) < 4 * error
        True
    """
    check_pair(f, g)
    if not isinstance(draws, int | np.integer) or draws < 2:
        raise InvalidInput(f"draws must be a whole number ≥ 2, got {draws!r}")
    points = f.sample(draws, rng)
    return divergence_of(f.log_pdf(points) - g.log_pdf(points))


BOUNDED, DOMINANT = 3.0, 0.01
"""A value above the first, in a sum of squares of which one has more than this part, says that its variance is not known."""


def divergence_of(surplus: np.ndarray) -> tuple[float, float]:
    """``KL(f‖g)`` and its standard error from ``log f − log g`` at draws of f.

    The mean of ``g / f − 1`` over draws of f is zero; as much of it is added as makes the estimate surest (a control
    variate). Where g is close to f this leaves half the mean square of ``g / f − 1``, which is not negative as the plain
    mean may be. Where few draws decide over that square, or its mean is not zero within its error (g has mass where f
    has next to none), nothing is added.
    """
    excess = np.expm1(-np.clip(surplus, -50, 700))
    squares, share = excess**2, 0.0
    known = 0 < squares.max() < max(BOUNDED**2, DOMINANT * squares.sum())
    if known and abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(excess)):
        share = min(1.0, max(0.0, -float(np.cov(surplus, excess)[0, 1] / excess.var(ddof=1))))
    values = surplus + share * excess
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


KINDS: dict[str, Callable[[GaussianMixture, GaussianMixture, Overlap], float]] = {
    "angle": angle_of,
    "chord": chord_of,
    "ise": ise_of,
    "nise": nise_of,
    "cauchy-schwarz": cauchy_schwarz_of,
}
"""Distances in closed form, by the name that ``distance`` knows them by."""


def distance(f: GaussianMixture, g: GaussianMixture, kind: str = "angle") -> float:
    """The distance from ``f`` to ``g``.

    Args:
        f, g: of equal dimension.
        kind: "angle" (radians), "chord", "ise", "nise", "cauchy-schwarz" (nats), or "kl" (nats; 10,000 draws, seed 0).

    Raises:
        UnknownName: another kind.
        InvalidInput: unlike dimensions.
    """
    if kind == "kl":
        return kl_divergence(f, g)[0]
    if kind not in KINDS:
        raise UnknownName("distance", kind, [*KINDS, "kl"])
    return KINDS[kind](f, g, overlap(f, g))


def distance_matrix(mixtures: Sequence[GaussianMixture], kind: str = "angle") -> np.ndarray:
    """Distances among all, ``[n, n]``; the inner products of each with itself are computed once. "kl" is not symmetric."""
    n = len(mixtures)
    found = np.zeros((n, n))
    for mixture in mixtures:
        check_pair(mixtures[0], mixture)
    if kind == "kl":
        for i, f in enumerate(mixtures):
            points = f.sample(10_000, 0)
            own = f.log_pdf(points)
            found[i] = [
                0.0 if g is f else divergence_of(own - g.log_pdf(points))[0] for g in mixtures
            ]
        return found
    if kind not in KINDS:
        raise UnknownName("distance", kind, [*KINDS, "kl"])
    norms = [inner_log(f, f) for f in mixtures]
    for i in range(n):
        for j in range(i):
            products = overlap(mixtures[i], mixtures[j], norms[i], norms[j])
            found[i, j] = found[j, i] = KINDS[kind](mixtures[i], mixtures[j], products)
    return found


def check_pair(f: GaussianMixture, g: GaussianMixture) -> None:
    """Refuse what are not two mixtures of equal dimension.

    Raises:
        InvalidInput: they are not.
    """
    for given in (f, g):
        if not isinstance(given, GaussianMixture):
            raise InvalidInput(f"expected two GaussianMixtures, got {type(given).__name__}")
    if f.dimension != g.dimension:
        raise InvalidInput(
            f"expected mixtures of equal dimension, got {f.dimension} and {g.dimension}"
        )
