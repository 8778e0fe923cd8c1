"""Tasks shared among threads: each is done once, whoever does it, and nobody waits for a thread that has not begun."""

from __future__ import annotations

import threading
import time

import numba
import numpy as np
import pytest

from explore._parallel import thread_pool as sharing


def note(done: np.ndarray, first: int, step: int, out: list[int]) -> None:
    """Stands for a kernel: counts its tasks, and notes who did them."""
    done[first::step] += 1
    out.append(threading.get_ident())
    time.sleep(0.001)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("work", [0, 10**6, 10**7])
def test_every_task_is_done_once(threads: int, work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: threads)
    done, who = np.zeros(1000, int), []  # type: ignore[var-annotated]
    sharing.shared(work, note, done, out=who)
    assert (done == 1).all()
    assert len(set(who)) <= threads
    if threads > 1 and work > sharing.PARALLEL_FROM:
        assert len(who) == max(2 * threads, work // sharing.PIECE)
        assert len(set(who)) > 1


def test_small_work_stays_with_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: 4)
    who: list[int] = []
    sharing.shared(sharing.PARALLEL_FROM - 1, note, np.zeros(10, int), out=who)
    assert who == [threading.get_ident()]


def test_a_thread_that_cannot_begin_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    free = threading.Event()
    busy = sharing._pool(sharing.os.getpid(), 1).submit(
        free.wait
    )  # the only helper has something else to do
    done, who = np.zeros(100, int), []  # type: ignore[var-annotated]
    try:
        sharing.shared(10**6, note, done, out=who)
    finally:
        free.set()
    assert (done == 1).all()
    assert set(who) == {threading.get_ident()}
    assert busy.result(10)


def test_what_a_helper_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    caller = threading.get_ident()

    def fail(first: int, step: int, out: None) -> None:
        if threading.get_ident() != caller:
            raise ZeroDivisionError("in a helper")
        time.sleep(0.01)

    with pytest.raises(ZeroDivisionError, match="in a helper"):
        sharing.shared(10**6, fail, out=None)
