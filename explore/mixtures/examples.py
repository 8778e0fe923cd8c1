"""Example mixtures by name: published benchmarks, and one fitted to handwritten digits."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from explore.core.validation import check_path, check_seed, check_whole_number
from explore.errors import InvalidInput, UnknownName
from explore.mixtures.mixture import GaussianMixture

MAX_RANDOM = 10**8
"""The most numbers in the covariances of a random mixture."""


def standard_1d() -> GaussianMixture:
    """Return ten components in 1-D, the standard case of the Tracker Component Library."""
    weights = [0.03, 0.18, 0.12, 0.19, 0.02, 0.16, 0.06, 0.10, 0.08, 0.06]
    means = [1.45, 2.20, 0.67, 0.48, 1.49, 0.91, 1.01, 1.42, 2.77, 0.89]
    variances = [0.0487, 0.0305, 0.1171, 0.0174, 0.0295, 0.0102, 0.0323, 0.0380, 0.0115, 0.0679]
    return GaussianMixture(weights, means, variances)


def bivariate() -> GaussianMixture:
    """Return three components in 2-D, an example of the Tracker Component Library."""
    covariances = [
        [[4 / 9, 14 / 45], [14 / 45, 4 / 9]],
        [[4 / 9, 0], [0, 4 / 9]],
        [[2 / 9, -1 / 9], [-1 / 9, 3 / 9]],
    ]
    return GaussianMixture([0.25, 0.5, 0.25], [[1, -1], [-1, 1], [0, 0]], covariances)


def claw() -> GaussianMixture:
    """Return the claw: a standard normal with five narrow fingers (Marron and Wand, 1992)."""
    means = [0.0, *(finger / 2 - 1 for finger in range(5))]
    return GaussianMixture([0.5, *[0.1] * 5], means, [1.0, *[0.01] * 5])


def random(components: int = 10, dimension: int = 4, seed: int = 0) -> GaussianMixture:
    """Draw Dirichlet(1) weights, uniform means on ``[0, 3]^d``, Wishart(d + 1, I/50) covariances.

    With ten components in 4-D, this is the random benchmark of Crouse et al. (FUSION 2011).
    """
    components = check_whole_number("components", components, at_least=1)
    dimension = check_whole_number("dimension", dimension, at_least=1)
    seed = check_seed(seed)
    if components * dimension**2 > MAX_RANDOM:
        raise InvalidInput(
            f"{components} covariances in {dimension} dimensions have more than {MAX_RANDOM:,} "
            "numbers; choose fewer components or dimensions"
        )
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(components))
    means = rng.uniform(0, 3, (components, dimension))
    normal = rng.standard_normal((components, dimension, dimension + 1)) / np.sqrt(50)
    return GaussianMixture(weights, means, normal @ np.swapaxes(normal, 1, 2))


def digits(components: int = 60, seed: int = 0) -> GaussianMixture:
    """Fit a mixture to 1,797 handwritten digits in their first two principal components."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture as Fitted

    components, seed = check_whole_number("components", components), check_seed(seed)
    if not 1 <= components <= 600:
        raise InvalidInput(
            f"components must be 1 to 600 (at least three digits for each), got {components}"
        )
    points = PCA(2, svd_solver="full").fit_transform(load_digits().data)
    model = Fitted(components, random_state=seed, reg_covar=1.0)
    return GaussianMixture.from_sklearn(model.fit(points))


EXAMPLES: dict[str, Callable[..., GaussianMixture]] = {
    "standard-1d": standard_1d,
    "bivariate": bivariate,
    "claw": claw,
    "random": random,
    "digits": digits,
}


def load_mixture(name: Any, **options: Any) -> GaussianMixture:
    """Return a mixture by its name, or from an ``.npz`` file with its three arrays.

    Args:
        name: "standard-1d", "bivariate", "claw", "digits" (``components``, ``seed``),
            "random" (``components``, ``dimension``, ``seed``), or the path of an ``.npz``.
        **options: those in parentheses; ``normalize`` for a file.

    Raises:
        UnknownName: there is no example with this name.
        DataMissing: there is no such file.
        InvalidInput: the example does not have this option.

    Example:
        >>> load_mixture("standard-1d")
        GaussianMixture(10 components in 1 dimension)
        >>> load_mixture("random", components=30, dimension=2)
        GaussianMixture(30 components in 2 dimensions)
    """
    is_path = isinstance(name, str | os.PathLike)
    if is_path and str(name).endswith(".npz"):
        if unknown := set(options) - {"normalize"}:
            raise InvalidInput(f"a file has no option {', '.join(sorted(unknown))}; only normalize")
        mixture = GaussianMixture.load(check_path("name", name), **options)
        return mixture.with_origin(str(name), **options)
    if not isinstance(name, str) or name not in EXAMPLES:
        raise UnknownName("mixture", name, EXAMPLES)
    try:
        return EXAMPLES[name](**options).with_origin(name, **options)
    except TypeError as error:
        raise InvalidInput(f"mixture {name}: {error}") from error
