"""Oracles for the tests of mixtures: densities, inner products and merges, written with SciPy and plain loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from explore.mixtures import GaussianMixture


def random_mixture(n: int, d: int, seed: int, spread: float = 2.0) -> GaussianMixture:
    """Return a random mixture; its covariances have condition numbers up to about a hundred."""
    rng = np.random.default_rng([seed, n, d])
    root = rng.standard_normal((n, d, d + 2)) * rng.uniform(0.2, 0.8, (n, 1, 1))
    return GaussianMixture(
        rng.dirichlet(np.ones(n)), rng.normal(0, spread, (n, d)), root @ np.swapaxes(root, 1, 2)
    )


@st.composite
def mixtures(draw: st.DrawFn, d: int, max_components: int = 4) -> GaussianMixture:
    """Generate mixtures in d dimensions, among them equal and very different components."""
    n = draw(st.integers(1, max_components))

    def numbers(low: float, high: float, count: int) -> np.ndarray:
        return np.array(
            draw(st.lists(st.floats(low, high, width=32), min_size=count, max_size=count))
        )

    lower = np.zeros((n, d, d))
    lower[:, *np.tril_indices(d)] = numbers(-0.5, 0.5, n * d * (d + 1) // 2).reshape(n, -1)
    lower[:, range(d), range(d)] = np.exp(numbers(-2, 1, n * d)).reshape(n, d)
    weights = numbers(0.0078125, 1, n)
    means = numbers(-4, 4, n * d).reshape(n, d)
    return GaussianMixture(weights, means, lower @ np.swapaxes(lower, 1, 2), normalize=True)


def gaussian_product(m: np.ndarray, c: np.ndarray, k: np.ndarray, s: np.ndarray) -> float:
    """Compute ∫ N(x; m, c) N(x; k, s) dx."""
    shift, both = m - k, c + s
    return float(
        np.exp(-0.5 * shift @ np.linalg.solve(both, shift))
        / np.sqrt(np.linalg.det(2 * np.pi * both))
    )


def log_density(f: GaussianMixture, x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        terms = [np.log(w) + multivariate_normal.logpdf(x, m, c) for w, m, c in components_of(f)]
    return logsumexp(terms, axis=0)


def components_of(f: GaussianMixture) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    return zip(f.weights, f.means, f.covariances, strict=True)


def log_inner(f: GaussianMixture, g: GaussianMixture) -> float:
    with np.errstate(divide="ignore"):
        terms = [
            np.log(w) + np.log(v) + multivariate_normal.logpdf(m, k, c + s)
            for w, m, c in components_of(f)
            for v, k, s in components_of(g)
        ]
    return float(logsumexp(terms))


def reference_distance(f: GaussianMixture, g: GaussianMixture, kind: str) -> float:
    """Compute a distance from the three inner products alone, with an error of 1e-16 of them."""
    ff, fg, gg = log_inner(f, f), log_inner(f, g), log_inner(g, g)
    if kind == "cauchy-schwarz":
        return 0.5 * (ff + gg) - fg
    if kind in ("ise", "nise"):
        total = np.exp(ff) + np.exp(gg)
        return float((total - 2 * np.exp(fg)) / (1 if kind == "ise" else total))
    cosine = min(1.0, np.exp(fg - 0.5 * (ff + gg)))
    return float(np.arccos(cosine) if kind == "angle" else np.sqrt(2 - 2 * cosine))


def merged_moments(
    f: GaussianMixture, members: Sequence[int]
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return weight, mean and covariance of the merge of some components, from explicit sums."""
    total = sum(f.weights[i] for i in members)
    mean = sum(f.weights[i] * f.means[i] for i in members) / total
    covariance = np.zeros_like(f.covariances[0])
    for i in members:
        shift = f.means[i] - mean
        covariance += f.weights[i] / total * (f.covariances[i] + shift[:, None] * shift)
    return total, mean, covariance


def merge_groups(f: GaussianMixture, groups: Sequence[Sequence[int]]) -> GaussianMixture:
    """Return a mixture with one component for each group."""
    weights, means, covariances = zip(*(merged_moments(f, group) for group in groups), strict=True)
    return GaussianMixture(weights, means, covariances, normalize=True)


def merge_pair(f: GaussianMixture, i: int, j: int) -> GaussianMixture:
    """Return f with component j merged into i; the others keep their order."""
    weights, means, covariances = (array.copy() for array in (f.weights, f.means, f.covariances))
    weights[i], means[i], covariances[i] = merged_moments(f, (i, j))
    return GaussianMixture._unchecked(
        *(np.delete(array, j, 0) for array in (weights, means, covariances))
    )


def remove_component(f: GaussianMixture, i: int) -> GaussianMixture:
    """Return f without component i, the other weights rescaled."""
    weights, means, covariances = (
        np.delete(array, i, 0) for array in (f.weights, f.means, f.covariances)
    )
    return GaussianMixture._unchecked(weights / weights.sum(), means, covariances)


def quadrature_points(
    f: GaussianMixture, *others: GaussianMixture, points: int = 40_001
) -> tuple[np.ndarray, float]:
    """Return points that cover 1-D mixtures, and their spacing: a sum over them equals the integral within rounding."""
    means = np.concatenate([g.means[:, 0] for g in (f, *others)])
    widths = np.sqrt(np.concatenate([g.covariances[:, 0, 0] for g in (f, *others)]))
    x = np.linspace((means - 12 * widths).min(), (means + 12 * widths).max(), points)
    assert x[1] - x[0] < 0.25 * widths.min(), "too coarse"
    return x, float(x[1] - x[0])


def kl_by_quadrature(f: GaussianMixture, g: GaussianMixture) -> float:
    x, step = quadrature_points(f, g)
    a, b = log_density(f, x), log_density(g, x)
    return float(np.sum(np.exp(a) * (a - b)) * step)


def assert_same_mixture(
    f: GaussianMixture, g: GaussianMixture, rtol: float = 1e-9, atol: float = 1e-12
) -> None:
    """Assert that two mixtures are equal except for the order of their components, which must be distinct."""
    rows = [
        np.hstack([h.weights[:, None], h.means, h.covariances.reshape(len(h), -1)]) for h in (f, g)
    ]
    ordered = [r[np.lexsort(np.round(r, 7).T)] for r in rows]
    np.testing.assert_allclose(*ordered, rtol=rtol, atol=atol)
