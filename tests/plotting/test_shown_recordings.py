"""What a picture is asked to show, and the file that it is written to: shown, or refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.distill.figures.evolution import evolution
from explore.distill.figures.untrained import untrained
from explore.errors import InvalidInput, UnknownName
from explore.plotting.export import check_target, select_evenly, write_html
from explore.plotting.figure_files import save_figure
from explore.plotting.mosaic import mosaic, where
from explore.plotting.selection import by_name, list_recordings


@pytest.fixture(scope="module")
def recording() -> xarray.Dataset:
    return open_recording(shipped("data/digits-dm.zarr.zip")).load().isel(step=slice(0, 3))


@pytest.fixture(scope="module")
def survey() -> xarray.Dataset:
    return open_recording(shipped("data/digits-untrained.zarr.zip")).load()


@pytest.mark.parametrize("step", [2, 2.0, np.int64(2), np.array(2)], ids=repr)
def test_every_whole_number_is_a_step(step: Any, recording: xarray.Dataset) -> None:
    assert evolution(recording, step).now.values.tolist() == [2]


@pytest.mark.parametrize("step", ["1", float("nan"), 0.5, -1, True, [1], float("inf")], ids=repr)
def test_what_is_no_step_is_refused(step: Any, recording: xarray.Dataset) -> None:
    with pytest.raises(InvalidInput, match="step must be a whole number of at least 0, got"):
        evolution(recording, step)


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        ([], "recordings must be one recording or more, got none"),
        (None, "a recording must be what open_recording returns, got None"),
        ("runs/a.zarr", "a recording must be what open_recording returns, got 'runs/a.zarr'"),
        ([Path("a.zarr")], "a recording must be what open_recording returns, got PosixPath"),
        (3, "a recording must be what open_recording returns, got 3"),
    ],
)
def test_what_is_no_recording_is_refused(recordings: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        evolution(recordings)


def test_recordings_that_cannot_be_shown_are_refused(
    recording: xarray.Dataset, survey: xarray.Dataset
) -> None:
    with pytest.raises(InvalidInput, match="shows one recording, got 2; leave the others out"):
        untrained([survey, survey])
    with pytest.raises(InvalidInput, match="expected a recording of an attention-matching run"):
        evolution(survey)
    with pytest.raises(InvalidInput, match="holds no frames"):
        evolution(recording.isel(step=slice(0, 0)))
    with pytest.raises(InvalidInput, match="no configuration"):
        evolution(recording.assign_attrs(config="dm"))
    with pytest.raises(InvalidInput, match="lacks what the picture shows"):
        evolution(recording.drop_vars("image"))
    with pytest.raises(InvalidInput, match=r"lacks what the picture shows .*'data'"):
        evolution(recording.assign_attrs(config={"method": "dm"}))
    with pytest.raises(InvalidInput, match="two of the recordings are of 'a'"):
        by_name(["a", "a"], [recording, recording])
    with pytest.raises(InvalidInput, match="up to 2 recordings, got 3"):
        list_recordings([recording] * 3, most=2)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"network": "0"}, "network must be a whole number"),
        ({"network": True}, "network must be a whole number"),
        ({"network": 99}, "network 99 is not in the recording"),
        ({"power": "1"}, "power must be a number"),
        ({"power": float("nan")}, "power must be a number"),
        ({"label": "cat"}, "label 'cat' is not in the recording"),
    ],
)
def test_what_a_recording_does_not_hold_is_refused(
    state: dict[str, Any], message: str, survey: xarray.Dataset
) -> None:
    with pytest.raises(InvalidInput, match=message):
        untrained(survey, **state)


# ---- files


def test_a_figure_has_only_its_states(recording: xarray.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="figure evolution has no state 'stop', 3; it has step"):
        save_figure("evolution", recording, {"stop": 1, 3: 4}, tmp_path / "a.png")  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match="state must be a mapping"):
        save_figure("evolution", recording, [1], tmp_path / "a.png")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match=r"unknown figure \['evolution'\]"):
        save_figure(["evolution"], recording, {}, tmp_path / "a.png")  # type: ignore[arg-type]


def test_the_suffix_may_be_in_capitals_and_the_folder_new(
    recording: xarray.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = save_figure("evolution", recording, {}, "~/new/deep/A.CSV")
    assert path == tmp_path / "new/deep/A.CSV"
    assert path.read_text().startswith("method,")
    page = save_figure("evolution", recording.isel(step=[0]), {}, tmp_path / "A.HTML")
    assert page.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("a.jpeg", "unknown file format 'jpeg'; known: csv, html, pdf, png, svg. The suffix of"),
        ("a", "unknown file format ''"),
        ("", "out must be a path, got ''"),
        (None, "out must be a path, got None"),
        ("a\0.png", "out must be a path"),
    ],
)
def test_an_impossible_file_is_refused_before_anything_is_drawn(out: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_target(out)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InvalidInput, match="is a folder; choose another name"):
        check_target(tmp_path / "a.png")
    with pytest.raises(UnknownName, match="file format of a page 'png'"):
        write_html(tmp_path / "b.png", None, "", [0], lambda _: None)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: select_evenly([1, 2, 3], 1), "maximum must be a whole number of at least 2"),
        (lambda: mosaic("abc"), "tiles must be an array of numbers"),
        (lambda: mosaic(np.zeros((2, 2, 2, 2))), r"tiles must be \[N, H, W\]"),
        (lambda: mosaic(np.zeros((2, 2, 2)), columns=0), "columns must be a whole number of at"),
        (lambda: mosaic(np.zeros((2, 2, 2)), gap=-1), "gap must be a whole number of at least 0"),
        (lambda: where(np.zeros(3)), r"weights must be numbers \[H, W\]"),
    ],
)
def test_impossible_tiles_are_refused(call: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()


def test_gaps_between_integers_are_zero() -> None:
    assert mosaic(np.ones((2, 1, 1), int)).tolist() == [[1, 0, 1]]
