"""Runs: anything that takes time, one step at a time; recorded, stopped and resumed at will."""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from explore._parallel.cpus import usable_cpus
from explore.core.environment import processor, threads, versions
from explore.core.recording import describe_difference, open_recording
from explore.errors import ConfigMismatch, ExploreWarning, InvalidInput, RecordingFailed

if TYPE_CHECKING:
    import xarray

    from explore.core.writer import Writer

log = logging.getLogger("explore")

CHECKPOINT_SECONDS = 30.0
GROWTH = 1.06
"""``every="log"`` grows the distance between frames by this factor: about 60 frames in 200 steps, 100 in 2,000."""

Progress = Callable[[int, int, str], None]
Stop = Callable[[], bool]


@runtime_checkable
class Run(Protocol):
    """What a method must offer to be recorded, resumed, swept and shown.

    ``config`` identifies the run: method, options, seed and data, but neither device nor number of
    steps. ``snapshot`` changes nothing in the run. ``state`` is flat: arrays and JSON values.
    ``message`` is one short line for a progress bar, e.g. ``"loss 0.123"``.
    """

    name: str
    config: Mapping[str, Any]
    step: int
    steps: int

    @property
    def message(self) -> str:
        """One short line for a progress bar."""

    def advance(self) -> None:
        """Take one step."""

    def snapshot(self) -> xarray.Dataset:
        """One frame of what can be seen."""

    def result(self) -> xarray.Dataset:
        """What the run was for, in full precision."""

    def state(self) -> dict[str, Any]:
        """What resumes the run."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""


def stream_seed(seed: int, name: str, *index: int) -> int:
    """A 63-bit seed for the named random stream of a run, at ``index`` (a step, say).

    Streams are counted, not carried along: what is drawn at step 40 depends on the seed, the
    stream's name and 40 alone. So a resumed run draws what an uninterrupted one draws, nothing of
    it has to be stored, and one use of randomness never disturbs another.

    Example:
        >>> stream_seed(0, "batches", 3) == stream_seed(0, "batches", 3)
        True
        >>> stream_seed(0, "batches", 3) == stream_seed(0, "augment", 3)
        False
    """
    words = np.random.SeedSequence((seed, zlib.crc32(name.encode()), *index)).generate_state(
        2, np.uint32
    )
    return (int(words[0]) << 31) ^ int(words[1])


def record(
    run: Run,
    to: str | os.PathLike[str] | None = None,
    every: str | int | float | Sequence[int] = "auto",
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> xarray.Dataset:
    """Advance a run to its end (or until stopped) and record what can be seen; goes on where ``to`` stopped.

    Args:
        run: what to advance; see ``Run``.
        to: a recording folder, by convention ``NAME.zarr``; a temporary one if left out. If it
            exists, the run goes on from its last checkpoint.
        every: which steps become frames, besides the first and the last: ``"auto"`` (what the run proposes as its
            attribute ``every``, else as ``"log"``), ``"log"`` (dense at the
            start, about a hundred in all), ``n`` (each n-th), a float above 1 (distances grow by
            that factor) or the step numbers themselves. Does not change the run.
        progress: called after each step with steps done, steps planned and a short message.
        stop: called after each step; the run ends there if it returns true.

    Returns:
        The recording, opened.

    Raises:
        ConfigMismatch: ``to`` holds the recording of a run with another configuration.
        RecordingBusy: somebody else is writing ``to``.
        RecordingFailed: a frame or checkpoint could not be written, e.g. because the disk is full.
        KeyboardInterrupt: Ctrl-C was pressed; the step was finished and a checkpoint written first.

    Example:
        >>> from explore import build, record
        >>> run = build({"method": "datadam", "data": "digits", "preset": "lesson", "steps": 3})
        >>> record(run, every=1).sizes["step"]
        4
    """
    path = _local_path(to)
    due = frame_steps(getattr(run, "every", "log") if every == "auto" else every)
    if run.steps < 1:
        raise InvalidInput(f"run.steps is {run.steps}; a run has at least one step")
    if run.step >= run.steps and not path.exists():
        text = f"{run!r} has ended before it was recorded: its last frame is all there is. Record a new run to see it all"
        warnings.warn(text, ExploreWarning, stacklevel=2)
    with _interruptible() as interrupted, _writer(run, path, _count(due, run.steps)) as writer:
        checkpoint = _checkpoint_path(path)
        _resume(run, checkpoint, writer)
        saved, kept = time.monotonic(), run.step
        try:
            while True:
                if (run.step in due or run.step >= run.steps) and run.step > writer.steps[-1]:
                    writer.append(run.snapshot(), run.step)
                if progress is not None:
                    progress(run.step, run.steps, run.message)
                if run.step >= run.steps or interrupted() or (stop is not None and stop()):
                    break
                began = time.perf_counter()
                run.advance()
                writer.seconds += time.perf_counter() - began
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    save_checkpoint(run, checkpoint)
                    saved, kept = time.monotonic(), run.step
        except RecordingFailed:
            log.warning(
                "recording to %s failed at step %d; its checkpoint is at step %d",
                path,
                run.step,
                kept,
            )
            raise
        save_checkpoint(run, checkpoint)
        writer.commit()  # the seconds since the last frame, and how far this run was to go
        if interrupted():
            raise KeyboardInterrupt(
                f"stopped at step {run.step} of {run.steps}; record to {path} again to go on"
            )
    return open_recording(path)


class frame_steps:
    """The steps that become frames, as something to ask ``step in``; see ``record(every=...)``.

    Example:
        >>> every_tenth = frame_steps(10)
        >>> [step for step in range(25) if step in every_tenth]
        [0, 10, 20]
        >>> frame_steps(0)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: every must be "log", an integer ≥ 1, a float > 1 or step numbers, got 0
    """

    def __init__(self, every: str | int | float | Sequence[int]) -> None:
        self._interval, self._growth, self._chosen = 0, 0.0, frozenset[int]()
        if every == "log":
            self._growth = GROWTH
        elif isinstance(every, int) and every >= 1:
            self._interval = every
        elif isinstance(every, float) and 1 < every < math.inf:
            self._growth = every
        elif (
            isinstance(every, Sequence)
            and not isinstance(every, str)
            and all(isinstance(s, int) for s in every)
        ):
            self._chosen = frozenset({0, *every})
        else:
            raise InvalidInput(
                f'every must be "log", an integer ≥ 1, a float > 1 or step numbers, got {every!r}'
            )
        self._grown = [0]

    def __contains__(self, step: int) -> bool:
        if self._interval:
            return step % self._interval == 0
        if (
            self._growth
        ):  # does not depend on the planned number of steps, so a longer run only adds frames
            while self._grown[-1] < step:
                last = self._grown[-1]
                self._grown.append(max(last + 1, round(last * self._growth)))
            at = int(np.searchsorted(self._grown, step))
            return self._grown[at] == step
        return step in self._chosen


@contextmanager
def spare_core() -> Iterator[None]:
    """Compute on all cores but one, so that the page keeps answering while a job runs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, usable_cpus() - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def save_checkpoint(run: Run, path: Path) -> None:
    """Write what resumes the run, atomically, as an ``.npz`` without pickles.

    Raises:
        RecordingFailed: it could not be written; the checkpoint before it is kept.
    """
    state = run.state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {
        "step": run.step,
        "state": {name: value for name, value in state.items() if name not in arrays},
    }
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez(file, __json__=np.array(json.dumps(rest)), allow_pickle=False, **arrays)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RecordingFailed(
            f"checkpoint {path} could not be written: {error}. The one before it is kept"
        ) from error


def load_checkpoint(path: Path) -> tuple[int, dict[str, Any]]:
    """Step and state that ``save_checkpoint`` wrote."""
    with (
        path.open("rb") as stream,
        np.load(stream, allow_pickle=False) as file,
    ):  # np.load leaves a damaged file open
        rest = json.loads(str(file["__json__"]))
        return rest["step"], {name: file[name] for name in file.files if name != "__json__"} | rest[
            "state"
        ]


def _resume(run: Run, checkpoint: Path, writer: Writer) -> None:
    if not checkpoint.exists():
        if run.step == 0 and writer.steps[-1] > 0:
            log.info("%s has frames but no checkpoint; computing again from step 0", writer.path)
        return
    try:
        step, state = load_checkpoint(checkpoint)
    except Exception as error:  # a damaged file fails in many ways
        text = f"{checkpoint} cannot be read ({error}); computing again from step {run.step}"
        warnings.warn(text, ExploreWarning, stacklevel=3)
        return
    if step > run.step:
        run.restore(state)
        run.step = step


def _writer(run: Run, path: Path, frames: int) -> Writer:
    from explore.core.writer import Writer

    if not path.exists():
        if (stale := _checkpoint_path(path)).exists():  # of a recording that was removed
            stale.unlink()
        attributes = {
            "config": run.config,
            "name": run.name,
            "threads": threads(),
            "versions": versions(),
        }
        attributes |= {"device": _device(run), "steps": run.steps, "seconds": 0.0}
        return Writer.create(path, attributes, run.snapshot(), run.step, frames)
    writer = Writer.reopen(path)
    writer.attributes["steps"] = run.steps  # it may be asked to go further than at first
    try:
        difference = describe_difference(writer.config, run.config)
        if difference:
            raise ConfigMismatch(
                f"{path} was recorded by a run with another configuration:\n{difference}\n"
                "Record to another path, or give the same"
            )
        recorded = writer.attributes.get("threads")
        if recorded != threads() and writer.steps[-1] < run.steps:
            text = f"{path} was recorded with {recorded} torch threads, now {threads()}: the last bits may differ"
            warnings.warn(text, ExploreWarning, stacklevel=3)
        writer.reserve(len(writer.steps) + frames)
    except BaseException:
        writer.close()
        raise
    return writer


def _count(due: frame_steps, steps: int) -> int:
    return sum(step in due for step in range(steps + 1)) + 1


def _local_path(to: str | os.PathLike[str] | None) -> Path:
    if to is None:
        folder = tempfile.mkdtemp(prefix="explore-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder) / "run.zarr"
    if "://" in str(to) or str(to).endswith(".zip"):
        raise InvalidInput(
            f"a run is recorded to a folder, got {str(to)!r}; pack() makes one file of a finished folder"
        )
    return Path(to)


def _checkpoint_path(path: Path) -> Path:
    return path.with_name(path.name + ".checkpoint.npz")


def _device(run: Run) -> str:
    """What a run computes on: the accelerator's name, or this machine's processor."""
    import sys

    torch, device = sys.modules.get("torch"), getattr(getattr(run, "options", run), "device", "")
    if torch and str(device).startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return processor()


def ended(recording: xarray.Dataset) -> bool:
    """Whether a run got to the last step that was planned for it when it was last recorded."""
    return int(recording["step"][-1]) >= recording.attrs.get("steps", 0)


@contextmanager
def _interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a request to stop after the step; the second one interrupts at once."""
    asked = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
