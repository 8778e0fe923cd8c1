"""Sharing the tasks of one kernel among threads, so that a busy core never holds the others up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from typing import Any

KERNELS = threading.Lock()
"""Held around kernels that Numba itself runs in parallel: not every threading layer of it bears two callers at once."""

PARALLEL_FROM = 200_000
"""Steps (about half a millisecond) from which on work is shared; below, waking a thread costs as much."""

PIECE = 100_000
"""Steps in one piece, about: whoever is done takes the next."""


def shared(work: int, kernel: Callable[..., None], *arguments: Any, out: Any) -> None:
    """Call ``kernel(*arguments, first, step, out)`` for all tasks, in as many threads as its ``work`` is worth.

    Not by OpenMP (``prange``): there every step ends only when every thread has been given a core, and where other
    processes keep the cores busy that took whole scheduling quanta (a reduction of 0.1 s became one of 2 s). Here the
    caller works through the pieces itself, others help where they get to it, and none is waited for that has not begun.
    Each task is computed alone, so that the bits do not depend on who does it.

    Args:
        work: how much there is to do, in steps of about 2.5 nanoseconds.
        kernel: compiled, without the GIL; does every ``step``-th task from ``first`` on.
        out: what it writes.
    """
    from numba import get_num_threads

    threads = get_num_threads()
    if work < PARALLEL_FROM or threads == 1:
        kernel(*arguments, 0, 1, out)
        return
    pieces = max(2 * threads, work // PIECE)
    numbers = count()

    def labour() -> None:
        while (piece := next(numbers)) < pieces:
            kernel(*arguments, piece, pieces, out)

    helpers = [_pool(os.getpid(), threads - 1).submit(labour) for _ in range(threads - 1)]
    labour()
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One for this process: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="explore")
