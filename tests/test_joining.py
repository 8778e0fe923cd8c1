"""Threads that join a compiled function: all work is done once, by whoever is there, and nobody waits for who is not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from explore import joining
from explore.atomics import pointer, take


@pytest.fixture(scope="module")
def work() -> Any:
    """A compiled function that takes piece after piece: job = [next, pieces, callers, marks …, results …]."""

    @numba.cfunc(types.void(types.uintp, types.uintp))
    def run(job, number):  # type: ignore[no-untyped-def]
        words = np.empty(0, np.uint64)
        told = numba.carray(pointer(job, words), 3)
        pieces = told[1]
        marks = numba.carray(pointer(job, words), 3 + 2 * pieces)
        take(marks, np.uintp(2), np.uintp(1))
        while True:
            piece = take(marks, np.uintp(0), np.uintp(1))
            if piece >= pieces:
                break
            busy = np.uint64(piece)
            for step in range(20_000):
                busy = busy * np.uint64(6364136223846793005) + np.uint64(step)
            marks[np.uintp(3) + pieces + piece] = busy
            take(marks, np.uintp(3) + piece, np.uintp(1))

    return run


def job_of(pieces: int) -> np.ndarray:
    job = np.zeros(3 + 2 * pieces, np.uint64)
    job[1] = pieces
    return job


@pytest.fixture(autouse=True)
def _own_helpers() -> Iterator[None]:
    joining._helpers.cache_clear()
    yield
    joining._helpers.cache_clear()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_piece_is_done_once(threads: int, work: Any) -> None:
    most, end = 0, time.monotonic() + 20
    while most < min(2, threads) and time.monotonic() < end:
        job = job_of(60)
        joining.join(threads, work.address, job.ctypes.data)
        assert (job[3:63] == 1).all()
        assert 1 <= job[2] <= threads
        most = max(most, int(job[2]))
    assert (most > 1) == (threads > 1), "somebody comes in time, sooner or later"


def test_a_job_may_vanish_when_it_is_done(work: Any) -> None:
    for _ in range(200):  # a helper that came late would write into memory of the next one
        job = job_of(1)
        joining.join(3, work.address, job.ctypes.data)
        assert job[3] == 1
        job[:] = 0
        del job


def test_callers_who_meet_do_not_share_helpers(work: Any) -> None:
    def one(_: int) -> bool:
        job = job_of(30)
        joining.join(2, work.address, job.ctypes.data)
        return bool((job[3:33] == 1).all() and job[2] <= 2)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(200)))


def test_helpers_are_daemons_and_as_many_as_asked_for(work: Any) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    joining.join(3, work.address, job_of(5).ctypes.data)
    joining.join(3, work.address, job_of(5).ctypes.data)
    new = [thread for thread in threading.enumerate() if thread.ident not in before]
    assert len(new) == 2
    assert all(thread.daemon for thread in new)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are told apart on Linux only")
def test_helpers_may_run_on_every_core_afterwards(work: Any) -> None:
    for _ in range(20):
        joining.join(2, work.address, job_of(20).ctypes.data)
    (helper,) = [t for t in threading.enumerate() if t.name == "explore-0" and t.is_alive()][-1:]
    assert os.sched_getaffinity(helper.native_id) == os.sched_getaffinity(0)


def test_without_the_c_librarys_functions_it_works_too(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "YIELD", 0)
    monkeypatch.setattr(joining, "GETCPU", 0)
    assert joining._address("no_such_function") == 0
    for _ in range(20):
        job = job_of(20)
        joining.join(2, work.address, job.ctypes.data)
        assert (job[3:23] == 1).all()
