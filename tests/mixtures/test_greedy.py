"""Test greedy merging against a loop that tries all candidates, the compiled kernels, and the number of kernel evaluations."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixture_oracles import (
    assert_same_mixture,
    gaussian_product,
    log_inner,
    merge_pair,
    merged_moments,
    mixtures,
    random_mixture,
    remove_component,
)

from explore._parallel import policy
from explore.errors import UnknownName
from explore.mixtures import GaussianMixture, distance, gram_log, inner_log, load_mixture, reduce
from explore.mixtures._kernels import products as kernels
from explore.mixtures.config import METHOD_DEFAULTS, ReduceConfig
from explore.mixtures.distances import CLOSED_FORM_DISTANCES
from explore.mixtures.inner_products import InnerProducts, inner_products
from explore.mixtures.merging import REMOVED
from explore.mixtures.pair_costs import PAIR_CRITERIA, best_pair, merged_pair, score_pairs
from explore.mixtures.reduction import _layout, global_merging
from explore.mixtures.reduction.run import ReduceRun, Reduction
from explore.mixtures.reduction.stages import Step

SEEDS = range(48)
Cost = Callable[[GaussianMixture, int, int], float]


def small_mixture(seed: int) -> GaussianMixture:
    """Return 4 to 9 components in one to four dimensions; 24 seeds give every combination."""
    return random_mixture(4 + seed // 4 % 6, 1 + seed % 4, 100 + seed, spread=1.0)


# ---- reference costs


def local_ise(f: GaussianMixture, i: int, j: int) -> float:
    """Compute ∫ (W N − w_i N_i − w_j N_j)²."""
    three = [
        merged_moments(f, (i, j)),
        *((-f.weights[k], f.means[k], f.covariances[k]) for k in (i, j)),
    ]
    return sum(w * v * gaussian_product(m, c, k, s) for w, m, c in three for v, k, s in three)


def runnalls(f: GaussianMixture, i: int, j: int) -> float:
    total, _, covariance = merged_moments(f, (i, j))
    logs = [np.linalg.slogdet(c)[1] for c in (covariance, f.covariances[i], f.covariances[j])]
    return 0.5 * (total * logs[0] - f.weights[i] * logs[1] - f.weights[j] * logs[2])


def salmond(f: GaussianMixture, i: int, j: int) -> float:
    p, q, r = f.weights[i], f.weights[j], f.means[i] - f.means[j]
    return float(p * q / (p + q) * r @ np.linalg.solve(f.covariance, r))


LOCAL_COSTS: dict[str, Cost] = {"ise-local": local_ise, "runnalls": runnalls, "salmond": salmond}


def assert_greedy(
    result: Reduction,
    rate: Callable[[GaussianMixture], dict[tuple[int, int], float]],
    unit: float = 1.0,
) -> None:
    """Assert that every step of a path is the cheapest of all candidates, and that its score is its cost.

    ``rate`` returns the costs of all candidates of a mixture: of merging (i, j) and of removing
    (i, -1). A step may be another candidate if the costs agree within 1e-9.
    """
    current, slots = result.original, list(range(len(result.original)))
    for step in result.path:
        costs = rate(current)
        candidate = slots.index(step.i), slots.index(step.j) if step.j != REMOVED else REMOVED
        best = min(costs, key=costs.__getitem__)
        limit = costs[best] + 1e-9 * abs(costs[best]) + 1e-14 * unit
        assert costs[candidate] <= limit, (step, best, slots)
        assert step.score == pytest.approx(costs[candidate], rel=1e-9, abs=1e-9 * unit)
        current = (
            remove_component(current, candidate[0])
            if step.j == REMOVED
            else merge_pair(current, *candidate)
        )
        slots.pop(candidate[1] if step.j != REMOVED else candidate[0])
    assert_same_mixture(current, result.mixture)


def candidate_distances(
    f: GaussianMixture, removals: bool = False
) -> dict[str, Callable[[GaussianMixture], dict]]:
    """Return functions that compute the distance of every candidate from the original, by angle and ISE."""
    norm, cache = inner_log(f, f), {}

    def candidates_of(
        current: GaussianMixture,
    ) -> dict[tuple[int, int], tuple[GaussianMixture, InnerProducts]]:
        if (key := current.means.tobytes()) not in cache:
            candidates = {
                (i, j): merge_pair(current, i, j) for i, j in combinations(range(len(current)), 2)
            }
            if removals:
                candidates |= {
                    (i, REMOVED): remove_component(current, i) for i in range(len(current))
                }
            cache[key] = {pair: (g, inner_products(f, g, norm)) for pair, g in candidates.items()}
        return cache[key]

    def by(kind: str) -> Callable[[GaussianMixture], dict]:
        return lambda current: {
            pair: CLOSED_FORM_DISTANCES[kind](f, g, products)
            for pair, (g, products) in candidates_of(current).items()
        }

    return {kind: by(kind) for kind in ("angle", "ise")}


# ---- incremental equals naive


def test_every_global_merge_is_the_best_of_all_candidates() -> None:
    for seed in SEEDS:
        f = small_mixture(seed)
        unit = {"angle": 1.0, "ise": np.exp(log_inner(f, f))}
        for kind, rate in candidate_distances(f).items():
            assert_greedy(reduce(f, 1, "oggmr", criterion=kind, refine="none"), rate, unit[kind])


def test_every_step_of_williams_is_the_best_merge_or_removal() -> None:
    removed = 0
    for seed in SEEDS:
        f = small_mixture(seed)
        result = reduce(f, 1, "williams", refine="none")
        removed += sum(step.j == REMOVED for step in result.path)
        assert_greedy(result, candidate_distances(f, removals=True)["ise"], np.exp(log_inner(f, f)))
    assert removed > 15  # Otherwise the test would show nothing about removals.


@pytest.mark.parametrize("method", LOCAL_COSTS)
def test_every_local_merge_is_the_cheapest_pair(method) -> None:
    for seed in SEEDS:
        f = small_mixture(seed)
        cost = LOCAL_COSTS[method]
        unit = np.exp(log_inner(f, f)) if method == "ise-local" else 1.0

        def rate(current: GaussianMixture, cost: Cost = cost) -> dict[tuple[int, int], float]:
            return {pair: cost(current, *pair) for pair in combinations(range(len(current)), 2)}

        assert_greedy(reduce(f, 1, method), rate, unit)


@pytest.mark.parametrize("method", ["oggmr", "williams"])
def test_merges_are_best_across_compaction_and_resummation(method, monkeypatch) -> None:
    monkeypatch.setattr(global_merging, "RESUM_INTERVAL", 5)
    f = random_mixture(26, 2, 1, spread=1.0)
    kind = "ise" if method == "williams" else "angle"
    rate = candidate_distances(f, removals=method == "williams")[kind]
    result = reduce(f, 1, method, refine="none")
    assert_greedy(result, rate, np.exp(log_inner(f, f)) if kind == "ise" else 1.0)


@pytest.mark.parametrize(("n", "d"), [(150, 1), (150, 2), (80, 3), (80, 5)])
@pytest.mark.parametrize("criterion", ["angle", "ise"])
def test_running_sums_do_not_drift(n, d, criterion) -> None:
    f = random_mixture(n, d, 2, spread=1.5)
    result = reduce(f, 3, "oggmr", criterion=criterion, refine="none")
    unit = np.exp(inner_log(f, f)) if criterion == "ise" else 1.0
    for count in (n - 2, n - 30, n - 63, n - 64, n - 65, 20, 4, 3):
        score = result.path[n - count - 1].score
        # A score is the arccosine of a running cosine, which is accurate to 2e-8 only.
        rounding = (
            1e-15 * unit if criterion == "ise" else max(2e-8 if score < 1e-7 else 0, 1e-15 / score)
        )
        assert score == pytest.approx(
            distance(f, result.at(count), criterion), rel=1e-9, abs=rounding
        )


@settings(max_examples=30)
@given(
    f=mixtures(1, max_components=6),
    method=st.sampled_from(["oggmr", "ise-local", "runnalls", "salmond", "williams"]),
)
def test_every_step_is_best_for_arbitrary_mixtures(f, method) -> None:
    unit = np.exp(log_inner(f, f))
    if method in LOCAL_COSTS:
        unit = unit if method == "ise-local" else 1.0
        assert_greedy(
            reduce(f, 1, method),
            lambda g: {
                pair: LOCAL_COSTS[method](g, *pair) for pair in combinations(range(len(g)), 2)
            },
            unit * 1e2,
        )
        return
    # Angles near zero are rounding, so the ISE is compared, which behaves as their square.
    result = reduce(f, 1, method, criterion="ise", refine="none")
    assert_greedy(result, candidate_distances(f, removals=method == "williams")["ise"], unit * 1e2)


def test_ties_go_to_the_lowest_pair() -> None:
    f = GaussianMixture(np.full(6, 1 / 6), [0, 0, 10, 10, 20, 20], np.ones(6))
    for method in ("oggmr", "ise-local", "runnalls", "salmond"):
        path = reduce(f, 3, method, refine="none").path
        assert [(step.i, step.j) for step in path] == [(0, 1), (2, 3), (4, 5)]


# ---- pair costs


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("criterion", PAIR_CRITERIA)
def test_pair_scores_equal_the_costs_of_the_merges(criterion, d) -> None:
    f, original = random_mixture(6, d, 3, spread=1.0), random_mixture(4, d, 4, spread=1.0)
    scores = score_pairs(f, criterion)
    assert np.isnan(np.diag(scores)).all()
    assert np.array_equal(scores, scores.T, equal_nan=True)
    for i, j in combinations(range(6), 2):
        if criterion in LOCAL_COSTS:
            expected = LOCAL_COSTS[criterion](f, i, j)
        else:
            expected = distance(f, merge_pair(f, i, j), criterion)
            expected_cost = distance(original, merge_pair(f, i, j), criterion)
            cost = score_pairs(f, criterion, original)[i, j]
            assert cost == pytest.approx(expected_cost, rel=1e-9, abs=0)
        assert scores[i, j] == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("criterion", PAIR_CRITERIA)
def test_a_reduction_merges_the_best_pair_first(criterion) -> None:
    method, options = {
        "angle": ("oggmr", {"refine": "none"}),
        "ise": ("oggmr", {"criterion": "ise", "refine": "none"}),
    }.get(criterion, (criterion, {}))
    for seed in range(30):
        f = small_mixture(seed)
        i, j = best_pair(scores := score_pairs(f, criterion))
        assert scores[i, j] == np.nanmin(scores)
        step = reduce(f, len(f) - 1, method, **options).path[0]
        assert (step.i, step.j) == (i, j)
        assert_same_mixture(merged_pair(f, i, j), reduce(f, len(f) - 1, method, **options).mixture)


def test_best_pair_is_the_lowest_of_equal_pairs() -> None:
    scores = np.array([[np.nan, 2, 1, 1], [2, np.nan, 1, 3], [1, 1, np.nan, 1], [1, 3, 1, np.nan]])
    assert best_pair(scores) == (0, 2)


def test_unknown_criteria_are_rejected() -> None:
    with pytest.raises(UnknownName, match=r"unknown criterion 'runalls'.*'runnalls'"):
        score_pairs(small_mixture(0), "runalls")


# ---- kernels


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6, 20])
@pytest.mark.parametrize("n", [1, 7, 8, 65, 130])
def test_compiled_products_equal_the_gram_matrix(n, d) -> None:
    f = random_mixture(n, d, 5)
    c, unit, worth = _layout.whiten(f)
    actual = np.full(n, np.nan)
    kernels.compute_products(
        d,
        unit,
        f.weights.copy(),
        np.ascontiguousarray(c.T),
        _layout.pad_columns(c, 1.0),
        0,
        n,
        actual,
    )
    own = _layout.self_products(c, unit)
    assert own.max() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(np.log(own) + worth, np.diag(gram_log(f, f)), rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        np.log(actual) + worth, np.log(f.weights @ np.exp(gram_log(f, f))), rtol=0, atol=1e-10
    )


def test_compiled_products_of_single_components_and_of_a_range() -> None:
    for d in (1, 2, 3, 4, 6):
        f = random_mixture(20, d, 6)
        c, unit, worth = _layout.whiten(f)
        gram, padded = gram_log(f, f), _layout.pad_columns(c, 1.0)
        for k in (0, 19):
            actual = np.full(20, -1.0)
            kernels.compute_products(
                d, unit, np.ones(1), np.ascontiguousarray(c[:, k : k + 1].T), padded, 3, 17, actual
            )
            assert (actual[:3] == -1).all()
            assert (actual[17:] == -1).all()
            span = slice(3, 17)
            visible = gram[k, span] - worth > -700
            np.testing.assert_allclose(
                np.log(actual[span][visible]) + worth,
                gram[k, span][visible],
                rtol=1e-12,
                atol=1e-11,
            )


def test_whitened_mixtures_have_mean_0_and_covariance_1() -> None:
    for d in (1, 2, 4):
        f = random_mixture(9, d, 7)
        c, _, _ = _layout.whiten(f)
        below = np.tril_indices(d)
        covariances = np.zeros((9, d, d))
        covariances[:, *below] = c[d:].T
        covariances[:, below[1], below[0]] = c[d:].T
        white = GaussianMixture(f.weights, c[:d].T, covariances)
        np.testing.assert_allclose(white.mean, 0, atol=1e-12)
        np.testing.assert_allclose(white.covariance, np.eye(d), atol=1e-12)
        assert distance(white, random_mixture(1, d, 8)) >= 0


def test_exponential_is_accurate_to_two_units_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-700, 0, 20_001), -np.logspace(-300, 2.8, 3_000), [-0.0, 0.0]])
    actual = np.array([kernels.exp_nonpositive(value) for value in x])
    expected = np.exp(x.astype(np.longdouble))
    assert np.abs(actual / expected - 1).max() < 4e-16
    np.testing.assert_allclose(actual, np.exp(x), rtol=4e-16)
    assert kernels.exp_nonpositive(0.0) == 1


@pytest.mark.parametrize("x", [-708.0, -1e5, -1e300, -np.inf])
def test_exponential_of_very_negative_numbers(x) -> None:
    assert 0 <= kernels.exp_nonpositive(x) < 1e-306


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("method", ["oggmr", "williams", "ise-local", "runnalls", "salmond"])
def test_one_thread_and_several_give_the_same_bits(method, d, monkeypatch) -> None:
    f = random_mixture(70, d, 9)
    result = []
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    for least in (0, 10**18):
        monkeypatch.setattr(policy, "MIN_SHARED_STEPS", least)
        result.append(reduce(f, 4, method, refine="none"))
    assert result[0].path == result[1].path
    for name in ("weights", "means", "covariances"):
        assert np.array_equal(getattr(result[0].mixture, name), getattr(result[1].mixture, name))


@pytest.mark.parametrize("method", METHOD_DEFAULTS)
def test_resumed_runs_end_with_the_same_bits(method) -> None:
    f = random_mixture(9 if method == "brute" else 25, 2, 10)
    config = ReduceConfig.make(method=method, components=4, max_iterations=10)
    straight = ReduceRun(config, f)
    states = []
    while straight.step < straight.steps:
        states.append(straight.state())
        straight.advance()
    expected = straight.state()
    for state in states[:: max(1, len(states) // 6)]:
        run = ReduceRun(config, f)
        run.restore(state)
        while run.step < run.steps:
            run.advance()
        actual = run.state()
        assert set(actual) == set(expected)
        assert all(np.array_equal(actual[name], expected[name]) for name in actual)


# ---- kernel evaluations


def expected_evaluations(n: int, m: int, resum: int) -> int:
    """Count the product integrals of greedy merging, none of them twice.

    Set-up: every component with f (n²) and with itself (n); the merge of every pair with f (n), i with
    j, i and j with the merge, and the merge with itself (4). A merge that leaves k = a − 1 of a
    components: the three changed components with each of the a; the new one with f (n), with g (k)
    and with itself (1). If another merge follows: three with each of the pairs that did not change,
    n + k + 4 for each of the k − 1 new ones. After ``resum`` merges: g with g (k²).
    """
    total = n * n + n + n * (n - 1) // 2 * (n + 4)
    since = 0
    for a in range(n, m, -1):
        k, since = a - 1, since + 1
        total += 3 * a + n + k + 1
        if since == resum:
            total, since = total + k * k, 0
        if k > m:
            total += 3 * ((k - 1) * (k - 2) // 2) + (k - 1) * (n + k + 4)
    return total


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize(
    ("n", "m"), [(2, 1), (3, 1), (5, 2), (12, 11), (25, 10), (50, 10), (100, 10)]
)
def test_kernel_evaluations_of_global_merging(n, m, d) -> None:
    f = random_mixture(n, d, 11)
    for criterion in ("angle", "ise"):
        result = reduce(f, m, "oggmr", criterion=criterion, refine="none").kernel_evaluations
        assert result == expected_evaluations(n, m, global_merging.RESUM_INTERVAL)
    assert n < 25 or 1.4 < result / n**3 < 1.9


def test_kernel_evaluations_of_removals(monkeypatch) -> None:
    monkeypatch.setattr(global_merging, "RESUM_INTERVAL", 4)
    removed = 0
    for seed in range(20):
        n = 12
        result = reduce(random_mixture(n, 2, seed, spread=1.0), 2, "williams", refine="none")
        total, since = n * n + n + n * (n - 1) // 2 * (n + 4), 0
        for a, step in zip(range(n, 2, -1), result.path, strict=True):
            k, since = a - 1, since + 1
            if (
                step.j == REMOVED
            ):  # The removed component with each of the a, and with each remaining pair.
                total += a + k * (k - 1) // 2
                removed += 1
                continue
            total += 3 * a + n + k + 1
            if since >= 4:
                total, since = total + k * k, 0
            if k > 2:
                total += 3 * ((k - 1) * (k - 2) // 2) + (k - 1) * (n + k + 4)
        assert result.kernel_evaluations == total
    assert removed > 5


@pytest.mark.parametrize(("n", "m"), [(2, 1), (9, 4), (30, 10)])
def test_kernel_evaluations_of_local_merging(n, m) -> None:
    # One for each component, four for each pair (i with j, each with the merge, the merge with
    # itself), then four for each new pair, and one.
    expected = n + 4 * n * (n - 1) // 2 + sum(4 * (a - 2) + 1 for a in range(n, m, -1))
    assert reduce(random_mixture(n, 2, 12), m, "ise-local").kernel_evaluations == expected


def test_kernel_evaluations_of_other_methods() -> None:
    f = load_mixture("standard-1d")
    for method in ("runnalls", "salmond", "west", "prune"):
        assert (
            reduce(f, 5, method).kernel_evaluations == 0
        )  # These use determinants and distances of means only.
    # The lightest with itself, the others each with itself and with the lightest.
    assert reduce(f, 5, "west", order="trace").kernel_evaluations == sum(
        2 * (a - 1) + 1 for a in range(10, 5, -1)
    )
    # Then, for the weights, all remaining components with f and with each other.
    weights = sum(10 * k + k * k for k in range(9, 4, -1))
    assert (
        reduce(f, 5, "cowa").kernel_evaluations
        == sum(2 * (a - 1) + 1 for a in range(10, 5, -1)) + weights
    )
    assert reduce(f, 5, "brute").kernel_evaluations == 42_525 * (10 * 5 + 5 * 5)
    assert reduce(f, 5, "runnalls", refine="weights").kernel_evaluations == 10 * 5 + 5 * 5


def test_steps_merge_each_slot_once() -> None:
    result = reduce(small_mixture(3), 2, "runnalls")
    assert all(isinstance(step, Step) for step in result.path)
    assert all(step.i < step.j for step in result.path)
    assert len({step.j for step in result.path}) == len(result.path)
