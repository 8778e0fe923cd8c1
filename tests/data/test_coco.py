"""Test COCO: tiny files written here against their annotations, COCO128 by its published counts, and messages about bad files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data import (
    data_folder,
    load_multilabel,
    resolve_multilabel,
    stratified_split,
)
from explore.errors import DataMissing, InvalidInput, UnknownName

# The numbers of categories have gaps, as COCO's have, and are not in order.
CATEGORIES = {18: "dog", 1: "person", 90: "toothbrush", 3: "car"}
SPLITS = ("train", "val", "test")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


def publish(
    root: Path,
    part: str = "train2017",
    images: dict[int, list[int]] | None = None,
    folder: str = "coco128",
    change: Callable[[dict[str, Any]], Any] = lambda content: None,
) -> Path:
    """Write images (number to categories) in COCO's layout; the colour of an image is its number."""
    images = {k: [1] if k % 2 else [] for k in range(20)} if images is None else images
    for path in (root / folder / "annotations", root / folder / part):
        path.mkdir(parents=True, exist_ok=True)
    for number in images:
        pixels = np.full((6, 10, 3), number, np.uint8)
        Image.fromarray(pixels).save(root / folder / part / f"{number:012}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n:012}.png"} for n in reversed(images)],
        "categories": [{"id": n, "name": name} for n, name in CATEGORIES.items()],
        "annotations": [
            {"id": 9, "image_id": n, "category_id": category, "iscrowd": category == 3}
            for n, listed in images.items()
            for category in listed
        ],
    }
    change(content)
    path = root / folder / "annotations" / f"instances_{part}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def by_number(*parts: Any) -> dict[int, list[float]]:
    """Return the labels of each image by its number, which is its colour."""
    return {
        int(pixels[0, 0, 0]): labels
        for part in parts
        for pixels, labels in zip(part.inputs, part.labels.tolist(), strict=True)
    }


# ---- tiny files, by hand


def test_categories_by_number_with_groups_and_images_without_objects(root: Path) -> None:
    images = {k: [] for k in range(7)} | {7: [1, 18, 1], 8: [90], 9: [3, 1]}
    publish(root, images=images)
    parts = [load_multilabel("coco128", split, size=4) for split in SPLITS]
    assert [len(part) for part in parts] == [7, 1, 2]
    rows = by_number(*parts)
    assert sorted(rows) == list(range(10))
    for number in range(7):
        assert rows[number] == [0, 0, 0, 0]
    assert (rows[7], rows[8], rows[9]) == ([1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0])
    assert sum(part.unlabelled for part in parts) == 7
    for part in parts:
        assert part.label_names == ("person", "car", "dog", "toothbrush")
        assert (part.shape, part.inputs.dtype) == ((3, 4, 4), torch.uint8)
    numbers = [int(pixels[0, 0, 0]) for pixels in parts[0].inputs]
    assert numbers == sorted(numbers)


def test_labels_that_are_present(root: Path) -> None:
    publish(root, images={k: [18] if k < 5 else [3] for k in range(10)})
    for split in SPLITS:
        samples = load_multilabel("coco128", split, size=4, labels="present")
        assert samples.label_names == ("car", "dog")
        assert by_number(samples) == {
            number: [float(number >= 5), float(number < 5)] for number in by_number(samples)
        }


def test_coco_has_two_published_parts(root: Path) -> None:
    publish(root, folder="coco")
    publish(root, "val2017", {k: [3, 90] for k in range(100, 105)}, folder="coco")
    train, val, test = (load_multilabel("coco", split, size=4) for split in SPLITS)
    assert (len(train), len(val)) == (18, 2)
    assert by_number(train, val) == {k: [float(k % 2), 0, 0, 0] for k in range(20)}
    assert by_number(val).keys() & by_number(train).keys() == set()
    assert sum(row[0] for row in by_number(val).values()) == 1, "the label is in both parts"
    assert by_number(test) == {k: [0, 1, 0, 1] for k in range(100, 105)}
    present = load_multilabel("coco", "test", size=4, labels="present")
    assert present.label_names == ("person",), "those of the training part"
    assert present.unlabelled == 5


def test_the_split_is_stratified_and_the_seed_decides(root: Path) -> None:
    publish(root)
    table = np.zeros((20, 4))
    table[1::2, 0] = 1
    for seed in (0, 5):
        expected = stratified_split(table, [0.7, 0.1, 0.2], seed)
        for split, rows in zip(SPLITS, expected, strict=True):
            samples = load_multilabel("coco128", split, size=4, seed=seed)
            assert sorted(by_number(samples)) == rows.tolist()
    assert sorted(by_number(load_multilabel("coco128", "val", size=4))) != rows.tolist()


def test_another_folder_and_fewer_images(root: Path) -> None:
    publish(root, folder="mine")
    samples = load_multilabel("coco128", size=4, folder="mine", count=3, seed=2)
    everything = load_multilabel("coco128", size=4, folder="mine", seed=2)
    assert torch.equal(samples.inputs, everything.inputs[:3])
    assert samples.options == {
        "split": "train",
        "size": 4,
        "labels": "all",
        "count": 3,
        "folder": "mine",
        "seed": 2,
    }
    assert resolve_multilabel(samples.describe()).describe() == samples.describe()


# ---- what is missing or damaged


def test_missing_files_are_named(root: Path) -> None:
    for name, split, part in (
        ("coco", "train", "train2017"),
        ("coco", "test", "val2017"),
        ("coco128", "test", "train2017"),
    ):
        path = root / name / "annotations" / f"instances_{part}.json"
        with pytest.raises(DataMissing, match=re.escape(f"{path} is missing. Put COCO's")):
            load_multilabel(name, split)
    publish(root)
    listed = sorted(by_number(load_multilabel("coco128", size=4)))
    for number in listed[3:5]:
        (root / "coco128/train2017" / f"{number:012}.png").unlink()
    message = f"coco128 is incomplete: .*{listed[3]:012}.png and 1 more images are missing"
    with pytest.raises(DataMissing, match=message):
        load_multilabel("coco128", size=4)


def remove(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content.pop(key)


def add(key: str, **entry: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content[key].append(entry)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove("annotations"), "cannot be read as annotations of COCO .KeyError: 'annotations'."),
        (remove("images"), "cannot be read as annotations"),
        (
            lambda content: content.update(images=3),
            "cannot be read as annotations of COCO .TypeError",
        ),
        (lambda content: content["images"][0].pop("id"), "KeyError: 'id'"),
        (
            add("annotations", image_id="x", category_id=1),
            "number of an image or category must be a whole number, got 'x'",
        ),
        (add("annotations", image_id=99, category_id=1), "image 99 .* list this image; replace"),
        (add("annotations", image_id=3, category_id=2), "category 2, .* list this category"),
        (add("images", id=3, file_name="new.png"), "repeats the number or name of images"),
        (add("images", id=33, file_name=f"{3:012}.png"), "repeats the number or name of images"),
        (add("categories", id=7, name="dog"), "repeats the number or name of"),
        (lambda content: content["categories"].clear(), "lists no images or categories|category 1"),
        (lambda content: content.update(images=[], annotations=[]), "lists no images"),
        (lambda content: content.update(annotations=None), "cannot be read as annotations"),
    ],
)
def test_bad_annotations_are_named(
    root: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    path = publish(root, change=change)
    with pytest.raises(InvalidInput, match=words) as caught:
        load_multilabel("coco128", size=4)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b'{"images": [', b"\xff\xfe\xfa", b"[]", b"3"])
def test_files_that_are_no_annotations(root: Path, content: bytes) -> None:
    publish(root).write_bytes(content)
    with pytest.raises(
        InvalidInput, match=r"cannot be read as annotations of COCO .* complete file with"
    ):
        load_multilabel("coco128", size=4)


def test_other_categories_in_the_test_part(root: Path) -> None:
    publish(root, folder="coco")
    publish(root, "val2017", folder="coco", change=add("categories", id=7, name="cup"))
    with pytest.raises(InvalidInput, match=r"instances_val2017\.json lists other categories"):
        load_multilabel("coco", "test", size=4, labels="present")


def test_too_few_images(root: Path) -> None:
    publish(root, images={1: [1], 2: [18]})
    with pytest.raises(InvalidInput, match="lists too few images for 'val'; it lists 2"):
        load_multilabel("coco128", "val", size=4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "size must be a whole number of at least 1"),
        ({"count": 0}, "count must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"labels": "some"}, "unknown labels 'some'; known: all, present"),
    ],
)
def test_bad_options(root: Path, options: dict[str, Any], words: str) -> None:
    publish(root)
    with pytest.raises(InvalidInput, match=words):
        load_multilabel("coco128", **options)
    with pytest.raises(UnknownName, match="unknown split 'all'"):
        load_multilabel("coco128", "all")


# ---- COCO128


@pytest.mark.data("coco128/annotations")
def test_coco128_has_the_published_counts() -> None:
    parts = [load_multilabel("coco128", split, size=16) for split in SPLITS]
    assert [len(part) for part in parts] == [89, 13, 26]
    counts = sum(part.label_counts for part in parts)
    names = parts[0].label_names
    assert len(names) == 80
    assert (counts > 0).sum() == 71
    assert counts[[names.index(name) for name in ("person", "car", "dining table", "cup")]].tolist()
    assert counts[names.index("person")] == 61
    assert counts[names.index("car")] == 12
    assert counts[names.index("dining table")] == counts[names.index("cup")] == 10
    assert sum(part.unlabelled for part in parts) == 2
    assert load_multilabel("coco128", "val", size=16, labels="present").labels.shape == (13, 71)
    largest = max((part.labels.mean(0)[0] - 61 / 128).abs().item() for part in parts)
    assert largest < 0.03


@pytest.mark.data("coco128/annotations")
def test_coco128_against_the_annotations_of_each_image() -> None:
    path = data_folder() / "coco128/annotations/instances_train2017.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    expected: dict[int, set[str]] = {image["id"]: set() for image in content["images"]}
    for entry in content["annotations"]:
        expected[entry["image_id"]].add(names[entry["category_id"]])
    listed = []
    for split in SPLITS:
        samples = load_multilabel("coco128", split, size=16)
        for row in samples.labels:
            listed.append({samples.label_names[k] for k in row.nonzero().flatten().tolist()})
    assert sorted(map(sorted, listed)) == sorted(map(sorted, expected.values()))
