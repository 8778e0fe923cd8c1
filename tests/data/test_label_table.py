"""Test tables of labels beside images: values by hand, splits, missing labels, and the first mismatch by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from explore.data import load_multilabel, resolve_multilabel, stratified_split
from explore.data.image_set import channel_statistics
from explore.errors import DataMissing, InvalidInput, UnknownName

SPLITS = ("train", "val", "test")
NAMES = [f"{letter}.png" for letter in "abcdefghij"]
SEA, SUN = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1, 0, 1, 0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of ten grey images; the shade of each is its number."""
    return paint(tmp_path / "images", NAMES)


def paint(folder: Path, names: Sequence[str], mode: str = "L") -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shade: Any = number if mode == "L" else (number, 0, 9)
        Image.new(mode, (6, 4), shade).save(folder / name)
    return folder


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"file": NAMES, "sea": SEA, "sun": SUN, **columns})


def write(folder: Path, text: str) -> Path:
    path = folder.parent / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def by_shade(*parts: Any) -> dict[int, list[float]]:
    return {
        int(pixels[0, 0, 0]): labels
        for part in parts
        for pixels, labels in zip(part.inputs, part.labels.tolist(), strict=True)
    }


def load_all(folder: Path, frame: Any, **options: Any) -> list[Any]:
    return [
        load_multilabel("label-table", split, path=frame, images=folder, **options)
        for split in SPLITS
    ]


# ---- values and splits


def test_a_table_by_hand(folder: Path) -> None:
    parts = load_all(folder, table())
    assert [len(part) for part in parts] == [7, 1, 2]
    assert by_shade(*parts) == {k: [SEA[k], SUN[k]] for k in range(10)}
    assert sum(part.unlabelled for part in parts) == sum(
        not (sea or sun) for sea, sun in zip(SEA, SUN, strict=True)
    )
    expected = stratified_split(np.stack([SEA, SUN], 1), [0.7, 0.1, 0.2])
    for part, rows in zip(parts, expected, strict=True):
        assert sorted(by_shade(part)) == rows.tolist()
        assert part.label_names == ("sea", "sun")
        assert part.shape == (1, 4, 6)
        assert part.mask is None
    mean, std = channel_statistics(parts[0].inputs)
    for part in parts:
        assert (part.mean, part.std) == (mean, std), "those of train"


def test_a_file_gives_the_same_as_a_data_frame(folder: Path) -> None:
    path = write(folder, "\ufeff" + table().to_csv(index=False))
    of_file, of_frame = (load_all(folder, data) for data in (path, table()))
    for one, other in zip(of_file, of_frame, strict=True):
        assert one.sha256 == other.sha256
    assert resolve_multilabel(of_file[0].describe()).describe() == of_file[0].describe()
    with pytest.raises(InvalidInput, match="a recording does not contain a DataFrame"):
        resolve_multilabel(of_frame[0].describe())


def test_the_order_of_the_rows_does_not_matter(folder: Path) -> None:
    mixed = table().sample(frac=1, random_state=1)
    assert mixed["file"].tolist() != NAMES
    for one, other in zip(load_all(folder, table()), load_all(folder, mixed), strict=True):
        assert one.sha256 == other.sha256


@pytest.mark.parametrize("kind", [int, float, bool, str, "Int64", "boolean"])
def test_zeros_and_ones_of_any_type(folder: Path, kind: Any) -> None:
    frame = table()
    frame[["sea", "sun"]] = frame[["sea", "sun"]].astype(int).astype(kind)
    assert by_shade(*load_all(folder, frame)) == {k: [SEA[k], SUN[k]] for k in range(10)}


def test_a_column_of_splits(folder: Path) -> None:
    splits = ["test", "train", "train", "val", "train", "test", "train", "train", "train", "val"]
    parts = load_all(folder, table(split=splits))
    for part, name in zip(parts, SPLITS, strict=True):
        assert sorted(by_shade(part)) == [k for k in range(10) if splits[k] == name]
        assert part.label_names == ("sea", "sun")


def test_without_val_a_tenth_of_train_is_val(tmp_path: Path) -> None:
    names = [f"{k:02}.png" for k in range(30)]
    folder = paint(tmp_path / "images", names)
    frame = pd.DataFrame({"file": names, "odd": [k % 2 for k in range(30)]})
    parts = load_all(folder, frame.assign(split=["train"] * 20 + ["test"] * 10))
    assert [len(part) for part in parts] == [18, 2, 10]
    assert sorted(by_shade(*parts[:2])) == list(range(20))
    assert parts[1].label_counts.tolist() == [1]


def test_other_columns_subfolders_and_colours(tmp_path: Path) -> None:
    names = [f"{'ab'[k % 2]}/{k}.png" for k in range(10)]
    folder = paint(tmp_path / "photos", names, "RGB")
    (folder / "notes.txt").write_text("not an image")
    paint(folder / ".hidden", ["x.png"])
    frame = pd.DataFrame({"note": "x", "photo": names, "dog": SEA, "cat": SUN, "seen": "yes"})
    parts = load_all(folder, frame, column="photo", labels=["cat", "dog"], size=3)
    assert by_shade(*parts) == {k: [SUN[k], SEA[k]] for k in range(10)}
    assert (parts[0].label_names, parts[0].shape) == (("cat", "dog"), (3, 3, 3))
    assert (parts[0].options["labels"], parts[0].options["size"]) == (["cat", "dog"], 3)


def test_the_seed_decides_on_the_splits(folder: Path) -> None:
    first, second = (
        [sorted(by_shade(part)) for part in load_all(folder, table(), seed=seed)] for seed in (0, 1)
    )
    assert first != second


# ---- missing labels


def test_empty_cells_are_unknown_labels_only_if_allowed(folder: Path) -> None:
    text = table().to_csv(index=False).replace("d.png,1,0", "d.png,,0").replace("1,0\nj", ",0\nj")
    path = write(folder, text)
    with pytest.raises(InvalidInput) as caught:
        load_all(folder, path)
    message = f"{path}: row 4 (d.png), column 'sea' is empty; write 0 or 1, or pass missing=True"
    assert str(caught.value).startswith(message)
    parts = load_all(folder, path, missing=True)
    unknown = {
        (int(part.inputs[row, 0, 0, 0]), label)
        for part in parts
        for row, label in (~part.mask).nonzero().tolist()
    }
    assert unknown == {(3, 0)}
    assert by_shade(*parts)[3] == [0, 0]
    assert all(part.mask.all() for part in load_all(folder, table(), missing=True))


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, ""])
def test_empty_cells_of_a_data_frame(folder: Path, value: Any) -> None:
    frame = table(sun=pd.Series([*SUN[:6], value, *SUN[7:]], dtype=object))
    with pytest.raises(InvalidInput, match=r"the table: row 7 \(g.png\), column 'sun' is empty"):
        load_all(folder, frame)
    parts = load_all(folder, frame, missing=True)
    assert sum(int((~part.mask).sum()) for part in parts) == 1


# ---- mismatches


def test_a_row_without_a_file_and_a_file_without_a_row(folder: Path) -> None:
    (folder / "c.png").rename(folder / "z.png")
    message = (
        f"the table: row 3 is for 'c.png', which is not an image in {folder}; add the file, or "
        "remove the row"
    )
    with pytest.raises(InvalidInput, match=re.escape(message)):
        load_all(folder, table())
    frame = table()
    with pytest.raises(InvalidInput) as caught:
        load_all(folder, frame[frame["file"] != "c.png"])
    assert str(caught.value).startswith(f"{folder / 'z.png'} has no row in the table; add one")
    with pytest.raises(InvalidInput, match=r"b\.png \(and 1 more images\) has no row"):
        load_all(folder, frame[~frame["file"].isin(["b.png", "c.png"])])


def test_a_file_with_two_rows(folder: Path) -> None:
    frame = pd.concat([table(), table().iloc[[2]]])
    with pytest.raises(InvalidInput, match=r"the table: rows 3 and 11 are both for c\.png"):
        load_all(folder, frame)


@pytest.mark.parametrize("value", [2, -1, 0.5, "yes", "1 0"])
def test_other_values_are_named(folder: Path, value: Any) -> None:
    sea: list[Any] = [*SEA]
    sea[4] = sea[8] = value
    frame = table(sea=pd.Series(sea, dtype=object)).iloc[::-1]
    with pytest.raises(InvalidInput) as caught:
        load_all(folder, frame, missing=True)
    message = f"the table: row 2 (i.png), column 'sea' is {str(value)!r}; write 0 or 1"
    assert str(caught.value) == message


def test_images_of_several_sizes_need_a_size(folder: Path) -> None:
    Image.new("L", (9, 9)).save(folder / "b.png")
    with pytest.raises(InvalidInput, match=r"b\.png has 9×9 pixels, .*a\.png has 6×4; pass size="):
        load_all(folder, table())
    assert load_all(folder, table(), size=5)[0].shape == (1, 5, 5)
    (folder / "b.png").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"b\.png cannot be read as an image"):
        load_all(folder, table(), size=5)


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (table().rename(columns={"file": "photo"}), {}, "no column file, filename, .* are photo,"),
        (table()[["file"]], {}, "no columns of labels; its columns are file. Pass column="),
        (table(), {"column": "photo"}, "the table has no column 'photo'; its columns are file,"),
        (table(), {"labels": ["sea", "sky"]}, "the table has no column 'sky'"),
        (table().rename(columns={"sun": "sea"}), {}, "the table has two columns 'sea'; rename one"),
        (table().iloc[:0], {}, "the table has no rows"),
        (
            table(split="training"),
            {},
            r"row 1 \(a.png\), column 'split' is 'training'; write train",
        ),
        (table(split="test"), {}, r"too few rows for 'train' \(train 0, val 0, test 10\)"),
        (table(split="train"), {}, r"too few rows for 'test' \(train 9, val 1, test 0\)"),
        (table(), {"missing": "yes"}, "missing must be true or false"),
        (table(), {"size": 0}, "size must be a whole number of at least 1"),
        (table(), {"seed": -1}, "seed must be a whole number of at least 0"),
    ],
)
def test_bad_tables_and_options(folder: Path, frame: Any, options: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        load_all(folder, frame, **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as CSV"),
        ("file,sea\na.png,1,1,1\n", "cannot be read as CSV"),
        ("file,sea,sea\na.png,1,0\n", "has two columns 'sea'"),
        ("file,sea\n", "has no rows"),
        ("a.png,1\nb.png,0\n", "has no column file, filename"),
    ],
)
def test_bad_files(folder: Path, text: str, words: str) -> None:
    path = write(folder, text)
    with pytest.raises(InvalidInput, match=words) as caught:
        load_all(folder, path)
    assert str(path) in str(caught.value)


def test_a_file_of_another_encoding(folder: Path) -> None:
    path = write(folder, "")
    path.write_bytes("file,é\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match="cannot be read as CSV"):
        load_all(folder, path)


def test_what_does_not_exist(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"no\.csv is not a file; path must be a CSV file"):
        load_all(folder, tmp_path / "no.csv")
    with pytest.raises(DataMissing, match="none is not a folder; images must be the folder"):
        load_all(tmp_path / "none", table())
    for images in ("", None, 3):
        with pytest.raises(InvalidInput, match="images must be the folder of the images"):
            load_multilabel("label-table", path=table(), images=images)
    for path in ("", None, 3):
        with pytest.raises(InvalidInput, match="path must be a CSV file or a DataFrame"):
            load_multilabel("label-table", path=path, images=folder)
    with pytest.raises(InvalidInput, match="label-table needs path=, images="):
        load_multilabel("label-table")
    with pytest.raises(UnknownName, match="unknown split 'all'"):
        load_multilabel("label-table", "all", path=table(), images=folder)


def test_the_table_is_not_changed(folder: Path) -> None:
    frame = table()
    load_all(folder, frame)
    pd.testing.assert_frame_equal(frame, table())
    assert torch.is_tensor(load_all(folder, frame)[0].labels)
