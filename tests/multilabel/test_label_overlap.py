"""Test overlaps of label sets and the pairs that count as positives, against sets of Python and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from oracles import OVERLAPS, array, overlap_table, random_labels

from explore.errors import InvalidInput
from explore.multilabel.overlap import label_overlap, positive_pairs

KINDS = sorted(OVERLAPS)
BY_HAND = {
    "jaccard": (1 / 4, 1 / 4),
    "dice": (2 / 5, 2 / 5),
    "overlap": (1 / 2, 1 / 2),
    "recall": (1 / 2, 1 / 3),
    "cosine": (1 / math.sqrt(6), 1 / math.sqrt(6)),
}
"""Overlap of {0, 1} with {1, 2, 3}, and of {1, 2, 3} with {0, 1}."""


@pytest.mark.parametrize("kind", KINDS)
def test_overlap_by_hand(kind: str) -> None:
    labels = torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]])
    table = label_overlap(labels, kind)
    assert table.shape == (4, 4)
    assert table.is_floating_point()
    first, second = BY_HAND[kind]
    assert table[0, 1].item() == pytest.approx(first, abs=1e-6)
    assert table[1, 0].item() == pytest.approx(second, abs=1e-6)
    assert table[0, 3].item() == 0
    torch.testing.assert_close(table.diagonal().double(), torch.tensor([1.0, 1, 0, 1]).double())
    assert table[2].count_nonzero() == 0
    assert table[:, 2].count_nonzero() == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty_match", [False, True])
def test_overlap_equals_sets(kind: str, empty_match: bool) -> None:
    labels = random_labels(0, 12, 6, empty=3)
    table = label_overlap(labels, kind, empty_match=empty_match)
    expected = overlap_table(array(labels), kind, empty_match)
    np.testing.assert_allclose(array(table), expected, atol=1e-6)
    assert table.isfinite().all()


def test_jaccard_is_the_default() -> None:
    labels = random_labels(1, 9, 5)
    torch.testing.assert_close(label_overlap(labels), label_overlap(labels, "jaccard"))
    torch.testing.assert_close(
        positive_pairs(labels), positive_pairs(labels, alpha=0.5, kind="jaccard")
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha", [0.01, 0.3, 0.5, 0.8, 1.0])
def test_positive_pairs_reach_the_threshold(kind: str, alpha: float) -> None:
    labels = random_labels(2, 15, 5, empty=2)
    expected = overlap_table(array(labels), kind) >= alpha - 1e-9
    np.fill_diagonal(expected, False)
    pairs = positive_pairs(labels, alpha, kind)
    assert pairs.dtype == torch.bool
    np.testing.assert_array_equal(pairs.numpy(), expected)
    assert expected.any()
    assert not expected.all()


def test_a_ratio_that_equals_the_threshold_reaches_it() -> None:
    for both, union in itertools.combinations(range(1, 24), 2):
        labels = torch.zeros(2, union)
        labels[0], labels[1, :both] = 1, 1
        assert positive_pairs(labels, both / union)[0, 1], f"{both} of {union}"
        assert not positive_pairs(labels, both / union + 1e-4)[0, 1], f"{both} of {union}"
    labels = torch.zeros(2, 10)
    labels[0], labels[1, :3] = 1, 1
    assert positive_pairs(labels, 0.1 + 0.2)[0, 1]  # 0.30000000000000004


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_bit_of_an_overlap_does_not_decide(kind: str) -> None:
    for first, second in itertools.product(range(1, 9), repeat=2):
        labels = torch.zeros(2, 16)
        labels[0, :first] = 1
        for both in range(1, min(first, second) + 1):
            labels[1] = 0
            labels[1, first - both : first - both + second] = 1
            alpha = OVERLAPS[kind](both, first, second)
            if alpha <= 1:
                assert positive_pairs(labels, alpha, kind)[0, 1], f"{first}, {second}, {both}"


def test_threshold_one_means_the_same_labels() -> None:
    labels = torch.tensor([list(row) for row in itertools.product([0.0, 1.0], repeat=3)] * 2)
    pairs = positive_pairs(labels, 1.0)
    same = (labels[:, None] == labels[None, :]).all(-1) & labels.any(1)[:, None]
    assert torch.equal(pairs, same & ~torch.eye(len(labels), dtype=torch.bool))
    assert pairs.sum() == 14


def test_recall_asks_for_the_labels_of_the_anchor() -> None:
    pairs = positive_pairs(torch.tensor([[1.0, 0, 0], [1, 1, 1]]), 0.9, "recall")
    assert pairs.tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize("alpha", [0, 0.0, -0.1, 1.1, math.nan, math.inf])
def test_thresholds_outside_the_range_are_rejected(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        positive_pairs(torch.eye(3), alpha)


def test_unknown_measures_are_rejected() -> None:
    for call in (label_overlap, lambda labels, kind: positive_pairs(labels, 0.5, kind)):
        with pytest.raises(InvalidInput, match="jaccard"):
            call(torch.eye(3), "jacard")


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, math.nan])
def test_labels_other_than_0_and_1_are_rejected(value: float) -> None:
    labels = torch.zeros(4, 3)
    labels[3, 2] = value
    for call in (label_overlap, positive_pairs):
        with pytest.raises(InvalidInput, match=r"\b3\b.*\b2\b"):
            call(labels)


def test_labels_without_columns_of_labels_are_rejected() -> None:
    with pytest.raises(InvalidInput):
        label_overlap(torch.ones(4))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float16, torch.float64])
def test_any_type_of_labels_is_accepted(dtype: torch.dtype) -> None:
    labels = random_labels(3, 40, 30)
    expected = label_overlap(labels, "cosine")
    torch.testing.assert_close(
        label_overlap(labels.to(dtype), "cosine"), expected, check_dtype=False, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_does_not_lower_the_precision(kind: str) -> None:
    labels = random_labels(4, 10, 700)  # bfloat16 has no number between 256 and 258
    expected = label_overlap(labels, kind)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(label_overlap(labels, kind), expected)
