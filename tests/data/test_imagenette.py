"""Test Imagenette with artificial folders: classes, disjoint splits, sizes, and messages about missing files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data import data_folder, load
from explore.data.datasets.imagenette import CLASS_NAMES, FOLDER_NAMES, IMAGENET_CLASSES, imagenette
from explore.errors import DataMissing, InvalidInput, UnknownName

SPLITS = ("train", "val", "test")


def publish(
    folder: Path,
    train: int = 12,
    val: int = 2,
    suffix: str = "JPEG",
    size: tuple[int, int] = (9, 7),
) -> Path:
    """Write images of one colour: red encodes the class, green the number of the file, blue whether it is of val."""
    for part, count in (("train", train), ("val", val)):
        for label, name in enumerate(CLASS_NAMES):
            class_folder = folder / part / name
            class_folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                colour = (20 * label, 4 * number, 255 * (part == "val"))
                image = Image.new("RGB", size, colour)
                image.save(
                    class_folder / f"{name}_{number:03}.{suffix}", quality=100, subsampling=0
                )
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


def colours(images: torch.Tensor) -> list[tuple[int, int, int]]:
    return [tuple(round(float(v)) for v in image.float().mean((1, 2))) for image in images]  # type: ignore[misc]


def test_classes_splits_and_names(folder: Path) -> None:
    publish(folder / "imagenette", suffix="png")
    sets = {split: load("imagenette", split, size=6) for split in SPLITS}
    assert {split: len(part) for split, part in sets.items()} == {
        "train": 110,
        "val": 10,
        "test": 20,
    }
    for split, part in sets.items():
        assert part.images.shape[1:] == (3, 6, 6)
        assert part.images.dtype == torch.uint8
        assert part.class_names == tuple(CLASS_NAMES.values())
        assert (part.mean, part.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        for (red, _, blue), label in zip(colours(part.images), part.labels.tolist(), strict=True):
            assert abs(red - 20 * label) <= 4
            assert (blue > 127) == (split == "test")
    assert [green // 4 for _, green, _ in colours(sets["val"].images)] == pytest.approx(
        [9] * 10, abs=1
    )
    greens = {
        split: {round(g / 4) for _, g, _ in colours(sets[split].images)}
        for split in ("train", "val")
    }
    assert not greens["train"] & greens["val"]
    assert len(greens["train"] | greens["val"]) == 12


def test_the_first_of_each_class_by_name(folder: Path) -> None:
    publish(folder / "imagenette")
    image_set = load("imagenette", size=4, count=3)
    assert image_set.labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert [round(g / 4) for _, g, _ in colours(image_set.images)] == [0, 1, 2] * 10
    assert len(load("imagenette", size=4, count=99)) == 110
    assert image_set.options == {"split": "train", "size": 4, "count": 3}
    reloaded = load(image_set.name, **image_set.options)
    assert reloaded.sha256 == image_set.sha256


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG"])
@pytest.mark.parametrize("name", FOLDER_NAMES)
def test_other_folders_and_formats(folder: Path, name: str, suffix: str) -> None:
    publish(folder / name, 1, 1, suffix)
    assert len(load("imagenette", "test", size=4)) == 10


def test_an_empty_folder_hides_no_full_one(folder: Path) -> None:
    (folder / "imagenette").mkdir()
    publish(folder / "imagenette2-320", 1, 1)
    assert len(load("imagenette", "test", size=4)) == 10


def test_what_is_no_photograph_is_left_out(folder: Path) -> None:
    class_folder = publish(folder / "imagenette", 1, 1) / "val" / next(iter(CLASS_NAMES))
    (class_folder / "._n01440764_000.JPEG").write_bytes(
        b"\0\5\x16\7"
    )  # what a Mac leaves on foreign discs
    (class_folder / "notes.txt").write_text("hello")
    (class_folder / "folder.JPEG").mkdir()
    assert len(load("imagenette", "test", size=4)) == 10


def test_photographs_are_resized_without_keeping_their_shape(folder: Path) -> None:
    publish(folder / "imagenette", 1, 1, "png", (40, 10))
    assert load("imagenette", "test").images.shape == (10, 3, 224, 224)


@pytest.mark.parametrize("split", SPLITS)
def test_a_missing_class_is_named(folder: Path, split: str) -> None:
    with pytest.raises(DataMissing, match=re.escape(str(folder / "imagenette"))):
        load("imagenette", split)
    root = publish(folder / "imagenette2", 10, 1)
    class_folder = root / ("val" if split == "test" else "train") / "n03028079"
    for file in class_folder.iterdir():
        file.unlink()
    with pytest.raises(
        DataMissing,
        match=rf"no image in {re.escape(str(class_folder))} \(church\); put the folders train and val into",
    ):
        load("imagenette", split, size=4)


def test_too_few_for_a_val_are_said_as_such(folder: Path) -> None:
    publish(folder / "imagenette", 9, 1)
    assert len(load("imagenette", size=4)) == 90
    with pytest.raises(DataMissing, match=r"fewer than ten images \(every tenth is val\) in "):
        load("imagenette", "val", size=4)


def test_a_broken_file_is_named(folder: Path) -> None:
    class_folder = publish(folder / "imagenette", 1, 1) / "val" / "n03888257"
    (class_folder / "broken.JPEG").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InvalidInput, match=r"broken\.JPEG cannot be read"):
        load("imagenette", "test", size=4)


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": 2.5}, {"size": True}, {"count": 0}, {"count": -1}, {"count": "3"}],
)
def test_odd_options_are_refused(folder: Path, options: dict[str, object]) -> None:
    with pytest.raises(
        InvalidInput, match=f"{next(iter(options))} must be a whole number of at least 1"
    ):
        load("imagenette", **options)


def test_another_split_is_refused(folder: Path) -> None:
    publish(folder / "imagenette", 1, 1)
    for call in (imagenette, lambda split: load("imagenette", split)):
        with pytest.raises(UnknownName, match="unknown split 'valid'"):
            call("valid")


@pytest.mark.data("weights")
def test_numbers_of_classes_are_those_of_imagenet() -> None:
    file = data_folder() / "weights" / "imagenet_classes.csv"
    if not file.is_file():
        pytest.skip(f"needs the names of ImageNet's classes in {file}")
    text = file.read_text()
    for number, folder, name in zip(
        IMAGENET_CLASSES, CLASS_NAMES, CLASS_NAMES.values(), strict=True
    ):
        assert f"\n{number},{folder},{name.replace(' ', '_')}\n" in text


@pytest.mark.data("imagenette")
def test_the_real_one() -> None:
    image_set = load("imagenette", "test", size=32, count=5)
    assert image_set.labels.bincount().tolist() == [5] * 10
    assert np.ptp(image_set.images.numpy()) > 200
