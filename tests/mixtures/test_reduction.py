"""Test reductions against published and recomputed tables, another package, and a plain search of all partitions."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from mixture_oracles import (
    assert_same_mixture,
    kl_by_quadrature,
    merge_groups,
    random_mixture,
    reference_distance,
)

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import (
    GaussianMixture,
    Reduction,
    distance,
    inner_log,
    ise,
    load_mixture,
    nise,
    pdf_angle,
    reduce,
)
from explore.mixtures.error_metrics import Yardstick
from explore.mixtures.merging import MutableMixture
from explore.mixtures.recordings import ERROR_METRICS
from explore.mixtures.reduction.clustering import Clustering

STANDARD = load_mixture("standard-1d")
UNREFINED: dict[str, Any] = {"refine": "none"}
# method, options, ISE, NISE, angle and KL
REFERENCE_ERRORS = [
    ("prune", {}, 0.035926, 0.034156, 0.250691, 0.3097),
    ("west", {}, 0.015900, 0.016480, 0.181702, 0.0385),
    ("west", {"order": "trace"}, 0.026635, 0.027716, 0.235781, 0.0284),
    ("runnalls", {}, 0.026635, 0.027716, 0.235781, 0.0284),
    ("gmrc", UNREFINED, 0.026635, 0.027716, 0.235781, 0.0284),
    ("salmond", {}, 0.018314, 0.019185, 0.195490, 0.0195),
    ("oggmr", UNREFINED, 0.002952, 0.002995, 0.075912, 0.0059),
    ("oggmr", {"criterion": "ise", **UNREFINED}, 0.002952, 0.002995, 0.075912, 0.0059),
    ("williams", UNREFINED, 0.002952, 0.002995, 0.075912, 0.0059),
    ("ise-local", {}, 0.002952, 0.002995, 0.075912, 0.0059),
    ("brute", {}, 0.002952, 0.002995, 0.075912, 0.0059),
    ("brute", {"criterion": "ise"}, 0.002952, 0.002995, 0.075912, 0.0059),
    ("oggmr", {"refine": "weights"}, 0.002482, 0.002539, 0.070933, 0.0048),
    ("oggmr", {}, 0.000175, 0.000179, 0.018205, 0.0117),
    ("runnalls", {"refine": "full"}, 0.000175, 0.000179, 0.018205, 0.0117),
    ("gmrc", {}, 0.000170, 0.000175, 0.018370, 0.0115),
    ("williams", {}, 0.000170, 0.000175, 0.018370, 0.0115),
]


# ---- the standard case in 1-D


def test_moments_of_the_standard_case() -> None:
    assert STANDARD.mean[0] == pytest.approx(1.2641, abs=1e-12)
    assert STANDARD.covariance[0, 0] == pytest.approx(0.57233519, abs=5e-9)
    assert np.exp(inner_log(STANDARD, STANDARD)) == pytest.approx(0.4852794018, abs=5e-11)


@pytest.mark.parametrize(
    ("method", "options", "squared", "normalised", "angle", "kl"), REFERENCE_ERRORS
)
def test_errors_of_five_from_ten_components(
    method, options, squared, normalised, angle, kl
) -> None:
    g = reduce(STANDARD, 5, method, **options).mixture
    assert len(g) == 5
    assert ise(STANDARD, g) == pytest.approx(squared, abs=6e-7)
    assert nise(STANDARD, g) == pytest.approx(normalised, abs=6e-7)
    assert pdf_angle(STANDARD, g) == pytest.approx(angle, abs=1.5e-6)
    assert kl_by_quadrature(STANDARD, g) == pytest.approx(kl, abs=6e-5)


@pytest.mark.parametrize("method", ["oggmr", "runnalls", "salmond", "brute", "ise-local"])
def test_full_refinement_ends_at_the_same_optimum(method) -> None:
    assert (
        pdf_angle(STANDARD, reduce(STANDARD, 5, method, criterion="angle", refine="full").mixture)
        <= 0.0183
    )


def test_the_best_five_groups_of_the_standard_case() -> None:
    weights, means = [0.18, 0.19, 0.16, 0.08, 0.39], [2.2, 0.48, 0.91, 2.77, 1.0505]
    expected = GaussianMixture(weights, means, [0.0305, 0.0174, 0.0102, 0.0115, 0.1724])
    for method in ("oggmr", "brute", "ise-local"):
        result = reduce(STANDARD, 5, method, refine="none")
        assert_same_mixture(result.mixture, expected, rtol=0, atol=6e-5)
        sixth = result.labels[0]
        assert np.flatnonzero(result.labels == sixth).tolist() == [0, 2, 4, 6, 7, 9]
        assert len(set(result.labels[[1, 3, 5, 8]])) == 4


@pytest.mark.parametrize(
    ("method", "angles"),
    [
        (
            "oggmr",
            [0.00129, 0.00155, 0.01216, 0.04715, 0.07591, 0.18436, 0.25913, 0.37425, 0.56293],
        ),
        (
            "runnalls",
            [0.00129, 0.00155, 0.01451, 0.05016, 0.23578, 0.26388, 0.31795, 0.31943, 0.56293],
        ),
    ],
)
def test_angles_from_nine_to_one_components(method, angles) -> None:
    result = reduce(STANDARD, 1, method, refine="none")
    np.testing.assert_allclose(result.trace, angles, atol=6e-6)
    for count, angle in zip(range(9, 0, -1), angles, strict=True):
        assert pdf_angle(
            STANDARD, reduce(STANDARD, count, method, refine="none").mixture
        ) == pytest.approx(angle, abs=6e-6)


# ---- the other cases


def test_errors_of_the_bivariate_case() -> None:
    f = load_mixture("bivariate")
    two = GaussianMixture([2 / 3, 1 / 3], f.means[1:], f.covariances[1:])
    assert ise(f, two) == pytest.approx(0.023315, abs=6e-7)
    assert pdf_angle(f, two) == pytest.approx(0.403251, abs=6e-7)
    for method in ("runnalls", "oggmr", "west", "salmond", "brute"):
        single = reduce(f, 1, method, refine="none").mixture
        assert ise(f, single) == pytest.approx(0.012881, abs=6e-7)
        assert nise(f, single) == pytest.approx(0.067302, abs=6e-7)
        assert pdf_angle(f, single) == pytest.approx(0.364327, abs=6e-7)


def test_angles_of_the_claw_from_five_to_one_components() -> None:
    trace = reduce(load_mixture("claw"), 1, "oggmr", refine="none").trace
    np.testing.assert_allclose(trace, [0.23725, 0.28673, 0.30355, 0.33945, 0.38665], atol=6e-6)


RANDOM = {
    "runnalls": ({}, 0.0856),
    "gmrc": (UNREFINED, 0.0856),
    "west": ({}, 0.1126),
    "cowa": ({}, 0.1111),
    "oggmr": (UNREFINED, 0.0488),
    "oggmr by ise": ({"criterion": "ise", **UNREFINED}, 0.0488),
    "ise-local": ({}, 0.0489),
    "prune": ({}, 0.1009),
    "salmond": ({}, 0.4388),
}


@pytest.fixture(scope="module")
def errors() -> dict[str, np.ndarray]:
    """Return the ISE of five from ten components in 4-D, ``[150]`` for each method."""
    originals = [load_mixture("random", seed=seed) for seed in range(150)]
    return {
        name: np.array(
            [ise(f, reduce(f, 5, name.split()[0], **options).mixture) for f in originals]
        )
        for name, (options, _) in RANDOM.items()
    }


@pytest.mark.parametrize("name", RANDOM)
def test_mean_errors_of_random_mixtures_in_4d(name, errors) -> None:
    values, expected = errors[name], RANDOM[name][1]
    assert abs(values.mean() - expected) < 3 * values.std(ddof=1) / np.sqrt(150)


def test_ranking_of_methods_on_random_mixtures(errors) -> None:
    means = {name: values.mean() for name, values in errors.items()}
    assert means["oggmr by ise"] < means["runnalls"] < means["west"] < means["salmond"]
    assert means["oggmr"] == pytest.approx(means["oggmr by ise"], rel=0.01)


def test_random_mixtures_are_reproducible_and_follow_their_distribution() -> None:
    f = load_mixture("random", seed=3)
    assert f.means.shape == (10, 4)
    assert np.array_equal(f.means, load_mixture("random", components=10, dimension=4, seed=3).means)
    assert not np.array_equal(f.means, load_mixture("random", seed=4).means)
    mixtures = [
        load_mixture("random", components=50, dimension=3, seed=seed) for seed in range(200)
    ]
    means = np.concatenate([g.means for g in mixtures])
    assert 0 <= means.min() < means.max() <= 3
    assert abs(means.mean() - 1.5) < 4 * np.sqrt(9 / 12 / means.size)
    covariances = np.concatenate(
        [g.covariances for g in mixtures]
    )  # The mean of Wishart(d + 1, I / 50) is (d + 1) / 50 · I.
    assert (
        np.abs(covariances.mean(0) - 0.08 * np.eye(3))
        < 4 * covariances.std(0) / np.sqrt(len(covariances))
    ).all()


# ---- brute force


def set_partitions(n: int, m: int) -> Iterator[list[list[int]]]:
    """Generate all partitions of 0 … n − 1 into m groups."""
    if n == 0:
        if m == 0:
            yield []
        return
    for groups in set_partitions(n - 1, m - 1):
        yield [*groups, [n - 1]]
    for groups in set_partitions(n - 1, m):
        for k in range(m):
            yield [[*group, n - 1] if index == k else group for index, group in enumerate(groups)]


@pytest.mark.parametrize("criterion", ["angle", "ise"])
@pytest.mark.parametrize(("n", "m", "d"), [(7, 3, 1), (6, 4, 2), (7, 2, 3), (5, 1, 2), (6, 5, 4)])
def test_brute_force_returns_the_best_partition(n, m, d, criterion) -> None:
    for seed in range(3):
        f = random_mixture(n, d, 60 + seed, spread=1)
        result = reduce(f, m, "brute", criterion=criterion)
        costs = {}
        for groups in set_partitions(n, m):
            costs[tuple(map(tuple, groups))] = distance(f, merge_groups(f, groups), criterion)
        best = min(costs, key=costs.__getitem__)
        assert costs[best] == pytest.approx(
            reference_distance(f, merge_groups(f, best), criterion), rel=1e-6, abs=1e-9
        )
        assert_same_mixture(result.mixture, merge_groups(f, best))
        assert {tuple(np.flatnonzero(result.labels == k)) for k in range(m)} == {
            tuple(sorted(group)) for group in best
        }


@pytest.mark.parametrize("criterion", ["angle", "ise"])
def test_no_greedy_method_beats_brute_force(criterion) -> None:
    for seed in range(12):
        f = random_mixture(8, 1 + seed % 3, 70 + seed, spread=1)
        least = distance(f, reduce(f, 3, "brute", criterion=criterion).mixture, criterion)
        for method in ("oggmr", "runnalls", "salmond", "west", "ise-local", "gmrc"):
            assert (
                least
                <= distance(
                    f, reduce(f, 3, method, criterion=criterion, refine="none").mixture, criterion
                )
                + 1e-12
            )


def test_too_many_partitions_are_rejected_with_their_number() -> None:
    with pytest.raises(
        InvalidInput,
        match="13 components can be grouped into 6 in 9,321,312 ways, more than the 2,000,000",
    ):
        reduce(random_mixture(13, 1, 0), 6, "brute")


# ---- another package


@pytest.fixture(scope="module")
def tcl() -> Any:
    """Import the Tracker Component Library in Python (``nrl-tracker``)."""
    return importlib.import_module(
        "pytcl.clustering.gaussian_mixture"
    )  # It is a test dependency: an oracle must not be skipped.


def by_tcl(tcl: Any, f: GaussianMixture, m: int, name: str, **options: Any) -> GaussianMixture:
    components = [
        tcl.GaussianComponent(float(w), k, c)
        for w, k, c in zip(f.weights, f.means, f.covariances, strict=True)
    ]
    result = getattr(tcl, f"reduce_mixture_{name}")(components, m, 0.0, **options).components
    return GaussianMixture(
        *(np.array([getattr(c, part) for c in result]) for part in ("weight", "mean", "covariance"))
    )


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_runnalls_and_west_equal_the_tracker_component_library(tcl, d, seed) -> None:
    f = random_mixture(14, d, 80 + seed)
    assert_same_mixture(reduce(f, 5, "runnalls").mixture, by_tcl(tcl, f, 5, "runnalls"), rtol=1e-6)
    assert_same_mixture(reduce(f, 5, "west").mixture, by_tcl(tcl, f, 5, "west"), rtol=1e-6)
    assert_same_mixture(
        reduce(f, 5, "west", partner="ise").mixture,
        by_tcl(tcl, f, 5, "west", distance="ise"),
        rtol=1e-6,
    )
    enhanced = by_tcl(tcl, f, 5, "west", distance="ise", enhanced=True)
    assert_same_mixture(reduce(f, 5, "west", order="determinant").mixture, enhanced, rtol=1e-6)


def test_the_standard_case_equals_the_tracker_component_library(tcl) -> None:
    for name, options in (("runnalls", {}), ("west", {})):
        assert_same_mixture(
            reduce(STANDARD, 5, name).mixture, by_tcl(tcl, STANDARD, 5, name, **options), rtol=1e-6
        )


# ---- West, pruning and clustering


def lightest_first(f: GaussianMixture, m: int, order: str, partner: str) -> GaussianMixture:
    groups = [[k] for k in range(len(f))]
    while len(groups) > m:
        current = merge_groups(f, groups)
        trace, determinant = (
            np.trace(current.covariances, axis1=1, axis2=2),
            np.linalg.det(current.covariances),
        )
        i = int(
            np.argmin(
                current.weights / {"weight": 1.0, "trace": trace, "determinant": determinant}[order]
            )
        )

        def far(j: int, current: GaussianMixture = current, i: int = i) -> float:
            if i == j:
                return np.inf
            first, second = (
                GaussianMixture([1], current.means[[k]], current.covariances[[k]]) for k in (i, j)
            )
            if partner == "ise":
                return reference_distance(first, second, "ise")
            r, p, q = (
                current.means[i] - current.means[j],
                current.covariances[i],
                current.covariances[j],
            )
            inverse = np.linalg.inv(q)
            return (
                np.trace(inverse @ p)
                + r @ inverse @ r
                + np.log(np.linalg.det(q) / np.linalg.det(p))
            )

        j = min(range(len(groups)), key=far)
        groups = [group for k, group in enumerate(groups) if k not in (i, j)] + [
            groups[i] + groups[j]
        ]
    return merge_groups(f, groups)


@pytest.mark.parametrize("order", ["weight", "trace", "determinant"])
@pytest.mark.parametrize("partner", ["kl", "ise"])
def test_all_forms_of_west_equal_a_plain_loop(order, partner) -> None:
    for seed in range(5):
        f = random_mixture(9, 1 + seed % 3, 90 + seed, spread=1)
        result = reduce(f, 4, "west", order=order, partner=partner).mixture
        assert_same_mixture(result, lightest_first(f, 4, order, partner))


def test_enhanced_west_uses_the_ise() -> None:
    f = random_mixture(9, 2, 95, spread=1)
    assert_same_mixture(
        reduce(f, 4, "west", order="trace").mixture, lightest_first(f, 4, "trace", "ise")
    )


def test_pruning_keeps_the_heaviest_components_and_their_proportions() -> None:
    f = random_mixture(9, 2, 96)
    result = reduce(f, 4, "prune")
    keep = np.sort(np.argsort(-f.weights)[:4])
    assert np.array_equal(result.mixture.means, f.means[keep])
    np.testing.assert_allclose(
        result.mixture.weights, f.weights[keep] / f.weights[keep].sum(), rtol=1e-14
    )
    assert result.labels[keep].tolist() == [0, 1, 2, 3]
    assert (np.delete(result.labels, keep) == -1).all()


def test_every_component_ends_in_its_nearest_cluster() -> None:
    for seed in range(20):
        f = random_mixture(14, 1 + seed % 3, 200 + seed, spread=1)
        result = reduce(f, 4, "gmrc", refine="none")
        assert result.converged
        g = result.mixture

        def divergence(i: int, k: int, f: GaussianMixture = f, g: GaussianMixture = g) -> float:
            r, inverse = f.means[i] - g.means[k], np.linalg.inv(g.covariances[k])
            logs = np.linalg.slogdet(g.covariances[k])[1] - np.linalg.slogdet(f.covariances[i])[1]
            return 0.5 * (
                np.trace(inverse @ f.covariances[i]) + r @ inverse @ r - f.dimension + logs
            )

        costs = np.array([[divergence(i, k) for k in range(4)] for i in range(14)])
        assert np.array_equal(costs.argmin(1), result.labels)
        runnalls = reduce(f, 4, "runnalls")
        own = f.weights @ costs[np.arange(14), result.labels]
        assert (
            own <= sum(step.score for step in runnalls.path) + 1e-12
        )  # Sweeps never raise the sum of Runnalls' costs.


def test_an_empty_cluster_restarts_at_the_worst_represented_component() -> None:
    f = GaussianMixture([0.1, 0.5, 0.39, 0.01], [0.0, 1.0, 10.0, 30.0], [1, 1, 1, 1])
    current, stage = MutableMixture(f), Clustering(f)
    current.regroup(np.array([0, 0, 2, 2]))
    for slot, (mean, variance) in {
        0: (6.0, 50.0),
        2: (1e6, 1.0),
    }.items():  # No component is near the second cluster.
        current.means[slot], current.covariances[slot] = mean, variance
    costs = (
        f.weights * 0.5 * ((1 + (f.means[:, 0] - 6) ** 2) / 50 - 1 + np.log(50))
    )  # w_i KL(f_i‖g_0)
    assert costs.argmax() == 1
    stage.advance(current)
    assert current.labels.tolist() == [0, 2, 0, 0]
    assert_same_mixture(current.freeze(), merge_groups(f, [[0, 2, 3], [1]]))
    assert not stage.done(current)


# ---- attributes of a reduction


@pytest.mark.parametrize(
    "method", ["oggmr", "williams", "ise-local", "runnalls", "salmond", "west", "cowa", "prune"]
)
def test_the_path_contains_every_number_of_components(method) -> None:
    for f in (STANDARD, random_mixture(12, 3, 97, spread=1)):
        n = len(f)
        result = reduce(f, 3, method, refine="none")
        assert len(result.path) == n - 3
        assert [len(result.at(count)) for count in range(3, n + 1)] == list(range(3, n + 1))
        assert_same_mixture(result.at(n), f)
        assert_same_mixture(result.at(3), result.mixture)
        for count in range(3, n):
            assert_same_mixture(result.at(count), reduce(f, count, method, refine="none").mixture)
        np.testing.assert_allclose(
            result.trace,
            [pdf_angle(f, result.at(count)) for count in range(n - 1, 2, -1)],
            rtol=1e-12,
        )


@pytest.mark.parametrize("count", [2, 0, -1, 11])
def test_numbers_outside_the_path_are_rejected(count) -> None:
    with pytest.raises(InvalidInput, match=f"goes from 10 to 3 components, not to {count}"):
        reduce(STANDARD, 3, "runnalls").at(count)


@pytest.mark.parametrize(
    "method", ["oggmr", "ise-local", "runnalls", "salmond", "west", "gmrc", "brute"]
)
def test_labels_reproduce_the_mixture(method) -> None:
    for f in (STANDARD, random_mixture(9, 2, 98, spread=1)):
        result = reduce(f, 4, method, refine="none")
        merged = merge_groups(f, [np.flatnonzero(result.labels == k) for k in range(4)])
        for name in ("weights", "means", "covariances"):
            np.testing.assert_allclose(
                getattr(result.mixture, name), getattr(merged, name), rtol=1e-10, atol=1e-12
            )


@pytest.mark.parametrize("method", ["williams", "prune"])
def test_removed_components_have_label_minus_one(
    method,
) -> None:
    removed = 0
    for seed in range(20):
        f = random_mixture(9, 2, 300 + seed, spread=1)
        result = reduce(f, 4, method, refine="none")
        removed += (result.labels < 0).any()
        groups = [np.flatnonzero(result.labels == k) for k in range(4)]
        merged = merge_groups(f, groups)
        weights = np.array([f.weights[group].sum() for group in groups])
        np.testing.assert_allclose(result.mixture.weights, weights / weights.sum(), rtol=1e-10)
        np.testing.assert_allclose(result.mixture.means, merged.means, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(
            result.mixture.covariances, merged.covariances, rtol=1e-10, atol=1e-12
        )
    assert removed > 5


def test_attributes_of_a_reduction() -> None:
    result = reduce(STANDARD, 5)
    assert isinstance(result, Reduction)
    assert result.original is STANDARD
    assert result.converged
    assert result.seconds > 0
    assert "10 → 5 components" in repr(result)
    assert result.kernel_evaluations > reduce(STANDARD, 5, refine="none").kernel_evaluations > 0
    assert not reduce(STANDARD, 5, max_iterations=1).converged


def test_reduction_to_the_same_number_changes_nothing() -> None:
    for method in (
        "oggmr",
        "williams",
        "ise-local",
        "runnalls",
        "salmond",
        "west",
        "cowa",
        "gmrc",
        "prune",
        "brute",
    ):
        result = reduce(STANDARD, 10, method)
        assert result.labels.tolist() == list(range(10))
        assert result.path == ()
        assert len(result.trace) == 0
        for name in ("weights", "means", "covariances"):
            assert np.array_equal(getattr(result.mixture, name), getattr(STANDARD, name))


def test_yardstick_integrates_the_divergence_in_1d() -> None:
    for seed in range(5):
        f, g = (
            random_mixture(5, 1, 990 + seed, spread=1),
            random_mixture(3, 1, 995 + seed, spread=1),
        )
        result = Yardstick(f).measure(g)
        assert result["kl"] == pytest.approx(kl_by_quadrature(f, g), rel=1e-4)
        assert result["kl_error"] == 0
    near = reduce(STANDARD, 9, "runnalls").mixture
    assert Yardstick(STANDARD).measure(near)["kl"] == pytest.approx(
        kl_by_quadrature(STANDARD, near), rel=1e-3, abs=0
    )


def test_yardstick_equals_the_single_functions() -> None:
    f, g = random_mixture(6, 2, 99, spread=1), random_mixture(3, 2, 99, spread=1)
    result = Yardstick(f, draws=4_000, seed=3).measure(g)
    assert set(result) == set(ERROR_METRICS)
    for name in ("angle", "ise", "nise", "cauchy-schwarz"):
        assert result[name.replace("-", "_")] == distance(f, g, name)
    points = f.sample(4_000, 3)
    logs = f.log_pdf(points) - g.log_pdf(points)
    assert result["kl"] == pytest.approx(logs.mean(), rel=1e-12)
    assert result["kl_error"] == pytest.approx(logs.std(ddof=1) / np.sqrt(4_000), rel=1e-12)
    shift = g.mean - f.mean
    assert result["mean_error"] == pytest.approx(
        np.sqrt(shift @ np.linalg.solve(f.covariance, shift)), rel=1e-9
    )
    ratio = np.linalg.solve(f.covariance, g.covariance) - np.eye(2)
    assert result["covariance_error"] == pytest.approx(np.sqrt(np.trace(ratio @ ratio)), rel=1e-9)


# ---- invalid input


@pytest.mark.parametrize("components", [0, -1, 2.5, True, "5", None, np.nan, np.inf, [5]])
def test_invalid_numbers_of_components_are_rejected(components) -> None:
    with pytest.raises(InvalidInput, match="components must be a whole number of at least 1"):
        reduce(STANDARD, components)


@pytest.mark.parametrize("method", ["oggmr", "runnalls", "west", "prune", "brute"])
def test_whole_numbers_of_any_type_are_accepted(method) -> None:
    for components in (np.int64(5), 5.0, np.float64(5)):
        assert len(reduce(STANDARD, components, method, refine="none").mixture) == 5


def test_too_many_components_are_rejected() -> None:
    with pytest.raises(
        InvalidInput, match="components must be at most 10, which the mixture has, got 11"
    ):
        reduce(STANDARD, 11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "kl"}, "unknown criterion 'kl'; known: angle, ise"),
        ({"refine": "all"}, "unknown refine 'all'; known: full, none, weights"),
        (
            {"method": "west", "order": "mean"},
            "unknown order 'mean'; known: determinant, trace, weight",
        ),
        ({"method": "west", "partner": "cs"}, "unknown partner 'cs'; known: ise, kl"),
        ({"max_iterations": 0}, "max_iterations must be a whole number of at least 1"),
        ({"min_weight": -0.1}, "min_weight must be a number of at least 0"),
        ({"min_weight": 1}, "min_weight must be in"),
        ({"min_weight": np.nan}, "min_weight must be a number of at least 0"),
        ({"metric": "angle"}, "no option 'metric'; it has .*criterion"),
        ({"method": "williams", "criterion": "angle"}, "williams has no criterion other than ise"),
        ({"method": "cowa", "criterion": "angle"}, "cowa has no criterion other than ise"),
    ],
)
def test_options_out_of_range_are_rejected(options, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        reduce(STANDARD, 5, **options)


def test_unknown_methods_and_other_types_are_rejected() -> None:
    with pytest.raises(UnknownName, match=r"unknown method 'runnals'.*Did you mean 'runnalls'"):
        reduce(STANDARD, 5, "runnals")
    with pytest.raises(
        InvalidInput,
        match=r"expected a GaussianMixture, got list; see GaussianMixture\.from_sklearn",
    ):
        reduce([1, 2, 3], 2)  # type: ignore[arg-type]


def test_load_mixture_by_name() -> None:
    assert (len(load_mixture("bivariate")), load_mixture("bivariate").dimension) == (3, 2)
    claw = load_mixture("claw")
    np.testing.assert_allclose(claw.weights, [0.5, *[0.1] * 5])
    np.testing.assert_allclose(claw.means[1:, 0], [-1, -0.5, 0, 0.5, 1])
    with pytest.raises(UnknownName, match=r"unknown mixture 'clow'.*Did you mean 'claw'"):
        load_mixture("clow")
    with pytest.raises(InvalidInput, match="mixture claw"):
        load_mixture("claw", seed=1)
    for wrong in ({"components": 0}, {"dimension": 0}):
        with pytest.raises(InvalidInput, match="must be a whole number of at least 1, got 0"):
            load_mixture("random", **wrong)
