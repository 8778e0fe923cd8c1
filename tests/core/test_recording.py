"""Recordings: valid or absent after any kill, damage is reported, other programs can read them."""

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
from toys import (
    LABELS,
    CountingRun,
    assert_shows,
    bits,
    frames,
    record_and_kill,
    run_python,
    run_to_end,
    start_python,
)

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
    """Return a small frame; ``changed`` replaces, adds or (None) removes variables."""
    variables = {
        "loss": ((), np.float32(value)),
        "heat": (("y", "x"), np.full((2, 3), value, np.float16)),
    } | changed
    return xarray.Dataset(
        {name: v for name, v in variables.items() if v is not None}, {"y": ("y", [0.5, 1.5])}
    )


def write_recording(path: Path, *values: float) -> Path:
    """Write a recording of small frames of these values, and return its path."""
    with Writer.create(path, {"config": {"seed": 0}}, frame(values[0]), 0, len(values)) as writer:
        for step, value in enumerate(values[1:], 1):
            writer.append(frame(value), step)
    return path


@pytest.fixture(scope="module")
def expected_frames() -> dict[int, xarray.Dataset]:
    return frames(CountingRun(STEPS, side=BIG))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record a run with both kinds of chunk; tests only read it."""
    path = tmp_path_factory.mktemp("small") / "run.zarr"
    record(CountingRun(3, side=BIG), path, every=1)
    return path


@pytest.fixture(scope="module")
def packed(small: Path) -> Path:
    return pack(small, small.with_name("run.zarr.zip"))


# ---- what is in a recording


def test_frames_equal_the_snapshots(
    small: Path, expected_frames: dict[int, xarray.Dataset]
) -> None:
    recording = open_recording(small)
    assert recording.step.values.tolist() == [0, 1, 2, 3]
    assert_shows(recording, expected_frames)


def test_dimensions_are_the_step_and_those_of_the_snapshot(small: Path) -> None:
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


def test_text_coordinates_are_read_as_they_were_written(small: Path) -> None:
    assert tuple(open_recording(small).label.values.tolist()) == LABELS


def test_units_and_long_names_are_recorded(small: Path) -> None:
    recording = open_recording(small)
    assert (recording.total.attrs["long_name"], recording.total.attrs["units"]) == (
        "running total",
        "m s⁻¹",
    )
    assert recording.label.attrs == {"long_name": "names"}
    assert recording.step.attrs["long_name"] == "step"


def test_attributes_contain_what_reproduces_the_run(small: Path) -> None:
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
    names = {
        "explore_format",
        "config",
        "name",
        "threads",
        "versions",
        "steps",
        "seconds",
        "device",
        "id",
    }
    assert set(attributes) == names


def test_static_coordinates_are_stored_once(small: Path) -> None:
    assert [p.name for p in (small / "part" / "c").iterdir()] == ["0"]
    assert (small / "part" / "c" / "0").stat().st_size < 100
    assert open_recording(small).part.values.tolist() == [0.5, 1.0, 2.0]


def test_large_variables_have_one_frame_a_chunk_and_small_ones_share_it(small: Path) -> None:
    assert sorted(p.name for p in (small / "field" / "c").iterdir()) == ["0", "1", "2", "3"]
    assert [p.name for p in (small / "total" / "c").iterdir()] == ["0"]


def test_actual_range_is_that_of_all_recorded_frames(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.zarr", 3.0, 1.0)
    assert open_recording(path).loss.attrs["actual_range"] == [1.0, 3.0]
    with Writer.reopen(path) as writer:
        writer.append(frame(7.5), 2)
    recording = open_recording(path)
    assert recording.loss.attrs["actual_range"] == [1.0, 7.5]
    assert recording.heat.attrs["actual_range"] == [1.0, 7.5]
    assert recording.y.attrs["actual_range"] == [0.5, 1.5]


def test_actual_range_ignores_values_that_are_not_finite(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.zarr", np.nan, np.inf)
    assert "actual_range" not in open_recording(path).loss.attrs
    with Writer.reopen(path) as writer:
        writer.append(frame(2.0), 2)
        writer.append(frame(-np.inf), 3)
    recording = open_recording(path)
    assert recording.loss.attrs["actual_range"] == [2.0, 2.0]
    np.testing.assert_array_equal(recording.loss.values, np.float32([np.nan, np.inf, 2, -np.inf]))


@pytest.mark.parametrize("big", [1, 300], ids=["shared chunk", "own chunk"])
def test_frames_of_zeros_are_not_reported_as_missing(tmp_path: Path, big: int) -> None:
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
def test_numbers_of_every_dtype_are_read_in_the_same_bits(tmp_path: Path, dtype: str) -> None:
    values = np.array([[0, 1, 255], [2, 3, 4]]).astype(dtype)
    path = tmp_path / "a.zarr"
    with Writer.create(path, {"config": {}}, frame(0.0, heat=(("y", "x"), values)), 0, 2) as writer:
        writer.append(frame(0.0, heat=(("y", "x"), values[::-1].copy())), 1)
    recording = open_recording(path)
    assert recording.heat.dtype == dtype
    np.testing.assert_array_equal(recording.heat.values, np.stack([values, values[::-1]]))


def test_a_dimension_may_have_length_zero(tmp_path: Path) -> None:
    empty = {"nodes": ("node", np.zeros(0, np.float32))}
    path = tmp_path / "a.zarr"
    with Writer.create(path, {"config": {}}, frame(0.0, **empty), 0, 2) as writer:
        writer.append(frame(0.0, **empty), 1)
    assert open_recording(path).nodes.load().shape == (2, 0)


def test_arrays_grow_when_there_are_more_frames_than_planned(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.zarr", 1.0, 2.0)
    with Writer.reopen(path) as writer:
        for step in range(2, 7):
            writer.append(frame(step + 1.0), step)
    assert open_recording(path).step.values.tolist() == list(range(7))
    assert open_recording(path).loss.values.tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.slow
def test_four_hundred_small_frames_need_few_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(CountingRun(399, side=16), path, every=1)
    chunks = [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert len(chunks) <= 60
    assert open_recording(path).load().sizes["step"] == 400


# ---- what a snapshot must be


@pytest.mark.parametrize(
    ("changed", "message"),
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
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    path = write_recording(tmp_path / "a.zarr", 1.0)
    with Writer.reopen(path) as writer:
        with pytest.raises(InvalidInput, match=message):
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
def test_an_invalid_frame_is_refused_and_writes_no_file(
    tmp_path: Path, first: xarray.Dataset
) -> None:
    with pytest.raises(InvalidInput):
        Writer.create(tmp_path / "a.zarr", {"config": {}}, first, 0, 2)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
    write_recording(tmp_path / "a.zarr", 1.0)  # and the lock is free


def test_describe_difference_names_keys_that_differ_were_added_or_removed() -> None:
    assert describe_difference(
        {"a": 1, "b": 2, "c": [1]}, {"a": 1, "b": 3, "d": None}
    ).splitlines() == [
        "  b: recorded 2, now 3",
        "  c: recorded [1], now 'nothing'",
        "  d: recorded 'nothing', now None",
    ]


def test_describe_difference_treats_tuples_as_lists() -> None:
    assert describe_difference({"a": [1, [2]]}, {"a": (1, (2,))}) == ""


# ---- killed


COUNTING = f"""
from toys import CountingRun
def make():
    return CountingRun({STEPS}, side={BIG}, delay=0.01)
"""


@pytest.fixture(scope="module")
def killed_paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """20 recordings, each killed at a random moment: 7 while they were created, 13 at a random point after a random step."""
    random = np.random.default_rng(0)
    moments = [("ready", random.uniform(0, 0.08)) for _ in range(7)]
    moments += [(str(random.integers(STEPS)), random.uniform(0, 0.05)) for _ in range(13)]
    folder = tmp_path_factory.mktemp("killed")
    paths = [folder / str(i) / "run.zarr" for i in range(len(moments))]
    record_and_kill(
        COUNTING, *((path, *moment) for path, moment in zip(paths, moments, strict=True))
    )
    return paths


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[CountingRun, Path]:
    path = tmp_path_factory.mktemp("straight") / "run.zarr"
    run = CountingRun(STEPS, side=BIG)
    record(run, path, every=1)
    return run, path


def test_killed_recordings_are_valid_or_do_not_exist(
    killed_paths: list[Path], expected_frames: dict[int, xarray.Dataset]
) -> None:
    counts = []
    for path in killed_paths:
        if path.exists():
            recording = open_recording(path)
            assert recording.step.values.tolist() == list(range(recording.sizes["step"]))
            assert_shows(recording, expected_frames)
            counts.append(recording.sizes["step"])
    assert len(set(counts)) >= 4, "the kills did not land at different moments"


def test_xarray_reads_the_committed_frames_of_killed_recordings(
    killed_paths: list[Path], expected_frames: dict[int, xarray.Dataset]
) -> None:
    for path in filter(Path.exists, killed_paths):
        plain = xarray.open_zarr(path)
        assert plain.sizes["step"] == open_recording(path).sizes["step"]
        assert_shows(plain, expected_frames)


def read_packed_files(path: Path) -> dict[str, bytes]:
    """Return all files of a packed recording, without the attributes that differ between two runs."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    root = json.loads(contents["zarr.json"])
    for name in ("seconds", "checksum", "id"):
        del root["attributes"][name]
    return {**contents, "zarr.json": json.dumps(root).encode()}


def test_killed_recordings_resume_to_the_same_bits(
    killed_paths: list[Path], uninterrupted: tuple[CountingRun, Path], tmp_path: Path
) -> None:
    run, path = uninterrupted
    expected = read_packed_files(pack(path, tmp_path / "whole.zip"))
    for index, path in enumerate(killed_paths):
        if path.parent.exists():
            shutil.copytree(path.parent, tmp_path / str(index))
        resumed = CountingRun(STEPS, side=BIG)
        recording = record(resumed, tmp_path / str(index) / "run.zarr", every=1)
        assert bits(resumed.result()) == bits(run.result())
        assert bits(recording) == bits(open_recording(uninterrupted[1]))
        assert (
            read_packed_files(pack(tmp_path / str(index) / "run.zarr", tmp_path / "again.zip"))
            == expected
        )


def test_a_recording_killed_several_times_ends_in_the_same_bits(
    uninterrupted: tuple[CountingRun, Path],
    tmp_path: Path,
    expected_frames: dict[int, xarray.Dataset],
) -> None:
    path = tmp_path / "run.zarr"
    record_and_kill(COUNTING, (path, "2", 0.02), (path, "4", 0.01), (path, "7", 0.03))
    assert_shows(open_recording(path), expected_frames)
    assert 8 <= open_recording(path).sizes["step"] <= STEPS + 1
    resumed = CountingRun(STEPS, side=BIG)
    assert bits(record(resumed, path, every=1)) == bits(open_recording(uninterrupted[1]))
    assert bits(resumed.result()) == bits(uninterrupted[0].result())
    assert resumed.advanced < STEPS  # it went on from a checkpoint


KILLED_AT_EACH = """
import os, signal, sys
import filelock, numcodecs, zarr
import explore.core.record, explore.core.writer
from toys import CountingRun
explore.core.record.CHECKPOINT_SECONDS = 0
folder, part, of = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def child(path, last):
    operations = 0
    def hook(event, arguments):
        nonlocal operations
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir") and str(arguments[0]).startswith(folder):
            operations += 1
            if operations == last:
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
def test_a_recording_killed_before_any_file_operation_is_valid_or_absent(
    tmp_path: Path, stride: int
) -> None:
    """Kill before every ``stride``-th operation: opening, renaming or removing a file or folder."""
    expected = frames(CountingRun(2))
    last = int(run_python(KILLED_AT_EACH, tmp_path, 1, stride))
    assert last > 50  # operations in creating it and writing three frames and two checkpoints
    result = bits(run_to_end(CountingRun(2)).result())
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
    """Read all chunks and attributes of a recording."""
    recording = open_recording(path)
    about = {name: dict(v.attrs) for name, v in recording.variables.items()}
    return {"bits": bits(recording), "about": about, "config": recording.attrs["config"]}


def read_unless_damaged(path: Path) -> dict[str, Any] | None:
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
    """Copy a recording that a test may damage."""
    return Path(shutil.copytree(small, tmp_path / "run.zarr"))


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_truncated_file_is_reported(folder: Path, file: str) -> None:
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
    contents, random = read(folder), np.random.default_rng(2)
    for position in random.integers(len(content), size=25).tolist():
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(random.integers(8))
        (folder / file).write_bytes(damaged)
        assert read_unless_damaged(folder) in (None, contents), f"byte {position} of {len(content)}"


@pytest.mark.parametrize("file", [file for file in FILES.values() if file != "zarr.json"])
def test_a_missing_chunk_is_reported_by_name(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(RecordingDamaged, match=f"{file} is missing"):
        read(folder)


def test_frames_other_than_a_damaged_one_can_be_read(
    folder: Path, expected_frames: dict[int, xarray.Dataset]
) -> None:
    (folder / "field/c/2/0/0").write_bytes(b"")
    recording = open_recording(folder)
    assert_shows(recording.isel(step=[0, 1, 3]), expected_frames)
    with pytest.raises(RecordingDamaged):
        recording.isel(step=2).load()


def test_a_folder_without_zarr_json_is_no_recording(folder: Path) -> None:
    (folder / "zarr.json").unlink()
    with pytest.raises(RecordingDamaged, match=r"no zarr\.json"):
        open_recording(folder)
    with pytest.raises(DataMissing, match=r"no zarr\.json"):
        record(CountingRun(3, side=BIG), folder)


def test_a_truncated_zip_file_is_reported(packed: Path, tmp_path: Path) -> None:
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
    content, path, contents, random = (
        packed.read_bytes(),
        tmp_path / "run.zarr.zip",
        read(packed),
        np.random.default_rng(4),
    )
    positions = [
        *random.integers(len(content), size=30).tolist(),
        *(header + int(random.integers(40)) for header in headers),
        *random.integers(directory, len(content), size=120).tolist(),
    ]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        assert read_unless_damaged(path) in (None, contents), (
            f"byte {position} of {len(content)}, directory at {directory}"
        )


@pytest.mark.parametrize("file", [file for file in FILES.values() if file != "zarr.json"])
@pytest.mark.parametrize("damage", ["lost", "cut", "flipped"])
def test_continuing_a_damaged_recording_does_not_hide_the_damage(
    folder: Path, file: str, damage: str
) -> None:
    chunk = folder / file
    content = chunk.read_bytes()
    if damage == "lost":
        chunk.unlink()
    else:
        chunk.write_bytes(
            content[:-3] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:]
        )
    try:
        record(CountingRun(5, side=BIG), folder, every=1)
    except RecordingDamaged:
        return
    with pytest.raises(RecordingDamaged):  # the damage is still reported
        read(folder)


def test_a_recording_with_damaged_metadata_is_not_continued(folder: Path) -> None:
    for file in ("zarr.json", "field/zarr.json"):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: len(content) // 2])
        with pytest.raises(RecordingDamaged):
            record(CountingRun(5, side=BIG), folder)
        (folder / file).write_bytes(content)
    assert record(CountingRun(5, side=BIG), folder).sizes["step"] == 6  # and the lock is free


def test_other_files_and_folders_are_not_opened_as_recordings(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("occupant", ["folder of a group", "empty folder", "file"])
def test_other_files_and_folders_are_not_overwritten(tmp_path: Path, occupant: str) -> None:
    path = tmp_path / "mine.zarr"
    if occupant == "file":
        path.write_text("mine")
    else:
        path.mkdir()
    if occupant == "folder of a group":
        zarr.create_group(path, attributes={"title": "mine"}, overwrite=True)
    with pytest.raises((DataMissing, RecordingDamaged)):
        record(CountingRun(1), path)
    assert path.exists()


# ---- two writers


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "run.zarr", 1.0, 2.0)
    with Writer.reopen(path):
        with pytest.raises(RecordingBusy, match="another run"):
            record(CountingRun(2), path)
        assert open_recording(path).loss.values.tolist() == [1, 2]  # reading is always allowed
    with Writer.reopen(path) as writer:
        writer.append(frame(3.0), 2)


def test_a_second_writer_is_refused_while_the_recording_is_created(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"

    class SecondWriter(CountingRun):
        def advance(self) -> None:
            with pytest.raises(RecordingBusy):
                record(CountingRun(2), path)
            super().advance()

    assert record(SecondWriter(2), path, every=1).sizes["step"] == 3


HOLDING = f"""
import sys
from explore.core.record import record
from toys import CountingRun
record(CountingRun({STEPS}, side={BIG}, delay=60), sys.argv[1], every=1, progress=lambda step, *_: print(step, flush=True))
"""


def test_a_second_writer_is_refused_until_the_process_of_the_first_ends(
    tmp_path: Path, expected_frames: dict[int, xarray.Dataset]
) -> None:
    path = tmp_path / "run.zarr"
    with start_python(HOLDING, path) as process:
        assert process.stdout
        assert process.stdout.readline() == "0\n"
        with pytest.raises(RecordingBusy):
            record(CountingRun(STEPS, side=BIG), path)
        assert_shows(open_recording(path), expected_frames)
        process.kill()
    assert record(CountingRun(STEPS, side=BIG), path, every=1).sizes["step"] == STEPS + 1


def test_an_open_recording_keeps_its_frames_while_more_are_written(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "run.zarr", 1.0, 2.0)
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
from toys import CountingRun, assert_shows, bits, frames, run_to_end
path, limit, when, side = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
explore.core.record.CHECKPOINT_SECONDS = float(sys.argv[5])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a file that grows past the limit is an OSError, as on a full disk
expected, full_run = frames(CountingRun(6, side=side)), run_to_end(CountingRun(6, side=side))

def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

run = CountingRun(6, side=side)
if when < 0:
    limit_files(limit)
try:
    record(run, path, every=1, progress=lambda step, *_: limit_files(limit) if step == when else None)
except RecordingFailed as error:
    message = str(error)
recorded_steps = open_recording(path).step.values.tolist() if path.exists() else []
files = sorted(p.name for p in path.parent.iterdir())
if recorded_steps:
    assert_shows(open_recording(path), expected)
limit_files(resource.RLIM_INFINITY)
step = run.step
recording = record(run, path, every=1)
assert_shows(recording, expected)
assert bits(run.result()) == bits(full_run.result())
assert run.advanced == 6
print(json.dumps({
    "message": message,
    "steps on the full disk": recorded_steps,
    "files": files,
    "step": step,
    "steps": recording.step.values.tolist(),
}))
"""


def record_on_full_disk(
    path: Path, limit: int, when: int, side: int, checkpoints: float = 1000
) -> dict[str, Any]:
    """Record in a process with a limit on file sizes from step ``when`` on; then go on without it.

    The limit is in bytes. A negative ``when`` sets it before the recording is created.
    """
    return json.loads(run_python(FULL, path, limit, when, side, checkpoints))


@pytest.mark.parametrize(
    ("limit", "side"),
    [(100_000, BIG), (2_000, 4), (150, 4), (0, 4)],
    ids=["large chunk", "commit", "shared chunk", "anything"],
)
def test_a_full_disk_loses_no_earlier_frame_and_the_run_can_continue(
    tmp_path: Path, limit: int, side: int
) -> None:
    report = record_on_full_disk(tmp_path / "run.zarr", limit, 2, side)
    assert report["steps on the full disk"] == [0, 1, 2]
    assert report["step"] == 3
    assert report["message"].startswith("frame of step 3 could not be written")
    assert "The 3 frames before it are kept" in report["message"]
    assert report["steps"] == [0, 1, 2, 3, 4, 5, 6]
    assert [name for name in report["files"] if ".partial" in name] == []


def test_the_previous_checkpoint_remains_if_the_next_does_not_fit(tmp_path: Path) -> None:
    report = record_on_full_disk(
        tmp_path / "run.zarr", 7_000, 2, 40, 0
    )  # chunks fit, packed; the checkpoint does not
    assert "checkpoint" in report["message"]
    assert "The checkpoint before it is kept" in report["message"]
    assert report["steps"] == [0, 1, 2, 3, 4, 5, 6]


def test_a_recording_that_cannot_be_created_leaves_no_folder(tmp_path: Path) -> None:
    report = record_on_full_disk(tmp_path / "run.zarr", 1_000, -1, 4)
    assert report["message"].startswith(f"cannot create {tmp_path / 'run.zarr'}")
    assert report["steps on the full disk"] == []
    assert [name for name in report["files"] if not name.endswith(".lock")] == []
    assert report["steps"] == [0, 1, 2, 3, 4, 5, 6]


def test_a_path_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingFailed, match="Choose a folder"):
        record(CountingRun(1), tmp_path / "file" / "run.zarr")


# ---- packed, served, read by others


def test_a_packed_recording_equals_its_folder(small: Path, packed: Path) -> None:
    assert read(packed) == read(small)
    assert open_recording(packed).attrs == open_recording(small).attrs


def test_packing_is_byte_for_byte_reproducible(small: Path, packed: Path, tmp_path: Path) -> None:
    repacked = pack(small, tmp_path / "again.zarr.zip")
    record(CountingRun(3, side=BIG), tmp_path / "same.zarr", every=1)
    same = pack(tmp_path / "same.zarr", tmp_path / "same.zarr.zip")
    assert repacked.read_bytes() == packed.read_bytes()
    assert read_packed_files(repacked) == read_packed_files(same)


def test_packing_ignores_files_that_are_not_committed(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "run.zarr", 1.0)
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


def test_packing_a_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="nowhere"):
        pack(tmp_path / "nowhere.zarr", tmp_path / "a.zarr.zip")


@pytest.fixture(scope="module")
def server_address(small: Path, packed: Path) -> Iterator[str]:
    """Serve a recording as a folder and as one file from this machine, and return the address."""

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
def test_a_recording_opens_from_the_web(small: Path, server_address: str, name: str) -> None:
    assert bits(open_recording(f"{server_address}/{name}")) == bits(open_recording(small))


@pytest.mark.parametrize("name", ["nowhere.zarr", "nowhere.zarr.zip"])
def test_a_missing_recording_on_a_web_server_is_an_error(server_address: str, name: str) -> None:
    with pytest.raises(DataMissing, match=name):
        open_recording(f"{server_address}/{name}")


@pytest.mark.parametrize("name", ["run.zarr", "run.zarr.zip"])
def test_a_server_that_does_not_answer_is_not_reported_as_damage(name: str) -> None:
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


def test_xarray_reads_folder_and_zip_file(
    small: Path, packed: Path, expected_frames: dict[int, xarray.Dataset]
) -> None:
    for store in (str(small), zarr.storage.ZipStore(packed, mode="r")):
        plain = xarray.open_zarr(store)
        assert plain.step.values.tolist() == [0, 1, 2, 3]
        assert_shows(
            plain.set_coords([name for name in plain.data_vars if "step" not in plain[name].dims]),
            expected_frames,
        )


def test_a_frame_that_was_not_committed_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recording(tmp_path / "run.zarr", 1.0, 2.0)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "_commit", interrupt)
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


def test_a_recording_with_indented_metadata_is_read(tmp_path: Path) -> None:
    """Early recordings have indented metadata, and their checksum is that of the indented bytes."""
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
