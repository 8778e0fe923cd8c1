"""Test the choice of thresholds: never worse than one half on its data, one for all labels or one for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, strategies as st
from oracles import scored

from explore.multilabel.metrics import choose_threshold, multilabel_report


@pytest.mark.parametrize("kind", ["global", "per-label"])
@pytest.mark.parametrize("measure", ["OF1", "CF1"])
@given(seed=st.integers(0, 2**16), ties=st.booleans(), without=st.integers(0, 1))
@example(seed=65535, ties=True, without=0)
@example(seed=1, ties=False, without=0)
def test_a_threshold_is_never_worse_than_one_half_on_its_data(
    kind: str, measure: str, seed: int, ties: bool, without: int
) -> None:
    scores, labels = scored(seed, 15, 3, ties, without)
    scores[:, 0] **= 3
    threshold = choose_threshold(scores, labels, kind, measure)
    if kind == "global":
        assert isinstance(threshold, float)
    else:
        assert np.shape(threshold) == (3,)
    assert np.isfinite(threshold).all()
    # Thresholds of single labels have the best F1 of each label, not of all pairs.
    name = measure if kind == "global" else "macro_f1"
    best = multilabel_report(scores, labels, threshold)[name]
    assert best >= multilabel_report(scores, labels, 0.5)[name] - 1e-12


@pytest.mark.parametrize("measure", ["OF1", "CF1"])
@pytest.mark.parametrize("seed", range(4))
def test_a_global_threshold_is_as_good_as_any_round_number(measure: str, seed: int) -> None:
    scores, labels = scored(seed, 15, 4)
    best = max(multilabel_report(scores, labels, t / 10)[measure] for t in range(1, 10))
    threshold = choose_threshold(scores, labels, measure=measure)
    assert multilabel_report(scores, labels, threshold)[measure] >= best
    assert best > multilabel_report(scores, labels, 0.5)[measure]
    tensors = torch.tensor(scores), torch.tensor(labels)
    assert choose_threshold(*tensors, measure=measure) == pytest.approx(threshold)


@pytest.mark.parametrize("measure", ["OF1", "CF1"])
def test_separable_labels_of_different_scales_need_their_own_thresholds(measure: str) -> None:
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.7, 0.2], [0.6, 0.1]])
    thresholds = choose_threshold(scores, labels, "per-label", measure)
    assert multilabel_report(scores, labels, thresholds)[measure] == 1
    threshold = choose_threshold(scores, labels, "global", measure)
    assert multilabel_report(scores, labels, threshold)[measure] < 1


@pytest.mark.parametrize("kind", ["global", "per-label"])
@pytest.mark.parametrize("measure", ["OF1", "CF1"])
@pytest.mark.parametrize("mark", [0, 1, -1])
def test_unknown_labels_do_not_decide_a_threshold(kind: str, measure: str, mark: int) -> None:
    scores = np.array([[0.9], [0.3], [0.1], *[[0.6]] * 9])
    labels = np.array([[1], [1], [0], *[[mark]] * 9])
    mask = np.arange(12)[:, None] < 3
    threshold = np.ravel(choose_threshold(scores, labels, kind, measure, mask=mask))
    assert 0.1 < threshold.item() <= 0.3
    if mark == 0:
        assert np.ravel(choose_threshold(scores, labels, kind, measure)).item() > 0.6


@pytest.mark.parametrize("measure", ["OF1", "CF1"])
def test_one_half_stays_where_nothing_is_better(measure: str) -> None:
    labels = np.array([[1, 0], [1, 0], [0, 0]])
    scores = np.array([[0.9, 0.8], [0.52, 0.3], [0.1, 0.2]])  # no positive of the second label
    thresholds = choose_threshold(scores, labels, "per-label", measure)
    assert thresholds.tolist() == [0.5, 0.5]
    assert choose_threshold(scores[:, :1], labels[:, :1], "global", measure) == 0.5


@pytest.mark.parametrize("kind", ["global", "per-label"])
@pytest.mark.parametrize("score", [0.0, 0.2, 0.35, np.nan])
def test_scores_of_unknown_labels_are_not_read(kind: str, score: float) -> None:
    scores, labels = scored(12)
    mask = np.random.default_rng(2).random(labels.shape) < 0.5
    expected = choose_threshold(scores, labels, kind, mask=mask)
    changed = choose_threshold(np.where(mask, scores, score), labels, kind, mask=mask)
    assert np.array_equal(changed, expected)
