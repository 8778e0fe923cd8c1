"""Test the original CIFAR sets: their splits, the authors' superclasses, and that no other file is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from explore.data import data_folder, load
from explore.data.datasets.cifar import FINE_NAMES, PARENTS, SUPERCLASSES
from explore.data.datasets.cifar_jpeg import CLASS_NAMES
from explore.errors import DataMissing, InvalidInput

SPLITS = ("train", "val", "test")
COARSE = (  # of each fine label, as in the column "coarse_labels" of the published files
    "4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7 "
    "6 13 15 3 15 0 11 1 10 12 14 16 9 11 5 5 19 8 8 15 13 14 17 18 10 "
    "16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16 "
    "12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13"
)


def batch(labels: np.ndarray, first: int, key: str) -> dict:
    """Return a batch in the format of the files; the first four bytes of an image are its number."""
    data = np.zeros((len(labels), 3072), np.uint8)
    data[:, :4] = np.arange(first, first + len(labels), dtype="<u4").view(np.uint8).reshape(-1, 4)
    data[:, 1024] = labels  # first pixel of green
    data[:, 3071] = 7  # last pixel of blue
    return {"data": data, key: labels.tolist()}


def publish(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch, per_class: int) -> np.ndarray:
    """Write files that torchvision accepts as the published ones; return the labels of the training part."""
    loader, ten = getattr(datasets, kind), kind == "CIFAR10"
    monkeypatch.setenv("EXPLORE_DATA", str(root))
    classes, key = (10, "labels") if ten else (100, "fine_labels")
    labels = np.random.default_rng(0).permutation(np.arange(classes).repeat(per_class))
    folder, sums = root / loader.base_folder, {}
    folder.mkdir()
    first = 0
    for part, part_labels in (
        ("train_list", labels),
        ("test_list", np.arange(3 * classes) % classes),
    ):
        names = [name for name, _ in getattr(loader, part)]
        sums[part] = []
        for name, share in zip(names, np.array_split(part_labels, len(names)), strict=True):
            raw = pickle.dumps(batch(share, first, key))
            (folder / name).write_bytes(raw)
            sums[part].append([name, hashlib.md5(raw).hexdigest()])
            first += len(share)
        monkeypatch.setattr(loader, part, sums[part])
    raw = pickle.dumps({loader.meta["key"]: list(CLASS_NAMES if ten else FINE_NAMES)})
    (folder / loader.meta["filename"]).write_bytes(raw)
    monkeypatch.setattr(loader, "meta", {**loader.meta, "md5": hashlib.md5(raw).hexdigest()})
    return labels


def numbers(image_set) -> np.ndarray:
    return np.ascontiguousarray(image_set.images.numpy()[:, 0, 0, :4]).view("<u4").ravel()


@pytest.mark.parametrize(
    ("name", "kind", "val"), [("cifar10", "CIFAR10", 500), ("cifar100", "CIFAR100", 100)]
)
def test_splits_are_cut_as_documented(name, kind, val, tmp_path, monkeypatch):
    labels = publish(tmp_path, kind, monkeypatch, val + 7)
    sets = {split: load(name, split) for split in SPLITS}
    expected: dict[str, list[int]] = {"train": [], "val": []}
    left = dict.fromkeys(range(labels.max() + 1), val + 7)
    for i, label in enumerate(
        labels
    ):  # by definition: it is in val if at most val of its class are left
        expected["val" if left[label] <= val else "train"].append(i)
        left[label] -= 1
    for split in ("train", "val"):
        assert numbers(sets[split]).tolist() == expected[split]
        assert sets[split].labels.tolist() == labels[expected[split]].tolist()
    assert numbers(sets["test"]).tolist() == list(range(len(labels), len(labels) + 3 * len(left)))
    for split, part in sets.items():
        assert part.images.shape == (len(part), 3, 32, 32)
        assert (part.images[:, 1, 0, 0].long() == part.labels).all()
        assert (part.images[:, 2, 31, 31] == 7).all()
        assert part.images.is_contiguous()
        assert load(name, **json.loads(json.dumps(part.options))).sha256 == part.sha256
        assert part.options["split"] == split
    assert sets["test"].class_names == (CLASS_NAMES if name == "cifar10" else FINE_NAMES)
    assert sets["val"].labels.bincount().tolist() == [val] * len(left)


def test_the_groups_are_those_of_the_authors():
    assert list(PARENTS) == [int(k) for k in COARSE.split()]
    assert len(set(FINE_NAMES)) == 100
    assert (FINE_NAMES[0], FINE_NAMES[1], FINE_NAMES[99]) == ("apple", "aquarium_fish", "worm")
    assert tuple(SUPERCLASSES) == tuple(sorted(SUPERCLASSES))


def test_coarse_labels_have_the_fine_ones_as_subclasses(tmp_path, monkeypatch):
    publish(tmp_path, "CIFAR100", monkeypatch, 101)
    fine, coarse = load("cifar100", "test"), load("cifar100", "test", labels="coarse")
    assert coarse.class_names == tuple(SUPERCLASSES)
    assert coarse.subclass_names == FINE_NAMES
    assert torch.equal(coarse.subclasses, fine.labels)
    assert coarse.labels.tolist() == [int(COARSE.split()[k]) for k in fine.labels]
    assert coarse.parents == PARENTS
    assert (fine.subclasses, fine.parents) == (None, ())
    assert torch.equal(coarse.images, fine.images)
    assert load(coarse.name, **coarse.options).sha256 == coarse.sha256 != fine.sha256
    part = coarse.subset([5, 205])
    assert part.subclasses.tolist() == [5, 5]


@pytest.mark.parametrize("labels", ["super", None, 20, ["fine"]])
def test_other_labels_are_refused(labels):
    with pytest.raises(InvalidInput, match=r"unknown labels .*; known: coarse, fine"):
        load("cifar100", labels=labels)


@pytest.mark.parametrize(("name", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
def test_missing_files_are_named_and_nothing_is_fetched(name, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    loader = getattr(datasets, kind)
    with pytest.raises(DataMissing) as caught:
        load(name)
    for file in [
        *(file for file, _ in loader.train_list + loader.test_list),
        loader.meta["filename"],
    ]:
        assert file in str(caught.value)
    assert f"{name} is not in {tmp_path / loader.base_folder}: " in str(caught.value)
    assert f'load("{name}", download=True)' in str(caught.value)
    assert not any(tmp_path.rglob("*"))


class Trap:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(("name", "kind"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
@pytest.mark.parametrize("which", [0, -1])
def test_a_file_that_is_not_the_published_one_is_never_unpickled(
    name, kind, which, tmp_path, monkeypatch
):
    publish(tmp_path, kind, monkeypatch, 10)
    loader = getattr(datasets, kind)
    files = [*(file for file, _ in loader.train_list + loader.test_list), loader.meta["filename"]]
    (tmp_path / loader.base_folder / files[which]).write_bytes(
        pickle.dumps(Trap(tmp_path / "trapped"))
    )
    for split in SPLITS:
        with pytest.raises(
            DataMissing,
            match=rf": {files[which]} not the published file \(by MD5\) and not read\. Put",
        ):
            load(name, split)
    assert not (tmp_path / "trapped").exists()
    pickle.loads((tmp_path / loader.base_folder / files[which]).read_bytes())
    assert (tmp_path / "trapped").exists()  # it would have sprung


def test_the_download_is_that_of_torchvision(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    downloads = []
    monkeypatch.setattr(
        "torchvision.datasets.cifar.download_and_extract_archive",
        lambda *part_labels, **more: downloads.append(part_labels),
    )
    with pytest.raises(DataMissing, match="test_batch"):
        load("cifar10", download=True)
    assert downloads == [(datasets.CIFAR10.url, tmp_path)]


@pytest.mark.data("cifar10")
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_jpegs_are_the_originals_in_their_order(split):
    path = data_folder() / "cifar10" / "lossless.npz"
    if not path.is_file():
        pytest.skip(f"needs exact pixels in {path}")
    with np.load(path) as file:
        exact, labels = (
            file[f"{split}_images"].transpose(0, 3, 1, 2).astype(float),
            file[f"{split}_labels"],
        )
    jpegs = load("cifar10-jpeg", split, count=int(np.bincount(labels).max()))
    rank = np.array([(labels[:i] == label).sum() for i, label in enumerate(labels)])
    off = ((exact - jpegs.images[10 * rank + labels].numpy()) ** 2).mean((1, 2, 3))
    noise = 10 * np.log10(255**2 / off)
    assert np.median(noise) == pytest.approx(30.5, abs=1)  # dB, as its source says
    assert noise.min() > 20
