"""Folders of image files that are decoded batch by batch: what is listed, read, refused and not kept."""

from __future__ import annotations

import gc
import json
import pickle
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data.image_files import FILES_NAME, ImageFiles
from explore.errors import DataMissing, ExploreWarning, InvalidInput, UnknownName


def write(path: Path, colour: int | tuple[int, ...] = (9, 8, 7), **options) -> Path:
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(options.pop("mode", "RGB"), options.pop("size", (6, 6)), colour).save(path, **options)
    return path


def write_all(root: Path, names: list[str]) -> Path:
    """Write one image for each name; red encodes its position in the list."""
    for number, name in enumerate(names):
        write(root / name, (number, 0, 0))
    return root


def listed(files: ImageFiles) -> dict[str, str]:
    """Return the class of each file by its name below the root."""
    return {
        file.relative_to(files.root).as_posix(): files.class_names[label]
        for file, label in zip(files.files, files.labels, strict=True)
    }


# ---- what is listed


@pytest.mark.parametrize("above", ["", "train/"])
def test_a_folder_for_each_class(tmp_path, above):
    names = ["dog/b.png", "dog/a.png", "cat/1.png", "eel/x.png", "cat/0.png"]
    write_all(tmp_path, [above + name for name in names])
    if above:
        write_all(tmp_path, ["val/cat/0.png", "val/dog/0.png", "other/0.png"])
    files = ImageFiles.in_folder(tmp_path, size=3)
    assert list(listed(files)) == ["cat/0.png", "cat/1.png", "dog/a.png", "dog/b.png", "eel/x.png"]
    assert all(name.startswith(label) for name, label in listed(files).items())
    assert files.labels.tolist() == [0, 0, 1, 1, 2]
    assert files.labels.dtype == np.int64
    assert list(files.class_names) == ["cat", "dog", "eel"]
    assert len(files) == 5
    pixels, indices = files.read([3, 0, 2])
    assert pixels[:, 0, 0, 0].tolist() == [0, 4, 1]  # dog/b, cat/0, dog/a
    assert indices == [3, 0, 2]
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 3, 3, 3))


def test_deeper_folders_belong_to_the_class(tmp_path):
    write_all(tmp_path, ["a/1.png", "a/x/1.png", "a/x/y/z/2.png", "b/only/deep/1.png"])
    assert listed(ImageFiles.in_folder(tmp_path)) == {
        "a/1.png": "a",
        "a/x/1.png": "a",
        "a/x/y/z/2.png": "a",
        "b/only/deep/1.png": "b",
    }


def test_hidden_files_and_folders_are_ignored(tmp_path):
    write_all(tmp_path, ["a/1.png", "b/1.png"])
    (tmp_path / "a" / "._1.png").write_bytes(b"\0\5\x16\7")  # what a Mac leaves on foreign discs
    write_all(tmp_path, ["a/.thumbnails/1.png", "b/x/.cache/y/1.png", ".git/1.png"])
    assert set(listed(ImageFiles.in_folder(tmp_path))) == {"a/1.png", "b/1.png"}


def test_a_hidden_folder_above_the_root_hides_nothing(tmp_path):
    root = write_all(tmp_path / ".cache" / "data", ["a/1.png", "b/1.png"])
    assert len(ImageFiles.in_folder(root)) == 2


def test_suffixes_in_upper_case_and_files_that_are_no_images(tmp_path):
    for name in ["a/1.PNG", "a/2.Jpg", "b/3.JPEG", "b/4.BMP", "b/5.TIFF", "b/6.WebP"]:
        write(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("none")
    (tmp_path / "a" / "folder.png").mkdir()
    (tmp_path / "readme.png").write_text("a file beside the class folders")
    with pytest.warns(ExploreWarning, match=r"1 file \.txt is passed over"):
        files = ImageFiles.in_folder(tmp_path, size=4)
    assert [file.name for file in files.files] == [
        "1.PNG", "2.Jpg", "3.JPEG", "4.BMP", "5.TIFF", "6.WebP",
    ]  # fmt: skip
    pixels, _ = files.read(range(6))
    assert (pixels.float() - torch.tensor([9.0, 8, 7]).view(3, 1, 1)).abs().max() <= 3


def test_the_first_of_each_class_by_name(tmp_path):
    write_all(tmp_path, [f"{label}/{n:02}.png" for label in "ab" for n in range(12)])
    write_all(tmp_path, ["c/0.png"])
    files = ImageFiles.in_folder(tmp_path, count=np.int64(3))
    expected = [f"{label}/{n:02}.png" for label in "ab" for n in range(3)]
    assert list(listed(files)) == [*expected, "c/0.png"]
    assert len(ImageFiles.in_folder(tmp_path, count=99)) == 25


@pytest.mark.parametrize("above", ["", "train/"])
def test_a_class_may_be_called_train(tmp_path, above):
    write_all(tmp_path, [f"{above}bus/1.png", f"{above}train/1.png", f"{above}tram/1.png"])
    assert list(ImageFiles.in_folder(tmp_path).class_names) == ["bus", "train", "tram"]


def test_the_classes_of_a_subset_in_the_order_of_its_labels(tmp_path):
    folders = {"n02123045": "tabby", "n02123159": "tiger cat", "n02123394": "Persian cat",
               "n02123597": "Siamese cat", "n02124075": "Egyptian cat", "n02129165": "lion",
               "n02129604": "tiger", "n02128925": "jaguar", "n02128757": "snow leopard",
               "n02127052": "lynx"}  # fmt: skip
    write_all(tmp_path, [f"train/{folder}/{folder}_1.JPEG" for folder in sorted(folders)])
    (tmp_path / "train" / "n00000000").mkdir()  # an empty class of another subset
    files = ImageFiles.in_folder(tmp_path, subset="meow")
    assert list(files.class_names) == list(folders.values())
    assert [file.parent.name for file in files.files] == list(folders)
    for name in ("n02123394", "n02127052"):
        shutil.rmtree(tmp_path / "train" / name)
    words = (
        r"train lacks 2 of the 10 classes of meow: Persian cat \(n02123394\), lynx \(n02127052\)"
    )
    with pytest.raises(DataMissing, match=words):
        ImageFiles.in_folder(tmp_path, subset="meow")


def test_a_subset_that_lists_a_class_twice_has_one_class_less(tmp_path):
    with (
        pytest.warns(ExploreWarning, match="banjo"),
        pytest.raises(DataMissing, match="9 of the 9"),
    ):
        ImageFiles.in_folder(tmp_path, subset="music_hard")


# ---- what is refused


@pytest.mark.parametrize("path", ["", None, 7])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(InvalidInput, match="path must be a folder of class folders, got"):
        ImageFiles.in_folder(path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(
        DataMissing, match="nowhere does not exist; path must be a folder of class folders"
    ):
        ImageFiles.in_folder(tmp_path / "nowhere")
    with pytest.raises(DataMissing, match=r"1\.png is a file; path must be"):
        ImageFiles.in_folder(write(tmp_path / "1.png"))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.png"], "contains no class folders; path must be the folder above two or more classes"),
        (["a/1.png", "a/x/2.png"], "contains only one class folder; path must be"),
        (["train/a/1.png", "b/1.png"], "train contains only one class folder"),
        (["a/1.png", "b/", "c/", "d/1.png"], r"no image \(\.avif, .*\) in b, c below .*; remove"),
    ],
)
def test_an_odd_folder_is_refused(tmp_path, names, words):
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "notes.txt").write_text("none")
        else:
            write(tmp_path / name)
    with pytest.raises(InvalidInput, match=words):
        ImageFiles.in_folder(tmp_path)


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 2.5}, {"count": 0}, {"count": "all"}])
def test_bad_numbers_are_named(tmp_path, options):
    write_all(tmp_path, ["a/1.png", "b/1.png"])
    (name,) = options
    with pytest.raises(InvalidInput, match=f"{name} must be a whole number of at least 1"):
        ImageFiles.in_folder(tmp_path, **options)


def test_an_unknown_subset_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="unknown subset 'wolf'"):
        ImageFiles.in_folder(tmp_path, subset="wolf")


# ---- what is read


def test_an_unreadable_file_is_named_or_left_out(tmp_path):
    write_all(tmp_path, [f"{label}/{n}.png" for label in "ab" for n in range(4)])
    for name in ("a/2.png", "b/1.png"):
        (tmp_path / name).write_bytes(b"no image")
    files = ImageFiles.in_folder(tmp_path, size=4)
    assert len(files) == 8  # nothing is decoded before it is read
    with pytest.raises(InvalidInput, match=r"b/1\.png cannot be read as an image"):
        files.read([7, 5, 0])
    pixels, indices = files.read([7, 2, 5, 0, 4], skip_unreadable=True)
    assert indices == [7, 0, 4]
    assert pixels[:, 0, 0, 0].tolist() == [7, 0, 4]  # the number of the file, see write_all
    pixels, indices = files.read([5, 2], skip_unreadable=True)
    assert (indices, pixels.shape, pixels.dtype) == ([], (0, 3, 4, 4), torch.uint8)
    assert files.read([0, 4])[1] == [0, 4]


def test_grey_and_cmyk_images_have_three_channels(tmp_path):
    write(tmp_path / "a" / "grey.png", 77, mode="L")
    write(tmp_path / "a" / "one.png", 1, mode="1")
    write(tmp_path / "b" / "ink.jpg", (0, 255, 255, 0), mode="CMYK", quality=100)
    write(tmp_path / "b" / "see.png", (10, 20, 30, 40), mode="RGBA")
    pixels, _ = ImageFiles.in_folder(tmp_path, size=5).read(range(4))
    assert pixels.shape == (4, 3, 5, 5)
    colours = pixels[..., 2, 2].tolist()
    assert colours[0] == [77] * 3
    assert colours[1] == [255] * 3
    assert np.abs(np.subtract(colours[2], [255, 0, 0])).max() <= 3  # neither magenta nor yellow
    assert colours[3] == [10, 20, 30]


def test_a_photograph_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.jpg", exif=exif, quality=95)
    upright, _ = ImageFiles.in_folder(tmp_path, size=8).read([0, 1])
    assert upright[:, :, :3].min() > 200  # the white left part is now the upper one
    assert upright[:, :, 5:].max() < 50


def test_images_are_resized_to_a_square(tmp_path):
    for name in ("a/1.png", "b/1.png"):
        write(tmp_path / name, size=(40, 10))
    ramp = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (10, 1))
    Image.fromarray(ramp).save(tmp_path / "b" / "1.png")
    pixels, _ = ImageFiles.in_folder(tmp_path, size=10).read([1])
    assert pixels.shape == (1, 3, 10, 10)
    # The mean over four columns; the two outer ones lack a neighbour.
    expected = ramp[0].reshape(10, 4).mean(1)
    assert np.abs(pixels[0, 1, 5, 1:-1].numpy() - expected[1:-1]).max() <= 1


# ---- what identifies the files


def test_the_description_changes_with_sizes_and_names_but_not_with_the_place(tmp_path):
    write_all(tmp_path / "one", ["a/1.png", "a/x/2.png", "b/1.png"])
    shutil.copytree(tmp_path / "one", tmp_path / "deeper" / "two" / "train")
    first = ImageFiles.in_folder(tmp_path / "one", size=7).describe()
    root = tmp_path / "deeper" / "two"
    hashes = [first["sha256"]]
    assert ImageFiles.in_folder(root, size=7).describe()["sha256"] == hashes[0]
    assert first["name"] == FILES_NAME
    assert first["shape"] == [3, 3, 7, 7]

    file = root / "train" / "a" / "1.png"
    file.write_bytes(file.read_bytes() + b"\0")
    hashes.append(ImageFiles.in_folder(root, size=7).describe()["sha256"])
    file.rename(file.with_name("3.png"))
    hashes.append(ImageFiles.in_folder(root, size=7).describe()["sha256"])
    (root / "train" / "b").rename(root / "train" / "c")
    hashes.append(ImageFiles.in_folder(root, size=7).describe()["sha256"])
    write(root / "train" / "c" / "9.png")
    hashes.append(ImageFiles.in_folder(root, size=7).describe()["sha256"])
    assert len(set(hashes)) == len(hashes)


def test_the_same_files_are_listed_again_from_the_options(tmp_path):
    write_all(tmp_path, [f"{label}/{n}.png" for label in "ab" for n in range(5)])
    files = ImageFiles.in_folder(str(tmp_path), size=np.int64(9), count=3)
    options = json.loads(json.dumps(files.describe()["options"]))
    reopened = ImageFiles.in_folder(**options)
    assert reopened.files == files.files
    assert reopened.describe() == files.describe()


# ---- memory


def pixels_in_memory(size: int) -> int:
    """Return how many decoded images of this side exist as tensors."""
    gc.collect()
    tensors = [o for o in gc.get_objects() if type(o) is torch.Tensor and o.dtype == torch.uint8]
    return sum(len(t) for t in tensors if t.ndim == 4 and t.shape[1:] == (3, size, size))


def test_batches_are_not_kept(tmp_path):
    root = write_all(tmp_path, ["a/000.png", "b/000.png"])
    for label in "ab":
        for number in range(1, 100):
            (root / label / f"{number:03}.png").hardlink_to(root / label / "000.png")
    files, batches = ImageFiles.in_folder(root, size=23), []
    length = len(pickle.dumps(files))
    for start in range(0, 200, 8):
        pixels, _ = files.read(range(start, start + 8), skip_unreadable=bool(start % 16))
        batches.append(weakref.ref(pixels))
        assert [batch() is not None for batch in batches] == [False] * (start // 8) + [True]
    del pixels
    assert pixels_in_memory(size=23) == 0  # no copy either
    assert len(pickle.dumps(files)) == length  # nothing decoded lies in the object
