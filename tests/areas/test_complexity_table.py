"""The table of complexity, and the commands that make its recordings and print it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray
from scene_folders import SHAPES, SIZE, make, publish
from toys import bits

from explore import open_recording, record
from explore.areas.complexity_table import table
from explore.cli import main as cli
from explore.core.tables import build_table

pytestmark = pytest.mark.usefixtures("_one_thread")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of scenes, one folder for each class."""
    return publish(tmp_path / "scenes")


def test_the_table_has_a_row_for_each_class_and_one_for_all(folder: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "one.zarr", tmp_path / "two.zarr", tmp_path / "notes.txt"]
    paths[2].write_text("not a recording")
    runs = [make(folder), make("scenes", kind="layercam", images=3)]
    for run, path in zip(runs, paths, strict=False):
        record(run, path)
    rows = build_table(paths)
    assert list(rows.columns) == ["data", "network", "map", "class", "images", "complexity", "std"]
    assert rows["data"].tolist() == ["scenes"] * 12  # the folder and the set have the same name
    assert rows["network"].unique().tolist() == ["scenes-vgg"]
    assert rows["map"].tolist() == ["gradcam"] * 6 + ["layercam"] * 6
    assert rows["class"].tolist() == [*sorted(SHAPES), "all classes", *SHAPES, "all classes"]
    for run, part in zip(runs, (rows[:6], rows[6:]), strict=True):
        frame = run.snapshot()
        for column, name in (("complexity", "complexity"), ("std", "deviation")):
            np.testing.assert_allclose(part[column][:5], frame[name], rtol=1e-6)
        assert part["images"].tolist() == [*frame["measured"].values, frame["measured"].sum()]
        values = frame["complexity"].values.astype(float)
        total = part.iloc[5]
        assert total["complexity"] == pytest.approx(values.mean(), rel=1e-5)
        assert total["std"] == pytest.approx(np.std(values, ddof=1), rel=1e-4)


def test_the_table_of_a_run_that_has_not_begun_is_empty_of_numbers(folder: Path) -> None:
    rows = table([record(make(folder), stop=lambda: True), xarray.Dataset({"other": 1.0})])
    assert rows["images"].tolist() == [0] * 6
    assert rows[["complexity", "std"]].isna().all(axis=None)


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command in this process and return what it prints."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    assert not left.value.code, shown.err
    return shown.out


def test_the_commands(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.zarr"
    options = ["--network", "scenes-vgg", "--size", SIZE, "--out", path]
    shown = command(capsys, "run", "complexity", folder, *options)
    expected = make(folder, kind="smoothgradcam++", batch=32).run()
    assert expected.summary() in " ".join(shown.split())
    recording = open_recording(path)
    assert bits(recording.isel(step=-1).drop_vars("step")) == bits(expected.snapshot())
    printed = command(capsys, "table", path)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    body = [line for line in lines if line and line[0] == "scenes"]
    assert [line[3] for line in body] == [*sorted(SHAPES), "all classes"]
    assert body[-1][5].startswith(f"{100 * expected.complexity:.1f} ± ")  # in percent
