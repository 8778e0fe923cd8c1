"""Recordings: whole or absent after any kill, never wrong numbers after damage, readable by anyone, anywhere."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import google_crc32c
import numpy as np
import pytest
import xarray
import zarr
from toys import LABELS, CountingRun, assert_shows, bits, frames, kill, output, python, straight

from explore.core.checkpoint import load_checkpoint
from explore.core.record import record
from explore.core.recording import describe_difference, open_recording, pack
from explore.core.writer import Writer
from explore.errors import (
    DataMissing,
    InvalidInput,
    RecordingBusy,
    RecordingDamaged,
    RecordingFailed,
)

pytestmark = pytest.mark.usefixtures("_one_thread")

BIG, STEPS = 275, 12  # 300 kB a frame: one frame a chunk


def frame(value: float = 1.0, **changed: Any) -> xarray.Dataset:
    """A small frame; ``changed`` replaces, adds or (None) removes variables."""
    variables = {
        "loss": ((), np.float32(value)),
        "heat": (("y", "x"), np.full((2, 3), value, np.float16)),
    } | changed
    return xarray.Dataset(
        {name: v for name, v in variables.items() if v is not None}, {"y": ("y", [0.5, 1.5])}
    )


def written(path: Path, *values: float) -> Path:
    """A recording of small frames of these values."""
    with Writer.create(path, {"config": {"seed": 0}}, frame(values[0]), 0, len(values)) as writer:
        for step, value in enumerate(values[1:], 1):
            writer.append(frame(value), step)
    return path


@pytest.fixture(scope="module")
def truth() -> dict[int, xarray.Dataset]:
    return frames(CountingRun(STEPS, side=BIG))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished recording with both kinds of chunk; for reading only."""
    path = tmp_path_factory.mktemp("small") / "run.zarr"
    record(CountingRun(3, side=BIG), path, every=1)
    return path


@pytest.fixture(scope="module")
def packed(small: Path) -> Path:
    return pack(small, small.with_name("run.zarr.zip"))


# ---- what is in a recording


def test_frames_hold_what_the_snapshots_held(small: Path, truth: dict[int, xarray.Dataset]) -> None:
    recording = open_recording(small)
    assert recording.step.values.tolist() == [0, 1, 2, 3]
    assert_shows(recording, truth)


def test_dimensions_are_step_and_those_of_the_snapshot(small: Path) -> None:
    recording = open_recording(small)
    assert {name: v.dims for name, v in recording.variables.items()} == {
        "step": ("step",),
        "total": ("step", "part"),
        "rising": ("step",),
        "square": ("step",),
        "field": ("step", "y", "x"),
        "part": ("part",),
        "label": ("label",),
    }
    assert set(recording.coords) == {"step", "part", "label"}


def test_text_coordinates_come_back_letter_by_letter(small: Path) -> None:
    assert tuple(open_recording(small).label.values.tolist()) == LABELS


def test_units_and_long_names_come_back(small: Path) -> None:
    recording = open_recording(small)
    assert (recording.total.attrs["long_name"], recording.total.attrs["units"]) == (
        "running total",
        "m s⁻¹",
    )
    assert recording.label.attrs == {"long_name": "names"}
    assert recording.step.attrs["long_name"] == "step"


def test_attributes_say_what_repeats_the_run(small: Path) -> None:
    attributes = open_recording(small).attrs
    assert attributes["explore_format"] == 1
    assert attributes["config"] == {
        "method": "counting",
        "seed": 0,
        "side": BIG,
        "data": {"name": "none"},
    }
    assert attributes["name"] == "counting"
    assert attributes["threads"] == 1
    assert attributes["versions"]["numpy"] == np.__version__
    assert attributes["steps"] == 3
    assert 0 < attributes["seconds"] < 10
    assert attributes["device"]
    known = {
        "explore_format",
        "config",
        "name",
        "threads",
        "versions",
        "steps",
        "seconds",
        "device",
    }
    assert set(attributes) == known


def test_static_coordinates_are_stored_once(small: Path) -> None:
    assert [p.name for p in (small / "part" / "c").iterdir()] == ["0"]
    assert (small / "part" / "c" / "0").stat().st_size < 100
    assert open_recording(small).part.values.tolist() == [0.5, 1.0, 2.0]


def test_large_variables_have_one_frame_a_chunk_and_small_ones_share_it(small: Path) -> None:
    assert sorted(p.name for p in (small / "field" / "c").iterdir()) == ["0", "1", "2", "3"]
    assert [p.name for p in (small / "total" / "c").iterdir()] == ["0"]


def test_actual_range_is_that_of_all_frames_so_far(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", 3.0, 1.0)
    assert open_recording(path).loss.attrs["actual_range"] == [1.0, 3.0]
    with Writer.reopen(path) as writer:
        writer.append(frame(7.5), 2)
    recording = open_recording(path)
    assert recording.loss.attrs["actual_range"] == [1.0, 7.5]
    assert recording.heat.attrs["actual_range"] == [1.0, 7.5]
    assert recording.y.attrs["actual_range"] == [0.5, 1.5]


def test_actual_range_leaves_out_what_is_not_finite(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", np.nan, np.inf)
    assert "actual_range" not in open_recording(path).loss.attrs
    with Writer.reopen(path) as writer:
        writer.append(frame(2.0), 2)
        writer.append(frame(-np.inf), 3)
    recording = open_recording(path)
    assert recording.loss.attrs["actual_range"] == [2.0, 2.0]
    np.testing.assert_array_equal(recording.loss.values, np.float32([np.nan, np.inf, 2, -np.inf]))


@pytest.mark.parametrize("big", [1, 300], ids=["shared chunk", "own chunk"])
def test_frames_of_zeros_are_not_taken_for_lost_ones(tmp_path: Path, big: int) -> None:
    zeros = {"heat": (("y", "x"), np.zeros((2, 500 * big), np.float16))}
    path = tmp_path / "a.zarr"
    with Writer.create(path, {"config": {}}, frame(0.0, **zeros), 0, 2) as writer:
        assert open_recording(path).heat.values.sum() == 0
        writer.append(frame(0.0, **zeros), 1)
    with Writer.reopen(path) as writer:
        writer.append(frame(0.0, **zeros), 2)
    assert open_recording(path).heat.load().shape == (3, 2, 500 * big)
    assert open_recording(path).loss.values.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64"]
)
def test_every_kind_of_number_comes_back_in_the_same_bits(tmp_path: Path, dtype: str) -> None:
    values = np.array([[0, 1, 255], [2, 3, 4]]).astype(dtype)
    path = tmp_path / "a.zarr"
    with Writer.create(path, {"config": {}}, frame(0.0, heat=(("y", "x"), values)), 0, 2) as writer:
        writer.append(frame(0.0, heat=(("y", "x"), values[::-1].copy())), 1)
    recording = open_recording(path)
    assert recording.heat.dtype == dtype
    np.testing.assert_array_equal(recording.heat.values, np.stack([values, values[::-1]]))


def test_ragged_things_may_be_empty(tmp_path: Path) -> None:
    empty = {"nodes": ("node", np.zeros(0, np.float32))}
    path = tmp_path / "a.zarr"
    with Writer.create(path, {"config": {}}, frame(0.0, **empty), 0, 2) as writer:
        writer.append(frame(0.0, **empty), 1)
    assert open_recording(path).nodes.load().shape == (2, 0)


def test_room_grows_when_there_are_more_frames_than_planned(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", 1.0, 2.0)
    with Writer.reopen(path) as writer:
        for step in range(2, 7):
            writer.append(frame(step + 1.0), step)
    assert open_recording(path).step.values.tolist() == list(range(7))
    assert open_recording(path).loss.values.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_four_hundred_small_frames_are_few_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(CountingRun(399, side=16), path, every=1)
    chunks = [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert len(chunks) <= 60
    assert open_recording(path).load().sizes["step"] == 400


# ---- what a snapshot must be


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"loss": None}, "same variables"),
        ({"extra": ((), 1.0)}, "same variables"),
        ({"loss": ((), np.float64(1))}, "float64"),
        ({"heat": (("y", "x"), np.ones((2, 4), np.float16))}, "'x': 4"),
        ({"heat": (("x", "y"), np.ones((3, 2), np.float16))}, "'y': 2"),
    ],
    ids=["lacks one", "one more", "dtype", "shape", "order of dims"],
)
def test_a_frame_unlike_the_first_is_refused_and_nothing_is_written(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    path = written(tmp_path / "a.zarr", 1.0)
    with Writer.reopen(path) as writer:
        with pytest.raises(InvalidInput, match=said):
            writer.append(frame(2.0, **changed), 1)
        writer.append(frame(3.0), 1)
    assert open_recording(path).loss.values.tolist() == [1, 3]
    assert open_recording(path).loss.attrs["actual_range"] == [1, 3]


@pytest.mark.parametrize(
    "first",
    [
        xarray.Dataset(),
        xarray.Dataset(coords={"x": [1, 2]}),
        frame(step=((), 1.0)),
        frame(heat=(("step", "x"), np.ones((2, 3)))),
        frame(heat=(("y", "x"), np.ones((2, 3), complex))),
        frame(text=((), "words")),
        frame(time=((), np.datetime64("2020-01-01", "ns"))),
    ],
    ids=[
        "empty",
        "coordinates only",
        "variable step",
        "dimension step",
        "complex",
        "text that changes",
        "time",
    ],
)
def test_what_cannot_be_a_frame_is_refused_and_leaves_nothing(
    tmp_path: Path, first: xarray.Dataset
) -> None:
    with pytest.raises(InvalidInput):
        Writer.create(tmp_path / "a.zarr", {"config": {}}, first, 0, 2)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
    written(tmp_path / "a.zarr", 1.0)  # and the lock is free


def test_describe_difference_names_keys_that_differ_were_added_or_went() -> None:
    assert describe_difference(
        {"a": 1, "b": 2, "c": [1]}, {"a": 1, "b": 3, "d": None}
    ).splitlines() == [
        "  b: recorded 2, now 3",
        "  c: recorded [1], now 'nothing'",
        "  d: recorded 'nothing', now None",
    ]


def test_describe_difference_takes_tuples_for_lists_as_json_does() -> None:
    assert describe_difference({"a": [1, [2]]}, {"a": (1, (2,))}) == ""


# ---- killed


COUNTING = f"""
from toys import CountingRun
def make():
    return CountingRun({STEPS}, side={BIG}, delay=0.01)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """20 recordings, each killed at a random moment: 7 while they were created, 13 at a random point after a random step."""
    random = np.random.default_rng(0)
    moments = [("ready", random.uniform(0, 0.08)) for _ in range(7)]
    moments += [(str(random.integers(STEPS)), random.uniform(0, 0.05)) for _ in range(13)]
    folder = tmp_path_factory.mktemp("killed")
    paths = [folder / str(i) / "run.zarr" for i in range(len(moments))]
    kill(COUNTING, *((path, *moment) for path, moment in zip(paths, moments, strict=True)))
    return paths


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[CountingRun, Path]:
    path = tmp_path_factory.mktemp("straight") / "run.zarr"
    run = CountingRun(STEPS, side=BIG)
    record(run, path, every=1)
    return run, path


def test_killed_recordings_open_or_do_not_exist_yet_and_show_right_values(
    killed: list[Path], truth: dict[int, xarray.Dataset]
) -> None:
    shown = []
    for path in killed:
        if path.exists():
            recording = open_recording(path)
            assert recording.step.values.tolist() == list(range(recording.sizes["step"]))
            assert_shows(recording, truth)
            shown.append(recording.sizes["step"])
    assert len(set(shown)) >= 4, "the kills did not land at different moments"


def test_anyone_sees_the_committed_frames_of_killed_recordings(
    killed: list[Path], truth: dict[int, xarray.Dataset]
) -> None:
    for path in filter(Path.exists, killed):
        plain = xarray.open_zarr(path)
        assert plain.sizes["step"] == open_recording(path).sizes["step"]
        assert_shows(plain, truth)


def packed_files(path: Path) -> dict[str, bytes]:
    """All files in a packed recording; of the attributes what does not depend on how fast the machine was."""
    with zipfile.ZipFile(path) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    root = json.loads(found["zarr.json"])
    for name in ("seconds", "checksum"):
        del root["attributes"][name]
    return {**found, "zarr.json": json.dumps(root).encode()}


def test_killed_recordings_resume_to_the_same_bits(
    killed: list[Path], uninterrupted: tuple[CountingRun, Path], tmp_path: Path
) -> None:
    run, path = uninterrupted
    whole = packed_files(pack(path, tmp_path / "whole.zip"))
    for index, path in enumerate(killed):
        if path.parent.exists():
            shutil.copytree(path.parent, tmp_path / str(index))
        again = CountingRun(STEPS, side=BIG)
        recording = record(again, tmp_path / str(index) / "run.zarr", every=1)
        assert bits(again.result()) == bits(run.result())
        assert bits(recording) == bits(open_recording(uninterrupted[1]))
        assert (
            packed_files(pack(tmp_path / str(index) / "run.zarr", tmp_path / "again.zip")) == whole
        )


def test_a_recording_killed_again_and_again_ends_in_the_same_bits(
    uninterrupted: tuple[CountingRun, Path], tmp_path: Path, truth: dict[int, xarray.Dataset]
) -> None:
    path = tmp_path / "run.zarr"
    kill(COUNTING, (path, "2", 0.02), (path, "4", 0.01), (path, "7", 0.03))
    assert_shows(open_recording(path), truth)
    assert 8 <= open_recording(path).sizes["step"] <= STEPS + 1
    again = CountingRun(STEPS, side=BIG)
    assert bits(record(again, path, every=1)) == bits(open_recording(uninterrupted[1]))
    assert bits(again.result()) == bits(uninterrupted[0].result())
    assert again.advanced < STEPS  # it went on from a checkpoint


KILLED_AT_EACH = """
import os, signal, sys
import filelock, numcodecs, zarr
import explore.core.record, explore.core.writer
from toys import CountingRun
explore.core.record.CHECKPOINT_SECONDS = 0
folder, part, of = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def child(path, last):
    seen = 0
    def hook(event, arguments):
        nonlocal seen
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir") and str(arguments[0]).startswith(folder):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
    os.makedirs(os.path.dirname(path))
    sys.addaudithook(hook)
    explore.core.record.record(CountingRun(2), path, every=1)
    os._exit(0)

last = part
while True:
    pid = os.fork()
    if not pid:
        child(f"{folder}/{last}/run.zarr", last)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
        break
    last += of
print(last)
"""


@pytest.mark.parametrize("stride", [30, pytest.param(5, marks=pytest.mark.slow)])
def test_killed_before_any_file_operation_a_recording_is_whole_or_absent_and_resumes(
    tmp_path: Path, stride: int
) -> None:
    """Kill before every ``stride``-th opening, renaming or removing of a file, from the first to the last."""
    expected = frames(CountingRun(2))
    last = int(output(KILLED_AT_EACH, tmp_path, 1, stride))
    assert last > 50  # operations in creating it and writing three frames and two checkpoints
    result = bits(straight(CountingRun(2)).result())
    present = 0
    for moment in range(1, last, stride):
        path = tmp_path / str(moment) / "run.zarr"
        if path.exists():
            present += 1
            assert_shows(open_recording(path), expected)
        run = CountingRun(2)
        assert_shows(record(run, path, every=1), expected)
        assert open_recording(path).step.values.tolist() == [0, 1, 2]
        assert bits(run.result()) == result
    assert 0 < present < len(range(1, last, stride))


# ---- damaged


def read(path: Path) -> dict[str, Any]:
    """Everything a recording says, all chunks read."""
    recording = open_recording(path)
    about = {name: dict(v.attrs) for name, v in recording.variables.items()}
    return {"bits": bits(recording), "about": about, "config": recording.attrs["config"]}


def unless_damaged(path: Path) -> dict[str, Any] | None:
    try:
        return read(path)
    except RecordingDamaged:
        return None


FILES = {
    "the group's zarr.json": "zarr.json",
    "chunk of step": "step/c/0",
    "shared chunk": "total/c/0/0",
    "scalar chunk": "square/c/0",
    "own chunk": "field/c/2/0/0",
    "text": "label/c/0",
    "coordinate": "part/c/0",
}


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(small, tmp_path / "run.zarr"))


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_cut_short_is_reported(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    lengths = {
        0,
        1,
        3,
        4,
        5,
        len(content) - 1,
        *np.random.default_rng(1).integers(len(content), size=10).tolist(),
    }
    for length in lengths:
        (folder / file).write_bytes(content[:length])
        with pytest.raises(RecordingDamaged, match="Replace it by a whole copy, or remove it"):
            read(folder)


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_flipped_bit_is_reported(folder: Path, file: str) -> None:
    content = (folder / file).read_bytes()
    truth, random = read(folder), np.random.default_rng(2)
    for place in random.integers(len(content), size=25).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        (folder / file).write_bytes(damaged)
        assert unless_damaged(folder) in (None, truth), f"byte {place} of {len(content)}"


@pytest.mark.parametrize("file", [file for file in FILES.values() if file != "zarr.json"])
def test_a_lost_chunk_is_reported_by_name(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(RecordingDamaged, match=f"{file} is missing"):
        read(folder)


def test_the_frames_before_a_damaged_one_can_still_be_looked_at(
    folder: Path, truth: dict[int, xarray.Dataset]
) -> None:
    (folder / "field/c/2/0/0").write_bytes(b"")
    recording = open_recording(folder)
    assert_shows(recording.isel(step=[0, 1, 3]), truth)
    with pytest.raises(RecordingDamaged):
        recording.isel(step=2).load()


def test_without_its_zarr_json_a_folder_is_no_recording(folder: Path) -> None:
    (folder / "zarr.json").unlink()
    with pytest.raises(RecordingDamaged, match=r"no zarr\.json"):
        open_recording(folder)
    with pytest.raises(DataMissing, match=r"no zarr\.json"):
        record(CountingRun(3, side=BIG), folder)


def test_a_zip_file_cut_short_is_reported(packed: Path, tmp_path: Path) -> None:
    content, path = packed.read_bytes(), tmp_path / "run.zarr.zip"
    for length in {
        0,
        1,
        22,
        len(content) - 1,
        *np.random.default_rng(3).integers(len(content), size=10).tolist(),
    }:
        path.write_bytes(content[:length])
        with pytest.raises(RecordingDamaged):
            read(path)


def test_a_flipped_bit_in_a_zip_file_is_reported(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        headers = [info.header_offset for info in archive.infolist()]
        directory = archive.start_dir
    content, path, truth, random = (
        packed.read_bytes(),
        tmp_path / "run.zarr.zip",
        read(packed),
        np.random.default_rng(4),
    )
    places = [
        *random.integers(len(content), size=30).tolist(),
        *(header + int(random.integers(40)) for header in headers),
        *random.integers(directory, len(content), size=120).tolist(),
    ]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        assert unless_damaged(path) in (None, truth), (
            f"byte {place} of {len(content)}, directory at {directory}"
        )


@pytest.mark.parametrize("file", [file for file in FILES.values() if file != "zarr.json"])
@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
def test_nobody_writes_on_in_a_damaged_recording_as_if_it_were_whole(
    folder: Path, file: str, how: str
) -> None:
    chunk = folder / file
    content = chunk.read_bytes()
    if how == "lost":
        chunk.unlink()
    else:
        chunk.write_bytes(content[:-3] if how == "cut" else bytes([content[0] ^ 1]) + content[1:])
    try:
        record(CountingRun(5, side=BIG), folder, every=1)
    except RecordingDamaged:
        return
    with pytest.raises(RecordingDamaged):  # the damage is still seen, not papered over
        read(folder)


def test_writing_on_with_damaged_metadata_is_refused(folder: Path) -> None:
    for file in ("zarr.json", "field/zarr.json"):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(RecordingDamaged):
            record(CountingRun(5, side=BIG), folder)
        (folder / file).write_bytes(content)
    assert record(CountingRun(5, side=BIG), folder).sizes["step"] == 6  # and the lock is free


def test_what_is_not_a_recording_is_not_taken_for_one(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "other.zarr", attributes={"title": "somebody else's"})
    frame().to_zarr(tmp_path / "plain.zarr", consolidated=False)
    (tmp_path / "run.zarr").mkdir()
    (tmp_path / "text.zarr.zip").write_text("no zip file")
    with zipfile.ZipFile(tmp_path / "empty.zarr.zip", "w"):
        pass
    for name, error in {
        "other.zarr": RecordingDamaged,
        "plain.zarr": RecordingDamaged,
        "run.zarr": RecordingDamaged,
        "text.zarr.zip": RecordingDamaged,
        "empty.zarr.zip": RecordingDamaged,
        "nowhere.zarr": DataMissing,
        "nowhere.zarr.zip": DataMissing,
    }.items():
        with pytest.raises(error, match=name):
            open_recording(tmp_path / name)


@pytest.mark.parametrize("place", ["folder of a group", "empty folder", "file"])
def test_nothing_is_recorded_over_what_is_not_a_recording(tmp_path: Path, place: str) -> None:
    path = tmp_path / "mine.zarr"
    if place == "file":
        path.write_text("mine")
    else:
        path.mkdir()
    if place == "folder of a group":
        zarr.create_group(path, attributes={"title": "mine"}, overwrite=True)
    with pytest.raises((DataMissing, RecordingDamaged)):
        record(CountingRun(1), path)
    assert path.exists()


# ---- two writers


def test_a_second_writer_in_this_process_is_kept_out(tmp_path: Path) -> None:
    path = written(tmp_path / "run.zarr", 1.0, 2.0)
    with Writer.reopen(path):
        with pytest.raises(RecordingBusy, match="another run"):
            record(CountingRun(2), path)
        assert open_recording(path).loss.values.tolist() == [1, 2]  # reading is always allowed
    with Writer.reopen(path) as writer:
        writer.append(frame(3.0), 2)


def test_a_second_writer_is_kept_out_while_the_recording_is_created(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"

    class Nosy(CountingRun):
        def advance(self) -> None:
            with pytest.raises(RecordingBusy):
                record(CountingRun(2), path)
            super().advance()

    assert record(Nosy(2), path, every=1).sizes["step"] == 3


HOLDING = f"""
import sys
from explore.core.record import record
from toys import CountingRun
record(CountingRun({STEPS}, side={BIG}, delay=60), sys.argv[1], every=1, progress=lambda step, *_: print(step, flush=True))
"""


def test_another_process_keeps_this_one_out_until_it_is_gone(
    tmp_path: Path, truth: dict[int, xarray.Dataset]
) -> None:
    path = tmp_path / "run.zarr"
    with python(HOLDING, path) as process:
        assert process.stdout
        assert process.stdout.readline() == "0\n"
        with pytest.raises(RecordingBusy):
            record(CountingRun(STEPS, side=BIG), path)
        assert_shows(open_recording(path), truth)
        process.kill()
    assert record(CountingRun(STEPS, side=BIG), path, every=1).sizes["step"] == STEPS + 1


def test_a_reader_keeps_its_frames_while_more_are_written(tmp_path: Path) -> None:
    path = written(tmp_path / "run.zarr", 1.0, 2.0)
    before = open_recording(path)
    with Writer.reopen(path) as writer:
        writer.append(frame(3.0), 2)
        assert before.loss.values.tolist() == [1, 2]
        assert open_recording(path).loss.values.tolist() == [1, 2, 3]


# ---- full disk


FULL = """
import json, resource, signal, sys
from pathlib import Path
from explore.errors import RecordingFailed
from explore.core.recording import open_recording
from explore.core.record import record
import explore.core.runs
from toys import CountingRun, assert_shows, bits, frames, straight
path, limit, when, side = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
explore.core.record.CHECKPOINT_SECONDS = float(sys.argv[5])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a file that grows past the limit is an OSError, as on a full disk
expected, whole = frames(CountingRun(6, side=side)), straight(CountingRun(6, side=side))

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

run = CountingRun(6, side=side)
if when < 0:
    room(limit)
try:
    record(run, path, every=1, progress=lambda step, *_: room(limit) if step == when else None)
except RecordingFailed as error:
    said = str(error)
kept = open_recording(path).step.values.tolist() if path.exists() else []
left = sorted(p.name for p in path.parent.iterdir())
if kept:
    assert_shows(open_recording(path), expected)
room(resource.RLIM_INFINITY)
at = run.step
recording = record(run, path, every=1)
assert_shows(recording, expected)
assert bits(run.result()) == bits(whole.result())
assert run.advanced == 6
print(json.dumps({"said": said, "kept": kept, "left": left, "at": at, "steps": recording.step.values.tolist()}))
"""


def full_disk(
    path: Path, limit: int, when: int, side: int, checkpoints: float = 1000
) -> dict[str, Any]:
    """Record in a process whose files cannot pass ``limit`` bytes after step ``when``; then lift that and go on."""
    return json.loads(output(FULL, path, limit, when, side, checkpoints))


@pytest.mark.parametrize(
    ("limit", "side"),
    [(100_000, BIG), (2_000, 4), (150, 4), (0, 4)],
    ids=["large chunk", "commit", "shared chunk", "anything"],
)
def test_a_full_disk_loses_no_earlier_frame_and_the_run_goes_on(
    tmp_path: Path, limit: int, side: int
) -> None:
    told = full_disk(tmp_path / "run.zarr", limit, 2, side)
    assert told["kept"] == [0, 1, 2]
    assert told["at"] == 3
    assert told["said"].startswith("frame of step 3 could not be written")
    assert "The 3 frames before it are kept" in told["said"]
    assert told["steps"] == [0, 1, 2, 3, 4, 5, 6]
    assert [name for name in told["left"] if ".partial" in name] == []


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    told = full_disk(
        tmp_path / "run.zarr", 7_000, 2, 40, 0
    )  # chunks fit, packed; the checkpoint does not
    assert "checkpoint" in told["said"]
    assert "The checkpoint before it is kept" in told["said"]
    assert told["steps"] == [0, 1, 2, 3, 4, 5, 6]


def test_a_recording_that_cannot_be_created_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    told = full_disk(tmp_path / "run.zarr", 1_000, -1, 4)
    assert told["said"].startswith(f"cannot create {tmp_path / 'run.zarr'}")
    assert told["kept"] == []
    assert [name for name in told["left"] if not name.endswith(".lock")] == []
    assert told["steps"] == [0, 1, 2, 3, 4, 5, 6]


def test_a_place_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingFailed, match="Choose a folder"):
        record(CountingRun(1), tmp_path / "file" / "run.zarr")


# ---- packed, served, read by others


def test_a_packed_recording_equals_its_folder(small: Path, packed: Path) -> None:
    assert read(packed) == read(small)
    assert open_recording(packed).attrs == open_recording(small).attrs


def test_packing_is_byte_for_byte_reproducible(small: Path, packed: Path, tmp_path: Path) -> None:
    again = pack(small, tmp_path / "again.zarr.zip")
    record(CountingRun(3, side=BIG), tmp_path / "same.zarr", every=1)
    same = pack(tmp_path / "same.zarr", tmp_path / "same.zarr.zip")
    assert again.read_bytes() == packed.read_bytes()
    assert packed_files(again) == packed_files(same)


def test_packing_leaves_out_what_is_not_committed(tmp_path: Path) -> None:
    path = written(tmp_path / "run.zarr", 1.0)
    before = pack(path, tmp_path / "before.zip").read_bytes()
    (path / "loss" / "c" / "7").write_bytes(b"of a frame that never was")
    (path / "loss" / "junk.partial").write_bytes(b"of a writer that was killed")
    assert pack(path, tmp_path / "after.zip").read_bytes() == before


def test_packing_a_damaged_folder_writes_no_file(folder: Path, tmp_path: Path) -> None:
    (folder / "field/c/1/0/0").unlink()
    with pytest.raises(RecordingDamaged, match="field/c/1/0/0 is missing"):
        pack(folder, tmp_path / "a.zarr.zip")
    (folder / "zarr.json").write_bytes(b"{")
    with pytest.raises(RecordingDamaged):
        pack(folder, tmp_path / "a.zarr.zip")
    assert [p.name for p in tmp_path.iterdir()] == ["run.zarr"]


def test_packing_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="nowhere"):
        pack(tmp_path / "nowhere.zarr", tmp_path / "a.zarr.zip")


@pytest.fixture(scope="module")
def served(small: Path, packed: Path) -> Iterator[str]:
    """The address of a web server on this machine that serves a recording as a folder and as one file."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(small.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["run.zarr", "run.zarr.zip"])
def test_a_recording_opens_from_the_web(small: Path, served: str, name: str) -> None:
    assert bits(open_recording(f"{served}/{name}")) == bits(open_recording(small))


@pytest.mark.parametrize("name", ["nowhere.zarr", "nowhere.zarr.zip"])
def test_nothing_at_a_web_address_is_said(served: str, name: str) -> None:
    with pytest.raises(DataMissing, match=name):
        open_recording(f"{served}/{name}")


@pytest.mark.parametrize("name", ["run.zarr", "run.zarr.zip"])
def test_a_server_that_does_not_answer_is_not_taken_for_damage(name: str) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        port = server.server_address[1]
    with pytest.raises(DataMissing, match=name):  # closed again: nobody listens there
        open_recording(f"http://127.0.0.1:{port}/{name}")


@pytest.mark.parametrize("name", ["run.zarr", "run.zarr.zip"])
def test_a_recording_opens_from_any_file_system_of_fsspec(
    small: Path, packed: Path, name: str
) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(small.parent / name), f"/explore/{name}", recursive=name == "run.zarr")
    try:
        assert bits(open_recording(f"memory://explore/{name}")) == bits(open_recording(small))
    finally:
        memory.rm("/explore", recursive=True)


def test_runs_are_not_recorded_to_a_url_or_a_zip_file() -> None:
    for to in ("http://127.0.0.1/run.zarr", "run.zarr.zip"):
        with pytest.raises(InvalidInput, match="recorded to a folder"):
            record(CountingRun(1), to)


def test_somebody_without_explore_reads_folder_and_zip_file(
    small: Path, packed: Path, truth: dict[int, xarray.Dataset]
) -> None:
    for store in (str(small), zarr.storage.ZipStore(packed, mode="r")):
        plain = xarray.open_zarr(store)
        assert plain.step.values.tolist() == [0, 1, 2, 3]
        assert_shows(
            plain.set_coords([name for name in plain.data_vars if "step" not in plain[name].dims]),
            truth,
        )


def test_a_frame_that_was_not_committed_is_seen_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "run.zarr", 1.0, 2.0)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "_commit", dies)
    with Writer.reopen(path) as writer, pytest.raises(KeyboardInterrupt):
        writer.append(frame(9.0), 2)
    for opened in (open_recording(path), xarray.open_zarr(path)):
        assert opened.loss.values.tolist() == [1, 2]
        assert opened.loss.attrs["actual_range"] == [1, 2]


def test_the_checkpoint_is_one_file_without_pickles(tmp_path: Path) -> None:
    run = CountingRun(3)
    record(run, tmp_path / "run.zarr")
    state = load_checkpoint(tmp_path / "run.zarr.checkpoint.npz")
    assert state.pop("step") == 3
    assert {name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in state.items()} == {
        name: v.tobytes() if isinstance(v, np.ndarray) else v for name, v in run.state().items()
    }
    assert not [p for p in tmp_path.iterdir() if p.suffix == ".part"]


def test_a_recording_whose_metadata_were_indented_is_read_as_before(tmp_path: Path) -> None:
    """The first recordings were written so, and their checksum is of those bytes."""
    path = tmp_path / "run.zarr"
    expected = record(CountingRun(3), path, every=1).load()
    root = json.loads((path / "zarr.json").read_text())
    del root["attributes"]["checksum"]
    root["attributes"]["checksum"] = google_crc32c.value(
        json.dumps(root, indent=1, ensure_ascii=False).encode()
    )
    (path / "zarr.json").write_text(
        json.dumps(root, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    assert bits(open_recording(path)) == bits(expected)
    root["attributes"]["threads"] = 99
    (path / "zarr.json").write_text(
        json.dumps(root, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    with pytest.raises(RecordingDamaged, match="not as it was written"):
        open_recording(path)
