"""Runs: anything that takes time, one step at a time; ``record`` records, stops and resumes them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np

from explore._parallel.cpus import usable_cpus
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray

GROWTH = 1.06
"""``every="log"`` grows the distance between frames by this factor: about 60 frames in 200 steps, 100 in 2,000."""

Every = str | int | float | Sequence[int]
Progress = Callable[[int, int, str], None]
Stop = Callable[[], bool]


@runtime_checkable
class Run(Protocol):
    """What a method must offer to be recorded, resumed and swept; ``BaseRun`` implements most of it.

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
    """Base of the runs of this package, and of yours: a subclass defines ``advance`` and ``snapshot``.

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
        data = self.config.get("data", {}).get("name", "")
        return f"{type(self).__name__}({self.name} on {data}, step {self.step} of {self.steps})"

    @property
    def message(self) -> str:
        """One short line for a progress bar."""
        return f"step {self.step}"

    def advance(self) -> None:
        """Take one step."""
        raise NotImplementedError(f"{type(self).__name__} does not define advance()")

    def snapshot(self) -> xarray.Dataset:
        """Return one frame of what can be seen."""
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
        """Advance to the end without recording; returns the run itself."""
        while self.step < self.steps:
            self.advance()
        return self

    def summary(self) -> str:
        """Return one line on the result of a run that has ended; empty if there is nothing to say."""
        return ""

    def save_product(self, recording: Path) -> Path | None:
        """Write what the run was for into a file beside its recording and return the path.

        ``record`` calls this when the run has ended. By default there is no such file.
        """
        return None


def stream_seed(seed: int, name: str, *index: int) -> int:
    """Return a 63-bit seed for the named random stream of a run, at ``index`` (a step, say).

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


class FrameSteps:
    """The steps that become frames; ask ``step in FrameSteps(every)``. See ``record(every=...)``.

    Example:
        >>> every_tenth = FrameSteps(10)
        >>> [step for step in range(25) if step in every_tenth]
        [0, 10, 20]
        >>> FrameSteps(0)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: every must be "log", an integer ≥ 1, a float > 1 or step numbers, got 0
    """

    def __init__(self, every: Every) -> None:
        self._interval, self._growth, self._steps = 0, 0.0, frozenset[int]()
        if every == "log":
            self._growth = GROWTH
        elif isinstance(every, int) and every >= 1:
            self._interval = every
        elif isinstance(every, float) and 1 < every < math.inf:
            self._growth = every
        elif (
            isinstance(every, Sequence)
            and not isinstance(every, str)
            and all(isinstance(step, int) for step in every)
        ):
            self._steps = frozenset({0, *every})
        else:
            expected = '"log", an integer ≥ 1, a float > 1 or step numbers'
            raise InvalidInput(f"every must be {expected}, got {every!r}")
        self._grown = [0]

    def __contains__(self, step: int) -> bool:
        if self._interval:
            return step % self._interval == 0
        if self._growth:
            self._grow_to(step)
            return self._grown[int(np.searchsorted(self._grown, step))] == step
        return step in self._steps

    def count(self, steps: int) -> int:
        """Return how many frames a run of so many steps has, its last step included."""
        if self._interval:
            return steps // self._interval + 2
        if self._growth:
            self._grow_to(steps)
            return sum(step <= steps for step in self._grown) + 1
        return sum(0 <= step <= steps for step in self._steps) + 1

    def _grow_to(self, step: int) -> None:
        """Extend the grown steps; they do not depend on the planned steps, so a longer run only adds frames."""
        while self._grown[-1] < step:
            last = self._grown[-1]
            self._grown.append(max(last + 1, round(last * self._growth)))


@contextmanager
def spare_core() -> Iterator[None]:
    """Compute on all cores but one inside the context, so that a page stays responsive during a job."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, usable_cpus() - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
