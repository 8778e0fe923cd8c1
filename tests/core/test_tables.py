"""Tables as text: cells by hand, special characters, and tables of the recordings in a folder."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import xarray

from explore.core.tables import build_table, format_table, write_text
from explore.core.writer import Writer
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, UnknownName

NAN = float("nan")


def example_table(**more: Any) -> pandas.DataFrame:
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


def write_recording(path: Path, name: str, frame: xarray.Dataset, **config: Any) -> Path:
    """Write a recording of one frame."""
    attributes = {"config": {"method": name, **config}, "name": name}
    attributes |= {"steps": 1, "seconds": 1.0, "threads": 1}
    with Writer.create(path, attributes, frame, 1, 1):
        return path


def write_evaluation(path: Path, method: str, accuracy: float, **more: Any) -> Path:
    from explore.distill.evaluation.config import EvaluateConfig

    data = {"name": "digits", "options": {}, "shape": [4], "sha256": "t"}
    settings = {"method": method, "images_per_class": 1, "seed": 0}
    provenance = {"config": {**settings, "data": {**data, "sha256": "s"}}, "step": 1}
    distilled = {**provenance, "shape": [1], "sha256": method}
    config = EvaluateConfig(distilled=distilled, networks=2, **more).identity(data)
    frame = xarray.Dataset(
        {"accuracy": (("architecture", "network"), np.float32([[accuracy, accuracy]]))},
        {"architecture": ("architecture", np.array(["convnet"], object))},
    )
    return write_recording(path, "evaluate", frame, **config)


def test_markdown_by_hand() -> None:
    table = example_table()
    table.attrs["notes"] = ["One.", "Two."]
    assert format_table(table) == (
        "| data | images per class | accuracy, % | n | minus random, % | distil s |\n"
        "|---|---|---|---|---|---|\n"
        "| digits | 1 | 45.7 ± 1.2 | 5 |  | 123 |\n"
        "| digits | 1 | 50.0 | 1 | −4.3 ± 1.1 |  |\n"
        "\nOne.\n"
        "\nTwo.\n"
    )


def test_latex_by_hand() -> None:
    table = example_table()
    table.attrs["notes"] = ["95 % of it."]
    assert format_table(table, "latex") == (
        "\\begin{tabular}{llllll}\n\\hline\n"
        "data & images per class & accuracy, \\% & n & minus random, \\% & distil s \\\\\n\\hline\n"
        "digits & 1 & 45.7 $\\pm$ 1.2 & 5 &  & 123 \\\\\n"
        "digits & 1 & 50.0 & 1 & $-$4.3 $\\pm$ 1.1 &  \\\\\n"
        "\\hline\n\\end{tabular}\n% 95 % of it.\n"
    )


def test_csv_keeps_all_bits() -> None:
    table = example_table(data=['a, "b"', "c\nd"], accuracy=[1 / 3, 0.1 + 0.2])
    parsed = pandas.read_csv(io.StringIO(format_table(table, "csv")))
    pandas.testing.assert_frame_equal(parsed, table, check_exact=True)


def test_differences_have_a_sign() -> None:
    rows = format_table(
        pandas.DataFrame({"minus random": [0.1234, -0.1234, 0.0], "±": [0.01, 0.01, NAN]})
    ).splitlines()[2:]
    assert rows == ["| +12.3 ± 1.0 |", "| −12.3 ± 1.0 |", "| +0.0 |"]


def test_a_spread_also_follows_a_value_that_is_not_in_percent() -> None:
    assert "| 0.123 ± 0.0457 |" in format_table(
        pandas.DataFrame({"brier": [0.1234], "std": [0.0457]})
    )


def test_cells_of_every_kind() -> None:
    table = pandas.DataFrame({"a": [None, True, "x", 3, 2.0, 1234567.0, [1, 2]]}, dtype=object)
    assert format_table(table).splitlines()[2:] == [
        "|  |",
        "| True |",
        "| x |",
        "| 3 |",
        "| 2 |",
        "| 1,234,567 |",
        "| [1, 2] |",
    ]


def test_markdown_keeps_its_columns_for_any_cell() -> None:
    lines = format_table(
        pandas.DataFrame({"data": ["a|b", "c\nd", "---"], "n": [1, 2, 3]})
    ).splitlines()
    assert lines[2:] == ["| a\\|b | 1 |", "| c d | 2 |", "| --- | 3 |"]


def test_latex_escapes_special_characters() -> None:
    text = format_table(
        pandas.DataFrame({"data": [r"C:\x_1", "a{b}$c^d~e", "5 % & #2"]}), "latex"
    ).splitlines()[4:7]
    assert text == [
        r"C:\textbackslash x\_1 \\",
        r"a\{b\}\$c\textasciicircum d\textasciitilde e \\",
        r"5 \% \& \#2 \\",
    ]


@pytest.mark.parametrize("form", ["md", "latex", "csv"])
def test_a_table_without_rows_has_its_headings(form: str) -> None:
    text = format_table(example_table().iloc[:0], form)
    assert "data" in text
    assert "digits" not in text


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown table format 'html'; known: csv, latex, md"):
        format_table(example_table(), "html")


def test_writing_creates_the_folder(tmp_path: Path) -> None:
    assert write_text("± −\n", tmp_path / "new" / "t.md").read_bytes() == "± −\n".encode()


# ---- tables of recordings


def test_other_files_are_ignored(tmp_path: Path) -> None:
    a, b = (
        write_evaluation(tmp_path / "a.zarr", "random", 0.25),
        write_evaluation(tmp_path / "b.zarr", "dm", 0.5),
    )
    write_recording(tmp_path / "c.zarr", "dm", xarray.Dataset({"loss": 0.5}), images_per_class=1)
    write_recording(tmp_path / "d.zarr", "counting", xarray.Dataset({"loss": 0.5}))
    for name in ("a.zarr.lock", "a.zarr.checkpoint.npz", "a.safetensors", "notes.md", "e.zarr.new"):
        (tmp_path / name).write_text("no recording")
    (tmp_path / "folder").mkdir()
    everything = build_table(sorted(tmp_path.iterdir()))
    assert everything["method"].tolist() == ["random", "dm"]
    assert everything["minus random"].tolist() == pytest.approx([NAN, 0.25], nan_ok=True)
    assert build_table([str(a), str(b)])["accuracy"].tolist() == [0.25, 0.5]
    assert (
        list(csv.DictReader(io.StringIO(format_table(everything, "csv"))))[1]["accuracy"] == "0.5"
    )


def test_a_slash_at_the_end_is_ignored(tmp_path: Path) -> None:
    path = write_evaluation(tmp_path / "a.zarr", "random", 0.25)
    assert len(build_table([f"{path}/"])) == 1


def test_options_reach_the_table_of_the_method(tmp_path: Path) -> None:
    paths = [
        write_evaluation(tmp_path / "a.zarr", "random", 0.25),
        write_evaluation(tmp_path / "b.zarr", "dm", 0.5, epochs=2),
    ]
    with pytest.raises(InvalidInput, match="epochs 300 and 2"):
        build_table(paths)
    assert "minus dm" in build_table(paths, against="dm", unlike=True)


def test_a_study_has_its_own_table_and_does_not_mix_with_evaluations(tmp_path: Path) -> None:
    study = Path(__file__).parents[2] / "data" / "digits-students.zarr.zip"
    table = build_table([study], against="kd")
    assert "minus kd" in table
    assert set(table["data"]) == {"digits"}
    assert " ± " in format_table(table)
    with pytest.raises(
        InvalidInput, match="recordings of subclass-study, evaluate do not fit into one table"
    ):
        build_table([study, write_evaluation(tmp_path / "a.zarr", "dm", 0.5)])


def test_paths_without_a_table_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no recording \(.zarr, .zarr.zip\) among 1 paths"):
        build_table([tmp_path / "notes.md"])
    write_recording(tmp_path / "d.zarr", "dm", xarray.Dataset({"loss": 0.5}))
    with pytest.raises(
        InvalidInput,
        match=r"got 1 recordings of dm; a table needs recordings of .*evaluate or .*subclass-study",
    ):
        build_table([tmp_path / "d.zarr"])


def test_a_missing_or_damaged_recording_is_an_error(tmp_path: Path) -> None:
    complete = write_evaluation(tmp_path / "a.zarr", "random", 0.25)
    with pytest.raises(DataMissing, match=r"b\.zarr does not exist"):
        build_table([complete, tmp_path / "b.zarr"])
    (complete / "zarr.json").write_text("{")
    with pytest.raises(RecordingDamaged, match=r"a\.zarr is damaged"):
        build_table([complete])
