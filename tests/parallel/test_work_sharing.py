"""Cooperative kernels: all work is done once; threads that have not started are not awaited."""

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

from explore._parallel import intrinsics, openmp, policy, thread_pool, work_sharing
from explore._parallel.intrinsics import as_pointer, as_record, atomic_fetch_add, call_for_int
from explore._parallel.policy import BestTime
from explore._parallel.work_sharing import run_cooperative

COUNTERS = np.dtype(
    [(name, np.uint64) for name in ("next_piece", "pieces", "marks", "working", "conflicts")]
)
MAX_THREADS = 8


@pytest.fixture(scope="module")
def address() -> int:
    """Return the address of a kernel that takes piece after piece of the work, and marks each.

    It counts how often each thread number is used, and how often by two threads at once.
    """

    @numba.cfunc(types.void(types.uintp, types.uintp))
    def run(arguments, thread):  # type: ignore[no-untyped-def]
        counters = as_record(arguments, COUNTERS)
        total = counters.pieces
        marks = numba.carray(as_pointer(counters.marks, np.uint64), 2 * total)
        working = numba.carray(as_pointer(counters.working, np.uint64), 2 * MAX_THREADS)
        if atomic_fetch_add(working, np.uintp(thread), np.uintp(1)) != 0:
            atomic_fetch_add(counters, "conflicts", np.uintp(1))
        atomic_fetch_add(working, np.uintp(MAX_THREADS + thread), np.uintp(1))
        while True:
            index = atomic_fetch_add(counters, "next_piece", np.uintp(1))
            if index >= total:
                break
            number = np.uint64(index)
            for step in range(20_000):
                number = number * np.uint64(6364136223846793005) + np.uint64(step)
            marks[total + index] = number
            atomic_fetch_add(marks, np.uintp(index), np.uintp(1))
        atomic_fetch_add(working, np.uintp(thread), ~np.uintp(0))

    global _kernel
    _kernel = run  # keeps the machine code alive
    return int(run.address)


class Work:
    """The arguments of one call: counters and marks."""

    def __init__(self, total: int) -> None:
        self.all_marks, self.pieces = np.zeros(2 * total, np.uint64), total
        self.working = np.zeros(2 * MAX_THREADS, np.uint64)
        self.counters = np.zeros(1, COUNTERS)
        self.counters["pieces"], self.counters["marks"] = total, self.all_marks.ctypes.data
        self.counters["working"] = self.working.ctypes.data

    @property
    def arguments(self) -> int:
        return int(self.counters.ctypes.data)

    @property
    def thread_numbers(self) -> set[int]:
        """Return the numbers of the threads that worked; a fast helper may take more work."""
        return set(np.flatnonzero(self.working[MAX_THREADS:]).tolist())

    @property
    def is_done_once(self) -> bool:
        each_once = bool((self.all_marks[: self.pieces] == 1).all())
        return each_once and not self.counters["conflicts"][0]


@pytest.fixture(autouse=True, params=["own threads", "PyTorch's"])
def owner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run each test twice: with threads of our own, and with PyTorch's."""
    caches = (thread_pool.start_helpers, work_sharing._callers, policy.single_threaded)
    for cached in caches:
        cached.cache_clear()
    if request.param == "own threads":
        for module in (openmp, work_sharing):
            monkeypatch.setattr(module, "find_openmp", lambda: None)
    elif openmp.find_openmp() is None:
        pytest.skip("PyTorch's OpenMP library has no GOMP_parallel on this system")
    yield request.param
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_piece_is_done_once(threads: int, address: int) -> None:
    most, end = 0, time.monotonic() + 20
    while most < min(2, threads) and time.monotonic() < end:
        work = Work(60)
        run_cooperative(threads, address, work.arguments, BestTime())
        assert work.is_done_once
        assert {0} <= work.thread_numbers <= set(range(threads))
        most = max(most, len(work.thread_numbers))
    assert (most > 1) == (threads > 1), "a helper starts in time, sooner or later"


def test_arguments_may_be_freed_after_the_call(address: int) -> None:
    for _ in range(200):  # a late helper would write into the memory of the next call
        work = Work(1)
        run_cooperative(3, address, work.arguments, BestTime())
        assert work.is_done_once
        work.counters[:] = 0
        del work


def test_callers_at_the_same_time_do_not_share_helpers(address: int) -> None:
    def call(_: int) -> bool:
        work = Work(30)
        run_cooperative(2, address, work.arguments, BestTime())
        return work.is_done_once and work.thread_numbers <= {0, 1}

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, range(200)))


def test_helpers_are_daemons_and_as_many_as_requested(address: int, owner: str) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(2):
        run_cooperative(3, address, Work(5).arguments, BestTime())
    new = [thread for thread in threading.enumerate() if thread.ident not in before]
    assert len(new) == (2 if owner == "own threads" else 0)
    assert all(thread.daemon for thread in new)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_helpers_may_run_on_every_core_afterwards(address: int, owner: str) -> None:
    if owner != "own threads":
        pytest.skip("PyTorch's threads have no Python name")
    for _ in range(20):
        run_cooperative(2, address, Work(20).arguments, BestTime())
    (helper,) = [t for t in threading.enumerate() if t.name == "explore-0" and t.is_alive()][-1:]
    assert os.sched_getaffinity(helper.native_id) == os.sched_getaffinity(0)


def test_work_is_done_without_the_functions_of_the_c_library(
    address: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (thread_pool, openmp):
        for name in ("SCHED_YIELD", "GETCPU", "GET_AFFINITY", "SET_AFFINITY"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, 0)
    for _ in range(20):
        work = Work(20)
        run_cooperative(2, address, work.arguments, BestTime())
        assert work.is_done_once


def test_the_kill_switch_leaves_all_work_to_the_caller(
    address: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(policy.VARIABLE, "simple")
    before = threading.active_count()
    for _ in range(20):
        work = Work(20)
        run_cooperative(4, address, work.arguments, BestTime())
        assert work.is_done_once
        assert work.thread_numbers == {0}
    assert threading.active_count() == before
    assert work_sharing.helper_threads() == "no other threads"


# ---- PyTorch's threads


@numba.njit
def current_core(getcpu):  # type: ignore[no-untyped-def]
    return call_for_int(getcpu)


def test_a_thread_leaves_a_core_and_may_return() -> None:
    """The thread is then on another core, and may still run on all cores."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core, or a system without CPU affinity")
    getcpu, get_affinity, set_affinity = (
        np.uint64(getattr(intrinsics, name)) for name in ("GETCPU", "GET_AFFINITY", "SET_AFFINITY")
    )
    allowed, moves = os.sched_getaffinity(0), 0
    for core in 20 * sorted(allowed)[:2]:
        os.sched_setaffinity(0, {core})
        os.sched_setaffinity(0, allowed)
        openmp.leave_core(np.uint64(core), get_affinity, set_affinity)
        moves += current_core(getcpu) != core
        assert os.sched_getaffinity(0) == allowed
    assert moves > 20, "the system may move it back, now and then"
    os.sched_setaffinity(0, {core})
    try:
        openmp.leave_core(np.uint64(core), get_affinity, set_affinity)
        assert os.sched_getaffinity(0) == {core}, "it may run nowhere else"
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_has_threads_of_its_own(address: int) -> None:
    """OpenMP's threads do not exist in a child, where a parallel region would wait for ever."""
    # This starts PyTorch's threads.
    assert torch.rand(400, 400).matmul(torch.rand(400, 400)).isfinite().all()
    run_cooperative(2, address, Work(20).arguments, BestTime())
    child = os.fork()
    if child == 0:
        try:
            work = Work(20)
            run_cooperative(2, address, work.arguments, BestTime())
            os._exit(0 if work.is_done_once else 1)
        finally:
            os._exit(2)
    end = time.monotonic() + 20
    while (status := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    if status[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert status == (child, 0)


def test_a_best_time_decays(address: int, owner: str) -> None:
    """One call with nothing to do does not make all later calls count as stalls."""
    best_time, work = BestTime(seconds=1e-9), Work(5)
    for _ in range(60):
        openmp.OpenMPCalls()(2, address, work.arguments, best_time)
    assert (best_time.seconds > 1e-6) == (owner != "own threads")


def test_openmp_is_not_used_for_a_while_after_a_stall(
    address: int, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, work, best_time = openmp.OpenMPCalls(), Work(5), BestTime()

    def call() -> bool:
        return calls(2, address, work.arguments, best_time)

    if owner == "own threads":
        assert not call()
        return
    end = 2.0 + policy.OPENMP_COOLDOWN_S
    clock = iter([0.0, 0.1, 0.2, 0.6, 0.7, 0.8, 1.0, 2.0, end - 0.01, end + 0.01, 3.0])
    monkeypatch.setattr(openmp, "perf_counter", lambda: next(clock))
    assert call()  # 0.1 s, the best time
    assert call()  # 0.4 s: not a stall
    assert call()  # 0.1 s
    assert call()  # 1 s: a stall
    assert not call()
    assert call(), "it is used again after the cooldown"


def test_there_is_no_openmp_without_pytorch(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.undo()
    package = str(tmp_path / "torch" / "__init__.py")
    assert openmp._linked_openmp(package) is None, "a package without libraries"
    monkeypatch.delitem(sys.modules, "torch")
    assert openmp.find_openmp() is None
