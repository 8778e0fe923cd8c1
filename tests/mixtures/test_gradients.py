"""Test gradients against central differences of a plain loop, and against PyTorch's differentiation of the same formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from mixture_oracles import gaussian_product, random_mixture, reference_distance

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import GaussianMixture, distance, inner_log
from explore.mixtures.reduction.gradients import DIFFERENTIABLE_DISTANCES, gradient

pytestmark = pytest.mark.usefixtures("_one_thread")

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]


def parameters(f: GaussianMixture) -> Parameters:
    return f.weights, f.means, f.covariances


def combine(kind: str, ff: float, fg: float, gg: float) -> float:
    if kind == "ise":
        return ff - 2 * fg + gg
    cosine = fg / np.sqrt(ff * gg)
    return -np.log(cosine) if kind == "cauchy-schwarz" else np.arccos(cosine)


def by_loops(f: Parameters, g: Parameters, kind: str) -> float:
    """Compute a distance by loops; weights may have any sum and covariances may be asymmetric."""

    def product(a: Parameters, b: Parameters) -> float:
        return sum(
            w * v * gaussian_product(m, c, k, s)
            for w, m, c in zip(*a, strict=True)
            for v, k, s in zip(*b, strict=True)
        )

    return combine(kind, product(f, f), product(f, g), product(g, g))


def difference(
    value: Callable[[np.ndarray], float], point: np.ndarray, *entries: tuple[int, ...]
) -> float:
    """Compute a central difference of fourth order, shifting all entries together."""
    result = 0.0
    for steps, factor in ((1, 2 / 3), (2, -1 / 12)):
        for sign in (1, -1):
            transformed = point.copy()
            for entry in entries:
                transformed[entry] += sign * steps * 1e-3
            result += sign * factor * value(transformed) / 1e-3
    return result


def by_torch(f: Parameters, g: Parameters, kind: str) -> tuple[float, list[np.ndarray]]:
    leaves = [torch.tensor(array, requires_grad=True) for array in g]
    fixed = [torch.tensor(array) for array in f]

    def product(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        covariance = a[2][:, None] + b[2][None]
        shift = (a[1][:, None] - b[1][None])[..., None]
        square = (shift * torch.linalg.solve(covariance, shift)).sum((-1, -2))
        gaussian_product = torch.exp(-0.5 * square) / torch.sqrt(
            torch.linalg.det(2 * torch.pi * covariance)
        )
        return a[0] @ gaussian_product @ b[0]

    ff, fg, gg = product(fixed, fixed), product(fixed, leaves), product(leaves, leaves)
    cosine = fg / torch.sqrt(ff * gg)
    value = {
        "ise": ff - 2 * fg + gg,
        "cauchy-schwarz": -torch.log(cosine),
        "angle": torch.arccos(cosine),
    }[kind]
    value.backward()
    return value.item(), [leaf.grad.numpy() for leaf in leaves]


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", DIFFERENTIABLE_DISTANCES)
def test_gradients_equal_central_differences(kind, d) -> None:
    f, g = random_mixture(4, d, 30, spread=1), random_mixture(3, d, 31, spread=1)
    g = GaussianMixture(
        g.weights, g.means, g.covariances + 0.3 * np.eye(d)
    )  # The step is small compared with the widths.
    actual, point = gradient(f, g, kind), parameters(g)
    assert actual.value == pytest.approx(by_loops(parameters(f), point, kind), rel=1e-10)

    def value(which: int, array: np.ndarray) -> float:
        return by_loops(parameters(f), (*point[:which], array, *point[which + 1 :]), kind)

    for which, result in enumerate((actual.weights, actual.means)):
        expected = np.empty_like(result)
        for entry in np.ndindex(result.shape):
            expected[entry] = difference(
                lambda a, which=which: value(which, a), point[which], entry
            )
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    expected = np.empty_like(actual.covariances)
    for k, u, v in np.ndindex(
        expected.shape
    ):  # Two symmetric entries move together; each has half of the change.
        entries = {(k, u, v), (k, v, u)}
        expected[k, u, v] = difference(lambda a: value(2, a), point[2], *entries) / len(entries)
    np.testing.assert_allclose(
        actual.covariances, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max()
    )


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", DIFFERENTIABLE_DISTANCES)
@pytest.mark.parametrize("seed", [32, 33, 34])
def test_gradients_equal_torch_autograd(kind, d, seed) -> None:
    f, g = random_mixture(6, d, seed, spread=1), random_mixture(4, d, seed + 10, spread=1)
    actual = gradient(f, g, kind)
    value, expected = by_torch(parameters(f), parameters(g), kind)
    assert actual.value == pytest.approx(value, rel=1e-10)
    for result, other in zip(actual[1:], expected, strict=True):
        np.testing.assert_allclose(result, other, rtol=1e-8, atol=1e-9 * np.abs(other).max())


@pytest.mark.parametrize("kind", DIFFERENTIABLE_DISTANCES)
def test_value_is_the_distance_with_or_without_the_self_product(kind) -> None:
    f, g = random_mixture(5, 3, 35), random_mixture(2, 3, 36)
    actual = gradient(f, g, kind)
    assert actual.value == pytest.approx(distance(f, g, kind), rel=1e-10)
    assert actual.value == pytest.approx(reference_distance(f, g, kind), rel=1e-10)
    for first, second in zip(gradient(f, g, kind, inner_log(f, f)), actual, strict=True):
        assert np.array_equal(first, second)


def test_covariance_gradients_are_symmetric() -> None:
    actual = gradient(random_mixture(4, 3, 37), random_mixture(3, 3, 38)).covariances
    np.testing.assert_allclose(actual, np.swapaxes(actual, 1, 2), rtol=1e-10)


@pytest.mark.parametrize("kind", ["cauchy-schwarz", "ise"])
def test_gradients_vanish_at_the_minimum(kind) -> None:
    f = random_mixture(4, 2, 39)
    for result in gradient(f, f, kind)[1:]:
        assert np.abs(result).max() < 1e-12


@pytest.mark.parametrize("kind", DIFFERENTIABLE_DISTANCES)
def test_a_common_factor_of_the_weights_changes_only_the_ise(kind) -> None:
    f, g = random_mixture(4, 2, 40), random_mixture(3, 2, 41)
    along = g.weights @ gradient(f, g, kind).weights  # the derivative by a common factor
    assert (abs(along) < 1e-12) == (kind != "ise")


def test_a_component_without_weight_has_only_a_gradient_by_its_weight() -> None:
    f, g = random_mixture(4, 2, 42), random_mixture(3, 2, 43)
    g = GaussianMixture([0.4, 0, 0.6], g.means, g.covariances)
    actual = gradient(f, g, "ise")
    _, expected = by_torch(parameters(f), parameters(g), "ise")
    np.testing.assert_allclose(actual.weights, expected[0], rtol=1e-8)
    assert np.abs(actual.means[1]).max() == np.abs(actual.covariances[1]).max() == 0


def test_gradients_stay_finite_for_distant_mixtures() -> None:
    f = GaussianMixture([0.5, 0.5], [[0, 0], [0, 1]], [1, 1])
    g = GaussianMixture([0.5, 0.5], [[1e4, 0], [1e4, 1]], [1, 1])
    actual = gradient(f, g)
    assert actual.value == pytest.approx(1e8 / 4, rel=1e-6)
    assert actual.means.sum(0)[0] == pytest.approx(1e4 / 2, rel=1e-6)  # of away² / 4
    assert all(np.isfinite(result).all() for result in actual[1:])


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_gradients_scale_with_units(scale) -> None:
    f, g = random_mixture(3, 2, 44), random_mixture(2, 2, 45)
    transformed = [
        GaussianMixture(h.weights, np.sqrt(scale) * h.means, scale * h.covariances) for h in (f, g)
    ]
    first, second = gradient(f, g), gradient(*transformed)
    np.testing.assert_allclose(second.weights, first.weights, rtol=1e-9)
    np.testing.assert_allclose(second.means * np.sqrt(scale), first.means, rtol=1e-9)
    np.testing.assert_allclose(second.covariances * scale, first.covariances, rtol=1e-9)


def test_different_dimensions_are_rejected() -> None:
    for first, second in ((1, 2), (2, 1), (2, 3)):
        with pytest.raises(InvalidInput, match="equal dimension"):
            gradient(random_mixture(3, first, 46), random_mixture(3, second, 47))


def test_unknown_kinds_are_rejected() -> None:
    with pytest.raises(UnknownName, match="unknown distance with a gradient 'chord'"):
        gradient(random_mixture(2, 1, 0), random_mixture(2, 1, 1), "chord")
