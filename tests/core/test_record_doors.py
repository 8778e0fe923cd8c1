"""What ``record`` and its neighbours are given: every wrong value is refused in words, every right one is used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from toys import CountingRun, bits

from explore.core.compare import differences, frame_at, open_with_names, shared_figure
from explore.core.frame_steps import FrameSteps
from explore.core.netcdf import to_netcdf
from explore.core.record import record
from explore.core.recording import frame_index, has_ended, open_recording, pack, product_path
from explore.core.reproduce import compare_frames, rerun
from explore.core.runs import BaseRun, stream_seed, torch_threads
from explore.core.schema import RecordingKind, Variable
from explore.core.statistics import mean_and_std, mean_ranks, paired_difference, rank_correlation
from explore.core.tables import build_table, csv_safe, format_table, write_text
from explore.errors import DataMissing, InvalidInput, RecordingFailed

pytestmark = pytest.mark.usefixtures("_one_thread")


def counting(**changed: Any) -> CountingRun:
    run = CountingRun(3)
    for name, value in changed.items():
        setattr(run, name, value)
    return run


def showing(**variables: Any) -> CountingRun:
    return counting(snapshot=lambda: xarray.Dataset(variables))


DEEP: list[Any] = []
for _ in range(80):
    DEEP = [DEEP]

RUNS: dict[str, tuple[Callable[[], Any], str]] = {
    "no run": (lambda: 3, "run must be an object"),
    "a class": (lambda: CountingRun, "run must be an object"),
    "name": (lambda: counting(name=3), r"run\.name must be a text"),
    "config": (lambda: counting(config="dm"), r"run\.config must be a mapping"),
    "config of sets": (lambda: counting(config={"a": object()}), r"run\.config must be what JSON"),
    "config with NaN": (lambda: counting(config={"a": float("nan")}), r"run\.config must be what"),
    "config with inf": (lambda: counting(config={"a": [np.inf]}), r"run\.config must be what JSON"),
    "config with tuples": (lambda: counting(config={(1, 2): 3}), r"run\.config must be what JSON"),
    "deep config": (lambda: counting(config={"a": DEEP}), "nested deeper than 64 levels"),
    "step": (lambda: counting(step="0"), r"run\.step must be a whole number"),
    "negative step": (lambda: counting(step=-1), r"run\.step must be a whole number"),
    "steps": (lambda: counting(steps=2.5), r"run\.steps must be a whole number"),
    "steps NaN": (lambda: counting(steps=float("nan")), r"run\.steps must be a whole number"),
    "no advance": (lambda: counting(advance=None), "advance of CountingRun must be a function"),
    "no snapshot": (lambda: counting(snapshot=3), "snapshot of CountingRun must be a function"),
    "no dataset": (lambda: counting(snapshot=lambda: {"a": 1}), "a snapshot must be an xarray.Dat"),
    "no state": (lambda: counting(state=lambda: 3), r"state\(\) of CountingRun must be a mapping"),
    "state of objects": (lambda: counting(state=lambda: {"a": object()}), "must hold NumPy arrays"),
    "state of object arrays": (
        lambda: counting(state=lambda: {"a": np.array([{}])}),
        "must hold arrays of numbers",
    ),
    "does not advance": (lambda: counting(advance=lambda: None), r"must add 1 to its step"),
    "same dimension twice": (lambda: showing(a=(("x", "x"), np.ones((2, 2)))), "different texts"),
    "objects": (lambda: showing(a=("x", np.array([1, None]))), "has dtype object"),
    "long floats": (lambda: showing(a=("x", np.zeros(2, np.longdouble))), "has dtype"),
    "name with a slash": (lambda: showing(**{"a/b": 1.0}), "must have another name"),
    "name that leads up": (lambda: showing(**{"..": 1.0}), "must have another name"),
    "attributes": (
        lambda: counting(snapshot=lambda: xarray.Dataset({"a": 1.0}, attrs={"x": object()})),
        "attributes of the recording must be what JSON",
    ),
    "attributes of a variable": (
        lambda: showing(a=((), 1.0, {"x": float("nan")})),
        "attributes of a variable must be what JSON",
    ),
    "coordinates": (
        lambda: counting(
            snapshot=lambda: xarray.Dataset({"a": 1.0}, {"c": ("c", np.array([1, "a"], object))})
        ),
        "has dtype object",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate dimension:UserWarning")
@pytest.mark.parametrize(("make", "message"), RUNS.values(), ids=RUNS)
def test_a_run_that_cannot_be_recorded_is_refused(
    tmp_path: Path, make: Callable[[], Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        record(make(), tmp_path / "a.zarr")
    assert record(CountingRun(3), tmp_path / "b.zarr", every=1).sizes["step"] == 4


@pytest.mark.parametrize("options", [{"progress": 3}, {"stop": "now"}, {"progress": "bar"}])
def test_functions_of_record_are_functions(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"{next(iter(options))} must be a function"):
        record(CountingRun(3), tmp_path / "a.zarr", **options)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_numbers_of_a_run(tmp_path: Path) -> None:
    run = counting(steps=np.float64(3), step=np.int64(0))
    run.config = {**run.config, "seed": np.int64(0), "rate": np.float32(0.5), "n": (1, 2)}
    recording = record(run, tmp_path / "a.zarr", every=np.int64(1))  # type: ignore[arg-type]
    assert recording.attrs["config"] == {**run.config, "seed": 0, "rate": 0.5, "n": [1, 2]}
    assert (recording.attrs["steps"], run.step) == (3, 3)
    assert recording.step.values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (np.int32(2), [0, 2, 4]),
        (np.array(2), [0, 2, 4]),
        (np.array([1, 4]), [0, 1, 4]),
        ([np.int64(1), 4.0], [0, 1, 4]),
        ((3,), [0, 3]),
        (range(1, 3), [0, 1, 2]),
        (np.float32(2.0), [0, 1, 2, 4]),
        (np.str_("log"), [0, 1, 2, 3, 4]),
    ],
)
def test_every_is_a_number_or_numbers_of_any_kind(every: Any, steps: list[int]) -> None:
    due = FrameSteps(every)
    assert [step for step in range(5) if step in due] == steps


@pytest.mark.parametrize(
    "every", [True, np.bool_(True), [-1], [True], np.array([0.5]), np.ones((2, 2), int), b"log", {}]
)
def test_every_refuses_what_is_no_step(every: Any) -> None:
    with pytest.raises(InvalidInput, match="every must be"):
        FrameSteps(every)


PLACES = ["", ".", "..", "/", "a\0b", 3, None.__class__, ["a"]]


@pytest.mark.parametrize("place", PLACES, ids=repr)
def test_places_that_are_no_recordings_are_refused(
    tmp_path: Path, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput):
        record(CountingRun(1), place)
    with pytest.raises((InvalidInput, DataMissing)):
        pack(tmp_path / "none.zarr", place)
    if place not in (".", "..", "/"):  # which are folders, if not of a recording
        with pytest.raises(InvalidInput):
            open_recording(place)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingFailed, match="name too long"):
        record(CountingRun(1), tmp_path / ("x" * 246 + ".zarr"))


@pytest.mark.parametrize(
    "name", ["h#sh", "p%20c", "c:olon", "q?m", "ümläut 🐶", "file:x", "tab\tx", "a b", "x" * 200]
)
def test_recordings_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.zarr"
    recording = record(CountingRun(1), path)
    forms: list[Any] = [str(path), f"{path}/", os.fsencode(path), f"file://{path}", path]
    for form in forms:
        assert bits(open_recording(form)) == bits(recording)
    packed = pack(path, f"{path}.zip")
    assert bits(open_recording(f"file://{packed}")) == bits(recording)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    record(CountingRun(1), "~/a.zarr")
    pack("~/a.zarr", "~/new/a.zarr.zip")
    assert bits(open_recording("~/new/a.zarr.zip")) == bits(open_recording("~/a.zarr"))
    assert write_text("a", "~/t.md") == tmp_path / "t.md"
    assert product_path("~/a.zarr", ".safetensors") == tmp_path / "a.safetensors"
    assert (tmp_path / "a.zarr").is_dir()


def test_file_urls_with_escapes_are_paths(tmp_path: Path) -> None:
    recording = record(CountingRun(1), f"file://{tmp_path}/with space.zarr")
    assert bits(open_recording(f"file://{tmp_path}/with%20space.zarr")) == bits(recording)


@pytest.mark.parametrize("url", ["nope://a.zarr", "nope://a.zarr.zip"])
def test_urls_that_nobody_knows_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="is no URL that can be opened"):
        open_recording(url)


SHOWN = xarray.Dataset({"loss": ("step", [1.0, 2.0])}, {"step": [0, 5]}, {"steps": 5})
EMPTY = SHOWN.isel(step=[])
KIND = RecordingKind("a walk", {"position": Variable(("x",), "position")})

CALLS: dict[str, Callable[[], Any]] = {
    "frame_index of text": lambda: frame_index(SHOWN, "3"),  # type: ignore[arg-type]
    "frame_index of NaN": lambda: frame_index(SHOWN, float("nan")),  # type: ignore[arg-type]
    "frame_index of a flag": lambda: frame_index(SHOWN, True),
    "frame_index without frames": lambda: frame_index(EMPTY),
    "frame_at of text": lambda: frame_at(SHOWN, "3"),  # type: ignore[arg-type]
    "frame_at of a dict": lambda: frame_at({}, 3),  # type: ignore[arg-type]
    "has_ended": lambda: has_ended(EMPTY),
    "differences of one": lambda: differences(SHOWN, ["a", "b"]),  # type: ignore[arg-type]
    "differences of paths": lambda: differences(["a", "b"], ["a", "b"]),  # type: ignore[list-item]
    "differences, names": lambda: differences([SHOWN, SHOWN], 3),  # type: ignore[arg-type]
    "differences, step": lambda: differences([SHOWN, SHOWN], ["a", "b"], "5"),  # type: ignore[arg-type]
    "shared_figure": lambda: shared_figure([3]),  # type: ignore[list-item]
    "open_with_names": lambda: open_with_names(3),  # type: ignore[arg-type]
    "compare_frames": lambda: compare_frames(SHOWN, {}),  # type: ignore[arg-type]
    "compare_frames, no common step": lambda: compare_frames(
        SHOWN, SHOWN.assign_coords(step=[1, 2])
    ),
    "rerun, changes": lambda: rerun("a.zarr", "b.zarr", changes=[1]),  # type: ignore[arg-type]
    "rerun, to": lambda: rerun("a.zarr", ""),
    "build_table": lambda: build_table(3),  # type: ignore[arg-type]
    "build_table, unlike": lambda: build_table(["a.zarr"], unlike="no"),  # type: ignore[arg-type]
    "build_table, against": lambda: build_table(["a.zarr"], against=3),  # type: ignore[arg-type]
    "format_table": lambda: format_table([[1]]),  # type: ignore[arg-type]
    "format_table, form": lambda: format_table(SHOWN.to_dataframe(), ["md"]),  # type: ignore[arg-type]
    "csv_safe": lambda: csv_safe("a"),  # type: ignore[arg-type]
    "write_text": lambda: write_text(b"a", "a.md"),  # type: ignore[arg-type]
    "to_netcdf": lambda: to_netcdf({}, "a.nc"),  # type: ignore[arg-type]
    "to_netcdf, empty": lambda: to_netcdf(EMPTY, "a.nc"),
    "to_netcdf, large": lambda: to_netcdf(SHOWN.assign_coords(step=[0, 2**60]), "a.nc"),
    "stream_seed": lambda: stream_seed(-1, "a"),
    "stream_seed, name": lambda: stream_seed(0, 3),  # type: ignore[arg-type]
    "stream_seed, index": lambda: stream_seed(0, "a", 0.5),  # type: ignore[arg-type]
    "torch_threads": lambda: torch_threads(0).__enter__(),
    "schema": lambda: KIND.frame([1]),  # type: ignore[arg-type]
    "schema, ragged": lambda: KIND.frame({"position": [[1], [1, 2]]}),
    "schema, dimensions": lambda: KIND.frame({"position": np.zeros((2, 2))}),
    "mean_and_std": lambda: mean_and_std(["a"]),
    "mean_and_std, masked": lambda: mean_and_std(np.ma.masked_array([1.0, 2.0], [True, False])),
    "paired_difference": lambda: paired_difference([1.0], [1.0, 2.0]),
    "mean_ranks": lambda: mean_ranks([1.0, float("nan")]),
    "rank_correlation": lambda: rank_correlation([1.0, 2.0], [1.0]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_wrong_arguments_are_refused_in_words(
    call: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput):
        call()


def test_one_path_is_as_good_as_a_list(tmp_path: Path) -> None:
    record(CountingRun(1), tmp_path / "a.zarr")
    assert open_with_names(str(tmp_path / "a.zarr"))[1] == ["a"]  # type: ignore[arg-type]


def test_a_run_that_does_not_advance_ends() -> None:
    class Still(BaseRun):
        steps = 3

        def advance(self) -> None:
            pass

    with pytest.raises(InvalidInput, match="must add 1 to its step; it was 0 and is now 0"):
        Still().run()


def test_a_run_with_any_config_can_be_printed() -> None:
    run = BaseRun()
    for config in ({"data": "digits"}, {}, 3):
        run.config = config  # type: ignore[assignment]
        assert repr(run).startswith("BaseRun(")


# ---- NetCDF


def test_netcdf_holds_the_values_of_a_recording(tmp_path: Path) -> None:
    recording = record(CountingRun(4), tmp_path / "a.zarr", every=1)
    half = recording.assign(
        half=recording.field.astype(np.float16), big=("step", [0, 1, 2, 3, 2**40])
    )
    with xarray.open_dataset(to_netcdf(half, tmp_path / "new" / "a.nc")) as opened:
        for name in half.variables:
            assert opened[name].values.tolist() == half[name].values.tolist(), name
        assert '"method":"counting"' in opened.attrs["config"]
        assert opened.total.attrs["units"] == "m s⁻¹"
        assert opened.total.attrs["actual_range"].tolist() == half.total.attrs["actual_range"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.nc"]
