"""What a mixture and its functions take: each kind of input is right, or refused in words."""

from __future__ import annotations

import copy
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture as Fitted
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from explore.errors import DataMissing, ExploreWarning, InvalidInput, RecordingFailed, UnknownName
from explore.mixtures import (
    GaussianMixture,
    Yardstick,
    best_weights,
    cauchy_schwarz,
    distance,
    distance_matrix,
    gradient,
    inner_log,
    ise,
    kl_divergence,
    load_mixture,
    merge_moments,
    modes,
    pdf_angle,
    reduce,
    score_pairs,
)
from explore.mixtures.config import METHOD_DEFAULTS, ReduceConfig
from explore.mixtures.reduction.run import ReduceRun

W, M = [0.5, 0.5], [[0.0, 0.0], [2.0, 1.0]]
C = np.array([[[1.0, 0.2], [0.2, 1.0]], [[2.0, 0.0], [0.0, 3.0]]])
MIXTURE = GaussianMixture(W, M, C)


def shifted(scale: float) -> np.ndarray:
    """Return one covariance in 2-D that is asymmetric by this fraction of its largest entry."""
    return np.array([[[2.0, 0.5], [0.5 + 2 * scale, 1.0]]])


# ---- arrays, tensors, tables


@pytest.mark.parametrize(
    "convert",
    [
        torch.tensor,
        lambda v: torch.tensor(v, requires_grad=True),
        lambda v: torch.nn.Parameter(torch.tensor(v)),
        lambda v: torch.tensor(v).bfloat16(),
        lambda v: np.asarray(v, ">f8"),
        lambda v: np.ma.masked_array(v, mask=False),
        lambda v: np.asarray(v)[..., ::-1][..., ::-1],
    ],
)
def test_values_of_other_libraries_are_the_same_numbers(convert) -> None:
    mixture = GaussianMixture(convert(W), convert(M), convert(C.tolist()))
    assert mixture.weights.tolist() == W
    assert mixture.means.tolist() == M
    assert mixture.covariances == pytest.approx(C, rel=4e-3)
    points = convert([[0.5, 1.0]])
    assert mixture.log_pdf(points) == pytest.approx(mixture.log_pdf([[0.5, 1.0]]), rel=1e-12)


def test_points_may_be_a_table_or_a_list_of_tensors() -> None:
    points = [[0.5, 1.0], [0.0, 2.0]]
    expected = MIXTURE.pdf(points)
    for same in (pandas.DataFrame(points), [torch.tensor(p) for p in points], np.array(points)):
        assert MIXTURE.pdf(same).tolist() == expected.tolist()
    whole = MIXTURE.log_pdf([[1, 2]])
    assert whole.tolist() == MIXTURE.log_pdf([[1.0, 2.0]]).tolist()


MASKED = np.ma.masked_array([0.0, 999.0], [False, True])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: GaussianMixture(W, MASKED, [1, 1]), "means is a masked array, .*filled"),
        (lambda: GaussianMixture(MASKED, [0, 1], [1, 1]), "weights is a masked array"),
        (lambda: GaussianMixture(W, [0, 1], MASKED), "covariances is a masked array"),
        (lambda: GaussianMixture(W, [MASKED, MASKED], C), "means is a masked array"),
        (lambda: GaussianMixture([1.0], [0.0], [1.0]).log_pdf(MASKED), "points is a masked array"),
        (lambda: GaussianMixture([1.0], [0.0], [1.0]).pdf(MASKED), "points is a masked array"),
        (lambda: MIXTURE.affine(np.ma.masked_less(np.eye(2), 0.5)), "matrix is a masked array"),
        (lambda: GaussianMixture(np.array(W) + 0.1j, M, C), "weights must be real numbers"),
        (lambda: MIXTURE.log_pdf(np.zeros((1, 2), complex)), "points must be real numbers"),
        (lambda: GaussianMixture(["0.5", "0.5"], M, C), "weights must be an array of numbers"),
        (lambda: GaussianMixture([True, False], M, C), r"weights must be numbers, got bool \[2\]"),
        (lambda: GaussianMixture(None, M, C), "weights must be an array of numbers, got None"),
        (lambda: GaussianMixture([object()] * 2, M, C), "weights must be an array of numbers"),
        (lambda: MIXTURE.log_pdf("a"), "points must be an array of numbers"),
        (lambda: MIXTURE.log_pdf([[np.nan, 0.0]]), r"points must be finite .* row 0 is \[nan"),
        (lambda: MIXTURE.pdf([[0.0, 0.0], [np.inf, 1.0]]), "points must be finite .* row 1 is"),
        (lambda: MIXTURE.log_pdf(0.0), r"points must be \[\.\.\., 2\]"),
        (lambda: GaussianMixture(torch.zeros(2, device="meta"), M, C), "must hold values"),
        (lambda: GaussianMixture(W, M, C, normalize="no"), "normalize must be true or false"),
        (
            lambda: GaussianMixture(W, M, C, jitter="a"),
            "jitter must be a number of at least 0 and of at most",
        ),
    ],
)
def test_what_is_no_real_number_is_refused(call, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        call()


def test_a_density_far_away_is_zero_and_not_nan() -> None:
    assert MIXTURE.pdf([[1e200, 1e200]]).tolist() == [0.0]
    assert MIXTURE.log_pdf([[1e200, -1e200]]).tolist() == [-np.inf]


# ---- MATLAB


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0.5], [0.5]], M, C), r"weights must be \[2\].*got shape \(2, 1\); pass weights.ravel"),
        (([W], M, C), r"got shape \(1, 2\); pass weights.ravel"),
        (
            ([0.5, 0.3, 0.2], np.zeros((3, 2)), np.stack([np.eye(2)] * 3, -1)),
            r"covariances must be .*got shape \(2, 2, 3\); MATLAB stores them so",
        ),
        (
            ([0.5, 0.3, 0.2], np.zeros((3, 2)), np.ones((1, 2, 3))),
            r"got shape \(1, 2, 3\); MATLAB stores variances so: pass covariances\[0\].T",
        ),
        ((W, M, np.moveaxis(C, 0, -1)), "symmetric, component 0 is not; if they are .* MATLAB"),
        (([0.5, 0.3, 0.2], np.zeros((3, 2)), np.eye(2)), "for one matrix for all pass np.tile"),
        ((W, M, [[1.0], [2.0]]), "pass covariances.ravel"),
    ],
)
def test_arrays_as_matlab_stores_them_are_refused(arguments, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        GaussianMixture(*arguments)


def test_the_advice_for_matlab_gives_the_right_covariances() -> None:
    turned = np.moveaxis(C, 0, -1)
    assert np.array_equal(GaussianMixture(W, M, np.moveaxis(turned, -1, 0)).covariances, C)
    column = GaussianMixture(W, [[0.0], [1.0]], [[1.0], [2.0]])
    assert column.covariances.ravel().tolist() == [1.0, 2.0]


# ---- rounding of weights and covariances


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("n", [3, 10, 200])
def test_a_softmax_of_any_type_has_the_sum_one(dtype, n) -> None:
    logits = torch.randn(n, generator=torch.Generator().manual_seed(n))
    weights = logits.softmax(0).to(dtype)
    mixture = GaussianMixture(weights, np.arange(n), np.ones(n))
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-15)
    exact = weights.double() / weights.double().sum()
    assert mixture.weights == pytest.approx(exact.numpy(), rel=1e-12)


@pytest.mark.parametrize("weights", [[0.33] * 3, [0.333333] * 3, [0.9, 0.8, 0.7]])
def test_other_sums_are_refused(weights) -> None:
    with pytest.raises(InvalidInput, match=r"sum one, got .*; give normalize=True"):
        GaussianMixture(weights, np.arange(3), np.ones(3))


def test_rounding_of_float32_is_no_asymmetry() -> None:
    single = shifted(1e-6).astype(np.float32)
    for values in (single, torch.tensor(single), shifted(1e-9)):
        covariance = GaussianMixture([1.0], [[0.0, 0.0]], values).covariances[0]
        assert np.array_equal(covariance, covariance.T)
    with pytest.warns(ExploreWarning, match="asymmetric by 1e-06 of its largest entry"):
        covariance = GaussianMixture([1.0], [[0.0, 0.0]], shifted(1e-6)).covariances[0]
    assert covariance[0, 1] == covariance[1, 0] == pytest.approx(0.5 + 1e-6, abs=1e-12)
    for values in (shifted(1e-4), shifted(1e-4).astype(np.float32)):
        with pytest.raises(InvalidInput, match="must be symmetric, component 0 is not"):
            GaussianMixture([1.0], [[0.0, 0.0]], values)


def test_a_singular_covariance_names_its_eigenvalue_whatever_its_size() -> None:
    for size in (1e-200, 1.0, 1e200):
        with pytest.raises(InvalidInput, match="positive definite, component 0 has the eigenvalue"):
            GaussianMixture([1.0], [[0.0, 0.0]], size * np.ones((1, 2, 2)))


# ---- NumPy set to raise, and extreme numbers


@pytest.mark.parametrize("method", METHOD_DEFAULTS)
def test_reductions_do_not_depend_on_the_error_state_of_numpy(method) -> None:
    mixture = GaussianMixture([0.0, 0.3, 0.3, 0.4], [0.0, 1.0, 400.0, 401.0], [1e-3, 1, 1, 2])
    expected = reduce(mixture, 2, method)
    with np.errstate(all="raise"):
        result = reduce(mixture, 2, method)
    assert np.array_equal(result.mixture.means, expected.mixture.means)
    assert np.array_equal(result.trace, expected.trace)


@pytest.mark.parametrize("kind", ["angle", "chord", "ise", "nise", "cauchy-schwarz", "kl"])
def test_distances_do_not_depend_on_the_error_state_of_numpy(kind) -> None:
    far = GaussianMixture([0.0, 1.0], [500.0, 501.0], [1.0, 1.0])
    one = GaussianMixture([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])
    expected = distance(one, far, kind)
    with np.errstate(all="raise"):
        assert distance(one, far, kind) == expected
        assert distance_matrix([one, far], kind)[0, 1] == expected


def test_other_functions_do_not_depend_on_the_error_state_of_numpy() -> None:
    far = GaussianMixture([0.0, 1.0], [500.0, 501.0], [1e-3, 1.0])
    calls = [
        lambda: far.pdf([0.0, 1e5]),
        lambda: modes(far),
        lambda: best_weights(far, far),
        lambda: score_pairs(far, "runnalls")[0, 1],
        lambda: gradient(far, GaussianMixture([1.0], [0.0], [1.0]))[0],
        lambda: Yardstick(far).measure(far)["covariance_error"],
        lambda: far.to_sklearn().precisions_,
        lambda: far.affine([[1e-3]]).means,
        lambda: far.sample(9),
        lambda: far.covariance,
    ]
    expected = [np.asarray(call()).tolist() for call in calls]
    with np.errstate(all="raise"):
        assert [np.asarray(call()).tolist() for call in calls] == expected


@pytest.mark.parametrize("size", [1e160, 1e300])
@pytest.mark.parametrize(
    "call",
    [
        *(lambda g, m=method: reduce(g, 1, m, refine="none") for method in ("runnalls", "oggmr")),
        lambda g: g.covariance,
        lambda g: Yardstick(g),
        lambda g: merge_moments(g, [0, 1]),
        lambda g: score_pairs(g, "runnalls"),
        lambda g: cauchy_schwarz(g, GaussianMixture([1.0], [0.0], [1.0])),
        lambda g: kl_divergence(g, GaussianMixture([1.0], [0.0], [1.0])),
    ],
)
def test_means_with_infinite_squares_are_refused(size, call) -> None:
    with pytest.raises(InvalidInput, match="larger than any number"):
        call(GaussianMixture([0.5, 0.5], [-size, size], [1.0, 1.0]))


def test_means_with_infinite_squares_have_an_angle() -> None:
    far = GaussianMixture([0.5, 0.5], [-1e160, 1e160], [1.0, 1.0])
    assert pdf_angle(far, far) == pytest.approx(0, abs=1e-7)
    assert pdf_angle(far, GaussianMixture([1.0], [0.0], [1.0])) == np.pi / 2


def test_very_small_and_very_large_variances() -> None:
    for variance in (1e-300, 1e300):
        deviation = np.sqrt(variance)
        mixture = GaussianMixture(
            [0.4, 0.3, 0.3], np.array([0, 0.1, 5]) * deviation, [variance] * 3
        )
        unit = GaussianMixture([0.4, 0.3, 0.3], [0, 0.1, 5], [1.0] * 3)
        small, plain = (reduce(g, 2, "runnalls") for g in (mixture, unit))
        assert small.labels.tolist() == plain.labels.tolist() == [0, 0, 1]
        assert small.mixture.means / deviation == pytest.approx(plain.mixture.means, rel=1e-9)
    tiny = GaussianMixture([1.0], np.zeros((1, 3)), [1e-300])
    with pytest.raises(InvalidInput, match="the ISE of these mixtures is larger than any number"):
        ise(tiny, tiny.affine(2 * np.eye(3)))


def test_a_line_in_two_dimensions_is_refused_in_words() -> None:
    line = GaussianMixture([0.5, 0.5], [[0, 0], [1e9, 1e9]], [1e-9, 1e-9])
    with pytest.raises(InvalidInput, match="singular but for rounding"):
        reduce(line, 1, "runnalls")


def test_equal_components_and_weights_of_zero() -> None:
    equal = reduce(GaussianMixture([0.25] * 4, np.zeros(4), np.ones(4)), 2, "oggmr").mixture
    assert equal.means == pytest.approx(np.zeros((2, 1)), abs=1e-6)
    zero = GaussianMixture([0.0, 0.5, 0.5], [0.0, 1.0, 2.0], [1.0] * 3)
    assert reduce(zero, 2, "runnalls").mixture.weights.sum() == 1


# ---- scikit-learn

POINTS = np.random.default_rng(0).normal(size=(200, 2)) + 4 * np.arange(2).repeat(100)[:, None]


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_mixtures_of_scikit_learn_have_the_same_density(kind, dtype) -> None:
    for points in (POINTS.astype(dtype), POINTS[:, :1].astype(dtype)):
        model = Fitted(2, covariance_type=kind, random_state=0).fit(points)
        mixture = GaussianMixture.from_sklearn(model)
        assert mixture.log_pdf(points) == pytest.approx(model.score_samples(points), abs=1e-4)
        assert (mixture.to_sklearn().predict(points) == model.predict(points)).all()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Fitted(3), "got GaussianMixture without covariances_; call fit first"),
        (make_pipeline(Fitted(2)).fit(POINTS), r"got Pipeline .*; pass pipeline\[-1\]"),
        (
            GridSearchCV(Fitted(random_state=0), {"n_components": [1, 2]}).fit(POINTS),
            "got GridSearchCV .*; pass search.best_estimator_",
        ),
        (3, "got int without covariances_"),
        (None, "got NoneType"),
    ],
)
def test_other_models_are_refused(model, words) -> None:
    with pytest.raises(InvalidInput, match=f"expected a fitted scikit-learn mixture, {words}"):
        GaussianMixture.from_sklearn(model)


def test_bayesian_and_damaged_models() -> None:
    model = BayesianGaussianMixture(n_components=2, random_state=0, max_iter=500).fit(POINTS)
    assert len(GaussianMixture.from_sklearn(model)) == 2
    model.means_[0] = np.nan
    with pytest.raises(InvalidInput, match="means_ must be finite"):
        GaussianMixture.from_sklearn(model)
    model.covariance_type = "round"
    with pytest.raises(InvalidInput, match="covariance_type must be one of full, tied, diag"):
        GaussianMixture.from_sklearn(model)


# ---- doors


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: inner_log("claw", "claw"), "expected two GaussianMixtures, got str"),
        (lambda: inner_log(MIXTURE, None), "expected two GaussianMixtures, got NoneType"),
        (lambda: pdf_angle(MIXTURE, 3), "expected two GaussianMixtures, got int"),
        (
            lambda: pdf_angle(MIXTURE, MIXTURE, (1, 2, 3)),
            "products must be those of inner_products",
        ),
        (lambda: distance(MIXTURE, MIXTURE, ["angle"]), r"unknown distance \['angle'\]"),
        (lambda: distance(MIXTURE, MIXTURE, None), "unknown distance None"),
        (lambda: distance_matrix(MIXTURE), "mixtures must be a list|expected two"),
        (lambda: distance_matrix("claw"), "mixtures must be a list, got 'claw'"),
        (lambda: distance_matrix([MIXTURE], {}), "unknown distance {}"),
        (lambda: gradient(MIXTURE, MIXTURE, ["ise"]), "unknown distance with a gradient"),
        (lambda: gradient(MIXTURE, MIXTURE, "ise", "a"), "ff must be a number"),
        (lambda: score_pairs(None), "mixture must be a GaussianMixture, got NoneType"),
        (lambda: score_pairs(MIXTURE, {}), "unknown criterion"),
        (lambda: score_pairs(MIXTURE, "ise", 3), "original must be a GaussianMixture, got int"),
        (lambda: modes([1]), "mixture must be a GaussianMixture, got list"),
        (lambda: best_weights(1, 2), "expected two GaussianMixtures, got int"),
        (lambda: best_weights(MIXTURE, MIXTURE, []), r"unknown criterion \[\]"),
        (lambda: Yardstick("claw"), "original must be a GaussianMixture, got str"),
        (lambda: Yardstick(MIXTURE, draws=1), "draws must be a whole number of at least 2"),
        (lambda: Yardstick(MIXTURE, seed=-1), "seed must be a whole number of at least 0"),
        (
            lambda: kl_divergence(MIXTURE, MIXTURE, 10**12),
            "draws must be a whole number of at most",
        ),
        (lambda: kl_divergence(MIXTURE, MIXTURE, 9, "a"), "rng must be a whole number"),
        (lambda: MIXTURE.sample(3, -1), "rng must be a whole number of at least 0"),
        (lambda: MIXTURE.sample(3, 0.5), "rng must be a whole number"),
        (lambda: MIXTURE.sample(10**12), "count must be a whole number of at most"),
        (lambda: merge_moments(MIXTURE, [0.5]), "indices must be different numbers .* got float64"),
        (lambda: merge_moments(MIXTURE, [True, False]), "indices must be .* got bool"),
        (lambda: merge_moments(None, [0]), "mixture must be a GaussianMixture"),
        (lambda: MIXTURE.affine(np.zeros((0, 2))), "independent rows"),
        (lambda: reduce("claw", 2), "expected a GaussianMixture, got str"),
        (lambda: reduce(MIXTURE, True), "components must be a whole number .* got True"),
        (lambda: reduce(MIXTURE, "2"), "components must be a whole number .* got '2'"),
        (lambda: reduce(MIXTURE, 0), "components must be a whole number of at least 1, got 0"),
        (lambda: reduce(MIXTURE, 1, ["oggmr"]), r"unknown method \['oggmr'\]"),
        (lambda: reduce(MIXTURE, 1, criterion=np.array(["ise", "x"])), "unknown criterion"),
        (lambda: reduce(MIXTURE, 1, "west", order=["trace"]), "unknown order"),
        (lambda: reduce(MIXTURE, 1, seed=-1), "seed must be a whole number of at least 0"),
        (lambda: reduce(MIXTURE, 1, progress=print), "reduce has no option 'progress'"),
        (lambda: reduce(MIXTURE, 1).at("2"), "components must be a whole number"),
        (lambda: ReduceRun(ReduceConfig(), {"options": {}}), "has a name and options"),
        (lambda: ReduceRun(ReduceConfig(), {"name": "claw", "options": 3}), "a name and options"),
        (lambda: ReduceRun(ReduceConfig(), 3), "data must be a GaussianMixture or the name"),
        (lambda: load_mixture(None), "unknown mixture None"),
        (lambda: load_mixture(["claw"]), r"unknown mixture \['claw'\]"),
        (lambda: load_mixture("random", components=10**9), "choose fewer components"),
        (lambda: load_mixture("random", components="3"), "components must be a whole number"),
        (lambda: load_mixture("digits", seed="a"), "seed must be a whole number"),
        (lambda: load_mixture("a.npz", components=3), "a file has no option components"),
    ],
)
def test_doors_refuse_what_they_cannot_use(call, words) -> None:
    with pytest.raises((InvalidInput, UnknownName), match=words):
        call()


def test_numbers_of_numpy_count() -> None:
    claw = load_mixture("claw")
    for components in (np.int64(3), 3.0, np.array(3), torch.tensor(3)):
        assert len(reduce(claw, components, "runnalls").mixture) == 3
    expected = claw.sample(4, 5)
    for seed in (np.int64(5), np.random.default_rng(5), np.array(5)):
        assert np.array_equal(claw.sample(4, seed), expected)
    assert distance_matrix([]).shape == (0, 0)
    assert distance_matrix(g for g in (claw, claw)).shape == (2, 2)


def test_partitions_of_many_components_are_not_counted() -> None:
    many = GaussianMixture(np.full(5000, 1 / 5000), np.arange(5000), np.ones(5000))
    with pytest.raises(InvalidInput, match="far more ways than the 2,000,000"):
        reduce(many, 2500, "brute")


# ---- files, copies


def test_a_file_in_a_new_folder_and_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MIXTURE.save(tmp_path / "new" / "a.npz")
    assert np.array_equal(load_mixture(tmp_path / "new" / "a.npz").means, MIXTURE.means)
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    assert len(load_mixture("~/a.npz", normalize=True)) == 2
    with pytest.raises(RecordingFailed, match="cannot be written"):
        MIXTURE.save(tmp_path / "new")
    for path, words in ((3, "path must be a path"), ("", "path must be a path")):
        with pytest.raises(InvalidInput, match=words):
            MIXTURE.save(path)
        with pytest.raises(InvalidInput, match=words):
            GaussianMixture.load(path)
    with pytest.raises(DataMissing):
        load_mixture("nowhere.npz")


def test_a_small_file_of_many_zeros_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explore.mixtures._conversions.MAX_UNPACKED", 10**6)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", bytes(2 * 10**6))
    assert path.stat().st_size < 10**4
    with pytest.raises(InvalidInput, match="2,000,000 bytes, more than the 1,000,000"):
        GaussianMixture.load(path)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
def test_copies_are_equal_and_read_only(duplicate: Any) -> None:
    again = duplicate(load_mixture("bivariate"))
    assert again.origin["name"] == "bivariate"
    assert not again.means.flags.writeable
    assert again.pdf([[0.0, 0.0]]) == load_mixture("bivariate").pdf([[0.0, 0.0]])
