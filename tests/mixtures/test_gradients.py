"""Gradients: against central differences of a plain loop, and against torch's differentiation of formulas written here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from mixture_oracles import drawn, kernel, plain_distance

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import GaussianMixture, distance, inner_log
from explore.mixtures.reduction.gradients import KINDS, gradient

pytestmark = pytest.mark.usefixtures("_one_thread")

Parameters = tuple[np.ndarray, np.ndarray, np.ndarray]


def parameters(f: GaussianMixture) -> Parameters:
    return f.weights, f.means, f.covariances


def combined(kind: str, ff: float, fg: float, gg: float) -> float:
    if kind == "ise":
        return ff - 2 * fg + gg
    cosine = fg / np.sqrt(ff * gg)
    return -np.log(cosine) if kind == "cauchy-schwarz" else np.arccos(cosine)


def by_loops(f: Parameters, g: Parameters, kind: str) -> float:
    """Weights need not have the sum one, nor covariances be symmetric beyond rounding."""

    def product(a: Parameters, b: Parameters) -> float:
        return sum(
            w * v * kernel(m, c, k, s)
            for w, m, c in zip(*a, strict=True)
            for v, k, s in zip(*b, strict=True)
        )

    return combined(kind, product(f, f), product(f, g), product(g, g))


def difference(
    value: Callable[[np.ndarray], float], at: np.ndarray, *entries: tuple[int, ...]
) -> float:
    """Central, of fourth order, by all entries together."""
    found = 0.0
    for steps, factor in ((1, 2 / 3), (2, -1 / 12)):
        for sign in (1, -1):
            there = at.copy()
            for entry in entries:
                there[entry] += sign * steps * 1e-3
            found += sign * factor * value(there) / 1e-3
    return found


def by_torch(f: Parameters, g: Parameters, kind: str) -> tuple[float, list[np.ndarray]]:
    leaves = [torch.tensor(array, requires_grad=True) for array in g]
    fixed = [torch.tensor(array) for array in f]

    def product(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
        covariance = a[2][:, None] + b[2][None]
        away = (a[1][:, None] - b[1][None])[..., None]
        square = (away * torch.linalg.solve(covariance, away)).sum((-1, -2))
        kernel = torch.exp(-0.5 * square) / torch.sqrt(torch.linalg.det(2 * torch.pi * covariance))
        return a[0] @ kernel @ b[0]

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
@pytest.mark.parametrize("kind", KINDS)
def test_central_differences_agree(kind, d) -> None:
    f, g = drawn(4, d, 30, spread=1), drawn(3, d, 31, spread=1)
    g = GaussianMixture(
        g.weights, g.means, g.covariances + 0.3 * np.eye(d)
    )  # the step is small beside the widths
    got, at = gradient(f, g, kind), parameters(g)
    assert got.value == pytest.approx(by_loops(parameters(f), at, kind), rel=1e-10)

    def value(which: int, array: np.ndarray) -> float:
        return by_loops(parameters(f), (*at[:which], array, *at[which + 1 :]), kind)

    for which, found in enumerate((got.weights, got.means)):
        wanted = np.empty_like(found)
        for entry in np.ndindex(found.shape):
            wanted[entry] = difference(lambda a, which=which: value(which, a), at[which], entry)
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())
    wanted = np.empty_like(got.covariances)
    for k, u, v in np.ndindex(
        wanted.shape
    ):  # both of two symmetric entries move: half of it is one's
        entries = {(k, u, v), (k, v, u)}
        wanted[k, u, v] = difference(lambda a: value(2, a), at[2], *entries) / len(entries)
    np.testing.assert_allclose(got.covariances, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [32, 33, 34])
def test_torch_agrees(kind, d, seed) -> None:
    f, g = drawn(6, d, seed, spread=1), drawn(4, d, seed + 10, spread=1)
    got = gradient(f, g, kind)
    value, wanted = by_torch(parameters(f), parameters(g), kind)
    assert got.value == pytest.approx(value, rel=1e-10)
    for found, other in zip(got[1:], wanted, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-8, atol=1e-9 * np.abs(other).max())


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_the_distance_and_a_known_self_product_changes_nothing(kind) -> None:
    f, g = drawn(5, 3, 35), drawn(2, 3, 36)
    got = gradient(f, g, kind)
    assert got.value == pytest.approx(distance(f, g, kind), rel=1e-10)
    assert got.value == pytest.approx(plain_distance(f, g, kind), rel=1e-10)
    for one, other in zip(gradient(f, g, kind, inner_log(f, f)), got, strict=True):
        assert np.array_equal(one, other)


def test_covariance_gradients_are_symmetric() -> None:
    got = gradient(drawn(4, 3, 37), drawn(3, 3, 38)).covariances
    np.testing.assert_allclose(got, np.swapaxes(got, 1, 2), rtol=1e-10)


@pytest.mark.parametrize("kind", ["cauchy-schwarz", "ise"])
def test_at_the_minimum_all_vanish(kind) -> None:
    f = drawn(4, 2, 39)
    for found in gradient(f, f, kind)[1:]:
        assert np.abs(found).max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_a_common_factor_of_the_weights_turns_no_angle(kind) -> None:
    f, g = drawn(4, 2, 40), drawn(3, 2, 41)
    along = g.weights @ gradient(f, g, kind).weights  # the derivative by a common factor
    assert (abs(along) < 1e-12) == (kind != "ise")


def test_a_component_without_weight_has_a_gradient_by_its_weight_alone() -> None:
    f, g = drawn(4, 2, 42), drawn(3, 2, 43)
    g = GaussianMixture([0.4, 0, 0.6], g.means, g.covariances)
    got = gradient(f, g, "ise")
    _, wanted = by_torch(parameters(f), parameters(g), "ise")
    np.testing.assert_allclose(got.weights, wanted[0], rtol=1e-8)
    assert np.abs(got.means[1]).max() == np.abs(got.covariances[1]).max() == 0


def test_far_away_the_divergence_still_pulls() -> None:
    f = GaussianMixture([0.5, 0.5], [[0, 0], [0, 1]], [1, 1])
    g = GaussianMixture([0.5, 0.5], [[1e4, 0], [1e4, 1]], [1, 1])
    got = gradient(f, g)
    assert got.value == pytest.approx(1e8 / 4, rel=1e-6)
    assert got.means.sum(0)[0] == pytest.approx(1e4 / 2, rel=1e-6)  # of away² / 4
    assert all(np.isfinite(found).all() for found in got[1:])


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_scale_gradients_by_the_chain_rule(scale) -> None:
    f, g = drawn(3, 2, 44), drawn(2, 2, 45)
    there = [
        GaussianMixture(h.weights, np.sqrt(scale) * h.means, scale * h.covariances) for h in (f, g)
    ]
    one, other = gradient(f, g), gradient(*there)
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-9)
    np.testing.assert_allclose(other.means * np.sqrt(scale), one.means, rtol=1e-9)
    np.testing.assert_allclose(other.covariances * scale, one.covariances, rtol=1e-9)


def test_unlike_dimensions_are_refused() -> None:
    for first, second in ((1, 2), (2, 1), (2, 3)):
        with pytest.raises(InvalidInput, match="equal dimension"):
            gradient(drawn(3, first, 46), drawn(3, second, 47))


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown distance with a gradient 'chord'"):
        gradient(drawn(2, 1, 0), drawn(2, 1, 1), "chord")
