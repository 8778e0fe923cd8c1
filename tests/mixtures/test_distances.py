"""Distances: against quadrature, draws and loops; the axioms of a metric, and for those that are none, triples that show it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixture_oracles import (
    drawn,
    kl_on_a_line,
    line,
    log_density,
    log_inner,
    mixtures,
    plain_distance,
)
from scipy.stats import multivariate_normal

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import (
    GaussianMixture,
    cauchy_schwarz,
    distance,
    distance_matrix,
    distances,
    gram_log,
    inner_log,
    ise,
    kl_divergence,
    load_mixture,
    nise,
    pdf_angle,
    pdf_chord,
)

CLOSED = ("angle", "chord", "ise", "nise", "cauchy-schwarz")
ROUNDING = 1e-7  # what is left of an angle of zero, as the module says
Distance = Callable[[GaussianMixture, GaussianMixture], float]
METRICS: dict[str, Distance] = {
    "angle": pdf_angle,
    "chord": pdf_chord,
    "sine": lambda f, g: float(np.sin(pdf_angle(f, g))),
    "L2": lambda f, g: float(np.sqrt(ise(f, g))),
    "root of NISE": lambda f, g: float(np.sqrt(nise(f, g))),
}
NO_METRICS: dict[str, Distance] = {
    "ISE": ise,
    "NISE": nise,
    "1 - cos": lambda f, g: 1 - float(np.cos(pdf_angle(f, g))),
    "Cauchy–Schwarz": cauchy_schwarz,
}


def between(f: GaussianMixture, g: GaussianMixture, share: float) -> GaussianMixture:
    """``share · f + (1 − share) · g``."""
    weights = np.concatenate([share * f.weights, (1 - share) * g.weights])
    return GaussianMixture(
        weights, np.vstack([f.means, g.means]), np.vstack([f.covariances, g.covariances])
    )


def permuted(f: GaussianMixture, order: np.ndarray) -> GaussianMixture:
    return GaussianMixture(f.weights[order], f.means[order], f.covariances[order])


def split(f: GaussianMixture, k: int, share: float) -> GaussianMixture:
    """Component k as two with its mean and covariance."""
    weights = np.append(f.weights, share * f.weights[k])
    weights[k] *= 1 - share
    return GaussianMixture(
        weights,
        np.vstack([f.means, f.means[k]]),
        np.vstack([f.covariances, f.covariances[k][None]]),
    )


# ---- values


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8])
def test_kernels_are_densities_of_one_mean_around_the_other(d) -> None:
    f, g = drawn(5, d, 0), drawn(3, d, 1)
    wanted = [
        [
            multivariate_normal.logpdf(f.means[i], g.means[j], f.covariances[i] + g.covariances[j])
            for j in range(3)
        ]
        for i in range(5)
    ]
    np.testing.assert_allclose(gram_log(f, g), wanted, rtol=1e-12, atol=1e-12)
    assert inner_log(f, g) == pytest.approx(log_inner(f, g), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
def test_unrolled_and_lapack_factors_agree(d, monkeypatch) -> None:
    f, g = drawn(6, d, 2), drawn(5, d, 3)
    grams = []
    for most in (0, 10):
        monkeypatch.setattr(distances, "UNROLLED", most)
        grams.append(gram_log(f, g))
    np.testing.assert_allclose(*grams, rtol=1e-12, atol=1e-12)


def test_tiles_are_seams_that_nobody_sees(monkeypatch) -> None:
    f, g = drawn(23, 3, 4), drawn(7, 3, 5)
    whole = gram_log(f, g)
    monkeypatch.setattr(distances, "TILE", 5 * 7 * 9)
    assert np.array_equal(gram_log(f, g), whole)


@pytest.mark.parametrize("seed", range(6))
def test_in_one_dimension_all_are_the_integrals_they_stand_for(seed) -> None:
    f, g = drawn(4, 1, seed), drawn(3, 1, seed + 50)
    x, step = line(f, g)
    a, b = np.exp(log_density(f, x)), np.exp(log_density(g, x))
    ff, fg, gg = (float(np.sum(p * q) * step) for p, q in ((a, a), (a, b), (b, b)))
    squared = float(np.sum((a - b) ** 2) * step)
    cosine = fg / np.sqrt(ff * gg)
    assert np.exp(inner_log(f, g)) == pytest.approx(fg, rel=1e-11)
    assert ise(f, g) == pytest.approx(squared, rel=1e-9)
    assert nise(f, g) == pytest.approx(squared / (ff + gg), rel=1e-9)
    assert pdf_angle(f, g) == pytest.approx(np.arccos(cosine), rel=1e-9)
    assert pdf_chord(f, g) ** 2 == pytest.approx(
        np.sum((a / np.sqrt(ff) - b / np.sqrt(gg)) ** 2) * step, rel=1e-9
    )
    assert cauchy_schwarz(f, g) == pytest.approx(-np.log(cosine), rel=1e-9)


def test_in_three_dimensions_inner_products_are_means_over_draws() -> None:
    f, g = drawn(4, 3, 6, spread=0.7), drawn(3, 3, 7, spread=0.7)
    for one, other in ((f, g), (g, f), (f, f)):
        values = np.exp(log_density(other, one.sample(50_000, 8)))
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - np.exp(inner_log(one, other))) < 4 * error


@settings(max_examples=40)
@given(f=mixtures(2), g=mixtures(2))
def test_all_follow_from_three_inner_products(f, g) -> None:
    ff = np.exp(log_inner(f, f))
    for kind in CLOSED:
        unit = ff if kind == "ise" else 1.0
        # the plain form loses what is below 1e-16 of the inner products, so roots of it what is below 1e-8
        assert distance(f, g, kind) == pytest.approx(
            plain_distance(f, g, kind), rel=1e-6, abs=1e-6 * unit
        )


def off_at(size: float, d: int) -> float:
    """Root mean square of the relative error of small angles, which grow in proportion to what moves."""
    errors = []
    for seed in range(20):
        f, direction = (
            drawn(4, d, 900 + seed),
            np.random.default_rng([seed, d]).standard_normal((4, d)),
        )
        angles = [
            pdf_angle(f, GaussianMixture(f.weights, f.means + s * direction, f.covariances)) / s
            for s in (1e-5, size)
        ]
        errors.append(angles[1] / angles[0] - 1)
    return float(np.sqrt(np.mean(np.square(errors))))


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_nearly_parallel_mixtures_keep_more_digits_than_an_arccosine(d, monkeypatch) -> None:
    here = off_at(1e-6, d)
    assert here < 3e-3
    assert off_at(1e-4, d) < 1e-3
    monkeypatch.setattr(distances, "SMALL", 1.0)
    assert off_at(1e-6, d) > 2 * here


@given(f=mixtures(2), g=mixtures(2))
def test_nise_is_one_less_cosine_over_the_cosh_of_the_log_of_the_norms(f, g) -> None:
    norms = 0.5 * (log_inner(f, f) - log_inner(g, g))
    assert nise(f, g) == pytest.approx(
        1 - np.cos(pdf_angle(f, g)) / np.cosh(norms), rel=1e-6, abs=1e-9
    )


def test_named_functions_are_kinds_of_distance() -> None:
    f, g = drawn(3, 2, 11), drawn(2, 2, 12)
    for kind, function in zip(
        CLOSED, (pdf_angle, pdf_chord, ise, nise, cauchy_schwarz), strict=True
    ):
        assert distance(f, g, kind) == function(f, g) > 0
    assert distance(f, g) == pdf_angle(f, g)
    assert distance(f, g, "kl") == kl_divergence(f, g)[0]


# ---- single Gaussians


@settings(max_examples=40)
@given(f=mixtures(2, most=1), g=mixtures(2, most=1))
def test_two_gaussians_have_the_angle_that_they_have_as_mixtures_of_two_halves(f, g) -> None:
    halves = [
        GaussianMixture([0.5, 0.5], np.repeat(h.means, 2, 0), np.repeat(h.covariances, 2, 0))
        for h in (f, g)
    ]
    for kind in CLOSED:
        one, two = distance(f, g, kind), distance(*halves, kind)
        assert one == pytest.approx(
            two, rel=1e-6, abs=ROUNDING * (np.exp(log_inner(f, f)) if kind == "ise" else 1)
        )


@pytest.mark.parametrize("size", [1e-1, 1e-4, 1e-8, 1e-12, 1e-100])
def test_two_gaussians_are_told_apart_however_near(size) -> None:
    f, g = (GaussianMixture([1], [[at, 0.0]], [[2.0, 3.0]]) for at in (0.0, size))
    divergence = size**2 / 8  # half of r' (S + S)^-1 r
    assert cauchy_schwarz(f, g) == pytest.approx(divergence, rel=1e-12, abs=0)
    wanted = np.arccos(np.exp(-divergence)) if size > 0.01 else np.sqrt(2 * divergence)
    assert pdf_angle(f, g) == pytest.approx(wanted, rel=1e-8, abs=0)


@pytest.mark.parametrize("size", [1e-4, 1e-8, 1e-12])
def test_two_gaussians_have_a_chord_however_near(size) -> None:
    f, g = (GaussianMixture([1], [[at, 0.0]], [[2.0, 3.0]]) for at in (0.0, size))
    assert pdf_chord(f, g) == pytest.approx(size / 2, rel=1e-6, abs=0)
    assert nise(f, g) == pytest.approx(size**2 / 8, rel=1e-6, abs=0)


def test_gaussians_of_one_mean_have_an_angle_by_their_widths() -> None:
    for ratio in (0.25, 1.0, 4.0, 1e4):
        f, g = GaussianMixture([1], [3], [1]), GaussianMixture([1], [3], [ratio])
        assert np.cos(pdf_angle(f, g)) == pytest.approx(
            np.sqrt(2 * np.sqrt(ratio) / (1 + ratio)), rel=1e-12
        )


# ---- axioms


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=40)
@given(f=mixtures(2), g=mixtures(2), h=mixtures(2), share=st.floats(0, 1))
def test_metrics_fulfil_their_axioms(name, f, g, h, share) -> None:
    metric = METRICS[name]
    size = np.exp(0.5 * max(log_inner(m, m) for m in (f, g, h))) if name == "L2" else 1.0
    for middle in (g, between(f, h, share)):
        ends, first, second = metric(f, h), metric(f, middle), metric(middle, h)
        assert first >= 0
        assert ends <= first + second + ROUNDING * size
    assert metric(g, f) == pytest.approx(metric(f, g), rel=1e-9, abs=ROUNDING * size)
    assert metric(f, f) < ROUNDING * size


@pytest.mark.parametrize("name", METRICS)
def test_triangles_hold_to_the_ninth_digit(name) -> None:
    metric, rng = METRICS[name], np.random.default_rng(13)
    for seed in range(150):
        f, h = (drawn(int(rng.integers(1, 4)), 2, seed + 1000 * k, spread=1) for k in (1, 2))
        g = between(f, h, rng.uniform()) if seed % 2 else drawn(2, 2, seed, spread=1)
        assert metric(f, h) <= metric(f, g) + metric(g, h) + 1e-9


@pytest.mark.parametrize("name", NO_METRICS)
def test_the_others_have_a_triangle_that_is_shorter_by_way_of_the_middle(name) -> None:
    f, h = GaussianMixture([1], [0], [1]), GaussianMixture([1], [4], [1])
    g = GaussianMixture([0.5, 0.5], [0, 4], [1, 1])
    assert NO_METRICS[name](f, h) > 1.1 * (NO_METRICS[name](f, g) + NO_METRICS[name](g, h))
    for metric in METRICS.values():
        assert metric(f, h) <= metric(f, g) + metric(g, h) + 1e-9


@settings(max_examples=40)
@given(f=mixtures(2), data=st.data())
def test_order_and_splits_do_not_matter(f, data) -> None:
    order = np.array(data.draw(st.permutations(range(len(f)))))
    k, share = data.draw(st.integers(0, len(f) - 1)), data.draw(st.floats(0, 1))
    for same in (f, permuted(f, order), split(f, k, share), split(permuted(f, order), k, share)):
        assert pdf_angle(f, same) < ROUNDING
        assert pdf_chord(f, same) < ROUNDING
        assert 0 <= nise(f, same) < ROUNDING**2
        assert 0 <= ise(f, same) < ROUNDING**2 * np.exp(log_inner(f, f))
        assert 0 <= cauchy_schwarz(f, same) < ROUNDING**2


# ---- maps and extremes


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_an_invertible_map_changes_nothing_but_the_unit_of_the_ise(d) -> None:
    f, g, rng = drawn(4, d, 14), drawn(3, d, 15), np.random.default_rng(16)
    a, b = rng.standard_normal((d, d)), rng.normal(0, 10, d)
    there = [h.affine(a, b) for h in (f, g)]
    for kind in CLOSED:
        factor = abs(np.linalg.det(a)) if kind == "ise" else 1.0
        assert distance(*there, kind) * factor == pytest.approx(distance(f, g, kind), rel=1e-9)


@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("away", [100.0, 1e4, 1e8])
def test_far_mixtures_are_at_a_right_angle_and_their_divergence_stays_finite(
    components, away
) -> None:
    f = GaussianMixture(
        np.full(components, 1 / components), np.zeros(components), np.ones(components)
    )
    g = GaussianMixture(f.weights, f.means + away, f.covariances)
    assert pdf_angle(f, g) == np.pi / 2
    assert pdf_chord(f, g) == pytest.approx(np.sqrt(2), rel=1e-15)
    assert cauchy_schwarz(f, g) == pytest.approx(away**2 / 4, rel=1e-14)
    assert ise(f, g) == pytest.approx(1 / np.sqrt(np.pi), rel=1e-14)


@pytest.mark.parametrize("away", [0.0, 5.0, 100.0, 1e4])
def test_the_normalised_error_is_never_above_one(away) -> None:
    for components in (1, 2):
        f = GaussianMixture(
            np.full(components, 1 / components), np.zeros(components), np.ones(components)
        )
        g = GaussianMixture(f.weights, f.means + away, f.covariances)
        assert 0 <= nise(f, g) <= 1


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("d", [1, 3, 6])
def test_units_of_any_size_give_the_same_angle(scale, d) -> None:
    f, g = drawn(3, d, 17), drawn(4, d, 18)
    there = [
        GaussianMixture(h.weights, np.sqrt(scale) * h.means, scale * h.covariances) for h in (f, g)
    ]
    for kind in ("angle", "chord", "nise", "cauchy-schwarz"):
        assert distance(*there, kind) == pytest.approx(distance(f, g, kind), rel=1e-9)
    assert ise(*there) * scale ** (d / 2) == pytest.approx(ise(f, g), rel=1e-9, abs=0)


def test_dirac_and_plain_are_nearly_at_a_right_angle() -> None:
    f, g = GaussianMixture([1], [0], [1e-12]), GaussianMixture([1], [0], [1e12])
    assert np.pi / 2 - pdf_angle(f, g) == pytest.approx(np.sqrt(2e-12), rel=1e-6)
    assert nise(f, g) <= 1
    both = GaussianMixture([0.5, 0.5], [0, 0], [1e-12, 1e12])
    assert pdf_angle(f, both) < 2e-6  # mass is not seen: half of it is gone


def test_weights_of_1e_300_and_zero_are_nothing() -> None:
    f, g = GaussianMixture([1], [0], [1]), GaussianMixture([1, 1e-300, 0], [0, 1, 2], [1, 1, 1])
    for kind in CLOSED:
        assert distance(f, g, kind) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("kind", CLOSED)
def test_twenty_dimensions_are_a_number_like_any_other(kind) -> None:
    f, g = drawn(4, 20, 19, spread=0.3), drawn(3, 20, 20, spread=0.3)
    wanted = plain_distance(f, g, kind)
    assert distance(f, g, kind) == pytest.approx(wanted, rel=1e-8)


# ---- Kullback–Leibler


def test_draws_find_the_divergence_within_their_error() -> None:
    f, g = drawn(4, 1, 21, spread=1), drawn(3, 1, 22, spread=1)
    wanted = kl_on_a_line(f, g)
    found = [kl_divergence(f, g, 2_000, seed) for seed in range(60)]
    for value, error in found:
        assert abs(value - wanted) < 4 * error
    off = np.array([(value - wanted) / error for value, error in found])
    assert 0.7 < off.std() < 1.3  # the error is neither too modest nor too proud
    assert kl_divergence(f, f) == (0.0, 0.0)


def test_a_generator_goes_on_and_a_seed_repeats() -> None:
    f, g = drawn(3, 2, 23), drawn(3, 2, 24)
    assert kl_divergence(f, g, 100, 5) == kl_divergence(f, g, 100, np.random.default_rng(5))
    assert kl_divergence(f, g, 100, 5) != kl_divergence(f, g, 100, 6)


def test_one_draw_has_no_error() -> None:
    with pytest.raises(InvalidInput, match="draws must be a whole number ≥ 2, got 1"):
        kl_divergence(drawn(2, 1, 0), drawn(2, 1, 1), 1)


# ---- many at once


@pytest.mark.parametrize("kind", [*CLOSED, "kl"])
def test_a_matrix_holds_the_distances_one_by_one(kind) -> None:
    several = [drawn(3, 2, 25), drawn(1, 2, 26), drawn(5, 2, 27), drawn(1, 2, 28)]
    found = distance_matrix(several, kind)
    for i, f in enumerate(several):
        for j, g in enumerate(several):
            assert found[i, j] == pytest.approx(0.0 if i == j else distance(f, g, kind), rel=1e-12)


def test_a_matrix_of_none_is_empty() -> None:
    assert distance_matrix([]).shape == (0, 0)


# ---- refusals


@pytest.mark.parametrize("kind", [*CLOSED, "kl"])
def test_unlike_dimensions_are_refused(kind) -> None:
    with pytest.raises(InvalidInput, match="equal dimension, got 2 and 3"):
        distance(drawn(2, 2, 0), drawn(2, 3, 0), kind)


@pytest.mark.parametrize("kind", [*CLOSED, "kl"])
def test_what_is_no_mixture_is_refused(kind) -> None:
    for pair in ((drawn(2, 2, 0), 3), (None, drawn(2, 2, 0)), (np.zeros(3), np.zeros(3))):
        with pytest.raises(InvalidInput, match="expected two GaussianMixtures"):
            distance(*pair, kind)


def test_unknown_kinds_are_refused_with_the_one_that_was_meant() -> None:
    f = load_mixture("claw")
    for call in (lambda: distance(f, f, "angel"), lambda: distance_matrix([f], "angel")):
        with pytest.raises(UnknownName, match=r"unknown distance 'angel'.* Did you mean 'angle'"):
            call()
