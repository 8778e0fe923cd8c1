"""PyTorch's own OpenMP threads as helpers: while they watch for its next operation, nobody else is to compete for their cores."""

from __future__ import annotations

import ctypes
import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numba
import numpy as np
from numba import types

from explore._parallel._libc import ASK_CORES, GETCPU, SET_CORES
from explore._parallel.intrinsics import affinity, ask, call, call_fork, pointer

SLOWER, LATER = 4, 0.001
"""A call that takes so many times as long as the fastest of its kind, and so many seconds, was held up: the cores are busy."""

APART = 0.25
"""Seconds for which the team is then left alone."""

FUNCTION, JOB, WHO, SIZE, CORE, WHERE, ASK, SET = (np.uintp(k) for k in range(8))
"""What a team is told: what to call with what, the address of ``omp_get_thread_num``, how many of them at most, on which core the
first of them is, and the addresses of ``CALLS``."""

CALLS = (GETCPU, ASK_CORES, SET_CORES)

CORES = 1024
"""That Linux's lists of cores have room for."""


@dataclass
class Pace:
    """How fast calls of one kind have been; it is forgotten bit by bit, for one of them may have had little to do."""

    fastest: float = math.inf


class Team(NamedTuple):
    """Addresses of functions of the OpenMP library that PyTorch is linked to."""

    fork: int
    who: int
    most: int


def team() -> Team | None:
    """PyTorch's, if it is imported and its OpenMP library speaks GCC's language (as Linux's does)."""
    torch = sys.modules.get("torch")
    file = getattr(torch, "__file__", None)
    return _linked(file) if file else None


@cache
def _linked(package: str) -> Team | None:
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_max_threads")
    files = sorted(Path(package).parent.glob("lib/libtorch_cpu.*"))
    for file in (
        (None, *map(str, files)) if files else ()
    ):  # what was loaded for all comes before what it was linked to
        try:
            library = ctypes.CDLL(file)
            found = [
                ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names
            ]
        except (OSError, AttributeError, TypeError):
            continue
        if all(found):
            return Team(*found)
    return None


class Calls:
    """Calls by the team, one at a time; keeps away from it for a moment where other processes keep its threads from their cores.

    At the end of a parallel region OpenMP waits for every thread, though it may not have begun: on busy cores that takes
    whole scheduling quanta.
    """

    def __init__(self) -> None:
        self._apart = 0.0
        self._told = np.array([0, 0, 0, 0, 0, *CALLS], np.uint64)

    def __call__(self, threads: int, function: int, job: int, pace: Pace) -> bool:
        """Call a function by all threads of the team, this one being the first; whether that was done."""
        if (known := team()) is None:
            return False
        member, begin = _member(), perf_counter()  # compiled before the clock runs
        if begin < self._apart:
            return False
        _call(known, member, self._told, function, job, threads)
        end = perf_counter()
        if end - begin > SLOWER * pace.fastest + LATER:
            self._apart = end + APART
        pace.fastest = min(end - begin, 2 * pace.fastest)
        return True


@cache
def _member() -> int:
    """The address of what each thread of a team is called with: the place of what the team is told."""

    @numba.cfunc(types.void(types.uintp), cache=True)
    def member(job):  # type: ignore[no-untyped-def]
        told = numba.carray(pointer(job, np.empty(0, np.uint64)), 8)
        number, here = ask(told[WHO]), ask(told[WHERE])
        if number >= told[SIZE]:
            return
        if number != 0 and here == told[CORE]:
            leave(here, told[ASK], told[SET])
        call(told[FUNCTION], told[JOB], number)

    return int(member.address)  # type: ignore[arg-type]


@numba.njit(nogil=True, cache=True)
def leave(here, ask_cores, set_cores):  # type: ignore[no-untyped-def]
    """Have this thread go on on another core, if it may, and then let it be where it was allowed to be.

    A thread that wakes on the core of the one that it is to help may be left there for ten milliseconds.
    """
    allowed = np.zeros(CORES // 64, np.uint64)
    if (
        here >= np.uintp(CORES)
        or ask_cores == 0
        or set_cores == 0
        or not affinity(ask_cores, allowed)
    ):
        return
    elsewhere, left = allowed.copy(), np.uint64(0)
    elsewhere[here // np.uintp(64)] &= ~(np.uint64(1) << (here % np.uintp(64)))
    for word in elsewhere:
        left |= word
    if left != 0:
        affinity(set_cores, elsewhere)
        affinity(set_cores, allowed)


@numba.njit(nogil=True, cache=True)
def _call(team, member, told, function, job, threads):  # type: ignore[no-untyped-def]
    told[FUNCTION], told[JOB], told[WHO], told[SIZE] = function, job, team.who, threads
    told[CORE] = ask(told[WHERE])
    # as many as PyTorch asks for: with another number OpenMP would end and begin threads in each call
    call_fork(team.fork, member, told.ctypes.data, ask(team.most))
