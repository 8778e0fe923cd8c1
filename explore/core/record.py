"""Record a run: advance it, write its frames and checkpoints, stop and resume it."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.core._format import check_json
from explore.core.checkpoint import checkpoint_path, resume, save_checkpoint
from explore.core.environment import processor, threads, versions
from explore.core.frame_steps import Every, FrameSteps
from explore.core.recording import describe_difference, open_recording, recording_id
from explore.core.runs import BaseRun, Progress, Run, Stop, advance_once
from explore.core.validation import check_callable, check_text, check_whole_number, describe
from explore.errors import ConfigMismatch, ExploreWarning, InvalidInput, RecordingFailed

if TYPE_CHECKING:
    import xarray

    from explore.core.writer import Writer

log = logging.getLogger("explore")

CHECKPOINT_SECONDS = 30.0


def record(
    run: Run,
    to: str | os.PathLike[str] | None = None,
    every: Every = "auto",
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> xarray.Dataset:
    """Advance a run to its end and record what can be seen. A recording at ``to`` is continued.

    Args:
        run: what to advance; see ``Run``.
        to: a recording folder, by convention ``NAME.zarr``; a temporary one if left out. If it
            exists, the run goes on from its last checkpoint.
        every: which steps become frames, besides the first and the last: ``"auto"`` (what the run
            proposes as ``run.every``), ``"log"`` (dense at the start, about a hundred in all),
            ``n`` (each n-th), a float above 1 (distances grow by that factor) or the step numbers
            themselves. Does not change the run.
        progress: called after each step with steps done, steps planned and a short message.
        stop: called after each step; the run ends there if it returns true.

    Returns:
        The recording, opened. When the run has ended, its product, such as a distilled set, is in a
        file beside the recording; see ``BaseRun.save_product``.

    Raises:
        InvalidInput: ``to`` is no path or a link, the run lacks a member or holds a wrong value in
            it, ``every`` is something else, or a snapshot cannot be stored.
        ConfigMismatch: ``to`` holds the recording of a run with another configuration.
        RecordingBusy: somebody else is writing ``to``.
        RecordingDamaged: ``to`` is damaged, or another program changed or removed a file of it
            while the run was recorded. Nothing is written over what is missing.
        RecordingFailed: a frame or checkpoint could not be written, e.g. because the disk is full.
        KeyboardInterrupt: Ctrl-C was pressed; the step was finished and a checkpoint written first.

    Warns:
        ExploreWarning: the checkpoint beside ``to`` cannot be used (it is damaged, or belongs to
            another recording), so the run computes from step 0 again; or results may differ.

    Example:
        >>> from explore import build, record
        >>> run = build({"method": "datadam", "data": "digits", "preset": "lesson", "steps": 3})
        >>> record(run, every=1).sizes["step"]
        4
    """
    path = _local_path(to)
    _check_values(run)
    if isinstance(every, str) and every == "auto":
        every = run.every if isinstance(run, BaseRun) else "log"
    due = FrameSteps(every)
    if progress is not None:
        check_callable("progress", progress, "of steps done, steps planned and a message")
    if stop is not None:
        check_callable("stop", stop, "without arguments that returns whether to stop")
    if run.step >= run.steps and not path.exists():
        text = f"{run!r} ended before it was recorded, so only its last frame is recorded"
        warnings.warn(f"{text}. Record a new run to see every step", ExploreWarning, stacklevel=2)
    with _interruptible() as interrupted, _writer(run, path, due.count(run.steps)) as writer:
        checkpoint, identifier = checkpoint_path(path), writer.attributes.get("id", "")
        resumed = resume(run, checkpoint, identifier, writer.steps[-1])
        if not resumed and run.step == 0 and writer.steps[-1] > 0:
            log.info("%s has frames but no checkpoint; computing again from step 0", path)
        saved_at, saved_step = time.monotonic(), run.step
        try:
            while True:
                if (run.step in due or run.step >= run.steps) and run.step > writer.steps[-1]:
                    writer.append(run.snapshot(), run.step)
                if progress is not None:
                    progress(run.step, run.steps, run.message)
                if run.step >= run.steps or interrupted() or (stop is not None and stop()):
                    break
                start = time.perf_counter()
                advance_once(run)
                seconds = writer.attributes.get("seconds", 0.0)
                writer.attributes["seconds"] = seconds + time.perf_counter() - start
                if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    save_checkpoint(run, checkpoint, identifier, writer.steps[-1])
                    writer.commit()
                    saved_at, saved_step = time.monotonic(), run.step
        except RecordingFailed:
            text = "recording to %s failed at step %d; its checkpoint is at step %d"
            log.warning(text, path, run.step, saved_step)
            raise
        save_checkpoint(run, checkpoint, identifier, writer.steps[-1])
        # The seconds since the last frame, and the number of steps that are planned.
        writer.commit()
        if isinstance(run, BaseRun) and run.step >= run.steps:
            with recording_id(identifier):
                run.save_product(path)
        if interrupted():
            text = f"stopped at step {run.step} of {run.steps}; record to {path} again to continue"
            raise KeyboardInterrupt(text)
    return open_recording(path)


def _writer(run: Run, path: Path, frames: int) -> Writer:
    from explore.core.writer import Writer

    if not path.exists():
        _check_members(run)
        if (stale := checkpoint_path(path)).exists():  # of a recording that was removed
            stale.unlink()
        attributes = {"config": run.config, "name": run.name, "threads": threads()}
        attributes |= {"versions": versions(), "device": _device(run)}
        attributes |= {"steps": run.steps, "seconds": 0.0}
        return Writer.create(path, attributes, run.snapshot(), run.step, frames)
    writer = Writer.reopen(path)
    writer.attributes["steps"] = run.steps  # it may be asked to go further than at first
    try:
        difference = describe_difference(writer.attributes.get("config", {}), run.config)
        if difference:
            raise ConfigMismatch(
                f"{path} was recorded by a run with another configuration:\n{difference}\n"
                "Record to another path, or use the configuration that was recorded"
            )
        recorded = writer.attributes.get("threads")
        if recorded != threads() and writer.steps[-1] < run.steps:
            text = (
                f"{path} was recorded with {recorded} torch threads, now {threads()}: "
                "the last bits may differ"
            )
            warnings.warn(text, ExploreWarning, stacklevel=3)
        _check_members(run)
    except BaseException:
        writer.close()
        raise
    return writer


def _check_values(run: Run) -> None:
    """Check what a run says about itself.

    Raises:
        InvalidInput: a value is missing or of another type.
    """
    values = ("name", "config", "step", "steps")
    if isinstance(run, type) or any(not hasattr(run, name) for name in values):
        raise InvalidInput(
            f"run must be an object with the members that explore.Run lists, got {describe(run)}"
        )
    check_text("run.name", run.name)
    if not isinstance(run.config, Mapping):
        raise InvalidInput(f"run.config must be a mapping, got {describe(run.config)}")
    check_json("run.config", run.config)
    steps = check_whole_number("run.steps", run.steps, at_least=1)
    step = check_whole_number("run.step", run.step, at_least=0)
    if (type(run.steps), type(run.step)) != (int, int):  # 3.0, or a number of NumPy
        run.steps, run.step = steps, step


def _check_members(run: Run) -> None:
    """Check that a run has the functions that are called."""
    for name in ("advance", "snapshot", "state"):
        check_callable(f"{name} of {type(run).__name__}", getattr(run, name, None), "of the run")


def _local_path(to: str | os.PathLike[str] | None) -> Path:
    from explore.core._checked_store import location

    if to is None:
        folder = tempfile.mkdtemp(prefix="explore-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder) / "run.zarr"
    text = location("to", to)
    if "://" in text or text.endswith(".zip"):
        raise InvalidInput(
            f"a run is recorded to a folder, got {describe(to)}; "
            "pack() makes one file of a finished folder"
        )
    path = Path(text)
    if path.name in ("", ".."):
        raise InvalidInput(f"to must be a folder of its own such as runs/a.zarr, got {text!r}")
    try:
        if path.is_symlink():
            raise InvalidInput(
                f"to is a link to {path.resolve()}; record to that folder itself, so that its "
                "lock and its checkpoint are used"
            )
        checkpoint_path(path).with_suffix(".npz.part").exists()
    except OSError as error:  # such as a name that is too long
        raise RecordingFailed(f"cannot record to {path}: {error.strerror or error}") from error
    return path


def _device(run: Run) -> str:
    """Return the name of the accelerator or processor that a run computes on."""
    torch = sys.modules.get("torch")
    device = str(run.device) if isinstance(run, BaseRun) else ""
    if torch and device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return processor()


@contextmanager
def _interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a request to stop after the step; the second one interrupts at
    once."""
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
