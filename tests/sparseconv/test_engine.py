"""The bitmap engine and its layers: torch as oracle, guard zones, threads, other processors."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sparse_oracles import EXAMPLES, Case, assert_close, cases, make_case, maps, oracle

from explore._parallel import policy
from explore._parallel.intrinsics import call_kernel
from explore.errors import InvalidInput, UnknownName
from explore.sparseconv import Geometry, conv2d, encode, prepare
from explore.sparseconv._engine import convolution as engine
from explore.sparseconv._engine.convolution import BitmapConvolution, Plan
from explore.sparseconv._engine.simd import LANES

METHODS = ("bitmap", "auto")


@st.composite
def large_cases(draw: st.DrawFn) -> Case:
    """Generate cases with up to 150 channels and 80 filters: several blocks, groups and tails."""
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (1, 7), (7, 1), (5, 5), (2, 3), (4, 6), (3, 1)]))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 2), (3, 1), (1, 3), (3, 3)]))
    padding = draw(st.sampled_from([(0, 0), (1, 1), (0, 3), (3, 0), (2, 2)]))
    size = [
        max(1, k - 2 * p) + draw(st.integers(0, 7)) for k, p in zip(kernel, padding, strict=True)
    ]
    channels = draw(st.sampled_from([1, 3, 15, 16, 17, 31, 48, 63, 64, 65, 80, 96, 129, 150]))
    filters = draw(st.sampled_from([1, 2, 15, 16, 17, 32, 33, 47, 48, 64, 65, 80]))
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.6, 1.0]))
    return make_case(
        draw(st.integers(1, 3)),
        channels,
        filters,
        size,
        kernel,
        stride,
        padding,
        density,
        draw(st.integers(0, 10**6)),
    )


def channels_last(x: np.ndarray) -> np.ndarray:
    """Return the same maps with channels last in memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


# ---- what it computes


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_small_cases_equal_torch(case) -> None:
    for method in METHODS:
        assert_close(conv2d(*case, method=method), case)


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=large_cases(), threads=st.integers(1, 2))
def test_large_cases_equal_torch_in_both_memory_formats(case, threads) -> None:
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        layer = prepare(*case[1:], method="bitmap")
        first, y_last = layer(case.x), layer(channels_last(case.x))
    finally:
        numba.set_num_threads(before)
    assert_close(first, case)
    assert np.array_equal(first, y_last)
    assert first.flags.c_contiguous
    if not channels_last(
        case.x
    ).flags.c_contiguous:  # with one channel, or one pixel, they are the same
        assert y_last.transpose(0, 2, 3, 1).flags.c_contiguous


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(case=large_cases(), threads=st.integers(1, 4))
def test_nothing_is_written_outside_a_buffer(case, threads) -> None:
    guards: list[np.ndarray] = []

    def guarded_empty(count: int, kind: Any = np.float32) -> np.ndarray:
        size = count * np.dtype(kind).itemsize
        memory = np.full(size + 3 * 4096, 0xA5, np.uint8)
        start = 4096 + -(memory.ctypes.data + 4096) % 64
        guards.extend([memory[:start], memory[start + size :]])
        return memory[start : start + size].view(kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "aligned_empty", guarded_empty)
        patch.setattr(numba, "get_num_threads", lambda: threads)
        convolution = BitmapConvolution(*case[1:])
        x = np.ascontiguousarray(case.x.transpose(0, 2, 3, 1))
        g = Geometry(case.x.shape, *case.sizes.values())
        out = guarded_empty(len(case.x) * g.output[0] * g.output[1] * len(case.weight)).reshape(
            len(case.x), *g.output, -1
        )
        inside = guarded_empty(x.size).reshape(x.shape)
        inside[:] = x
        convolution(inside, out=out)
    assert_close(out.transpose(0, 3, 1, 2), case)
    assert all((zone == 0xA5).all() for zone in guards)
    assert np.array_equal(inside, x)


@pytest.mark.parametrize("method", METHODS)
def test_nan_and_infinities_propagate_as_in_a_dense_product(method) -> None:
    case = make_case(2, 70, 40, (6, 7), (3, 2), (1, 2), (1, 0), 0.4, 3)
    case.x[0, 3, 2, 2], case.x[1, 69, 5, 6], case.x[1, 0, 0, 0] = np.nan, np.inf, -np.inf
    y, expected = conv2d(*case, method=method), oracle(case)
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    assert np.array_equal(y == np.inf, expected == np.inf)
    assert np.array_equal(y == -np.inf, expected == -np.inf)


def test_zeros_are_not_multiplied_by_weights() -> None:
    case = make_case(1, 20, 20, (6, 6), (3, 3), (1, 1), (1, 1), 0.0, 3)
    case.weight[:] = np.nan
    y = conv2d(*case, method="bitmap")
    assert np.array_equal(y, np.broadcast_to(case.bias[:, None, None], y.shape))


@pytest.mark.parametrize(
    "method", ["bitmap", "auto", "torch", "cpo", "cps", "cscc", "im2col", "mec"]
)
def test_relu_equals_torch(method) -> None:
    case = make_case(2, 20, 35, (6, 6), (3, 3), (1, 1), (2, 2), 0.4, 3)
    case.x[0, 0, 0, 0] = np.nan
    y = prepare(*case[1:], method=method, relu=True)(case.x)
    expected = torch.relu(torch.from_numpy(oracle(case))).numpy()
    assert np.allclose(y, expected, 1e-4, 1e-4, equal_nan=True)
    assert not np.signbit(y[y == 0]).any()


def test_a_kernel_that_reads_only_padding_gives_the_bias() -> None:
    case = make_case(1, 5, 20, (1, 1), (2, 2), (1, 1), (3, 3), 1.0, 3)
    assert_close(conv2d(*case, method="bitmap"), case)
    case.bias[:] = -1
    assert (prepare(*case[1:], method="bitmap", relu=True)(case.x)[..., 0, 0] == 0).all()


# ---- how it is split


@pytest.mark.parametrize("width", range(1, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_plan_covers_all_filters_and_channels_and_fits_the_cache(width, stride) -> None:
    for filters in (1, 16, 17, 100, 512):
        for channels in (1, 16, 17, 64, 65, 448):
            plan = Plan.of(filters, channels, width, stride)
            assert (
                plan.groups * plan.filter_vectors * LANES
                >= filters
                > (plan.groups - 1) * plan.filter_vectors * LANES
            )
            assert (
                plan.blocks * plan.channel_vectors * LANES
                >= channels
                > (plan.blocks - 1) * plan.channel_vectors * LANES
            )
            assert plan.channel_vectors * LANES <= 64
            assert (
                4 * width * plan.filter_vectors * plan.channel_vectors * LANES**2
                <= engine.WEIGHT_BYTES
                or plan.channel_vectors == 1
            )


def test_maps_that_are_too_dense_are_not_convolved() -> None:
    case = make_case(2, 20, 20, (6, 6), (3, 3), (1, 1), (1, 1), 0.5, 3)
    x = np.ascontiguousarray(case.x.transpose(0, 2, 3, 1))
    density = np.count_nonzero(x) / x.size
    convolution = BitmapConvolution(*case[1:])
    assert convolution.convolve_if_sparse(x, density * 0.999) is None
    assert_close(convolution.convolve_if_sparse(x, density).transpose(0, 3, 1, 2), case)


def test_several_threads_call_one_layer_with_maps_of_any_size() -> None:
    case = make_case(1, 33, 20, (9, 9), (3, 3), (1, 1), (1, 1), 0.3, 3)
    layer = prepare(*case[1:], method="bitmap")
    inputs = [
        maps((n, 33, h, 9), 0.3, seed)
        for seed, (n, h) in enumerate([(1, 9), (2, 9), (1, 4), (3, 12)] * 8)
    ]
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(layer, inputs))
    for x, y in zip(inputs, outputs, strict=True):
        assert_close(y, case._replace(x=x))


def test_a_layer_keeps_its_own_weights() -> None:
    case = make_case(1, 3, 4, (5, 5), (3, 3), (1, 1), (0, 0), 0.5, 3)
    for method in ("bitmap", "torch", "cpo"):
        layer = prepare(*case[1:], method=method)
        before = layer(case.x)
        weight = case.weight.copy()
        case.weight[:] = 0
        assert np.array_equal(layer(case.x), before)
        case.weight[:] = weight


# ---- tensors, and errors


@pytest.mark.parametrize("method", ["bitmap", "auto", "torch"])
def test_tensors_come_back_as_tensors_in_their_format(method) -> None:
    case = make_case(2, 5, 4, (6, 7), (3, 3), (1, 1), (1, 1), 0.3, 3)
    layer = prepare(*case[1:], method=method)
    x = torch.from_numpy(case.x).requires_grad_()
    first, y_last = layer(x), layer(x.contiguous(memory_format=torch.channels_last))
    assert first.is_contiguous()
    assert y_last.is_contiguous(memory_format=torch.channels_last)
    assert not first.requires_grad
    assert_close(first.numpy(), case)
    assert torch.allclose(first, y_last, 1e-4, 1e-4)
    assert_close(layer(case.x[:, :, ::-1][:, :, ::-1]), case)


def test_wrong_input_is_an_error() -> None:
    case = make_case(1, 3, 4, (5, 5), (3, 3), (1, 1), (0, 0), 0.5, 3)
    layer = prepare(*case[1:])
    with pytest.raises(InvalidInput, match="is for 3 channels, x has 4"):
        layer(np.zeros((1, 4, 5, 5), np.float32))
    with pytest.raises(InvalidInput, match="3×3 kernel is larger than the padded map of 2×5"):
        layer(np.zeros((1, 3, 2, 5), np.float32))
    with pytest.raises(InvalidInput, match="float32"):
        layer(case.x.astype(float))
    with pytest.raises(UnknownName, match=r"unknown method 'bitmp'.*Did you mean 'bitmap'"):
        prepare(*case[1:], method="bitmp")
    with pytest.raises(InvalidInput, match="bitmap has no option 'trim'"):
        conv2d(*case, method="bitmap", trim=True)


def test_the_bitmap_format_has_the_blocks_of_the_engine() -> None:
    x = maps((2, 70, 5, 6), 0.3, 1)
    encoding = encode(x, 3, padding=1, method="bitmap")
    assert np.array_equal(encoding.decode(), np.where(x == 0, 0, x))
    assert encoding.masks.dtype == np.uint64
    assert encoding.nbytes == 4 * np.count_nonzero(x) + 8 * 2 * 2 * 5 * 6 + encoding.starts.nbytes
    assert encode(x[:, :16], 3, method="bitmap").masks.dtype == np.uint16


# ---- other processors

CHECK = """
import numpy as np, torch
from explore.sparseconv import conv2d
rng = np.random.default_rng(0)
for c, k, kernel, stride in ((70, 40, (3, 3), (1, 1)), (20, 17, (5, 2), (2, 1)), (3, 5, (1, 7), (1, 2))):
    x = np.where(rng.random((2, c, 9, 10)) < 0.3, rng.normal(size=(2, c, 9, 10)), 0).astype(np.float32)
    weight = rng.normal(size=(k, c, *kernel)).astype(np.float32)
    wanted = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(weight), stride=stride, padding=1).numpy()
    for method in METHODS:
        assert np.allclose(conv2d(x, weight, stride=stride, padding=1, method=method), wanted, 1e-3, 1e-3), method
print("right")
"""


def _slow(name, methods, **settings):
    """Return a case in which all kernels are compiled again."""
    return pytest.param(settings, methods, id=name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("settings", "methods"),
    [
        _slow("haswell", ["bitmap", "cpo"], NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES=""),
        _slow("any x86", ["bitmap", "cps"], NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES=""),
        pytest.param(
            {"NUMBA_DISABLE_JIT": "1"},
            ["bitmap", "auto", "cpo", "cps", "cscc", "im2col", "mec"],
            id="nothing compiled",
        ),
        _slow("workqueue", ["bitmap"], NUMBA_THREADING_LAYER="workqueue"),
    ],
)
def test_other_processors_and_settings_give_the_same(settings, methods, tmp_path) -> None:
    environment = {**os.environ, **settings, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = CHECK.replace("METHODS", repr(methods))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.strip() == "right", done.stderr[-2000:]


# ---- copies, sizes that alternate, gaps


@pytest.mark.parametrize(
    "duplicate_layer", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))]
)
def test_a_copy_has_buffers_of_its_own(duplicate_layer) -> None:
    case = make_case(1, 20, 18, (9, 9), (3, 3), (1, 1), (1, 1), 0.3, 3)
    layer = prepare(*case[1:], method="auto")
    assert_close(layer(case.x), case)
    layer(np.ones_like(case.x))  # dense, so that PyTorch's convolution is built too
    duplicate = duplicate_layer(layer)
    del layer
    assert_close(duplicate(case.x), case)


def test_sizes_that_alternate_keep_their_buffers(monkeypatch) -> None:
    weight = np.ones((4, 4, 3, 3), np.float32)
    layer = prepare(weight, padding=1, method="bitmap")
    new_keys: list[Any] = []
    new_buffers = layer._engine._new_buffers
    monkeypatch.setattr(
        layer._engine, "_new_buffers", lambda key: new_keys.append(key) or new_buffers(key)
    )
    for _ in range(5):
        for count in (1, 2, 3):
            assert (
                layer(np.ones((count, 4, 5, 5), np.float32))[:, :, 2, 2].ravel().tolist()
                == [36.0] * 4 * count
            )
    assert len(new_keys) == 3


def test_a_full_map_is_dense_even_with_gaps_between_windows() -> None:
    """A pointwise convolution of stride 2 reads every second column; only those count."""
    layer = prepare(np.ones((4, 4, 1, 1), np.float32), stride=2)
    x = np.ones((1, 9, 9, 4), np.float32)
    assert layer._engine.convolve_if_sparse(x, 0.8) is None
    x[:, :, ::2, 1:] = 0
    assert layer._engine.convolve_if_sparse(x, 0.8) is not None


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(case=large_cases(), threads=st.integers(2, 9), alone=st.integers(0, 8))
def test_one_thread_alone_does_the_shares_of_all_threads(case, threads, alone) -> None:
    """Any thread can do all shares, also if some of them are empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "MIN_SHARED_MULTIPLY_ADDS", 0)
        patch.setattr(numba, "get_num_threads", lambda: threads)
        numbered: list[int] = []

        def run(count: int, address: int, arguments: int, best_time: Any) -> None:
            numbered.append(count)
            call_compiled(np.uint64(address), np.uint64(arguments), np.uint64(alone % count))

        patch.setattr(engine, "run_cooperative", run)
        layer = prepare(*case[1:], method="bitmap")
        assert_close(layer(case.x), case)
    assert numbered == [threads]


@numba.njit
def call_compiled(address, arguments, thread):  # type: ignore[no-untyped-def]
    call_kernel(address, arguments, thread)
