"""Test coresets: each greedy step against its definition by brute force, and the guarantee of k-center."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from explore.data import load
from explore.data.coresets import METHOD_NAMES, select
from explore.errors import InvalidInput, UnknownName

POINTS = st.integers(3, 9).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=st.integers(-20, 20).map(float))
)


def one_class(points: np.ndarray, method: str, count: int) -> list[int]:
    return select(
        torch.from_numpy(points), torch.zeros(len(points), dtype=torch.long), method, count
    ).tolist()


def toy(count: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 3, (count,), generator=torch.Generator().manual_seed(seed))
    return torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(seed)), labels


# ---- by definition


@settings(max_examples=60, deadline=None)
@given(points=POINTS)
def test_herding_always_adds_the_sample_that_brings_the_mean_nearest(points):
    selection = one_class(points, "herding", len(points) - 1)
    for step, pick in enumerate(selection):
        free = [i for i in range(len(points)) if i not in selection[:step]]
        off = {
            i: np.linalg.norm(points.mean(0) - points[[*selection[:step], i]].mean(0)) for i in free
        }
        assert pick in free
        assert off[pick] <= min(off.values()) + 1e-9


@settings(max_examples=60, deadline=None)
@given(points=POINTS)
def test_kcenter_begins_at_the_mean_and_always_adds_the_farthest(points):
    selection = one_class(points, "kcenter", len(points) - 1)
    to_mean = np.linalg.norm(points - points.mean(0), axis=1)
    assert to_mean[selection[0]] <= to_mean.min() + 1e-9
    for step in range(1, len(selection)):
        free = [i for i in range(len(points)) if i not in selection[:step]]
        away = {
            i: min(np.linalg.norm(points[i] - points[c]) for c in selection[:step]) for i in free
        }
        assert selection[step] in free
        assert away[selection[step]] >= max(away.values()) - 1e-9


@settings(max_examples=40, deadline=None)
@given(points=POINTS, count=st.integers(1, 3))
def test_kcenter_covers_within_twice_the_best_radius(points, count):
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    selection = one_class(points, "kcenter", count)
    radius = distances[:, selection].min(1).max()
    best = min(
        distances[:, list(centers)].min(1).max()
        for centers in combinations(range(len(points)), count)
    )
    assert radius <= 2 * best + 1e-9
    for a, b in combinations(
        selection, 2
    ):  # spread: no two chosen are nearer than the farthest point is to all chosen
        assert distances[a, b] >= radius - 1e-9


@settings(max_examples=40, deadline=None)
@given(points=POINTS)
def test_herding_and_kcenter_agree_at_one_a_class(points):
    assert one_class(points, "herding", 1) == one_class(points, "kcenter", 1)


def test_by_hand():
    points = np.array([[0.0], [1.0], [2.0], [10.0]])  # mean 3.25
    assert one_class(points, "herding", 4) == [2, 1, 3, 0]  # means 2, 1.5, 4.33, 3.25
    assert one_class(points, "kcenter", 4) == [2, 3, 0, 1]


def test_duplicates_are_chosen_once():
    points = np.zeros((4, 2))
    for method in METHOD_NAMES:
        assert sorted(one_class(points, method, 4)) == [0, 1, 2, 3]


# ---- class by class


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_indices_come_class_by_class_without_repeats(method):
    features, labels = toy()
    selection = select(features, labels, method, 4)
    assert selection.dtype == torch.int64
    assert labels[selection].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(selection.tolist())) == 12


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_one_class_does_not_depend_on_the_others(method):
    features, labels = toy()
    moved = features.clone()
    moved[labels == 2] *= 5
    assert torch.equal(
        select(features, labels, method, 4)[:8], select(moved, labels, method, 4)[:8]
    )


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_fewer_are_the_first_of_more(method):
    features, labels = toy()
    small, more = (
        select(features, labels, method, 2).view(3, 2),
        select(features, labels, method, 5).view(3, 5),
    )
    assert torch.equal(small, more[:, :2])


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_all_samples_of_a_class_may_be_selected_and_labels_may_have_gaps(method):
    features, labels = toy(12)[0], torch.tensor([7, 2] * 6)
    selection = select(features, labels, method, 6)
    assert labels[selection].tolist() == [2] * 6 + [7] * 6
    assert sorted(selection.tolist()) == list(range(12))


@pytest.mark.parametrize("method", ["herding", "kcenter"])
def test_shift_scale_and_shape_of_features_do_not_matter(method):
    features, labels = toy()
    selection = select(features, labels, method, 4)
    assert torch.equal(select(3 * features.flatten(1) + 8, labels, method, 4), selection)
    assert torch.equal(select(features.double(), labels, method, 4), selection)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_features_may_be_one_number_per_sample(method):
    assert len(select(torch.arange(8), torch.arange(8) % 2, method, 2)) == 4


def test_random_is_uniform_and_only_random_uses_the_seed():
    features, labels = toy(30)
    members = int((labels == 1).sum())
    counts = Counter()
    for seed in range(600):
        counts.update(select(features, labels, "random", 1, seed)[1:2].tolist())
    assert set(counts) == set((labels == 1).nonzero().flatten().tolist())
    expected = 600 / members
    assert (
        sum((count - expected) ** 2 / expected for count in counts.values()) < 3 * members
    )  # chi-square
    assert torch.equal(
        select(features, labels, "random", 2, 5), select(features, labels, "random", 2, 5)
    )
    for method in ("herding", "kcenter"):
        assert torch.equal(
            select(features, labels, method, 2, 0), select(features, labels, method, 2, 1)
        )


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for method in METHOD_NAMES:
        select(*toy(), method, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_on_real_digits_herding_keeps_the_mean_and_kcenter_spreads():
    digits = load("digits")
    images, labels = digits.batch(), digits.labels
    off, radius = {}, {}
    for method in METHOD_NAMES:
        selection = select(images, labels, method, 10)
        pairs = [
            (images[labels == k].flatten(1), images[selection[labels[selection] == k]].flatten(1))
            for k in range(10)
        ]
        off[method] = np.mean([(a.mean(0) - b.mean(0)).norm().item() for a, b in pairs])
        radius[method] = np.mean([torch.cdist(a, b).min(1).values.max().item() for a, b in pairs])
    assert off["herding"] < 0.5 * off["random"] < 0.5 * off["kcenter"]
    assert radius["kcenter"] < min(radius["random"], radius["herding"])


# ---- bad input


def test_an_unknown_method_lists_the_known():
    with pytest.raises(
        UnknownName,
        match=r"unknown coreset method 'k-center'; known: herding, kcenter, random.* Did you mean",
    ):
        select(*toy(), "k-center")


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_class_that_is_too_small_is_named(method):
    features, labels = toy(10)[0], torch.tensor([0] * 7 + [4] * 3)
    with pytest.raises(InvalidInput, match="class 4 has 3 samples, fewer than per_class=5"):
        select(features, labels, method, 5)


@pytest.mark.parametrize(
    ("features", "labels", "per_class", "words"),
    [
        (
            torch.zeros(3, 2),
            torch.zeros(2),
            1,
            r"labels must be integers \[3\], got torch.int64 \[2\]",
        ),
        (
            torch.zeros(3, 2),
            torch.zeros(3, 2),
            1,
            r"labels must be integers \[3\], got torch.int64 \[3, 2\]; for one-hot labels pass labels.argmax",
        ),
        (torch.zeros(0, 2), torch.zeros(0), 1, r"features must not be empty, got shape \[0, 2\]"),
        (
            torch.zeros(3, 2),
            torch.zeros(3),
            0,
            "per_class must be a whole number of at least 1, got 0",
        ),
        (
            torch.tensor([0.0, torch.nan, torch.inf]),
            torch.zeros(3),
            1,
            "2 features hold NaN or Inf, the first is number 1",
        ),
    ],
)
def test_bad_input_is_named(features, labels, per_class, words):
    with pytest.raises(InvalidInput, match=words):
        select(features, labels.long(), "random", per_class)


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_huge_and_tiny_features_select_what_ordinary_ones_do(method, scale):
    features, labels = toy(30)
    expected = select(features.double(), labels, method, 4)
    assert torch.equal(select(features.double() * scale, labels, method, 4), expected)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_features_and_labels_come_in_any_form(method):
    features, labels = toy(30)
    expected = select(features, labels, method, 3)
    for other in (
        features.numpy(),
        features.tolist(),
        features.clone().requires_grad_(),
        features.clone().requires_grad_() * 1,
    ):
        assert torch.equal(select(other, labels, method, 3), expected)
    for other in (labels.numpy(), labels.tolist(), labels.to(torch.uint8), labels.to(torch.uint16)):
        assert torch.equal(select(features, other, method, 3), expected)
    assert torch.equal(select(features, labels, method, 3.0), expected)
    assert torch.equal(select(features, labels, method, np.int64(3)), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": ["random"]}, "unknown coreset method"),
        ({"per_class": 1.5}, "per_class must be a whole number of at least 1, got 1.5"),
        ({"per_class": "2"}, "per_class must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"labels": torch.zeros(10)}, "labels must be integers .*; convert them: labels.long()"),
        ({"labels": torch.arange(10) - 1}, "labels must be 0.*, got -1 in sample 0"),
        ({"labels": np.ma.masked_less(np.arange(10), 3)}, "labels is a masked array"),
        ({"features": np.zeros((10, 2)) + 1j}, "features must be real numbers"),
        ({"features": np.ma.masked_less(np.arange(10.0), 3)}, "features is a masked array"),
        ({"features": torch.zeros(10, 0)}, "features must not be empty"),
    ],
)
def test_other_values_are_refused(change, message):
    features, labels = toy(10)
    with pytest.raises(InvalidInput, match=message):
        select(**({"features": features, "labels": labels} | change))
