"""``run_shared``: every task is done once; threads that have not started are not awaited."""

from __future__ import annotations

import os
import threading
import time

import numba
import numpy as np
import pytest

from explore._parallel import policy, thread_pool
from explore._parallel.work_sharing import run_shared


def count_tasks(counts: np.ndarray, first: int, step: int, out: list[int]) -> None:
    """Stand in for a kernel: count its tasks, and record which threads did them."""
    counts[first::step] += 1
    out.append(threading.get_ident())
    time.sleep(0.001)


def set_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(policy, "kernel_threads", lambda: threads)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("work", [0, 10**6, 10**7])
def test_every_task_is_done_once(threads: int, work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_threads(monkeypatch, threads)
    counts, callers = np.zeros(1000, int), []  # type: ignore[var-annotated]
    run_shared(work, count_tasks, counts, out=callers)
    assert (counts == 1).all()
    assert len(set(callers)) <= threads
    if threads > 1 and work > policy.MIN_SHARED_STEPS:
        assert len(callers) == max(2 * threads, work // policy.STEPS_PER_PIECE)
        assert len(set(callers)) > 1


def test_small_work_stays_with_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    set_threads(monkeypatch, 4)
    callers: list[int] = []
    run_shared(policy.MIN_SHARED_STEPS - 1, count_tasks, np.zeros(10, int), out=callers)
    assert callers == [threading.get_ident()]


def test_the_kill_switch_leaves_all_work_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: 4)
    monkeypatch.setattr(policy, "single_threaded", lambda: True)
    callers: list[int] = []
    run_shared(10**7, count_tasks, np.zeros(10, int), out=callers)
    assert callers == [threading.get_ident()]


def test_a_thread_that_cannot_start_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    set_threads(monkeypatch, 2)
    release = threading.Event()
    # The only helper is busy.
    busy = thread_pool._executor(os.getpid(), 1).submit(release.wait)
    counts, callers = np.zeros(100, int), []  # type: ignore[var-annotated]
    try:
        run_shared(10**6, count_tasks, counts, out=callers)
    finally:
        release.set()
    assert (counts == 1).all()
    assert set(callers) == {threading.get_ident()}
    assert busy.result(10)


def test_an_exception_in_a_helper_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    set_threads(monkeypatch, 2)
    caller = threading.get_ident()

    def fail(first: int, step: int, out: None) -> None:
        if threading.get_ident() != caller:
            raise ZeroDivisionError("in a helper")
        time.sleep(0.01)

    with pytest.raises(ZeroDivisionError, match="in a helper"):
        run_shared(10**6, fail, out=None)
