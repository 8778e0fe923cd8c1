"""Test the histology sets: no patient is in two splits, and every fault of MHIST's table is reported."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explore.data import data_folder, load
from explore.data.datasets.crc_phenotypes import split_by_patient
from explore.data.datasets.mhist import COLUMNS
from explore.data.image_set import ImageSet, channel_statistics
from explore.errors import DataMissing, InvalidInput

SPLITS = ("train", "val", "test")
FOUR = ((4,), (5,), (6,), (7,))
# Votes for SSA, 0 to 7, of the official parts: aggregate counts.
VOTES = {
    "train": (537, 497, 302, 209, 151, 106, 154, 219),
    "test": (186, 208, 124, 99, 65, 62, 96, 137),
}


# ---- colon cancer cells


@pytest.fixture
def cells() -> dict[str, ImageSet]:
    if not (data_folder() / "crc_phenotypes.npz").is_file():
        pytest.skip(f"needs crc_phenotypes.npz in {data_folder()}")
    return {split: load("crc-phenotypes", split) for split in SPLITS}


@pytest.mark.data
def test_no_patient_is_in_two_splits_and_every_subclass_in_each(cells):
    with np.load(data_folder() / "crc_phenotypes.npz") as file:
        raw = {key: file[key] for key in file}
    patients: dict[bytes, set[int]] = {}
    for image, patient in zip(raw["images"].transpose(0, 3, 1, 2), raw["patient"], strict=True):
        patients.setdefault(image.tobytes(), set()).add(int(patient))
    patient_sets = {
        split: set().union(*(patients[image.numpy().tobytes()] for image in part.images))
        for split, part in cells.items()
    }
    assert (
        sum(len(result) for result in patient_sets.values())
        == len(set.union(*patient_sets.values()))
        == len(np.unique(raw["patient"]))
    )
    assert [len(patient_sets[split]) for split in SPLITS] == [36, 9, 15]
    assert sum(len(part) for part in cells.values()) == len(raw["images"])
    for split, share in (("train", 0.60), ("val", 0.15), ("test", 0.25)):
        counts = cells[split].subclasses.bincount(minlength=4)
        assert ((counts / 700 - share).abs() < 0.08).all()


@pytest.mark.data
def test_cells_are_those_of_the_file(cells):
    with np.load(data_folder() / "crc_phenotypes.npz") as file:
        images, subclass, superclass = (
            file["images"].transpose(0, 3, 1, 2),
            file["subclass"],
            file["superclass"],
        )
    expected = Counter(
        (image.tobytes(), int(s), int(y))
        for image, s, y in zip(images, subclass, superclass, strict=True)
    )
    result = Counter(
        (image.numpy().tobytes(), int(s), int(y))
        for part in cells.values()
        for image, s, y in zip(part.images, part.subclasses, part.labels, strict=True)
    )
    assert result == expected
    for part in cells.values():
        assert part.images.shape[1:] == (3, 27, 27)
        assert part.class_names == ("non-cancerous", "cancerous")
        assert part.subclass_names == ("fibroblast", "inflammatory", "epithelial", "others")
        assert part.parents == (0, 0, 1, 0)
        assert part.subclasses[:100].unique().numel() == 4  # in an order that is drawn
        assert load("crc-phenotypes", **part.options).sha256 == part.sha256
        for own, reference in zip(
            (part.mean, part.std), channel_statistics(cells["train"].images), strict=True
        ):
            assert own == pytest.approx(reference)


def fake_cells(path: Path, **changed: np.ndarray | None) -> None:
    rng = np.random.default_rng(1)
    arrays = {
        "images": rng.integers(0, 256, (200, 27, 27, 3), np.uint8),
        "subclass": np.arange(200) % 4,
        "superclass": (np.arange(200) % 4 == 2).astype(np.uint8),
        "patient": np.arange(200) // 10,
        "subclass_names": np.array(["f", "i", "e", "o"]),
        "superclass_names": np.array(["no", "yes"]),
    }
    np.savez(
        path / "crc_phenotypes.npz",
        **{key: value for key, value in {**arrays, **changed}.items() if value is not None},
    )


def test_cells_of_another_file(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    fake_cells(tmp_path)
    sets = [load("crc-phenotypes", split) for split in SPLITS]
    assert [len(part) for part in sets] == [120, 30, 50]
    assert sets[0].parents == (0, 0, 1, 0)
    assert all(part.subclasses.unique().numel() == 4 for part in sets)


def test_patients_are_divided_the_same_way_every_time():
    rng = np.random.default_rng(0)
    patient, subclass = rng.integers(0, 40, 500), rng.integers(0, 3, 500)
    first, second = split_by_patient(patient, subclass), split_by_patient(patient, subclass)
    for split in SPLITS:
        assert (first[split] == second[split]).all()
    assert sorted(np.concatenate(list(first.values()))) == list(range(500))
    patient_sets = [set(patient[table_rows]) for table_rows in first.values()]
    assert (
        not patient_sets[0] & patient_sets[1]
        | patient_sets[0] & patient_sets[2]
        | patient_sets[1] & patient_sets[2]
    )


def test_a_missing_file_of_cells_is_named_with_its_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    with pytest.raises(DataMissing, match=r"expected crc_phenotypes\.npz there.*set EXPLORE_DATA"):
        load("crc-phenotypes")
    fake_cells(tmp_path, patient=None)
    with pytest.raises(DataMissing, match=r"cannot be read from .*crc_phenotypes\.npz: .*patient"):
        load("crc-phenotypes")
    for content in (b"", b"not an archive", (tmp_path / "crc_phenotypes.npz").read_bytes()[:500]):
        (tmp_path / "crc_phenotypes.npz").write_bytes(content)
        with pytest.raises(DataMissing, match=r"cannot be read from .*Put the complete file there"):
            load("crc-phenotypes")


# ---- MHIST, of which nobody here holds a copy: a made-up one


def table_rows(repeats: int = 10, test_repeats: int = 2) -> list[list[str]]:
    """Return a table like MHIST's, with each number of votes ``repeats`` times in train and ``test_repeats`` times in test."""
    sets = []
    for part, times in (("train", repeats), ("test", test_repeats)):
        for votes in range(8):
            for i in range(times):
                sets.append(
                    [f"MHIST_{part}_{votes}_{i}.png", ("HP", "SSA")[votes >= 4], str(votes), part]
                )
    return sets


def write_table(
    folder: Path, table: list[list[str]], columns: tuple[str, ...] = COLUMNS, images: bool = True
) -> Path:
    """Write the table, and an image for each row whose red channel encodes its votes."""
    home = folder / "mhist"
    (home / "images").mkdir(parents=True, exist_ok=True)
    with (home / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *table])
    for name, _, votes, _ in table if images else []:
        Image.new("RGB", (14, 14), (30 * int(votes), 100, 7)).save(home / "images" / name)
    return home


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    return tmp_path


def votes_of(image_set: ImageSet) -> list[int]:
    return (image_set.images[:, 0, 0, 0] // 30).tolist()


@pytest.mark.parametrize(
    ("bands", "names", "grade"),
    [
        (((4, 5), (6, 7)), ["4–5", "6–7"], {4: 0, 5: 0, 6: 1, 7: 1}),
        (((7,), (6, 5, 4)), ["4–6", "7"], {4: 0, 5: 0, 6: 0, 7: 1}),
        (FOUR, ["4", "5", "6", "7"], {4: 0, 5: 1, 6: 2, 7: 3}),
        ([[4, 7], [5, 6]], ["4 and 7", "5–6"], {4: 0, 7: 0, 5: 1, 6: 1}),
        (((4, 5, 6, 7),), ["4–7"], {4: 0, 5: 0, 6: 0, 7: 0}),
    ],
)
def test_votes_become_subclasses(home, bands, names, grade):
    write_table(home, table_rows())
    for split in SPLITS:
        image_set = load("mhist", split, size=8, bands=bands)
        assert image_set.class_names == ("HP", "SSA")
        assert list(image_set.subclass_names) == [
            f"{label}, {name} of 7" for label in ("HP", "SSA") for name in names
        ]
        assert image_set.parents == (0,) * len(names) + (1,) * len(names)
        for votes, label, subclass, agreement in zip(
            votes_of(image_set),
            image_set.labels,
            image_set.subclasses,
            image_set.agreement,
            strict=True,
        ):
            agreed = max(votes, 7 - votes)
            assert label == (votes >= 4)
            assert subclass == len(names) * int(label) + grade[agreed]
            assert agreement == torch.tensor(agreed / 7)
        assert image_set.agreement.dtype == torch.float32


def test_splits_are_the_official_ones_with_a_tenth_of_train_for_val(home):
    write_table(home, table_rows(20, 3))
    sets = {split: load("mhist", split, size=4) for split in SPLITS}
    assert {split: Counter(votes_of(part)) for split, part in sets.items()} == {
        "train": Counter(dict.fromkeys(range(8), 18)),
        "val": Counter(dict.fromkeys(range(8), 2)),
        "test": Counter(dict.fromkeys(range(8), 3)),
    }
    for part in sets.values():
        assert part.mean == pytest.approx(channel_statistics(sets["train"].images)[0])
        assert part.batch().isfinite().all()
    other = load("mhist", "val", size=4, bands=FOUR)
    assert other.sha256 == sets["val"].sha256  # val does not depend on the bands


def test_the_order_of_rows_and_columns_moves_no_image_to_another_split(home):
    write_table(home, table_rows())
    images_before = Counter(
        image.numpy().tobytes() for image in load("mhist", "val", size=14).images
    )
    order = [3, 1, 0, 2]
    table = [[row[i] for i in order] for row in reversed(table_rows())]
    write_table(home, table, tuple(COLUMNS[i] for i in order), images=False)
    image_set = load("mhist", "val", size=14)
    assert Counter(image.numpy().tobytes() for image in image_set.images) == images_before


def test_a_set_has_the_requested_size_and_can_be_loaded_from_its_options(home):
    write_table(home, table_rows(5, 1))
    assert load("mhist", "test").images.shape == (8, 3, 64, 64)
    image_set = load("mhist", "val", size=np.int64(9), bands=((6, 7), (4, 5)))
    reloaded = load("mhist", **json.loads(json.dumps(image_set.options)))
    assert reloaded.sha256 == image_set.sha256
    assert torch.equal(reloaded.subclasses, image_set.subclasses)


def test_a_table_from_a_spreadsheet(home):
    path = write_table(home, table_rows(5, 1)) / "annotations.csv"
    before = load("mhist", "test", size=4).sha256
    text = path.read_text(encoding="utf-8").replace(",train", ", train ")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    assert load("mhist", "test", size=4).sha256 == before


@pytest.mark.parametrize(
    ("bands", "bits"),
    [
        (((4, 5), (6, 7)), 0.9330),
        (((4, 5, 6), (7,)), 0.9319),
        (((4,), (5, 6, 7)), 0.6363),
        (FOUR, 1.9204),
    ],
)
def test_bands_carry_the_label_bits_worked_out_from_the_official_counts(home, bands, bits):
    """Compare H(subclass | class) with that of the official train part, which is train and val together."""
    table = [
        [f"{part}_{votes}_{i}.png", ("HP", "SSA")[votes >= 4], str(votes), part]
        for part, counts in VOTES.items()
        for votes, count in enumerate(counts)
        for i in range(count)
    ]
    folder = write_table(home, table, images=False) / "images"
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    for row in table:
        (folder / row[0]).hardlink_to(folder / "one.png")
    sets = {split: load("mhist", split, size=1, bands=bands) for split in ("train", "val")}
    assert len(sets["train"]) + len(sets["val"]) == 2175
    subclasses = torch.cat([part.subclasses for part in sets.values()])
    shares = subclasses.bincount() / len(subclasses)
    labels = torch.cat([part.labels for part in sets.values()]).bincount() / len(subclasses)
    result = sum(-(p * p.log2()).sum() * sign for p, sign in ((shares, 1), (labels, -1)))
    assert float(result) == pytest.approx(bits, abs=1e-4)


# ---- bad input


@pytest.mark.parametrize(
    "bands",
    [
        (), ((4, 5), (6,)), ((4, 5), (5, 6, 7)), ((4, 5, 6, 7), ()), (4, 5, 6, 7), ((3, 4), (5, 6, 7)), ((4, 5), (6, 7, 8)),
        ((4.5, 5), (6, 7)), "4567", None, ((4, 5), (6, True)), 4,
    ],
)  # fmt: skip
def test_an_unknown_partition_is_refused(home, bands):
    with pytest.raises(
        InvalidInput,
        match=r"bands=.* is not a partition of 4, 5, 6, 7.*such as \(\(4, 5\), \(6, 7\)\)",
    ):
        load("mhist", bands=bands)


@pytest.mark.parametrize("size", [0, 3.5, None, True])
def test_a_bad_size_is_named(home, size):
    with pytest.raises(InvalidInput, match="size must be a whole number of at least 1"):
        load("mhist", size=size)


def test_missing_files_are_named(home):
    with pytest.raises(
        DataMissing,
        match=r"expected annotations\.csv and the folder images there.*bmirds.*EXPLORE_DATA",
    ):
        load("mhist")
    folder = write_table(home, table_rows(2, 1))
    for name in ("MHIST_train_3_1.png", "MHIST_test_0_0.png"):
        (folder / "images" / name).unlink()
    for split in SPLITS:
        with pytest.raises(
            DataMissing, match=r"MHIST_train_3_1\.png and 1 more are not in .*images"
        ):
            load("mhist", split)


@pytest.mark.parametrize("column", range(4))
def test_a_missing_column_is_named_beside_those_there_are(home, column):
    columns = tuple(f"other {i}" if i == column else name for i, name in enumerate(COLUMNS))
    write_table(home, table_rows(1, 1), columns, images=False)
    with pytest.raises(InvalidInput) as caught:
        load("mhist")
    assert f"has no column {COLUMNS[column]!r}; it has {', '.join(map(repr, columns))}" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {1: "SSA"},
            "labelled SSA, but 2 of 7 annotators chose SSA; correct the label or the votes",
        ),
        ({2: "4"}, "labelled HP, but 4 of 7"),
        ({1: "hp"}, "the label 'hp'; expected a name and HP or SSA"),
        ({1: ""}, "the label ''"),
        ({2: "8"}, "'8' votes; expected an integer from 0 to 7"),
        ({2: "-1"}, "'-1' votes"),
        ({2: "2.0"}, "'2.0' votes"),
        ({2: "²"}, "'²' votes"),
        ({2: "9" * 5000}, "votes; expected"),
        ({2: ""}, "'' votes"),
        ({3: "val"}, "in the partition 'val'; expected train or test"),
        ({3: ""}, "in the partition ''"),
        ({0: "MHIST_train_0_0.png"}, r"has 2 rows of MHIST_train_0_0\.png; keep one"),
    ],
)
def test_a_bad_row_is_named(home, change, words):
    table = table_rows(2, 1)
    row = next(row for row in table if row[0] == "MHIST_train_2_1.png")
    for column, value in change.items():
        row[column] = value
    write_table(home, table, images=False)
    with pytest.raises(InvalidInput, match=words) as caught:
        load("mhist")
    assert row[0] in str(caught.value)


def test_a_row_without_a_name_or_too_short_is_named(home):
    write_table(home, [*table_rows(1, 1), ["", "HP", "0", "train"]], images=False)
    with pytest.raises(InvalidInput, match="a row without an image name"):
        load("mhist")
    write_table(home, [*table_rows(1, 1), ["short.png", "HP"]], images=False)
    with pytest.raises(InvalidInput, match=r"short\.png has '' votes"):
        load("mhist")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "has no rows"), (b"\xff\xfe\x00bad", "is not a CSV table")]
)
def test_a_file_that_is_no_table_is_refused(home, content, words):
    (write_table(home, table_rows(1, 1)) / "annotations.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        load("mhist")


def test_a_table_of_one_part_only_leaves_nothing_for_another(home):
    write_table(home, table_rows(10, 0))
    assert len(load("mhist", "val", size=4)) == 8
    with pytest.raises(InvalidInput, match="has no image for 'test'; check that it is complete"):
        load("mhist", "test", size=4)


def test_a_truncated_image_is_named(home):
    folder = write_table(home, table_rows(1, 1))
    (folder / "images" / "MHIST_test_5_0.png").write_bytes(b"")
    with pytest.raises(
        InvalidInput, match=r"MHIST_test_5_0\.png cannot be read as an image \(it is empty\)"
    ):
        load("mhist", "test", size=4)
