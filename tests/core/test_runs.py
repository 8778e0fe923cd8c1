"""Recorded runs: any choice of frames, stops, interrupts and resumes end in the same bits."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from toys import (
    CountingRun,
    assert_shows,
    bits,
    frames,
    run_python,
    run_to_end,
    start_python,
    states_equal,
)

from explore.core.checkpoint import load_checkpoint, save_checkpoint
from explore.core.frame_steps import FrameSteps
from explore.core.record import record
from explore.core.recording import open_recording
from explore.core.runs import Run, stream_seed
from explore.errors import ConfigMismatch, ExploreWarning, InvalidInput

pytestmark = pytest.mark.usefixtures("_one_thread")


def checkpoint_path(path: Path) -> Path:
    return path.with_name(path.name + ".checkpoint.npz")


def stop_at(run: CountingRun, step: int) -> Any:
    return lambda: run.step >= step


def record_until(path: Path, step: int, steps: int = 10, **options: Any) -> CountingRun:
    """Record a run, stop it after ``step``, and return it."""
    run = CountingRun(steps, **options)
    record(run, path, every=1, stop=stop_at(run, step))
    return run


# ---- which steps become frames


def recorded_steps(every: Any, steps: int) -> list[int]:
    frame_steps = FrameSteps(every)
    return [step for step in range(steps + 1) if step in frame_steps]


def test_every_n_takes_each_nth_step() -> None:
    assert recorded_steps(1, 5) == [0, 1, 2, 3, 4, 5]
    assert recorded_steps(4, 13) == [0, 4, 8, 12]


def test_every_sequence_takes_those_steps_and_the_first() -> None:
    assert recorded_steps([3, 5, 99], 10) == [0, 3, 5]
    assert recorded_steps(range(2, 10, 3), 10) == [0, 2, 5, 8]
    assert recorded_steps((), 10) == [0]


def test_every_float_multiplies_the_intervals_by_that_factor() -> None:
    assert recorded_steps(2.0, 100) == [0, 1, 2, 4, 8, 16, 32, 64]
    assert recorded_steps(1.5, 40) == [0, 1, 2, 3, 4, 6, 9, 14, 21, 32]


def test_every_log_records_about_a_hundred_steps_most_of_them_at_the_start() -> None:
    assert recorded_steps("log", 200)[:10] == list(range(10))
    assert 50 <= len(recorded_steps("log", 200)) <= 70
    assert 90 <= len(recorded_steps("log", 2000)) <= 110
    assert np.diff(recorded_steps("log", 2000)).tolist() == sorted(
        np.diff(recorded_steps("log", 2000)).tolist()
    )


RECORDED_STEPS = {every: set(recorded_steps(every, 500)) for every in ("log", 1.01, 1.7, 3)}


@given(
    st.lists(st.integers(0, 500), min_size=1, max_size=50), st.sampled_from(list(RECORDED_STEPS))
)
def test_whether_a_step_becomes_a_frame_depends_on_that_step_alone(
    steps: list[int], every: Any
) -> None:
    frame_steps = FrameSteps(every)
    assert [step in frame_steps for step in steps] == [
        step in RECORDED_STEPS[every] for step in steps
    ]


@pytest.mark.parametrize(
    "every",
    [0, -1, 1.0, 0.5, -2.0, float("nan"), float("inf"), "each", "", None, [0.5], ["1"], {3}],
    ids=repr,
)
def test_other_values_of_every_are_refused(every: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match='every must be "log", an integer ≥ 1, a float > 1 or step numbers, got'
    ):
        record(CountingRun(2), tmp_path / "run.zarr", every=every)
    assert list(tmp_path.iterdir()) == []


def test_first_and_last_step_are_always_recorded() -> None:
    assert record(CountingRun(7), every=100).step.values.tolist() == [0, 7]
    assert record(CountingRun(7), every=[]).step.values.tolist() == [0, 7]
    assert record(CountingRun(7), every=2.0).step.values.tolist() == [0, 1, 2, 4, 7]


# ---- random streams


SEEDS = st.integers(0, 2**63)
NAMES = st.sampled_from(["init", "batches", "augment", "networks", "probe"])
INDEX = st.tuples(st.integers(0, 2**31), st.integers(0, 2**31))


@given(SEEDS, NAMES, INDEX)
def test_a_stream_seed_has_63_bits_and_is_reproducible(
    seed: int, name: str, index: tuple[int, int]
) -> None:
    stream = stream_seed(seed, name, *index)
    assert isinstance(stream, int)
    assert 0 <= stream < 2**63
    assert stream == stream_seed(seed, name, *index)


@given(st.sets(st.tuples(SEEDS, NAMES, INDEX), min_size=2, max_size=20))
def test_different_arguments_give_different_stream_seeds(
    streams: set[tuple[int, str, tuple[int, int]]],
) -> None:
    assert len({stream_seed(seed, name, *index) for seed, name, index in streams}) == len(streams)


def test_stream_seeds_equal_those_of_earlier_versions() -> None:
    """If this fails, runs of earlier versions are no longer reproduced in the same bits."""
    assert stream_seed(0, "batches", 3) == 5084461294670789364
    assert stream_seed(7, "init") == 3247340025391065051
    assert stream_seed(2**40, "augment", 1, 2) == 3136154121563262347


def test_stream_seeds_look_random() -> None:
    seeds = [stream_seed(0, "batches", step) for step in range(2000)]
    shares = np.array([[seed >> bit & 1 for bit in range(63)] for seed in seeds]).mean(0)
    assert np.abs(shares - 0.5).max() < 0.06  # 5 standard deviations of 2,000 fair coins


# ---- looking changes nothing


@pytest.mark.parametrize("every", [1, 100, "log", 1.5, [4]], ids=str)
def test_the_choice_of_frames_does_not_change_the_result(every: Any) -> None:
    run = CountingRun(120)
    recording = record(run, every=every)
    assert bits(run.result()) == bits(run_to_end(CountingRun(120)).result())
    assert states_equal(run.state(), run_to_end(CountingRun(120)).state())
    assert_shows(recording, frames(CountingRun(120)))


def test_an_object_without_snapshot_is_not_a_run() -> None:
    assert isinstance(CountingRun(), Run)
    assert not isinstance(object(), Run)


def test_progress_is_called_at_every_step(tmp_path: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    record(CountingRun(3), tmp_path / "run.zarr", progress=lambda *report: reports.append(report))
    messages = [run.message for run in (run_to_end(CountingRun(3), step) for step in range(4))]
    assert reports == [(step, 3, message) for step, message in enumerate(messages)]


def test_recording_prints_nothing_and_logs_to_the_logger_of_explore(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "explore"):
        record_until(tmp_path / "run.zarr", 2)
        checkpoint_path(tmp_path / "run.zarr").unlink()
        record(CountingRun(3), tmp_path / "run.zarr")
    assert capfd.readouterr() == ("", "")
    ours = [r.getMessage() for r in caplog.records if r.name == "explore"]
    assert ours == [
        f"{tmp_path / 'run.zarr'} has frames but no checkpoint; computing again from step 0"
    ]


def test_a_run_is_recorded_in_any_thread(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def record_run() -> None:
        try:
            record(CountingRun(3), tmp_path / "run.zarr", every=1)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=record_run)
    thread.start()
    thread.join()
    assert errors == []
    assert_shows(open_recording(tmp_path / "run.zarr"), frames(CountingRun(3)))


TEMPORARY = """
import os, sys, tempfile
from explore.core.record import record
from toys import CountingRun
tempfile.tempdir = sys.argv[1]
recording = record(CountingRun(2), every=1)
print(os.listdir(sys.argv[1]) != [], recording.total.load().sizes["step"])
"""


def test_without_a_path_the_recording_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    assert run_python(TEMPORARY, tmp_path) == "True 3\n"
    assert list(tmp_path.iterdir()) == []


# ---- stopped and gone on


@pytest.mark.parametrize("step", [0, 1, 5, 9])
def test_a_new_object_continues_a_stopped_run_to_the_same_bits(tmp_path: Path, step: int) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, step)
    assert open_recording(path).step.values.tolist() == list(range(step + 1))
    run = CountingRun(10)
    recording = record(run, path, every=1)
    assert run.advanced == 10 - step  # from the checkpoint
    assert bits(run.result()) == bits(run_to_end(CountingRun(10)).result())
    assert_shows(recording, frames(CountingRun(10)))
    assert recording.step.values.tolist() == list(range(11))


def test_the_same_object_continues_a_stopped_run(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    run = record_until(path, 4)
    recording = record(run, path, every=1)
    assert run.advanced == 10
    assert bits(run.result()) == bits(run_to_end(CountingRun(10)).result())
    assert_shows(recording, frames(CountingRun(10)))


def test_more_steps_equal_an_uninterrupted_run(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record(CountingRun(10), path, every=1)
    run = CountingRun(25)
    recording = record(run, path, every=1)
    assert run.advanced == 15
    assert bits(recording) == bits(record(CountingRun(25), every=1))
    assert bits(run.result()) == bits(run_to_end(CountingRun(25)).result())


def test_more_steps_add_frames(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record(CountingRun(10), path, every=4)
    recording = record(CountingRun(20), path, every=8)
    assert recording.step.values.tolist() == [0, 4, 8, 10, 16, 20]
    assert_shows(recording, frames(CountingRun(20)))


def test_a_finished_recording_is_opened_without_a_step(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    first = bits(record(CountingRun(10), path))
    run = CountingRun(10)
    assert bits(record(run, path)) == first
    assert (run.step, run.advanced) == (10, 0)
    assert bits(run.result()) == bits(run_to_end(CountingRun(10)).result())


def test_fewer_steps_than_recorded_remove_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record(CountingRun(10), path, every=1)
    assert record(CountingRun(4), path, every=1).step.values.tolist() == list(range(11))
    assert record(CountingRun(12), path, every=1).step.values.tolist() == list(range(13))
    assert_shows(open_recording(path), frames(CountingRun(12)))


def test_a_recording_of_another_configuration_is_refused_with_the_difference(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, 3)
    before = {file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()}
    with pytest.raises(ConfigMismatch, match="another configuration:\n  seed: recorded 0, now 1\n"):
        record(CountingRun(10, seed=1), path)
    assert {
        file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()
    } == before
    record(CountingRun(10), path)  # and the lock is free


def test_a_removed_recording_does_not_affect_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, 5)
    shutil.rmtree(path)
    other = CountingRun(10, seed=1)
    recording = record(other, path, every=1)
    assert bits(other.result()) == bits(run_to_end(CountingRun(10, seed=1)).result())
    assert_shows(recording, frames(CountingRun(10, seed=1)))
    assert recording.step.values.tolist() == list(range(11))


def test_an_exception_in_a_step_is_raised_and_earlier_frames_remain(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"

    class Failing(CountingRun):
        def advance(self) -> None:
            if self.step == 3:
                raise ZeroDivisionError("in step 4")
            super().advance()

    with pytest.raises(ZeroDivisionError, match="in step 4"):
        record(Failing(10), path, every=1)
    assert open_recording(path).step.values.tolist() == [0, 1, 2, 3]
    assert_shows(record(CountingRun(10), path, every=1), frames(CountingRun(10)))


def test_zero_steps_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    run = CountingRun(1)
    run.steps = 0
    with pytest.raises(
        InvalidInput, match=r"run\.steps must be a whole number of at least 1, got 0"
    ):
        record(run, tmp_path / "run.zarr")
    assert list(tmp_path.iterdir()) == []


# ---- checkpoints


def test_checkpoints_are_written_at_intervals_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "run.zarr", []

    def append_step(*_: Any) -> None:
        steps.append(
            load_checkpoint(checkpoint_path(path))["step"]
            if checkpoint_path(path).exists()
            else None
        )

    record(CountingRun(3), path, progress=append_step)
    assert steps == [None, None, None, None]  # thirty seconds have not passed
    assert load_checkpoint(checkpoint_path(path))["step"] == 3
    monkeypatch.setattr("explore.core.record.CHECKPOINT_SECONDS", -1)
    steps.clear()
    path = tmp_path / "other.zarr"
    record(CountingRun(3), path, progress=append_step)
    assert steps == [None, 1, 2, 3]


def test_a_checkpoint_keeps_arrays_and_json_in_the_same_bits(tmp_path: Path) -> None:
    run = run_to_end(CountingRun(4))
    state = run.state() | {
        "loss": float("nan"),
        "rate": 0.1,
        "names": ["a", "ß"],
        "half": np.float16([1, np.inf]),
        "yes": True,
    }
    run.state = lambda: state  # type: ignore[method-assign]
    save_checkpoint(run, tmp_path / "a.npz")
    loaded = load_checkpoint(tmp_path / "a.npz")
    assert loaded.pop("step") == 4
    assert states_equal(loaded, state)


@pytest.mark.parametrize(
    "content", [b"", b"not a checkpoint", None], ids=["empty", "text", "half of it"]
)
def test_an_unreadable_checkpoint_gives_a_warning_and_the_run_starts_over(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, 5)
    checkpoint = checkpoint_path(path).read_bytes()
    checkpoint_path(path).write_bytes(
        checkpoint[: len(checkpoint) // 2] if content is None else content
    )
    run = CountingRun(10)
    with pytest.warns(
        ExploreWarning,
        match=r"run.zarr.checkpoint.npz cannot be read .* computing again from step 0",
    ):
        recording = record(run, path, every=1)
    assert run.advanced == 10
    assert bits(run.result()) == bits(run_to_end(CountingRun(10)).result())
    assert_shows(recording, frames(CountingRun(10)))


def test_a_flipped_bit_in_a_checkpoint_never_changes_the_run(tmp_path: Path) -> None:
    path, random = tmp_path / "run.zarr", np.random.default_rng(0)
    record_until(path, 3, 4)
    checkpoint, result = (
        checkpoint_path(path).read_bytes(),
        bits(run_to_end(CountingRun(4)).result()),
    )
    for position in random.integers(len(checkpoint), size=40).tolist():
        damaged = bytearray(checkpoint)
        damaged[position] ^= 1 << int(random.integers(8))
        checkpoint_path(path).write_bytes(damaged)
        run = CountingRun(4)
        try:
            record(run, path, every=1)
        except ExploreWarning:  # warnings are errors here
            continue
        assert bits(run.result()) == result, f"byte {position} of {len(checkpoint)}"


def test_a_missing_checkpoint_changes_no_result(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    record_until(path, 5)
    checkpoint_path(path).unlink()
    run = CountingRun(10)
    recording = record(run, path, every=1)
    assert run.advanced == 10
    assert bits(run.result()) == bits(run_to_end(CountingRun(10)).result())
    assert_shows(recording, frames(CountingRun(10)))


# ---- threads and Ctrl-C


def test_another_number_of_threads_gives_a_warning(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "run.zarr"
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        record_until(path, 3)
        torch.set_num_threads(2)
        with pytest.warns(
            ExploreWarning,
            match="was recorded with 1 torch threads, now 2: the last bits may differ",
        ):
            record(CountingRun(10), path)
        record(CountingRun(10), path)  # nothing is computed any more, so nothing is said
    finally:
        torch.set_num_threads(before)


INTERRUPTED = """
import signal, sys
from explore.core.record import record
from toys import CountingRun

class Slow(CountingRun):
    def advance(self):
        self.delay = 0.4 if self.step == 2 else 0
        print("begin", self.step + 1, flush=True)
        super().advance()

run, before = Slow(8), signal.getsignal(signal.SIGINT)
try:
    record(run, sys.argv[1], every=1)
except KeyboardInterrupt as error:
    print("interrupted:", error)
print(run.step, signal.getsignal(signal.SIGINT) == before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to another process")
def test_ctrl_c_finishes_the_step_and_writes_a_checkpoint(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.zarr"
    with start_python(INTERRUPTED, path) as process:
        assert process.stdout
        for line in process.stdout:
            if line == "begin 3\n":
                process.send_signal(signal.SIGINT)
                break
        lines = process.stdout.read().splitlines()
    assert lines == [
        f"interrupted: stopped at step 3 of 8; record to {path} again to continue",
        "3 True",
    ]
    assert load_checkpoint(checkpoint_path(path))["step"] == 3
    assert open_recording(path).step.values.tolist() == [0, 1, 2, 3]
    run = CountingRun(8)
    recording = record(run, path, every=1)
    assert run.advanced == 5
    assert bits(run.result()) == bits(run_to_end(CountingRun(8)).result())
    assert_shows(recording, frames(CountingRun(8)))


def test_a_second_ctrl_c_interrupts_at_once_and_frames_remain(tmp_path: Path) -> None:
    path, before = tmp_path / "run.zarr", signal.getsignal(signal.SIGINT)

    class Impatient(CountingRun):
        def advance(self) -> None:
            if self.step == 3:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            super().advance()

    run = Impatient(8)
    with pytest.raises(KeyboardInterrupt):
        record(run, path, every=1)
    assert run.step == 3
    assert signal.getsignal(signal.SIGINT) == before
    assert open_recording(path).step.values.tolist() == [0, 1, 2, 3]
    resumed = CountingRun(8)
    assert_shows(record(resumed, path, every=1), frames(CountingRun(8)))
    assert bits(resumed.result()) == bits(run_to_end(CountingRun(8)).result())


def test_stop_is_called_after_each_step_and_ends_the_run(tmp_path: Path) -> None:
    steps = []
    run = CountingRun(10)
    record(run, tmp_path / "run.zarr", stop=lambda: steps.append(run.step) or run.step == 3)  # type: ignore[func-returns-value]
    assert steps == [0, 1, 2, 3]
    assert run.step == 3
    assert load_checkpoint(checkpoint_path(tmp_path / "run.zarr"))["step"] == 3


def test_recording_a_run_that_has_ended_gives_a_warning(tmp_path: Path) -> None:
    run = run_to_end(CountingRun(3, 0))
    with pytest.warns(ExploreWarning, match="ended before it was recorded"):
        recording = record(run, tmp_path / "run.zarr")
    assert recording.step.values.tolist() == [3]
    record(run, tmp_path / "run.zarr")  # goes on where it stopped, which is no mistake
