"""Files of Mulan, COCO and tables of labels that others have made."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data import load_graph_set, load_multilabel
from explore.data.datasets._file_names import is_path_below, is_plain_name
from explore.data.datasets.coco import coco128
from explore.data.datasets.label_table import label_table
from explore.data.datasets.mulan import mulan
from explore.data.datasets.tu_graphs import tu_graphs
from explore.errors import ExploreError, InvalidInput

LABELS = '<?xml version="1.0"?><labels><label name="a"/><label name="b"/></labels>'
ROWS = [f"{k}.5,{k % 2},{k // 2 % 2}" for k in range(20)]


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a", "a/b", "/etc", "a\\b", "\0", "x" * 300, None, 3, ["a"]]
)
def test_names_that_are_paths_are_no_names(name: Any) -> None:
    assert not is_plain_name(name)
    for load in (
        lambda: mulan(name=name),
        lambda: tu_graphs(name),
        lambda: load_multilabel(name),
        lambda: load_graph_set(name),
    ):
        with pytest.raises(ExploreError):
            load()


def test_paths_below_a_folder() -> None:
    assert all(map(is_path_below, ["1.jpg", "a/1.jpg", "a b/ü.png"]))
    assert not any(map(is_path_below, ["", "a//b", "./a", "a/..", "/a", "a/\0", None, 3]))


# ---- Mulan


def arff(rows: list[str], extra: str = "", end: str = "\n") -> str:
    lines = ["@relation t", "@attribute x numeric", *([extra] if extra else [])]
    return end.join([*lines, "@attribute a {0,1}", "@attribute b {0,1}", "@data", *rows]) + end


def write_mulan(root: Path, train: str | bytes = "", xml: str | bytes = LABELS) -> None:
    folder = root / "mulan" / "tiny"
    folder.mkdir(parents=True)
    train = train or arff(ROWS)
    for suffix, content in ((".xml", xml), ("-train.arff", train), ("-test.arff", arff(ROWS))):
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"tiny{suffix}").write_bytes(data)


@pytest.mark.parametrize(
    "train",
    [
        arff(ROWS, end="\r\n"),
        arff(ROWS, end="\r"),
        arff(ROWS).encode("utf-8-sig"),
        arff(ROWS).encode("utf-16"),
    ],
)
def test_line_ends_and_marks_of_other_systems(root: Path, train: Any) -> None:
    write_mulan(root, train)
    samples = load_multilabel("tiny")
    assert (len(samples), samples.feature_names, samples.label_names) == (16, ("x",), ("a", "b"))


def test_names_in_latin_1_are_read(root: Path) -> None:
    rows = [f"1,{row}" for row in ROWS]
    write_mulan(root, arff(rows, "@attribute café numeric").encode("latin-1"))
    assert load_multilabel("tiny").feature_names == ("x", "café")


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (arff([f"1e400,{k % 2},0" for k in range(20)]), "'x' of row 1 is inf, which float32"),
        (arff([f"1e300,{k % 2},0" for k in range(20)]), r"'x' of row 1 is 1e\+300"),
        (arff(["nan,0,1", *ROWS]), "'x' of row 1 is missing"),
        (arff(["1,0,1,1", *ROWS]), "line 1 after @data has 4 values, the file has 3 attributes"),
        (arff(["1,0", *ROWS]), "cannot be read as ARFF"),
        (arff(ROWS, '@attribute d date "yyyy-MM-dd"'), "cannot be read as ARFF|of type date"),
        ("@relation t\n@attribute a {0,1}\n@attribute b {0,1}\n@data\n0,1\n", "no attributes bes"),
        (b"\x00\xff\x01" * 500, "cannot be read as ARFF"),
        (" ", "cannot be read as ARFF"),
    ],
)
def test_arff_files_that_cannot_be_used(root: Path, train: Any, words: str) -> None:
    write_mulan(root, train)
    with pytest.raises(InvalidInput, match=words):
        load_multilabel("tiny")


def test_a_date_is_refused_by_its_type(root: Path) -> None:
    rows = [f"1,2001-01-0{1 + k % 9},{k % 2},0" for k in range(20)]
    write_mulan(root, arff(rows, '@attribute d date "yyyy-MM-dd"'))
    with pytest.raises(InvalidInput, match="attribute 'd' is of type date; it must be numeric"):
        load_multilabel("tiny")


def test_a_file_that_unpacks_to_gigabytes_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explore.data.datasets import mulan as module

    monkeypatch.setattr(module, "MOST_BYTES", 2**16)
    write_mulan(root)
    path = root / "mulan" / "tiny" / "tiny-train.arff"
    path.unlink()
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(b"\0" * 2**20))
    with pytest.raises(InvalidInput, match=r"tiny-train\.arff\.gz holds more than 65536 bytes"):
        load_multilabel("tiny")


# ---- COCO


def write_coco(root: Path, changes: dict[str, Any] | None = None, first: Any = "0.png") -> None:
    folder = root / "coco128"
    for name in ("annotations", "train2017"):
        (folder / name).mkdir(parents=True)
    for k in range(12):
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(folder / "train2017" / f"{k}.png")
    for outside in (root / "outside.png", folder / "outside.png"):
        Image.new("RGB", (8, 8)).save(outside)
    names = [first, *(f"{k}.png" for k in range(1, 12))]
    content = {
        "images": [{"id": k, "file_name": name} for k, name in enumerate(names)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"image_id": k, "category_id": 1 + k % 2} for k in range(12)],
        **(changes or {}),
    }
    path = folder / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "../outside.png",
        "../../outside.png",
        "a/../../outside.png",
        "/etc/passwd",
        "..\\outside.png",
        "",
        ".",
        "\0.png",
        "x" * 300,
        None,
        7,
        ["0.png"],
    ],
)
def test_file_names_lead_nowhere_else(root: Path, name: Any) -> None:
    write_coco(root, first=name)
    with pytest.raises(InvalidInput, match="file_name must be the name of a file in the folder"):
        coco128(size=8)


def test_an_absolute_path_to_an_image_is_refused(root: Path) -> None:
    write_coco(root, first=str(root / "outside.png"))
    with pytest.raises(InvalidInput, match="file_name must be the name of a file in the folder"):
        coco128(size=8)


@pytest.mark.parametrize(
    "changes",
    [
        {"images": [{"id": float("inf"), "file_name": "0.png"}]},
        {"images": [{"id": True, "file_name": "0.png"}]},
        {"images": [{"id": 1.5, "file_name": "0.png"}]},
        {"images": {"a": 1}},
        {"categories": [{"id": float("inf"), "name": "cat"}]},
        {"categories": [{"id": 1, "name": None}, {"id": 2, "name": "dog"}]},
        {"categories": [{"id": 1, "name": {}}, {"id": 2, "name": "dog"}]},
        {"categories": [{"id": 1, "name": "\ud800"}, {"id": 2, "name": "dog"}]},
        {"annotations": [{"image_id": float("inf"), "category_id": 1}]},
        {"annotations": [{"image_id": "x", "category_id": 1}]},
    ],
)
def test_annotations_that_cannot_be_used(root: Path, changes: dict[str, Any]) -> None:
    write_coco(root, changes)
    with pytest.raises(InvalidInput, match=r"instances_train2017\.json"):
        coco128(size=8)


@pytest.mark.parametrize("folder", ["../coco128", "/etc", "", None, ["a"], "a/../coco128", "\0"])
def test_a_folder_lies_in_the_data_folder(root: Path, folder: Any) -> None:
    write_coco(root)
    with pytest.raises(InvalidInput, match="folder must be the name of a folder"):
        coco128(size=8, folder=folder)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b"", b"null", b'{"images": [{"id": ' + b"9" * 5000]
)
def test_texts_that_are_no_annotations(root: Path, raw: bytes) -> None:
    write_coco(root)
    (root / "coco128" / "annotations" / "instances_train2017.json").write_bytes(raw)
    with pytest.raises(InvalidInput, match="cannot be read as annotations of COCO"):
        coco128(size=8)


# ---- tables of labels


def write_table(root: Path, names: dict[int, str] | None = None, end: str = "\n") -> str:
    (root / "images").mkdir()
    for k in range(12):
        Image.new("RGB", (8, 8), (20 * k, 0, 0)).save(root / "images" / f"{k}.png")
    Image.new("RGB", (8, 8)).save(root / "outside.png")
    rows = [f"{(names or {}).get(k, f'{k}.png')},{k % 2},{int(k > 4)}" for k in range(12)]
    return end.join(["file,sea,sun", *rows, ""])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_of_other_systems(root: Path, encoding: str, end: str) -> None:
    (root / "t.csv").write_bytes(write_table(root, end=end).encode(encoding))
    samples = label_table(path=root / "t.csv", images=root / "images")
    assert (len(samples), samples.label_names) == (8, ("sea", "sun"))


@pytest.mark.parametrize("name", ["../outside.png", "/etc/passwd", "..", "./0.png", "\0"])
def test_files_of_a_table_lie_in_the_folder(root: Path, name: str) -> None:
    (root / "t.csv").write_text(write_table(root, {0: name}), encoding="utf-8")
    with pytest.raises(InvalidInput, match="which is not an image in"):
        label_table(path=root / "t.csv", images=root / "images")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": "sea"}, "labels must be a list of names"),
        ({"labels": 3}, "labels must be a list of names"),
        ({"column": ["file"]}, "column must be a text"),
        ({"seed": "1"}, "seed"),
        ({"size": 2**40}, "size"),
        ({"path": "\0"}, "path must be a path"),
        ({"images": "x" * 5000}, "images|is not a folder"),
    ],
)
def test_options_of_a_table(root: Path, options: dict[str, Any], words: str) -> None:
    (root / "t.csv").write_text(write_table(root), encoding="utf-8")
    with pytest.raises(ExploreError, match=words):
        label_table(**{"path": root / "t.csv", "images": root / "images", **options})


def test_a_table_of_too_many_columns_is_refused_at_once(root: Path) -> None:
    write_table(root)
    columns = ",".join(f"c{k}" for k in range(20_000))
    (root / "t.csv").write_text(f"file,{columns}\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="columns, more than 10000; keep those of labels"):
        label_table(path=root / "t.csv", images=root / "images")


# ---- options of generated sets


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("count", lambda: load_graph_set("motifs", count=2**40)),
        ("seed", lambda: load_graph_set("motifs", count=2, seed="0")),
        ("types", lambda: load_graph_set("motifs", count=2, types=True)),
        ("bytes", lambda: load_multilabel("digit-pairs", count=2**40)),
        ("bytes", lambda: load_multilabel("digit-pairs", count=10, size=10**6)),
        ("objects", lambda: load_multilabel("digit-pairs", count=2, objects="2")),
        ("objects", lambda: load_multilabel("digit-pairs", count=2, objects=np.array([1.5, 2]))),
        ("cooccurrence", lambda: load_multilabel("digit-pairs", count=2, cooccurrence="0.5")),
        ("digits", lambda: load_multilabel("digit-pairs", count=2, digits=["digits"])),
    ],
)
def test_options_of_generated_sets(words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=words):
        call()


def test_a_range_of_objects_may_be_an_array() -> None:
    for objects in (np.array([1, 3]), torch.tensor([1, 3]), [np.int64(1), 3]):
        assert load_multilabel("digit-pairs", count=3, objects=objects).options["objects"] == [1, 3]
