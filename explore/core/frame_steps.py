"""Which steps of a run become frames of its recording."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explore.errors import InvalidInput

Every = str | int | float | Sequence[int]
"""What ``record(every=...)`` takes."""

GROWTH = 1.06
"""``every="log"`` grows the distance between frames by this factor: about 60 frames in 200 steps,
100 in 2,000."""


class FrameSteps:
    """The steps that become frames; ask ``step in FrameSteps(every)``. See ``record(every=...)``.

    Example:
        >>> every_tenth = FrameSteps(10)
        >>> [step for step in range(25) if step in every_tenth]
        [0, 10, 20]
        >>> FrameSteps(0)
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: every must be "log", an integer ≥ 1, a float > 1 or step
        numbers, got 0
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
        """Extend the grown steps; they do not depend on the planned steps, so a longer run only
        adds frames."""
        while self._grown[-1] < step:
            last = self._grown[-1]
            self._grown.append(max(last + 1, round(last * self._growth)))
