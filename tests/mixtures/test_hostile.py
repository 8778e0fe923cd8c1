"""Test unusual and invalid input: it is rejected with a message, or it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explore.errors import ExploreWarning, InvalidInput, UnknownName
from explore.mixtures import (
    GaussianMixture,
    distance_matrix,
    load_mixture,
    merge_moments,
    modes,
    pdf_angle,
    reduce,
)
from explore.mixtures.pair_costs import best_pair, score_pairs
from explore.mixtures.reduction.gradients import gradient

ONE, CLAW = GaussianMixture([1.0], [0.0], [1.0]), load_mixture("claw")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: distance_matrix([CLAW, 3], "kl"), "got int"),
        (lambda: distance_matrix([CLAW, load_mixture("bivariate")]), "equal dimension"),
        (lambda: best_pair(score_pairs(ONE)), "nothing to merge it with"),
        (lambda: gradient(CLAW, CLAW, "angle"), "no derivative"),
        (lambda: CLAW.sample(-1), "whole number of at least 0, got -1"),
        (lambda: CLAW.sample(2.5), "whole number of at least 0, got 2.5"),
        (lambda: load_mixture("random", seed=-1), "seed must be a whole number of at least 0"),
        (lambda: load_mixture("digits", components=5000), "1 to 600 .* got 5000"),
        (lambda: load_mixture({}), "unknown mixture"),
        (lambda: load_mixture("claw", fingers=3), "mixture claw"),
        (lambda: reduce(CLAW, 5, data="claw"), "reduce has no option 'data'"),
        (
            lambda: reduce(CLAW, 2, min_weight=0.9),
            r"min_weight must be in \[0, 1 / components\), got 0.9",
        ),
        (lambda: reduce(CLAW, 2, min_weight="a"), "min_weight must be a number"),
        (lambda: reduce(CLAW, 2).at(9), "from 6 to 2 components, not to 9"),
        (lambda: GaussianMixture([0, 0], [0, 1], [1, 1], normalize=True), "not all be zero"),
        (
            lambda: GaussianMixture([1], [0], [1], jitter=0.1),
            "jitter must be a number of at least 0 and of at most",
        ),
        (
            lambda: GaussianMixture([1], [0], [1], jitter=float("nan")),
            "jitter must be a number of at least 0 and of at most",
        ),
        (lambda: load_mixture("bivariate").affine([[0.0, 0.0], [0.0, 1.0]]), "independent rows"),
    ],
)
def test_invalid_input_is_rejected(call: Callable[[], Any], match: str) -> None:
    with pytest.raises((InvalidInput, UnknownName), match=match):
        call()


def test_very_large_weights_are_normalised() -> None:
    huge = GaussianMixture([1e308, 1e308], [0, 1], [1, 1], normalize=True)
    assert huge.weights.tolist() == [0.5, 0.5]


def test_affine_maps_accept_very_small_units() -> None:
    mixture = load_mixture("bivariate")
    squeezed, plain = (
        reduce(g, 1, "runnalls").mixture for g in (mixture.affine(np.diag([1e-20, 1])), mixture)
    )
    assert squeezed.means[0] == pytest.approx(plain.means[0] * [1e-20, 1], abs=1e-25)


def test_merge_moments_accepts_one_index() -> None:
    assert merge_moments(CLAW, 2)[0] == CLAW.weights[2]


def test_at_accepts_a_whole_float() -> None:
    assert len(reduce(CLAW, 2, "runnalls").at(4.0)) == 4


@pytest.mark.parametrize("method", ["oggmr", "williams"])
@pytest.mark.parametrize("weight", [1e-300, 1e-3])
def test_a_narrow_component_of_little_weight_in_twenty_dimensions(
    method: str, weight: float
) -> None:
    means = np.arange(4)[:, None] * np.ones((4, 20))
    mixture = GaussianMixture(
        [weight, 0.5, 0.3, 0.2], means, [1e-12, 1e12, 1e12, 1e12], normalize=True
    )
    result = reduce(mixture, 2, method, refine="none")
    assert 0 <= pdf_angle(mixture, result.mixture) <= np.pi / 2
    assert np.isfinite([step.score for step in result.path]).all()


def test_two_components_with_three_modes() -> None:
    with pytest.warns(ExploreWarning, match=r"read as the variances of 2 components"):
        crossed = GaussianMixture([0.5, 0.5], [[0, 0], [1, 1]], [[1, 0.05], [0.05, 1]])
    peaks = modes(crossed)
    assert len(peaks) == 3
    assert np.abs(peaks - [0.953, 0.047]).max(1).min() < 0.005
    assert len(modes(load_mixture("bivariate"))) == 3
