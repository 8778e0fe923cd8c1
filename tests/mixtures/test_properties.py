"""Test properties of reductions: moments, bounds, identities, best weights, modes, and difficult mixtures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from math import comb, factorial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixture_oracles import (
    assert_same_mixture,
    kl_by_quadrature,
    log_inner,
    merge_groups,
    merged_moments,
    mixtures,
    random_mixture,
)
from scipy.ndimage import maximum_filter
from scipy.optimize import minimize, minimize_scalar

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import (
    GaussianMixture,
    Reduction,
    distance,
    gram_log,
    kl_divergence,
    load_mixture,
    merge_moments,
    modes,
    pdf_angle,
    reduce,
)
from explore.mixtures.config import METHOD_DEFAULTS
from explore.mixtures.merging import MutableMixture
from explore.mixtures.reduction.brute import MAX_PARTITIONS, count_partitions, next_labels
from explore.mixtures.reduction.refine import best_weights, refine_all, refine_weights

MERGING = ("oggmr", "ise-local", "runnalls", "salmond", "west", "gmrc", "brute")
"""Methods that only merge and therefore preserve the moments."""


def is_valid(f: GaussianMixture) -> bool:
    """Return whether the weights are a distribution and the covariances symmetric and positive definite."""
    finite = all(np.isfinite(array).all() for array in (f.weights, f.means, f.covariances))
    weights = (f.weights >= 0).all() and abs(f.weights.sum() - 1) < 1e-12
    even = np.abs(f.covariances - np.swapaxes(f.covariances, 1, 2)).max((1, 2)) <= 1e-12 * np.abs(
        f.covariances
    ).max((1, 2))
    # Correlations are tested: eigenvalues of covariances with very different axes are rounding.
    scale = np.sqrt(np.diagonal(f.covariances, axis1=1, axis2=2))
    positive = np.linalg.eigvalsh(f.covariances / scale[:, :, None] / scale[:, None]).min() > 0
    return bool(finite and weights and even.all() and positive)


# ---- merges


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_merge_moments_preserves_mass_mean_and_covariance(d) -> None:
    f = random_mixture(9, d, 400)
    for members in ([0, 3, 4], [8, 1], [5], range(9)):
        weight, mean, covariance = merge_moments(f, members)
        expected = merged_moments(f, members)
        assert weight == pytest.approx(expected[0], rel=1e-14)
        np.testing.assert_allclose(mean, expected[1], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(covariance, expected[2], rtol=1e-12, atol=1e-14)
        assert np.linalg.eigvalsh(covariance)[0] > 0
    merged = merge_moments(f, range(9))
    np.testing.assert_allclose(merged[1], f.mean, rtol=1e-12)
    np.testing.assert_allclose(merged[2], f.covariance, rtol=1e-12)


@settings(max_examples=30)
@given(f=mixtures(2, max_components=6), data=st.data())
def test_the_order_of_merges_does_not_matter(f, data) -> None:
    results = []
    for _ in range(2):
        current, slots = MutableMixture(f), data.draw(st.permutations(range(len(f))))
        for i, j in pairwise(slots):
            current.merge(j, i)
        assert current.count == 1
        results.append(current.freeze())
    for g in results:
        np.testing.assert_allclose(g.weights, [1], rtol=1e-12)
        np.testing.assert_allclose(g.means[0], f.mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(g.covariances[0], f.covariance, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", MERGING)
def test_merging_methods_preserve_the_moments(method) -> None:
    for seed in range(12):
        f = random_mixture(8, 1 + seed % 4, 410 + seed)
        for count in (1, 3, 7):
            g = reduce(f, count, method, refine="none").mixture
            size = np.sqrt(np.trace(f.covariance))
            assert abs(g.weights.sum() - 1) < 1e-12
            np.testing.assert_allclose(g.mean, f.mean, rtol=1e-12, atol=1e-12 * size)
            np.testing.assert_allclose(g.covariance, f.covariance, rtol=1e-12, atol=1e-12 * size**2)


@pytest.mark.parametrize("method", MERGING)
def test_reduction_to_one_component_has_the_moments_of_the_original(method) -> None:
    for seed in range(8):
        f = random_mixture(7, 1 + seed % 4, 430 + seed)
        result = reduce(f, 1, method, refine="none")
        assert (result.labels == 0).all()
        np.testing.assert_allclose(result.mixture.means[0], f.mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            result.mixture.covariances[0], f.covariance, rtol=1e-12, atol=1e-12
        )


def test_merging_components_without_weight_returns_the_first() -> None:
    f = GaussianMixture([0, 1, 0], [3, 4, 5], [1, 2, 3])
    assert [np.asarray(part).ravel().tolist() for part in merge_moments(f, [2, 0])] == [
        [0],
        [5],
        [3],
    ]
    current = MutableMixture(f)
    current.merge(0, 2)
    assert current.freeze().means.ravel().tolist() == [3, 4]


@pytest.mark.parametrize("indices", [[], [3], [-1], [0, 5]])
def test_merge_moments_rejects_invalid_indices(indices) -> None:
    with pytest.raises(InvalidInput, match="indices must be different numbers from 0 to 2"):
        merge_moments(random_mixture(3, 1, 0), indices)


def test_merge_moments_rejects_repeated_indices() -> None:
    with pytest.raises(InvalidInput, match="indices"):
        merge_moments(random_mixture(3, 1, 0), [1, 1])


# ---- Runnalls


def test_runnalls_costs_bound_the_divergence_of_each_merge() -> None:
    for seed in range(15):
        f = random_mixture(6, 1, 440 + seed, spread=1)
        result = reduce(f, 1, "runnalls")
        for count, step in zip(range(6, 1, -1), result.path, strict=True):
            assert step.score >= 0
            assert step.score >= kl_by_quadrature(result.at(count), result.at(count - 1)) - 1e-12


def test_runnalls_costs_sum_to_the_divergence_within_groups() -> None:
    for seed in range(12):
        f = random_mixture(12, 1 + seed % 3, 460 + seed, spread=1)
        result = reduce(f, 3, "runnalls")
        total = sum(step.score for step in result.path)
        g, within = result.mixture, 0.0
        for i, k in enumerate(result.labels):  # Σ w_i KL(N_i‖N_k) by the formula for Gaussians
            r, inverse = f.means[i] - g.means[k], np.linalg.inv(g.covariances[k])
            logs = np.linalg.slogdet(g.covariances[k])[1] - np.linalg.slogdet(f.covariances[i])[1]
            within += (
                0.5
                * f.weights[i]
                * (np.trace(inverse @ f.covariances[i]) + r @ inverse @ r - f.dimension + logs)
            )
        assert total == pytest.approx(within, rel=1e-10)
        value, error = kl_divergence(f, g, 4_000)
        assert total >= value - 4 * error
        if f.dimension == 1:
            assert total >= kl_by_quadrature(f, g)


def test_runnalls_costs_of_the_standard_case() -> None:
    f = load_mixture("standard-1d")
    result = reduce(f, 5, "runnalls")
    assert sum(step.score for step in result.path) == pytest.approx(0.147755, abs=6e-7)
    assert kl_by_quadrature(f, result.mixture) == pytest.approx(0.02836, abs=6e-6)


# ---- duplicates and single components


def duplicate_components(f: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(
        np.tile(f.weights / 2, 2), np.tile(f.means, (2, 1)), np.tile(f.covariances, (2, 1, 1))
    )


@pytest.mark.parametrize(
    "method", ["oggmr", "williams", "ise-local", "runnalls", "salmond", "gmrc"]
)
@pytest.mark.parametrize("d", [1, 2, 4])
def test_duplicates_are_merged_without_cost(method, d) -> None:
    for seed in range(3):
        f = random_mixture(8, d, 480 + seed)
        result = reduce(duplicate_components(f), 8, method, refine="none")
        assert pdf_angle(f, result.mixture) < 1e-7
        assert all(0 <= step.score < 1e-7 for step in result.path)
        assert_same_mixture(result.mixture, f, rtol=1e-9)
        assert {frozenset(np.flatnonzero(result.labels == k)) for k in range(8)} == {
            frozenset({k, k + 8}) for k in range(8)
        }


def test_hundreds_of_duplicates_are_merged() -> None:
    f = random_mixture(25, 2, 490)
    many = GaussianMixture(
        np.tile(f.weights / 20, 20), np.tile(f.means, (20, 1)), np.tile(f.covariances, (20, 1, 1))
    )
    for method in ("oggmr", "ise-local", "runnalls", "salmond"):
        assert pdf_angle(f, reduce(many, 25, method, refine="none").mixture) < 1e-7


@pytest.mark.parametrize("method", METHOD_DEFAULTS)
def test_a_single_component_does_not_change(method) -> None:
    f = random_mixture(1, 3, 491)
    result = reduce(f, 1, method)
    assert result.mixture.means.tolist() == f.means.tolist()
    with pytest.raises(InvalidInput, match="at most 1"):
        reduce(f, 2, method)


# ---- refinement


@pytest.fixture(scope="module")
def merged_mixtures() -> list[tuple[GaussianMixture, GaussianMixture]]:
    """Return originals and their reductions to two to six components, in one to four dimensions."""
    result = []
    for seed in range(12):
        f = random_mixture(9, 1 + seed % 4, 500 + seed, spread=1)
        method = ("oggmr", "runnalls", "prune", "salmond")[seed // 4 % 4]
        result.append((f, reduce(f, 2 + seed % 5, method, refine="none").mixture))
    return result


@pytest.mark.parametrize("criterion", ["angle", "ise"])
def test_refinement_never_raises_its_criterion(criterion, merged_mixtures) -> None:
    for f, g in merged_mixtures:
        before = distance(f, g, criterion)
        weighed = refine_weights(f, g, criterion).mixture
        middle = distance(f, weighed, criterion)
        after = refine_all(f, weighed, criterion, 25, 1e-6).mixture
        assert middle <= before
        assert distance(f, after, criterion) <= middle
        assert is_valid(weighed)
        assert is_valid(after)
        assert np.array_equal(weighed.means, g.means)
        assert np.array_equal(weighed.covariances, g.covariances)


@pytest.mark.parametrize("criterion", ["angle", "ise"])
@pytest.mark.parametrize(
    "method", [name for name in METHOD_DEFAULTS if name not in ("williams", "cowa")]
)
def test_each_stage_is_at_least_as_good_as_the_previous(method, criterion) -> None:
    f = random_mixture(8, 2, 520, spread=1)
    stages = [
        distance(
            f,
            reduce(f, 3, method, criterion=criterion, refine=refine, max_iterations=40).mixture,
            criterion,
        )
        for refine in ("none", "weights", "full")
    ]
    assert stages[0] >= stages[1] >= stages[2]


@pytest.mark.parametrize(
    ("seed", "d", "n", "m", "method", "criterion"),
    [
        (0, 3, 8, 1, "gmrc", "ise"),
        (7, 3, 10, 1, "runnalls", "angle"),
        (8, 4, 10, 1, "runnalls", "ise"),
        (11, 3, 10, 2, "runnalls", "ise"),
        (28, 4, 10, 2, "runnalls", "angle"),
    ],
)
def test_a_diverging_search_is_not_an_error(seed, d, n, m, method, criterion) -> None:
    f = load_mixture("random", components=n, dimension=d, seed=seed)
    result = reduce(f, m, method, criterion=criterion, refine="full")
    assert is_valid(result.mixture)
    plain = reduce(f, m, method, refine="none").mixture
    assert distance(f, result.mixture, criterion) <= distance(f, plain, criterion)


@pytest.mark.parametrize("floor", [1e-6, 0.05, 0.2])
def test_weights_stay_above_the_minimum_weight(floor) -> None:
    f = random_mixture(9, 2, 521, spread=1)
    result = refine_all(f, reduce(f, 4, "runnalls").mixture, "angle", 100, floor)
    assert "not better" not in result.message
    assert result.mixture.weights.min() >= floor * (1 - 1e-9)


def test_the_search_does_not_depend_on_units() -> None:
    f = load_mixture("standard-1d")
    g = f.affine([[1e5]], 3e6)
    for criterion in ("angle", "ise"):
        angles = [pdf_angle(h, reduce(h, 5, "oggmr", criterion=criterion).mixture) for h in (f, g)]
        assert angles[1] == pytest.approx(angles[0], rel=1e-3)


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("criterion", ["angle", "ise"])
def test_best_weights_are_optimal(criterion, d) -> None:
    rng = np.random.default_rng(530)
    for seed in range(4):
        f = random_mixture(8, d, 531 + seed, spread=1)
        g = random_mixture(5, d, 540 + seed, spread=1)
        weights = best_weights(f, g, criterion)
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1, abs=1e-12)

        def cost(v: np.ndarray, f: GaussianMixture = f, g: GaussianMixture = g) -> float:
            return distance(f, GaussianMixture._unchecked(v, g.means, g.covariances), criterion)

        least = cost(weights)
        others = [
            *rng.dirichlet(np.ones(5), 100),
            *rng.dirichlet(np.full(5, 0.2), 100),
            *np.eye(5),
            g.weights,
        ]
        assert least <= min(map(cost, others)) + 1e-12
        for size in (1e-2, 1e-4):  # Small changes of the weights are not better either.
            for i, j in combinations(range(5), 2):
                for transformed in (
                    weights + size * (np.eye(5)[i] - np.eye(5)[j]),
                    weights - size * (np.eye(5)[i] - np.eye(5)[j]),
                ):
                    if (transformed >= 0).all():
                        assert least <= cost(transformed) + 1e-12


@pytest.mark.parametrize("criterion", ["angle", "ise"])
def test_best_weights_equal_those_of_slsqp(criterion) -> None:
    for seed in range(6):
        f, g = (
            random_mixture(8, 1 + seed % 3, 550 + seed, spread=1),
            random_mixture(4, 1 + seed % 3, 560 + seed, spread=1),
        )
        own, cross = np.exp(gram_log(g, g)), f.weights @ np.exp(gram_log(f, g))
        scale = np.exp(log_inner(f, f))

        def cost(
            v: np.ndarray, own: np.ndarray = own, cross: np.ndarray = cross, scale: float = scale
        ) -> float:
            if criterion == "ise":
                return float(v @ own @ v - 2 * cross @ v) / scale
            return float(-(cross @ v) / np.sqrt(v @ own @ v * scale))

        result = minimize(
            cost,
            np.full(4, 0.25),
            method="SLSQP",
            bounds=[(0, 1)] * 4,
            options={"ftol": 1e-15, "maxiter": 1000},
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
        )
        weights = best_weights(f, g, criterion)
        assert cost(weights) <= cost(result.x) + 1e-12
        np.testing.assert_allclose(weights, result.x, atol=2e-4)


def test_best_weights_equal_those_of_projected_gradients() -> None:
    f, g = random_mixture(8, 2, 570, spread=1), random_mixture(5, 2, 571, spread=1)
    own, cross = np.exp(gram_log(g, g)), f.weights @ np.exp(gram_log(f, g))
    v, rate = np.full(5, 0.2), 1 / np.linalg.eigvalsh(own)[-1]
    for _ in range(20_000):
        transformed = v - rate * (own @ v - cross)
        ordered = np.sort(transformed)[::-1]  # projection onto the simplex
        excess = (np.cumsum(ordered) - 1) / np.arange(1, 6)
        v = np.maximum(transformed - excess[np.flatnonzero(ordered > excess)[-1]], 0)
    np.testing.assert_allclose(best_weights(f, g, "ise"), v, atol=1e-8)


def test_best_weights_recover_the_original_weights() -> None:
    f = random_mixture(6, 2, 572)
    shift = GaussianMixture(np.full(6, 1 / 6), f.means, f.covariances)
    for criterion in ("angle", "ise"):
        np.testing.assert_allclose(best_weights(f, shift, criterion), f.weights, atol=1e-9)


def test_best_weights_of_equal_components() -> None:
    f = random_mixture(4, 2, 573)
    for criterion in ("angle", "ise"):
        g = GaussianMixture._unchecked(
            best_weights(f, duplicate_components(f), criterion),
            duplicate_components(f).means,
            duplicate_components(f).covariances,
        )
        assert is_valid(g)
        assert pdf_angle(f, g) < 1e-6


def test_best_weights_without_overlap_stay_as_they_are() -> None:
    f, g = random_mixture(3, 1, 574), random_mixture(2, 1, 575).affine([[1.0]], 1e6)
    for criterion in ("angle", "ise"):
        assert best_weights(f, g, criterion).sum() == pytest.approx(1)
    assert np.array_equal(best_weights(f, g, "angle"), g.weights)


def test_best_weights_rejects_unknown_criteria() -> None:
    with pytest.raises(UnknownName, match="unknown criterion 'kl'"):
        best_weights(random_mixture(3, 1, 0), random_mixture(2, 1, 0), "kl")


# ---- partitions


def test_count_partitions_equals_stirling_numbers() -> None:
    numbers = {
        (0, 0): 1,
        (1, 1): 1,
        (9, 5): 6951,
        (10, 5): 42525,
        (12, 6): 1323652,
        (7, 3): 301,
        (5, 0): 0,
        (0, 3): 0,
        (3, 5): 0,
    }
    assert {pair: count_partitions(*pair) for pair in numbers} == numbers
    for n in range(1, 26):
        for m in range(1, n + 1):
            assert count_partitions(n, m) == sum(
                (-1) ** k * comb(m, k) * (m - k) ** n for k in range(m + 1)
            ) // factorial(m)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 1), (5, 5), (6, 3), (8, 4), (9, 2)])
def test_every_partition_is_enumerated_once(n, m) -> None:
    labels = np.concatenate([np.zeros(n - m, np.int64), np.arange(m)])
    partitions = {tuple(labels)}
    while next_labels(labels, m):
        assert tuple(labels) not in partitions
        partitions.add(tuple(labels))
    assert len(partitions) == count_partitions(n, m)
    for result in (
        partitions
    ):  # Groups are numbered by first appearance, so that each partition has one labelling.
        first = [result.index(k) for k in range(m)]
        assert first == sorted(first)


def test_the_limit_of_brute_force_is_between_12_and_13_components() -> None:
    assert count_partitions(12, 6) < MAX_PARTITIONS < count_partitions(13, 6)


# ---- modes


def test_the_claw_and_the_standard_case_have_five_modes() -> None:
    claw = modes(load_mixture("claw"))
    assert claw.shape == (5, 1)
    np.testing.assert_allclose(np.sort(claw.ravel()), [-1, -0.5, 0, 0.5, 1], atol=0.01)
    assert modes(load_mixture("standard-1d")).shape == (5, 1)
    assert len(modes(GaussianMixture([1], [[1, 2, 3]], [1]))) == 1


def modes_by_grid(f: GaussianMixture, points: int = 200_001) -> np.ndarray:
    width = np.sqrt(f.covariances[:, 0, 0])
    x = np.linspace((f.means[:, 0] - 4 * width).min(), (f.means[:, 0] + 4 * width).max(), points)
    p = f.log_pdf(x)
    maxima = np.flatnonzero((p[1:-1] > p[:-2]) & (p[1:-1] >= p[2:])) + 1
    return np.array(
        [
            minimize_scalar(
                lambda t: -f.log_pdf(t),
                bounds=(x[k - 1], x[k + 1]),
                method="bounded",
                options={"xatol": 1e-12},
            ).x
            for k in maxima
        ]
    )


@pytest.mark.parametrize("seed", range(25))
def test_modes_in_1d_equal_those_of_a_fine_grid(seed) -> None:
    f = random_mixture(3 + seed % 8, 1, 600 + seed)
    actual, expected = modes(f).ravel(), modes_by_grid(f)
    assert len(actual) == len(expected)
    np.testing.assert_allclose(
        np.sort(actual), np.sort(expected), atol=0.02 * np.sqrt(f.covariances.min())
    )


@pytest.mark.parametrize("separation", [1.9, 1.99, 2.01, 2.05, 2.2, 3.0, 30.0])
def test_two_equal_components_have_two_modes_from_two_standard_deviations_on(separation) -> None:
    f = GaussianMixture([0.5, 0.5], [-separation / 2, separation / 2], [1, 1])
    actual, expected = np.sort(modes(f).ravel()), np.sort(modes_by_grid(f))
    assert len(actual) == (1 if separation <= 2 else 2)
    np.testing.assert_allclose(actual, expected, atol=0.01)


def test_modes_are_sorted_by_height() -> None:
    f = GaussianMixture([0.2, 0.5, 0.3], [0, 10, 20], [1, 1, 1])
    np.testing.assert_allclose(modes(f).ravel(), [10, 20, 0], atol=1e-3)
    np.testing.assert_allclose(modes(f.affine([[1.0], [0.0]][:1]))[0], [10], atol=1e-3)
    g = GaussianMixture([0.2, 0.5, 0.3], [[0, 0], [10, 0], [20, 0]], [1, 1, 1])
    np.testing.assert_allclose(modes(g), [[10, 0], [20, 0], [0, 0]], atol=1e-6)


MODES_IN_2D = [
    (
        ([0.5, 0.5], [[0, 0], [0, 0]], [np.diag([1, 0.01]), np.diag([0.01, 1])]),
        [[0, 0]],
    ),  # two crossing narrow components
    (([0.5, 0.5], [[-3, 0], [3, 0]], [1, 1]), [[-3, 0], [3, 0]]),
    (([0.5, 0.5], [[-0.9, 0], [0.9, 0]], [1, 1]), [[0, 0]]),
    (
        ([0.25] * 4, [[-1, -1], [-1, 1], [1, -1], [1, 1]], [0.1] * 4),
        [[-1, -1], [-1, 1], [1, -1], [1, 1]],
    ),
    (
        ([0.4, 0.2, 0.4], [[-1, 0], [0, 0], [1, 0]], [0.05, 5, 0.05]),
        [[-1, 0], [1, 0]],
    ),  # a mean at a saddle
    (([0.6, 0.4, 0], [[0, 0], [9, 9], [4, 4]], [1, 1, 1]), [[0, 0], [9, 9]]),
]


@pytest.mark.parametrize(("arguments", "expected"), MODES_IN_2D)
def test_modes_of_simple_mixtures_in_2d(arguments, expected) -> None:
    actual = modes(GaussianMixture(*arguments))
    assert len(actual) == len(expected)
    np.testing.assert_allclose(actual[np.lexsort(actual.round(2).T[::-1])], expected, atol=0.02)


@pytest.mark.parametrize("seed", range(12))
def test_modes_in_2d_equal_those_of_grid_and_simplex_search(seed) -> None:
    f = random_mixture(6, 2, 700 + seed)
    low, high = f.means.min(0) - 1, f.means.max(0) + 1
    x = np.stack(
        np.meshgrid(
            *(np.linspace(a, b, 300) for a, b in zip(low, high, strict=True)), indexing="ij"
        ),
        -1,
    )
    p = f.log_pdf(x)
    expected: list[np.ndarray] = []
    for summit in x[p == maximum_filter(p, 5)]:
        result = minimize(
            lambda point: -f.log_pdf(point),
            summit,
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-14},
        ).x
        if all(np.linalg.norm(result - other) > 1e-3 for other in expected):
            expected.append(result)
    actual = modes(f)
    assert len(actual) == len(expected)
    for peak in actual:
        assert min(np.linalg.norm(peak - other) for other in expected) < 1e-5


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_density_is_lower_around_a_mode(d) -> None:
    rng = np.random.default_rng(720)
    for seed in range(8):
        f = random_mixture(7, d, 721 + seed)
        actual = modes(f)
        top = f.log_pdf(actual)
        assert (np.diff(top) <= 0).all()
        step = 1e-3 * np.sqrt(np.linalg.eigvalsh(f.covariances).min())
        around = rng.standard_normal((100, d))
        around *= step / np.linalg.norm(around, axis=1, keepdims=True)
        assert (f.log_pdf(actual[:, None] + around) < top[:, None]).all()


# ---- difficult mixtures


def scaled_mixture(variance: float, d: int) -> GaussianMixture:
    f = random_mixture(7, d, 730)
    return GaussianMixture(f.weights, np.sqrt(variance) * f.means, variance * f.covariances)


DIFFICULT: dict[str, Callable[[], GaussianMixture]] = {
    "all the same": lambda: GaussianMixture(np.full(7, 1 / 7), np.zeros((7, 2)), np.ones(7)),
    "all the same on a line": lambda: GaussianMixture(np.full(7, 1 / 7), np.zeros(7), np.ones(7)),
    "weights of 1e-300": lambda: GaussianMixture(
        [0.6, 0.4, *[1e-300] * 5], np.arange(7), np.ones(7), normalize=True
    ),
    "weights of every size": lambda: GaussianMixture(
        10.0 ** -np.arange(0, 280, 40), np.arange(7), np.ones(7), normalize=True
    ),
    "weights of zero": lambda: GaussianMixture(
        [0.5, 0, 0, 0.5, 0, 0, 0], np.arange(14).reshape(7, 2), np.ones(7)
    ),
    "one weight": lambda: GaussianMixture([0, 0, 1, 0, 0, 0, 0], np.arange(7), np.ones(7)),
    "variances of 1e-12": lambda: scaled_mixture(1e-12, 1),
    "variances of 1e12": lambda: scaled_mixture(1e12, 3),
    "both": lambda: GaussianMixture(np.full(6, 1 / 6), np.arange(6), [1e-12, 1e12] * 3),
    "needles both ways": lambda: GaussianMixture(
        np.full(6, 1 / 6), np.arange(12).reshape(6, 2), [[1e-12, 1e12], [1e12, 1e-12]] * 3
    ),
    "flat in a direction": lambda: GaussianMixture(
        np.full(6, 1 / 6), [[k, 0] for k in range(6)], [[1, 1e-14]] * 6
    ),
    "far from the origin": lambda: GaussianMixture(
        np.full(6, 1 / 6), 1e8 + np.arange(6), np.ones(6)
    ),
    "far from each other": lambda: GaussianMixture(
        np.full(6, 1 / 6), 1e8 * np.arange(6), np.ones(6)
    ),
    "twenty dimensions": lambda: random_mixture(6, 20, 731),
}


@pytest.mark.parametrize("name", DIFFICULT)
@pytest.mark.parametrize("method", METHOD_DEFAULTS)
def test_difficult_mixtures_can_be_reduced(name, method) -> None:
    f = DIFFICULT[name]()
    for count in (1, 3):
        for refine in ("none", "full"):
            result = reduce(f, count, method, refine=refine, max_iterations=15)
            assert isinstance(result, Reduction)
            assert len(result.mixture) == count
            assert is_valid(result.mixture)
            assert 0 <= pdf_angle(f, result.mixture) <= np.pi / 2
            assert np.isfinite([step.score for step in result.path]).all()
            assert all(step.score >= 0 for step in result.path)
            assert set(result.labels) <= {-1, *range(count)}


@pytest.mark.parametrize("name", DIFFICULT)
def test_difficult_mixtures_have_modes(name) -> None:
    f = DIFFICULT[name]()
    actual = modes(f)
    assert actual.shape[1] == f.dimension
    assert 1 <= len(actual) <= len(f) ** 2, "narrow components that cross have a mode there"
    assert np.isfinite(actual).all()


@pytest.mark.parametrize("method", ["oggmr", "ise-local", "runnalls", "salmond"])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_merges_do_not_depend_on_units(method, scale) -> None:
    f = random_mixture(12, 2, 732)
    g = GaussianMixture(f.weights, np.sqrt(scale) * f.means, scale * f.covariances)
    first, second = (reduce(h, 3, method, refine="none") for h in (f, g))
    assert [step[:2] for step in first.path] == [step[:2] for step in second.path]
    assert np.array_equal(first.labels, second.labels)


@pytest.mark.parametrize("method", ["oggmr", "williams", "ise-local", "runnalls", "salmond"])
def test_merges_do_not_depend_on_affine_maps(method) -> None:
    for d in (2, 4):
        f, rng = random_mixture(12, d, 733), np.random.default_rng(734)
        g = f.affine(rng.standard_normal((d, d)), rng.normal(0, 100, d))
        first, second = (reduce(h, 3, method, refine="none") for h in (f, g))
        assert [step[:2] for step in first.path] == [step[:2] for step in second.path]


def test_reductions_do_not_change_the_original() -> None:
    f = random_mixture(9, 2, 735)
    before = [array.copy() for array in (f.weights, f.means, f.covariances)]
    for method in METHOD_DEFAULTS:
        reduce(f, 3, method, max_iterations=5)
    assert all(
        np.array_equal(copied, original)
        for copied, original in zip(before, (f.weights, f.means, f.covariances), strict=True)
    )


def test_merge_moments_equals_the_oracle() -> None:
    f = random_mixture(5, 2, 736)
    g = merge_groups(f, [[0, 2], [1, 3, 4]])
    for k, members in enumerate(([0, 2], [1, 3, 4])):
        weight, mean, covariance = merge_moments(f, members)
        np.testing.assert_allclose(g.weights[k], weight, rtol=1e-13)
        np.testing.assert_allclose(g.means[k], mean, rtol=1e-12)
        np.testing.assert_allclose(g.covariances[k], covariance, rtol=1e-12)
