"""Refinement of a reduced mixture: weights by least squares, or all parameters by L-BFGS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, nnls

from explore.core.validation import check_choice
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet, symmetric
from explore.mixtures.config import CRITERIA, ReduceConfig
from explore.mixtures.distances import distance
from explore.mixtures.inner_products import check_pair, gram_log, inner_log
from explore.mixtures.merging import MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction._coordinates import MixtureCoordinates
from explore.mixtures.reduction.gradients import differentiate
from explore.mixtures.reduction.stages import Stage

MIN_WEIGHT = 1e-12
"""Weights below this are set to zero."""

SINGULAR_COST = 1e6
"""The cost of a mixture with a singular covariance during the search."""


class Refined(NamedTuple):
    """A refined mixture, whether the search converged, its message, and the kernel evaluations."""

    mixture: GaussianMixture
    converged: bool
    message: str
    evaluations: int


@quiet
def best_weights(f: GaussianMixture, g: GaussianMixture, criterion: str = "angle") -> np.ndarray:
    """Compute the weights ``[m]`` (≥ 0, sum one) with which ``g`` is closest to ``f``.

    The angle does not depend on a common factor, so its best weights are the projection of f on the
    cone that the components span: non-negative least squares, then division by the sum. For the ISE
    the sum matters: the solution is the nearest point to f in the convex hull of the components,
    which is non-negative least squares with one more equation (a minimum-norm point).

    Args:
        f: the original.
        g: the mixture whose means and covariances are used.
        criterion: "angle" or "ise".

    Raises:
        UnknownName: another criterion.
    """
    criterion = check_choice("criterion", criterion, CRITERIA)
    check_pair(f, g)
    own, cross = gram_log(g, g), gram_log(f, g)
    scale = own.max()
    gram, target = np.exp(own - scale), f.weights @ np.exp(cross - scale)
    if not (np.isfinite(gram).all() and np.isfinite(target).all()):
        raise InvalidInput(
            "the products of these mixtures are larger than any number; choose another unit"
        )
    lower = _robust_cholesky(gram)
    solved = np.linalg.solve(lower, target)
    if criterion == "angle":
        weights = nnls(lower.T, solved)[0]
    else:
        differences = lower.T - solved[:, None]
        differences /= np.sqrt((differences**2).sum(0).max()) or 1.0
        equations = np.vstack([differences, np.ones(len(g))])
        weights = nnls(equations, np.append(np.zeros(len(g)), 1.0))[0]
    if weights.sum() <= 0:  # f and g do not overlap.
        return g.weights.copy()
    weights = weights / weights.sum()
    weights[weights < MIN_WEIGHT] = 0.0
    return weights / weights.sum()


def _robust_cholesky(gram: np.ndarray) -> np.ndarray:
    """Compute the lower Cholesky factor; equal components make the matrix singular, so lift it."""
    jitter, scale = 0.0, np.trace(gram) / len(gram)
    while True:
        try:
            return np.linalg.cholesky(gram + jitter * scale * np.eye(len(gram)))
        except np.linalg.LinAlgError:
            jitter = max(1e-15, 10 * jitter)


def refine_weights(f: GaussianMixture, g: GaussianMixture, criterion: str) -> Refined:
    """Return ``g`` with the best weights, or ``g`` itself where they are not better."""
    weights = best_weights(f, g, criterion)
    candidate = GaussianMixture._unchecked(weights, g.means, g.covariances)
    evaluations = len(f) * len(g) + len(g) ** 2
    if distance(f, candidate, criterion) <= distance(f, g, criterion):
        return Refined(candidate, True, "weights chosen", evaluations)
    return Refined(g, True, "weights kept: no better ones", evaluations)


def refine_all(
    f: GaussianMixture, g: GaussianMixture, criterion: str, max_iterations: int, min_weight: float
) -> Refined:
    """Return ``g`` after L-BFGS over all parameters, or ``g`` itself where that is not better.

    The search is over softmax logits, means and Cholesky factors with logarithmic diagonals. The
    angle is minimised through the Cauchy–Schwarz divergence, whose gradient stays finite. Weights
    stay above ``min_weight``, because without a lower bound they approach zero for a thousand
    iterations. Moments are not preserved.
    """
    # The criterion does not depend on the axes, and the search is better conditioned in white ones.
    lower = f.covariance_factor
    inverse = np.linalg.inv(lower)
    white_f, white_g = (
        GaussianMixture._unchecked(
            m.weights, (m.means - f.mean) @ inverse.T, inverse @ m.covariances @ inverse.T
        )
        for m in (f, g)
    )
    coordinates = MixtureCoordinates(white_g, min(min_weight, 0.999 / len(g)))
    kind = "cauchy-schwarz" if criterion == "angle" else "ise"
    ff, count = inner_log(white_f, white_f), 0
    unit = 1.0 if criterion == "angle" else float(np.exp(-ff))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        try:
            value, *derivatives = differentiate(white_f, coordinates.mixture(x), kind, ff)
        except np.linalg.LinAlgError:
            # A long step may make a covariance singular; the line search then tries a shorter one.
            return SINGULAR_COST, np.zeros_like(x)
        return unit * value, unit * coordinates.gradient(x, *derivatives)

    limits = {"maxiter": max_iterations, "maxfun": 20 * max_iterations}
    options = {**limits, "ftol": 1e-10, "gtol": 1e-6}
    result = minimize(objective, coordinates.start, jac=True, method="L-BFGS-B", options=options)
    white = coordinates.mixture(result.x)
    candidate = GaussianMixture._unchecked(
        white.weights,
        white.means @ lower.T + f.mean,
        symmetric(lower @ white.covariances @ lower.T),
    )
    try:
        is_finite = bool(np.isfinite(result.x).all())
        better = is_finite and distance(f, candidate, criterion) <= distance(f, g, criterion)
    except (np.linalg.LinAlgError, InvalidInput):
        better = False
    message = f"L-BFGS: {result.nit} iterations, {str(result.message).strip().lower()}"
    return Refined(
        candidate if better else g,
        bool(result.success),
        message if better else f"{message}; not better, so the mixture stays as it was",
        count * (len(f) * len(g) + len(g) ** 2),
    )


class Refinement(Stage):
    """One step that refines the merged mixture: its weights, or all parameters.

    Args:
        original: the mixture.
        scope: "weights" or "full".
        options: criterion and limits of the search.
    """

    steps = 1

    def __init__(self, original: GaussianMixture, scope: str, options: ReduceConfig) -> None:
        self.original, self.scope, self.options = original, scope, options
        self.phase = {"weights": "choosing weights", "full": "L-BFGS"}[scope]

    def advance(self, current: MutableMixture) -> None:
        """Refine the mixture."""
        f, g, options = self.original, current.freeze(), self.options
        if self.scope == "weights":
            refined = refine_weights(f, g, options.criterion)
        else:
            limits = options.max_iterations, options.min_weight
            refined = refine_all(f, g, options.criterion, *limits)
        current.set_parameters(refined.mixture)
        self.steps_done, self.evaluations = 1, refined.evaluations
        self.converged, self.message = refined.converged, refined.message

    def done(self, current: MutableMixture) -> bool:
        """Return whether the step is done."""
        return self.steps_done > 0
