"""The work of one sweep worker: record a run, evaluate its distilled set, upload the files."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from explore.core import registry
from explore.core.record import record
from explore.core.recording import pack, product_path
from explore.core.runs import Progress, Stop, torch_threads
from explore.errors import DataMissing, ExploreError, RecordingBusy, RecordingFailed
from explore.sweep.plan import Task, outcome

LOCK_TIMEOUT_S = 120.0
"""Seconds to wait for a recording that another process writes, such as a worker thought lost."""

HEARTBEAT_S = 1.0
"""Seconds between two messages to the scheduler, and between two looks at the stop event."""


def record_task(
    task: Task, to: str, threads: int = 1, topic: str = "", stop: str = ""
) -> dict[str, Any]:
    """Record one task on this worker, from the last checkpoint of an earlier attempt.

    Args:
        task: the task.
        to: folder or URL of the results.
        threads: number of PyTorch threads.
        topic: topic of the progress messages to the scheduler; empty for no messages.
        stop: name of the ``distributed.Event`` that stops the run; empty for none.

    Returns:
        ``state`` ("done", "stopped" or "failed") with ``explore.sweep.plan.outcome`` or ``error``.

    Raises:
        DataMissing, RecordingBusy, RecordingFailed, OSError: errors that may not occur when Dask
            tries again on another worker.
    """
    try:
        with torch_threads(threads):
            return _record_files(task, to, topic, _stop_function(stop))
    except DataMissing as error:
        raise DataMissing(f"on {_describe_worker()}: {error}") from error
    except (RecordingBusy, RecordingFailed):
        raise
    except ExploreError as error:  # It would be the same on every worker.
        return {"state": "failed", "error": f"{type(error).__name__}: {error}"}


def _record_files(task: Task, to: str, topic: str, stop: Stop) -> dict[str, Any]:
    if stop():
        return {"state": "stopped"}
    remote = "://" in to
    folder = _local_folder(to) if remote else Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    row, path = registry.method(str(task.config["method"])), folder / f"{task.name}.zarr"
    if not _record(task.config, path, _progress_function(topic, task.name, row.name), stop):
        return {"state": "stopped"}
    files, product = [path], product_path(path, row.product)
    if row.product:
        files.append(product)
    if task.evaluate is not None:
        config = {"method": "evaluate", "distilled": str(product), **task.evaluate}
        files.append(folder / f"{task.evaluation_name}.zarr")
        progress = _progress_function(topic, task.name, f"{row.name} evaluated")
        if not _record(config, files[-1], progress, stop):
            return {"state": "stopped"}
    if remote:
        _upload(files, to)
    return {"state": "done", **(outcome(task, to) or {})}


def _record(config: Mapping[str, Any], path: Path, progress: Progress, stop: Stop) -> bool:
    """Record a run when no other process writes the recording; return whether it has ended."""
    run = registry.build(config)
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            record(run, path, progress=progress, stop=stop)
        except RecordingBusy:
            if stop() or time.monotonic() > deadline:
                raise
            time.sleep(HEARTBEAT_S)
        else:
            return run.step >= run.steps


def _local_folder(to: str) -> Path:
    """Return where runs for an object store are recorded first, the same for all local workers."""
    name = f"explore-sweep-{hashlib.sha256(to.encode()).hexdigest()[:8]}"
    return Path(tempfile.gettempdir()) / name


def _upload(files: Sequence[Path], to: str) -> None:
    """Upload finished files and delete the local ones; each recording is packed into one file.

    The run's own recording comes last, so that a task counts as done only when all is uploaded.
    """
    import fsspec

    store, target = fsspec.core.url_to_fs(to)
    store.makedirs(target, exist_ok=True)
    for path in reversed(files):
        packed = pack(path, path.with_name(path.name + ".zip")) if path.suffix == ".zarr" else path
        store.put_file(str(packed), f"{target}/{packed.name}")
        packed.unlink()
        if packed != path:
            shutil.rmtree(path)
            for suffix in (".checkpoint.npz", ".lock"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)


def _progress_function(topic: str, name: str, title: str) -> Progress:
    """Return a function that sends the progress of a run to the scheduler once a second."""
    last = -math.inf

    def report(step: int, steps: int, message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if topic and now - last >= HEARTBEAT_S:
            from distributed import get_worker

            last = now
            text = f"{title} {step}/{steps} {message}"
            get_worker().log_event(topic, {"name": name, "text": text})

    return report


def _stop_function(event: str) -> Stop:
    """Return a function that says whether an event is set; it asks the scheduler once a second."""
    last, is_set = -math.inf, False

    def stop() -> bool:
        nonlocal last, is_set
        now = time.monotonic()
        if event and not is_set and now - last >= HEARTBEAT_S:
            from distributed import Event, get_client

            last, is_set = now, bool(Event(event, client=get_client()).is_set())
        return is_set

    return stop


def _describe_worker() -> str:
    """Return the address of this worker and the folder in which it looks for data."""
    from distributed import get_worker

    try:
        name = f"worker {get_worker().address}"
    except ValueError:
        name = "this machine"
    return f"{name} (EXPLORE_DATA is {os.environ.get('EXPLORE_DATA') or 'not set'})"
