"""Files that are lost, changed or not readable while a run records; any Zarr reader; checkpoints of other runs."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
from toys import CountingRun, assert_shows, bits, frames, run_to_end

from explore.core import _array_writer, _chunks, record as record_module
from explore.core._format import seal, to_json
from explore.core.checkpoint import checkpoint_path
from explore.core.record import record
from explore.core.recording import open_recording, pack
from explore.errors import (
    ExploreWarning,
    RecordingDamaged,
    RecordingFailed,
)

pytestmark = pytest.mark.usefixtures("_one_thread")

BIG = 275  # one frame a chunk


def change_when(
    path: Path, step: int, change: Callable[[Path], Any]
) -> Callable[[int, int, str], None]:
    """Return a progress function that changes the recording once, after a step."""

    def progress(done: int, *_: Any) -> None:
        if done == step:
            change(path)

    return progress


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def change_bytes(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def change_attribute(file: Path) -> None:
    root = json.loads(file.read_text())
    root["attributes"]["note"] = "mine"
    file.write_bytes(seal(root))


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "shared chunk": (lambda p: (p / "total/c/0/0").unlink(), "total/c/0/0 is missing"),
    "chunk of steps": (lambda p: (p / "step/c/0").unlink(), "step/c/0 is missing"),
    "last chunk": (lambda p: (p / "field/c/4/0/0").unlink(), "field/c/4/0/0 is missing"),
    "earlier chunk": (lambda p: (p / "field/c/1/0/0").unlink(), "field/c/1/0/0 is missing"),
    "constant": (lambda p: (p / "part/c/0").unlink(), "part/c/0 is missing"),
    "truncated chunk": (lambda p: truncate(p / "square/c/0"), "square/c/0 was changed"),
    "changed chunk": (lambda p: change_bytes(p / "total/c/0/0"), "total/c/0/0 was changed"),
    "replaced chunk": (
        lambda p: shutil.copy(p / "field/c/0/0/0", p / "field/c/3/0/0"),
        "field/c/3/0/0 was changed",
    ),
    "folder of an array": (lambda p: shutil.rmtree(p / "total"), "total/.* is missing"),
    "whole folder": (shutil.rmtree, "zarr.json is missing"),
    "zarr.json": (lambda p: (p / "zarr.json").unlink(), "zarr.json is missing"),
    "changed zarr.json": (lambda p: change_attribute(p / "zarr.json"), "zarr.json was changed"),
    "zarr.json of an array": (lambda p: (p / "field/zarr.json").unlink(), "field/zarr.json is mis"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_file_that_is_lost_or_changed_while_a_run_records_stops_it(
    tmp_path: Path, change: Callable[[Path], Any], message: str
) -> None:
    path = tmp_path / "run.zarr"
    with pytest.raises(RecordingDamaged, match=message):
        record(CountingRun(8, side=BIG), path, every=1, progress=change_when(path, 4, change))
    # A chunk in place of another one is whole, and only its writer can tell.
    if (path / "zarr.json").exists() and "field/c/3" not in message:
        expected = frames(CountingRun(8, side=BIG))
        with suppress(RecordingDamaged):  # what remains is right or reported
            assert_shows(open_recording(path), expected)


def test_a_file_lost_after_the_last_frame_is_reported_too(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    change = change_when(path, 8, lambda p: (p / "field/c/2/0/0").unlink())
    with pytest.raises(RecordingDamaged, match="field/c/2/0/0 is missing"):
        record(CountingRun(8, side=BIG), path, every=1, progress=change)


def test_files_that_are_only_touched_or_copied_back_are_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"

    def copy_back(p: Path) -> None:
        shutil.move(p, p.with_name("moved"))
        shutil.copytree(p.with_name("moved"), p)

    run = CountingRun(8)
    recording = record(run, path, every=1, progress=change_when(path, 4, copy_back))
    assert_shows(recording, frames(CountingRun(8)))
    assert recording.step.values.tolist() == list(range(9))


def test_packed_chunks_are_those_that_zarr_writes(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record(CountingRun(3, side=BIG), path, every=1)
    group = zarr.open_group(path, mode="r")
    for name, chunk in {"field": "c/2/0/0", "label": "c/0", "rising": "c/0"}.items():
        array: Any = group[name]
        copy = zarr.create_array(
            tmp_path / name,
            shape=array.chunks,
            chunks=array.chunks,
            dtype=array.metadata.data_type,
            compressors=array.compressors,
        )
        values = array[2:3] if name == "field" else array[:]
        copy[: len(values)] = values
        other = (tmp_path / name).joinpath("c", *["0"] * copy.ndim)
        assert other.read_bytes() == (path / name / chunk).read_bytes()


# ---- readers that know nothing of consolidated metadata


@pytest.mark.parametrize("every", [1, 3, "log"])
def test_a_finished_recording_is_right_without_consolidated_metadata(
    tmp_path: Path, every: Any
) -> None:
    path = tmp_path / "run.zarr"
    recording = record(CountingRun(20), path, every=every)
    plain = xarray.open_zarr(path, consolidated=False)
    assert plain.sizes["step"] == recording.sizes["step"]
    names = [name for name in plain.data_vars if "step" not in plain[name].dims]
    assert bits(plain.set_coords(names)) == bits(recording)
    assert plain["total"].attrs == recording["total"].attrs


def test_a_stopped_a_failed_and_a_continued_run_have_as_many_frames_for_any_reader(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.zarr"
    run = CountingRun(20)
    record(run, path, every=1, stop=lambda: run.step >= 5)
    assert xarray.open_zarr(path, consolidated=False).sizes["step"] == 6

    class Failing(CountingRun):
        def advance(self) -> None:
            if self.step == 8:
                raise ZeroDivisionError
            super().advance()

    with pytest.raises(ZeroDivisionError):
        record(Failing(20), path, every=1)
    assert xarray.open_zarr(path, consolidated=False).sizes["step"] == 9
    recording = record(CountingRun(20), path, every=1)
    plain = xarray.open_zarr(path, consolidated=False)
    assert plain.sizes["step"] == recording.sizes["step"] == 21
    assert_shows(plain, frames(CountingRun(20)))


def test_a_recording_shows_other_readers_committed_frames_only_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_module, "CHECKPOINT_SECONDS", -1)
    path, counts = tmp_path / "run.zarr", []

    def count(step: int, *_: Any) -> None:
        counts.append(xarray.open_zarr(path, consolidated=False).sizes["step"])
        assert counts[-1] <= open_recording(path).sizes["step"]

    record(CountingRun(4), path, every=1, progress=count)
    assert counts == [0, 1, 2, 3, 4]


# ---- checkpoints and recordings that do not belong together


def record_until(path: Path, step: int, seed: int = 0, every: Any = 1) -> None:
    run = CountingRun(8, seed)
    record(run, path, every=every, stop=lambda: run.step >= step)


def assert_computed_again(path: Path, seed: int, message: str) -> None:
    run = CountingRun(8, seed)
    with pytest.warns(ExploreWarning, match=f"{message}.*; computing again from step 0"):
        recording = record(run, path, every=1)
    assert run.advanced == 8
    assert recording.step.values.tolist() == list(range(9))
    assert bits(recording) == bits(record(CountingRun(8, seed), every=1))
    assert bits(run.result()) == bits(run_to_end(CountingRun(8, seed)).result())


@pytest.mark.parametrize("seed", [0, 1], ids=["another config", "same config"])
def test_a_checkpoint_of_another_recording_is_not_used(tmp_path: Path, seed: int) -> None:
    record_until(tmp_path / "a.zarr", 5, seed)
    record_until(tmp_path / "b.zarr", 3, 1)
    shutil.rmtree(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").rename(tmp_path / "a.zarr")
    assert_computed_again(tmp_path / "a.zarr", 1, "belongs to another recording")


def test_a_checkpoint_later_than_the_frames_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record_until(path, 3)
    shutil.copytree(path, tmp_path / "early.zarr")
    record_until(path, 6)
    shutil.rmtree(path)
    (tmp_path / "early.zarr").rename(path)
    assert_computed_again(path, 0, "was written after a frame of step 6, which is missing")


def test_the_recording_and_its_checkpoint_can_be_moved_together(tmp_path: Path) -> None:
    record_until(tmp_path / "a.zarr", 5)
    (tmp_path / "new").mkdir()
    (tmp_path / "a.zarr").rename(tmp_path / "new" / "b.zarr")
    checkpoint_path(tmp_path / "a.zarr").rename(checkpoint_path(tmp_path / "new" / "b.zarr"))
    run = CountingRun(8)
    record(run, tmp_path / "new" / "b.zarr", every=1)
    assert run.advanced == 3


def make_old(path: Path) -> None:
    """Turn a recording and its checkpoint into those of a version without ids."""
    root = json.loads((path / "zarr.json").read_text())
    del root["attributes"]["id"]
    (path / "zarr.json").write_bytes(seal(root))
    with np.load(checkpoint_path(path)) as file:
        arrays = dict(file)
    document = json.loads(str(arrays.pop("__json__")))
    document = {"step": document["step"], "state": document["state"]}
    np.savez(checkpoint_path(path), __json__=np.array(json.dumps(document)), **arrays)


def test_recordings_and_checkpoints_of_earlier_versions_are_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record_until(path, 5)
    make_old(path)
    run = CountingRun(8)
    recording = record(run, path, every=1)
    assert run.advanced == 3
    assert bits(recording) == bits(record(CountingRun(8), every=1))
    assert "id" not in recording.attrs


def test_a_checkpoint_of_an_earlier_version_is_not_used_with_a_new_recording(
    tmp_path: Path,
) -> None:
    record_until(tmp_path / "a.zarr", 5)
    record_until(tmp_path / "b.zarr", 3)
    make_old(tmp_path / "a.zarr")
    checkpoint_path(tmp_path / "a.zarr").replace(checkpoint_path(tmp_path / "b.zarr"))
    assert_computed_again(tmp_path / "b.zarr", 0, "belongs to another recording")


def test_a_checkpoint_with_the_arrays_of_another_program_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record_until(path, 5)
    with np.load(checkpoint_path(path)) as file:
        arrays = dict(file)
    del arrays["field"]
    np.savez(checkpoint_path(path), **arrays)
    assert_computed_again(path, 0, "does not fit this run .KeyError")


@pytest.mark.parametrize("fault", ["deflated", "header"])
def test_a_checkpoint_that_unpacks_to_more_than_its_size_is_not_used(
    tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "a.zarr"
    record_until(path, 5)
    with np.load(checkpoint_path(path)) as file:
        arrays = dict(file)
    if fault == "deflated":
        np.savez_compressed(checkpoint_path(path), **arrays)
        message = "holds more than its size"
    else:
        content = checkpoint_path(path).read_bytes()
        np.savez(checkpoint_path(path), **{**arrays, "total": np.zeros(3)})
        content = checkpoint_path(path).read_bytes()
        checkpoint_path(path).write_bytes(content.replace(b"'shape': (3,)", b"'shape': (9,)"))
        message = "cannot be read"
    assert_computed_again(path, 0, message)


# ---- the system refuses to read or to write


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.ESTALE, errno.EIO])
def test_refusals_of_the_system_are_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, 3)
    reason = OSError(number, "the system said no")

    def refuse(*_: Any, **__: Any) -> Any:
        raise reason

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        for call in (lambda: record(CountingRun(8), path), lambda: pack(path, tmp_path / "a.zip")):
            with pytest.raises(RecordingFailed, match="the system said no") as caught:
                call()
            assert "damaged" not in str(caught.value)
    with monkeypatch.context() as patch:
        patch.setattr(zarr.storage._local, "_get", refuse)
        with pytest.raises(RecordingFailed, match="the system said no"):
            open_recording(path)
    with monkeypatch.context() as patch:
        patch.setattr(_array_writer, "replace_file", refuse)
        with pytest.raises(RecordingFailed, match="the system said no"):
            record(CountingRun(8), path, every=1)
    assert record(CountingRun(8), path, every=1).sizes["step"] == 9


@pytest.mark.parametrize("operation", range(1, 30, 4))
def test_an_interrupt_while_a_recording_is_created_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: int
) -> None:
    path, calls = tmp_path / "run.zarr", []
    original = _chunks.open_part

    def interrupt(part: Path) -> Any:
        calls.append(part)
        if len(calls) == operation:
            raise KeyboardInterrupt
        return original(part)

    with monkeypatch.context() as patch:
        patch.setattr(_chunks, "open_part", interrupt)
        with suppress(KeyboardInterrupt):
            record(CountingRun(2), path, every=1)
    assert_shows(record(CountingRun(2), path, every=1), frames(CountingRun(2)))


def test_planned_steps_cost_nothing_before_they_are_taken(tmp_path: Path) -> None:
    run = CountingRun(10**15)
    recording = record(run, tmp_path / "a.zarr", every=1.0000001, stop=lambda: run.step >= 3)
    assert recording.step.values.tolist() == [0, 1, 2, 3]
    size = sum(file.stat().st_size for file in (tmp_path / "a.zarr").rglob("*") if file.is_file())
    assert size < 100_000
    for name in ("step", "total", "field"):
        shape = json.loads((tmp_path / "a.zarr" / name / "zarr.json").read_text())
        chunk = shape["chunk_grid"]["configuration"]["chunk_shape"]
        assert np.prod(chunk) * 8 <= 2**19


def test_metadata_of_an_array_that_disagree_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, 3)
    entry = json.loads((path / "field/zarr.json").read_text())
    entry["data_type"] = "float64"
    (path / "field/zarr.json").write_bytes(to_json(entry))
    with pytest.raises(RecordingDamaged, match=r"field/zarr.json does not agree with zarr.json"):
        record(CountingRun(8), path)
