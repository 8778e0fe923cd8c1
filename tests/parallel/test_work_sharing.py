"""Threads that join a compiled function: all work is done once, by whoever is there, and nobody waits for who is not."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numba import types

from explore._parallel import _libc as libc, openmp as team, work_sharing as joining
from explore._parallel.intrinsics import ask, pointer, take
from explore._parallel.openmp import Pace


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


@pytest.fixture(autouse=True, params=["own threads", "PyTorch's"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each test twice: with threads of our own, and with PyTorch's."""
    joining._helpers.cache_clear()
    joining._owner.cache_clear()
    if request.param == "own threads":
        monkeypatch.setattr(team, "team", lambda: None)
    elif team.team() is None:
        pytest.skip("PyTorch's OpenMP library here has no GOMP_parallel")
    yield request.param
    joining._helpers.cache_clear()
    joining._owner.cache_clear()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_piece_is_done_once(threads: int, work: Any) -> None:
    most, end = 0, time.monotonic() + 20
    while most < min(2, threads) and time.monotonic() < end:
        job = job_of(60)
        joining.join(threads, work.address, job.ctypes.data, Pace())
        assert (job[3:63] == 1).all()
        assert 1 <= job[2] <= threads
        most = max(most, int(job[2]))
    assert (most > 1) == (threads > 1), "somebody comes in time, sooner or later"


def test_a_job_may_vanish_when_it_is_done(work: Any) -> None:
    for _ in range(200):  # a helper that came late would write into memory of the next one
        job = job_of(1)
        joining.join(3, work.address, job.ctypes.data, Pace())
        assert job[3] == 1
        job[:] = 0
        del job


def test_callers_who_meet_do_not_share_helpers(work: Any) -> None:
    def one(_: int) -> bool:
        job = job_of(30)
        joining.join(2, work.address, job.ctypes.data, Pace())
        return bool((job[3:33] == 1).all() and job[2] <= 2)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(one, range(200)))


def test_helpers_are_daemons_and_as_many_as_asked_for(work: Any, kind: str) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    joining.join(3, work.address, job_of(5).ctypes.data, Pace())
    joining.join(3, work.address, job_of(5).ctypes.data, Pace())
    new = [thread for thread in threading.enumerate() if thread.ident not in before]
    assert len(new) == (2 if kind == "own threads" else 0)
    assert all(thread.daemon for thread in new)


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="cores are told apart on Linux only"
)
def test_helpers_may_run_on_every_core_afterwards(work: Any, kind: str) -> None:
    if kind != "own threads":
        pytest.skip("PyTorch's threads are left where they are")
    for _ in range(20):
        joining.join(2, work.address, job_of(20).ctypes.data, Pace())
    (helper,) = [t for t in threading.enumerate() if t.name == "explore-0" and t.is_alive()][-1:]
    assert os.sched_getaffinity(helper.native_id) == os.sched_getaffinity(0)


def test_without_the_c_librarys_functions_it_works_too(
    work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "YIELD", 0)
    monkeypatch.setattr(joining, "GETCPU", 0)
    monkeypatch.setattr(team, "CALLS", (0, 0, 0))
    for _ in range(20):
        job = job_of(20)
        joining.join(2, work.address, job.ctypes.data, Pace())
        assert (job[3:23] == 1).all()


# ---- PyTorch's threads


@numba.njit
def on(getcpu):  # type: ignore[no-untyped-def]
    return ask(getcpu)


def test_a_thread_leaves_a_core_and_may_come_back() -> None:
    """It is on another core afterwards, and still allowed to be on all that it was allowed to be on."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core, or a system that does not tell them apart")
    allowed, left = os.sched_getaffinity(0), 0
    for here in 20 * sorted(allowed)[:2]:
        os.sched_setaffinity(0, {here})
        os.sched_setaffinity(0, allowed)
        team.leave(np.uint64(here), np.uint64(libc.ASK_CORES), np.uint64(libc.SET_CORES))
        left += on(np.uint64(libc.GETCPU)) != here
        assert os.sched_getaffinity(0) == allowed
    assert left > 20, "the system may have brought it back, now and then"
    os.sched_setaffinity(0, {here})
    try:
        team.leave(np.uint64(here), np.uint64(libc.ASK_CORES), np.uint64(libc.SET_CORES))
        assert os.sched_getaffinity(0) == {here}, "it may be nowhere else"
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_has_threads_of_its_own(work: Any) -> None:
    """OpenMP's team is not there in a child, where a parallel region of it would wait for ever."""
    assert (
        torch.rand(400, 400).matmul(torch.rand(400, 400)).isfinite().all()
    )  # PyTorch's threads have begun
    joining.join(2, work.address, job_of(20).ctypes.data, Pace())
    child = os.fork()
    if child == 0:
        try:
            job = job_of(20)
            joining.join(2, work.address, job.ctypes.data, Pace())
            os._exit(0 if (job[3:23] == 1).all() else 1)
        finally:
            os._exit(2)
    end = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    if done[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done == (child, 0)


def test_a_call_with_nothing_to_do_is_forgotten(work: Any, kind: str) -> None:
    """Else every other would count as held up for ever."""
    pace, job = Pace(fastest=1e-9), job_of(5)
    for _ in range(60):
        team.Calls()(2, work.address, job.ctypes.data, pace)
    assert (pace.fastest > 1e-6) == (kind != "own threads")


def test_the_team_is_left_alone_for_a_moment_when_a_call_was_held_up(
    work: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, job = team.Calls(), job_of(5)
    pace = Pace()
    if kind == "own threads":
        assert not calls(2, work.address, job.ctypes.data, pace)
        return
    clock = iter(
        [
            0.0,
            0.1,
            0.2,
            0.6,
            0.7,
            0.8,
            1.0,
            2.0,
            2.0 + team.APART - 0.01,
            2.0 + team.APART + 0.01,
            3.0,
        ]
    )
    monkeypatch.setattr(team, "perf_counter", lambda: next(clock))
    assert calls(2, work.address, job.ctypes.data, pace)  # 0.1 s, the fastest
    assert calls(2, work.address, job.ctypes.data, pace)  # 0.4 s: not yet held up
    assert calls(2, work.address, job.ctypes.data, pace)  # 0.1 s
    assert calls(2, work.address, job.ctypes.data, pace)  # 1 s
    assert not calls(2, work.address, job.ctypes.data, pace), "it is kept away from"
    assert calls(2, work.address, job.ctypes.data, pace), (
        "and asked again a quarter of a second later"
    )


def test_without_pytorch_there_is_no_team(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.undo()
    assert team._linked(str(tmp_path / "torch" / "__init__.py")) is None, (
        "a package without libraries"
    )
    monkeypatch.delitem(sys.modules, "torch")
    assert team.team() is None
