"""Runs: computations in steps, which ``record`` records, stops and resumes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

from explore._parallel.cpus import usable_cpus
from explore.core.frame_steps import Every
from explore.core.validation import check_text, check_whole_number
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray

Progress = Callable[[int, int, str], None]
Stop = Callable[[], bool]

MAX_THREADS = 4096
"""More threads than any machine runs; PyTorch fails above some number."""


@runtime_checkable
class Run(Protocol):
    """What a method must offer to be recorded and resumed; ``BaseRun`` implements most of it.

    ``config`` identifies the run: method, options, seed and data, but neither device nor number of
    steps. ``snapshot`` changes nothing in the run. ``state`` is flat: arrays and JSON values.
    ``message`` is one short line for a progress bar, such as ``"loss 0.123"``.
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
        """Return one frame of what can be seen."""

    def result(self) -> xarray.Dataset:
        """Return what the run was for, in full precision."""

    def state(self) -> dict[str, Any]:
        """Return what resumes the run."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""


class BaseRun:
    """Base of all runs, also of yours: a subclass defines ``advance`` and ``snapshot``.

    A subclass that has more state than its step extends ``state`` and ``restore``, and calls those
    of its base in them.

    Attributes:
        name: the name of the method.
        config: what identifies the run in a recording.
        step, steps: steps done and steps planned; ``advance`` adds 1 to ``step``.
        every: which steps become frames if ``record`` is not told; see ``record``.
        device: where the run computes.
        class_names: names of the classes in the run's data, where it has classes.

    Example:
        >>> import xarray
        >>> class Walk(BaseRun):
        ...     name, steps, position = "walk", 3, 0.0
        ...     config = {"method": "walk", "seed": 0, "data": {"name": "none", "shape": []}}
        ...     def advance(self):
        ...         self.position += 1.0
        ...         self.step += 1
        ...     def snapshot(self):
        ...         return xarray.Dataset({"position": self.position})
        ...     def state(self):
        ...         return {**super().state(), "position": self.position}
        ...     def restore(self, state):
        ...         super().restore(state)
        ...         self.position = state["position"]
        >>> from explore import record
        >>> record(Walk(), every=1).position.values
        array([0., 1., 2., 3.])
    """

    name: str = ""
    config: Mapping[str, Any] = {}
    step: int = 0
    steps: int = 1
    every: Every = "log"
    device: Any = "cpu"
    class_names: Sequence[str] = ()

    def __repr__(self) -> str:
        data = self.config.get("data") if isinstance(self.config, Mapping) else None
        data = data.get("name", "") if isinstance(data, Mapping) else ""
        return f"{type(self).__name__}({self.name} on {data}, step {self.step} of {self.steps})"

    @property
    def message(self) -> str:
        """One short line for a progress bar."""
        return f"step {self.step}"

    def advance(self) -> None:
        """Take one step."""
        raise NotImplementedError(f"{type(self).__name__} does not define advance()")

    def snapshot(self) -> xarray.Dataset:
        """Return one frame of what can be seen.

        The attributes of the first frame go into the recording.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define snapshot()")

    def result(self) -> xarray.Dataset:
        """Return what the run was for, in full precision; by default the last frame."""
        return self.snapshot()

    def state(self) -> dict[str, Any]:
        """Return what resumes the run, as a flat mapping of arrays and JSON values."""
        return {"step": self.step}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        self.step = int(state["step"])

    def run(self) -> Self:
        """Advance to the end without recording; returns the run itself.

        Raises:
            InvalidInput: ``advance`` does not add 1 to ``step``, so that the run would never end.
        """
        while self.step < self.steps:
            advance_once(self)
        return self

    def summary(self) -> str:
        """Return one line on the result of a run that has ended; empty if there is none."""
        return ""

    def save_product(self, recording: Path) -> Path | None:
        """Write the product of the run into a file beside its recording and return the path.

        ``record`` calls this when the run has ended. By default there is no such file.
        """
        return None


def advance_once(run: Run) -> None:
    """Take one step of a run, and check that it was counted.

    Raises:
        InvalidInput: it was not, so that the run would never end.
    """
    before = run.step
    run.advance()
    if type(run.step) is not int:
        run.step = check_whole_number(f"step of {type(run).__name__}", run.step)
    if run.step <= before:
        raise InvalidInput(
            f"advance() of {type(run).__name__} must add 1 to its step; it was {before} and is now "
            f"{run.step}"
        )


def stream_seed(seed: int, name: str, *index: int) -> int:
    """Return a 63-bit seed for the named random stream of a run, at ``index`` (a step, say).

    A stream has no stored position. What is drawn at step 40 depends on the seed, the name of the
    stream and 40 alone. So a resumed run draws what an uninterrupted one draws, nothing of
    it has to be stored, and one use of randomness never disturbs another.

    Raises:
        InvalidInput: a number is no whole number of at least 0, or the name is no text.

    Example:
        >>> stream_seed(0, "batches", 3) == stream_seed(0, "batches", 3)
        True
        >>> stream_seed(0, "batches", 3) == stream_seed(0, "augment", 3)
        False
    """
    numbers = [
        check_whole_number(label, number, at_least=0)
        for label, number in (("seed", seed), *(("index", k) for k in index))
    ]
    name = check_text("name", name)
    words = np.random.SeedSequence(
        (numbers[0], zlib.crc32(name.encode()), *numbers[1:])
    ).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with this number of PyTorch threads inside the context.

    Raises:
        InvalidInput: the number is below 1 or no whole number.
    """
    import torch

    count = check_whole_number("threads", count, at_least=1, at_most=MAX_THREADS)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def spare_core() -> Iterator[None]:
    """Compute on all cores but one inside the context.

    A page then stays responsive during a job.
    """
    import torch

    with torch_threads(max(1, min(torch.get_num_threads(), usable_cpus() - 1))):
        yield
