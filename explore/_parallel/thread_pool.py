"""Threads of our own: a pool for Python callables, and helpers that run compiled kernels.

Neither is waited for unless it has started to work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from explore._parallel.compile import kernel
from explore._parallel.intrinsics import (
    GET_AFFINITY,
    GETCPU,
    SCHED_YIELD,
    SET_AFFINITY,
    atomic_fetch_add,
    atomic_load,
    atomic_store,
    call_for_int,
    call_kernel,
    yield_core,
)
from explore._parallel.openmp import leave_core
from explore._parallel.policy import SPIN_CHECKS

CHECKS_PER_YIELD = np.uintp(500)
"""Looks at a counter between two calls of ``sched_yield``."""

UINT_ONE, MINUS_ONE = np.uintp(1), ~np.uintp(0)

MAILBOX = np.dtype(
    [
        (name, np.uint64)
        for name in (
            "posted_jobs",
            "kernel",
            "arguments",
            "active_helpers",
            "awake_helpers",
            "core",
        )
    ]
)
"""How helper threads get work: the number of jobs so far, the present job (``arguments`` is 0 if
there is none), how many helpers work on it or look for the next, and the caller's core."""


def run_on_pool(threads: int, work: Callable[[], None]) -> None:
    """Call ``work`` on this thread, and on others of a pool that start before it returns.

    An exception in any of them is raised here.
    """
    pool = _executor(os.getpid(), threads - 1)
    helpers = [pool.submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@cache
def _executor(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the pool of this process: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="explore")


class Helpers(NamedTuple):
    """Daemon threads that wait for compiled kernels; each item of the queue wakes one of them."""

    mailbox: np.ndarray
    wake_ups: SimpleQueue[None]


@cache
def start_helpers(process: int, count: int) -> Helpers:
    """Start the helper threads of this process.

    Raises:
        RuntimeError: no thread can be started, for example at the end of a process.
    """
    helpers = Helpers(np.zeros(1, MAILBOX), SimpleQueue())

    def wait_for_work(thread: int) -> None:
        while True:
            helpers.wake_ups.get()
            _help(
                helpers.mailbox,
                thread,
                SPIN_CHECKS,
                SCHED_YIELD,
                GETCPU,
                GET_AFFINITY,
                SET_AFFINITY,
            )

    for index in range(count):
        name, arguments = f"explore-{index}", (index + 1,)
        threading.Thread(target=wait_for_work, args=arguments, name=name, daemon=True).start()
    return helpers


def run_with_helpers(helpers: Helpers, threads: int, address: int, arguments: int) -> None:
    """Call a compiled kernel on this thread, and on helpers that wake before it returns."""
    mailbox, wake_ups = helpers
    for _ in range(threads - 1 - int(mailbox["awake_helpers"][0]) - wake_ups.qsize()):
        wake_ups.put(None)
    _lead(mailbox, address, arguments, SCHED_YIELD, GETCPU)


@kernel
def run_alone(address, arguments):
    """Call a compiled kernel on this thread only."""
    call_kernel(address, arguments, np.uintp(0))


@kernel
def _lead(mailboxes, address, arguments, sched_yield, getcpu):
    """Post a job, work on it, and wait for the helpers that have started to work on it."""
    mailbox = mailboxes[0]
    atomic_store(mailbox, "core", call_for_int(getcpu))
    atomic_store(mailbox, "kernel", address)
    atomic_store(mailbox, "arguments", arguments)
    atomic_fetch_add(mailbox, "posted_jobs", UINT_ONE)
    call_kernel(address, arguments, np.uintp(0))
    atomic_store(mailbox, "arguments", np.uintp(0))
    checks = np.uintp(0)
    while atomic_load(mailbox, "active_helpers") > 0:  # they have no work, but read the arguments
        checks += UINT_ONE
        if checks % CHECKS_PER_YIELD == 0:
            yield_core(sched_yield)


@kernel
def _help(mailboxes, thread, spin_checks, sched_yield, getcpu, get_affinity, set_affinity):
    """Work on jobs while there are any, and look for the next one for a while."""
    mailbox = mailboxes[0]
    atomic_fetch_add(mailbox, "awake_helpers", UINT_ONE)
    last_job = np.uintp(0)
    while True:
        job = last_job
        for check in range(np.uintp(spin_checks)):
            job = atomic_load(mailbox, "posted_jobs")
            if job != last_job:
                break
            if check % CHECKS_PER_YIELD == CHECKS_PER_YIELD - UINT_ONE:
                yield_core(sched_yield)
        if job == last_job:
            break
        core = call_for_int(getcpu)
        if core == atomic_load(mailbox, "core"):
            leave_core(core, get_affinity, set_affinity)
        last_job = job
        atomic_fetch_add(mailbox, "active_helpers", UINT_ONE)
        arguments = atomic_load(mailbox, "arguments")
        if arguments != np.uintp(0):
            call_kernel(atomic_load(mailbox, "kernel"), arguments, np.uintp(thread))
        atomic_fetch_add(mailbox, "active_helpers", MINUS_ONE)
    atomic_fetch_add(mailbox, "awake_helpers", MINUS_ONE)
