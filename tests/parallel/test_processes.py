"""Helper threads in processes of their own: forks, and fewer OpenMP threads than requested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only on Linux a process knows that it is a fork"
)
def test_a_fork_that_imports_explore_later_starts_its_own_threads() -> None:
    code = """
import os, signal, sys
import numpy as np, torch
torch.rand(600, 600).matmul(torch.rand(600, 600))
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends the process if it hangs
    from explore._parallel.work_sharing import helper_threads
    from explore.sparseconv import prepare
    weight, x = np.ones((32, 32, 3, 3), np.float32), np.ones((1, 32, 40, 40), np.float32)  # PyTorch itself would hang
    y = prepare(weight, method="bitmap")(x)
    os._exit(0 if helper_threads() == "explore's own" and bool((y == 288).all()) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    "setting", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}, {"OMP_NUM_THREADS": "1"}]
)
def test_fewer_openmp_threads_do_all_work(setting: dict[str, str]) -> None:
    code = """
import numba, torch
from explore.sparseconv import prepare
y = prepare(torch.ones(32, 32, 3, 3), method="bitmap")(torch.ones(1, 32, 40, 40))
assert bool((y == 288).all())
"""
    environment = {**os.environ, **setting, "NUMBA_NUM_THREADS": "2"}
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
