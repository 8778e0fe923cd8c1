"""Helpers for tests of recordings: CountingRun, a run without torch, and comparisons of all bits."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from explore.core.runs import stream_seed
from explore.errors import InvalidInput

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
LABELS = ("zero", "eins", "δύο", "三", "")


class CountingRun:
    """A run in which every step depends on all steps before it.

    A step that is lost, repeated or out of order therefore changes all later frames.
    ``field`` is 300 kB a frame at ``side=275`` (one frame a chunk); the other variables are tiny
    (many frames a chunk). ``delay`` seconds pass in every step. ``advanced`` counts the steps that
    this object has taken.
    """

    name = "counting"

    def __init__(self, steps: int = 10, seed: int = 0, side: int = 8, delay: float = 0.0) -> None:
        if steps < 1:
            raise InvalidInput(f"steps must be at least 1, got {steps}")
        self.step, self.steps, self.delay, self.advanced = 0, steps, delay, 0
        self.config: Mapping[str, Any] = {
            "method": self.name,
            "seed": seed,
            "side": side,
            "data": {"name": "none"},
        }
        self.total = np.zeros(3)
        self.field = self._draw("init", 0, (side, side)).astype(np.float32)

    @property
    def message(self) -> str:
        return f"total {self.total[0]:.3g}"

    def advance(self) -> None:
        time.sleep(self.delay)
        self.total = 0.5 * self.total + self._draw("total", self.step + 1, 3)
        self.field = np.roll(self.field, 1, 0) * np.float32(0.9) + np.float32(self.total[0])
        self.step += 1
        self.advanced += 1

    def snapshot(self) -> xarray.Dataset:
        return xarray.Dataset(
            {
                "total": (
                    "part",
                    self.total.astype(np.float32),
                    {"long_name": "running total", "units": "m s⁻¹"},
                ),
                "rising": ((), np.bool_(self.total[0] > self.total[1])),
                "square": ((), np.int64(self.step**2)),
                "field": (("y", "x"), self.field.copy(), {"long_name": "field", "units": "1"}),
            },
            {
                "part": ("part", [0.5, 1.0, 2.0]),
                "label": ("label", np.array(LABELS, dtype=object), {"long_name": "names"}),
            },
        )

    def result(self) -> xarray.Dataset:
        values = {"total": ("part", self.total.copy()), "field": (("y", "x"), self.field.copy())}
        return xarray.Dataset(values, attrs={"step": self.step})

    def state(self) -> dict[str, Any]:
        return {
            "total": self.total.copy(),
            "field": self.field.copy(),
            "note": "plain JSON",
            "nothing": None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.total, self.field = state["total"].copy(), state["field"].copy()

    def _draw(self, stream: str, step: int, shape: Any) -> np.ndarray:
        return np.random.default_rng(stream_seed(self.config["seed"], stream, step)).normal(
            size=shape
        )


def run_to_end(run: Any, steps: int | None = None) -> Any:
    """Advance a run to its end without recording it, and return it."""
    while run.step < (run.steps if steps is None else steps):
        run.advance()
    return run


def frames(run: Any) -> dict[int, xarray.Dataset]:
    """Return the snapshot of every step of a run."""
    snapshots = {run.step: run.snapshot()}
    while run.step < run.steps:
        run.advance()
        snapshots[run.step] = run.snapshot()
    return snapshots


def bits(dataset: xarray.Dataset) -> dict[str, tuple[Any, ...]]:
    """Return dimensions, dtype and bytes of every variable, to be compared with ``==``."""
    contents = {}
    for name, variable in dataset.variables.items():
        values = np.asarray(variable.values)
        text = values.dtype.kind in "OUT"
        content = (
            tuple(map(str, values.ravel().tolist()))
            if text
            else np.ascontiguousarray(values).tobytes()
        )
        contents[str(name)] = (
            variable.dims,
            values.shape,
            "text" if text else values.dtype.str,
            content,
        )
    return contents


def assert_shows(recording: xarray.Dataset, expected: Mapping[int, xarray.Dataset]) -> None:
    """Assert that every frame of ``recording`` has the bits that ``expected`` has for its step."""
    for index, step in enumerate(recording.step.values.tolist()):
        expected_bits = bits(expected[step])
        actual_bits = {
            name: value
            for name, value in bits(recording.isel(step=index)).items()
            if name != "step"
        }
        assert actual_bits == expected_bits, f"step {step}"


def states_equal(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether two values of ``state()`` hold the same bits."""

    def comparable(state: Mapping[str, Any]) -> dict[str, Any]:
        arrays = {
            name: (v.dtype.str, v.shape, v.tobytes())
            for name, v in state.items()
            if isinstance(v, np.ndarray)
        }
        return {name: arrays.get(name, repr(value)) for name, value in state.items()}

    return comparable(first) == comparable(second)


def digest(dataset: xarray.Dataset) -> str:
    """Return a checksum of ``bits``, to be compared with that of another process."""
    return hashlib.sha256(repr(sorted(bits(dataset).items())).encode()).hexdigest()


def start_python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start a Python process that can import explore and toys; its stdout is a pipe of text."""
    path = os.pathsep.join(
        [str(ROOT), str(TESTS), str(TESTS / "core"), os.environ.get("PYTHONPATH", "")]
    ).rstrip(os.pathsep)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        **options,
    )


def run_python(code: str, *arguments: object) -> str:
    """Return what a Python process prints; fail if it fails."""
    process = start_python(code, *arguments)
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 0, stdout
    return stdout


KILL = """
import json, os, signal, sys, time
import filelock, numcodecs, zarr
import explore.core.record, explore.core.writer
SETUP
explore.core.record.CHECKPOINT_SECONDS = 0.02

def child(path, say):
    run = make()
    say("ready")
    explore.core.record.record(run, path, every=1, progress=lambda step, *_: say(step))
    os._exit(0)

for path, after, seconds in json.loads(sys.argv[1]):
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        child(path, lambda text: os.write(into, f"{text}\\n".encode()))
    os.close(into)
    with open(out) as lines:
        for line in lines:
            if line.strip() == after:
                break
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def record_and_kill(setup: str, *moments: tuple[Path, str, float]) -> None:
    """Record the run that ``make()`` of ``setup`` returns in other processes, and kill each of them.

    A moment is a path, the event to wait for ("ready": the recording is being created, or a step)
    and the seconds to wait after it. The signal is SIGKILL.
    """
    run_python(
        KILL.replace("SETUP", setup),
        json.dumps([(str(path), after, seconds) for path, after, seconds in moments]),
    )
