"""Test VOC: the objects of each photograph against its annotation, disjoint splits, and the error messages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data import data_folder, load
from explore.data.datasets.voc import CLASS_NAMES
from explore.data.datasets.voc_annotations import read_annotation
from explore.errors import DataMissing, InvalidInput

SPLITS = ("train", "val", "test")
Object = tuple[str, tuple[float, float, float, float], int]


def xml(objects: Sequence[Object]) -> str:
    elements = "".join(
        f"<object><name> {name}\n</name><part><name>head</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>999</xmax>"
        f"<ymax>999</ymax></bndbox></part><difficult>{difficult}</difficult><bndbox><xmax>{box[2]}</xmax><xmin>{box[0]}</xmin>"
        f"<ymin>{box[1]}</ymin><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box, difficult in objects
    )
    return f"<annotation><size><width>9</width></size>{elements}</annotation>"


def publish(
    root: Path,
    lists: dict[str, dict[str, Sequence[Object] | None]],
    base: str = "VOCdevkit/VOC2012",
) -> Path:
    """Write files in VOC's layout; the first byte of an image is its number, and an image with None has no annotation."""
    root_folder, number = root / base, 0
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root_folder / folder).mkdir(parents=True, exist_ok=True)
    for part, images in lists.items():
        (root_folder / "ImageSets/Main" / f"{part}.txt").write_text(
            "".join(f"{name}\n" for name in images)
        )
        for name, objects in images.items():
            Image.fromarray(np.full((6, 10, 3), number, np.uint8)).save(
                root_folder / "JPEGImages" / f"{name}.jpg", quality=100
            )
            if objects is not None:
                (root_folder / "Annotations" / f"{name}.xml").write_text(xml(objects))
            number += 1
    return root_folder


def annotated(name: str, side: float = 5, difficult: int = 0) -> Object:
    return name, (1, 1, side, side), difficult


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


def image_numbers(image_set) -> list[int]:
    return image_set.images[:, 0, 0, 0].tolist()


def test_every_class_that_is_present_and_the_largest_box(folder):
    publish(
        folder,
        {
            "train": {
                "a": [annotated("dog", 3), annotated("person", 7), annotated("dog", 4)],
                "b": [("cat", (0, 0, 9, 1), 0)],
            },
            "val": {
                "c": [annotated("sofa", 4), annotated("boat", 4)],  # a tie
                "d": [annotated("bus", 2), annotated("car", 9.5, 1)],
                "e": [
                    ("cow", (3.25, 3, 3.25, 20), 0),
                    ("bird", (1, 1, 4, 4), 0),
                ],  # 1 × 18 pixels, 4 × 4
                "f": [annotated("train", 3, 1)],
            },
        },
    )
    image_set = load("voc", "test", size=4)
    assert image_set.class_names == CLASS_NAMES
    assert sorted(CLASS_NAMES) == list(CLASS_NAMES)
    assert image_numbers(image_set) == [2, 3, 4]
    assert [CLASS_NAMES[k] for k in image_set.labels] == ["sofa", "bus", "cow"]
    present = [[CLASS_NAMES[k] for k in row.nonzero().flatten()] for row in image_set.multi_hot]
    assert present == [["boat", "sofa"], ["bus"], ["bird", "cow"]]
    assert (image_set.multi_hot.dtype, image_set.multi_hot.shape) == (torch.float32, (3, 20))
    assert image_set.images.shape == (3, 3, 4, 4)
    more = load("voc", "test", size=4, difficult=True)
    assert image_numbers(more) == [2, 3, 4, 5]
    assert [CLASS_NAMES[k] for k in more.labels] == ["sofa", "car", "cow", "train"]
    assert more.multi_hot.sum(1).tolist() == [2, 2, 2, 1]
    assert image_numbers(load("voc", size=4)) == [0, 1]  # too few for val
    assert load("voc", size=4).multi_hot.sum(1).tolist() == [2, 1]
    for each in (image_set, more):
        reloaded = load(each.name, **json.loads(json.dumps(each.options)))
        assert reloaded.sha256 == each.sha256
        assert torch.equal(reloaded.multi_hot, each.multi_hot)


def test_subsets_and_groups_keep_the_labels_of_all_objects(folder):
    publish(
        folder,
        {
            "train": {"a": [annotated("x")]},
            "val": {
                "b": [annotated("y"), annotated("z", 9)],
                "c": [annotated("x"), annotated("z", 2)],
            },
        },
    )
    image_set = load("voc", "test", size=4)
    assert image_set.class_names == ("x", "y", "z")
    assert image_set.subset([1]).multi_hot.tolist() == [[1, 0, 1]]
    coarse = image_set.grouped([1, 0, 0], ("late", "early"))
    assert coarse.labels.tolist() == [0, 1]
    assert coarse.multi_hot.tolist() == [[1, 0], [1, 1]]
    assert coarse.subclasses.tolist() == [2, 0]


def test_a_tenth_of_train_is_val_and_val_is_test(folder):
    counts = {"train": 60, "val": 9}
    lists = {
        part: {f"{part}{i:03}": [annotated("ab"[i % 2], 3, int(i == 7))] for i in range(n)}
        for part, n in counts.items()
    }
    publish(
        folder, lists | {"test": {"hidden": None}}
    )  # as the official test list of 2012, whose annotations nobody has
    sets = {split: load("voc", split, size=2, difficult=True) for split in SPLITS}
    assert [len(part) for part in sets.values()] == [54, 6, 9]
    assert sorted(image_numbers(sets["train"]) + image_numbers(sets["val"])) == list(range(60))
    assert image_numbers(sets["test"]) == list(range(60, 69))
    assert all(sets[split].class_names == ("a", "b") for split in SPLITS)
    without = {split: image_numbers(load("voc", split, size=2)) for split in SPLITS}
    assert {
        split: [i for i in image_numbers(sets[split]) if i not in (7, 67)] for split in SPLITS
    } == without  # splits do not move


@pytest.mark.parametrize("year", ["2012", "2007"])
def test_a_test_list_with_annotations_is_test(folder, year):
    lists = {
        part: {f"{part}{i}": [annotated("a")] for i in range(n)}
        for part, n in (("train", 20), ("val", 3), ("test", 2))
    }
    publish(folder, lists, f"VOCdevkit/VOC{year}")
    assert [len(load("voc", split, year=year, size=2)) for split in SPLITS] == [20, 3, 2]


def test_2011_stands_where_torchvision_puts_it(folder):
    publish(folder, {"train": {"x": [annotated("cat")]}}, "TrainVal/VOCdevkit/VOC2011")
    assert len(load("voc", year="2011", size=2)) == 1


def test_nothing_is_fetched_unasked_and_torchvision_fetches(folder, monkeypatch):
    with pytest.raises(
        DataMissing, match=r"VOCdevkit/VOC2012: expected JPEGImages, .*download=True"
    ):
        load("voc")
    assert not any(folder.rglob("*"))
    urls = []

    def fetch(url: str, root: str, **_: object) -> None:
        urls.append(url)
        part = "test" if "VOCtest" in url else "train"
        publish(Path(root), {part: {f"{part}1": [annotated("cat")]}}, "VOCdevkit/VOC2007")

    monkeypatch.setattr("torchvision.datasets.voc.download_and_extract_archive", fetch)
    assert len(load("voc", "test", year="2007", size=2, download=True)) == 1
    assert [url.rpartition("/")[2] for url in urls] == [
        "VOCtrainval_06-Nov-2007.tar",
        "VOCtest_06-Nov-2007.tar",
    ]
    assert len(load("voc", year="2007", size=2, download=True)) == 1
    assert len(urls) == 2  # what is there is not fetched again


# ---- bad input

BOMB = """<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>
<annotation><object><name>&y;</name></object></annotation>"""
FILE = '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation><object><name>a</name></object></annotation>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as an annotation"),
        (
            "<annotation><object>",
            "cannot be read as an annotation .*; replace it with a complete copy",
        ),
        ("\0\1\2", "cannot be read as an annotation"),
        (
            '<?xml version="1.0" encoding="no-such"?><annotation/>',
            "cannot be read as an annotation",
        ),
        (BOMB, "it has a document type"),
        (FILE, "it has a document type"),
        ("<annotation></annotation>", "has no objects; annotate it"),
        ("<annotation><part><object/></part></annotation>", "has no objects"),
        (
            "<annotation><object><part><name>head</name></part></object></annotation>",
            "object 1 has no name",
        ),
        (
            "<annotation><object><name>a</name></object></annotation>",
            r"object 1 \(a\) has the box xmin missing, ymin missing",
        ),
        (
            xml([annotated("a"), ("b", (5, 1, 4, 9), 0)]),
            r"object 2 \(b\) has the box xmin 5, ymin 1, xmax 4, ymax 9; expected",
        ),
        (xml([("b", (1, float("nan"), 4, 9), 0)]), "ymin nan"),
        (xml([("b", (1, 1, float("inf"), 9), 0)]), "xmax inf"),
    ],
)
def test_an_odd_annotation_is_named(folder, text, words):
    root_folder = publish(
        folder, {"train": {"a": [annotated("a")], "odd": []}, "val": {"c": [annotated("a")]}}
    )
    (root_folder / "Annotations" / "odd.xml").write_text(text)
    for split in ("train", "test"):
        with pytest.raises(InvalidInput, match=rf"odd\.xml.*{words}"):
            load("voc", split)


def test_missing_files_are_named(folder):
    root_folder = publish(folder, {"train": {"a": [annotated("a")], "b": [annotated("b")]}})
    with pytest.raises(DataMissing, match=r"Main/val\.txt is missing"):
        load("voc", "test")
    (root_folder / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(DataMissing, match=r"JPEGImages/b\.jpg and 0 more images are missing"):
        load("voc")
    (root_folder / "Annotations" / "b.xml").unlink()
    with pytest.raises(
        DataMissing,
        match=r"Annotations/b\.xml is missing\. Put it there, or remove b from the lists",
    ):
        load("voc")
    (root_folder / "ImageSets/Main/train.txt").unlink()
    with pytest.raises(DataMissing, match=r"Main/train\.txt is missing"):
        load("voc")


@pytest.mark.parametrize(
    ("lists", "split", "words"),
    [
        (
            {"train": {"a": [annotated("a")]}, "val": {"a": [annotated("a")]}},
            "train",
            "a is in the lists train, val of .*Main more than once",
        ),
        (
            {"train": {"a": [annotated("a")]}},
            "val",
            "has no image for 'val': its list train has 1 names",
        ),
        ({"train": {"a": [annotated("a", 3, 1)]}}, "train", "has no image for 'train'"),
        ({"train": {}}, "train", "its list train has 0 names"),
        (
            {
                "train": {"a": [annotated("a")]},
                "val": {"b": [annotated("b")]},
                "test": {"c": [annotated("new")]},
            },
            "test",
            r"c\.xml has the class 'new', but the lists train and val have only a, b",
        ),
    ],
)
def test_odd_lists_are_named(folder, lists, split, words):
    publish(folder, lists)
    with pytest.raises(InvalidInput, match=words):
        load("voc", split)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"year": 2012}, "year must be one of '2007', .*got 2012"),
        ({"year": "2013"}, "year must"),
        ({"size": 0}, "size must be"),
    ],
)
def test_bad_options_are_named(folder, options, words):
    with pytest.raises(InvalidInput, match=words):
        load("voc", **options)


# ---- a real one


@pytest.mark.data("VOCdevkit/VOC2012")
def test_blood_cells_are_those_of_the_annotations():
    root_folder = data_folder() / "VOCdevkit" / "VOC2012"
    sets = {split: load("voc", split, size=32) for split in ("val", "test")}
    assert sets["val"].class_names == ("Platelets", "RBC", "WBC")
    assert sets["val"].multi_hot.sum(0).tolist() == [45, 83, 86]  # as its source says
    for split, part in sets.items():
        names = (root_folder / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
        assert len(part) == len(names)
        for i, name in enumerate(names):
            text = (root_folder / "Annotations" / f"{name}.xml").read_text()
            result = re.findall(r"<name>(\w+)</name>", text)  # no parts in these files
            corners = np.array(
                [re.findall(rf"<{side}>(\d+)<", text) for side in ("xmin", "ymin", "xmax", "ymax")],
                int,
            )
            areas = (corners[2] - corners[0] + 1) * (corners[3] - corners[1] + 1)
            assert {part.class_names[k] for k in part.multi_hot[i].nonzero().flatten()} == set(
                result
            )
            assert part.class_names[part.labels[i]] == result[int(areas.argmax())]
            assert [
                item.area for item in read_annotation(root_folder / "Annotations" / f"{name}.xml")
            ] == areas.tolist()
        first = (
            Image.open(root_folder / "JPEGImages" / f"{names[0]}.jpg")
            .convert("RGB")
            .resize((32, 32), Image.Resampling.BILINEAR)
        )
        assert (
            np.abs(np.asarray(first).transpose(2, 0, 1).astype(int) - part.images[0].numpy()).max()
            <= 12
        )  # decoded at less
