"""Tables as text: cells by hand, what other programs would stumble over, and recordings picked from a full folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import xarray

from explore.core.tables import formatted, table_of, write
from explore.core.writer import Writer
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, UnknownName

NAN = float("nan")


def small(**more: Any) -> pandas.DataFrame:
    columns = {
        "data": ["digits", "digits"],
        "images_per_class": [1, 1],
        "accuracy": [0.4567, 0.5],
        "std": [0.0123, NAN],
        "n": [5, 1],
        "minus random": [NAN, -0.0432],
        "±": [NAN, 0.0111],
        "distil s": [123.4, NAN],
    }
    return pandas.DataFrame({**columns, **more})


def kept(path: Path, name: str, frame: xarray.Dataset, **config: Any) -> Path:
    """A recording of one frame, made up."""
    attributes = {
        "config": {"method": name, **config},
        "name": name,
        "steps": 1,
        "seconds": 1.0,
        "threads": 1,
    }
    with Writer.create(path, attributes, frame, 1, 1):
        return path


def scored(path: Path, method: str, accuracy: float, **more: Any) -> Path:
    from explore.distill.evaluation.config import EvaluateConfig

    data = {"name": "digits", "options": {}, "shape": [4], "sha256": "t"}
    made = {
        "config": {
            "method": method,
            "images_per_class": 1,
            "seed": 0,
            "data": {**data, "sha256": "s"},
        },
        "step": 1,
    }
    config = EvaluateConfig(
        distilled={**made, "shape": [1], "sha256": method}, networks=2, **more
    ).identity(data)
    known = {"architecture": ("architecture", np.array(["convnet"], object))}
    frame = xarray.Dataset(
        {"accuracy": (("architecture", "network"), np.float32([[accuracy, accuracy]]))}, known
    )
    return kept(path, "evaluate", frame, **config)


def test_markdown_by_hand() -> None:
    table = small()
    table.attrs["notes"] = ["One.", "Two."]
    assert formatted(table) == (
        "| data | images per class | accuracy, % | n | minus random, % | distil s |\n"
        "|---|---|---|---|---|---|\n"
        "| digits | 1 | 45.7 ± 1.2 | 5 |  | 123 |\n"
        "| digits | 1 | 50.0 | 1 | −4.3 ± 1.1 |  |\n"
        "\nOne.\n"
        "\nTwo.\n"
    )


def test_latex_by_hand() -> None:
    table = small()
    table.attrs["notes"] = ["95 % of it."]
    assert formatted(table, "latex") == (
        "\\begin{tabular}{llllll}\n\\hline\n"
        "data & images per class & accuracy, \\% & n & minus random, \\% & distil s \\\\\n\\hline\n"
        "digits & 1 & 45.7 $\\pm$ 1.2 & 5 &  & 123 \\\\\n"
        "digits & 1 & 50.0 & 1 & $-$4.3 $\\pm$ 1.1 &  \\\\\n"
        "\\hline\n\\end{tabular}\n% 95 % of it.\n"
    )


def test_csv_is_read_back_to_the_bit() -> None:
    table = small(data=['a, "b"', "c\nd"], accuracy=[1 / 3, 0.1 + 0.2])
    again = pandas.read_csv(io.StringIO(formatted(table, "csv")))
    pandas.testing.assert_frame_equal(again, table, check_exact=True)


def test_gains_have_a_sign_and_losses_too() -> None:
    rows = formatted(
        pandas.DataFrame({"minus random": [0.1234, -0.1234, 0.0], "±": [0.01, 0.01, NAN]})
    ).splitlines()[2:]
    assert rows == ["| +12.3 ± 1.0 |", "| −12.3 ± 1.0 |", "| +0.0 |"]


def test_a_spread_stands_behind_what_is_no_share_as_well() -> None:
    assert "| 0.123 ± 0.0457 |" in formatted(pandas.DataFrame({"brier": [0.1234], "std": [0.0457]}))


def test_cells_of_every_kind() -> None:
    table = pandas.DataFrame({"a": [None, True, "x", 3, 2.0, 1234567.0, [1, 2]]}, dtype=object)
    assert formatted(table).splitlines()[2:] == [
        "|  |",
        "| True |",
        "| x |",
        "| 3 |",
        "| 2 |",
        "| 1,234,567 |",
        "| [1, 2] |",
    ]


def test_markdown_keeps_its_columns_whatever_is_in_a_cell() -> None:
    lines = formatted(
        pandas.DataFrame({"data": ["a|b", "c\nd", "---"], "n": [1, 2, 3]})
    ).splitlines()
    assert lines[2:] == ["| a\\|b | 1 |", "| c d | 2 |", "| --- | 3 |"]


def test_latex_marks_all_that_it_would_take_for_a_command() -> None:
    text = formatted(
        pandas.DataFrame({"data": [r"C:\x_1", "a{b}$c^d~e", "5 % & #2"]}), "latex"
    ).splitlines()[4:7]
    assert text == [
        r"C:\textbackslash{}x\_1 \\",
        r"a\{b\}\$c\textasciicircum{}d\textasciitilde{}e \\",
        r"5 \% \& \#2 \\",
    ]


@pytest.mark.parametrize("form", ["md", "latex", "csv"])
def test_no_rows_are_a_table_of_heads(form: str) -> None:
    text = formatted(small().iloc[:0], form)
    assert "data" in text
    assert "digits" not in text


def test_another_form_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown form of a table 'html'; known: csv, latex, md"):
        formatted(small(), "html")


def test_text_is_written_where_there_was_no_folder(tmp_path: Path) -> None:
    assert write("± −\n", tmp_path / "new" / "t.md").read_bytes() == "± −\n".encode()


# ---- of a folder


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    a, b = scored(tmp_path / "a.zarr", "random", 0.25), scored(tmp_path / "b.zarr", "dm", 0.5)
    kept(tmp_path / "c.zarr", "dm", xarray.Dataset({"loss": 0.5}), images_per_class=1)
    kept(tmp_path / "d.zarr", "counting", xarray.Dataset({"loss": 0.5}))
    for name in ("a.zarr.lock", "a.zarr.checkpoint.npz", "a.safetensors", "notes.md", "e.zarr.new"):
        (tmp_path / name).write_text("no recording")
    (tmp_path / "folder").mkdir()
    everything = table_of(sorted(tmp_path.iterdir()))
    assert everything["method"].tolist() == ["random", "dm"]
    assert everything["minus random"].tolist() == pytest.approx([NAN, 0.25], nan_ok=True)
    assert table_of([str(a), str(b)])["accuracy"].tolist() == [0.25, 0.5]
    assert list(csv.DictReader(io.StringIO(formatted(everything, "csv"))))[1]["accuracy"] == "0.5"


def test_a_slash_at_the_end_which_shells_add_does_not_matter(tmp_path: Path) -> None:
    path = scored(tmp_path / "a.zarr", "random", 0.25)
    assert len(table_of([f"{path}/"])) == 1


def test_what_is_asked_for_is_handed_on(tmp_path: Path) -> None:
    paths = [
        scored(tmp_path / "a.zarr", "random", 0.25),
        scored(tmp_path / "b.zarr", "dm", 0.5, epochs=2),
    ]
    with pytest.raises(InvalidInput, match="epochs 300 and 2"):
        table_of(paths)
    assert "minus dm" in table_of(paths, against="dm", unlike=True)


def test_a_study_is_tabled_by_its_own_table_and_not_with_evaluations(tmp_path: Path) -> None:
    study = Path(__file__).parents[2] / "data" / "digits-students.zarr.zip"
    made = table_of([study], against="kd")
    assert "minus kd" in made
    assert set(made["data"]) == {"digits"}
    assert " ± " in formatted(made)
    with pytest.raises(
        InvalidInput, match="recordings of subclass-study, evaluate do not go into one table"
    ):
        table_of([study, scored(tmp_path / "a.zarr", "dm", 0.5)])


def test_nothing_to_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no recording \(.zarr, .zarr.zip\) among 1 paths"):
        table_of([tmp_path / "notes.md"])
    kept(tmp_path / "d.zarr", "dm", xarray.Dataset({"loss": 0.5}))
    with pytest.raises(
        InvalidInput, match="recordings of dm; a table is made of evaluate or subclass-study"
    ):
        table_of([tmp_path / "d.zarr"])


def test_what_is_missing_or_damaged_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    whole = scored(tmp_path / "a.zarr", "random", 0.25)
    with pytest.raises(DataMissing, match=r"b\.zarr does not exist"):
        table_of([whole, tmp_path / "b.zarr"])
    (whole / "zarr.json").write_text("{")
    with pytest.raises(RecordingDamaged, match=r"a\.zarr is damaged"):
        table_of([whole])
