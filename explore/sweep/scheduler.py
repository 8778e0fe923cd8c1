"""Record many configurations at once on Dask workers; the run of a lost worker continues on another
one."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from explore._parallel.cpus import usable_cpus
from explore.core.runs import Progress, Stop
from explore.core.validation import check_callable, check_text, check_whole_number
from explore.errors import DependencyMissing, InvalidInput
from explore.sweep.plan import Task, absolute_target, config_label, outcome, plan, read
from explore.sweep.worker import record_task

if TYPE_CHECKING:
    import distributed
    import pandas

log = logging.getLogger("explore")

__all__ = ["connect", "plan", "read", "run"]

STOP_TIMEOUT_S = 30.0
"""Seconds in which runs may finish their step after Ctrl-C.

A checkpoint is never older than this.
"""

INSTALL_HINT = 'sweeps need dask.distributed: pip install "dask[distributed]"'

RESULT_COLUMNS = ["name", "state", "accuracy", "seconds", "error"]


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
    """Record a run for each configuration on Dask workers; finished runs are not repeated.

    The recording is ``to/NAME.zarr``, the distilled set ``to/NAME.safetensors``, and its evaluation
    ``to/NAME-evaluated-HASH.zarr``. If a worker is lost, another one continues its run from the
    last checkpoint, which is at most 30 seconds old. So ``to`` should be a folder that all workers
    can access. If ``to`` is the URL of an object store, each run is recorded on the disk of its
    worker and uploaded as ``.zarr.zip`` when it has ended.

    Args:
        configs: what ``explore.build`` accepts, one mapping for each run.
        client: client of the cluster to use; by default a cluster on this machine with one process
            for each core.
        to: a folder, or the URL of one (``s3://bucket/sweep``; needs the fsspec package of that
            store).
        evaluate: options of ``EvaluationProtocol`` (and ``split``, ``data``) with which the
            distilled sets are evaluated. The default of ``seed`` is the seed of the run.
        workers: number of processes on this machine, if there is no ``client``.
        threads: number of PyTorch threads in each run; by default the cores of this machine are
            divided among the processes, and it is 1 with a ``client``. The last bits depend on it.
        retries: how often a run is tried again after an error that may not occur on another
            worker. A lost worker does not count.
        progress: called with the number of finished runs, the number of all runs and a message;
            False for no progress. By default a progress bar.
        stop: called about once a second; if it returns true, runs stop after their step, with a
            checkpoint.

    Returns:
        One row for each run: ``name``, ``state`` ("done", "there already", "failed", "stopped"),
        ``accuracy`` (mean over networks, if it was evaluated), ``seconds`` (of its steps),
        ``error``.

    Raises:
        InvalidInput: there is no configuration, one has an option that its method does not have, or
            another argument is out of range. This is checked before anything is started.
        DependencyMissing: dask.distributed is not installed.
        KeyboardInterrupt: Ctrl-C was pressed; the active runs wrote a checkpoint first.

    Example:
        >>> import tempfile
        >>> configs = [{"method": "random", "seed": seed} for seed in (0, 1)]
        >>> table = run(configs, to=tempfile.mkdtemp(), workers=1, progress=False)
        >>> table["state"].tolist()
        ['done', 'done']
    """
    import pandas

    tasks, target = plan(configs, evaluate), absolute_target(to)
    workers, threads = (
        None if number is None else check_whole_number(name, number, at_least=1)
        for name, number in (("workers", workers), ("threads", threads))
    )
    retries = check_whole_number("retries", retries, at_least=0)
    if progress is not None and not isinstance(progress, bool):
        check_callable("progress", progress, "of the runs that are finished, all runs and a text")
    if stop is not None:
        check_callable("stop", stop, "without arguments")
    outcomes = {
        task.name: {"state": "there already", **values}
        for task in tasks
        if (values := outcome(task, target)) is not None
    }
    missing = [task for task in tasks if task.name not in outcomes]
    if missing:
        with (
            _cluster(client, workers, threads, len(missing)) as (connected, run_threads),
            _progress_function(progress) as report,
        ):
            sweep = _Sweep(connected, missing, report, len(outcomes))
            outcomes |= sweep.run(target, run_threads, retries, stop)
    defaults = {"accuracy": float("nan"), "seconds": float("nan"), "error": ""}
    rows = [{"name": task.name, **defaults, **outcomes[task.name]} for task in tasks]
    return pandas.DataFrame(rows)[RESULT_COLUMNS]


class _Sweep:
    """The tasks of one call of ``run`` on a cluster, and what is known of their progress."""

    def __init__(
        self, client: distributed.Client, tasks: Sequence[Task], report: Progress, finished: int
    ) -> None:
        self._client, self._tasks, self._report, self._finished = client, tasks, report, finished
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._messages: dict[str, str] = {}

    def run(
        self, target: str, threads: int, retries: int, stop: Stop | None
    ) -> dict[str, dict[str, Any]]:
        """Submit all tasks, wait for them and return their outcomes by name."""
        from distributed import Event, TimeoutError, wait

        identifier = uuid.uuid4().hex[:8]
        topic = f"explore-progress-{identifier}"
        stop_event = Event(f"explore-stop-{identifier}", client=self._client)
        self._client.subscribe_topic(topic, self._receive)
        pending = {
            self._client.submit(
                record_task,
                *(task, target, threads, topic, stop_event.name),
                key=f"{task.name}-{identifier}",
                retries=retries,
                pure=False,
            ): task
            for task in self._tasks
        }
        try:
            while pending:
                if stop is not None and stop():
                    stop_event.set()
                try:
                    ready = wait(list(pending), timeout=1, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    continue
                for future in ready:
                    self._finish(pending.pop(future), future)
        except KeyboardInterrupt:
            self._show("stopping; active runs write a checkpoint first")
            stop_event.set()
            with suppress(TimeoutError):
                wait(list(pending), timeout=STOP_TIMEOUT_S)
            raise
        finally:
            self._client.unsubscribe_topic(topic)
        return self._outcomes

    def _receive(self, event: tuple[float, dict[str, str]]) -> None:
        """Show the progress message of a worker beside those of the other active runs."""
        self._messages[event[1]["name"]] = event[1]["text"]
        active = [text for name, text in self._messages.items() if name not in self._outcomes]
        self._show("; ".join(active))

    def _finish(self, task: Task, future: distributed.Future) -> None:
        try:
            values = future.result()
        except Exception as error:  # An error of any kind in one run must not end the sweep.
            values = {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        self._outcomes[task.name] = values
        if values["state"] == "failed":
            log.warning("%s failed: %s", task.name, values["error"])
        accuracy = f"accuracy {values['accuracy']:.1%}" if "accuracy" in values else values["state"]
        self._show(f"{config_label(task.config)}: {accuracy}")

    def _show(self, message: str) -> None:
        finished = self._finished + len(self._outcomes)
        self._report(finished, self._finished + len(self._tasks), message)


@contextmanager
def _cluster(
    client: distributed.Client | None, workers: int | None, threads: int | None, tasks: int
) -> Iterator[tuple[Any, int]]:
    """Yield a client and the number of threads of each run; without a client start workers."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise DependencyMissing(INSTALL_HINT) from error
    if client is not None:
        yield client, threads or 1
        return
    cores = usable_cpus()
    processes = workers or min(cores, tasks)
    # With Dask's own setting, memory returns to the system after every step and has to be
    # requested again.
    environment = {
        f"distributed.nanny.pre-spawn-environ.MALLOC_{name}_THRESHOLD_": str(1 << 28)
        for name in ("TRIM", "MMAP")
    }
    with (
        dask.config.set(environment),
        LocalCluster(
            n_workers=processes,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,  # A worker that is slow to exit needs no message.
        ) as cluster,
        Client(cluster) as connected,
    ):
        connected.register_plugin(_ignore_sigint())
        yield connected, threads or max(1, cores // processes)


def _ignore_sigint() -> Any:
    """Return a plugin with which local workers ignore SIGINT; the sweep asks them to stop.

    Ctrl-C in a terminal reaches every process, and would end a worker before its checkpoint.
    """
    from distributed import WorkerPlugin

    class IgnoreSigint(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            import signal
            import threading

            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return IgnoreSigint()


@contextmanager
def _progress_function(progress: Progress | bool | None) -> Iterator[Progress]:
    """Yield the function that was passed to ``run``, or one that updates a bar."""
    if callable(progress):
        yield progress
        return
    from tqdm.auto import tqdm

    with tqdm(total=0, desc="sweep", disable=progress is False, dynamic_ncols=True) as bar:

        def update(finished: int, count: int, message: str) -> None:
            bar.total = count
            bar.set_postfix_str(message, refresh=False)
            bar.update(finished - bar.n)
            bar.refresh()

        yield update


def connect(scheduler: str) -> distributed.Client:
    """Connect to the Dask scheduler at an address; its workers must have this version of explore.

    Raises:
        DependencyMissing: dask.distributed is not installed.
        InvalidInput: no scheduler answers at this address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise DependencyMissing(INSTALL_HINT) from error
    check_text("scheduler", scheduler)
    try:
        return Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"no Dask scheduler at {scheduler!r} ({error}); "
            "start one (dask scheduler) and workers (dask worker)"
        ) from error
