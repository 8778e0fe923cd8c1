"""Test sets of samples with several labels: normalisation, subsets, hashes, and refusals that name the position."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from explore.core.registry import datasets
from explore.data import MultilabelSet, load, load_multilabel, resolve_multilabel
from explore.data.doctor import check
from explore.errors import DataMissing, InvalidInput, UnknownName

TABLE = [[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1]]
VECTORS = [[0.0, 5.0], [2.0, 5.0], [4.0, 5.0], [6.0, 5.0]]


def vectors(**others: Any) -> MultilabelSet:
    """Return four samples with two features, the second constant, and three labels."""
    return MultilabelSet.from_tensors(VECTORS, TABLE, ("a", "b", "c"), **others)


def images(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8, generator=generator)


# ---- by hand


def test_feature_vectors_by_hand() -> None:
    samples = vectors()
    assert (len(samples), samples.shape, samples.is_image) == (4, (2,), False)
    assert (samples.inputs.dtype, samples.labels.dtype) == (torch.float32, torch.float32)
    assert samples.labels.tolist() == TABLE
    assert samples.label_counts.tolist() == [2, 1, 2]
    assert samples.label_counts.dtype == torch.int64
    assert samples.unlabelled == 1
    assert (samples.mean, samples.std) == ([3.0, 5.0], [5**0.5, 1.0])
    assert torch.allclose(samples.batch()[:, 0], torch.tensor([-3.0, -1, 1, 3]) / 5**0.5)
    assert samples.batch()[:, 1].tolist() == [0, 0, 0, 0]
    assert samples.batch([2]).shape == (1, 2)
    assert repr(samples) == "MultilabelSet('tensors': 4 samples, 2 features, 3 labels)"
    with pytest.raises(InvalidInput, match="tensors are feature vectors, not images"):
        samples.to_display(samples.batch())


def test_images_are_normalised_and_shown_again() -> None:
    pixels = images()
    samples = MultilabelSet.from_tensors(pixels, TABLE)
    assert samples.label_names == ("0", "1", "2")
    assert (samples.shape, samples.is_image) == ((3, 5, 5), True)
    batch = samples.batch()
    assert batch.dtype == torch.float32
    assert torch.allclose(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-6)
    assert torch.allclose(batch.std((0, 2, 3)), torch.ones(3), atol=1e-6)
    assert torch.equal(samples.to_display(batch), pixels)
    assert torch.equal(samples.batch([3, 1]), batch[[3, 1]])
    assert "3×5×5" in repr(samples)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    samples = MultilabelSet.from_tensors(torch.full((4, 1, 2, 2), 7, dtype=torch.uint8), TABLE)
    assert samples.std == [1.0]
    assert samples.batch().abs().max() < 1e-6


def test_float_images_remain_as_they_are() -> None:
    values = torch.randn(4, 1, 3, 3, dtype=torch.float64)
    samples = MultilabelSet.from_tensors(values, np.array(TABLE))
    assert torch.equal(samples.batch(), values.float())
    assert (samples.mean, samples.std) == ([0.0], [1.0])


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float64])
def test_labels_of_other_types_are_converted(dtype: torch.dtype) -> None:
    labels = torch.tensor(TABLE).to(dtype)
    samples = MultilabelSet("mine", torch.zeros(4, 2), labels, list("abc"), [0, 0], [1, 1])
    assert torch.equal(samples.labels, torch.tensor(TABLE).float())


def test_an_image_set_with_several_labels() -> None:
    scenes = load("scenes", count=20, objects=3)
    samples = MultilabelSet.from_images(scenes)
    assert torch.equal(samples.labels, scenes.multi_hot)
    assert torch.equal(samples.batch(), scenes.batch())
    assert samples.label_names == scenes.class_names
    assert (samples.name, samples.options) == ("scenes", scenes.options)
    with pytest.raises(InvalidInput, match=r"digits has one class for each image .* scenes or voc"):
        MultilabelSet.from_images(load("digits"))


# ---- missing labels


@pytest.mark.parametrize("value", [-1, 0.5, 2, float("nan")])
def test_missing_labels_need_the_mask(value: float) -> None:
    table = torch.tensor(TABLE).float()
    table[2, 1] = value
    with pytest.raises(
        InvalidInput,
        match=rf"label 1 \('b'\) of sample 2 is {value:g}; pass mask= for missing labels",
    ):
        MultilabelSet.from_tensors(VECTORS, table, ("a", "b", "c"))
    mask = torch.ones(4, 3, dtype=torch.bool)
    mask[2, 1] = mask[0, 0] = False
    samples = MultilabelSet.from_tensors(VECTORS, table, ("a", "b", "c"), mask=mask)
    assert samples.labels.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert samples.label_counts.tolist() == [1, 0, 2]
    assert torch.equal(samples.subset([2]).mask, mask[[2]])
    mask[2, 1] = True
    with pytest.raises(InvalidInput, match=r"label 1 .* of sample 2"):
        MultilabelSet.from_tensors(VECTORS, table, ("a", "b", "c"), mask=mask)


def test_the_mask_is_part_of_the_identity() -> None:
    mask = torch.ones(4, 3, dtype=torch.bool)
    hashes = {vectors().sha256, vectors(mask=mask).sha256}
    mask[1, 1] = False  # a label that is 0 in any case
    assert len(hashes | {vectors(mask=mask).sha256}) == 3


# ---- subsets and identity


@given(st.lists(st.integers(-4, 3), min_size=1, max_size=6))
def test_a_subset_has_those_samples(indices: list[int]) -> None:
    samples = vectors()
    for how in (indices, np.array(indices), torch.tensor(indices)):
        part = samples.subset(how)
        assert torch.equal(part.inputs, samples.inputs[indices])
        assert torch.equal(part.labels, samples.labels[indices])
        assert torch.equal(part.batch(), samples.batch(indices)), "the statistics stay"


def test_subsets_by_mask_and_range() -> None:
    samples = vectors()
    expected = samples.subset([0, 2])
    mask = samples.labels[:, 0] == 1
    for how in (mask, mask.numpy(), mask.tolist(), slice(0, None, 2), range(0, 4, 2)):
        assert samples.subset(how).sha256 == expected.sha256
    assert len(samples.subset(3)) == 1
    with pytest.raises(InvalidInput, match="the set has no samples"):
        samples.subset([])


def test_the_description_identifies_the_data() -> None:
    samples = vectors()
    description = samples.describe()
    assert description == {
        "name": "tensors",
        "options": {},
        "shape": [4, 2],
        "sha256": samples.sha256,
    }
    changed = MultilabelSet.from_tensors(VECTORS, np.array(TABLE)[::-1].copy())
    assert changed.sha256 != samples.sha256
    assert vectors().sha256 == samples.sha256
    scenes = load_multilabel("scenes", count=10, objects=2)
    again = resolve_multilabel(json.loads(json.dumps(scenes.describe())))
    assert again.describe() == scenes.describe()


# ---- bad input


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_named(value: float) -> None:
    features = torch.tensor(VECTORS)
    features[3, 1] = features[2, 0] = value
    with pytest.raises(InvalidInput, match=f"feature 0 of sample 2 is {value}; replace it"):
        MultilabelSet.from_tensors(features, TABLE)
    with pytest.raises(InvalidInput, match=rf"feature 0 \('width'\) of sample 2 is {value}"):
        MultilabelSet(
            "x",
            features,
            torch.tensor(TABLE),
            list("abc"),
            [0, 0],
            [1, 1],
            feature_names=("width", "y"),
        )
    pixels = torch.zeros(4, 1, 3, 3)
    pixels[2, 0, 1, 1] = value
    with pytest.raises(InvalidInput, match="1 images hold NaN or Inf, the first is number 2"):
        MultilabelSet.from_tensors(pixels, TABLE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": [[0.0, 1.0]]}, r"labels must be \[1, K\], one row .* got \[4, 3\]"),
        ({"inputs": "text"}, "inputs must be an array of numbers"),
        ({"inputs": torch.zeros(4, 2, dtype=torch.uint8)}, r"got torch.uint8 \[4, 2\]"),
        (
            {"inputs": torch.full((4, 2), 1e300, dtype=torch.float64)},
            "feature 0 of sample 0 is inf",
        ),
        ({"inputs": torch.zeros(4, 3, 3)}, r"got torch.float32 \[4, 3, 3\]"),
        ({"inputs": torch.zeros(0, 2)}, "no samples"),
        ({"inputs": torch.zeros(4, 0), "mean": (), "std": ()}, "no samples"),
        ({"labels": "text"}, "labels must be an array of numbers"),
        ({"labels": torch.zeros(4)}, r"labels must be a tensor \[N, K\]"),
        ({"labels": torch.zeros(3, 3)}, r"labels must be \[4, K\], one row .* got \[3, 3\]"),
        ({"labels": torch.zeros(4, 0), "label_names": ()}, r"labels must be \[4, K\]"),
        ({"label_names": ("a", "b")}, "got 2 label names for 3 labels"),
        ({"label_names": ("a", "b", "a")}, "label_names must be a list of different values"),
        ({"mean": (0,)}, "mean must be 2 finite numbers, one for each feature, got 1"),
        ({"std": (1, float("nan"))}, "std must be 2 finite numbers, .* got 2 with NaN or Inf"),
        ({"std": (1, 0)}, "std must be above 0, got 0"),
        ({"mask": torch.ones(4, 3)}, r"mask must be bool \[4, 3\], .* got torch.float32"),
        ({"mask": torch.ones(4, 2, dtype=torch.bool)}, r"got torch.bool \[4, 2\]"),
        ({"feature_names": ("x",)}, "got 1 feature names for 2 features"),
    ],
)
def test_parts_that_do_not_match(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        dataclasses.replace(vectors(), **changes)


def test_images_have_no_feature_names() -> None:
    samples = MultilabelSet.from_tensors(images(), TABLE)
    with pytest.raises(InvalidInput, match="got 3 feature names for images"):
        dataclasses.replace(samples, feature_names=("r", "g", "b"))


@pytest.mark.parametrize("values", ["text", [[1], [1, 2]], object(), [["a"]]])
def test_values_that_are_no_numbers(values: Any) -> None:
    with pytest.raises(InvalidInput, match="inputs cannot be converted to a tensor"):
        MultilabelSet.from_tensors(values, TABLE)
    with pytest.raises(InvalidInput, match="labels cannot be converted to a tensor"):
        MultilabelSet.from_tensors(VECTORS, values)


# ---- by name


def test_an_image_set_with_several_labels_by_name() -> None:
    samples = load_multilabel("scenes", "val", count=15, objects=(1, 3))
    assert torch.equal(samples.labels, load("scenes", "val", count=15, objects=(1, 3)).multi_hot)
    with pytest.raises(InvalidInput, match="digits has one class for each image"):
        load_multilabel("digits")


def test_unknown_names_list_the_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    names = sorted({*datasets("multilabel"), "scenes", "voc"} - {"mulan"})
    with pytest.raises(UnknownName) as caught:
        load_multilabel("yeasts")
    message = f"unknown multi-label set 'yeasts'; known: {', '.join(names)}. Did you mean 'yeast'?"
    assert str(caught.value) == message
    with pytest.raises(UnknownName, match="unknown split 'training'; known: test, train, val"):
        load_multilabel("scenes", "training")
    with pytest.raises(InvalidInput, match="yeast has no option 'size'; it has standardize"):
        load_multilabel("yeast", size=3)
    with pytest.raises(InvalidInput, match="scenes has no option 'standardize'"):
        load_multilabel("scenes", standardize=True)
    with pytest.raises(
        DataMissing, match=r"there is no set 'yeast' in .*mulan, which holds no sets"
    ):
        load_multilabel("yeast")


def test_multilabel_sets_are_no_image_sets() -> None:
    assert set(datasets("multilabel")) & {*datasets(), *datasets("graphs")} == set()
    with pytest.raises(UnknownName, match="unknown data set 'yeast'"):
        load("yeast")


def test_everything_that_can_be_resolved() -> None:
    samples = vectors()
    assert resolve_multilabel(samples) is samples
    scenes = load("scenes", count=10)
    for data in (scenes, {"name": "scenes", "options": scenes.options}):
        assert torch.equal(resolve_multilabel(data).labels, scenes.multi_hot)
    assert resolve_multilabel((VECTORS, TABLE)).sha256 == samples.sha256
    assert len(resolve_multilabel("scenes")) == 2000
    for data in (3, None, (1, 2, 3), torch.zeros(3)):
        with pytest.raises(InvalidInput, match="data must be the name of a set"):
            resolve_multilabel(data)
    with pytest.raises(InvalidInput, match=r"made from tensors, .* pass data=\(inputs, labels\)"):
        resolve_multilabel(samples.describe())


def test_a_recorded_description_starts_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    received: dict[str, Any] = {}
    monkeypatch.setattr(
        "explore.data.multilabel_input.load_multilabel",
        lambda name, **options: received.update(options, name=name),
    )
    resolve_multilabel({"name": "voc", "options": {"size": 9, "download": True}})
    assert received == {"name": "voc", "size": 9}


# ---- explore doctor


def test_the_check_says_which_sets_can_be_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    absent = "not there: coco, coco128, emotions, flags, yeast"
    assert check() == f"found: digit-pairs; {absent}"
    folder = tmp_path / "mulan" / "birds"
    folder.mkdir(parents=True)
    (folder / "birds.xml").write_text("<labels")
    line = check()
    assert line.startswith(f"found: digit-pairs; {absent}; birds cannot be loaded: ")
    assert "birds.xml cannot be read as XML" in line


@pytest.mark.data("mulan/yeast")
@pytest.mark.data("coco128/annotations")
def test_the_check_of_the_real_sets() -> None:
    listed = check().partition(";")[0]
    assert {"coco128", "digit-pairs", "yeast"} <= set(listed.removeprefix("found: ").split(", "))
