"""Metrics against scikit-learn, SciPy and an example by hand; the table of a study."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray
from scipy.stats import ttest_rel
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, roc_auc_score

from explore.core.statistics import mean_and_std, paired_difference
from explore.errors import InvalidInput
from explore.subclass import report, table
from explore.subclass.recordings import SCORE_DIMS
from explore.subclass.study_tables import select_scores


def random_predictions(classes: int, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(
        classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    )
    logits = generator.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    e = np.exp(logits)
    return e / e.sum(1, keepdims=True), labels


# ---- one report


@pytest.mark.parametrize("positive", [0, 1])
def test_two_classes_against_scikit_learn(positive):
    p, y = random_predictions(2)
    metrics, is_positive = report(p, y, positive), (y == positive).astype(int)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(y, p.argmax(1)))
    assert metrics["f1"] == pytest.approx(f1_score(is_positive, p.argmax(1) == positive))
    assert metrics["macro_f1"] == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    assert metrics["auc"] == pytest.approx(roc_auc_score(is_positive, p[:, positive]))
    assert metrics["brier"] == pytest.approx(brier_score_loss(is_positive, p[:, positive]))
    assert metrics["brier"] == pytest.approx(((p[:, positive] - is_positive) ** 2).mean())
    assert report(p, y)["f1"] == report(p, y, 1)["f1"]


@pytest.mark.parametrize("positive", [0, 2])
def test_many_classes_against_scikit_learn(positive):
    p, y = random_predictions(4)
    metrics = report(p, y, positive)
    assert metrics["accuracy"] == pytest.approx((y == p.argmax(1)).mean())
    assert metrics["f1"] == pytest.approx(f1_score(y, p.argmax(1), average=None)[positive])
    assert metrics["macro_f1"] == pytest.approx(f1_score(y, p.argmax(1), average=None).mean())
    assert metrics["auc"] == pytest.approx(
        np.mean([roc_auc_score(y == k, p[:, k]) for k in range(4)])
    )
    assert metrics["brier"] == pytest.approx(((p[:, positive] - (y == positive)) ** 2).mean())


def test_an_example_by_hand():
    """Three positives, of which two are predicted, and one false positive among five negatives."""
    p = np.array([0.9, 0.8, 0.3, 0.6, 0.1, 0.2, 0.4, 0.0])
    y = np.array([1, 1, 1, 0, 0, 0, 0, 0])
    metrics = report(np.stack([1 - p, p], 1), y, 1)
    assert metrics["accuracy"] == 6 / 8
    assert metrics["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert metrics["macro_f1"] == pytest.approx((4 / 6 + 8 / 10) / 2)
    assert metrics["auc"] == pytest.approx((5 + 5 + 3) / 15)  # pairs in the right order
    assert metrics["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.36 + 0.01 + 0.04 + 0.16) / 8)
    assert report(np.stack([1 - p, p], 1), y, 0)["f1"] == pytest.approx(8 / 10)


def test_calibration_has_as_many_samples_in_each_bin():
    p = np.linspace(0.03, 0.99, 1000) ** 3  # bins of one width would hold different numbers
    y = (np.random.default_rng(0).random(1000) < p).astype(int)
    curve = report(np.stack([1 - p, p], 1), y, 1, bins=5)["calibration"]
    assert curve.shape == (5, 2)
    for (predicted, observed), part in zip(curve, np.array_split(np.arange(1000), 5), strict=True):
        assert predicted == pytest.approx(p[part].mean(), abs=2e-3)
        assert observed == pytest.approx(y[part].mean(), abs=6e-3)
    other = report(np.stack([p, 1 - p], 1), 1 - y, 0, bins=5)["calibration"]
    np.testing.assert_allclose(other, curve)
    assert len(report(np.stack([1 - p, p], 1), y)["calibration"]) == 10


def test_tensors_lists_and_single_precision():
    p, y = random_predictions(3)
    for probabilities in (
        torch.tensor(p, requires_grad=True),
        torch.tensor(p).float(),
        p.tolist(),
        p.astype(np.float32),
    ):
        metrics = report(probabilities, torch.tensor(y), 2)
        for name in ("accuracy", "f1", "macro_f1", "auc", "brier"):
            assert metrics[name] == pytest.approx(report(p, y, 2)[name], abs=1e-6)
            assert isinstance(metrics[name], float)


def test_an_absent_class_has_no_auc_and_no_f1():
    p, y = random_predictions(3)
    metrics = report(p[y < 2], y[y < 2], 2)
    assert math.isnan(metrics["auc"])
    assert metrics["f1"] == 0
    assert report(p[y == 1], y[y == 1], 1)["macro_f1"] < 0.7
    p, y = random_predictions(2)
    for label in (0, 1):
        assert math.isnan(report(p[y == label], y[y == label])["auc"])


@pytest.mark.parametrize(
    ("p", "y", "positive", "words"),
    [
        (
            [0.5, 0.5],
            [0, 1],
            1,
            r"probabilities must be numbers \[N, C\], got float64 \[2\]",
        ),
        ([[0.5, 0.5]], [0, 1], 1, r"got float64 \[1, 2\] and int64 \[2\]"),
        ([[0.5, 0.5]], [0.0], 1, "float64"),
        (np.zeros((0, 2)), np.zeros(0, int), 1, "probabilities must not be empty"),
        ([[2.0, -1.0]], [0], 1, "pass a softmax, not logits"),
        ([[0.5, 0.6]], [0], 1, "sum to 1"),
        ([[0.5, np.nan]], [0], 1, "sum to 1"),
        ([[0.5, 0.5]], [2], 1, r"the classes are 0..1; got positive=1 and labels 2..2"),
        ([[0.5, 0.5]], [-1], 1, "labels -1..-1"),
        ([[0.5, 0.5]], [0], 2, "got positive=2"),
        ([[0.5, 0.5]], [0], -1, "got positive=-1"),
    ],
)
def test_bad_input_is_refused(p, y, positive, words):
    with pytest.raises(InvalidInput, match=words):
        report(p, y, positive)


# ---- many runs


@pytest.mark.parametrize("n", [2, 3, 8])
def test_paired_is_scipys_interval(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    mean, interval = paired_difference(a, b)
    low, high = ttest_rel(a, b).confidence_interval(0.95)
    assert (mean - interval, mean + interval) == (pytest.approx(low), pytest.approx(high))
    assert paired_difference(b, a) == (pytest.approx(-mean), pytest.approx(interval))
    assert paired_difference([*a, np.nan, 1.0], [*b, 2.0, np.nan]) == (
        pytest.approx(mean),
        pytest.approx(interval),
    )
    assert paired_difference(a + 5, a) == (pytest.approx(5), pytest.approx(0))


def test_too_few_runs_have_no_interval():
    assert paired_difference([3.0], [1.0])[0] == 2
    assert math.isnan(paired_difference([3.0], [1.0])[1])
    assert all(math.isnan(value) for value in paired_difference([], []))
    assert all(math.isnan(value) for value in paired_difference([np.nan, 1], [0, np.nan]))
    assert mean_and_std([1.0, 3.0, np.nan]) == (2, pytest.approx(2**0.5))
    assert mean_and_std([4.0])[0] == 4
    assert math.isnan(mean_and_std([4.0])[1])
    assert all(math.isnan(value) for value in mean_and_std([np.nan]))


def study(steps: int = 0) -> xarray.Dataset:
    sizes = {
        "measure": 2,
        "lesson": 3,
        "temperature": 2,
        "labels": 1,
        "teacher_images": 1,
        "width": 2,
        "run": 4,
    }
    values = np.random.default_rng(0).random(tuple(sizes.values()))
    values[:, 2, 1, 0, 0, 1, 3] = np.nan
    coordinates = {
        "measure": ["accuracy", "f1"], "lesson": ["scratch", "kd", "skd"], "temperature": [2.0, 4.0],
        "labels": [50], "teacher_images": [0], "width": [4, 8], "run": range(4),
    }  # fmt: skip
    coordinates = {
        name: (name, np.array(list(v), object if name in ("measure", "lesson") else None))
        for name, v in coordinates.items()
    }
    snapshot = xarray.Dataset({"score": (tuple(sizes), values)}, coordinates)
    return xarray.concat([snapshot * 0 - 1, snapshot], "step") if steps else snapshot


@pytest.mark.parametrize("steps", [0, 2])
def test_the_table_has_a_row_for_each_setting_and_method(steps):
    rows = table(study(steps), "f1", "kd")
    assert len(rows) == 2 * 2 * 3
    assert set(SCORE_DIMS) - {"run"} <= set(rows.columns)
    for _, row in rows.iterrows():
        scores = study()["score"].sel(
            measure="f1",
            temperature=row["temperature"],
            labels=50,
            teacher_images=0,
            width=row["width"],
        )
        values, base = scores.sel(lesson=row["lesson"]).values, scores.sel(lesson="kd").values
        finite = np.isfinite(values)
        assert row["runs"] == finite.sum()
        assert row["f1"] == pytest.approx(values[finite].mean())
        assert row["std"] == pytest.approx(values[finite].std(ddof=1))
        assert row["minus kd"] == pytest.approx((values - base)[finite].mean())
        if row["lesson"] == "kd":
            assert (row["minus kd"], row["±"]) == (0, 0)
        else:
            low, high = ttest_rel(values[finite], base[finite]).confidence_interval()
            assert row["±"] == pytest.approx((high - low) / 2)
    assert (rows.runs == 3).sum() == 1
    assert list(table(study()).columns[-2:]) == ["minus scratch", "±"]


def test_values_that_were_not_studied_are_refused():
    with pytest.raises(InvalidInput, match="measure 'auc' was not studied; it has accuracy, f1"):
        table(study(), "auc")
    with pytest.raises(
        InvalidInput, match="lesson 'nothing' was not studied; it has scratch, kd, skd"
    ):
        table(study(), against="nothing")
    with pytest.raises(InvalidInput, match="width 5 was not studied; it has 4, 8"):
        select_scores(study(), "f1", width=5)
    scores = select_scores(study(), "f1", width=8, lesson="kd")
    assert np.array_equal(scores.values.squeeze(), study().score.values[1, 1, :, 0, 0, 1])


def test_other_dimensions_stay():
    assert select_scores(study(), "f1", width=8, lesson="kd").dims == (
        "temperature",
        "labels",
        "teacher_images",
        "run",
    )
    with pytest.raises(InvalidInput, match="measure 'auc' was not studied; it has accuracy, f1"):
        select_scores(study(), "auc")
