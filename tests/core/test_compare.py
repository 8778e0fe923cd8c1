"""Differences of recordings: rows by hand, results at a step, recordings of different methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from small_runs import DM
from toys import CountingRun

from explore import build, record
from explore.core.compare import differences, frame_at, open_with_names, shared_figure
from explore.errors import DataMissing, InvalidInput


def make_recording(
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


def test_each_difference_is_a_row_and_equal_values_are_left_out() -> None:
    first = make_recording(
        {"seed": 0, "data": {"name": "digits", "options": {"size": 8}}, "width": 4}, seconds=1.23456
    )
    second = make_recording(
        {"seed": 1, "data": {"name": "digits", "options": {"size": 9, "margin": 1}}, "width": 4},
        seconds=2.0,
        threads=2,
    )
    table = differences([first, second], ["a", "b"])
    assert list(table.columns) == ["a", "b"]
    assert table.T.to_dict("list") == {
        "seed": [0, 1],
        "data.options.size": [8, 9],
        "data.options.margin": ["", 1],
        "threads": [1, 2],
        "seconds": [1.23, 2.0],
        "step": [5, 5],
        "loss": [1.0, 1.0],
    }


def test_versions_and_machines_are_compared() -> None:
    other = make_recording(versions={"torch": "3", "zarr": "3"}, device="b")
    table = differences([make_recording(), other, make_recording()], ["a", "b", "c"])
    assert table.T.to_dict("list") == {
        "version of torch": ["2", "3", "2"],
        "version of zarr": ["", "3", ""],
        "device": ["a", "b", "a"],
        "step": [5, 5, 5],
        "loss": [1.0, 1.0, 1.0],
    }


def test_a_value_in_which_only_the_last_differs_is_a_row() -> None:
    table = differences(
        [make_recording({"a": 1}), make_recording({"a": 1}), make_recording({"a": 2})],
        ["x", "y", "z"],
    )
    assert table.loc["a"].tolist() == [1, 1, 2]


def test_results_are_those_of_the_last_frame_up_to_a_step() -> None:
    longer = make_recording(steps=(0, 3, 4, 9), loss=(8, 7, 6, 5))
    for step, expected in (
        (None, (5, 1, 9, 5)),
        (0, (0, 3, 0, 8)),
        (3, (2, 2, 3, 7)),
        (4, (2, 2, 4, 6)),
        (99, (5, 1, 9, 5)),
    ):
        table = differences([make_recording(), longer], ["a", "b"], step)
        assert (*table["a"][["step", "loss"]], *table["b"][["step", "loss"]]) == expected
    assert int(frame_at(make_recording(), 2)["step"]) == 2


def test_a_step_before_the_first_frame_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match="there is no frame up to step 3; the first frame is of step 4"
    ):
        differences([make_recording(), make_recording(steps=(4, 5, 6))], ["a", "b"], 3)


def test_a_result_that_only_one_recording_has_is_empty_for_the_other() -> None:
    other = xarray.Dataset(
        {"error": ("step", [0.5])}, {"step": [7]}, {"name": "prune", "config": {"order": "trace"}}
    )
    table = differences([make_recording({"seed": 0}), other], ["a", "b"])
    expected = {
        "seed": [0, ""],
        "order": ["", "trace"],
        "loss": [1.0, ""],
        "error": ["", 0.5],
        "step": [5, 7],
    }
    assert table.loc[list(expected)].values.tolist() == list(expected.values())


def test_an_option_with_the_name_of_a_result_has_its_own_row() -> None:
    table = differences(
        [make_recording({"loss": "mse"}), make_recording({"loss": "l1"})], ["a", "b"]
    )
    assert [row.tolist() for _, row in table.loc[["loss"]].iterrows()] == [
        ["mse", "l1"],
        [1.0, 1.0],
    ]


@pytest.mark.parametrize(
    ("count", "names"), [(1, ["a"]), (0, []), (2, ["a"]), (2, ["a", "b", "c"])]
)
def test_two_or_more_recordings_with_one_name_each_are_required(
    count: int, names: list[str]
) -> None:
    with pytest.raises(
        InvalidInput,
        match=f"expected two or more recordings with one name each, got {count} recordings",
    ):
        differences([make_recording()] * count, names)


def test_shared_figure_is_a_figure_of_all_methods() -> None:
    assert shared_figure([make_recording(), make_recording(name="atom")]) == "evolution"
    assert shared_figure([make_recording(name="dm"), make_recording(name="untrained")]) == ""
    assert shared_figure([make_recording(name="dm"), make_recording(name="nobody's")]) == ""
    assert shared_figure([make_recording(name="random")]) == ""
    assert shared_figure([]) == ""


def test_names_are_file_names_or_full_paths_if_those_are_equal(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        record(CountingRun(2), tmp_path / folder / "a.zarr")
    record(CountingRun(2), tmp_path / "x" / "b.v2.zarr")
    x, y, b = (str(tmp_path / name) for name in ("x/a.zarr", "y/a.zarr", "x/b.v2.zarr"))
    assert open_with_names([x, f"{b}/"])[1] == ["a", "b.v2"]
    assert open_with_names([x, y])[1] == [x, y]
    with pytest.raises(DataMissing, match="does not exist"):
        open_with_names([x, tmp_path / "none.zarr"])


def test_recordings_of_real_runs_differ_in_their_options(tmp_path: Path) -> None:
    runs = [
        record(build({**DM, "method": method, "steps": 2}), tmp_path / f"{method}.zarr", every=1)
        for method in ("dm", "datadam")
    ]
    table = differences(runs, ["dm", "datadam"], 1)
    config = [run.attrs["config"] for run in runs]
    different_options = [key for key in config[0] if config[0][key] != config[1][key]]
    assert different_options[0] == "method"
    rows = [
        name
        for name in table.index
        if name not in ("seconds", "step") and name not in runs[0].data_vars
    ]
    assert rows == different_options
    assert table.loc["step"].tolist() == [1, 1]
    scalars = [str(name) for name, v in runs[0].data_vars.items() if v.dims == ("step",)]
    assert scalars
    for name in scalars:
        assert table.loc[name].tolist() == [float(run[name][1]) for run in runs]
