"""Runs kernels on several threads without the GIL; ``run_shared`` is the function to call.

The calling thread works too, and a call returns when all work is done. Helpers that have not
started yet are not waited for. Each task is computed by one thread alone, so that the bits of a
result do not depend on the number of threads.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from explore._parallel import policy, thread_pool
from explore._parallel.compile import one_thread_copy
from explore._parallel.openmp import OpenMPCalls, find_openmp
from explore._parallel.policy import BestTime

_numba_parallel = threading.Lock()


def run_shared(work: int, kernel: Callable[..., None], *arguments: Any, out: Any) -> None:
    """Call ``kernel(*arguments, first, step, out)`` until all tasks are done.

    ``policy`` decides from the amount of work how many threads are used. They are not OpenMP's, as
    in ``prange``: there every step waits until every thread got a core. On a busy machine that
    can take several time slices (0.1 s became 2 s).

    Args:
        work: the amount of work, in steps of about 2.5 nanoseconds.
        kernel: compiled, without the GIL; computes every ``step``-th task from ``first`` on.
        out: what it writes.
    """
    threads = policy.thread_count(work, policy.MIN_SHARED_STEPS)
    if threads == 1:
        kernel(*arguments, 0, 1, out)
        return
    pieces = max(2 * threads, work // policy.STEPS_PER_PIECE)
    numbers = count()

    def take_pieces() -> None:
        while (piece := next(numbers)) < pieces:
            kernel(*arguments, piece, pieces, out)

    thread_pool.run_on_pool(threads, take_pieces)


def run_cooperative(threads: int, address: int, arguments: int, best_time: BestTime) -> None:
    """Call a compiled kernel whose threads divide the work among themselves, by atomic counters.

    It is for calls of less than a millisecond, without Python between the threads. PyTorch's
    OpenMP threads help where there are any; for a while after a stall, and without PyTorch,
    threads of our own help. A second caller at the same time gets no helpers.

    Args:
        threads: at most so many, with the calling one.
        address: of a compiled ``void kernel(uint64 arguments, uint64 thread)``, which returns when
            all work is done. ``thread`` is 0 for the calling thread, then 1, 2, …
        arguments: an address, which must stay valid until this returns.
        best_time: of earlier calls with about the same work; a stall is recognised by it.
    """
    process = os.getpid()
    lock, openmp_calls = _callers(process)
    if threads < 2 or policy.single_threaded() or not lock.acquire(blocking=False):
        thread_pool.run_alone(address, arguments)
        return
    try:
        if _has_openmp_threads(process) and openmp_calls(threads, address, arguments, best_time):
            return
        try:
            helpers = thread_pool.start_helpers(process, threads - 1)
        except RuntimeError:  # no thread can be started, for example at the end of a process
            thread_pool.run_alone(address, arguments)
            return
        thread_pool.run_with_helpers(helpers, threads, address, arguments)
    finally:
        lock.release()


def run_parallel(kernel: Any, *arguments: Any) -> None:
    """Call a kernel with ``numba.prange`` on as many threads as PyTorch uses, one call at a time.

    Not every threading layer of Numba supports two callers at once. With another number of threads
    than PyTorch's, their common OpenMP library would end and start threads in each call. In a fork
    the calling thread does all the work, because OpenMP's threads do not exist there; GNU's
    library would wait for them for ever, and Numba would end the process.
    """
    if not _has_openmp_threads(os.getpid()):
        one_thread_copy(kernel)(*arguments)
        return
    with _numba_parallel:
        match_pytorch_threads()
        kernel(*arguments)


def match_pytorch_threads() -> int:
    """Let Numba use as many threads as PyTorch does, and return that number."""
    import numba

    torch = sys.modules["torch"]
    threads = torch.get_num_threads()
    config: Any = numba.config
    limit = 1 if policy.single_threaded() else config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(threads, limit))
    # Numba's first call sets the common OpenMP library to all cores.
    torch.set_num_threads(threads)
    return min(threads, limit)


def helper_threads() -> str:
    """Return, in words, whose threads help ``run_cooperative`` if there was no stall."""
    if policy.single_threaded():
        return "no other threads"
    if _has_openmp_threads(os.getpid()) and find_openmp() is not None:
        return "PyTorch's own"
    return "explore's own"


def _is_fork() -> bool:
    """Return whether this process is a fork that has not started another program since (Linux)."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        return bool(int(stat.rpartition(")")[2].split()[6]) & 0x40)  # PF_FORKNOEXEC
    except (OSError, ValueError, IndexError):
        return False


_OPENMP_PROCESS = 0 if _is_fork() else os.getpid()


def _has_openmp_threads(process: int) -> bool:
    """Return whether OpenMP's threads can exist; in a fork, waiting for them would never end."""
    return process == _OPENMP_PROCESS


def _use_one_pytorch_thread() -> None:
    """Let PyTorch compute on one thread, as in the workers of its ``DataLoader``.

    In a fork it would wait for its parent's OpenMP threads for ever.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # Windows has no forks.
    os.register_at_fork(after_in_child=_use_one_pytorch_thread)


@cache
def _callers(process: int) -> tuple[threading.Lock, OpenMPCalls]:
    """Return the lock of whoever has the helpers of this process, and the calls through OpenMP."""
    return threading.Lock(), OpenMPCalls()
