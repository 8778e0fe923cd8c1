"""What a sweep does on a worker: record one configuration, keep what it distilled, score it, copy it to where it belongs."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.core import registry
from explore.core.record import record
from explore.core.recording import pack, product_path
from explore.core.runs import Progress, Run, Stop
from explore.errors import DataMissing, ExploreError, RecordingBusy, RecordingFailed
from explore.sweep.plan import Task, outcome

if TYPE_CHECKING:
    import xarray

PATIENCE = 120.0
"""Seconds to wait for a recording that somebody else writes: a worker that was thought lost, say, or another sweep."""

PACE = 1.0
"""Seconds between two words to the scheduler."""


def carry_out(
    task: Task, to: str, threads: int = 1, topic: str = "", stop: str = ""
) -> dict[str, Any]:
    """Record one task on the worker where this is called; goes on where an earlier attempt stopped.

    Args:
        task: what to do.
        to: folder or URL of the results.
        threads: that PyTorch computes with.
        topic: under which progress is told to the scheduler; to nobody if empty.
        stop: name of the ``distributed.Event`` that asks to stop; none if empty.

    Returns:
        ``state`` ("done", "stopped" or "failed"), and what ``explore.sweep.plan.outcome`` says, or the ``error``.

    Raises:
        DataMissing, RecordingBusy, RecordingFailed, OSError: what another attempt, elsewhere, may not meet.
    """
    try:
        with _threads(threads):
            return _carry_out(task, to, topic, _asked(stop))
    except DataMissing as error:
        raise DataMissing(f"on {_where()}: {error}") from error
    except (RecordingBusy, RecordingFailed):
        raise
    except ExploreError as error:  # the same anywhere
        return {"state": "failed", "error": f"{type(error).__name__}: {error}"}


def _carry_out(task: Task, to: str, topic: str, asked: Stop) -> dict[str, Any]:
    if asked():
        return {"state": "stopped"}
    remote = "://" in to
    place = _scratch(to) if remote else Path(to)
    place.mkdir(parents=True, exist_ok=True)
    row, path = registry.method(str(task.config["method"])), place / f"{task.name}.zarr"
    run = registry.build(task.config)
    _recorded(run, path, _reporter(topic, task.name, row.name), asked)
    if run.step < run.steps:
        return {"state": "stopped"}
    files = [path]
    product = product_path(path, row.product)
    if row.product:
        files.append(product)
    if task.evaluate is not None:
        scores = registry.build({"method": "evaluate", "distilled": str(product), **task.evaluate})
        files.append(place / f"{task.scored}.zarr")
        _recorded(scores, files[-1], _reporter(topic, task.name, f"{row.name} scored"), asked)
        if scores.step < scores.steps:
            return {"state": "stopped"}
    if remote:
        _upload(files, to)
    return {"state": "done", **(outcome(task, to) or {})}


def _recorded(run: Run, path: Path, tell: Progress, asked: Stop) -> xarray.Dataset:
    """The run's recording, waiting for whoever else writes it."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return record(run, path, progress=tell, stop=asked)
        except RecordingBusy:
            if asked() or time.monotonic() > until:
                raise
            time.sleep(PACE)


def _scratch(to: str) -> Path:
    """Where runs for an object store are recorded at first; the same folder for every worker of this machine."""
    return (
        Path(tempfile.gettempdir()) / f"explore-sweep-{hashlib.sha256(to.encode()).hexdigest()[:8]}"
    )


def _upload(files: Sequence[Path], to: str) -> None:
    """Copy finished files up, recordings packed into one file each, and remove them here. The run's own comes last."""
    import fsspec

    there, inside = fsspec.core.url_to_fs(to)
    there.makedirs(inside, exist_ok=True)
    for path in reversed(files):
        packed = pack(path, path.with_name(path.name + ".zip")) if path.suffix == ".zarr" else path
        there.put_file(str(packed), f"{inside}/{packed.name}")
        packed.unlink()
        if packed != path:
            shutil.rmtree(path)
            for left in (".checkpoint.npz", ".lock"):
                path.with_name(path.name + left).unlink(missing_ok=True)


def _reporter(topic: str, name: str, what: str) -> Progress:
    """Progress of one run as words to the scheduler, one a second at most."""
    last = [-PACE]

    def tell(step: int, steps: int, message: str) -> None:
        now = time.monotonic()
        if topic and now - last[0] >= PACE:
            from distributed import get_worker

            last[0] = now
            get_worker().log_event(
                topic, {"name": name, "text": f"{what} {step}/{steps} {message}"}
            )

    return tell


def _asked(event: str) -> Stop:
    """Whether the sweep is to stop: the scheduler is asked once a second."""
    seen: dict[str, Any] = {"at": -PACE, "set": False}

    def asked() -> bool:
        now = time.monotonic()
        if event and not seen["set"] and now - seen["at"] >= PACE:
            from distributed import Event, get_client

            seen["at"], seen["set"] = now, bool(Event(event, client=get_client()).is_set())
        return bool(seen["set"])

    return asked


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch computes with so many threads, here and now."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _where() -> str:
    """The worker, and where it looks for data."""
    from distributed import get_worker

    try:
        name = f"worker {get_worker().address}"
    except ValueError:
        name = "this machine"
    return f"{name} (EXPLORE_DATA is {os.environ.get('EXPLORE_DATA') or 'not set'})"
