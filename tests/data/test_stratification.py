"""Test iterative stratification: exact sizes, every row once, and no worse than the package iterative-stratification."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from iterstrat.ml_stratifiers import (
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
)

from explore.data import stratification_report, stratified_split
from explore.errors import InvalidInput


def random_labels(count: int, label_count: int, density: float, seed: int) -> np.ndarray:
    """Return labels of different frequency; the second is nearly always there with the first."""
    generator = np.random.default_rng(seed)
    frequency = 2 * density * generator.random(label_count)
    labels = generator.random((count, label_count)) < frequency
    labels[:, 1] = np.where(generator.random(count) < 0.9, labels[:, 0], labels[:, 1])
    return labels.astype(int)


def largest_difference(labels: np.ndarray, parts: Any) -> float:
    """Return by how much the share of a label in a part differs from that in all rows at most."""
    return max(np.abs(labels[part].mean(0) - labels.mean(0)).max() for part in parts)


SIZES = [(100, 6, 0.3), (400, 14, 0.3), (128, 71, 0.03), (1000, 20, 0.1), (2000, 80, 0.03)]


# ---- against the package


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("count", "label_count", "density"), SIZES)
def test_folds_are_no_worse_than_those_of_the_package(
    count: int, label_count: int, density: float, seed: int
) -> None:
    labels = random_labels(count, label_count, density, seed)
    folds = MultilabelStratifiedKFold(5, shuffle=True, random_state=seed)
    theirs = largest_difference(labels, [test for _, test in folds.split(labels, labels)])
    ours = largest_difference(labels, stratified_split(labels, [0.2] * 5, seed))
    assert ours <= theirs + 1e-12


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("count", "label_count", "density"), SIZES)
def test_two_parts_are_no_worse_than_those_of_the_package(
    count: int, label_count: int, density: float, seed: int
) -> None:
    labels = random_labels(count, label_count, density, seed)
    shuffle = MultilabelStratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
    theirs = largest_difference(labels, next(shuffle.split(labels, labels)))
    ours = largest_difference(labels, stratified_split(labels, [0.8, 0.2], seed))
    # Their parts may be larger or smaller than 80 and 20 percent; the sizes of ours are exact, so
    # a difference below one row of the smaller part may remain.
    assert ours <= theirs + 1e-12 or ours < 1 / (0.2 * count)


def test_it_is_better_than_a_random_split() -> None:
    labels = random_labels(500, 30, 0.05, 0)
    order = np.random.default_rng(0).permutation(500)
    random_parts = np.split(order, [350, 400])
    ours = largest_difference(labels, stratified_split(labels, [0.7, 0.1, 0.2]))
    assert ours < 0.3 * largest_difference(labels, random_parts)


def test_it_takes_less_than_a_second_for_many_rows() -> None:
    labels = random_labels(10_000, 20, 0.15, 0)
    durations = []
    for seed in range(2):  # the lower one, as other programs may be busy
        start = time.process_time()
        stratified_split(labels, [0.7, 0.1, 0.2], seed)
        durations.append(time.process_time() - start)
    assert min(durations) < 1


# ---- rows and sizes


@given(
    count=st.integers(1, 60),
    label_count=st.integers(1, 6),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_every_row_is_in_one_part_and_sizes_are_exact(
    count: int, label_count: int, weights: list[int], seed: int
) -> None:
    labels = np.random.default_rng(seed).random((count, label_count)) < 0.4
    shares = np.array(weights) / sum(weights)
    parts = stratified_split(labels, shares.tolist(), seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * count) < 1
        assert (np.diff(part) > 0).all()


def test_rows_without_labels_are_distributed() -> None:
    labels = np.zeros((100, 3), int)
    labels[:40, 0] = 1
    parts = stratified_split(labels, [0.7, 0.1, 0.2])
    assert [len(part) for part in parts] == [70, 10, 20]
    assert [labels[part].sum() for part in parts] == [28, 4, 8]
    none = stratified_split(np.zeros((10, 2)), [0.5, 0.5])
    assert [len(part) for part in none] == [5, 5]


def test_a_rare_label_is_in_every_part() -> None:
    labels = np.ones((50, 2), int)
    labels[:, 1] = np.arange(50) < 5
    for seed in range(10):
        parts = stratified_split(labels, [0.6, 0.2, 0.2], seed)
        assert [labels[part, 1].sum() for part in parts] == [3, 1, 1]


def test_each_combination_of_labels_is_divided_equally() -> None:
    labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0]] * 5)
    for seed in range(20):
        parts = stratified_split(labels, [0.5, 0.5], seed)
        assert np.abs(np.diff([labels[part].sum(0) for part in parts], axis=0)).max() == 0


def test_the_seed_decides() -> None:
    labels = random_labels(300, 8, 0.2, 0)
    first, again, other = (stratified_split(labels, [0.8, 0.2], seed) for seed in (3, 3, 4))
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    stratified_split(labels, [0.8, 0.2])
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize("convert", [torch.tensor, np.ndarray.tolist, lambda a: a.astype(bool)])
def test_labels_of_any_type(convert: Any) -> None:
    labels = random_labels(60, 4, 0.3, 1)
    expected = stratified_split(labels, [0.5, 0.5])
    for part, other in zip(stratified_split(convert(labels), [0.5, 0.5]), expected, strict=True):
        assert np.array_equal(part, other)


# ---- the report


def test_the_report_by_hand() -> None:
    labels = torch.tensor([[1, 0], [1, 1], [1, 0], [0, 1], [1, 0]])
    report = stratification_report(labels, {"train": [0, 1, 2], "test": [3, 4]}, ["cat", "dog"])
    assert report.index.tolist() == ["cat", "dog"]
    assert list(report.columns) == ["count", "all", "train", "test", "difference"]
    assert report["count"].tolist() == [4, 2]
    assert report["all"].tolist() == [0.8, 0.4]
    assert report["train"].tolist() == [1, pytest.approx(1 / 3)]
    assert report["test"].tolist() == [0.5, 0.5]
    assert report["difference"].tolist() == pytest.approx([0.3, 0.1])


def test_the_report_of_a_split_names_the_label_that_differs() -> None:
    labels = random_labels(200, 5, 0.2, 2)
    labels[:, 4] = np.arange(200) == 7  # in one part only
    parts = stratified_split(labels, [0.7, 0.1, 0.2])
    report = stratification_report(labels, parts)
    assert list(report.columns) == ["count", "all", "part 0", "part 1", "part 2", "difference"]
    assert report["difference"].max() == pytest.approx(largest_difference(labels, parts))
    assert (report.loc[4, ["part 0", "part 1", "part 2"]] > 0).sum() == 1


def test_an_empty_part_has_no_share() -> None:
    report = stratification_report([[1], [0]], [[0, 1], []])
    assert np.isnan(report["part 1"].item())
    assert report["difference"].item() == 0
    masks = stratification_report([[1], [0]], [np.array([True, False]), np.array([False, True])])
    assert masks["part 0"].item() == 1


# ---- bad input


@pytest.mark.parametrize(
    ("labels", "shares", "words"),
    [
        ([[0, 1], [0, 2]], [0.5, 0.5], "labels must be 0 or 1, got 2 in row 1, column 1"),
        ([[0, -1]], [1], "got -1 in row 0, column 1"),
        ([[0, float("nan")]], [1], "got nan in row 0, column 1"),
        ([0, 1], [1], r"labels must be \[N, K\], got \[2\]"),
        ([[], []], [1], r"labels must be \[N, K\], got \[2, 0\]"),
        (np.zeros((0, 3)), [1], "labels have no rows"),
        ([[1]], [], "shares must add up to 1"),
        ([[1]], [0.5, 0.4], r"shares must add up to 1, got \[0.5, 0.4\]"),
        ([[1]], [1.5, -0.5], "a share must be a number above 0 and of at most 1, got 1.5"),
        ([[1]], [1, 0], "a share must be a number above 0"),
        ([[1]], ["a"], "a share must be a number"),
    ],
)
def test_bad_input_is_named(labels: Any, shares: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        stratified_split(labels, shares)


def test_bad_input_of_the_report_and_the_seed() -> None:
    with pytest.raises(
        InvalidInput, match=r"seed must be a whole number of at least 0 and at most .*, got -1"
    ):
        stratified_split([[1]], [1], seed=-1)
    with pytest.raises(InvalidInput, match="there are no parts"):
        stratification_report([[1]], [])
    with pytest.raises(InvalidInput, match="got 1 label names for 2 labels"):
        stratification_report([[1, 0]], [[0]], ["a"])
