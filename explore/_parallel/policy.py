"""Decide when compiled kernels share work among threads, and among how many.

All thresholds of ``run_shared`` and of the bitmap engine are here.

``README.md`` in this folder explains the choices and names the measurements behind them.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cache

from explore._parallel.cpus import usable_cpus
from explore.errors import InvalidInput

VARIABLE = "EXPLORE_THREADS"
"""Environment variable; ``simple`` makes every kernel run on the thread that calls it."""

MIN_SHARED_STEPS = 200_000
"""Work (in steps of 2.5 ns, so half a millisecond) from which ``run_shared`` uses threads.

Below it, waking a thread costs as much as the work.
"""

STEPS_PER_PIECE = 100_000
"""Work in one piece of ``run_shared``; a thread that is done takes the next piece."""

MIN_SHARED_MULTIPLY_ADDS = 4_000_000
"""Multiply-adds of a dense convolution from which the bitmap engine uses threads."""

SLOWDOWN_FACTOR, SLOWDOWN_S = 4, 0.001
"""A call stalled if it took this many times the best time, and this many seconds, on top."""

OPENMP_COOLDOWN_S = 0.25
"""After a stall, OpenMP threads are not used for this many seconds."""

SPIN_CHECKS = 200_000
"""Times that an idle helper thread looks for new work before it sleeps (a tenth of a millisecond).

Waking a sleeping thread can take as long.
"""


@dataclass
class BestTime:
    """The shortest run time for one kernel and input size, in seconds.

    It decays slowly, because one call may have had unusually little work.
    """

    seconds: float = math.inf

    def is_stall(self, seconds: float) -> bool:
        """Return whether other processes must have held up a call that took so long."""
        return seconds > SLOWDOWN_FACTOR * self.seconds + SLOWDOWN_S

    def update(self, seconds: float) -> None:
        """Take a new run time into account."""
        self.seconds = min(seconds, 2 * self.seconds)


@cache
def single_threaded() -> bool:
    """Return whether ``EXPLORE_THREADS=simple`` is set, which is read once in each process.

    Raises:
        InvalidInput: the variable has another value.
    """
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "simple"):
        raise InvalidInput(
            f"the environment variable {VARIABLE} is {value!r}; set it to 'simple' (every kernel "
            "runs on the thread that calls it) or remove it"
        )
    return value == "simple"


def kernel_threads() -> int:
    """Return how many threads a kernel may use.

    This is Numba's number (``numba.set_num_threads``, ``NUMBA_NUM_THREADS``). Where nobody changed
    Numba's default, it is at most ``usable_cpus()``, because that default ignores CPU quotas.
    """
    import numba

    if single_threaded():
        return 1
    threads = numba.get_num_threads()
    if threads == numba.config.NUMBA_DEFAULT_NUM_THREADS:  # type: ignore[attr-defined]
        return min(threads, usable_cpus())
    return threads


def thread_count(work: int, minimum: int) -> int:
    """Return how many threads to use for an amount of work; 1 below a minimum."""
    return 1 if work < minimum else kernel_threads()
