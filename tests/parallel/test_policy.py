"""The thread policy: CPU quotas limit Numba's default, and ``EXPLORE_THREADS=simple`` changes no bit."""

from __future__ import annotations

from collections.abc import Iterator

import numba
import pytest
from toys import run_python

from explore._parallel import policy
from explore.errors import InvalidInput

BITS = """
import hashlib, threading
import numpy as np, torch
from explore.attention import power_sums
from explore.models import ConvNet
from explore.sparseconv import conv2d
rng = np.random.default_rng(0)
x = np.where(rng.random((1, 32, 56, 56)) < 0.3, rng.normal(size=(1, 32, 56, 56)), 0).astype(np.float32)
weight = rng.normal(size=(48, 32, 3, 3)).astype(np.float32)
digest = hashlib.sha256()
for method in ("bitmap", "cpo", "cps", "cscc"):
    digest.update(conv2d(x, weight, method=method).tobytes())
torch.set_num_threads(1)  # PyTorch's own convolutions are not part of this test
sums = power_sums(ConvNet(1, 10, 16, width=8, seed=0), torch.from_numpy(x[0, :20, None, :16, :16].copy()))
digest.update(sums.embedding.numpy().tobytes() + sums.spatial[0].numpy().tobytes())
print(digest.hexdigest(), threading.active_count())
"""


@pytest.fixture(autouse=True)
def _read_the_variable_again() -> Iterator[None]:
    policy.single_threaded.cache_clear()
    yield
    policy.single_threaded.cache_clear()


@pytest.mark.slow
def test_results_have_the_same_bits_with_the_kill_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(policy.VARIABLE, raising=False)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    usual, _ = run_python(BITS).split()
    monkeypatch.setenv(policy.VARIABLE, "simple")
    simple, threads = run_python(BITS).split()
    assert simple == usual
    assert threads == "1", "no thread was started"


def test_an_unknown_value_of_the_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(policy.VARIABLE, "single")
    with pytest.raises(InvalidInput, match=r"EXPLORE_THREADS is 'single'; set it to 'simple'"):
        policy.kernel_threads()
    monkeypatch.setenv(policy.VARIABLE, "")
    assert not policy.single_threaded()


@pytest.mark.parametrize(
    ("numba_threads", "cpus", "threads"), [(8, 1, 1), (8, 3, 3), (8, 16, 8), (4, 1, 4), (1, 8, 1)]
)
def test_a_quota_limits_the_default_but_not_a_number_that_was_set(
    numba_threads: int, cpus: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(policy.VARIABLE, raising=False)
    monkeypatch.setattr(numba.config, "NUMBA_DEFAULT_NUM_THREADS", 8)
    monkeypatch.setattr(numba, "get_num_threads", lambda: numba_threads)
    monkeypatch.setattr(policy, "usable_cpus", lambda: cpus)
    assert policy.kernel_threads() == threads
    assert policy.thread_count(100, 100) == threads
    assert policy.thread_count(99, 100) == 1
