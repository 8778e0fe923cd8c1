"""Compiled products against the plain replay and torch: sizes, threads, tensors, NaN, bounds."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sparse_oracles import (
    EXAMPLES,
    SPARSE,
    WAYS,
    Case,
    assert_close,
    cases,
    make_case,
    maps,
    oracle,
)
from test_compiled_encoders import PLAIN, Canaries, channels_last
from toys import run_python

from explore._parallel import policy
from explore.errors import InvalidInput
from explore.sparseconv import Encoding, Geometry, conv2d, encode, multiply
from explore.sparseconv._compiled import blas, dense, encoder_kernels, product_kernels, products
from explore.sparseconv._compiled.dense import write_patches, write_windows
from explore.sparseconv._compiled.products import column_places, pack_weights, split_work
from explore.sparseconv._engine.simd import CACHE_LINE, LANES, aligned_empty
from explore.sparseconv.formats.entries import convolve_entries


def with_filters(case: Case, filters: int, seed: int = 0) -> Case:
    """Return the case with another number of filters."""
    random = np.random.default_rng(seed)
    weight = random.normal(size=(filters, *case.weight.shape[1:])).astype(np.float32)
    return case._replace(weight=weight, bias=random.normal(size=filters).astype(np.float32))


class Threads:
    """A number of threads, which share even the smallest work."""

    def __init__(self, threads: int) -> None:
        self.patch, self.threads = pytest.MonkeyPatch(), threads

    def __enter__(self) -> None:
        self.patch.setattr(numba, "get_num_threads", lambda: self.threads)
        self.patch.setattr(policy, "MIN_SHARED_STEPS", 0 if self.threads > 1 else 10**18)

    def __exit__(self, *_: Any) -> None:
        self.patch.undo()


@settings(max_examples=EXAMPLES)
@given(case=cases(), filters=st.integers(1, 40), threads=st.sampled_from([1, 2, 3]))
def test_products_equal_torch_and_the_replay(case, filters, threads) -> None:
    case = with_filters(case, filters)
    terms = oracle(
        Case(abs(case.x), abs(case.weight), abs(case.bias), case.stride, case.padding), double=True
    )
    with Threads(threads):
        for method, options in WAYS:
            encoding = encode(case.x, **case.sizes, method=method, **options)
            y = multiply(encoding, case.weight, case.bias)
            assert_close(y, case)
            assert y.flags.c_contiguous
            last = multiply(encoding, case.weight, case.bias, last=True)
            assert last.transpose(0, 2, 3, 1).flags.c_contiguous
            assert_close(last, case)
            if isinstance(encoding.arrays().get("values"), np.ndarray):
                plain = (
                    convolve_entries(encoding.entries(), encoding.geometry, case.weight)
                    + case.bias[:, None, None]
                )  # type: ignore[attr-defined]
                assert (abs(y - plain) <= 1e-4 * terms).all()


@settings(max_examples=30)
@given(case=cases(), filters=st.integers(1, 40))
def test_plain_encodings_are_multiplied_too_and_threads_change_no_bit(case, filters) -> None:
    case = with_filters(case, filters)
    for method, options in WAYS:
        plain = PLAIN[method](case.x, Geometry(case.x.shape, *case.sizes.values()), **options)
        assert plain.product is None
        assert_close(multiply(plain, case.weight, case.bias), case)
        assert_close(plain.convolve(case.weight, case.bias), case)
        if method in ("cscc", "cpo", "cps"):
            with Threads(1):
                single = conv2d(*case, method=method, **options)
            with Threads(2):
                assert np.array_equal(conv2d(*case, method=method, **options), single)


@pytest.mark.parametrize("filters", [1, 15, 16, 17, 32, 48, 80, 128, 272])
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_of_filters(filters, threads) -> None:
    case = with_filters(make_case(2, 7, 1, (11, 30), (3, 3), (1, 1), (1, 1), 0.3, 2), filters)
    with Threads(threads):
        for method, options in WAYS:
            assert_close(conv2d(*case, method=method, **options), case)


@pytest.mark.parametrize("tile", [1, 2_000, 10**9])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 7), (7, 1), (5, 4)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
def test_ranges_of_windows_meet(tile, kernel, stride, monkeypatch) -> None:
    monkeypatch.setattr(products, "TILE_SUMS", tile)
    case = with_filters(make_case(1, 3, 1, (12, 90), kernel, stride, (2, 3), 0.4, 5), 33)
    with Threads(3):
        for method, options in SPARSE:
            assert_close(conv2d(*case, method=method, **options), case)


def test_work_is_split_without_gaps() -> None:
    for threads in (1, 2, 8):
        with Threads(threads):
            for filters in (1, 16, 40, 64, 272):
                for shape, kernel in (((1, 3, 56, 56), 3), ((4, 3, 7, 7), 7), ((1, 1, 300, 5), 1)):
                    g = Geometry(shape, kernel)
                    block, blocks, across, ranges = split_work(g, filters, g.classes)
                    assert block % LANES == 0
                    assert 0 <= block * blocks - filters < LANES
                    assert (ranges - 1) * across < g.output[1] <= ranges * across


def test_weights_are_repacked() -> None:
    weight = np.random.default_rng(0).normal(size=(20, 3, 2, 5)).astype(np.float32)
    packed = pack_weights(weight, 16, 2)
    assert packed.ctypes.data % CACHE_LINE == 0
    repacked = (
        packed.reshape(2, 3, 2, 5, 16)[:, :, :, column_places(5, 2)]
        .transpose(0, 4, 1, 2, 3)
        .reshape(32, 3, 2, 5)
    )
    assert np.array_equal(repacked[:20], weight)
    assert not repacked[20:].any()
    assert all(
        aligned_empty(size).ctypes.data % CACHE_LINE == 0 and aligned_empty(size).size == size
        for size in range(1, 40)
    )


@pytest.mark.parametrize("width", range(1, 8))
@pytest.mark.parametrize("stride", range(1, 9))
def test_taps_of_neighbouring_windows_are_neighbours(width, stride) -> None:
    places = column_places(width, stride)
    assert sorted(places) == list(range(width))
    assert all(places[j - stride] == places[j] + 1 for j in range(stride, width))


@pytest.mark.parametrize(("method", "options"), WAYS)
@pytest.mark.parametrize("filters", [1, 16, 33])
def test_nan_and_infinities_propagate_as_in_a_dense_product(method, options, filters) -> None:
    case = with_filters(make_case(2, 5, 1, (9, 20), (3, 3), (1, 1), (1, 1), 0.3, 0), filters)
    case.x[0, 1, 2, 3], case.x[1, 2, 0, 0], case.x[1, 0, 7, 7], case.x[1, 1, 7, 6] = (
        np.nan,
        np.inf,
        -np.inf,
        np.inf,
    )
    case.weight[0, 2] = 0  # infinity times zero is NaN
    expected = oracle(case)
    for threads in (1, 2):
        with Threads(threads):
            y = conv2d(*case, method=method, **options)
        assert np.array_equal(np.isnan(y), np.isnan(expected))
        assert np.array_equal(np.isinf(y), np.isinf(expected))
        assert np.allclose(y, expected, 1e-4, 1e-4, equal_nan=True)


@pytest.mark.parametrize("method", ["cscc", "cpo", "cps"])
@pytest.mark.parametrize("more", [0, 1])
def test_wide_indices_are_read(method, more) -> None:
    case = make_case(1, 4096 + more, 3, (4, 2), (1, 2), (1, 1), (0, 0), 0.1, 0)
    assert_close(conv2d(*case, method=method), case)
    for width in (4, 8):
        assert_close(conv2d(*case, method=method, index_bytes=width), case)


def test_nothing_is_the_bias() -> None:
    bias = np.array([1, 2, 3], np.float32)
    for method, options in WAYS:
        y = conv2d(
            np.zeros((2, 4, 5, 6), np.float32),
            np.ones((3, 4, 3, 3), np.float32),
            bias,
            method=method,
            **options,
        )
        assert np.array_equal(y, np.broadcast_to(bias[:, None, None], (2, 3, 3, 4)))


def test_other_encodings_are_refused() -> None:
    encoding = encode(np.ones((3, 3), np.float32), 2)
    with pytest.raises(InvalidInput, match="is for 2 channels, x has 1"):
        multiply(encoding, np.ones((1, 2, 2, 2), np.float32))
    with pytest.raises(InvalidInput, match=r"bias must be \[1\]"):
        multiply(encoding, np.ones((1, 1, 2, 2), np.float32), np.ones(2, np.float32))

    @dataclasses.dataclass(frozen=True, eq=False)
    class Other(Encoding):
        def arrays(self) -> dict[str, np.ndarray]:
            return {}

        elements = 0  # type: ignore[assignment]

        def decode(self) -> np.ndarray:
            raise NotImplementedError

        def _product(self, weight: np.ndarray) -> np.ndarray:
            raise NotImplementedError

    with pytest.raises(InvalidInput, match="got Other"):
        multiply(Other(encoding.geometry), np.ones((1, 1, 2, 2), np.float32))


# ---- tensors


@pytest.mark.parametrize(("method", "options"), WAYS)
def test_tensors_come_back_in_their_memory_format(method, options) -> None:
    case = with_filters(make_case(2, 6, 1, (7, 8), (3, 3), (1, 1), (1, 1), 0.4, 1), 5)
    x = torch.from_numpy(case.x)
    rest = (*map(torch.from_numpy, (case.weight, case.bias)), case.stride, case.padding, method)
    expected = conv2d(*case, method=method, **options)
    assert isinstance(expected, np.ndarray)
    first, last = (
        conv2d(x, *rest, **options),
        conv2d(x.contiguous(memory_format=torch.channels_last), *rest, **options),
    )
    assert first.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert not last.is_contiguous()
    for y in (first, last):
        assert isinstance(y, torch.Tensor)
        assert y.dtype == torch.float32
        assert np.allclose(y.numpy(), expected, 1e-4, 1e-5)
    assert isinstance(conv2d(case.x, *rest, **options), np.ndarray)
    view = conv2d(channels_last(case.x), *rest, **options)
    assert view.transpose(0, 2, 3, 1).flags.c_contiguous


def test_tensors_that_want_a_gradient_are_detached() -> None:
    x = torch.ones(1, 1, 3, 3, requires_grad=True)
    weight = torch.nn.Parameter(torch.ones(1, 1, 2, 2))
    for y in (conv2d(x, weight), conv2d(x * 2, weight)):
        assert not y.requires_grad
        assert y.grad_fn is None
        y += 1  # and may be written to


def test_tensors_elsewhere_are_refused() -> None:
    class Elsewhere:
        is_cuda, device = True, "cuda:0"

    with pytest.raises(
        InvalidInput, match=r"x is on cuda:0; these functions run on the CPU: x.cpu\(\)"
    ):
        conv2d(Elsewhere(), np.ones((1, 1, 1, 1), np.float32))
    with pytest.raises(InvalidInput, match=r"weight is on cuda:0"):
        conv2d(np.ones((1, 1), np.float32), Elsewhere())
    with pytest.raises(InvalidInput, match="x must be a float32 array or CPU tensor"):
        conv2d(torch.ones(1, 1, device="meta"), np.ones((1, 1, 1, 1), np.float32))


def test_arrays_are_convolved_without_torch_and_pictures_encode_without_numba() -> None:
    code = """
import sys
sys.modules["torch"] = None
import numpy as np
from explore.sparseconv import Geometry
from explore.sparseconv.formats.cpo import encode_cpo
x = np.ones((1, 1, 3, 3), np.float32)
assert encode_cpo(x, Geometry(x.shape, 2)).convolve(np.ones((1, 1, 2, 2), np.float32)).tolist() == [[[[4, 4], [4, 4]]]]
assert "numba" not in sys.modules
from explore.sparseconv import conv2d
sparse = np.eye(3, dtype=np.float32)
print(conv2d(sparse, np.ones((1, 1, 3, 3), np.float32)).tolist())
print(conv2d(x, np.ones((1, 1, 3, 3), np.float32), method="im2col").tolist())
"""
    assert run_python(code).split() == ["[[[[3.0]]]]", "[[[[9.0]]]]"]


def test_the_automatic_method_is_the_same_whether_or_not_torch_was_imported() -> None:
    code = """
import sys
{first}
import numpy as np
from explore.sparseconv import conv2d
rng = np.random.default_rng(0)
weight = rng.normal(size=(5, 3, 3, 3)).astype(np.float32)
dense = rng.normal(size=(1, 3, 9, 9)).astype(np.float32)
sparse = np.where(dense > 1, dense, 0)
print(conv2d(sparse, weight).tobytes().hex(), "torch" in sys.modules)
print(conv2d(dense, weight).tobytes().hex(), "torch" in sys.modules)
"""
    without, with_torch = (run_python(code.format(first=first)) for first in ("", "import torch"))
    lines = [text.splitlines() for text in (without, with_torch)]
    assert [line.split()[1] for line in lines[0]] == ["False", "True"]
    assert [line.split()[0] for line in lines[0]] == [line.split()[0] for line in lines[1]]


# ---- threads, and bounds


def test_blas_gets_its_threads_back() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in blas._controller().info()]

    before, case = threads(), make_case(2, 5, 7, (20, 20), (3, 3), (1, 1), (1, 1), 0.5, 0)
    with blas.single_threaded_blas(), blas.single_threaded_blas():
        assert set(threads()) <= {1}
    assert threads() == before
    with pytest.raises(ZeroDivisionError), blas.single_threaded_blas():
        raise ZeroDivisionError
    assert threads() == before
    errors: list[Any] = []

    def work() -> None:
        try:
            for method, options in WAYS:
                assert_close(conv2d(*case, method=method, **options), case)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    assert threads() == before


@settings(max_examples=EXAMPLES)
@given(case=cases(), filters=st.integers(1, 40), ranges=st.integers(1, 3))
def test_products_write_inside_their_outputs(case, filters, ranges) -> None:
    case = with_filters(case, filters)
    with Threads(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "kernel_threads", lambda: ranges)
        for name in ("repack", "add_entries", "add_sets"):
            patch.setattr(product_kernels, name, Canaries(getattr(product_kernels, name), (-1,)))
        patch.setattr(
            product_kernels, "count_buckets", Canaries(product_kernels.count_buckets, (-2, -1))
        )
        patch.setattr(
            product_kernels,
            "count_bucket_values",
            Canaries(product_kernels.count_bucket_values, (-1,)),
        )
        for kernel in (write_patches, write_windows):
            patch.setattr(dense, kernel.__name__, Canaries(kernel, (-1,)))
        for method, options in WAYS:
            assert_close(conv2d(*case, method=method, **options), case)


@settings(max_examples=EXAMPLES // 5)
@given(case=cases(), filters=st.sampled_from([1, 17, 40]), ranges=st.integers(1, 3))
def test_vectors_stay_inside_tiles_weights_and_maps(case, filters, ranges) -> None:
    """The kernels run as plain Python, with vector instructions that check their addresses."""

    def add_product(
        out: np.ndarray, start: int, factor: float, weight: np.ndarray, position: int
    ) -> None:
        assert out[start : start + LANES].size == weight[position : position + LANES].size == LANES
        assert (out.ctypes.data // 4 + start) % LANES == position % LANES == 0
        out[start : start + LANES] += factor * weight[position : position + LANES]

    def load_nonzero_bits(flat: np.ndarray, start: int) -> np.uint32:
        assert flat[start : start + LANES].size == LANES
        return np.uint32(sum(1 << b for b in range(LANES) if flat[int(start) + b] != 0))

    def lowest_bit(bits: int) -> np.uint64:
        assert bits
        return np.uint64((int(bits) & -int(bits)).bit_length() - 1)

    case = with_filters(case._replace(x=case.x[:1, :2], weight=case.weight[:, :2]), filters)
    with Threads(1), pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(products, "kernel_threads", lambda: ranges)
        for module, names in {
            encoder_kernels: ("_bits", "write_entries", "write_sets"),
            product_kernels: ("_add_value", "_write_tile", "add_entries", "add_sets"),
        }.items():
            for name in names:
                patch.setattr(module, name, getattr(module, name).py_func)
            patch.setattr(module, "lowest_bit", lowest_bit)
        patch.setattr(encoder_kernels, "load_nonzero_bits", load_nonzero_bits)
        patch.setattr(product_kernels, "add_product", add_product)
        for method, options in (
            ("cscc", {}),
            ("cpo", {}),
            ("cps", {"pointers": "per-channel"}),
            ("cps", {"trim": True}),
        ):
            assert_close(conv2d(*case, method=method, **options), case)


def test_maps_of_a_large_batch() -> None:
    case = with_filters(
        Case(
            maps((9, 4, 8, 8), 0.5, 0),
            np.ones((1, 4, 3, 3), np.float32),
            np.ones(1),
            (1, 1),
            (1, 1),
        ),
        20,
    )
    for method, options in WAYS:
        assert_close(conv2d(*case, method=method, **options), case)
