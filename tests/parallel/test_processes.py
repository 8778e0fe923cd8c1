"""Kernels in processes of their own: forks, and fewer OpenMP threads than requested."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys import ROOT


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


PARALLEL_KERNELS = {"norm_relu_pool", "norm_relu_pool_back", "norm_relu_sums_pool"}
"""The kernels that ``USE_KERNELS`` calls: sums, and a fused block forward and backward."""

OTHER_PARALLEL_KERNELS = {"double"}
"""The probe of ``explore doctor``, which runs in a process of its own."""

USE_KERNELS = """
import os, signal, sys
import numpy as np, torch
from explore.attention import power_sums
from explore.models import ConvNet
from explore.models._fused.module import fused_blocks

torch.set_num_threads(2)
network = ConvNet(1, 5, 16, width=16, seed=1)
x = torch.randn(40, 1, 16, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)

def compute(_=0):
    sums = power_sums(network, x, 4.0, 4.0)
    with fused_blocks():
        logits = network(x)
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    return [v.detach().numpy() for v in (*sums.spatial, *sums.channel, logits, gradient)]

def check(values):
    for expected, value in zip(parent, values, strict=True):
        assert np.allclose(expected, value, rtol=1e-4, atol=1e-5 * np.abs(expected).max())

parent = compute()
torch.rand(600, 600) @ torch.rand(600, 600)
"""

FORKS = {
    "os.fork": """
child = os.fork()
if child == 0:
    signal.alarm(100)  # ends the process if it hangs
    check(compute())
    torch.rand(600, 600) @ torch.rand(600, 600)
    os._exit(0 if torch.get_num_threads() == 1 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
    "Pool": """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    for values in pool.map(compute, range(3)):
        check(values)
""",
    "DataLoader": """
class Maps(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        check(compute())
        return index
loader = torch.utils.data.DataLoader(Maps(), num_workers=2, multiprocessing_context="fork")
assert [int(batch) for batch in loader] == [0, 1, 2, 3]
""",
    "a fork of a fork": """
child = os.fork()
if child == 0:
    signal.alarm(100)
    grandchild = os.fork()
    if grandchild == 0:
        signal.alarm(100)
        check(compute())
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")
@pytest.mark.parametrize("way", FORKS)
def test_a_fork_of_a_process_that_used_the_kernels_can_use_them(way: str) -> None:
    code = f"{USE_KERNELS}{FORKS[way]}\ncheck(compute())  # the parent still can\n"
    process = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def test_the_kernels_with_threads_are_those_that_are_tested_in_forks() -> None:
    names = set()
    for file in (ROOT / "explore").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                options = {
                    keyword.arg
                    for decorator in node.decorator_list
                    if isinstance(decorator, ast.Call)
                    for keyword in decorator.keywords
                }
                names |= {node.name} if "parallel" in options else set()
    assert names == PARALLEL_KERNELS | OTHER_PARALLEL_KERNELS
