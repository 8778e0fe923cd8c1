"""Sweeps: many configurations at once on Dask; a lost worker's run goes on elsewhere, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tomllib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore import registry
from explore.errors import DataMissing, DependencyMissing, InvalidInput, RecordingDamaged
from explore.recording import open_recording
from explore.runs import Progress, Stop, ended
from explore.settings import UNIDENTIFYING

if TYPE_CHECKING:
    import distributed
    import pandas

log = logging.getLogger("explore")

MISSING = 'sweeps need dask.distributed: pip install "explore-labs[distributed]"'

KEYS = {"to", "evaluate", "sweep"}
"""What a sweep's file may hold at its top."""


@dataclass(frozen=True)
class Task:
    """One configuration of a sweep, and what its files are called.

    Attributes:
        name: of its recording, ``NAME.zarr``: method, data and a hash of all that identifies the run.
        config: what ``explore.build`` takes.
        evaluate: options of the evaluation of what it distils; None for none.
    """

    name: str
    config: Mapping[str, Any]
    evaluate: Mapping[str, Any] | None = None

    @property
    def scored(self) -> str:
        """Name of the evaluation's recording; the hash is of its options."""
        return f"{self.name}-evaluated-{_hash(self.evaluate or {})}"


def run(
    configs: Sequence[Mapping[str, Any]],
    client: distributed.Client | None = None,
    to: str | os.PathLike[str] = "runs",
    evaluate: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    threads: int | None = None,
    retries: int = 2,
    progress: Progress | bool | None = None,
    stop: Stop | None = None,
) -> pandas.DataFrame:
    """Carry out many configurations on Dask workers and record each; what is there already is not done again.

    Each is recorded in ``to/NAME.zarr``, what it distilled lies in ``to/NAME.safetensors``, and its evaluation in
    ``to/NAME-evaluated-HASH.zarr``. If a worker is lost, its run goes on from its last checkpoint (30 seconds at
    most) on another one, so ``to`` should be a folder that all workers see. If ``to`` is the URL of an object store, a run is
    recorded on its worker's disk and copied up as ``.zarr.zip`` when it has ended.

    Args:
        configs: what ``explore.build`` takes, one mapping a run.
        client: of the cluster to use; by default one process a core on this machine.
        to: a folder, or the URL of one (``s3://bucket/sweep``; needs the fsspec package of that store).
        evaluate: options of ``EvaluationProtocol`` (and ``split``, ``data``): what the runs distil is scored so. The
            seed of a run is that of its evaluation, if none is given.
        workers: processes on this machine, where no client is given.
        threads: that PyTorch computes with in each run; by default the cores of this machine shared out evenly, and 1 on
            a cluster that was given. The last bits depend on it.
        retries: how often a run that failed is tried again. (A worker that is lost costs none of them.)
        progress: called with runs done, runs in all and a message; False for none. A bar by default.
        stop: asked about once a second; if true, runs stop after their step, with a checkpoint.

    Returns:
        One row a run: ``name``, ``state`` ("done", "there already", "failed", "stopped"), ``accuracy`` (mean over
        networks, where it was evaluated), ``seconds`` (of its steps), ``error``.

    Raises:
        InvalidInput: no configuration, or one with an option that its method does not have; before anything is started.
        DependencyMissing: dask.distributed is not installed.
        KeyboardInterrupt: Ctrl-C was pressed; what was running wrote a checkpoint first.

    Example:
        >>> import tempfile
        >>> done = run([{"method": "random", "seed": k} for k in (0, 1)], to=tempfile.mkdtemp(), workers=1, progress=False)
        >>> done["state"].tolist()
        ['done', 'done']
    """
    import pandas

    tasks = plan(configs, evaluate)
    place = place_of(to)
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        if (made := outcome(task, place)) is not None:
            found[task.name] = {"state": "there already", **made}
    todo = [task for task in tasks if task.name not in found]
    if todo:
        with _cluster(client, workers, threads, len(todo)) as (connected, each), _told(progress) as tell:
            found |= _carried_out(connected, todo, place, each, retries, tell, stop, len(found))
    rows = [
        {"name": task.name, "accuracy": float("nan"), "seconds": float("nan"), "error": ""} | found[task.name] for task in tasks
    ]
    return pandas.DataFrame(rows)[["name", "state", "accuracy", "seconds", "error"]]


def read(path: str | os.PathLike[str]) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str | None]:
    """The configurations, the evaluation and the folder in a sweep's TOML file.

    Each table ``[[sweep]]`` holds options of a run; its ``grid`` holds lists, of which every combination is run.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: it is no TOML, or not of this form.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "sweep.toml")
        >>> _ = path.write_text('''
        ... evaluate.networks = 2
        ... [[sweep]]
        ... data = "digits"
        ... grid.method = ["random", "herding"]
        ... grid.seed = [0, 1]
        ... ''')
        >>> configs, evaluation, to = read(path)
        >>> len(configs), configs[1]
        (4, {'data': 'digits', 'method': 'random', 'seed': 1})
    """
    table = toml(path)
    blocks = table.get("sweep")
    if unknown := sorted(set(table) - KEYS):
        raise InvalidInput(f"{path} has {', '.join(map(repr, unknown))}; a sweep's file has {', '.join(sorted(KEYS))}")
    if not isinstance(blocks, list) or not blocks or not all(isinstance(block, dict) for block in blocks):
        raise InvalidInput(f"{path} has no [[sweep]]: a table with the options of a run, and in grid the lists to combine")
    configs: list[dict[str, Any]] = []
    for block in blocks:
        grid = block.pop("grid", {})
        wrong = [name for name, values in grid.items() if not isinstance(values, list) or not values]
        if wrong:
            raise InvalidInput(f"grid.{wrong[0]} must be a list with something in it, got {grid[wrong[0]]!r}")
        configs += [{**block, **dict(zip(grid, values, strict=True))} for values in product(*grid.values())]
    return configs, table.get("evaluate"), table.get("to")


def toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: it is no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataMissing(f"{path} is not there; expected a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no TOML file: {error}") from error


def plan(configs: Sequence[Mapping[str, Any]], evaluate: Mapping[str, Any] | None = None) -> list[Task]:
    """Configurations as tasks, checked; one that is given twice is taken once.

    Raises:
        InvalidInput: none, or one that its method cannot take; says which.
    """
    tasks: dict[str, Task] = {}
    for number, given in enumerate(configs):
        try:
            if "method" not in given:
                raise InvalidInput(f"it names no method, but only {', '.join(given)}")
            row = registry.method(str(given["method"]))
            config = registry.make_config(row, given)
            scored = evaluate if evaluate is None or not row.keep else {"seed": getattr(config, "seed", 0), **evaluate}
            if scored is not None:
                registry.make_config(registry.method("evaluate"), {"method": "evaluate", **scored})
        except InvalidInput as error:
            raise InvalidInput(f"configuration {number + 1} of {len(configs)} ({short(given)}): {error}") from error
        whole = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in UNIDENTIFYING}
        data = whole.get("data", "")
        called = data.get("name", "data") if isinstance(data, Mapping) else str(data)
        name = re.sub(r"[^a-zA-Z0-9_.-]+", "_", f"{given['method']}-{called}-{_hash(whole)}")
        known = tasks.get(name)
        if known is None or getattr(config, "steps", 0) > known.config.get("steps", 0):
            tasks[name] = Task(name, dict(given), scored)
    if not tasks:
        raise InvalidInput("no configuration was given; give at least one, such as {'method': 'datadam', 'data': 'digits'}")
    return list(tasks.values())


def outcome(task: Task, to: str) -> dict[str, Any] | None:
    """What is known of a task whose files are all there and whole to the end; None if something is to be done."""
    remote = "://" in to
    found: dict[str, Any] = {}
    row = registry.method(str(task.config["method"]))
    for name in (task.name, *([task.scored] if task.evaluate is not None else [])):
        try:
            recording = open_recording(f"{to}/{name}.zarr{'.zip' if remote else ''}")
        except (DataMissing, RecordingDamaged):  # a damaged one is said when it is opened to be gone on with
            return None
        wanted = task.config.get("steps", 0) if name == task.name else 0
        if not ended(recording) or int(recording["step"][-1]) < wanted:
            return None
        if name == task.name:
            found["seconds"] = float(recording.attrs.get("seconds", float("nan")))
        else:
            found["accuracy"] = float(recording["accuracy"].isel(step=-1).mean())
    if row.keep and not _exists(f"{to}/{task.name}.safetensors"):
        return None
    return found


def _carried_out(
    client: distributed.Client,
    tasks: Sequence[Task],
    to: str,
    threads: int,
    retries: int,
    tell: Progress,
    stop: Stop | None,
    already: int,
) -> dict[str, dict[str, Any]]:
    """Results by name, of tasks that are submitted and waited for."""
    from distributed import Event, TimeoutError, wait

    from explore.worker import carry_out

    one = uuid.uuid4().hex[:8]
    topic, asked = f"explore-progress-{one}", Event(f"explore-stop-{one}", client=client)
    found: dict[str, dict[str, Any]] = {}
    running: dict[str, str] = {}
    count = already + len(tasks)

    def said(entry: tuple[float, dict[str, str]]) -> None:
        running[entry[1]["name"]] = entry[1]["text"]
        tell(already + len(found), count, "; ".join(running[name] for name in running if name not in found))

    client.subscribe_topic(topic, said)
    waiting = {
        client.submit(
            carry_out, task, to, threads, topic, asked.name, key=f"{task.name}-{one}", retries=retries, pure=False
        ): task
        for task in tasks
    }
    try:
        while waiting:
            if stop is not None and stop():
                asked.set()
            try:
                ready = wait(list(waiting), timeout=1, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            for future in ready:
                task = waiting.pop(future)
                try:
                    found[task.name] = future.result()
                except Exception as error:  # of whatever kind: one run's failure is not the sweep's
                    found[task.name] = {"state": "failed", "error": f"{type(error).__name__}: {error}"}
                if found[task.name]["state"] == "failed":
                    log.warning("%s failed: %s", task.name, found[task.name]["error"])
                tell(already + len(found), count, f"{short(task.config)}: {_said(found[task.name])}")
    except KeyboardInterrupt:
        tell(already + len(found), count, "stopping; what is running writes a checkpoint first")
        asked.set()
        wait(list(waiting))
        raise
    finally:
        client.unsubscribe_topic(topic)
    return found


@contextmanager
def _cluster(
    client: distributed.Client | None, workers: int | None, threads: int | None, tasks: int
) -> Iterator[tuple[Any, int]]:
    """A client, and how many threads each run may take: the one that was given, or one of processes on this machine."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise DependencyMissing(MISSING) from error
    if client is not None:
        yield client, threads or 1
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = workers or min(cores, tasks)
    # Dask's own setting gives memory back to the system after every step, which then has to be asked for again
    keep = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
    with (
        dask.config.set({f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in keep.items()}),
        LocalCluster(n_workers=processes, threads_per_worker=1, memory_limit=0, dashboard_address=None) as cluster,
        Client(cluster) as connected,
    ):
        yield connected, threads or max(1, cores // processes)


@contextmanager
def _told(progress: Progress | bool | None) -> Iterator[Progress]:
    """What is to be told of progress: a bar in terminal or notebook, a function that was given, or nobody."""
    if callable(progress):
        yield progress
        return
    from tqdm.auto import tqdm

    with tqdm(total=0, desc="sweep", disable=progress is False, dynamic_ncols=True) as bar:

        def tell(done: int, count: int, message: str) -> None:
            bar.total = count
            bar.set_postfix_str(message, refresh=False)
            bar.update(done - bar.n)
            bar.refresh()

        yield tell


def connect(scheduler: str) -> distributed.Client:
    """A client of the Dask scheduler at an address, whose workers must have this version of explore.

    Raises:
        DependencyMissing: dask.distributed is not installed.
        InvalidInput: nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise DependencyMissing(MISSING) from error
    try:
        return Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"no Dask scheduler at {scheduler!r} ({error}); start one (dask scheduler) and workers (dask worker)"
        ) from error


def place_of(to: str | os.PathLike[str]) -> str:
    """The folder, for workers that may stand elsewhere, or the URL."""
    return str(to).rstrip("/") if "://" in str(to) else str(Path(to).absolute())


def _exists(path: str) -> bool:
    if "://" not in path:
        return Path(path).is_file()
    import fsspec

    files, inside = fsspec.core.url_to_fs(path)
    return bool(files.exists(inside))


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()[:8]


def short(config: Mapping[str, Any]) -> str:
    """A configuration in a few words, for progress and errors."""
    said = {name: value.get("name", "") if isinstance(value, Mapping) else value for name, value in config.items()}
    return " ".join(str(value) if name in ("method", "data") else f"{name}={value}" for name, value in said.items())


def _said(found: Mapping[str, Any]) -> str:
    return f"accuracy {found['accuracy']:.1%}" if "accuracy" in found else str(found["state"])
