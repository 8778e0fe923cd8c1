"""Test folders of labelled images: their structures, that splits never overlap, and the error messages."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from explore.data import data_folder, load
from explore.data.decoding import read_images
from explore.data.image_folder import image_folder
from explore.data.image_set import ImageSet, channel_statistics
from explore.data.splitting import shuffle_by_name, split_by_name
from explore.errors import DataMissing, ExploreWarning, InvalidInput, UnknownName

SPLITS = ("train", "val", "test")


def write_image(
    path: Path, number: int = 0, size: tuple[int, int] = (6, 6), mode: str = "RGB", **options
) -> Path:
    """Write an image file whose first pixels encode its ``number``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), (number % 251, number // 251, 128), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def write_folders(root: Path, counts: dict[str, int], **options) -> dict[str, int]:
    """Write ``counts`` images into each folder; return the number of each file by its path."""
    numbers = {}
    for folder, count in counts.items():
        for i in range(count):
            name = f"{folder}/{i:03}.png"
            numbers[name] = len(numbers)
            write_image(root / name, numbers[name], **options)
    return numbers


def image_numbers(image_set: ImageSet) -> list[int]:
    """Return the numbers of the images of a set."""
    return (
        image_set.images[:, 0, 0, 0].long() + 251 * image_set.images[:, 1, 0, 0].long()
    ).tolist()


def load_splits(root: Path, **options) -> dict[str, ImageSet]:
    return {split: image_folder(split, path=root, **options) for split in SPLITS}


# ---- trees


def test_a_folder_a_class(tmp_path):
    numbers = write_folders(tmp_path, {"dog": 20, "cat": 10})
    sets = load_splits(tmp_path)
    assert [len(sets[split]) for split in SPLITS] == [21, 3, 6]
    assert sorted(number for part in sets.values() for number in image_numbers(part)) == list(
        range(30)
    )
    for part in sets.values():
        assert part.class_names == ("cat", "dog")
        assert [("dog", "cat")[number >= 20] for number in image_numbers(part)] == [
            part.class_names[y] for y in part.labels
        ]
        assert part.subclasses is None
        assert (part.subclass_names, part.parents) == ((), ())
        assert (part.images.dtype, part.labels.dtype) == (torch.uint8, torch.int64)
    assert [part.labels.bincount().tolist() for part in sets.values()] == [[7, 14], [1, 2], [2, 4]]
    assert numbers["cat/000.png"] == 20


def test_a_folder_a_subclass_and_classes_without_any(tmp_path):
    write_folders(tmp_path, {"pet/cat/": 10, "pet/dog": 10, "wild": 10, "art/cat": 10})
    for part in load_splits(tmp_path).values():
        assert part.class_names == ("art", "pet", "wild")
        assert part.subclass_names == ("art / cat", "pet / cat", "dog", "wild")
        assert part.parents == (0, 1, 1, 2)
        assert part.subclasses.bincount(minlength=4).min() > 0
        truth = [(1, 2, 3, 0)[number // 10] for number in image_numbers(part)]
        assert part.subclasses.tolist() == truth


def test_folders_of_splits_are_the_splits(tmp_path):
    numbers = write_folders(
        tmp_path, {"train/a": 6, "train/b": 4, "val/a": 2, "val/b": 1, "test/a": 3, "other/c": 2}
    )
    with pytest.warns(ExploreWarning, match="the images in other are not read"):
        sets = load_splits(tmp_path)
    for split, part in sets.items():
        assert sorted(image_numbers(part)) == [
            number for name, number in numbers.items() if name.startswith(split)
        ]
        assert part.class_names == ("a", "b")
        assert (part.mean, part.std) == (sets["train"].mean, sets["train"].std)


def test_a_missing_val_is_cut_from_train(tmp_path):
    write_folders(tmp_path, {"train/a/x": 20, "train/a/y": 30, "train/b/z": 1, "test/a/x": 5})
    sets = load_splits(tmp_path)
    assert sets["val"].subclasses.bincount(minlength=3).tolist() == [2, 3, 0]
    assert sets["train"].subclasses.bincount().tolist() == [18, 27, 1]
    assert sorted(image_numbers(sets["train"]) + image_numbers(sets["val"])) == list(range(51))
    assert image_numbers(sets["test"]) != sorted(
        image_numbers(sets["test"])
    )  # in an order that is drawn
    assert sorted(image_numbers(sets["test"])) == [51, 52, 53, 54, 55]


def test_a_class_may_be_called_val(tmp_path):
    write_folders(tmp_path, {"val": 5, "arezzo": 5})
    assert image_folder(path=tmp_path).class_names == ("arezzo", "val")


def test_hidden_things_and_other_files_are_skipped(tmp_path):
    numbers = write_folders(tmp_path, {"a": 3, "b": 3})
    before = image_folder(path=tmp_path)
    for name in (
        ".DS_Store",
        "README.txt",
        "a/.hidden.png",
        "a/Thumbs.db",
        "b/desktop.ini",
        "__MACOSX/a/x.png",
        "labels.csv",
        ".git/x.png",
        "a/.cache/y.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"nothing to see")
    assert image_folder(path=tmp_path).sha256 == before.sha256
    assert set(image_numbers(before)) <= set(numbers.values())


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "TIFF", "webp", "jpg", "JPeG"])
def test_every_kind_of_file(tmp_path, suffix):
    options = (
        {"lossless": True}
        if suffix == "webp"
        else {"quality": 95}
        if suffix.lower().startswith("jp")
        else {}
    )
    for i, name in enumerate("ab"):
        write_image(tmp_path / name / f"1.{suffix}", 100 * i, **options)
    image_set = image_folder(path=tmp_path)
    close = 3 if suffix.lower().startswith("jp") else 0
    for image, label in zip(image_set.images, image_set.labels, strict=True):
        expected = torch.tensor([100 * int(label), 0, 128]).view(3, 1, 1)
        assert (image.int() - expected).abs().max() <= close


# ---- splits


def test_the_split_of_a_file_depends_on_names_and_seed_only(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_folders(first, {"a": 30, "b": 30})
    for file in sorted(first.rglob("*.png"), reverse=True):  # made in another order
        (second / file.relative_to(first)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, second / file.relative_to(first))
    first_sets, second_sets = load_splits(first), load_splits(second)
    assert all(first_sets[split].sha256 == second_sets[split].sha256 for split in SPLITS)
    reseeded = load_splits(first, seed=1)
    assert set(image_numbers(reseeded["test"])) != set(image_numbers(first_sets["test"]))


def test_another_class_moves_no_file_to_another_split(tmp_path):
    write_folders(tmp_path, {"a": 30, "b": 30})
    before = {split: set(image_numbers(part)) for split, part in load_splits(tmp_path).items()}
    for i in range(30):
        write_image(tmp_path / "c" / f"{i:03}.png", 60 + i)
    after = {
        split: {n for n in image_numbers(part) if n < 60}
        for split, part in load_splits(tmp_path).items()
    }
    assert after == before


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_shares_of_every_group(sizes, seed, order):
    items = [(f"{g}/{i}", g) for g, size in enumerate(sizes) for i in range(size)]
    order.shuffle(items)
    names, groups = [name for name, _ in items], [g for _, g in items]
    result = split_by_name(names, groups, val=10, test=20, seed=seed)
    assert sorted(i for part in result.values() for i in part) == list(range(len(names)))
    for split, percent in (("val", 10), ("test", 20)):
        counts = Counter(groups[i] for i in result[split])
        assert [counts[g] for g in range(len(sizes))] == [
            int(size * percent / 100 + 0.5) for size in sizes
        ]
    assert {groups[i] for i in result["train"]} == set(groups)
    tidy = sorted(names)
    repeated = split_by_name(
        tidy, [int(name.partition("/")[0]) for name in tidy], val=10, test=20, seed=seed
    )
    for split in SPLITS:
        assert [names[i] for i in result[split]] == [tidy[i] for i in repeated[split]]


def test_a_file_more_moves_few_others():
    names = [f"{i}" for i in range(100)]
    before = split_by_name(names, [0] * 100, test=20)
    after = split_by_name([*names, "new"], [0] * 101, test=20)
    for split in SPLITS:
        assert len(set(before[split]) ^ (set(after[split]) - {100})) <= 2


def test_orders_differ_by_seed_and_look_random():
    names = [f"{i:05}" for i in range(2000)]
    orders = [np.array(shuffle_by_name(names, seed)) for seed in (0, 1)]
    assert abs(np.corrcoef(orders[0], np.arange(2000))[0, 1]) < 0.1
    assert abs(np.corrcoef(*orders)[0, 1]) < 0.1


def test_one_image_of_each_is_enough_to_train_but_not_to_test(tmp_path):
    write_folders(tmp_path, {"a": 1, "b": 1})
    assert len(image_folder(path=tmp_path)) == 2
    for split in ("val", "test"):
        with pytest.raises(
            InvalidInput,
            match=f"has too few images for '{split}'; val needs 5 of one subclass, test needs 3",
        ):
            image_folder(split, path=tmp_path)


# ---- pixels


def test_images_are_resized_as_pillow_does_it(tmp_path):
    rng = np.random.default_rng(0)
    for name, shape in {
        "a/1.png": (40, 30, 3),
        "b/1.png": (16, 50, 3),
        "b/2.png": (12, 12, 3),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    image_set = image_folder(path=tmp_path, size=12)
    expected = {
        np.asarray(Image.open(file).resize((12, 12), Image.Resampling.BILINEAR))
        .transpose(2, 0, 1)
        .tobytes()
        for file in tmp_path.rglob("*.png")
    }
    assert {image.numpy().tobytes() for image in image_set.images} == expected
    assert image_set.images.shape == (3, 3, 12, 12)


def test_a_large_jpeg_is_decoded_at_less_than_its_size_and_hardly_differs(tmp_path):
    ramp = np.linspace(0, 255, 1600)
    pixels = np.stack(
        [
            np.tile(ramp, (1200, 1)),
            np.tile(ramp[:1200, None], (1, 1600)),
            np.full((1200, 1600), 90),
        ],
        -1,
    )
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "1.jpg", quality=95)
    full_size = (
        Image.open(tmp_path / "1.jpg").convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    )
    image_set = read_images([tmp_path / "1.jpg"], size=32)[0]
    assert (
        np.abs(image_set.numpy().astype(int) - np.asarray(full_size).transpose(2, 0, 1)).max() <= 3
    )


def test_grey_stays_grey_only_if_all_is(tmp_path):
    write_folders(tmp_path, {"a": 4, "b": 4}, mode="L")
    image_set = image_folder(path=tmp_path)
    assert image_set.images.shape == (6, 1, 6, 6)
    assert len(image_set.mean) == len(image_set.std) == 1
    write_image(tmp_path / "test" / "ignored.png")  # a third class, in colour
    (tmp_path / "test").rename(tmp_path / "c")
    image_set = image_folder(path=tmp_path)
    assert image_set.images.shape[1] == 3
    grey = image_set.images[image_set.labels < 2]
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_the_choice_of_channels_is_that_of_all_splits(tmp_path):
    write_folders(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1}, mode="L")
    write_folders(tmp_path, {"test/b": 1})
    assert {part.images.shape[1] for part in load_splits(tmp_path).values()} == {3}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_bytes(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    for name in "ab":
        (tmp_path / name).mkdir()
        if mode == "I;16":
            Image.fromarray(np.array([[0, 257, 65535], [128, 129, 32768]], np.uint16)).save(
                tmp_path / name / "1.png"
            )
        else:
            Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode).save(
                tmp_path / name / f"1.{suffix}"
            )
    image_set = image_folder(path=tmp_path)
    assert image_set.images.shape == (2, 1 if mode in ("1", "L", "LA", "I;16") else 3, 2, 3)
    assert image_set.images[0, 0].tolist() == (
        [[0, 1, 255], [0, 1, 128]] if mode == "I;16" else [[255] * 3] * 2
    )


def test_a_palette_with_transparency_gives_no_warning(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        image = Image.new("P", (3, 3), 1)
        image.putpalette([0, 0, 0, 10, 20, 30])
        image.save(tmp_path / name / "1.png", transparency=bytes([255, 128]))
    assert image_folder(path=tmp_path).images[0, :, 0, 0].tolist() == [10, 20, 30]


def test_a_photograph_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.jpg", exif=exif, quality=95)
    for size, shape in ((None, (2, 3, 16, 8)), (8, (2, 3, 8, 8))):
        image_set = image_folder(path=tmp_path, size=size).images
        assert image_set.shape == shape
        assert (
            image_set[:, :, : shape[2] // 4].min() > 200
        )  # the white left half is now the upper one
        assert image_set[:, :, -shape[2] // 4 :].max() < 50


def test_normalised_by_the_training_part(tmp_path):
    write_folders(tmp_path, {"a": 20, "b": 20})
    sets = load_splits(tmp_path)
    mean, std = channel_statistics(sets["train"].images)
    for part in sets.values():
        assert part.mean == mean
        assert part.std == [std[0], 1.0, 1.0]  # two channels have no contrast
        assert part.batch().isfinite().all()
        assert torch.equal(part.to_display(part.batch()), part.images)


@pytest.mark.parametrize("options", [{}, {"size": 4}, {"seed": 3, "size": np.int64(9)}])
def test_a_set_can_be_loaded_from_its_options(tmp_path, options):
    write_folders(tmp_path, {"a/x": 6, "a/y": 6, "b/z": 6})
    for split in SPLITS:
        image_set = load("folder", split, path=tmp_path, **options)
        reloaded = load(image_set.name, **json.loads(json.dumps(image_set.options)))
        assert reloaded.sha256 == image_set.sha256
        assert torch.equal(reloaded.subclasses, image_set.subclasses)


# ---- bad input


@pytest.mark.parametrize("path", ["", None, 7])
def test_an_invalid_path_is_refused(path):
    with pytest.raises(
        InvalidInput, match="path must be the folder that contains the class folders"
    ):
        image_folder(path=path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataMissing, match=r"nowhere does not exist; path must be the folder"):
        image_folder(path=tmp_path / "nowhere")
    with pytest.raises(DataMissing, match=r"1\.png is a file; path must be the folder"):
        image_folder(path=write_image(tmp_path / "a" / "1.png"))


def test_load_asks_for_the_path():
    with pytest.raises(InvalidInput, match="folder needs path=; its options are path, size, seed"):
        load("folder")
    with pytest.raises(InvalidInput, match="folder has no option 'root'; it has path, size, seed"):
        load("folder", root=".")
    with pytest.raises(UnknownName, match="unknown split of a folder 'training'"):
        image_folder("training", path=".")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "has no folders; it must have one for each class"),
        (["1.png"], r"1\.png is not in a class folder"),
        (["a/1.png", "b/1.png", "1.png"], r"/1\.png is not in a class folder; move it into one"),
        (["a/1.png", "a/x/1.png", "b/1.png"], r"/a has both images \(1\.png\) and folders \(x\)"),
        (["a/x/deep/1.png", "b/1.png"], "deep is one folder too deep"),
        (
            ["a/x/1.png", "a/y/notes.txt", "b/1.png"],
            r"a/y has no image \(\.avif, .*\); it has 1 file \.txt; remove it",
        ),
        (["a/1.png", "b/notes.txt"], r"/b has no image"),
        (["a/1.png", "a/2.png"], "contains one class only, 'a'"),
        (
            ["a/x/1.png", "b/notes.txt"],
            "b has no image",
        ),
        (["train/a/1.png", "val/a/1.png"], "contains one class only, 'a'; path must be the folder"),
        (["test/a/1.png", "val/a/1.png"], "has a folder val and test, but no folder train"),
        (
            ["train/a/1.png", "train/b/1.png", "test/c/1.png"],
            "test/c has images, but .*train/c has none; train must have",
        ),
        (
            ["train/a/x/1.png", "train/b/1.png", "test/a/1.png"],
            "test/a has images, .* with folders of the same depth",
        ),
        (["train/a/1.png", "train/b/notes.txt", "test/a/1.png"], "train/b has no image"),
    ],
)
def test_an_odd_tree_is_named(tmp_path, files, words):
    for name in files:
        if name.endswith("png"):
            write_image(tmp_path / name)
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("none")
    with pytest.raises(InvalidInput, match=words):
        image_folder(path=tmp_path)


def test_an_empty_class_in_a_test_folder_is_ignored(tmp_path):
    write_folders(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "test/a": 2})
    (tmp_path / "test" / "b").mkdir()
    assert image_folder("test", path=tmp_path).labels.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"no image at all", "UnidentifiedImageError"),
        (b"\x89PNG\r\n\x1a\n torn", r"\w+Error"),
    ],
)
@pytest.mark.parametrize("split", SPLITS)
def test_a_file_that_is_no_image_is_named(tmp_path, content, words, split):
    write_folders(tmp_path, {"a": 10, "b": 10})
    (tmp_path / "b" / "bad.png").write_bytes(content)
    with pytest.raises(
        InvalidInput,
        match=rf"b/bad\.png cannot be read as an image \({words}.*; replace or delete it",
    ):
        image_folder(split, path=tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_a_torn_file_is_named(tmp_path, suffix):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    for name in "ab":
        (tmp_path / name).mkdir()
        noise.save(tmp_path / name / f"1.{suffix}")
    bad = tmp_path / "b" / f"1.{suffix}"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    with pytest.raises(InvalidInput, match=rf"b/1\.{suffix} cannot be read as an image"):
        image_folder(path=tmp_path)


def test_pixels_that_are_no_bytes_are_named(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / name / "1.tif")
    with pytest.raises(
        InvalidInput,
        match=r"1\.tif has float32 pixels from 0\.5 to 0\.5; save it with 8 or 16 bits",
    ):
        image_folder(path=tmp_path)


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_of_another_size_is_named_whatever_the_split(tmp_path, split):
    write_folders(tmp_path, {"a": 10, "b": 10})
    write_image(tmp_path / "b" / "004.png", size=(7, 5))
    write_image(tmp_path / "b" / "006.png", size=(9, 9))
    with pytest.raises(
        InvalidInput, match=r"b/004\.png has 7×5 pixels, .*a/000\.png has 6×6; pass size="
    ):
        image_folder(split, path=tmp_path)
    assert image_folder(split, path=tmp_path, size=6).images.shape[2:] == (6, 6)


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"size": 3.5}, {"size": True}, {"size": (3, 3)}, {"seed": -1}, {"seed": None}],
)
def test_bad_numbers_are_named(tmp_path, options):
    write_folders(tmp_path, {"a": 1, "b": 1})
    (name,) = options
    with pytest.raises(InvalidInput, match=f"{name} must be a whole number of at least"):
        image_folder(path=tmp_path, **options)


def test_no_files_and_files_of_different_sizes_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no image files were given; pass one or more"):
        read_images([])
    files = [write_image(tmp_path / "1.png"), write_image(tmp_path / "2.png", size=(3, 4))]
    with pytest.raises(InvalidInput, match=r"2\.png has 3×4 pixels, .*1\.png has 6×6"):
        read_images(files)


# ---- real ones


@pytest.mark.data("cifar10")
def test_cifar_of_jpegs_is_cut_where_it_says():
    sets = {split: load("cifar10-jpeg", split, count=12) for split in SPLITS}
    numbers = {"train": ("train", 0), "val": ("train", 4500), "test": ("test", 0)}
    for split, (part, first) in numbers.items():
        assert sets[split].images.shape == (120, 3, 32, 32)
        assert sets[split].labels.tolist() == list(range(10)) * 12
        assert sets[split].subclasses is None
        for i in (0, 13, 119):
            file = (
                data_folder()
                / "cifar10"
                / part
                / sets[split].class_names[i % 10]
                / f"{first + i // 10:04}.jpg"
            )
            assert (
                np.asarray(Image.open(file)).transpose(2, 0, 1) == sets[split].images[i].numpy()
            ).all()
        assert load("cifar10-jpeg", **sets[split].options).sha256 == sets[split].sha256
    small = load("cifar10-jpeg", count=5)
    assert torch.equal(small.images, sets["train"].images[:50])
    names = sets["train"].class_names
    assert sorted(names) == sorted(
        folder.name for folder in (data_folder() / "cifar10" / "train").iterdir()
    )


@pytest.mark.data("cifar10")
def test_cifar_of_jpegs_has_the_usual_statistics_and_all_of_val():
    image_set = load("cifar10-jpeg", "val", count=10_000)
    assert image_set.labels.bincount().tolist() == [500] * 10
    mean, std = channel_statistics(image_set.images)
    assert mean == pytest.approx(image_set.mean, abs=0.01)
    assert std == pytest.approx(image_set.std, abs=0.01)


@pytest.mark.data("cifar10")
def test_cifar_of_jpegs_can_be_grouped_into_animals_and_vehicles():
    image_set = load("cifar10-jpeg", "test", count=3)
    animals = ("bird", "cat", "deer", "dog", "frog", "horse")
    coarse = image_set.grouped(
        [int(name in animals) for name in image_set.class_names], ("vehicle", "animal")
    )
    assert coarse.labels.bincount().tolist() == [12, 18]


def test_missing_cifar_says_which_files_and_where(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    first = tmp_path / "cifar10" / "train" / "airplane" / "0000.jpg"
    with pytest.raises(DataMissing, match="set EXPLORE_DATA to the folder above cifar10") as caught:
        load("cifar10-jpeg", count=2)
    assert f"{first} and 19 more of 20 files are missing" in str(caught.value)
    for name in load_names():
        write_image(tmp_path / "cifar10" / "train" / name / "0000.jpg", size=(32, 32))
    assert len(load("cifar10-jpeg", count=1)) == 10
    first.write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"0000\.jpg cannot be read as an image \(it is empty\)"):
        load("cifar10-jpeg", count=1)


def load_names() -> tuple[str, ...]:
    from explore.data.datasets.cifar_jpeg import CLASS_NAMES

    return CLASS_NAMES


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "all"])
def test_a_bad_count_is_named(count):
    with pytest.raises(InvalidInput, match="count must be a whole number of at least 1"):
        load("cifar10-jpeg", count=count)


@pytest.mark.data("imagenette")
def test_photographs_of_ten_classes(tmp_path):
    (tmp_path / "train").symlink_to(data_folder() / "imagenette" / "train")
    (tmp_path / "test").symlink_to(data_folder() / "imagenette" / "val")
    with pytest.warns(ExploreWarning, match="2 symbolic links lead outside"):
        image_set = load("folder", "test", path=tmp_path, size=32)
    assert image_set.images.shape[1:] == (3, 32, 32)
    assert len(image_set.class_names) == 10
    assert image_set.labels.bincount().min() > 10
