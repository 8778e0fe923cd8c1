"""Test digit pairs: the digits of each image against their source, the same bytes again, and the dial of co-occurrence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from explore.data import load, load_multilabel, resolve_multilabel
from explore.data.datasets.digit_pairs import SPLIT_COUNTS, digit_pairs
from explore.data.image_set import channel_statistics
from explore.errors import InvalidInput, UnknownName

PARTNERS = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]


def digits_of(image: np.ndarray, side: int, singles: dict[bytes, int]) -> list[int]:
    """Return the class of each digit in an image: one in each column that is not black."""
    classes = []
    for left in range(0, image.shape[1], side):
        column = image[:, left : left + side]
        if not column.any():
            continue
        matches = [
            singles[window]
            for top in range(len(column) - side + 1)
            if (window := column[top : top + side].tobytes()) in singles
        ]
        assert len(matches) == 1, "a column holds one unchanged digit"
        classes += matches
    return classes


@pytest.mark.parametrize("split", SPLIT_COUNTS)
@pytest.mark.parametrize("objects", [1, 2, (1, 4)])
def test_every_digit_is_from_the_same_split_and_labelled(split: str, objects: Any) -> None:
    source = load("digits", split)
    singles = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(source.images[:, 0], source.labels, strict=True)
    }
    others = {
        image.numpy().tobytes()
        for other in SPLIT_COUNTS
        if other != split
        for image in load("digits", other).images[:, 0]
    }
    samples = digit_pairs(split, count=60, objects=objects)
    low, high = np.ravel([objects] * 2)[-2:]
    sizes = set()
    for image, labels in zip(samples.inputs[:, 0].numpy(), samples.labels, strict=True):
        classes = digits_of(image, 16, singles)
        sizes.add(len(classes))
        assert set(classes) == set(labels.nonzero().flatten().tolist())
    assert sizes == set(range(low, high + 1))
    assert not others & singles.keys()
    assert samples.label_names == tuple("0123456789")
    assert samples.shape == (1, 16 * high, 16 * high)


def test_digits_are_at_any_height_and_in_any_column() -> None:
    samples = digit_pairs(count=300, objects=(1, 2))
    present = samples.inputs[:, 0] > 0
    rows = present.any(2).float().argmax(1)
    assert len(rows.unique()) > 12
    single = ~(present[:, :, :16].any((1, 2)) & present[:, :, 16:].any((1, 2)))
    left = present[single, :, :16].any((1, 2)).float().mean()
    assert 0.35 < left < 0.65


# ---- the dial


def pair_classes(count: int = 4000, **options: Any) -> torch.Tensor:
    """Return the labels of pairs."""
    return digit_pairs(count=count, **options).labels


def test_the_dial_raises_the_share_of_partners() -> None:
    shares = []
    for dial in (0.0, 0.25, 0.5, 0.75, 1.0):
        labels = pair_classes(cooccurrence=dial)
        together = (labels[:, ::2] * labels[:, 1::2]).sum(1)
        shares.append(together.mean().item())
    assert (np.diff(shares) > 0.1).all()
    for dial, share in zip((0.0, 0.25, 0.5, 0.75, 1.0), shares, strict=True):
        assert share == pytest.approx(dial + (1 - dial) / 10, abs=0.025)
    assert shares[-1] == 1, "the partner always follows"


def test_without_the_dial_digits_are_independent() -> None:
    labels = pair_classes(20_000)
    frequency = labels.mean(0)
    assert frequency.sub(0.19).abs().max() < 0.01  # 1 − 0.9²
    together = (labels.T @ labels / len(labels)).fill_diagonal_(0.02)
    assert together.sub(0.02).abs().max() < 0.005  # 2 · 0.1²
    assert (labels.sum(1) == 1).float().mean().item() == pytest.approx(0.1, abs=0.01)


def test_the_dial_leaves_digits_equally_frequent() -> None:
    for dial in (0.5, 1.0):
        counts = pair_classes(20_000, cooccurrence=dial).sum(0)
        assert (counts / counts.mean() - 1).abs().max() < 0.06


def test_the_dial_acts_on_every_second_digit() -> None:
    labels = pair_classes(200, objects=4, cooccurrence=1)
    assert torch.equal(labels, labels[:, PARTNERS])
    assert labels.sum(1).max() == 4


def test_the_dial_changes_partners_only() -> None:
    independent, paired = (digit_pairs(count=200, cooccurrence=dial) for dial in (0, 1))
    same = (independent.inputs == paired.inputs).flatten(1).all(1)
    shared = (independent.labels * paired.labels).sum(1)
    assert (shared >= 1).all(), "the first digit stays"
    assert same.float().mean().item() == pytest.approx(0.1, abs=0.07)


# ---- made the same again


@settings(max_examples=10, deadline=None)
@given(
    small=st.integers(1, 30),
    more=st.integers(0, 30),
    seed=st.integers(0, 2**63 - 1),
    dial=st.floats(0, 1),
)
def test_fewer_images_are_the_first_of_more(small: int, more: int, seed: int, dial: float) -> None:
    options: dict[str, Any] = {"seed": seed, "objects": (1, 3), "cooccurrence": dial}
    large = digit_pairs(count=small + more, **options)
    part = digit_pairs(count=small, **options)
    assert torch.equal(part.inputs, large.inputs[:small])
    assert torch.equal(part.labels, large.labels[:small])


def test_the_same_arguments_give_the_same_bytes() -> None:
    samples = digit_pairs("val", count=20, objects=(1, 3), size=12, seed=4, cooccurrence=0.3)
    again = resolve_multilabel(json.loads(json.dumps(samples.describe())))
    assert again.describe() == samples.describe()
    assert samples.options["objects"] == [1, 3]
    hashes = {
        digit_pairs(split, count=20, seed=seed).sha256 for split in SPLIT_COUNTS for seed in (0, 1)
    }
    assert len(hashes) == 6
    before = np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    digit_pairs(count=5)
    assert np.random.get_state()[1].tolist() == before[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


def test_recordings_find_the_same_digits_again() -> None:
    labels = [row.nonzero().flatten().tolist() for row in digit_pairs(count=4).labels]
    assert labels == [[3, 7], [9], [2, 4], [3, 4]], "the draws changed; old recordings differ"


@pytest.mark.parametrize("options", [{}, {"objects": (1, 3)}, {"objects": 1}])
def test_normalisation_is_that_of_many_images(options: dict[str, Any]) -> None:
    samples = digit_pairs(count=3000, **options)
    mean, std = channel_statistics(samples.inputs)
    assert mean == pytest.approx(samples.mean, abs=0.003)
    assert std == pytest.approx(samples.std, abs=0.005)
    assert digit_pairs("test", count=2, seed=3, **options).mean == samples.mean


def test_default_counts() -> None:
    assert [len(load_multilabel("digit-pairs", split)) for split in SPLIT_COUNTS] == [
        2000,
        500,
        500,
    ]


@pytest.mark.data("MNIST/raw")
def test_pairs_of_mnist() -> None:
    samples = digit_pairs("test", count=300, digits="mnist")
    assert samples.shape == (1, 56, 56)
    singles = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(
            load("mnist", "test").images[:, 0], load("mnist", "test").labels, strict=True
        )
    }
    for image, labels in zip(samples.inputs[:, 0].numpy(), samples.labels, strict=True):
        assert set(digits_of(image, 28, singles)) == set(labels.nonzero().flatten().tolist())
    assert digit_pairs("test", count=3, digits="mnist", size=14).shape == (1, 28, 28)


# ---- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, "count must be a whole number of at least 1, got 0"),
        ({"count": 2.5}, "count must be a whole number"),
        ({"objects": 0}, "objects must be a whole number of at least 1 and at most 5, got 0"),
        ({"objects": 6}, "at most 5, got 6"),
        ({"objects": (3, 2)}, r"objects must be \(least, most\), such as \(1, 3\), got \(3, 2\)"),
        ({"objects": (1, 2, 3)}, "objects must be a whole number"),
        ({"objects": "two"}, "objects must be a whole number"),
        ({"size": 7}, "size must be a whole number of at least 8, got 7"),
        ({"cooccurrence": 1.1}, "cooccurrence must be a number of at least 0 and of at most 1"),
        ({"cooccurrence": float("nan")}, "cooccurrence must be a number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"digits": "svhn"}, "unknown digits 'svhn'; known: digits, mnist"),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        load_multilabel("digit-pairs", **options)


def test_an_unknown_split() -> None:
    with pytest.raises(UnknownName, match="unknown split 'training'; known: test, train, val"):
        digit_pairs("training")
