"""Sweeps: many configurations at once on Dask; a lost worker's run goes on elsewhere, and nothing is done twice."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from explore._parallel.cpus import usable_cpus
from explore.core.runs import Progress, Stop
from explore.errors import DependencyMissing, InvalidInput
from explore.sweep.plan import Task, outcome, place_of, plan, read, short
from explore.sweep.worker import carry_out

if TYPE_CHECKING:
    import distributed
    import pandas

log = logging.getLogger("explore")

__all__ = ["connect", "plan", "read", "run"]

GRACE = 30.0
"""Seconds in which what is running may end its step, after Ctrl-C; older checkpoints are as old at most."""

MISSING = 'sweeps need dask.distributed: pip install "dask[distributed]"'


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
        with (
            _cluster(client, workers, threads, len(todo)) as (connected, each),
            _told(progress) as tell,
        ):
            found |= _carried_out(connected, todo, place, each, retries, tell, stop, len(found))
    rows = [
        {"name": task.name, "accuracy": float("nan"), "seconds": float("nan"), "error": ""}
        | found[task.name]
        for task in tasks
    ]
    return pandas.DataFrame(rows)[["name", "state", "accuracy", "seconds", "error"]]


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

    one = uuid.uuid4().hex[:8]
    topic, asked = f"explore-progress-{one}", Event(f"explore-stop-{one}", client=client)
    found: dict[str, dict[str, Any]] = {}
    running: dict[str, str] = {}
    count = already + len(tasks)

    def said(entry: tuple[float, dict[str, str]]) -> None:
        running[entry[1]["name"]] = entry[1]["text"]
        tell(
            already + len(found),
            count,
            "; ".join(running[name] for name in running if name not in found),
        )

    client.subscribe_topic(topic, said)
    waiting = {
        client.submit(
            carry_out,
            task,
            to,
            threads,
            topic,
            asked.name,
            key=f"{task.name}-{one}",
            retries=retries,
            pure=False,
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
                    found[task.name] = {
                        "state": "failed",
                        "error": f"{type(error).__name__}: {error}",
                    }
                if found[task.name]["state"] == "failed":
                    log.warning("%s failed: %s", task.name, found[task.name]["error"])
                tell(
                    already + len(found), count, f"{short(task.config)}: {_said(found[task.name])}"
                )
    except KeyboardInterrupt:
        tell(already + len(found), count, "stopping; what is running writes a checkpoint first")
        asked.set()
        with suppress(TimeoutError):
            wait(list(waiting), timeout=GRACE)
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
    cores = usable_cpus()
    processes = workers or min(cores, tasks)
    # Dask's own setting gives memory back to the system after every step, which then has to be asked for again
    keep = {"MALLOC_TRIM_THRESHOLD_": str(1 << 28), "MALLOC_MMAP_THRESHOLD_": str(1 << 28)}
    with (
        dask.config.set(
            {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in keep.items()}
        ),
        LocalCluster(
            n_workers=processes,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,  # a worker that is slow to leave is no news
        ) as cluster,
        Client(cluster) as connected,
    ):
        connected.register_plugin(_deaf())
        yield connected, threads or max(1, cores // processes)


def _deaf() -> Any:
    """Workers of this machine do not hear Ctrl-C, which reaches every process of a terminal: they are asked to stop instead."""
    from distributed import WorkerPlugin

    class Deaf(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import signal
            import threading

            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Deaf()


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


def _said(found: Mapping[str, Any]) -> str:
    return f"accuracy {found['accuracy']:.1%}" if "accuracy" in found else str(found["state"])
