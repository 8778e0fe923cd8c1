"""What sets recordings apart: rows by hand, numbers at a step, recordings of other methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from toys import CountingRun

from explore import build, record
from explore.core.compare import differences, frame_at, open_with_names, shared_figure
from explore.errors import DataMissing, InvalidInput


def made(
    config: Mapping[str, Any] | None = None,
    steps: tuple[int, ...] = (0, 2, 5),
    loss: tuple[float, ...] = (3, 2, 1),
    **about: Any,
) -> xarray.Dataset:
    attributes = {
        "name": "dm",
        "config": config or {},
        "versions": {"torch": "2"},
        "device": "a",
        "threads": 1,
        **about,
    }
    values = {
        "loss": ("step", np.float32(loss)),
        "images": (("step", "x"), np.zeros((len(steps), 2))),
    }
    return xarray.Dataset(values, {"step": list(steps)}, attributes)


def test_each_difference_is_a_row_and_what_is_the_same_is_none() -> None:
    first = made(
        {"seed": 0, "data": {"name": "digits", "options": {"size": 8}}, "width": 4}, seconds=1.23456
    )
    second = made(
        {"seed": 1, "data": {"name": "digits", "options": {"size": 9, "margin": 1}}, "width": 4},
        seconds=2.0,
        threads=2,
    )
    found = differences([first, second], ["a", "b"])
    assert list(found.columns) == ["a", "b"]
    assert found.T.to_dict("list") == {
        "seed": [0, 1],
        "data.options.size": [8, 9],
        "data.options.margin": ["", 1],
        "threads": [1, 2],
        "seconds": [1.23, 2.0],
        "step": [5, 5],
        "loss": [1.0, 1.0],
    }


def test_versions_and_machines_are_compared() -> None:
    other = made(versions={"torch": "3", "zarr": "3"}, device="b")
    found = differences([made(), other, made()], ["a", "b", "c"])
    assert found.T.to_dict("list") == {
        "version of torch": ["2", "3", "2"],
        "version of zarr": ["", "3", ""],
        "device": ["a", "b", "a"],
        "step": [5, 5, 5],
        "loss": [1.0, 1.0, 1.0],
    }


def test_what_only_the_last_has_otherwise_is_a_row_too() -> None:
    found = differences([made({"a": 1}), made({"a": 1}), made({"a": 2})], ["x", "y", "z"])
    assert found.loc["a"].tolist() == [1, 1, 2]


def test_numbers_are_those_of_the_last_frame_up_to_a_step() -> None:
    longer = made(steps=(0, 3, 4, 9), loss=(8, 7, 6, 5))
    for step, expected in (
        (None, (5, 1, 9, 5)),
        (0, (0, 3, 0, 8)),
        (3, (2, 2, 3, 7)),
        (4, (2, 2, 4, 6)),
        (99, (5, 1, 9, 5)),
    ):
        found = differences([made(), longer], ["a", "b"], step)
        assert (*found["a"][["step", "loss"]], *found["b"][["step", "loss"]]) == expected
    assert int(frame_at(made(), 2)["step"]) == 2


def test_before_the_first_frame_there_is_nothing() -> None:
    with pytest.raises(
        InvalidInput, match="there is no frame up to step 3; the first frame is of step 4"
    ):
        differences([made(), made(steps=(4, 5, 6))], ["a", "b"], 3)


def test_a_number_that_only_one_has_is_empty_for_the_other() -> None:
    other = xarray.Dataset(
        {"error": ("step", [0.5])}, {"step": [7]}, {"name": "prune", "config": {"order": "trace"}}
    )
    found = differences([made({"seed": 0}), other], ["a", "b"])
    expected = {
        "seed": [0, ""],
        "order": ["", "trace"],
        "loss": [1.0, ""],
        "error": ["", 0.5],
        "step": [5, 7],
    }
    assert found.loc[list(expected)].values.tolist() == list(expected.values())


def test_a_setting_of_the_name_of_a_number_keeps_its_row() -> None:
    found = differences([made({"loss": "mse"}), made({"loss": "l1"})], ["a", "b"])
    assert [row.tolist() for _, row in found.loc[["loss"]].iterrows()] == [
        ["mse", "l1"],
        [1.0, 1.0],
    ]


@pytest.mark.parametrize(
    ("count", "names"), [(1, ["a"]), (0, []), (2, ["a"]), (2, ["a", "b", "c"])]
)
def test_two_or_more_are_needed_and_a_name_each(count: int, names: list[str]) -> None:
    with pytest.raises(
        InvalidInput,
        match=f"expected two or more recordings with one name each, got {count} recordings",
    ):
        differences([made()] * count, names)


def test_a_figure_is_found_that_all_can_stand_in() -> None:
    assert shared_figure([made(), made(name="atom")]) == "evolution"
    assert shared_figure([made(name="dm"), made(name="untrained")]) == ""
    assert shared_figure([made(name="dm"), made(name="nobody's")]) == ""
    assert shared_figure([made(name="random")]) == ""
    assert shared_figure([]) == ""


def test_names_are_those_of_files_or_whole_paths(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        record(CountingRun(2), tmp_path / folder / "a.zarr")
    record(CountingRun(2), tmp_path / "x" / "b.v2.zarr")
    x, y, b = (str(tmp_path / place) for place in ("x/a.zarr", "y/a.zarr", "x/b.v2.zarr"))
    assert open_with_names([x, f"{b}/"])[1] == ["a", "b.v2"]
    assert open_with_names([x, y])[1] == [x, y]
    with pytest.raises(DataMissing, match="does not exist"):
        open_with_names([x, tmp_path / "none.zarr"])


def test_recordings_of_real_runs_differ_in_what_they_were_given(tmp_path: Path) -> None:
    data = {"name": "digits", "options": {"size": 8, "margin": 0}}
    common: dict[str, Any] = {
        "data": data,
        "preset": "lesson",
        "width": 4,
        "batch": 2,
        "probe_images": 2,
        "probes": 1,
        "steps": 2,
    }
    runs = [
        record(build({"method": method, **common}), tmp_path / f"{method}.zarr", every=1)
        for method in ("dm", "datadam")
    ]
    found = differences(runs, ["dm", "datadam"], 1)
    config = [run.attrs["config"] for run in runs]
    apart = [key for key in config[0] if config[0][key] != config[1][key]]
    assert apart[0] == "method"
    rows = [
        name
        for name in found.index
        if name not in ("seconds", "step") and name not in runs[0].data_vars
    ]
    assert rows == apart
    assert found.loc["step"].tolist() == [1, 1]
    scalars = [str(name) for name, v in runs[0].data_vars.items() if v.dims == ("step",)]
    assert scalars
    for name in scalars:
        assert found.loc[name].tolist() == [float(run[name][1]) for run in runs]
