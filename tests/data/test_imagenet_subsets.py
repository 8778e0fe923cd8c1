"""Subsets of ImageNet: the table against torchvision's names, and loading with artificial folders."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet18_Weights

from explore.data import data_folder, load
from explore.data.datasets import imagenette
from explore.data.datasets._imagenet_classes import IMAGENET_CLASSES
from explore.data.datasets.imagenet_subsets import (
    IMAGENET_SUBSETS,
    ImageNetSubset,
    find_subset,
    imagenet_subset,
)
from explore.errors import DataMissing, ExploreWarning, InvalidInput, UnknownName

SPLITS = ("train", "val", "test")
COMP_DD = [name for name, subset in IMAGENET_SUBSETS.items() if subset.complexity is not None]
CATEGORIES = ("birds", "cars", "dogs", "fish", "snake", "insect", "round", "music")

SAMPLE = {
    "birds_easy": (
        66.0,
        {0: (130, "n02007558", "flamingo"), 4: (134, "n02012849", "crane bird")},
    ),
    "birds_hard": (74.5, {9: (12, "n01532829", "house finch")}),
    "cars_hard": (64.4, {0: (802, "n04252077", "snowmobile"), 8: (734, "n03977966", "police van")}),
    "dogs_easy": (64.8, {7: (177, "n02092002", "Scottish deerhound")}),
    "fish_hard": (66.4, {8: (50, "n01698640", "American alligator")}),
    "snake_easy": (64.3, {4: (61, "n01742172", "boa constrictor")}),
    "insect_hard": (73.0, {8: (70, "n01770081", "harvestman")}),
    "round_hard": (69.3, {9: (971, "n09229709", "bubble")}),
    "music_easy": (64.1, {9: (881, "n04515003", "upright")}),
    "woof": (None, {9: (229, "n02105641", "Old English sheepdog")}),
    "fruit": (None, {0: (953, "n07753275", "pineapple")}),
    "yellow": (None, {8: (72, "n01773157", "black and gold garden spider")}),
}
"""Published complexity, and some classes by label: number, folder and name. Typed from the sources."""


# ---- the table


def test_every_class_has_the_name_that_torchvision_gives_to_its_number() -> None:
    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(names) == 1000
    for number, (_, name) in IMAGENET_CLASSES.items():
        assert name == names[number], number


def test_numbers_are_in_the_order_of_the_folder_names() -> None:
    folders = [IMAGENET_CLASSES[number][0] for number in sorted(IMAGENET_CLASSES)]
    assert all(re.fullmatch(r"n\d{8}", folder) for folder in folders)
    assert folders == sorted(set(folders))


def test_the_classes_are_those_of_the_subsets_and_no_others() -> None:
    numbers = {n for subset in IMAGENET_SUBSETS.values() for n in subset.published_ids}
    assert set(IMAGENET_CLASSES) == numbers


@pytest.mark.data("weights")
def test_folders_are_those_of_imagenet() -> None:
    file = data_folder() / "weights" / "imagenet_classes.csv"
    if not file.is_file():
        pytest.skip(f"needs the folders of ImageNet's classes in {file}")
    rows = [line.split(",", 2) for line in file.read_text().splitlines()[1:]]
    folders = {int(number): folder for number, folder, _ in rows}
    assert {n: folder for n, (folder, _) in IMAGENET_CLASSES.items()} == {
        n: folders[n] for n in IMAGENET_CLASSES
    }


@pytest.mark.parametrize("name", SAMPLE)
def test_published_rows(name: str) -> None:
    subset = IMAGENET_SUBSETS[name]
    complexity, classes = SAMPLE[name]
    assert subset.complexity == complexity
    for label, expected in classes.items():
        row = (subset.ids[label], subset.folders[label], subset.class_names[label])
        assert row == expected


@pytest.mark.parametrize("name", [name for name in IMAGENET_SUBSETS if name != "music_hard"])
def test_ten_classes_each(name: str) -> None:
    subset = find_subset(name)  # without a warning, which would be an error here
    assert subset is IMAGENET_SUBSETS[name]
    assert len(set(subset.published_ids)) == len(subset.published_ids) == 10
    assert subset.ids == subset.published_ids
    assert len(subset.folders) == len(subset.class_names) == 10


def test_the_banjo_is_used_once_and_the_warning_names_both_labels() -> None:
    with pytest.warns(ExploreWarning) as caught:
        subset = find_subset("music_hard")
    assert len(caught) == 1
    text = str(caught[0].message)
    assert text.startswith("music_hard lists banjo (class 420) as labels 0 and 2;")
    assert "9 classes" in text
    assert len(subset.published_ids) == 10
    assert len(subset.ids) == len(subset.folders) == len(subset.class_names) == 9
    assert subset.class_names[:3] == ("banjo", "harp", "grand piano")
    assert subset.folders[0] == "n02787622"


def test_comp_dd_has_an_easy_and_a_hard_subset_of_eight_categories() -> None:
    assert sorted(COMP_DD) == sorted(
        f"{c}_{level}" for c in CATEGORIES for level in ("easy", "hard")
    )
    for category in CATEGORIES:
        easy, hard = (IMAGENET_SUBSETS[f"{category}_{level}"] for level in ("easy", "hard"))
        assert 50 < easy.complexity < hard.complexity < 80
    others = {name for name in IMAGENET_SUBSETS if name not in COMP_DD}
    assert others == {"nette", "woof", "meow", "squawk", "fruit", "yellow"}


def test_no_class_is_in_two_subsets_of_comp_dd() -> None:
    counts = Counter(n for name in COMP_DD for n in IMAGENET_SUBSETS[name].ids)
    assert len(counts) == 159  # sixteen times ten, less the second banjo
    assert set(counts.values()) == {1}


def test_imagenette_has_the_same_table() -> None:
    nette = IMAGENET_SUBSETS["nette"]
    assert nette.ids == imagenette.IMAGENET_CLASSES
    assert dict(zip(nette.folders, nette.class_names, strict=True)) == imagenette.CLASS_NAMES


def test_an_unknown_subset_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown subset 'bird_easy'.*Did you mean 'birds_easy'"):
        find_subset("bird_easy")
    assert ImageNetSubset((5, 1, 5, 1)).ids == (5, 1)


# ---- loading


def publish(root: Path, subset: str, train: int = 12, test: int = 2) -> Path:
    """Write images of one colour: red encodes the class, green the file, blue whether it is of val."""
    for part, count in (("train", train), ("val", test)):
        for label, name in enumerate(IMAGENET_SUBSETS[subset].folders):
            class_folder = root / part / name
            class_folder.mkdir(parents=True)
            for number in range(count):
                colour = (20 * label, 4 * number, 255 * (part == "val"))
                # The suffix is ImageNet's; Pillow reads the format in the file, without loss here.
                Image.new("RGB", (9, 7), colour).save(
                    class_folder / f"{name}_{number:03}.JPEG", "png"
                )
    return root


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


def colours(images: torch.Tensor) -> list[Sequence[int]]:
    assert bool((images == images[:, :, :1, :1]).all())
    return [tuple(image[:, 0, 0].tolist()) for image in images]


def test_splits_hold_each_file_once_in_the_order_of_the_labels(folder: Path) -> None:
    publish(folder / "imagenet", "squawk", train=21)
    sets = {split: load("imagenet-subset", split, subset="squawk", size=6) for split in SPLITS}
    numbers = {"val": (9, 19), "test": (0, 1)}
    numbers["train"] = tuple(n for n in range(21) if n not in numbers["val"])
    for split, part in sets.items():
        assert colours(part.images) == [
            (20 * label, 4 * number, 255 * (split == "test"))
            for label in range(10)
            for number in numbers[split]
        ]
        assert part.labels.tolist() == [k for k in range(10) for _ in numbers[split]]
        assert part.images.shape[1:] == (3, 6, 6)
        assert part.class_names == IMAGENET_SUBSETS["squawk"].class_names
        assert (part.mean, part.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_only_the_folders_of_the_subset_are_read(folder: Path) -> None:
    root = publish(folder / "imagenet", "fruit")
    for part in ("train", "val"):
        for name in IMAGENET_SUBSETS["meow"].folders:
            (root / part / name).mkdir()
            (root / part / name / "broken.JPEG").write_bytes(b"no image")
        (root / part / "notes.JPEG").write_bytes(b"no image")
        (root / part / "n00000000").write_text("a file, not a folder")
    for split in SPLITS:
        assert load("imagenet-subset", split, subset="fruit", size=4).labels.unique().numel() == 10
    with pytest.raises(InvalidInput, match=r"n02123045.broken\.JPEG cannot be read"):
        load("imagenet-subset", "test", subset="meow", size=4)


@pytest.mark.parametrize(
    "options", [{}, {"count": 3}, {"count": np.int64(99), "size": np.int64(5)}]
)
@pytest.mark.parametrize("split", SPLITS)
def test_the_same_set_is_loaded_again_from_its_options(
    folder: Path, split: str, options: dict[str, int]
) -> None:
    publish(folder / "imagenet", "woof")
    image_set = load("imagenet-subset", split, subset="woof", **{"size": 4, **options})
    published = {"train": 11, "val": 1, "test": 2}[split]
    count = min(options.get("count", published), published)
    assert image_set.labels.bincount().tolist() == [count] * 10
    assert image_set.name == "imagenet-subset"
    recorded = json.loads(json.dumps(image_set.options))
    assert "path" not in recorded  # the data folder may be elsewhere on another machine
    reloaded = load(image_set.name, **recorded)
    assert reloaded.sha256 == image_set.sha256
    assert reloaded.options == image_set.options


def test_another_folder_than_that_of_the_data(folder: Path) -> None:
    publish(folder / "imagenet", "meow", train=1, test=1)
    root = publish(folder / "elsewhere", "meow", train=3, test=1)
    image_set = load("imagenet-subset", subset="meow", size=4, path=root)
    assert len(image_set) == 30
    reloaded = load(image_set.name, **json.loads(json.dumps(image_set.options)))
    assert reloaded.sha256 == image_set.sha256
    assert len(load("imagenet-subset", subset="meow", size=4)) == 10


def test_the_subset_nette_is_imagenette(folder: Path) -> None:
    root = publish(folder / "imagenette", "nette")
    for split in SPLITS:
        imagenette = load("imagenette", split, size=5)
        other = load("imagenet-subset", split, subset="nette", size=5, path=root)
        assert imagenette.sha256 == other.sha256
        assert imagenette.class_names == other.class_names


def test_nine_classes_of_music_with_a_warning(folder: Path) -> None:
    publish(folder / "imagenet", "music_hard", train=1, test=1)
    with pytest.warns(ExploreWarning, match="banjo .* labels 0 and 2"):
        image_set = load("imagenet-subset", "test", subset="music_hard", size=4)
    assert image_set.labels.tolist() == list(range(9))
    assert [red for red, _, _ in colours(image_set.images)] == [20 * k for k in range(9)]
    assert len(image_set.class_names) == 9


# ---- bad input


def test_missing_classes_are_named(folder: Path) -> None:
    with pytest.raises(
        DataMissing, match="set EXPLORE_DATA to the folder above imagenet"
    ) as caught:
        load("imagenet-subset", subset="yellow")
    for name in IMAGENET_SUBSETS["yellow"].class_names:
        assert name in str(caught.value)
    root = publish(folder / "imagenet", "yellow", train=10, test=1)
    for name in ("n02206856", "n07753592"):
        for file in (root / "train" / name).iterdir():
            file.unlink()
    for split in ("train", "val"):
        with pytest.raises(DataMissing) as caught:
            load("imagenet-subset", split, subset="yellow", size=4)
        text = str(caught.value)
        assert f"no image in {root / 'train' / 'n02206856'} (bee), n07753592 (banana); put" in text
        assert "lemon" not in text
    assert len(load("imagenet-subset", "test", subset="yellow", size=4)) == 10


def test_a_folder_by_path_is_not_looked_for_in_the_data_folder(folder: Path) -> None:
    with pytest.raises(DataMissing, match=f"train and val into {folder / 'mine'}$") as caught:
        load("imagenet-subset", subset="fruit", path=folder / "mine")
    assert "EXPLORE_DATA" not in str(caught.value)


def test_too_few_for_val_are_said_as_such(folder: Path) -> None:
    publish(folder / "imagenet", "woof", train=9, test=1)
    assert len(load("imagenet-subset", subset="woof", size=4)) == 90
    with pytest.raises(DataMissing, match=r"fewer than ten images \(every tenth is val\) in "):
        load("imagenet-subset", "val", subset="woof", size=4)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, InvalidInput, "needs subset="),
        ({"subset": "birds"}, UnknownName, "unknown subset 'birds'"),
        ({"subset": "woof", "size": 0}, InvalidInput, "size must be a whole number of at least 1"),
        (
            {"subset": "woof", "count": 0},
            InvalidInput,
            "count must be a whole number of at least 1",
        ),
        ({"subset": "woof", "seed": 0}, InvalidInput, "has no option 'seed'"),
    ],
)
def test_odd_options_are_refused(
    folder: Path, options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        load("imagenet-subset", **options)


def test_another_split_is_refused() -> None:
    for call in (imagenet_subset, lambda split, **more: load("imagenet-subset", split, **more)):
        with pytest.raises(UnknownName, match="unknown split 'valid'"):
            call("valid", subset="woof")


# ---- real ones


@pytest.mark.data("imagenette")
def test_real_photographs_of_imagenette() -> None:
    root = data_folder() / "imagenette"
    image_set = load("imagenet-subset", "test", subset="nette", size=32, count=3, path=root)
    assert image_set.labels.bincount().tolist() == [3] * 10
    assert image_set.sha256 == load("imagenette", "test", size=32, count=3).sha256
