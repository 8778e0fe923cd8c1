"""The peak rate of fused multiply-adds, what no convolution on this machine can exceed."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
from numba import types

from explore._parallel.intrinsics import as_pointer, atomic_fetch_add
from explore._parallel.policy import BestTime
from explore._parallel.work_sharing import run_cooperative
from explore.core import benchmark
from explore.sparseconv._engine.simd import LANES, burn_multiply_adds

STEPS = 3_000_000
OPERATIONS_PER_STEP = 2 * LANES * 12
"""``burn_multiply_adds`` computes twelve vectors of multiply-adds in each step."""


def peak(threads: int, rounds: int = 10) -> float:
    """Return the floating-point operations per second of multiply-adds in registers, on all
    threads."""
    outputs = np.zeros(threads * LANES, np.float32)
    job = np.array([0, threads, STEPS, outputs.ctypes.data], np.uint64)

    def compute() -> None:
        job[0] = 0
        run_cooperative(threads, _kernel_address(), job.ctypes.data, BestTime())

    seconds = benchmark.time_rounds({"peak": compute}, rounds, pause=benchmark.PAUSE)["peak"]
    return threads * STEPS * OPERATIONS_PER_STEP / min(seconds)


@cache
def _kernel_address() -> int:
    """Compile the kernel. Its job is [next thread, threads, steps, address of the outputs]."""

    @numba.cfunc(types.void(types.uintp, types.uintp))
    def kernel(job, number):  # type: ignore[no-untyped-def]
        fields = numba.carray(as_pointer(job, np.uint64), 4)
        size = fields[1] * np.uint64(LANES)
        outputs = numba.carray(as_pointer(fields[3], np.float32), size)
        while True:
            thread = atomic_fetch_add(fields, np.uintp(0), np.uintp(1))
            if thread >= fields[1]:
                break
            burn_multiply_adds(outputs, thread * np.uintp(LANES), fields[2])

    return int(kernel.address)  # type: ignore[arg-type]
