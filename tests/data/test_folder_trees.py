"""Folders of images as archives, cameras, microscopes and other systems leave them."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data import data_folder, load
from explore.data._folder_listing import IMAGE_SUFFIXES
from explore.data._split_names import split_words
from explore.data.image_files import ImageFiles
from explore.data.image_folder import image_folder
from explore.data.splitting import shuffle_by_name, split_by_name
from explore.errors import DataMissing, ExploreWarning, InvalidInput


def write(path: Path, shade: int = 9, size: tuple[int, int] = (4, 4), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 0, 0)).convert(mode).save(path)
    return path


def write_parts(root: Path, parts: list[str], classes: tuple[str, ...] = ("cat", "dog")) -> None:
    """Write ten images of each class into each part; the shade is the number of the part."""
    for number, part in enumerate(parts):
        for name in classes:
            for k in range(10):
                write(root / part / name / f"{k}.png", 50 * number)


def shades(root: Path, split: str) -> set[int]:
    return set(image_folder(split, path=root).images[:, 0].flatten().tolist())


# ---- splits


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["Training", "Testing"], {"train": {0}, "val": {0}, "test": {50}}),
        (["TRAIN", "TEST"], {"train": {0}, "val": {0}, "test": {50}}),
        (["train", "valid", "test"], {"train": {0}, "val": {50}, "test": {100}}),
        (["training_set", "test_set"], {"train": {0}, "test": {50}}),
        (
            ["Train Data", "Validation Data", "Test Data"],
            {"train": {0}, "val": {50}, "test": {100}},
        ),
        (["trainset", "devset", "testset"], {"train": {0}, "val": {50}, "test": {100}}),
        (["seg_train/seg_train", "seg_test/seg_test"], {"train": {0}, "test": {50}}),
        (["train2017", "val2017"], {"train": {0}, "val": {50}}),
        (["01_train", "02_test"], {"train": {0}, "test": {50}}),
        (["train", "validation"], {"train": {0}, "val": {50}}),
        (["train", "Dev"], {"train": {0}, "val": {50}}),
        (["train"], {"train": {0}, "val": {0}}),
    ],
    ids=str,
)
def test_folders_of_splits_are_recognised_by_many_names(tmp_path, parts, expected):
    write_parts(tmp_path, parts)
    for split, shade in expected.items():
        assert shades(tmp_path, split) == shade
        assert image_folder(split, path=tmp_path).class_names == ("cat", "dog")
    for split in {"val", "test"} - set(expected):
        if not (split == "val" and "test" in expected):
            words = f"has no part for '{split}', only {' and '.join(expected)}; choose one of these"
            with pytest.raises(InvalidInput, match=words):
                image_folder(split, path=tmp_path)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            ["Train/a/1.png", "train/b/1.png", "test/a/1.png"],
            "which both mean train; rename or move",
        ),
        (["val/a/1.png", "valid/a/1.png", "train/a/1.png"], "which both mean val"),
        (["train/1.png", "test/2.png"], "images in test and train without folders of classes"),
        (["train/steam/1.png", "car/1.png", "bus/1.png"], "has a folder train .* beside bus, car"),
        (["test/a/1.png", "val/a/1.png"], "but no folder train; add it"),
        (["train1/a/1.png", "train2/a/1.png", "test/a/1.png"], "which both mean train"),
        (["cat/Train/1.png", "cat/Test/1.png", "dog/Train/1.png"], "of test and train below those"),
        (["train/a/1.png", "train/b/1.png", "test/A/1.png"], "names of the same case"),
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(tmp_path, files, words):
    for file in files:
        write(tmp_path / file)
    with pytest.raises(InvalidInput, match=words):
        image_folder(path=tmp_path)


@pytest.mark.parametrize(
    "names", [("bus", "train"), ("test", "val", "zebra"), ("car_test", "dog"), ("dev", "ops")]
)
def test_classes_may_be_called_like_splits(tmp_path, names):
    write_parts(tmp_path, [""], names)
    assert image_folder(path=tmp_path).class_names == names


def test_a_test_part_without_classes_is_passed_over_with_a_word(tmp_path):
    write_parts(tmp_path, ["train"])
    write(tmp_path / "test" / "1.png")
    with pytest.warns(ExploreWarning, match="images in test are not read, as they are not in"):
        assert len(image_folder(path=tmp_path)) == 18


def test_words_that_are_no_splits():
    for name in ("trainer", "contest", "valley", "device", "train_test", "pretrain"):
        assert split_words(name) is None
    assert split_words("Ｔｒａｉｎ") == ("train", "")


def test_letters_may_be_composed_in_one_part_and_decomposed_in_another(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_parts(tmp_path, ["train"], (composed, "tea"))
    write_parts(tmp_path, ["test"], (decomposed, "tea"))
    test = image_folder("test", path=tmp_path)
    assert test.class_names == (composed, "tea")
    assert test.labels.bincount().tolist() == [10, 10]
    write(tmp_path / "train" / decomposed / "1.png")
    with pytest.raises(InvalidInput, match="two folders 'café', written in two ways"):
        image_folder(path=tmp_path)


# ---- what lies around and among the images


def test_one_folder_around_everything_is_skipped_with_a_word(tmp_path):
    write_parts(tmp_path / "plain", [""])
    write_parts(tmp_path / "wrapped", ["archive/images"])
    (tmp_path / "wrapped" / "__MACOSX" / "cat").mkdir(parents=True)
    with pytest.warns(ExploreWarning, match=r"classes are read from .*archive/images, the only"):
        wrapped = image_folder(path=tmp_path / "wrapped")
    assert wrapped.sha256 == image_folder(path=tmp_path / "plain").sha256
    with pytest.warns(ExploreWarning, match="archive/images"):
        assert len(ImageFiles.in_folder(tmp_path / "wrapped")) == 20
    write_parts(tmp_path / "parts", ["Set/Train", "Set/Test"])
    with pytest.warns(ExploreWarning, match="/Set, the only"):
        assert len(image_folder("test", path=tmp_path / "parts")) == 20
    with pytest.warns(ExploreWarning, match="/Set, the only"):
        assert ImageFiles.in_folder(tmp_path / "parts").root.name == "Train"


def test_files_that_are_passed_over_are_counted(tmp_path):
    write_parts(tmp_path, [""])
    for name in ("cat/a.heic", "cat/b.HEIC", "dog/x.txt", "dog/noname", "notes.md", "cat/.c.heic"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "dog" / "pipe.png")  # to open it would wait for ever
    words = r"1 file without suffix, 2 files \.heic, 1 file \.png, 1 file \.txt are passed over"
    for call in (image_folder, ImageFiles.in_folder):
        with pytest.warns(ExploreWarning, match=words):
            call(path=tmp_path)


@pytest.mark.parametrize("suffix", [s for s in IMAGE_SUFFIXES if s not in (".avif", ".pbm")])
def test_every_suffix_that_pillow_reads(tmp_path, suffix):
    for name in "ab":
        write(tmp_path / name / f"1{suffix.upper()}", 200, mode="L" if suffix == ".pgm" else "RGB")
    images = image_folder(path=tmp_path).images
    grey = 60 if suffix == ".pgm" else 200
    assert len(images) == 2
    assert (images[:, 0].int() - grey).abs().max() <= 3


def test_links_that_lead_outside_are_followed_with_a_word(tmp_path):
    write_parts(tmp_path / "real", [""])
    root = tmp_path / "set"
    root.mkdir()
    for name in ("cat", "dog"):
        (root / name).symlink_to(tmp_path / "real" / name)
    words = r"2 symbolic links lead outside of the folder \(the first is .*set/\w+\)"
    with pytest.warns(ExploreWarning, match=words):
        assert len(image_folder(path=root)) == 14
    with pytest.warns(ExploreWarning, match=words):
        assert len(ImageFiles.in_folder(root)) == 20
    (root / "dog").unlink()
    write(root / "dog" / "1.png")
    (root / "emu").symlink_to("dog")  # inside, so nothing is said about it
    with pytest.warns(ExploreWarning, match="1 symbolic link leads outside"):
        image_folder(path=root)


def test_links_in_circles_and_into_nothing_are_counted(tmp_path):
    write_parts(tmp_path, [""])
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "up").symlink_to("..")
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "dog" / "loop.png").symlink_to("loop.png")
    words = "2 broken links, 2 circular links are passed over"
    with pytest.warns(ExploreWarning, match=words):
        assert len(image_folder(path=tmp_path)) == 14
    with pytest.warns(ExploreWarning, match=words):
        assert len(ImageFiles.in_folder(tmp_path)) == 20


def test_links_between_two_folders_end(tmp_path):
    write_parts(tmp_path, [""])
    (tmp_path / "cat" / "x").symlink_to("../dog")
    (tmp_path / "dog" / "y").symlink_to("../cat")
    with pytest.warns(ExploreWarning, match="2 circular links"):
        assert len(ImageFiles.in_folder(tmp_path)) == 40


# ---- names and paths


def test_names_that_are_not_utf8(tmp_path):
    root = os.fsencode(tmp_path)
    write_parts(tmp_path, [""], ("tea",))
    for k in range(10):
        write(Path(os.fsdecode(root + b"/caf\xe9/%d.png" % k)))
    write(Path(os.fsdecode(root + b"/tea/\xe9.png")))
    images = image_folder(path=tmp_path)
    assert images.class_names == ("caf\\xe9", "tea")
    files = ImageFiles.in_folder(tmp_path, size=4)
    assert list(files.class_names) == ["caf\\xe9", "tea"]
    assert len(files.describe()["sha256"]) == 64
    Path(os.fsdecode(root + b"/tea/\xe9.png")).write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"tea/\\xe9\.png cannot be read .*it is empty"):
        image_folder(path=tmp_path)
    strange = Path(os.fsdecode(root + b"/\xe9"))
    write_parts(strange, [""])
    with pytest.raises(InvalidInput, match=r"\\xe9 is not UTF-8, so no recording can hold it"):
        image_folder(path=strange)


def test_a_path_may_be_bytes_or_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_parts(tmp_path / "set", [""])
    expected = image_folder(path=tmp_path / "set").sha256
    for path in (os.fsencode(tmp_path / "set"), "~/set", Path("~/set")):
        images = load("folder", path=path)
        assert images.sha256 == load("folder", **images.options).sha256 == expected
    monkeypatch.setenv("EXPLORE_DATA", "~/set")
    assert data_folder() == tmp_path / "set"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": ["x"]}, r"path must be the folder that contains the class folders, got \['x'\]"),
        ({"path": "a\0b"}, "path must be the folder"),
        ({"path": "~nobody-of-this-name/x"}, "cannot be resolved"),
        ({"path": "x" * 5000}, "path must be"),
        ({"size": "16"}, "size must be a whole number"),
        ({"size": 10**9}, "size must be a whole number of at least 1 and at most 16384"),
        ({"size": [16]}, "size must be a whole number"),
        ({"seed": 2**64}, "seed must be a whole number"),
        ({"split": ["train"]}, "unknown split of a folder"),
        ({"split": "training"}, "unknown split of a folder"),
    ],
)
def test_arguments_of_folders_are_checked(tmp_path, options, words):
    write_parts(tmp_path, [""])
    with pytest.raises((InvalidInput, DataMissing), match=words):
        image_folder(**{"path": tmp_path, **options})


@pytest.mark.skipif(os.geteuid() == 0, reason="everything can be read by this user")
def test_files_and_folders_without_permission_are_named(tmp_path):
    write_parts(tmp_path, [""])
    (tmp_path / "cat" / "0.png").chmod(0)
    with pytest.raises(InvalidInput, match=r"0\.png cannot be opened \(Permission denied\); allow"):
        image_folder(path=tmp_path)
    (tmp_path / "cat").chmod(0)
    with pytest.raises(InvalidInput, match=r"cat cannot be listed \(Permission denied\)"):
        image_folder(path=tmp_path)
    (tmp_path / "cat").chmod(0o700)


def test_errors_of_the_disk_are_no_damage(tmp_path, monkeypatch):
    write_parts(tmp_path, [""])

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(
        InvalidInput, match=r"cannot be opened \(Too many open files\); close other"
    ):
        image_folder(path=tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InvalidInput, match=r"cannot be listed \(Too many open files\)"):
        image_folder(path=tmp_path)


# ---- levels


def write_levels(root: Path, largest: int, suffix: str = ".png") -> np.ndarray:
    """Write images of 16 bits; the largest level is in one of them only."""
    levels = np.linspace(0, largest // 2, 16).astype(np.uint16).reshape(4, 4)
    for name in ("train/a", "train/b", "test/a", "test/b"):
        for k in range(10):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(levels).save(root / name / f"{k}{suffix}")
    white = levels.copy()
    white[0, 0] = largest
    Image.fromarray(white).save(root / "test" / "b" / f"9{suffix}")
    return levels


@pytest.mark.parametrize(
    ("largest", "white"), [(255, 255), (256, 1023), (4000, 4095), (4096, 16383), (16384, 65535)]
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_levels_are_scaled_alike_in_all_files_and_parts(tmp_path, largest, white, suffix):
    levels = write_levels(tmp_path, largest, suffix)
    expected = torch.from_numpy(np.floor(levels * (255 / white) + 0.5).astype(np.uint8))
    parts = {}
    for split in ("train", "test"):
        if white == 65535:
            parts[split] = image_folder(split, path=tmp_path)
        else:
            words = f"no level above {largest}, so {white} is used as white"
            with pytest.warns(ExploreWarning, match=words):
                parts[split] = image_folder(split, path=tmp_path)
    assert (parts["train"].images[:, 0] == expected).all()
    assert parts["test"].images.max() == round(largest * 255 / white)
    assert parts["test"].mean == parts["train"].mean


def test_files_of_images_find_their_levels_when_they_are_read(tmp_path):
    write_levels(tmp_path, 4000)
    for name in "ab":
        write(tmp_path / "train" / name / "colour.png", 77)
    files = ImageFiles.in_folder(tmp_path, size=4)
    colour = [k for k, file in enumerate(files.files) if file.name == "colour.png"]
    assert files.read(colour)[0][:, 0].unique().tolist() == [77]
    with pytest.warns(ExploreWarning, match="no level above 2000, so 4095 is used as white"):
        pixels, _ = files.read([0, 1])
    assert pixels.max() == round(2000 * 255 / 4095)
    assert torch.equal(files.read([1])[0], pixels[1:])  # no second warning


def test_almost_black_colours_of_16_bits_are_refused(tmp_path):
    """Pillow drops the lower byte of such files, so it cannot be scaled."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    def png(level: int) -> bytes:
        rows = (b"\0" + struct.pack(">12H", *[level] * 12)) * 4
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + header + data

    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(png(60000))
    assert image_folder(path=tmp_path).images.unique().tolist() == [60000 // 256]
    for name in "ab":
        (tmp_path / name / "1.png").write_bytes(png(4000))
    with (
        pytest.warns(ExploreWarning, match="4095 is used as white"),
        pytest.raises(InvalidInput, match="almost black; save it with 8 bits"),
    ):
        image_folder(path=tmp_path)


def test_a_file_that_is_gone_is_named(tmp_path):
    write_parts(tmp_path, [""])
    files = ImageFiles.in_folder(tmp_path, size=4)
    for indices, words in (([20], "files; got 20"), ([0.5], "whole numbers"), ("0", "a list")):
        with pytest.raises(InvalidInput, match=words):
            files.read(indices)
    assert files.read([-1])[1] == [19]
    files.files[3].unlink()
    with pytest.raises(DataMissing, match=r"3\.png cannot be read \(No such file"):
        files.describe()
    with pytest.raises(InvalidInput, match=r"3\.png cannot be opened \(No such file.*put it back"):
        files.read([3])


# ---- splitting by names


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: shuffle_by_name("abc"), "names must be a list of names, got 'abc'"),
        (lambda: shuffle_by_name(["a"], -1), "seed must be a whole number"),
        (lambda: split_by_name(["a", "b"], [0]), "2 names, 2 of them different, and 1 groups"),
        (lambda: split_by_name(["a", "a"], [0, 0]), "1 of them different"),
        (lambda: split_by_name(["a"], [0], val=20, test=20), r"val \+ test must be .* at most 30"),
        (lambda: split_by_name(["a"], [0], val=0.5), "val must be a whole number"),
    ],
)
def test_names_that_cannot_be_split_are_refused(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()
