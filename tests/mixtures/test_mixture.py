"""Test GaussianMixture: densities against SciPy and scikit-learn, moments against sums and samples, and invalid input."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from mixture_oracles import (
    assert_same_mixture,
    components_of,
    log_density,
    mixtures,
    quadrature_points,
    random_mixture,
)
from scipy.stats import kstest, norm
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture as Fitted

from explore.errors import DataMissing, ExploreWarning, InvalidInput
from explore.mixtures import GaussianMixture, load_mixture

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
WEIGHTS, MEANS = [0.2, 0.3, 0.5], [[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]]
POINTS = np.random.default_rng(5).normal(0, 2, (40, 2))


def arrays(f: GaussianMixture) -> tuple[np.ndarray, ...]:
    return f.weights, f.means, f.covariances


# ---- construction


def test_diagonal_and_spherical_covariances() -> None:
    diagonal = GaussianMixture(WEIGHTS, MEANS, [[1, 2], [3, 4], [5, 6]])
    assert diagonal.covariances.tolist() == [[[1, 0], [0, 2]], [[3, 0], [0, 4]], [[5, 0], [0, 6]]]
    spherical = GaussianMixture(WEIGHTS, MEANS, [1, 2, 3])
    assert spherical.covariances.tolist() == [[[1, 0], [0, 1]], [[2, 0], [0, 2]], [[3, 0], [0, 3]]]
    assert (
        GaussianMixture(WEIGHTS, MEANS, spherical.covariances).covariances.tolist()
        == spherical.covariances.tolist()
    )


@pytest.mark.parametrize("covariances", [[0.1, 0.2], [[0.1], [0.2]], [[[0.1]], [[0.2]]]])
@pytest.mark.parametrize("means", [[-1.0, 1.0], [[-1.0], [1.0]]])
def test_the_axis_of_one_dimension_may_be_omitted(means, covariances) -> None:
    f = GaussianMixture([0.5, 0.5], means, covariances)
    assert f.means.tolist() == [[-1], [1]]
    assert f.covariances.tolist() == [[[0.1]], [[0.2]]]
    assert (f.dimension, len(f)) == (1, 2)


def test_n_variances_are_one_for_each_component() -> None:
    assert GaussianMixture([0.5, 0.5], [[0, 0], [1, 1]], [1, 2]).covariances[1].tolist() == [
        [2, 0],
        [0, 2],
    ]


def test_arrays_are_read_only_float64_copies() -> None:
    weights, means = np.array([0.25, 0.75]), np.arange(8).reshape(4, 2)[::2]
    covariances = np.stack([np.eye(3)] * 2)[:, :2, :2]
    f = GaussianMixture(weights, means, covariances)
    for array, arguments in zip(arrays(f), (weights, means, covariances), strict=True):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert not np.shares_memory(array, arguments)
        assert arguments.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        f.weights = weights  # type: ignore[misc]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))]
)
def test_copies_are_read_only(copied) -> None:
    f = copied(random_mixture(3, 2, 0))
    assert not any(array.flags.writeable for array in arrays(f))


def test_lists_integers_float32_and_read_only_arrays_are_accepted() -> None:
    expected = GaussianMixture([0.25, 0.75], [[0.0, 1.0], [2.0, 3.0]], [np.eye(2), 2 * np.eye(2)])
    fixed = np.array([0.25, 0.75])
    fixed.flags.writeable = False
    for arguments in (
        ((0.25, 0.75), [[0, 1], [2, 3]], [[1, 1], [2, 2]]),
        (fixed, np.array([[0, 2], [1, 3]], np.int8).T, np.array([1, 2], np.float32)),
        (
            np.array([0.25, 0.75], np.float32),
            np.array([[0, 1], [2, 3]], np.float16),
            np.stack([np.eye(2), 2 * np.eye(2)]),
        ),
    ):
        for array, other in zip(arrays(GaussianMixture(*arguments)), arrays(expected), strict=True):
            assert np.array_equal(array, other)


def test_float32_weights_are_divided_by_their_sum() -> None:
    weights = np.full(30, 1 / 30, np.float32)
    assert weights.astype(float).sum() != 1
    assert abs(GaussianMixture(weights, np.arange(30), np.ones(30)).weights.sum() - 1) < 1e-15


def test_normalize_divides_weights_by_their_sum() -> None:
    assert GaussianMixture([1, 3], [0, 1], [1, 1], normalize=True).weights.tolist() == [0.25, 0.75]


def test_slightly_asymmetric_covariances_are_made_symmetric() -> None:
    f = GaussianMixture([1], [[0, 0]], [[[1, 1e-9], [0, 1]]])
    assert f.covariances[0, 0, 1] == f.covariances[0, 1, 0] == 5e-10


INVALID_PARAMETERS = [
    (([], [], []), "means must be .* got shape \\(0,\\)"),
    (([1.0], np.zeros((1, 0)), np.zeros((1, 0, 0))), "means must be .* got shape \\(1, 0\\)"),
    (([1.0], np.zeros((1, 1, 1)), [1.0]), "means must be .* got shape \\(1, 1, 1\\)"),
    ((1.0, 0.0, 1.0), "means must be .* got shape \\(\\)"),
    (([0.5], [0, 1], [1, 1]), "weights must be \\[2\\] .* got shape \\(1,\\)"),
    (([[0.5, 0.5]], [0, 1], [1, 1]), "weights must be \\[2\\] .* got shape \\(1, 2\\)"),
    (([0.5, 0.5], [0, 1], [1, 1, 1]), "covariances must be .* got shape \\(3,\\)"),
    (
        ([0.5, 0.5], [[0, 1], [1, 0]], np.ones((2, 3, 3))),
        "covariances must be .* got shape \\(2, 3, 3\\)",
    ),
    (([1.0], [[0, 1]], np.eye(2)), "covariances must be .* got shape \\(2, 2\\)"),
    (([1.5, -0.5], [0, 1], [1, 1]), "weights must not be negative, component 1 has -0.5"),
    (([0.5, 0.4], [0, 1], [1, 1]), "weights must have sum one, got 0.9; give normalize=True"),
    (([0, 0], [0, 1], [1, 1]), "weights must not all be zero"),
    (([0.5, np.nan], [0, 1], [1, 1]), "weights must be finite, got nan of component 1"),
    (([0.5, 0.5], [0, np.inf], [1, 1]), "means must be finite, got inf of component 1"),
    (([0.5, 0.5], [0, 1], [1, -np.inf]), "covariances must be finite, got -inf of component 1"),
    ((["a"], [0], [1]), "weights must be an array of numbers, got"),
    (([1], [1j], [1]), "means must be real numbers, got complex128"),
    (([0.5, 0.5], [[0], [0, 1]], [1, 1]), "means must be an array of numbers"),
    (
        ([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), [[1, 0.1], [0, 1]]]),
        "covariances must be symmetric, component 1 is not",
    ),
    (
        ([0.5, 0.5], np.zeros((2, 2)), [np.eye(2), [[1, 2], [2, 1]]]),
        "positive definite, component 1 has the eigenvalue -1",
    ),
    (([0.5, 0.5], [0, 1], [0, 1]), "positive definite, component 0 has the eigenvalue 0"),
    (
        ([0.4, 0.3, 0.3], [0, 1, 2], [1, 1, -2]),
        "positive definite, component 2 has the eigenvalue -2",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), INVALID_PARAMETERS)
def test_invalid_parameters_are_rejected_with_the_reason(arguments, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        GaussianMixture(*arguments)


def test_weights_with_sum_zero_are_rejected() -> None:
    with pytest.raises(InvalidInput, match="not all be zero"):
        GaussianMixture([0, 0], [0, 1], [1, 1], normalize=True)


def test_negative_weights_are_rejected_with_normalize() -> None:
    with pytest.raises(InvalidInput, match="component 0 has -1"):
        GaussianMixture([-1, 3], [0, 1], [1, 1], normalize=True)


def test_jitter_changes_only_singular_covariances_and_warns() -> None:
    fine, flat = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    with pytest.warns(
        ExploreWarning, match="component 1 was nearly singular; 1e-10 of its mean variance"
    ):
        f = GaussianMixture([0.5, 0.5], np.zeros((2, 2)), [fine, flat], jitter=1e-10)
    assert np.array_equal(f.covariances[0], fine)
    np.testing.assert_allclose(f.covariances[1], flat + 1e-10 * np.eye(2), rtol=1e-15, atol=0)


def test_jitter_grows_tenfold_until_it_suffices() -> None:
    flat = np.array(
        [[1.0, 1.0 + 3e-8], [1.0 + 3e-8, 1.0]]
    )  # The eigenvalue is −3e-8: 1e-10, 1e-9 and 1e-8 are too small.
    with pytest.warns(ExploreWarning, match="1e-07 of its mean variance"):
        f = GaussianMixture([1], [[0, 0]], [flat], jitter=1e-10)
    assert f.covariances[0, 0, 0] == pytest.approx(1 + 1e-7, abs=1e-15)


@pytest.mark.parametrize("jitter", [0.0, 1e-10])
@pytest.mark.parametrize("below", [1e-3, 1.0])
def test_jitter_has_an_upper_limit(jitter, below) -> None:
    with pytest.raises(InvalidInput, match="component 0 has the eigenvalue"):
        GaussianMixture([1], [[0, 0]], [[[1, 1 + below], [1 + below, 1]]], jitter=jitter)


def test_unnecessary_jitter_changes_nothing() -> None:
    f = random_mixture(3, 2, 1)
    assert np.array_equal(GaussianMixture(*arrays(f), jitter=1e-5).covariances, f.covariances)


# ---- densities


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_densities_equal_scipy(d) -> None:
    f = random_mixture(5, d, 2)
    x = np.random.default_rng(3).normal(0, 4, (7, 11, d))
    expected = log_density(f, x)
    np.testing.assert_allclose(f.log_pdf(x), expected, rtol=1e-12)
    np.testing.assert_allclose(f.pdf(x), np.exp(expected), rtol=1e-11)
    assert f.pdf(x[0, 0]).shape == (
        (1,) if d == 1 else ()
    )  # In 1-D a vector is many points, even of length one.


@settings(max_examples=25)
@given(f=mixtures(2))
def test_densities_of_arbitrary_mixtures_equal_scipy(f) -> None:
    np.testing.assert_allclose(f.log_pdf(POINTS), log_density(f, POINTS), rtol=1e-10, atol=1e-10)


def test_densities_integrate_to_one() -> None:
    f = random_mixture(4, 1, 3)
    x, step = quadrature_points(f)
    assert np.sum(f.pdf(x)) * step == pytest.approx(1, abs=1e-12)
    g = random_mixture(3, 2, 4, spread=1)
    side = np.linspace(-30, 30, 601)
    assert np.sum(g.pdf(np.stack(np.meshgrid(side, side), -1))) * 0.01 == pytest.approx(1, abs=1e-9)


def test_the_last_axis_of_points_may_be_omitted_in_1d() -> None:
    f, x = random_mixture(3, 1, 5), np.linspace(-2, 2, 6)
    expected = log_density(f, x)
    assert f.log_pdf(0.5).shape == ()
    np.testing.assert_allclose(f.log_pdf(x), expected, rtol=1e-12)
    np.testing.assert_allclose(f.log_pdf(x[:, None]), expected, rtol=1e-12)
    np.testing.assert_allclose(f.log_pdf(x.reshape(2, 3)), expected.reshape(2, 3), rtol=1e-12)
    np.testing.assert_allclose(f.log_pdf(x.reshape(2, 3, 1)), expected.reshape(2, 3), rtol=1e-12)


def test_densities_of_many_points_are_computed_in_blocks() -> None:
    f = random_mixture(200, 3, 6)
    x = np.random.default_rng(7).normal(0, 2, (8_000, 3))  # a block has 500 points
    actual = f.log_pdf(x)
    for k in (0, 499, 500, 4_321, 7_999):
        assert actual[k] == pytest.approx(log_density(f, x[k]), rel=1e-12)


def test_densities_of_no_points() -> None:
    assert random_mixture(3, 2, 0).pdf(np.zeros((0, 2))).shape == (0,)
    assert random_mixture(3, 2, 0).pdf(np.zeros((4, 0, 2))).shape == (4, 0)


def test_log_density_is_finite_at_distant_points() -> None:
    f = GaussianMixture([0.5, 0.5], [[0, 0], [1, 0]], [1.0, 1.0])
    assert f.pdf([1e6, 0.0]) == 0
    # The nearer component is at a distance of 999999; the other contributes e^(−1e6) of its density.
    assert f.log_pdf([1e6, 0.0]) == pytest.approx(
        np.log(0.5 / (2 * np.pi)) - 0.5 * 999_999.0**2, rel=1e-15
    )


@pytest.mark.parametrize("points", [0.0, [1.0, 2.0, 3.0], np.zeros((4, 1)), []])
def test_points_of_another_dimension_are_rejected(points) -> None:
    with pytest.raises(InvalidInput, match=r"points must be \[\.\.\., 2\]"):
        random_mixture(3, 2, 0).pdf(points)


def test_log_density_with_tiny_and_zero_weights() -> None:
    f = GaussianMixture([1, 1e-300, 0], [0, 100, 200], [1, 1, 1])
    assert f.weights[1] == 1e-300
    expected = np.log(1e-300) + norm.logpdf(0)
    assert f.log_pdf(100.0) == pytest.approx(expected, rel=1e-14)
    assert f.log_pdf(200.0) == pytest.approx(np.log(1e-300) + norm.logpdf(100), rel=1e-14)


@pytest.mark.parametrize("variance", [1e-300, 1e-12, 1e12, 1e300])
def test_variances_from_1e_300_to_1e300(variance) -> None:
    width = np.sqrt(variance)
    f = GaussianMixture([0.5, 0.5], [-width, width], [variance, variance])
    assert f.log_pdf(0.0) == pytest.approx(norm.logpdf(1) - np.log(width), rel=1e-14)
    assert f.covariance[0, 0] == pytest.approx(2 * variance, rel=1e-14)


# ---- moments and samples


@pytest.mark.parametrize("d", [1, 2, 4])
def test_moments_equal_explicit_sums(d) -> None:
    f = random_mixture(5, d, 8)
    mean = sum(w * m for w, m, _ in components_of(f))
    second = sum(w * (c + np.outer(m, m)) for w, m, c in components_of(f))
    np.testing.assert_allclose(f.mean, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(f.covariance, second - np.outer(mean, mean), rtol=1e-11, atol=1e-12)


def test_covariance_is_exact_far_from_the_origin() -> None:
    f = GaussianMixture([0.5, 0.5], [1e8, 1e8 + 2], [1, 1])
    assert f.covariance[0, 0] == 2


def test_samples_have_the_moments_of_the_density() -> None:
    f, count = random_mixture(4, 3, 9), 200_000
    x = f.sample(count, 1)
    assert x.shape == (count, 3)
    error = np.sqrt(np.diag(f.covariance) / count)
    assert (np.abs(x.mean(0) - f.mean) < 4 * error).all()
    shift = x - f.mean
    products = shift[:, :, None] * shift[:, None]
    assert (np.abs(products.mean(0) - f.covariance) < 4 * products.std(0) / np.sqrt(count)).all()


def test_samples_follow_the_distribution() -> None:
    f = load_mixture("standard-1d")

    def cdf(x: np.ndarray) -> np.ndarray:
        return sum(w * norm.cdf(x, m[0], np.sqrt(c[0, 0])) for w, m, c in components_of(f))

    assert kstest(f.sample(20_000, 2)[:, 0], cdf).pvalue > 1e-3


def test_sample_uses_its_generator_or_seed() -> None:
    f = random_mixture(3, 2, 10)
    assert np.array_equal(f.sample(5, 7), f.sample(5, np.random.default_rng(7)))
    assert not np.array_equal(f.sample(5, 7), f.sample(5, 8))
    rng = np.random.default_rng(7)
    assert not np.array_equal(f.sample(5, rng), f.sample(5, rng))
    assert f.sample(0).shape == (0, 2)


def test_components_without_weight_are_never_sampled() -> None:
    assert (GaussianMixture([1, 0], [0, 1e9], [1, 1]).sample(1000) < 100).all()


# ---- maps


@pytest.mark.parametrize("d", [1, 2, 3])
def test_affine_maps_divide_the_density_by_the_determinant(d) -> None:
    f, rng = random_mixture(4, d, 11), np.random.default_rng(12)
    a, b, x = rng.standard_normal((d, d)), rng.standard_normal(d), rng.normal(0, 2, (50, d))
    expected = log_density(f, x) - np.log(abs(np.linalg.det(a)))
    np.testing.assert_allclose(f.affine(a, b).log_pdf(x @ a.T + b), expected, rtol=1e-9)


def test_projections_are_marginal_densities() -> None:
    f = random_mixture(3, 2, 13, spread=1)
    side = np.linspace(-40, 40, 8001)
    values = np.array([-1.0, 0.3, 2.0])
    for axis, projection in ((0, [[1, 0]]), (1, [0, 1])):
        points = np.empty((3, 8001, 2))
        points[..., axis], points[..., 1 - axis] = values[:, None], side
        np.testing.assert_allclose(
            f.affine(projection).pdf(values), f.pdf(points).sum(1) * 0.01, rtol=1e-10
        )


def test_affine_maps_transform_the_moments() -> None:
    f, a = random_mixture(4, 3, 14), np.random.default_rng(15).standard_normal((2, 3))
    g = f.affine(a, [1, -2])
    np.testing.assert_allclose(g.mean, a @ f.mean + [1, -2], rtol=1e-12)
    np.testing.assert_allclose(g.covariance, a @ f.covariance @ a.T, rtol=1e-11)
    assert np.array_equal(g.weights, f.weights)


@pytest.mark.parametrize(
    "matrix", [np.eye(3), np.ones((2, 2)), np.zeros((2, 2)), np.ones((3, 2)), np.zeros((2, 2, 2))]
)
def test_affine_maps_of_wrong_shape_or_rank_are_rejected(matrix) -> None:
    with pytest.raises(InvalidInput, match=r"matrix must be \[k, 2\] with independent rows"):
        random_mixture(3, 2, 0).affine(matrix)


def test_shifts_of_another_length_are_rejected() -> None:
    with pytest.raises(InvalidInput, match="shift"):
        random_mixture(3, 2, 0).affine(np.eye(2), [1, 2, 3])


# ---- scikit-learn


def fit_model(kind: str, dtype: type = float) -> tuple[Fitted, np.ndarray]:
    rng = np.random.default_rng(16)
    x = np.vstack(
        [rng.normal(0, 1, (80, 3)), rng.normal(4, [0.5, 1, 2], (120, 3))]
    ) @ rng.standard_normal((3, 3))
    return Fitted(3, covariance_type=kind, random_state=0).fit(x.astype(dtype)), x


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_from_sklearn_keeps_densities_of_every_covariance_type(kind) -> None:
    model, x = fit_model(kind)
    f = GaussianMixture.from_sklearn(model)
    np.testing.assert_allclose(f.log_pdf(x), model.score_samples(x), rtol=1e-8)
    back = f.to_sklearn()
    np.testing.assert_allclose(back.score_samples(x), model.score_samples(x), rtol=1e-8)
    assert np.array_equal(back.predict(x), model.predict(x))
    np.testing.assert_allclose(back.precisions_ @ f.covariances, [np.eye(3)] * 3, atol=1e-8)
    assert back.sample(5)[0].shape == (5, 3)
    assert_same_mixture(GaussianMixture.from_sklearn(back), f)


@pytest.mark.parametrize("kind", COVARIANCE_TYPES)
def test_from_sklearn_accepts_float32_models(kind) -> None:
    model, x = fit_model(kind, np.float32)
    assert model.covariances_.dtype == np.float32
    np.testing.assert_allclose(
        GaussianMixture.from_sklearn(model).log_pdf(x), model.score_samples(x), rtol=1e-3, atol=1e-2
    )


def test_from_sklearn_accepts_bayesian_mixtures() -> None:
    model = BayesianGaussianMixture(n_components=2, random_state=0).fit(fit_model("full")[1])
    f = GaussianMixture.from_sklearn(model)
    for array, expected in zip(
        arrays(f), (model.weights_, model.means_, model.covariances_), strict=True
    ):
        np.testing.assert_allclose(array, expected, rtol=1e-12)


def test_from_sklearn_rejects_unfitted_models() -> None:
    with pytest.raises(InvalidInput, match="GaussianMixture without covariances_"):
        GaussianMixture.from_sklearn(Fitted(2))


# ---- files


def test_saved_mixtures_load_with_the_same_bits(tmp_path: Path) -> None:
    f = random_mixture(4, 3, 17)
    for path in (tmp_path / "mixture.npz", str(tmp_path / "no suffix")):
        f.save(path)
        for array, other in zip(arrays(GaussianMixture.load(path)), arrays(f), strict=True):
            assert np.array_equal(array, other)
    assert np.array_equal(load_mixture(str(tmp_path / "mixture.npz")).means, f.means)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mixture.npz", "no suffix"]


def test_loaded_files_are_validated(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, weights=[1.0, 3.0], means=[0, 1], covariances=[1, 1])
    with pytest.raises(InvalidInput, match="sum one, got 4"):
        GaussianMixture.load(path)
    assert GaussianMixture.load(path, normalize=True).weights.tolist() == [0.25, 0.75]
    assert load_mixture(str(path), normalize=True).weights.tolist() == [0.25, 0.75]


def test_missing_and_invalid_files_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"no mixture at .*nowhere\.npz"):
        GaussianMixture.load(tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    np.savez(tmp_path / "half.npz", weights=[1.0])
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "half.npz", "array.npy", ""):
        with pytest.raises(
            InvalidInput, match=r"must be an \.npz with weights, means and covariances"
        ):
            GaussianMixture.load(tmp_path / name)
