"""Runs compiled kernels on PyTorch's OpenMP threads.

These threads spin for a while after each operation of PyTorch, so that a second pool of threads
would compete with them for cores.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numba
import numpy as np
from numba import types

from explore._parallel.compile import kernel
from explore._parallel.intrinsics import (
    GET_AFFINITY,
    GETCPU,
    SET_AFFINITY,
    as_record,
    call_affinity,
    call_for_int,
    call_gomp_parallel,
    call_kernel,
)
from explore._parallel.policy import OPENMP_COOLDOWN_S, BestTime

MAX_CORES = 1024
"""Cores in a list of Linux's ``sched_getaffinity``."""

REGION = np.dtype(
    [
        (name, np.uint64)
        for name in (
            "kernel",
            "arguments",
            "get_thread_num",
            "max_threads",
            "caller_core",
            "getcpu",
            "get_affinity",
            "set_affinity",
        )
    ]
)
"""What each thread of a parallel region reads: addresses, but for the two numbers."""


class OpenMP(NamedTuple):
    """Addresses of functions of the OpenMP library that PyTorch is linked to."""

    parallel: int
    get_thread_num: int
    get_max_threads: int


def find_openmp() -> OpenMP | None:
    """Return PyTorch's OpenMP, if PyTorch is imported and its OpenMP has GCC's interface.

    On Linux it has.
    """
    torch = sys.modules.get("torch")
    file = getattr(torch, "__file__", None)
    return _linked_openmp(file) if file else None


@cache
def _linked_openmp(package: str) -> OpenMP | None:
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_max_threads")
    files = [str(file) for file in sorted(Path(package).parent.glob("lib/libtorch_cpu.*"))]
    # A library that was loaded for the whole process comes before the one PyTorch is linked to.
    for file in (None, *files) if files else ():
        try:
            library = ctypes.CDLL(file)
            addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p) for name in names]
        except (OSError, AttributeError, TypeError):
            continue
        if all(address.value for address in addresses):
            return OpenMP(*(address.value or 0 for address in addresses))
    return None


class OpenMPCalls:
    """Calls kernels on OpenMP's threads, one call at a time.

    At the end of a parallel region OpenMP waits for every thread, even for one that has not started
    yet. Where other processes keep the cores busy, that takes whole scheduling quanta. After such a
    stall no call is made for ``OPENMP_COOLDOWN_S``.
    """

    def __init__(self) -> None:
        self._cooldown_end = 0.0
        self._region = np.zeros(1, REGION)
        self._region["getcpu"] = GETCPU
        self._region["get_affinity"], self._region["set_affinity"] = GET_AFFINITY, SET_AFFINITY

    def __call__(self, threads: int, address: int, arguments: int, best_time: BestTime) -> bool:
        """Call a kernel on OpenMP's threads, of which the calling thread is the first.

        Returns:
            Whether it was called: False without OpenMP, and for a while after a stall.
        """
        if (openmp := find_openmp()) is None:
            return False
        member, start = _region_member(), perf_counter()  # compile before the clock starts
        if start < self._cooldown_end:
            return False
        _run_region(openmp, member, self._region, address, arguments, threads)
        end = perf_counter()
        if best_time.is_stall(end - start):
            self._cooldown_end = end + OPENMP_COOLDOWN_S
        best_time.update(end - start)
        return True


@cache
def _region_member() -> int:
    """Return the address of the function that each thread of a region calls with its ``REGION``."""

    @numba.cfunc(types.void(types.uintp), cache=True)
    def member(address):
        region = as_record(address, REGION)
        thread, core = call_for_int(region.get_thread_num), call_for_int(region.getcpu)
        if thread >= region.max_threads:
            return
        if thread != 0 and core == region.caller_core:
            leave_core(core, region.get_affinity, region.set_affinity)
        call_kernel(region.kernel, region.arguments, thread)

    return int(member.address)  # type: ignore[arg-type]


@kernel
def leave_core(core, get_affinity, set_affinity):
    """Move this thread to another core, if it may run on one, and restore its affinity.

    A thread that wakes on the core of the thread that it helps may stay there for ten milliseconds.
    """
    allowed = np.zeros(MAX_CORES // 64, np.uint64)
    if (
        core >= np.uintp(MAX_CORES)
        or get_affinity == 0
        or set_affinity == 0
        or not call_affinity(get_affinity, allowed)
    ):
        return
    others, any_other = allowed.copy(), np.uint64(0)
    others[core // np.uintp(64)] &= ~(np.uint64(1) << (core % np.uintp(64)))
    for word in others:
        any_other |= word
    if any_other != 0:
        call_affinity(set_affinity, others)
        call_affinity(set_affinity, allowed)


@kernel
def _run_region(openmp, member, regions, address, arguments, threads):
    region = regions[0]
    region.kernel, region.arguments = address, arguments
    region.get_thread_num, region.max_threads = openmp.get_thread_num, threads
    region.caller_core = call_for_int(region.getcpu)
    # As many threads as PyTorch uses: with another number OpenMP would end and start threads in
    # each call. Threads from ``max_threads`` on return at once.
    call_gomp_parallel(
        openmp.parallel, member, regions.ctypes.data, call_for_int(openmp.get_max_threads)
    )
