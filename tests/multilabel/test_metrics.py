"""Test the metrics by hand, against scikit-learn and torchmetrics where they have no known fault."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from oracles import average_precision as plain_precision, report as plain_report, scored
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
)
from torchmetrics.classification import (
    MultilabelAveragePrecision,
    MultilabelF1Score,
    MultilabelPrecision,
    MultilabelRecall,
)

from explore.errors import InvalidInput
from explore.multilabel.metrics import average_precision, choose_threshold, multilabel_report

N, K = 40, 6
MEASURES = ("CP", "CR", "CF1", "OP", "OR", "OF1", "macro_f1")

# ---- average precision


def test_average_precision_by_hand() -> None:
    scores = np.array([[0.9, 0.9, 0.5], [0.8, 0.8, 0.5], [0.7, 0.7, 0.5], [0.6, 0.6, 0.1]])
    labels = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 1]])
    # precisions at the positives: 1 and 2/3; 1/2 and 2/4; a tie of three counts once: 1/3, then 2/4
    np.testing.assert_allclose(average_precision(scores, labels), [5 / 6, 1 / 2, 5 / 12])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_equals_scikit_learn_and_torchmetrics(seed: int, ties: bool) -> None:
    scores, labels = scored(seed, ties=ties)
    result = average_precision(scores, labels)
    assert result.shape == (K,)
    for k in range(K):
        assert result[k] == pytest.approx(plain_precision(scores[:, k], labels[:, k]), rel=1e-12)
    np.testing.assert_allclose(result, average_precision_score(labels, scores, average=None))
    metric = MultilabelAveragePrecision(K, average=None, thresholds=None)
    theirs = metric(torch.tensor(scores), torch.tensor(labels).int())
    np.testing.assert_allclose(result, theirs.numpy(), rtol=1e-5)
    assert multilabel_report(scores, labels)["mAP"] == pytest.approx(result.mean(), rel=1e-12)


def test_labels_without_positives_are_nan_and_left_out() -> None:
    scores, labels = scored(0, without=2)
    result = average_precision(scores, labels)
    assert np.isnan(result).tolist() == [False] * 4 + [True] * 2
    report = multilabel_report(scores, labels)
    assert report["mAP"] == pytest.approx(result[:4].mean(), rel=1e-12)
    assert (report["labels"], report["labels_without_positives"], report["samples"]) == (K, 2, N)


def test_the_order_of_tied_samples_does_not_matter() -> None:
    scores, labels = scored(1, ties=True)
    order = np.random.default_rng(0).permutation(N)
    first, second = (
        average_precision(scores, labels),
        average_precision(scores[order], labels[order]),
    )
    np.testing.assert_array_equal(first, second)
    backwards = average_precision(scores[::-1], labels[::-1])
    np.testing.assert_array_equal(first, backwards)


def test_tensors_and_arrays_give_the_same() -> None:
    scores, labels = scored(2)
    single = scores.astype(np.float32)
    tensors = torch.tensor(single, requires_grad=True), torch.tensor(labels)
    np.testing.assert_array_equal(average_precision(single, labels), average_precision(*tensors))
    assert multilabel_report(single, labels) == multilabel_report(*tensors)
    half = torch.tensor(scores).bfloat16()
    assert multilabel_report(half, tensors[1]) == multilabel_report(half.float(), tensors[1])
    for dtype in (np.int64, np.bool_):
        assert multilabel_report(scores, labels.astype(dtype)) == multilabel_report(scores, labels)


# ---- the report


def test_cf1_is_not_macro_f1() -> None:
    """The example of torchmetrics' documentation and of its issue 1665."""
    predictions, labels = np.array([[0.0, 0, 1], [1, 0, 1]]), np.array([[0, 1, 0], [1, 0, 1]])
    report = multilabel_report(predictions, labels)
    # precision 1, 0, 1/2; recall 1, 0, 1; F1 1, 0, 2/3; 2 of 3 predicted right, 2 of 3 true ones predicted
    assert report["CP"] == pytest.approx(1 / 2)
    assert report["CR"] == pytest.approx(2 / 3)
    assert report["CF1"] == pytest.approx(0.5714, abs=5e-5)
    assert report["macro_f1"] == pytest.approx(0.5556, abs=5e-5)
    assert report["OP"] == report["OR"] == report["OF1"] == pytest.approx(2 / 3)
    # label 1 is never predicted: the field's meter divides 2 by 1 + 1 + 2
    legacy = multilabel_report(predictions, labels, legacy=True)
    assert legacy["OP"] == pytest.approx(2 / 4)
    assert legacy["OF1"] == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    for name in ("CP", "CR", "CF1", "OR", "macro_f1"):
        assert legacy[name] == pytest.approx(report[name])


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_the_report_equals_scikit_learn_and_torchmetrics(seed: int, threshold: float) -> None:
    scores, labels = scored(seed)
    predictions = (scores >= threshold).astype(int)
    report = multilabel_report(scores, labels, threshold)
    sklearn_options = {"zero_division": 0}
    for average, names in (("macro", ("CP", "CR", "macro_f1")), ("micro", ("OP", "OR", "OF1"))):
        for name, score in zip(names, (precision_score, recall_score, f1_score), strict=True):
            expected = score(labels, predictions, average=average, **sklearn_options)
            assert report[name] == pytest.approx(expected, rel=1e-12), name
        metrics = (MultilabelPrecision, MultilabelRecall, MultilabelF1Score)
        for name, metric in zip(names, metrics, strict=True):
            theirs = metric(K, threshold=threshold, average=average)
            expected = theirs(torch.tensor(scores), torch.tensor(labels).int()).item()
            assert report[name] == pytest.approx(expected, rel=1e-5), name
    expected = 2 * report["CP"] * report["CR"] / (report["CP"] + report["CR"])
    assert report["CF1"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("without", [0, 2])
@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_the_report_equals_a_loop_over_labels(threshold: float, without: int, legacy: bool) -> None:
    scores, labels = scored(3, count=12, without=without)
    scores[:, 0] *= 0.4  # a label that is never predicted
    report = multilabel_report(scores, labels, threshold, legacy=legacy)
    predictions = (scores >= threshold).astype(int)
    expected = plain_report(predictions, labels, legacy)
    assert predictions.sum() > 0
    for name in MEASURES:
        assert report[name] == pytest.approx(expected[name], rel=1e-12), name


def test_predictions_of_labels_without_positives_lower_the_overall_precision_only() -> None:
    labels = np.array([[1, 0], [1, 0]])
    report = multilabel_report(np.array([[0.9, 0.9], [0.9, 0.1]]), labels)
    assert report["OP"] == pytest.approx(2 / 3)
    assert report["OR"] == report["CP"] == report["CR"] == report["CF1"] == 1
    assert report["labels_without_positives"] == 1


def test_a_score_equal_to_the_threshold_is_predicted() -> None:
    labels = np.array([[1, 1]])
    assert multilabel_report(np.array([[0.5, 0.49]]), labels)["OR"] == 0.5
    thresholds = np.array([0.6, 0.49])
    assert multilabel_report(np.array([[0.5, 0.49]]), labels, thresholds)["OR"] == 0.5
    single = np.array([[0.7, 0.1]], dtype=np.float32)
    assert multilabel_report(single, labels, float(single[0, 0]))["OR"] == 0.5


def test_a_threshold_for_each_label() -> None:
    scores, labels = scored(4)
    thresholds = np.linspace(0.2, 0.9, K)
    expected = plain_report((scores >= thresholds).astype(int), labels)
    for kind in (thresholds, torch.tensor(thresholds), thresholds.tolist()):
        report = multilabel_report(scores, labels, kind)
        for name in MEASURES:
            assert report[name] == pytest.approx(expected[name], rel=1e-12), name


@pytest.mark.parametrize("top_k", [1, 3, K])
@pytest.mark.parametrize("threshold", [0.0, 0.6])
def test_the_largest_scores_must_also_reach_the_threshold(top_k: int, threshold: float) -> None:
    scores, labels = scored(5)
    predictions = np.zeros_like(labels)
    for n in range(N):
        for k in sorted(range(K), key=lambda k, n=n: -scores[n, k])[:top_k]:
            predictions[n, k] = scores[n, k] >= threshold
    report = multilabel_report(scores, labels, threshold, top_k=top_k)
    expected = plain_report(predictions, labels)
    for name in MEASURES:
        assert report[name] == pytest.approx(expected[name], rel=1e-12), name
    assert report["mAP"] == multilabel_report(scores, labels)["mAP"]


def test_nothing_predicted_gives_zeros() -> None:
    scores, labels = scored(6)
    for legacy in (False, True):
        report = multilabel_report(0.1 * scores, labels, legacy=legacy)
        assert [report[name] for name in MEASURES] == [0.0] * len(MEASURES)
        assert report["mAP"] > 0


def test_a_perfect_score_is_one() -> None:
    labels = scored(7)[1]
    report = multilabel_report(labels, labels)
    assert [report[name] for name in ("mAP", *MEASURES)] == pytest.approx([1.0] * 8)


def test_no_positive_at_all_does_not_raise() -> None:
    scores, labels = scored(8)
    report = multilabel_report(scores, 0 * labels)
    assert report["labels_without_positives"] == K
    assert math.isnan(report["mAP"])
    assert np.isnan(average_precision(scores, 0 * labels)).all()


# ---- labels that are not known, as the difficult objects of VOC


@pytest.mark.parametrize("mark", [-1.0, 0.0, 1.0, math.nan])
def test_difficult_objects_are_left_out(mark: float) -> None:
    scores, labels = scored(9)
    mask = np.random.default_rng(0).random(labels.shape) < 0.8
    marked = np.where(mask, labels, mark)
    report = multilabel_report(scores, marked, mask=mask)
    metric = MultilabelAveragePrecision(K, average="macro", thresholds=None, ignore_index=-1)
    voc = torch.tensor(np.where(mask, labels, -1)).int()
    assert report["mAP"] == pytest.approx(metric(torch.tensor(scores), voc).item(), rel=1e-5)
    each = [plain_precision(scores[row, k], labels[row, k]) for k, row in enumerate(mask.T)]
    assert report["mAP"] == pytest.approx(np.mean(each), rel=1e-12)
    np.testing.assert_allclose(average_precision(scores, marked, mask), each)
    predictions = ((scores >= 0.5) & mask).astype(int)
    expected = plain_report(predictions, labels * mask)
    for name in MEASURES:
        assert report[name] == pytest.approx(expected[name], rel=1e-12), name
    tensors = (torch.tensor(scores), torch.tensor(marked))
    assert multilabel_report(*tensors, mask=torch.tensor(mask)) == report


def test_a_label_whose_positives_are_all_unknown_is_left_out() -> None:
    scores, labels = scored(10)
    mask = labels[:, :1] * np.eye(K)[:1] == 0
    report = multilabel_report(scores, labels, mask=mask)
    assert report["labels_without_positives"] == 1
    rest = multilabel_report(scores[:, 1:], labels[:, 1:])
    for name in ("mAP", "CP", "CR", "CF1", "OR", "macro_f1"):
        assert report[name] == pytest.approx(rest[name], rel=1e-12), name


# ---- bad input


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan])
@pytest.mark.parametrize("call", [average_precision, multilabel_report, choose_threshold])
def test_labels_other_than_0_and_1_are_rejected(call, value: float) -> None:
    scores, labels = scored(0)
    labels[4, 2] = value
    with pytest.raises(InvalidInput, match=r"(?s)\b4\b.*\b2\b"):
        call(scores, labels)


@pytest.mark.parametrize("call", [average_precision, multilabel_report, choose_threshold])
def test_nan_scores_and_wrong_shapes_are_rejected(call) -> None:
    scores, labels = scored(0)
    for bad in (labels[:-1], labels[:, :-1], labels[0]):
        with pytest.raises(InvalidInput):
            call(scores, bad)
    scores[3, 1] = math.nan
    with pytest.raises(InvalidInput, match="scores"):
        call(scores, labels)


@pytest.mark.parametrize("value", [-0.1, 1.5, math.inf])
def test_logits_are_not_taken_for_probabilities(value: float) -> None:
    scores, labels = scored(0)
    scores[2, 1] = value
    for call in (multilabel_report, choose_threshold):
        with pytest.raises(InvalidInput, match="scores"):
            call(scores, labels)


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0},
        {"top_k": K + 1},
        {"threshold": math.nan},
        {"threshold": [0.5] * (K - 1)},
        {"mask": np.ones((N, 1), dtype=bool)},
    ],
)
def test_options_out_of_range_are_rejected(options: dict) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        multilabel_report(*scored(0), **options)
    for names in ({"kind": "per-sample"}, {"measure": "mAP"}):
        with pytest.raises(InvalidInput):
            choose_threshold(*scored(0), **names)
