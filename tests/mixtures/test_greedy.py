"""Greedy merging: every step against a loop that tries all candidates from scratch; the kernels; and how much is computed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixture_oracles import (
    after_merge,
    drawn,
    kernel,
    log_inner,
    mixtures,
    same_mixture,
    taken_together,
    without,
)

from explore._parallel import policy
from explore.errors import UnknownName
from explore.mixtures import GaussianMixture, distances, gram_log, load_mixture, pdf_angle, reduce
from explore.mixtures._kernels import pairs as kernels
from explore.mixtures.components import REMOVED
from explore.mixtures.config import USUAL, ReduceConfig
from explore.mixtures.pair_costs import CRITERIA, best_pair, merged_pair, score_pairs
from explore.mixtures.reduction import greedy
from explore.mixtures.reduction.run import ReduceRun, Reduction
from explore.mixtures.reduction.stages import Step

SEEDS = range(200)
Cost = Callable[[GaussianMixture, int, int], float]


def small(seed: int) -> GaussianMixture:
    """4 to 9 components in one to four dimensions."""
    return drawn(4 + seed % 6, 1 + seed % 4, 100 + seed, spread=1.0)


# ---- the same costs, in their plainest form


def lost_locally(f: GaussianMixture, i: int, j: int) -> float:
    """∫ (W N − w_i N_i − w_j N_j)²."""
    three = [
        taken_together(f, (i, j)),
        *((-f.weights[k], f.means[k], f.covariances[k]) for k in (i, j)),
    ]
    return sum(w * v * kernel(m, c, k, s) for w, m, c in three for v, k, s in three)


def runnalls(f: GaussianMixture, i: int, j: int) -> float:
    total, _, covariance = taken_together(f, (i, j))
    logs = [np.linalg.slogdet(c)[1] for c in (covariance, f.covariances[i], f.covariances[j])]
    return 0.5 * (total * logs[0] - f.weights[i] * logs[1] - f.weights[j] * logs[2])


def salmond(f: GaussianMixture, i: int, j: int) -> float:
    p, q, r = f.weights[i], f.weights[j], f.means[i] - f.means[j]
    return float(p * q / (p + q) * r @ np.linalg.solve(f.covariance, r))


LOCAL: dict[str, Cost] = {"ise-local": lost_locally, "runnalls": runnalls, "salmond": salmond}


def replay(
    found: Reduction,
    rate: Callable[[GaussianMixture], dict[tuple[int, int], float]],
    unit: float = 1.0,
) -> None:
    """Every step of the path is the cheapest of all candidates at its time, and costs what it says.

    ``rate`` gives the cost of all candidates of a mixture: of merging (i, j), of removing (i, -1). Steps may differ where
    costs tie within 1e-9.
    """
    here, slots = found.original, list(range(len(found.original)))
    for step in found.path:
        costs = rate(here)
        taken = slots.index(step.i), slots.index(step.j) if step.j != REMOVED else REMOVED
        best = min(costs, key=costs.__getitem__)
        assert costs[taken] <= costs[best] + 1e-9 * abs(costs[best]) + 1e-14 * unit, (
            step,
            best,
            slots,
        )
        assert step.score == pytest.approx(costs[taken], rel=1e-9, abs=1e-9 * unit)
        here = without(here, taken[0]) if step.j == REMOVED else after_merge(here, *taken)
        slots.pop(taken[1] if step.j != REMOVED else taken[0])
    same_mixture(here, found.mixture)


def from_scratch(
    f: GaussianMixture, removals: bool = False
) -> dict[str, Callable[[GaussianMixture], dict]]:
    """Every candidate as a mixture of its own, compared with the original, by angle and ISE."""
    own, seen = distances.inner_log(f, f), {}

    def tried(
        here: GaussianMixture,
    ) -> dict[tuple[int, int], tuple[GaussianMixture, distances.Overlap]]:
        if (known := here.means.tobytes()) not in seen:
            candidates = {
                (i, j): after_merge(here, i, j) for i, j in combinations(range(len(here)), 2)
            }
            if removals:
                candidates |= {(i, REMOVED): without(here, i) for i in range(len(here))}
            seen[known] = {
                pair: (g, distances.overlap(f, g, own)) for pair, g in candidates.items()
            }
        return seen[known]

    def by(kind: str) -> Callable[[GaussianMixture], dict]:
        return lambda here: {
            pair: distances.KINDS[kind](f, g, products)
            for pair, (g, products) in tried(here).items()
        }

    return {kind: by(kind) for kind in ("angle", "ise")}


# ---- incremental = naive


def test_every_global_merge_is_the_best_of_all_tried_from_scratch() -> None:
    for seed in SEEDS:
        f = small(seed)
        unit = {"angle": 1.0, "ise": np.exp(log_inner(f, f))}
        for kind, rate in from_scratch(f).items():
            replay(reduce(f, 1, "oggmr", criterion=kind, refine="none"), rate, unit[kind])


def test_every_step_of_williams_is_the_best_of_all_merges_and_removals() -> None:
    removed = 0
    for seed in SEEDS[:100]:
        f = small(seed)
        found = reduce(f, 1, "williams", refine="none")
        removed += sum(step.j == REMOVED for step in found.path)
        replay(found, from_scratch(f, removals=True)["ise"], np.exp(log_inner(f, f)))
    assert removed > 30  # or nothing was seen


@pytest.mark.parametrize("method", LOCAL)
def test_every_local_merge_is_the_cheapest_of_all_pairs(method) -> None:
    for seed in SEEDS[:100]:
        f = small(seed)
        cost = LOCAL[method]
        unit = np.exp(log_inner(f, f)) if method == "ise-local" else 1.0

        def rate(here: GaussianMixture, cost: Cost = cost) -> dict[tuple[int, int], float]:
            return {pair: cost(here, *pair) for pair in combinations(range(len(here)), 2)}

        replay(reduce(f, 1, method), rate, unit)


@pytest.mark.parametrize("method", ["oggmr", "williams"])
def test_thirty_components_are_enough_for_gaps_to_be_closed_and_sums_renewed(
    method, monkeypatch
) -> None:
    monkeypatch.setattr(greedy, "RESUM", 5)
    f = drawn(26, 2, 1, spread=1.0)
    kind = "ise" if method == "williams" else "angle"
    rate = from_scratch(f, removals=method == "williams")[kind]
    found = reduce(f, 1, method, refine="none")
    replay(found, rate, np.exp(log_inner(f, f)) if kind == "ise" else 1.0)


@pytest.mark.parametrize(("n", "d"), [(150, 1), (150, 2), (80, 3), (80, 5)])
@pytest.mark.parametrize("criterion", ["angle", "ise"])
def test_over_many_merges_the_running_sums_do_not_drift(n, d, criterion) -> None:
    f = drawn(n, d, 2, spread=1.5)
    found = reduce(f, 3, "oggmr", criterion=criterion, refine="none")
    unit = np.exp(distances.inner_log(f, f)) if criterion == "ise" else 1.0
    for count in (n - 2, n - 30, n - 63, n - 64, n - 65, 20, 4, 3):
        score = found.path[n - count - 1].score
        # arccos of a running cosine, as scores are, ends at 2e-8
        rounding = (
            1e-15 * unit if criterion == "ise" else max(2e-8 if score < 1e-7 else 0, 1e-15 / score)
        )
        assert score == pytest.approx(
            distances.distance(f, found.at(count), criterion), rel=1e-9, abs=rounding
        )


@settings(max_examples=30)
@given(
    f=mixtures(1, most=6),
    method=st.sampled_from(["oggmr", "ise-local", "runnalls", "salmond", "williams"]),
)
def test_steep_and_equal_and_flat_ones_too(f, method) -> None:
    unit = np.exp(log_inner(f, f))
    if method in LOCAL:
        unit = unit if method == "ise-local" else 1.0
        replay(
            reduce(f, 1, method),
            lambda g: {pair: LOCAL[method](g, *pair) for pair in combinations(range(len(g)), 2)},
            unit * 1e2,
        )
        return
    # angles near zero are rounding: squares of them are compared as the ISE is
    found = reduce(f, 1, method, criterion="ise", refine="none")
    replay(found, from_scratch(f, removals=method == "williams")["ise"], unit * 1e2)


def test_ties_go_to_the_lowest_pair() -> None:
    f = GaussianMixture(np.full(6, 1 / 6), [0, 0, 10, 10, 20, 20], np.ones(6))
    for method in ("oggmr", "ise-local", "runnalls", "salmond"):
        path = reduce(f, 3, method, refine="none").path
        assert [(step.i, step.j) for step in path] == [(0, 1), (2, 3), (4, 5)]


# ---- one look


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_scores_of_pairs_are_what_their_merges_cost(criterion, d) -> None:
    f, other = drawn(6, d, 3, spread=1.0), drawn(4, d, 4, spread=1.0)
    scores = score_pairs(f, criterion)
    assert np.isnan(np.diag(scores)).all()
    assert np.array_equal(scores, scores.T, equal_nan=True)
    for i, j in combinations(range(6), 2):
        if criterion in LOCAL:
            wanted = LOCAL[criterion](f, i, j)
        else:
            wanted = distances.distance(f, after_merge(f, i, j), criterion)
            against = distances.distance(other, after_merge(f, i, j), criterion)
            assert score_pairs(f, criterion, other)[i, j] == pytest.approx(against, rel=1e-9, abs=0)
        assert scores[i, j] == pytest.approx(wanted, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_best_pair_is_what_a_reduction_merges_first(criterion) -> None:
    method, options = {
        "angle": ("oggmr", {"refine": "none"}),
        "ise": ("oggmr", {"criterion": "ise", "refine": "none"}),
    }.get(criterion, (criterion, {}))
    for seed in range(30):
        f = small(seed)
        i, j = best_pair(scores := score_pairs(f, criterion))
        assert scores[i, j] == np.nanmin(scores)
        step = reduce(f, len(f) - 1, method, **options).path[0]
        assert (step.i, step.j) == (i, j)
        same_mixture(merged_pair(f, i, j), reduce(f, len(f) - 1, method, **options).mixture)


def test_the_lowest_of_equal_pairs_is_the_best() -> None:
    scores = np.array([[np.nan, 2, 1, 1], [2, np.nan, 1, 3], [1, 1, np.nan, 1], [1, 3, 1, np.nan]])
    assert best_pair(scores) == (0, 2)


def test_unknown_criteria_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown criterion 'runalls'.*'runnalls'"):
        score_pairs(small(0), "runalls")


# ---- kernels


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6, 20])
@pytest.mark.parametrize("n", [1, 7, 8, 65, 130])
def test_kernels_are_the_gram_matrix_in_other_units(n, d) -> None:
    f = drawn(n, d, 5)
    c, unit, worth = greedy.whitened(f)
    got = np.full(n, np.nan)
    kernels.products(
        d, unit, f.weights.copy(), np.ascontiguousarray(c.T), greedy.padded(c, 1.0), 0, n, got
    )
    own = greedy.self_products(c, unit)
    assert own.max() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(np.log(own) + worth, np.diag(gram_log(f, f)), rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        np.log(got) + worth, np.log(f.weights @ np.exp(gram_log(f, f))), rtol=0, atol=1e-10
    )


def test_each_kernel_alone_and_those_of_a_range() -> None:
    for d in (1, 2, 3, 4, 6):
        f = drawn(20, d, 6)
        c, unit, worth = greedy.whitened(f)
        gram, padded = gram_log(f, f), greedy.padded(c, 1.0)
        for k in (0, 19):
            got = np.full(20, -1.0)
            kernels.products(
                d, unit, np.ones(1), np.ascontiguousarray(c[:, k : k + 1].T), padded, 3, 17, got
            )
            assert (got[:3] == -1).all()
            assert (got[17:] == -1).all()
            shown = slice(3, 17)
            seen = gram[k, shown] - worth > -700
            np.testing.assert_allclose(
                np.log(got[shown][seen]) + worth, gram[k, shown][seen], rtol=1e-12, atol=1e-11
            )


def test_whitened_mixtures_have_mean_0_and_covariance_1() -> None:
    for d in (1, 2, 4):
        f = drawn(9, d, 7)
        c, _, _ = greedy.whitened(f)
        below = np.tril_indices(d)
        covariances = np.zeros((9, d, d))
        covariances[:, *below] = c[d:].T
        covariances[:, below[1], below[0]] = c[d:].T
        white = GaussianMixture(f.weights, c[:d].T, covariances)
        np.testing.assert_allclose(white.mean, 0, atol=1e-12)
        np.testing.assert_allclose(white.covariance, np.eye(d), atol=1e-12)
        np.testing.assert_allclose(pdf_angle(white, drawn(1, d, 8)) >= 0, True)


def test_the_exponential_is_right_to_two_units_in_the_last_place() -> None:
    x = np.concatenate([np.linspace(-700, 0, 20_001), -np.logspace(-300, 2.8, 3_000), [-0.0, 0.0]])
    got = np.array([kernels.exp_of_negative(value) for value in x])
    wanted = np.exp(x.astype(np.longdouble))
    assert np.abs(got / wanted - 1).max() < 4e-16
    np.testing.assert_allclose(got, np.exp(x), rtol=4e-16)
    assert kernels.exp_of_negative(0.0) == 1


@pytest.mark.parametrize("x", [-708.0, -1e5, -1e300, -np.inf])
def test_far_below_the_exponential_is_next_to_nothing(x) -> None:
    assert 0 <= kernels.exp_of_negative(x) < 1e-306


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("method", ["oggmr", "williams", "ise-local", "runnalls", "salmond"])
def test_one_thread_and_many_give_the_same_bits(method, d, monkeypatch) -> None:
    f = drawn(70, d, 9)
    found = []
    monkeypatch.setattr(numba, "get_num_threads", lambda: 3)
    for least in (0, 10**18):
        monkeypatch.setattr(policy, "MIN_SHARED_STEPS", least)
        found.append(reduce(f, 4, method, refine="none"))
    assert found[0].path == found[1].path
    for name in ("weights", "means", "covariances"):
        assert np.array_equal(getattr(found[0].mixture, name), getattr(found[1].mixture, name))


@pytest.mark.parametrize("method", USUAL)
def test_a_run_that_was_resumed_ends_with_the_same_bits(method) -> None:
    f = drawn(9 if method == "brute" else 25, 2, 10)
    config = ReduceConfig.make(method=method, components=4, max_iterations=10)
    straight = ReduceRun(config, f)
    states = []
    while straight.step < straight.steps:
        states.append(straight.state())
        straight.advance()
    wanted = straight.state()
    for state in states[:: max(1, len(states) // 6)]:
        run = ReduceRun(config, f)
        run.restore(state)
        while run.step < run.steps:
            run.advance()
        got = run.state()
        assert set(got) == set(wanted)
        assert all(np.array_equal(got[name], wanted[name]) for name in got)


# ---- how much is computed


def evaluations_of_the_greedy_algorithm(n: int, m: int, resum: int) -> int:
    """Product integrals, counted as section 5.3 of the specification needs them, none twice.

    Set-up: every component with f (n²) and with itself (n); every pair's merge with f (n), i with j, i and j with the
    merge, the merge with itself (4). A merge that leaves k = a − 1 of a: what it changed (three components) with each of the
    a; the new one with f (n), with g (k) and with itself (1). If another follows: three with each of the pairs that did not
    change, n + k + 4 for each of the k − 1 new ones. After ``resum`` merges: g with g (k²).
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
def test_kernel_evaluations_of_the_global_criteria_are_as_derived(n, m, d) -> None:
    f = drawn(n, d, 11)
    for criterion in ("angle", "ise"):
        found = reduce(f, m, "oggmr", criterion=criterion, refine="none").kernel_evaluations
        assert found == evaluations_of_the_greedy_algorithm(n, m, greedy.RESUM)
    assert n < 25 or 1.4 < found / n**3 < 1.9


def test_kernel_evaluations_of_removals_are_as_derived(monkeypatch) -> None:
    monkeypatch.setattr(greedy, "RESUM", 4)
    removed = 0
    for seed in range(20):
        n = 12
        found = reduce(drawn(n, 2, seed, spread=1.0), 2, "williams", refine="none")
        total, since = n * n + n + n * (n - 1) // 2 * (n + 4), 0
        for a, step in zip(range(n, 2, -1), found.path, strict=True):
            k, since = a - 1, since + 1
            if (
                step.j == REMOVED
            ):  # the one that went with each of the a, and with each of the pairs that are left
                total += a + k * (k - 1) // 2
                removed += 1
                continue
            total += 3 * a + n + k + 1
            if since >= 4:
                total, since = total + k * k, 0
            if k > 2:
                total += 3 * ((k - 1) * (k - 2) // 2) + (k - 1) * (n + k + 4)
        assert found.kernel_evaluations == total
    assert removed > 5


@pytest.mark.parametrize(("n", "m"), [(2, 1), (9, 4), (30, 10)])
def test_kernel_evaluations_of_the_local_criterion_are_as_derived(n, m) -> None:
    # each with itself; four a pair: i with j, each with the merge, the merge with itself; then four for each new pair and one
    wanted = n + 4 * n * (n - 1) // 2 + sum(4 * (a - 2) + 1 for a in range(n, m, -1))
    assert reduce(drawn(n, 2, 12), m, "ise-local").kernel_evaluations == wanted


def test_kernel_evaluations_of_the_others_are_as_derived() -> None:
    f = load_mixture("standard-1d")
    for method in ("runnalls", "salmond", "west", "prune"):
        assert (
            reduce(f, 5, method).kernel_evaluations == 0
        )  # determinants and distances of means only
    # the least with itself, the others each with itself and with the least
    assert reduce(f, 5, "west", order="trace").kernel_evaluations == sum(
        2 * (a - 1) + 1 for a in range(10, 5, -1)
    )
    # then all that are left with f and among themselves, for the weights
    weights = sum(10 * k + k * k for k in range(9, 4, -1))
    assert (
        reduce(f, 5, "cowa").kernel_evaluations
        == sum(2 * (a - 1) + 1 for a in range(10, 5, -1)) + weights
    )
    assert reduce(f, 5, "brute").kernel_evaluations == 42_525 * (10 * 5 + 5 * 5)
    assert reduce(f, 5, "runnalls", refine="weights").kernel_evaluations == 10 * 5 + 5 * 5


def test_steps_are_what_they_say() -> None:
    found = reduce(small(3), 2, "runnalls")
    assert all(isinstance(step, Step) for step in found.path)
    assert all(step.i < step.j for step in found.path)
    assert len({step.j for step in found.path}) == len(found.path)
