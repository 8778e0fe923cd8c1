"""Test data sets: disjoint splits, bytes as in the source, a normalisation that can be undone, and the error messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from explore.data import ImageSet, data_folder, load
from explore.data.image_set import channel_statistics
from explore.errors import DataMissing, InvalidInput, UnknownName

SPLITS = ("train", "val", "test")
VISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
real = [pytest.param(name, marks=pytest.mark.data(f"{kind}/raw")) for name, kind in VISION.items()]


def contents(image_set: ImageSet) -> Counter:
    return Counter(
        (image.numpy().tobytes(), int(label))
        for image, label in zip(image_set.images, image_set.labels, strict=True)
    )


def every_byte(mean: tuple[float, ...] = (0.1307,), std: tuple[float, ...] = (0.3081,)) -> ImageSet:
    """Return one image of 16×16 with all 256 bytes in each channel."""
    images = (
        torch.arange(256, dtype=torch.uint8)
        .view(1, 1, 16, 16)
        .expand(2, len(mean), -1, -1)
        .contiguous()
    )
    return ImageSet("bytes", images, torch.tensor([0, 1]), ("a", "b"), mean, std)


# ---- digits


def test_digits_are_those_of_scikit_learn_each_in_one_split():
    from sklearn.datasets import load_digits

    raw = load_digits()
    parts = [load("digits", split, size=8, margin=0) for split in SPLITS]
    assert [len(part) for part in parts] == [1297, 100, 400]
    images = np.rint(raw.images * 255 / 16).astype(np.uint8)[:, None]
    expected = Counter(
        (image.tobytes(), int(label)) for image, label in zip(images, raw.target, strict=True)
    )
    assert sum((contents(part) for part in parts), Counter()) == expected
    assert not set(contents(parts[0])) & set(contents(parts[2]))


def test_each_split_of_digits_holds_all_classes():
    for split in SPLITS:
        shares = load("digits", split).labels.bincount(minlength=10) / len(load("digits", split))
        assert shares.min() > 0.04
        assert shares.max() < 0.2


def test_digits_are_the_same_every_time_and_touch_no_random_state():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert load("digits").sha256 == load("digits").sha256
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(("size", "margin"), [(16, 2), (28, 4), (32, 0), (9, 4), (12, 2)])
def test_digits_stand_on_a_black_margin(size, margin):
    image_set = load("digits", "val", size=size, margin=margin)
    assert image_set.images.shape == (100, 1, size, size)
    inside = torch.zeros(size, size, dtype=torch.bool)
    inside[margin : size - margin, margin : size - margin] = True
    assert not image_set.images[:, :, ~inside].any()
    assert image_set.images[:, :, inside].any()


def test_digits_are_enlarged_as_pillow_does_it():
    from PIL import Image

    small, large = load("digits", "val", size=8, margin=0), load("digits", "val", size=17, margin=2)
    assert torch.equal(small.labels, large.labels)
    for before, after in zip(small.images[:, 0], large.images[:, 0, 2:-2, 2:-2], strict=True):
        expected = Image.fromarray(before.numpy().astype(np.float32)).resize(
            (13, 13), Image.Resampling.BILINEAR
        )
        assert np.abs(np.asarray(expected) - after.numpy()).max() <= 1


def test_digits_are_normalised_by_the_training_part():
    train, test = load("digits"), load("digits", "test")
    assert (train.mean, train.std) == (test.mean, test.std)
    assert train.batch().mean().abs() < 1e-4
    assert train.batch().std().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("options", [{"margin": 8}, {"size": 3}, {"margin": -1}])
def test_a_size_without_space_for_the_digits_is_refused(options):
    with pytest.raises(InvalidInput, match="pass a margin from 0 to"):
        load("digits", **options)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("name", "options"), [("digits", {"size": 12}), ("scenes", {"count": 20, "clutter": 1})]
)
def test_a_set_can_be_loaded_from_its_options(name, options, split):
    image_set = load(name, split, **options)
    assert load(image_set.name, **image_set.options).sha256 == image_set.sha256


# ---- MNIST and Fashion-MNIST


def idx(path: Path) -> np.ndarray:
    """Write the IDX format by its definition: two zeros, type 8, number of dimensions, their lengths, bytes."""
    raw = path.read_bytes()
    assert raw[:3] == b"\0\0\x08"
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


@pytest.mark.parametrize("name", real)
def test_the_bytes_are_those_of_the_files_with_splits_as_documented(name):
    raw = data_folder() / VISION[name] / "raw"
    files = {
        part: (idx(raw / f"{part}-images-idx3-ubyte"), idx(raw / f"{part}-labels-idx1-ubyte"))
        for part in ("train", "t10k")
    }
    cuts = {
        "train": ("train", slice(0, 55_000)),
        "val": ("train", slice(55_000, 60_000)),
        "test": ("t10k", slice(0, 10_000)),
    }
    for split, (part, rows) in cuts.items():
        image_set = load(name, split)
        assert (image_set.images[:, 0].numpy() == files[part][0][rows]).all()
        assert (image_set.labels.numpy() == files[part][1][rows]).all()
        assert (image_set.images.dtype, image_set.labels.dtype) == (torch.uint8, torch.int64)
        assert len(image_set) == rows.stop - rows.start
        assert (
            image_set.labels.unique().tolist()
            == list(range(10))
            == list(range(len(image_set.class_names)))
        )


@pytest.mark.parametrize("name", real)
def test_the_normalisation_fits_and_can_be_undone_exactly(name):
    image_set = load(name)
    mean, std = channel_statistics(image_set.images)
    assert mean == pytest.approx(image_set.mean, abs=2e-3)
    assert std == pytest.approx(image_set.std, abs=2e-3)
    assert torch.equal(
        image_set.to_display(image_set.batch(slice(0, 2000))), image_set.images[:2000]
    )


@pytest.mark.parametrize("name", real)
def test_resized_as_pillow_does_it(name):
    from PIL import Image

    full, image_set = load(name, "val"), load(name, "val", size=16)
    assert image_set.images.shape == (5000, 1, 16, 16)
    for image, small in zip(full.images[:20, 0], image_set.images[:20, 0], strict=True):
        expected = np.asarray(
            Image.fromarray(image.numpy()).resize((16, 16), Image.Resampling.BILINEAR)
        )
        assert np.abs(expected.astype(int) - small.numpy()).max() <= 1
    assert load(image_set.name, **image_set.options).sha256 == image_set.sha256


@pytest.mark.parametrize("name", VISION)
@pytest.mark.parametrize("split", SPLITS)
def test_the_error_for_a_missing_set_names_files_and_folder(name, split, monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    with pytest.raises(DataMissing) as caught:
        load(name, split)
    message, folder = str(caught.value), tmp_path / VISION[name] / "raw"
    assert f"{name} is not in {folder}" in message
    for part in ("train", "t10k"):
        assert f"{part}-images-idx3-ubyte" in message
        assert f"{part}-labels-idx1-ubyte" in message
    assert "EXPLORE_DATA" in message
    assert f'load("{name}", download=True)' in message
    assert isinstance(caught.value, FileNotFoundError)
    assert not any(tmp_path.rglob("*"))  # nothing was made or fetched


def test_only_the_files_that_are_missing_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        (raw / file).touch()
    with pytest.raises(DataMissing, match="expected t10k-labels-idx1-ubyte there"):
        load("mnist")


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08\x03" + 12 * b"\0\0\0\x05", b"not an IDX file at all"]
)
def test_a_damaged_file_is_refused(content, monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(content)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DataMissing, match="expected complete files there"):
        load("mnist")


# ---- names and folders


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        (
            "digit",
            "train",
            "unknown data set 'digit'; known: .*digits, fashion-mnist, .*mnist, scenes.* Did you mean 'digits'",
        ),
        ("digits", "training", "unknown split 'training'; known: test, train, val"),
    ],
)
def test_unknown_names_list_the_known(name, split, words):
    with pytest.raises(UnknownName, match=words):
        load(name, split)


def test_the_folder_is_that_of_the_environment_or_the_platforms(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("EXPLORE_DATA", "~/sets")
    assert data_folder() == Path.home() / "sets"
    for unset in (
        lambda: monkeypatch.setenv("EXPLORE_DATA", ""),
        lambda: monkeypatch.delenv("EXPLORE_DATA"),
    ):
        unset()
        assert data_folder().parts[-2:] == ("explore", "data")


# ---- ImageSet


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        ((0.1307,), (0.3081,)),
        ((0.2860,), (0.3530,)),
        ((0.5, 0.5, 0.5), (0.195, 0.195, 0.195)),
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ((0.0,), (1.0,)),
    ],
)
def test_every_byte_is_displayed_as_it_was_loaded(mean, std):
    image_set = every_byte(mean, std)
    assert torch.equal(image_set.to_display(image_set.batch()), image_set.images)


def test_a_batch_is_the_formula():
    image_set = every_byte((0.2, 0.4), (0.5, 0.25))
    expected = (image_set.images.numpy() / 255 - np.array([0.2, 0.4])[:, None, None]) / np.array(
        [0.5, 0.25]
    )[:, None, None]
    np.testing.assert_allclose(image_set.batch(), expected, rtol=1e-5, atol=1e-6)
    assert image_set.batch().dtype == torch.float32


def test_a_batch_may_be_chosen_in_any_way_and_changes_nothing():
    image_set = load("digits", "val")
    before, normalised = image_set.images.clone(), image_set.batch()
    for indices in ([3, 1], np.array([3, 1]), torch.tensor([3, 1])):
        assert torch.equal(image_set.batch(indices), normalised[[3, 1]])
    assert torch.equal(image_set.batch(slice(5, 8)), normalised[5:8])
    assert torch.equal(image_set.batch(image_set.labels == 4), normalised[image_set.labels == 4])
    assert torch.equal(image_set.images, before)


def test_display_clips_values_out_of_range_and_keeps_leading_dimensions():
    image_set = every_byte()
    assert image_set.to_display(
        torch.tensor([-100.0, 100.0]).view(2, 1, 1, 1)
    ).flatten().tolist() == [
        0,
        255,
    ]
    x = image_set.batch().requires_grad_(True)
    assert image_set.to_display(x[0]).shape == (1, 16, 16)
    assert image_set.to_display(x.expand(4, 2, 1, 16, 16)).shape == (4, 2, 1, 16, 16)


def test_a_subset_keeps_all_that_belongs_to_its_images():
    image_set = load("scenes", count=40, objects=(1, 3))
    indices = torch.tensor([30, 2, 11])
    part = image_set.subset(indices)
    for name in ("images", "labels", "masks", "subclasses", "multi_hot"):
        assert torch.equal(getattr(part, name), getattr(image_set, name)[indices])
    for name in ("name", "class_names", "mean", "std", "subclass_names", "options"):
        assert getattr(part, name) == getattr(image_set, name)
    assert torch.equal(part.batch(), image_set.batch(indices))


def test_a_subset_of_a_set_without_masks_has_none():
    part = load("digits").subset(slice(0, 5))
    assert part.masks is part.subclasses is part.multi_hot is None
    assert repr(part) == "ImageSet('digits': 5 images, 1×16×16, 10 classes)"
    assert len(part) == 5


def test_the_hash_is_of_images_and_labels():
    import hashlib

    image_set = load("digits", "val")
    assert (
        image_set.sha256
        == hashlib.sha256(
            image_set.images.numpy().tobytes() + image_set.labels.numpy().tobytes()
        ).hexdigest()
    )
    assert image_set.subset([1, 0]).sha256 != image_set.subset([0, 1]).sha256
    assert (
        image_set.subset(slice(None, None, 2)).sha256 == image_set.subset(range(0, 100, 2)).sha256
    )


def test_statistics_equal_those_of_numpy():
    images = load("scenes", count=30).images
    mean, std = channel_statistics(images)
    values = images.numpy().astype(float) / 255
    np.testing.assert_allclose(mean, values.mean((0, 2, 3)))
    np.testing.assert_allclose(std, values.std((0, 2, 3), ddof=1))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (
            torch.zeros(2, 1, 4, 4),
            torch.zeros(2),
            r"images must be uint8 \[N, C, H, W\], got torch.float32",
        ),
        (
            torch.zeros(2, 4, 4).byte(),
            torch.zeros(2),
            r"images must be uint8 \[N, C, H, W\], got torch.uint8 \[2, 4, 4\]",
        ),
        (
            torch.zeros(2, 1, 4, 4).byte(),
            torch.zeros(3),
            r"labels must be integers \[2\], one for each of the images, got torch.int64 \[3\]",
        ),
        (
            torch.zeros(2, 1, 4, 4).byte(),
            torch.tensor([0, 2]),
            r"labels must be 0..1, as there are 2 class names; image 1 has 2",
        ),
        (
            torch.zeros(2, 1, 4, 4).byte(),
            torch.tensor([-1, 1]),
            r"labels must be 0..1, as there are 2 class names; image 0 has -1",
        ),
    ],
)
def test_an_invalid_image_set_is_refused(images, labels, words):
    with pytest.raises(InvalidInput, match=words):
        ImageSet("bad", images, labels.long(), ("a", "b"), (0.5,), (0.5,))
