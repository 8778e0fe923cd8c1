"""Test distances against quadrature, Monte Carlo and plain loops, and the axioms of a metric with counterexamples for the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from mixture_oracles import (
    kl_by_quadrature,
    log_density,
    log_inner,
    mixtures,
    quadrature_points,
    random_mixture,
    reference_distance,
)
from scipy.stats import multivariate_normal

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import (
    GaussianMixture,
    _gaussian,
    cauchy_schwarz,
    distance,
    distance_matrix,
    distances,
    gram_log,
    inner_log,
    inner_products,
    ise,
    kl_divergence,
    load_mixture,
    nise,
    pdf_angle,
    pdf_chord,
)

CLOSED_FORMS = ("angle", "chord", "ise", "nise", "cauchy-schwarz")
ROUNDING = 1e-7  # of an angle of zero, as documented
Distance = Callable[[GaussianMixture, GaussianMixture], float]
METRICS: dict[str, Distance] = {
    "angle": pdf_angle,
    "chord": pdf_chord,
    "sine": lambda f, g: float(np.sin(pdf_angle(f, g))),
    "L2": lambda f, g: float(np.sqrt(ise(f, g))),
    "root of NISE": lambda f, g: float(np.sqrt(nise(f, g))),
}
OTHER_DISTANCES: dict[str, Distance] = {
    "ISE": ise,
    "NISE": nise,
    "1 - cos": lambda f, g: 1 - float(np.cos(pdf_angle(f, g))),
    "Cauchy–Schwarz": cauchy_schwarz,
}


def blend(f: GaussianMixture, g: GaussianMixture, share: float) -> GaussianMixture:
    """Return ``share · f + (1 − share) · g``."""
    weights = np.concatenate([share * f.weights, (1 - share) * g.weights])
    return GaussianMixture(
        weights, np.vstack([f.means, g.means]), np.vstack([f.covariances, g.covariances])
    )


def permute(f: GaussianMixture, order: np.ndarray) -> GaussianMixture:
    return GaussianMixture(f.weights[order], f.means[order], f.covariances[order])


def split(f: GaussianMixture, k: int, share: float) -> GaussianMixture:
    """Return f with component k divided into two of equal mean and covariance."""
    weights = np.append(f.weights, share * f.weights[k])
    weights[k] *= 1 - share
    return GaussianMixture(
        weights,
        np.vstack([f.means, f.means[k]]),
        np.vstack([f.covariances, f.covariances[k][None]]),
    )


# ---- values


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8])
def test_gram_matrix_equals_scipy_densities(d) -> None:
    f, g = random_mixture(5, d, 0), random_mixture(3, d, 1)
    expected = [
        [
            multivariate_normal.logpdf(f.means[i], g.means[j], f.covariances[i] + g.covariances[j])
            for j in range(3)
        ]
        for i in range(5)
    ]
    np.testing.assert_allclose(gram_log(f, g), expected, rtol=1e-12, atol=1e-12)
    assert inner_log(f, g) == pytest.approx(log_inner(f, g), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
def test_unrolled_and_lapack_factors_agree(d, monkeypatch) -> None:
    f, g = random_mixture(6, d, 2), random_mixture(5, d, 3)
    grams = []
    for max_components in (0, 10):
        monkeypatch.setattr(_gaussian, "MAX_UNROLLED_DIMENSION", max_components)
        grams.append(gram_log(f, g))
    np.testing.assert_allclose(*grams, rtol=1e-12, atol=1e-12)


def test_gram_matrix_does_not_depend_on_the_tile_size(monkeypatch) -> None:
    f, g = random_mixture(23, 3, 4), random_mixture(7, 3, 5)
    untiled = gram_log(f, g)
    monkeypatch.setattr(inner_products, "TILE_SIZE", 5 * 7 * 9)
    assert np.array_equal(gram_log(f, g), untiled)


@pytest.mark.parametrize("seed", range(6))
def test_distances_equal_quadrature_in_1d(seed) -> None:
    f, g = random_mixture(4, 1, seed), random_mixture(3, 1, seed + 50)
    x, step = quadrature_points(f, g)
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


def test_inner_products_equal_monte_carlo_means_in_3d() -> None:
    f, g = random_mixture(4, 3, 6, spread=0.7), random_mixture(3, 3, 7, spread=0.7)
    for first, second in ((f, g), (g, f), (f, f)):
        values = np.exp(log_density(second, first.sample(50_000, 8)))
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - np.exp(inner_log(first, second))) < 4 * error


@settings(max_examples=40)
@given(f=mixtures(2), g=mixtures(2))
def test_distances_equal_the_reference_formulas(f, g) -> None:
    ff = np.exp(log_inner(f, f))
    for kind in CLOSED_FORMS:
        unit = ff if kind == "ise" else 1.0
        # The reference loses digits below 1e-16 of the inner products; its square roots, below 1e-8.
        assert distance(f, g, kind) == pytest.approx(
            reference_distance(f, g, kind), rel=1e-6, abs=1e-6 * unit
        )


def small_angle_error(size: float, d: int) -> float:
    """Return the root mean square of the relative error of small angles, which are proportional to the shift of the means."""
    errors = []
    for seed in range(20):
        f, direction = (
            random_mixture(4, d, 900 + seed),
            np.random.default_rng([seed, d]).standard_normal((4, d)),
        )
        angles = [
            pdf_angle(f, GaussianMixture(f.weights, f.means + s * direction, f.covariances)) / s
            for s in (1e-5, size)
        ]
        errors.append(angles[1] / angles[0] - 1)
    return float(np.sqrt(np.mean(np.square(errors))))


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_small_angles_are_more_accurate_than_an_arccosine(d, monkeypatch) -> None:
    current = small_angle_error(1e-6, d)
    assert current < 3e-3
    assert small_angle_error(1e-4, d) < 1e-3
    monkeypatch.setattr(distances, "MAX_DIRECT_COSINE", 1.0)
    assert small_angle_error(1e-6, d) > 2 * current


@given(f=mixtures(2), g=mixtures(2))
def test_nise_equals_its_formula_by_angle_and_norms(f, g) -> None:
    norms = 0.5 * (log_inner(f, f) - log_inner(g, g))
    assert nise(f, g) == pytest.approx(
        1 - np.cos(pdf_angle(f, g)) / np.cosh(norms), rel=1e-6, abs=1e-9
    )


def test_distance_calls_the_function_of_its_kind() -> None:
    f, g = random_mixture(3, 2, 11), random_mixture(2, 2, 12)
    for kind, function in zip(
        CLOSED_FORMS, (pdf_angle, pdf_chord, ise, nise, cauchy_schwarz), strict=True
    ):
        assert distance(f, g, kind) == function(f, g) > 0
    assert distance(f, g) == pdf_angle(f, g)
    assert distance(f, g, "kl") == kl_divergence(f, g)[0]


# ---- single Gaussians


@settings(max_examples=40)
@given(f=mixtures(2, max_components=1), g=mixtures(2, max_components=1))
def test_single_gaussians_have_the_distances_of_equal_mixtures_with_two_components(f, g) -> None:
    halves = [
        GaussianMixture([0.5, 0.5], np.repeat(h.means, 2, 0), np.repeat(h.covariances, 2, 0))
        for h in (f, g)
    ]
    for kind in CLOSED_FORMS:
        single, double = distance(f, g, kind), distance(*halves, kind)
        assert single == pytest.approx(
            double, rel=1e-6, abs=ROUNDING * (np.exp(log_inner(f, f)) if kind == "ise" else 1)
        )


@pytest.mark.parametrize("size", [1e-1, 1e-4, 1e-8, 1e-12, 1e-100])
def test_angle_of_very_close_gaussians(size) -> None:
    f, g = (GaussianMixture([1], [[mean, 0.0]], [[2.0, 3.0]]) for mean in (0.0, size))
    divergence = size**2 / 8  # half of r' (S + S)^-1 r
    assert cauchy_schwarz(f, g) == pytest.approx(divergence, rel=1e-12, abs=0)
    expected = np.arccos(np.exp(-divergence)) if size > 0.01 else np.sqrt(2 * divergence)
    assert pdf_angle(f, g) == pytest.approx(expected, rel=1e-8, abs=0)


@pytest.mark.parametrize("size", [1e-4, 1e-8, 1e-12])
def test_chord_of_very_close_gaussians(size) -> None:
    f, g = (GaussianMixture([1], [[mean, 0.0]], [[2.0, 3.0]]) for mean in (0.0, size))
    assert pdf_chord(f, g) == pytest.approx(size / 2, rel=1e-6, abs=0)
    assert nise(f, g) == pytest.approx(size**2 / 8, rel=1e-6, abs=0)


def test_angle_of_gaussians_with_equal_means() -> None:
    for ratio in (0.25, 1.0, 4.0, 1e4):
        f, g = GaussianMixture([1], [3], [1]), GaussianMixture([1], [3], [ratio])
        assert np.cos(pdf_angle(f, g)) == pytest.approx(
            np.sqrt(2 * np.sqrt(ratio) / (1 + ratio)), rel=1e-12
        )


# ---- axioms


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=40)
@given(f=mixtures(2), g=mixtures(2), h=mixtures(2), share=st.floats(0, 1))
def test_metric_axioms(name, f, g, h, share) -> None:
    metric = METRICS[name]
    size = np.exp(0.5 * max(log_inner(m, m) for m in (f, g, h))) if name == "L2" else 1.0
    for middle in (g, blend(f, h, share)):
        ends, first, second = metric(f, h), metric(f, middle), metric(middle, h)
        assert first >= 0
        assert ends <= first + second + ROUNDING * size
    assert metric(g, f) == pytest.approx(metric(f, g), rel=1e-9, abs=ROUNDING * size)
    assert metric(f, f) < ROUNDING * size


@pytest.mark.parametrize("name", METRICS)
def test_triangles_hold_to_the_ninth_digit(name) -> None:
    metric, rng = METRICS[name], np.random.default_rng(13)
    for seed in range(150):
        f, h = (
            random_mixture(int(rng.integers(1, 4)), 2, seed + 1000 * k, spread=1) for k in (1, 2)
        )
        g = blend(f, h, rng.uniform()) if seed % 2 else random_mixture(2, 2, seed, spread=1)
        assert metric(f, h) <= metric(f, g) + metric(g, h) + 1e-9


@pytest.mark.parametrize("name", OTHER_DISTANCES)
def test_other_distances_violate_the_triangle_inequality(name) -> None:
    f, h = GaussianMixture([1], [0], [1]), GaussianMixture([1], [4], [1])
    g = GaussianMixture([0.5, 0.5], [0, 4], [1, 1])
    assert OTHER_DISTANCES[name](f, h) > 1.1 * (
        OTHER_DISTANCES[name](f, g) + OTHER_DISTANCES[name](g, h)
    )
    for metric in METRICS.values():
        assert metric(f, h) <= metric(f, g) + metric(g, h) + 1e-9


@settings(max_examples=40)
@given(f=mixtures(2), data=st.data())
def test_order_and_splits_of_components_do_not_matter(f, data) -> None:
    order = np.array(data.draw(st.permutations(range(len(f)))))
    k, share = data.draw(st.integers(0, len(f) - 1)), data.draw(st.floats(0, 1))
    for same in (f, permute(f, order), split(f, k, share), split(permute(f, order), k, share)):
        assert pdf_angle(f, same) < ROUNDING
        assert pdf_chord(f, same) < ROUNDING
        assert 0 <= nise(f, same) < ROUNDING**2
        assert 0 <= ise(f, same) < ROUNDING**2 * np.exp(log_inner(f, f))
        assert 0 <= cauchy_schwarz(f, same) < ROUNDING**2


# ---- maps and extremes


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_affine_maps_change_only_the_unit_of_the_ise(d) -> None:
    f, g, rng = random_mixture(4, d, 14), random_mixture(3, d, 15), np.random.default_rng(16)
    a, b = rng.standard_normal((d, d)), rng.normal(0, 10, d)
    transformed = [h.affine(a, b) for h in (f, g)]
    for kind in CLOSED_FORMS:
        factor = abs(np.linalg.det(a)) if kind == "ise" else 1.0
        assert distance(*transformed, kind) * factor == pytest.approx(
            distance(f, g, kind), rel=1e-9
        )


@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize("shift", [100.0, 1e4, 1e8])
def test_distant_mixtures_are_orthogonal_and_their_divergence_is_finite(components, shift) -> None:
    f = GaussianMixture(
        np.full(components, 1 / components), np.zeros(components), np.ones(components)
    )
    g = GaussianMixture(f.weights, f.means + shift, f.covariances)
    assert pdf_angle(f, g) == np.pi / 2
    assert pdf_chord(f, g) == pytest.approx(np.sqrt(2), rel=1e-15)
    assert cauchy_schwarz(f, g) == pytest.approx(shift**2 / 4, rel=1e-14)
    assert ise(f, g) == pytest.approx(1 / np.sqrt(np.pi), rel=1e-14)


@pytest.mark.parametrize("shift", [0.0, 5.0, 100.0, 1e4])
def test_nise_is_at_most_one(shift) -> None:
    for components in (1, 2):
        f = GaussianMixture(
            np.full(components, 1 / components), np.zeros(components), np.ones(components)
        )
        g = GaussianMixture(f.weights, f.means + shift, f.covariances)
        assert 0 <= nise(f, g) <= 1


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("d", [1, 3, 6])
def test_distances_do_not_depend_on_units(scale, d) -> None:
    f, g = random_mixture(3, d, 17), random_mixture(4, d, 18)
    transformed = [
        GaussianMixture(h.weights, np.sqrt(scale) * h.means, scale * h.covariances) for h in (f, g)
    ]
    for kind in ("angle", "chord", "nise", "cauchy-schwarz"):
        assert distance(*transformed, kind) == pytest.approx(distance(f, g, kind), rel=1e-9)
    assert ise(*transformed) * scale ** (d / 2) == pytest.approx(ise(f, g), rel=1e-9, abs=0)


def test_very_narrow_and_very_wide_gaussians_are_nearly_orthogonal() -> None:
    f, g = GaussianMixture([1], [0], [1e-12]), GaussianMixture([1], [0], [1e12])
    assert np.pi / 2 - pdf_angle(f, g) == pytest.approx(np.sqrt(2e-12), rel=1e-6)
    assert nise(f, g) <= 1
    both = GaussianMixture([0.5, 0.5], [0, 0], [1e-12, 1e12])
    assert pdf_angle(f, both) < 2e-6  # half of the mass is missing


def test_tiny_and_zero_weights_do_not_change_distances() -> None:
    f, g = GaussianMixture([1], [0], [1]), GaussianMixture([1, 1e-300, 0], [0, 1, 2], [1, 1, 1])
    for kind in CLOSED_FORMS:
        assert distance(f, g, kind) == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("kind", CLOSED_FORMS)
def test_distances_in_twenty_dimensions(kind) -> None:
    f, g = random_mixture(4, 20, 19, spread=0.3), random_mixture(3, 20, 20, spread=0.3)
    expected = reference_distance(f, g, kind)
    assert distance(f, g, kind) == pytest.approx(expected, rel=1e-8)


# ---- Kullback–Leibler


def test_kl_estimates_agree_with_quadrature_within_their_error() -> None:
    f, g = random_mixture(4, 1, 21, spread=1), random_mixture(3, 1, 22, spread=1)
    expected = kl_by_quadrature(f, g)
    result = [kl_divergence(f, g, 2_000, seed) for seed in range(60)]
    for value, error in result:
        assert abs(value - expected) < 4 * error
    off = np.array([(value - expected) / error for value, error in result])
    assert 0.7 < off.std() < 1.3  # The standard error is neither too large nor too small.
    assert kl_divergence(f, f) == (0.0, 0.0)


def test_kl_uses_its_generator_or_seed() -> None:
    f, g = random_mixture(3, 2, 23), random_mixture(3, 2, 24)
    assert kl_divergence(f, g, 100, 5) == kl_divergence(f, g, 100, np.random.default_rng(5))
    assert kl_divergence(f, g, 100, 5) != kl_divergence(f, g, 100, 6)


def test_kl_rejects_a_single_draw() -> None:
    with pytest.raises(InvalidInput, match="draws must be a whole number of at least 2, got 1"):
        kl_divergence(random_mixture(2, 1, 0), random_mixture(2, 1, 1), 1)


# ---- distance matrices


@pytest.mark.parametrize("kind", [*CLOSED_FORMS, "kl"])
def test_distance_matrix_equals_single_distances(kind) -> None:
    mixtures_ = [
        random_mixture(3, 2, 25),
        random_mixture(1, 2, 26),
        random_mixture(5, 2, 27),
        random_mixture(1, 2, 28),
    ]
    result = distance_matrix(mixtures_, kind)
    for i, f in enumerate(mixtures_):
        for j, g in enumerate(mixtures_):
            assert result[i, j] == pytest.approx(0.0 if i == j else distance(f, g, kind), rel=1e-12)


def test_distance_matrix_of_no_mixtures_is_empty() -> None:
    assert distance_matrix([]).shape == (0, 0)


# ---- invalid input


@pytest.mark.parametrize("kind", [*CLOSED_FORMS, "kl"])
def test_different_dimensions_are_rejected(kind) -> None:
    with pytest.raises(InvalidInput, match="equal dimension, got 2 and 3"):
        distance(random_mixture(2, 2, 0), random_mixture(2, 3, 0), kind)


@pytest.mark.parametrize("kind", [*CLOSED_FORMS, "kl"])
def test_other_types_are_rejected(kind) -> None:
    for pair in (
        (random_mixture(2, 2, 0), 3),
        (None, random_mixture(2, 2, 0)),
        (np.zeros(3), np.zeros(3)),
    ):
        with pytest.raises(InvalidInput, match="expected two GaussianMixtures"):
            distance(*pair, kind)


def test_unknown_kinds_are_rejected_with_a_suggestion() -> None:
    f = load_mixture("claw")
    for call in (lambda: distance(f, f, "angel"), lambda: distance_matrix([f], "angel")):
        with pytest.raises(UnknownName, match=r"unknown distance 'angel'.* Did you mean 'angle'"):
            call()
