"""Sweeps on a cluster of four processes: killed workers, repeated and stopped sweeps, failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster, WorkerPlugin
from toys import bits, run_to_end

import explore
from explore import build
from explore.core.checkpoint import load_checkpoint
from explore.core.recording import has_ended, open_recording
from explore.data import DistilledSet
from explore.sweep import scheduler as sweep

TINY = {
    "method": "datadam",
    "preset": "lesson",
    "width": 8,
    "batch": 4,
    "probes": 1,
    "probe_images": 4,
}
QUICK = {"epochs": 3, "networks": 2, "width": 8}
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Dask's, as a killed worker's socket closes


class Counted(WorkerPlugin):
    """Records every step of every distillation, waits in it, and writes a checkpoint after it."""

    def __init__(self, log: str, delay: float) -> None:
        self.log, self.delay = log, delay

    def setup(self, worker: Any) -> None:
        import explore.core.runs
        from explore.distill.attention_matching import DistillRun

        plain, log, delay = getattr(DistillRun, "plain", DistillRun.advance), self.log, self.delay
        DistillRun.plain = plain

        def advance(run: Any) -> None:
            plain(run)
            time.sleep(delay)
            with Path(log).open("a") as file:
                file.write(f"{run.options.seed} {run.step}\n")

        DistillRun.advance = advance
        explore.core.record.CHECKPOINT_SECONDS = 0.0


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    address = "127.0.0.1:0"
    with (
        LocalCluster(
            n_workers=4, threads_per_worker=1, memory_limit=0, dashboard_address=address
        ) as cluster,
        Client(cluster) as connected,
    ):
        yield connected


@pytest.fixture
def step_log(client: Client, tmp_path: Path) -> Path:
    """Return a file to which workers append seed and number of every step."""
    log = tmp_path / "steps.log"
    log.touch()
    client.register_plugin(Counted(str(log), 0.05), name=f"counted-{tmp_path.name}")
    return log


def count_steps(log: Path) -> Counter[tuple[int, int]]:
    return Counter(
        (int(seed), int(step)) for seed, step in map(str.split, log.read_text().splitlines())
    )


def configs(seeds: int, steps: int) -> list[dict[str, Any]]:
    return [{**TINY, "seed": seed, "steps": steps} for seed in range(seeds)]


def assert_same_as_alone(to: Path, configurations: list[dict[str, Any]]) -> None:
    """Assert that recordings and distilled sets equal those of a single process."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for task in sweep.plan(configurations):
            recording = open_recording(to / f"{task.name}.zarr")
            assert has_ended(recording)
            alone = run_to_end(build(task.config))
            assert bits(alone.snapshot()) == bits(
                recording.isel(step=-1, drop=True)[list(alone.snapshot().data_vars)]
            )
            distilled = DistilledSet.load(to / f"{task.name}.safetensors")
            assert np.array_equal(distilled.images.numpy(), alone.images.detach().numpy())
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_after_the_death_of_a_worker_all_runs_are_done_without_repetition(
    client: Client, step_log: Path, tmp_path: Path
) -> None:
    seeds, steps, killed = 8, 20, []

    def kill_one(*_: Any) -> None:
        if killed or max((step for _, step in count_steps(step_log)), default=0) < 8:
            return
        busy = [
            address
            for address, tasks in client.processing().items()
            if any("datadam" in str(task) for task in tasks)
        ]
        killed.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
        os.kill(killed[0], signal.SIGKILL)

    table = sweep.run(
        configs(seeds, steps),
        client,
        tmp_path / "to",
        progress=False,
        stop=lambda: kill_one() or False,
    )
    assert killed
    assert table["state"].tolist() == ["done"] * seeds
    counts = count_steps(step_log)
    assert set(counts) == {(seed, step) for seed in range(seeds) for step in range(1, steps + 1)}
    twice = [key for key, count in counts.items() if count > 1]
    assert len(twice) <= 1, "more than the step that was under way when its worker was killed"
    assert_same_as_alone(tmp_path / "to", configs(seeds, steps)[:3])


def test_a_second_sweep_does_only_what_is_missing(
    client: Client, step_log: Path, tmp_path: Path
) -> None:
    first = sweep.run(configs(2, 4), client, tmp_path / "to", progress=False)
    assert first["state"].tolist() == ["done"] * 2
    before = count_steps(step_log)
    second = sweep.run(configs(3, 4), client, tmp_path / "to", progress=False)
    assert second["state"].tolist() == ["there already"] * 2 + ["done"]
    assert count_steps(step_log) - before == Counter({(2, step): 1 for step in range(1, 5)})
    further = sweep.run(configs(1, 6), client, tmp_path / "to", progress=False)
    assert further["state"].tolist() == ["done"]
    assert {key for key in count_steps(step_log) if key[0] == 0} == {
        (0, step) for step in range(1, 7)
    }
    assert_same_as_alone(tmp_path / "to", configs(1, 6))


@pytest.mark.slow
def test_another_protocol_repeats_only_the_evaluations(
    client: Client, step_log: Path, tmp_path: Path
) -> None:
    configurations = [*configs(1, 3), {"method": "random", "seed": 4}]
    first = sweep.run(configurations, client, tmp_path, QUICK, progress=False)
    before = count_steps(step_log)
    other = sweep.run(configurations, client, tmp_path, {**QUICK, "epochs": 4}, progress=False)
    assert count_steps(step_log) == before
    second = sweep.run(configurations, client, tmp_path, QUICK, progress=False)
    assert second["state"].tolist() == ["there already"] * 2
    assert second["accuracy"].tolist() == first["accuracy"].tolist() != other["accuracy"].tolist()
    scored = [open_recording(path) for path in sorted(tmp_path.glob("*-evaluated-*.zarr"))]
    assert sorted(r.attrs["config"]["seed"] for r in scored) == [0, 0, 4, 4]


@pytest.mark.slow
def test_a_stopped_sweep_continues_later(client: Client, step_log: Path, tmp_path: Path) -> None:
    table = sweep.run(
        configs(6, 30),
        client,
        tmp_path / "to",
        progress=False,
        stop=lambda: len(count_steps(step_log)) > 10,
    )
    assert "stopped" in set(table["state"])
    assert not {"failed"} & set(table["state"])
    second = sweep.run(configs(6, 30), client, tmp_path / "to", progress=False)
    assert set(second["state"]) <= {"done", "there already"}
    assert count_steps(step_log) == Counter(
        {(seed, step): 1 for seed in range(6) for step in range(1, 31)}
    )


def test_two_sweeps_at_once_share_the_work(client: Client, step_log: Path, tmp_path: Path) -> None:
    tables: list[Any] = []

    def go() -> None:
        tables.append(sweep.run(configs(3, 8), client, tmp_path / "to", progress=False))

    both = [threading.Thread(target=go) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert all(set(thread["state"]) <= {"done", "there already"} for thread in tables)
    assert count_steps(step_log) == Counter(
        {(seed, step): 1 for seed in range(3) for step in range(1, 9)}
    )


def test_a_failed_run_is_reported_and_the_others_continue(client: Client, tmp_path: Path) -> None:
    wild = {**TINY, "steps": 5, "learning_rate": 1e30}
    table = sweep.run([wild, *configs(1, 2)], client, tmp_path, progress=False)
    assert table["state"].tolist() == ["failed", "done"]
    assert table["error"][0].startswith("RunDiverged: the loss is nan at step")


@pytest.mark.slow
def test_a_worker_without_the_data_is_named(client: Client, tmp_path: Path) -> None:
    before = client.run(
        lambda folder: os.environ.update(EXPLORE_DATA=folder), str(tmp_path / "nothing here")
    )
    try:
        table = sweep.run(
            [{**TINY, "data": "fashion-mnist", "steps": 2}], client, tmp_path, progress=False
        )
    finally:
        client.restart()
    assert before
    assert table["state"].tolist() == ["failed"]
    assert "DataMissing: on worker tcp://127.0.0.1:" in table["error"][0]
    assert "EXPLORE_DATA is " + str(tmp_path / "nothing here") in table["error"][0]


@pytest.mark.slow
def test_results_are_uploaded_to_an_object_store_as_single_files(
    client: Client, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/store"
    table = sweep.run(configs(2, 3), client, url, QUICK, progress=False)
    assert table["state"].tolist() == ["done"] * 2
    names = sorted(path.name for path in (tmp_path / "store").iterdir())
    assert len(names) == 6
    assert {name.partition(".")[2] for name in names} == {"zarr.zip", "safetensors"}
    second = sweep.run(configs(2, 3), client, url, QUICK, progress=False)
    assert second["state"].tolist() == ["there already"] * 2
    assert second["accuracy"].tolist() == table["accuracy"].tolist()


@pytest.mark.slow
def test_progress_reports_running_and_finished_tasks(
    client: Client, step_log: Path, tmp_path: Path
) -> None:
    reports: list[tuple[int, int, str]] = []
    sweep.run(configs(2, 30), client, tmp_path, progress=lambda *report: reports.append(report))
    assert reports[-1][:2] == (2, 2)
    assert any("datadam" in text and "/30 loss" in text for _, _, text in reports)


SWEEP = """
to = "runs/mine"
evaluate = {epochs = 2, networks = 1, width = 8}
[[sweep]]
method = "datadam"
preset = "lesson"
width = 32
steps = 250
grid.seed = [0, 1]
"""


def start_sweep(command: list[str], about: dict[str, Any], folder: Path) -> subprocess.Popen[str]:
    """Start the command of a sweep in its own process group, and wait until both runs work."""
    pipes: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "start_new_session": True,
    }
    accept_interrupts = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - a shell's background jobs ignore it
    process = subprocess.Popen(command, preexec_fn=accept_interrupts, **pipes, **about)
    until = time.monotonic() + 60
    while sum(open_recording(path)["step"][-1] > 5 for path in folder.glob("runs/mine/*.zarr")) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_or_interrupted_command_continues(tmp_path: Path, sign: signal.Signals) -> None:
    (tmp_path / "sweep.toml").write_text(SWEEP)
    command = [sys.executable, "-m", "explore", "sweep", "sweep.toml", "--workers", "2"]
    root = Path(explore.__file__).parents[1]
    about: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": str(root)},
        "text": True,
    }
    first = start_sweep(command, about, tmp_path)
    os.killpg(first.pid, sign)
    _, stderr = first.communicate(timeout=60)
    if sign == signal.SIGINT:  # as Ctrl-C in a terminal: every process of the group is told
        assert first.returncode == 130
        assert stderr.splitlines()[-1] == "stopped; the same command continues"
        for path in tmp_path.glob("runs/mine/*.zarr"):
            assert load_checkpoint(path.with_name(path.name + ".checkpoint.npz"))["step"] > 5
    done = subprocess.run(command, capture_output=True, check=False, timeout=120, **about)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" done ") == 2
    recordings = list(tmp_path.glob("runs/mine/*.zarr"))
    assert len(recordings) == 4
    assert all(has_ended(open_recording(path)) for path in recordings)
    once_more = subprocess.run(command, capture_output=True, check=False, timeout=60, **about)
    assert once_more.stdout.count("there already") == 2
