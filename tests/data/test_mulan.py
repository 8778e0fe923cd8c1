"""Test Mulan's sets: a tiny one written here, the real ones by their published counts, and messages about bad files."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explore.data import (
    data_folder,
    load_multilabel,
    resolve_multilabel,
    stratification_report,
    stratified_split,
)
from explore.data.datasets.mulan import present_sets
from explore.errors import DataMissing, InvalidInput, UnknownName

XML = """<?xml version="1.0" encoding="utf-8"?>
<labels xmlns="http://mulan.sourceforge.net/labels"><label name="sea"></label><label name="b sky">
<label name="sun"/></label></labels>"""
HEADER = """% a comment
@relation tiny

@attribute depth numeric
@attribute sun {0,1}
@attribute colour {red,light-green,blue}
@attribute sea {0,1}
@attribute size {small,large}
@attribute dark {0,1}
@attribute 'b sky' {0,1}

@data
"""
TRAIN = [
    "1.5,0,red,1,small,0,0",
    "-2,1,blue,0,large,1,1",
    "0.25,1,light-green,1,small,1,0",
    "4,0,blue,0,small,0,1",
    "5,1,red,1,large,0,1",
]
TEST = ["7,1,red,0,large,1,0", "8,0,blue,0,small,0,0"]
FEATURE_NAMES = ("depth", "colour=red", "colour=light-green", "colour=blue", "size=large", "dark")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


def publish(root: Path, name: str = "tiny", compress: bool = False, **files: str | None) -> Path:
    """Write a tiny set; files are xml, train and test, and None leaves one out."""
    folder = root / "mulan" / name
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": "\n".join(TRAIN), "test": "\n".join(TEST)}
    texts: dict[str, str | None] = {
        "xml": XML,
        **{part: HEADER + rows for part, rows in parts.items()},
    }
    for part, text in {**texts, **files}.items():
        file_name = f"{name}.xml" if part == "xml" else f"{name}-{part}.arff"
        if text is not None and compress:
            (folder / f"{file_name}.gz").write_bytes(gzip.compress(text.encode()))
        elif text is not None:
            (folder / file_name).write_text(text, encoding="utf-8")
    return folder


def by_depth(*splits: Any) -> dict[float, tuple[list[float], list[float]]]:
    """Return features and labels of all samples by their first feature."""
    return {
        features[0]: (features, labels)
        for samples in splits
        for features, labels in zip(samples.inputs.tolist(), samples.labels.tolist(), strict=True)
    }


# ---- the tiny set, by hand


@pytest.mark.parametrize("compress", [False, True])
def test_a_tiny_set_by_hand(root: Path, compress: bool) -> None:
    publish(root, compress=compress)
    train, val, test = (load_multilabel("tiny", split) for split in ("train", "val", "test"))
    assert [len(samples) for samples in (train, val, test)] == [4, 1, 2]
    for samples in (train, val, test):
        assert samples.feature_names == FEATURE_NAMES
        assert samples.label_names == ("sun", "sea", "b sky"), "in the order of the attributes"
    rows = by_depth(train, val)
    assert sorted(rows) == [-2, 0.25, 1.5, 4, 5]
    assert rows[1.5] == ([1.5, 1, 0, 0, 0, 0], [0, 1, 0])
    assert rows[-2] == ([-2, 0, 0, 1, 1, 1], [1, 0, 1])
    assert rows[0.25] == ([0.25, 0, 1, 0, 0, 1], [1, 1, 0])
    assert test.inputs.tolist() == [[7, 1, 0, 0, 1, 1], [8, 0, 0, 1, 0, 0]]
    assert test.labels.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert test.unlabelled == 1


def test_features_are_standardised_by_train(root: Path) -> None:
    publish(root)
    train, test = load_multilabel("tiny"), load_multilabel("tiny", "test")
    assert train.mean == pytest.approx(train.inputs.double().mean(0).tolist())
    assert train.std[0] == pytest.approx(train.inputs[:, 0].double().std(correction=0).item())
    assert (test.mean, test.std) == (train.mean, train.std)
    assert train.batch().mean(0).abs().max() < 1e-6
    plain = load_multilabel("tiny", "test", standardize=False)
    assert torch.equal(plain.batch(), test.inputs)
    assert plain.sha256 == test.sha256
    assert (plain.options, plain.name) == ({"split": "test", "standardize": False}, "tiny")
    assert resolve_multilabel(plain.describe()).describe() == plain.describe()


def test_sets_in_the_folder_are_listed(root: Path) -> None:
    publish(root)
    publish(root, "other", compress=True)
    (root / "mulan" / "empty").mkdir()
    assert present_sets() == ["other", "tiny"]
    with pytest.raises(
        UnknownName, match=r"unknown multi-label set 'tinny'; known: .*other, .*tiny"
    ):
        load_multilabel("tinny")
    with pytest.raises(DataMissing, match=r"no set 'flags' in .*mulan, which holds other, tiny"):
        load_multilabel("flags")


# ---- what is missing or damaged


@pytest.mark.parametrize(
    ("part", "file_name"),
    [("xml", "emotions.xml"), ("train", "emotions-train.arff"), ("test", "emotions-test.arff")],
)
def test_a_missing_file_is_named(root: Path, part: str, file_name: str) -> None:
    folder = publish(root, "emotions", **{part: None})
    message = f"{file_name} (or {file_name}.gz) is missing in {folder}; put it there"
    with pytest.raises(DataMissing, match=re.escape(message)):
        load_multilabel("emotions", "test")
    if part == "test":
        assert len(load_multilabel("emotions", "train")) == 4


@pytest.mark.parametrize("name", ["../tiny", "a/b", "", "."])
def test_a_name_that_is_a_path(root: Path, name: str) -> None:
    publish(root)
    with pytest.raises(UnknownName, match="unknown multi-label set"):
        load_multilabel(name)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"xml": "<labels><label"}, "tiny.xml cannot be read as XML"),
        ({"xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}, "XML .it has a document type.; replace"),
        ({"xml": "<labels/>"}, "must have elements label with different names, got .."),
        ({"xml": XML.replace("sea", "sun")}, "different names, got .'sun', 'b sky', 'sun'."),
        ({"xml": XML.replace("sea", "fog")}, "no attribute 'fog', which the XML names as a label"),
        ({"train": "no header"}, "tiny-train.arff cannot be read as ARFF|has no rows"),
        ({"train": HEADER}, "tiny-train.arff has no rows"),
        ({"train": HEADER + "1,2"}, "tiny-train.arff cannot be read as ARFF"),
        ({"train": HEADER + TRAIN[0].replace("red", "pink")}, "cannot be read as ARFF .*pink"),
        ({"train": HEADER + "{0 1.5, 3 1}"}, "tiny-train.arff is a sparse ARFF file"),
        (
            {"train": HEADER + TRAIN[0] + "\n" + TRAIN[1].replace("-2", "?")},
            r"attribute 'depth' of row 2 is missing \(\?\)",
        ),
        (
            {"train": HEADER + TRAIN[0].replace("red", "?")},
            r"attribute 'colour' of row 1 is missing \(\?\)",
        ),
        (
            {
                "train": HEADER.replace("sea {0,1}", "sea numeric")
                + TRAIN[0].replace(",1,s", ",2,s")
            },
            "tiny-train.arff: label 'sea' must be 0 or 1, but has the values 2.0",
        ),
        (
            {"train": HEADER.replace("sea {0,1}", "sea {1,2,3}") + "1.5,0,red,1,small,0,0"},
            "label 'sea' must be 0 or 1, but has the values 1, 2, 3",
        ),
        (
            {"test": HEADER.replace("depth", "height") + TEST[0]},
            "tiny-test.arff has other attributes than the training part",
        ),
    ],
)
def test_bad_files_are_named(root: Path, files: dict[str, str], words: str) -> None:
    publish(root, **files)
    with pytest.raises(InvalidInput, match=words):
        load_multilabel("tiny", "test")


def test_a_damaged_archive_is_named(root: Path) -> None:
    folder = publish(root, compress=True)
    path = folder / "tiny-train.arff.gz"
    for content in (path.read_bytes()[:-20], b"not gzip"):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=r"tiny-train.arff.gz cannot be decompressed"):
            load_multilabel("tiny")


def test_an_option_of_the_wrong_type(root: Path) -> None:
    publish(root)
    with pytest.raises(InvalidInput, match="standardize must be true or false, got 'no'"):
        load_multilabel("tiny", standardize="no")
    with pytest.raises(UnknownName, match="unknown split 'all'"):
        load_multilabel("tiny", "all")


# ---- the real sets

PUBLISHED = {
    # rows of the parts, features, labels, cardinality of the whole set (as Mulan's page states it)
    "emotions": (391, 202, 72, 6, 1.869),
    "yeast": (1500, 917, 103, 14, 4.237),
    "flags": (129, 65, 43, 7, 3.392),
}


@pytest.mark.data("mulan")
@pytest.mark.parametrize("name", PUBLISHED)
def test_real_sets_have_the_published_counts(name: str) -> None:
    train_rows, test_rows, features, labels, cardinality = PUBLISHED[name]
    if not (data_folder() / "mulan" / name).is_dir():
        pytest.skip(f"needs the set {name} in {data_folder() / 'mulan'}; set EXPLORE_DATA")
    splits = {split: load_multilabel(name, split) for split in ("train", "val", "test")}
    sizes = {split: len(samples) for split, samples in splits.items()}
    assert sizes["train"] + sizes["val"] == train_rows
    assert abs(sizes["val"] - 0.2 * train_rows) < 1
    assert sizes["test"] == test_rows
    for samples in splits.values():
        assert (samples.shape, len(samples.label_names)) == ((features,), labels)
        assert len(samples.feature_names) == features
    total = sum(int(samples.labels.sum()) for samples in splits.values())
    assert total / sum(sizes.values()) == pytest.approx(cardinality, abs=1e-3)
    deviation = splits["train"].batch().std(0, correction=0)
    varies = (splits["train"].inputs != splits["train"].inputs[0]).any(0)
    assert torch.allclose(deviation, varies.float(), atol=1e-4)


@pytest.mark.data("mulan/yeast")
def test_val_of_yeast_has_the_shares_of_train() -> None:
    train, val = load_multilabel("yeast"), load_multilabel("yeast", "val")
    labels = torch.cat([train.labels, val.labels])
    report = stratification_report(
        labels, {"train": range(1200), "val": range(1200, 1500)}, train.label_names
    )
    assert report["difference"].max() < 0.003
    rows = {tuple(row) for row in train.inputs.tolist()}
    assert not rows & {tuple(row) for row in val.inputs.tolist()}


@pytest.mark.data("mulan/flags")
def test_flags_against_a_reader_of_lines() -> None:
    text = (data_folder() / "mulan/flags/flags-test.arff").read_text(encoding="utf-8")
    header, _, body = text.partition("@data")
    names = re.findall(r"@attribute (\S+)", header)
    rows = [line.split(",") for line in body.split("\n") if line.strip()]
    test = load_multilabel("flags", "test")
    for number, row in enumerate(rows):
        expected = dict(zip(names, map(float, row), strict=True))
        assert test.labels[number].tolist() == [expected[name] for name in test.label_names]
        for feature, value in zip(test.feature_names, test.inputs[number].tolist(), strict=True):
            name, _, choice = feature.partition("=")
            assert value == (expected[name] == float(choice) if choice else expected[name])


def test_the_share_of_val(root: Path) -> None:
    generator = np.random.default_rng(0)
    table = generator.random((200, 3)) < [0.5, 0.2, 0.05]
    rows = [
        f"{number},{int(sun)},red,{int(sea)},small,0,{int(sky)}"
        for number, (sun, sea, sky) in enumerate(table)
    ]
    publish(root, train=HEADER + "\n".join(rows))
    val = load_multilabel("tiny", "val")
    assert val.inputs[:, 0].tolist() == stratified_split(table, [0.8, 0.2])[1].tolist()
