"""Which steps of a run become frames of its recording."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from explore.core.validation import check_whole_number, describe, to_python
from explore.errors import InvalidInput

Every = str | int | float | Sequence[int]
"""What ``record(every=...)`` takes."""

GROWTH = 1.06
"""``every="log"`` grows the distance between frames by this factor: about 60 frames in 200 steps,
100 in 2,000."""

MAX_COUNT = 2**16
"""More frames are not counted: a chunk never holds so many."""


class FrameSteps:
    """The steps that become frames; ask ``step in FrameSteps(every)``. See ``record(every=...)``.

    Raises:
        InvalidInput: ``every`` is something else. NumPy's numbers and arrays are accepted.

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
        number = to_python(every)
        if isinstance(number, bool):
            raise _refusal(every)
        if isinstance(number, str) and number == "log":
            self._growth = GROWTH
        elif isinstance(number, int) and number >= 1:
            self._interval = number
        elif isinstance(number, float) and 1 < number < math.inf:
            self._growth = number
        else:
            self._steps = frozenset({0, *_step_numbers(every)})
        self._grown = [0]

    def __contains__(self, step: int) -> bool:
        if self._interval:
            return step % self._interval == 0
        if self._growth:
            self._grow_to(step)
            return self._grown[bisect_left(self._grown, step)] == step
        return step in self._steps

    def count(self, steps: int) -> int:
        """Return how many frames a run of so many steps has, its last step included.

        At most about ``MAX_COUNT`` are counted, so that runs without a planned end start at once.
        """
        if self._interval:
            return min(steps // self._interval + 2, MAX_COUNT)
        if self._growth:
            self._grow_to(steps, MAX_COUNT)
            return sum(step <= steps for step in self._grown) + 1
        return sum(0 <= step <= steps for step in self._steps) + 1

    def _grow_to(self, step: int, most: float = math.inf) -> None:
        """Extend the grown steps; they do not depend on the planned steps, so a longer run only
        adds frames."""
        while self._grown[-1] < step and len(self._grown) < most:
            last = self._grown[-1]
            self._grown.append(max(last + 1, round(last * self._growth)))


def _step_numbers(every: Any) -> list[int]:
    """Return the steps of a list, tuple, range or array of one dimension."""
    is_array = len(getattr(every, "shape", ())) == 1 and hasattr(every, "tolist")
    if isinstance(every, str | bytes) or not (isinstance(every, Sequence) or is_array):
        raise _refusal(every)
    steps = every.tolist() if is_array else list(every)
    try:
        return [check_whole_number("every", step, at_least=0) for step in steps]
    except InvalidInput as error:
        raise _refusal(every) from error


def _refusal(every: Any) -> InvalidInput:
    expected = '"log", an integer ≥ 1, a float > 1 or step numbers'
    return InvalidInput(f"every must be {expected}, got {describe(every)}")
