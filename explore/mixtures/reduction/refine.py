"""Better parameters for a given number of components: weights by non-negative least squares, then everything by L-BFGS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls

from explore.errors import UnknownName
from explore.mixtures.components import Parts
from explore.mixtures.config import CRITERIA, ReduceConfig
from explore.mixtures.distances import distance, gram_log, inner_log
from explore.mixtures.mixture import GaussianMixture, symmetric
from explore.mixtures.reduction.gradients import gradient
from explore.mixtures.reduction.stages import Kept

NOTHING = 1e-12
"""Weights below this are set to zero."""

ASTRAY = 1e6
"""What the search is told of a mixture with a singular covariance."""


class Refined(NamedTuple):
    """A mixture, whether the search for it ended by itself, what ended it, and kernel evaluations."""

    mixture: GaussianMixture
    converged: bool
    message: str
    evaluations: int


def best_weights(f: GaussianMixture, g: GaussianMixture, criterion: str = "angle") -> np.ndarray:
    """Weights ``[m]`` (≥ 0, sum one) with which the components of ``g`` come closest to ``f``.

    The angle does not see a common factor, so its best weights are the projection of f on the cone that the components
    span: non-negative least squares, then division by the sum. For the ISE the sum counts: the nearest point to f in the
    components' convex hull, which is non-negative least squares with one more equation (a minimum-norm point).

    Args:
        f: the original.
        g: gives means and covariances.
        criterion: "angle" or "ise".

    Raises:
        UnknownName: another criterion.
    """
    if criterion not in CRITERIA:
        raise UnknownName("criterion", criterion, CRITERIA)
    own, cross = gram_log(g, g), gram_log(f, g)
    scale = own.max()
    gram, target = np.exp(own - scale), f.weights @ np.exp(cross - scale)
    lower = _factor(gram)
    aim = np.linalg.solve(lower, target)
    if criterion == "angle":
        weights = nnls(lower.T, aim)[0]
    else:
        apart = lower.T - aim[:, None]
        apart /= np.sqrt((apart**2).sum(0).max()) or 1.0
        weights = nnls(np.vstack([apart, np.ones(len(g))]), np.append(np.zeros(len(g)), 1.0))[0]
    if weights.sum() <= 0:  # nothing of f is where g is
        return g.weights.copy()
    weights = weights / weights.sum()
    weights[weights < NOTHING] = 0.0
    return weights / weights.sum()


def refine_weights(f: GaussianMixture, g: GaussianMixture, criterion: str) -> Refined:
    """``g`` with the best weights, if that is no worse."""
    better = GaussianMixture.trusted(best_weights(f, g, criterion), g.means, g.covariances)
    evaluations = len(f) * len(g) + len(g) ** 2
    taken = distance(f, better, criterion) <= distance(f, g, criterion)
    return Refined(
        better if taken else g,
        True,
        "weights chosen" if taken else "weights kept: no better ones",
        evaluations,
    )


def refine_all(
    f: GaussianMixture, g: GaussianMixture, criterion: str, max_iterations: int, min_weight: float
) -> Refined:
    """``g`` after L-BFGS over softmax logits, means and Cholesky factors (diagonal as logarithms), if that is no worse.

    The angle is minimised through the Cauchy–Schwarz divergence, whose gradient stays finite. Weights stay above
    ``min_weight``: without a floor they drift to zero for a thousand iterations. Moments are not kept.
    """
    lower = np.linalg.cholesky(f.covariance)
    inverse = np.linalg.inv(
        lower
    )  # whiten: the criterion does not mind, the search is better conditioned
    f_, g_ = (
        GaussianMixture.trusted(
            m.weights, (m.means - f.mean) @ inverse.T, inverse @ m.covariances @ inverse.T
        )
        for m in (f, g)
    )
    coordinates = _Coordinates(g_, min(min_weight, 0.999 / len(g)))
    kind, ff, count = {"angle": "cauchy-schwarz", "ise": "ise"}[criterion], inner_log(f_, f_), 0
    unit = 1.0 if criterion == "angle" else float(np.exp(-ff))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        try:
            found = gradient(f_, coordinates.mixture(x), kind, ff)
        except (
            np.linalg.LinAlgError
        ):  # a step so long that a covariance is singular: the line search takes a shorter one
            return ASTRAY, np.zeros_like(x)
        return unit * found.value, unit * coordinates.back(
            x, found.weights, found.means, found.covariances
        )

    options = {
        "maxiter": max_iterations,
        "ftol": 1e-10,
        "gtol": 1e-6,
        "maxfun": 20 * max_iterations,
    }
    result = minimize(objective, coordinates.start, jac=True, method="L-BFGS-B", options=options)
    there = coordinates.mixture(result.x)
    moved = lower @ there.covariances @ lower.T
    better = GaussianMixture.trusted(
        there.weights, there.means @ lower.T + f.mean, symmetric(moved)
    )
    evaluations = count * (len(f) * len(g) + len(g) ** 2)
    try:
        taken = bool(np.isfinite(result.x).all()) and distance(f, better, criterion) <= distance(
            f, g, criterion
        )
    except np.linalg.LinAlgError:
        taken = False
    said = f"L-BFGS: {result.nit} iterations, {str(result.message).strip().lower()}"
    return Refined(
        better if taken else g,
        bool(result.success),
        said if taken else f"{said}; not taken, no better",
        evaluations,
    )


class Refinement(Kept):
    """One step that refines what the merges left: the weights, or everything."""

    def __init__(self, original: GaussianMixture, what: str, options: ReduceConfig) -> None:
        self.original, self.what, self.options, self.steps = original, what, options, 1
        self.phase = {"weights": "choosing weights", "full": "L-BFGS"}[what]

    def advance(self, parts: Parts) -> None:
        """Refine."""
        f, g, options = self.original, parts.mixture(), self.options
        if self.what == "weights":
            found = refine_weights(f, g, options.criterion)
        else:
            found = refine_all(f, g, options.criterion, options.max_iterations, options.min_weight)
        parts.put(found.mixture)
        self.taken, self.evaluations = 1, found.evaluations
        self.converged, self.message = found.converged, found.message

    def done(self, parts: Parts) -> bool:
        """Whether it was done."""
        return self.taken > 0


class _Coordinates:
    """A mixture as one vector: logits, means, factors row by row with the diagonal as logarithms."""

    def __init__(self, mixture: GaussianMixture, floor: float) -> None:
        self.m, self.d = mixture.means.shape
        self.floor, self.rest = floor, 1 - self.m * floor
        self.below = np.tril_indices(self.d)
        self.diagonal = np.flatnonzero(self.below[0] == self.below[1])
        entries = mixture.factors[:, *self.below].copy()
        entries[:, self.diagonal] = np.log(entries[:, self.diagonal])
        share = np.maximum((mixture.weights - floor) / self.rest, 1e-12)
        self.start = np.concatenate(
            [np.log(share / share.sum()), mixture.means.ravel(), entries.ravel()]
        )

    def _split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits, means, entries = np.split(x, [self.m, self.m + self.m * self.d])
        share = np.exp(logits - logits.max())
        filled = entries.reshape(self.m, -1).copy()
        filled[:, self.diagonal] = np.exp(np.clip(filled[:, self.diagonal], -300, 300))
        lower = np.zeros((self.m, self.d, self.d))
        lower[:, *self.below] = filled
        return share / share.sum(), means.reshape(self.m, self.d), lower

    def mixture(self, x: np.ndarray) -> GaussianMixture:
        share, means, lower = self._split(x)
        return GaussianMixture.trusted(
            self.floor + self.rest * share, means, lower @ np.swapaxes(lower, 1, 2)
        )

    def back(
        self, x: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
    ) -> np.ndarray:
        """The derivative by the vector, from those by the parameters."""
        share, _, lower = self._split(x)
        logits = self.rest * share * (weights - share @ weights)
        entries = (2 * covariances @ lower)[:, *self.below]
        entries[:, self.diagonal] *= np.diagonal(lower, axis1=1, axis2=2)
        return np.concatenate([logits, means.ravel(), entries.ravel()])


def _factor(gram: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor; equal components make the Gram matrix singular, so as little is added as is needed."""
    jitter, scale = 0.0, np.trace(gram) / len(gram)
    while True:
        try:
            return np.linalg.cholesky(gram + jitter * scale * np.eye(len(gram)))
        except np.linalg.LinAlgError:
            jitter = max(1e-15, 10 * jitter)
