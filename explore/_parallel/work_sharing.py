"""Joining: threads that help one compiled function, without Python between them, and are waited for only if they have begun."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numba
import numpy as np

from explore._parallel._libc import GETCPU, YIELD
from explore._parallel.intrinsics import ask, call, let_others, put, seen, take
from explore._parallel.openmp import CALLS, Calls, Pace, leave, team

POSTED, FUNCTION, JOB, ACTIVE, AWAKE, CORE = (np.uintp(k) for k in range(6))
"""Places of a mailbox: how many jobs there were, the present one (0: none), how many threads help with it, how many look for
the next, and on which core is the one that they help."""

WATCHED = 200_000
"""Looks that a thread takes for the next job before it goes to sleep (a tenth of a millisecond): waking it can take as long."""

SPINS = np.uintp(500)
"""Looks between two calls of ``sched_yield``."""


class Helpers(NamedTuple):
    """Threads that wait for work, and where they find it."""

    mailbox: np.ndarray
    bell: SimpleQueue[None]


def join(threads: int, function: int, job: int, pace: Pace) -> None:
    """Call a compiled function here, and in other threads if they get to it while it is done here.

    It takes its share of the work itself, each time it is called, and returns when all work is done, by whomever; whoever
    calls it after that finds nothing left. It is told who calls: 0 is this thread, 1 and so on are the helpers.

    The helpers are PyTorch's OpenMP threads if there are any (see ``explore._parallel.openmp``), for those watch for PyTorch's next
    operation for milliseconds and would share their cores with others. Where other processes keep the cores busy, or without
    PyTorch, they are threads of our own. Nobody waits for those if they have not begun: OpenMP's barriers, which wait for every
    thread, stalled for whole scheduling quanta there (a convolution of 0.2 ms took 16 ms on the average).

    Args:
        threads: in all.
        function: address of a compiled ``void (int64, int64)``.
        job: what it is given, an address, say, and behind it who calls; must live until this returns.
        pace: of calls that do about the same work; by it a call that is held up is known.
    """
    process = os.getpid()
    owner, calls = _owner(process)
    if threads < 2 or not owner.acquire(
        blocking=False
    ):  # another caller has the helpers: alone, then
        _alone(function, job)
        return
    try:
        if not _team_lives(process) or not calls(threads, function, job, pace):
            try:
                mailbox, bell = _helpers(process, threads - 1)
            except RuntimeError:  # no thread can be started, at the end of a process, say
                _alone(function, job)
                return
            for _ in range(threads - 1 - int(mailbox[AWAKE]) - bell.qsize()):
                bell.put(None)
            _lead(mailbox, function, job, YIELD, GETCPU)
    finally:
        owner.release()


def helpers() -> str:
    """Which threads ``join`` asks, where nothing else keeps them busy; in words."""
    return "PyTorch's own" if _team_lives(os.getpid()) and team() is not None else "explore's own"


def _forked() -> bool:
    """Whether this process is a copy of its parent, which has begun no other program since; as Linux says."""
    try:
        told = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        return bool(int(told.rpartition(")")[2].split()[6]) & 0x40)  # PF_FORKNOEXEC
    except (OSError, ValueError, IndexError):
        return False


_BORN = 0 if _forked() else os.getpid()


def _team_lives(process: int) -> bool:
    """OpenMP's threads do not live on in a fork, where a parallel region would wait for them for ever."""
    return process == _BORN


@cache
def _owner(process: int) -> tuple[threading.Lock, Calls]:
    """Held by whoever has the helpers of this process; and the team's calls."""
    return threading.Lock(), Calls()


@cache
def _helpers(process: int, count: int) -> Helpers:
    """So many, of this process: a fork has none of its parent's threads."""
    helpers = Helpers(np.zeros(6, np.uint64), SimpleQueue())

    def help(number: int) -> None:
        while True:
            helpers.bell.get()
            _serve(helpers.mailbox, number, WATCHED, YIELD, *CALLS)

    for number in range(count):
        threading.Thread(
            target=help, args=(number + 1,), name=f"explore-{number}", daemon=True
        ).start()
    return helpers


@numba.njit(nogil=True, cache=True)
def _alone(function, job):  # type: ignore[no-untyped-def]
    call(function, job, np.uintp(0))


@numba.njit(nogil=True, cache=True)
def _lead(mailbox, function, job, others, where):  # type: ignore[no-untyped-def]
    put(mailbox, CORE, ask(where))
    put(mailbox, FUNCTION, function)
    put(mailbox, JOB, job)
    take(mailbox, POSTED, np.uintp(1))
    call(function, job, np.uintp(0))
    put(mailbox, JOB, np.uintp(0))
    looks = np.uintp(0)
    while seen(mailbox, ACTIVE) > 0:  # they find nothing left, but still read the job
        looks += np.uintp(1)
        if looks % SPINS == 0:
            let_others(others)


@numba.njit(nogil=True, cache=True)
def _serve(mailbox, number, watched, others, where, ask_cores, set_cores):  # type: ignore[no-untyped-def]
    """Help for as long as there is something to do, and look for more for a while."""
    take(mailbox, AWAKE, np.uintp(1))
    known = np.uintp(0)
    while True:
        posted = known
        for look in range(np.uintp(watched)):
            posted = seen(mailbox, POSTED)
            if posted != known:
                break
            if look % SPINS == SPINS - np.uintp(1):
                let_others(others)
        if posted == known:
            break
        here = ask(where)
        if here == seen(mailbox, CORE):
            leave(here, ask_cores, set_cores)
        known = posted
        take(mailbox, ACTIVE, np.uintp(1))
        job = seen(mailbox, JOB)
        if job != np.uintp(0):
            call(seen(mailbox, FUNCTION), job, np.uintp(number))
        take(mailbox, ACTIVE, ~np.uintp(0))  # one less
    take(mailbox, AWAKE, ~np.uintp(0))
