"""Test the similarities of mixtures: integrals on a line and in the plane, loops, bounds, identical and far mixtures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loss_inputs import convert, density_mixture as mixture, gradients, select
from oracles import array, mixture_similarity as plain_similarity, random_labels
from scipy.integrate import quad

from explore.errors import InvalidInput
from explore.multilabel.mixture_density import (
    DensityMixture,
    log_mixture_similarity,
    mixture_similarity,
    mixture_uncertainty,
)
from explore.multilabel.probmcl import probmcl_loss

B, C, Q = 7, 4, 3
each_covariance = pytest.mark.parametrize("covariance", ["isotropic", "diagonal"])
each_kind = pytest.mark.parametrize("kind", ["product", "matched"])


def parameters(parts: DensityMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log weights, means and variances as float64."""
    return array(parts.log_weights), array(parts.means), array(parts.variances)


def density(parts: DensityMixture, row: int, points: np.ndarray) -> np.ndarray:
    """Return the density of one mixture at points [n, q]."""
    log_weights, means, variances = parameters(parts)
    if variances.ndim == 2:
        variances = np.repeat(variances[..., None], means.shape[-1], axis=-1)
    total = np.zeros(len(points))
    for k in range(log_weights.shape[1]):
        exponent = ((points - means[row, k]) ** 2 / variances[row, k]).sum(1)
        scale = np.sqrt((2 * np.pi * variances[row, k]).prod())
        total += np.exp(log_weights[row, k] - exponent / 2) / scale
    return total


def plane(half_width: float = 14.0, count: int = 400) -> tuple[np.ndarray, float]:
    """Return points of a grid in the plane and the area of a cell; sums over it converge exponentially."""
    axis = np.linspace(-half_width, half_width, count)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return points, (axis[1] - axis[0]) ** 2


def test_similarities_by_hand() -> None:
    # single normal distributions, variance 1, means 0 and 2: product exp(-4 / (2 * 2)) = 0.367879,
    # matched exp(-1/4 * 4 / 2) = 0.606531
    parts = DensityMixture(
        torch.zeros(2, 1), torch.tensor([[[0.0]], [[2.0]]]), torch.ones(2, 1), torch.zeros(2, 1)
    )
    for kind, expected in (("product", 0.367879), ("matched", 0.606531)):
        table = torch.tensor([[1, expected], [expected, 1]])
        torch.testing.assert_close(mixture_similarity(parts, kind), table, rtol=0, atol=1e-6)
        torch.testing.assert_close(
            log_mixture_similarity(parts, kind), table.log(), rtol=0, atol=3e-6
        )
    # two components far from each other, weights (1/4, 3/4) and (3/4, 1/4): matched 2 sqrt(3/16) = 0.866025,
    # product (2 * 3/16) / (1/16 + 9/16) = 0.6
    parts = DensityMixture(
        torch.tensor([[0.25, 0.75], [0.75, 0.25]]).log(),
        torch.tensor([[[0.0], [90.0]]] * 2),
        torch.ones(2, 2),
        torch.zeros(2, 1),
    )
    assert mixture_similarity(parts, "matched")[0, 1].item() == pytest.approx(0.866025, abs=1e-6)
    assert mixture_similarity(parts, "product")[0, 1].item() == pytest.approx(0.6, abs=1e-6)


def test_the_product_kernel_equals_the_integral_on_a_line() -> None:
    parts = mixture(latent=1, count=4, seed=1)
    table = mixture_similarity(parts, "product")

    def integral(i: int, j: int) -> float:
        def product(z: float) -> float:
            point = np.array([[z]])
            return (density(parts, i, point) * density(parts, j, point)).item()

        return quad(product, -12, 12, epsabs=1e-11, limit=200)[0]

    for i, j in ((0, 1), (2, 3), (1, 3)):
        expected = integral(i, j) / math.sqrt(integral(i, i) * integral(j, j))
        assert table[i, j].item() == pytest.approx(expected, abs=1e-7)


@each_covariance
def test_the_product_kernel_equals_the_integral_in_the_plane(covariance: str) -> None:
    parts = mixture(covariance, latent=2, count=3, seed=2)
    points, area = plane()
    densities = np.stack([density(parts, n, points) for n in range(3)])
    np.testing.assert_allclose(densities.sum(1) * area, 1, atol=1e-8)
    kernel = densities @ densities.T * area
    own = np.sqrt(np.diag(kernel))
    similarity = mixture_similarity(parts, "product")
    np.testing.assert_allclose(array(similarity), kernel / own / own[:, None], atol=1e-8)


@each_covariance
@pytest.mark.parametrize("seed", range(3))
def test_matched_components_are_a_lower_bound_of_the_bhattacharyya_coefficient(
    covariance: str, seed: int
) -> None:
    parts = mixture(covariance, latent=2, count=5, seed=seed)
    points, area = plane()
    roots = np.sqrt(np.stack([density(parts, n, points) for n in range(5)]))
    coefficient = roots @ roots.T * area
    matched = array(mixture_similarity(parts, "matched"))
    assert (matched <= coefficient + 1e-8).all()
    assert (matched < coefficient - 1e-3).any()
    np.testing.assert_allclose(np.diag(matched), 1, atol=1e-8)
    # with one component both are the same
    single = DensityMixture(
        torch.zeros(5, 1).double(), parts.means[:, :1], parts.variances[:, :1], parts.latent
    )
    roots = np.sqrt(np.stack([density(single, n, points) for n in range(5)]))
    np.testing.assert_allclose(
        array(mixture_similarity(single, "matched")), roots @ roots.T * area, atol=1e-7
    )


@each_kind
@each_covariance
def test_similarities_equal_loops_and_have_the_bounds(covariance: str, kind: str) -> None:
    parts = mixture(covariance, seed=3)
    table = mixture_similarity(parts, kind)
    np.testing.assert_allclose(array(table), plain_similarity(*parameters(parts), kind), rtol=1e-9)
    torch.testing.assert_close(log_mixture_similarity(parts, kind), table.log())
    torch.testing.assert_close(table, table.T)
    assert (table > 0).all()
    assert (table <= 1 + 1e-12).all()
    assert table.fill_diagonal_(0).max() < 0.999


@each_kind
@each_covariance
@pytest.mark.parametrize("latent", [1, 16, 128])
def test_identical_mixtures_have_similarity_one_in_float32(
    covariance: str, kind: str, latent: int
) -> None:
    parts = convert(mixture(covariance, 3, latent, classes=6), torch.float32)
    table = mixture_similarity(select(parts, [0, 1, 0, 2, 1]), kind)
    for i, j in [(n, n) for n in range(5)] + [(0, 2), (2, 0), (1, 4)]:
        assert table[i, j].item() == pytest.approx(1, abs=1e-6)
    assert table.max() <= 1 + 1e-6


@each_kind
def test_isotropic_equals_diagonal_with_repeated_variances(kind: str) -> None:
    parts = mixture()
    full = parts._replace(variances=parts.variances[..., None].repeat(1, 1, Q))
    torch.testing.assert_close(mixture_similarity(parts, kind), mixture_similarity(full, kind))
    labels = random_labels(0, B, C)
    for likelihood in ("posterior", "plain"):
        first, second = (
            probmcl_loss(p, labels, similarity=kind, likelihood=likelihood) for p in (parts, full)
        )
        for name in ("likelihood", "contrast", "total"):
            torch.testing.assert_close(first[name], second[name])
    first, second = mixture_uncertainty(parts), mixture_uncertainty(full)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])


@each_kind
@each_covariance
def test_gradients_of_similarities_by_finite_differences(covariance: str, kind: str) -> None:
    parts = mixture(covariance, 4, 2, classes=3)
    for measure in (mixture_similarity, log_mixture_similarity):
        torch.autograd.gradcheck(
            lambda *p, f=measure: f(DensityMixture(*p, parts.latent), kind), tuple(parts[:3])
        )


def test_many_axes_do_not_underflow() -> None:
    """The log of E is about -1.27 per axis: exp of it is 0 in float32, and S is not."""
    parts = convert(mixture(latent=2048, count=4), torch.float32)
    parts = parts._replace(means=0.05 * parts.means, variances=torch.ones(4, C, requires_grad=True))
    table = mixture_similarity(parts, "product")
    assert table.diagonal().sub(1).abs().max() < 1e-6
    assert table.min() > 0.01
    assert all(part.isfinite().all() for part in gradients(table[0, 1], parts))


@pytest.mark.parametrize("variance", [1.0, 0.05])
@each_covariance
@each_kind
def test_clusters_far_from_each_other_keep_their_similarities(
    covariance: str, kind: str, variance: float
) -> None:
    """Squared distances must not be small differences of large numbers."""
    exact = mixture(covariance, 6, 16)
    sign = torch.tensor([1.0, -1] * 3).double()[:, None, None]
    means = 10 * sign + variance**0.5 * exact.means.detach()
    exact = exact._replace(means=means, variances=torch.full_like(exact.variances, variance))
    single = mixture_similarity(convert(exact, torch.float32), kind)
    table = mixture_similarity(exact, kind)
    torch.testing.assert_close(single.double(), table, rtol=2e-3, atol=1e-6)
    assert table[0, 2] > 1e-4


def test_unknown_kinds_are_rejected() -> None:
    for measure in (mixture_similarity, log_mixture_similarity):
        for kind in ("cosine", None):
            with pytest.raises(InvalidInput):
                measure(mixture(), kind)
