"""Compiled encoders against the plain ones: the same arrays, bit for bit, in any memory order."""

from __future__ import annotations

import dataclasses
from typing import Any

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sparse_oracles import EXAMPLES, SPARSE, WAYS, Case, cases, make_case, maps

from explore._parallel import policy
from explore.errors import InvalidInput, UnknownName
from explore.sparseconv import Encoding, Geometry, encode
from explore.sparseconv._compiled import encoder_kernels
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.cscc import encode_cscc
from explore.sparseconv.formats.im2col import encode_im2col
from explore.sparseconv.formats.mec import encode_mec
from explore.sparseconv.formats.validation import as_maps

PLAIN = {
    "im2col": encode_im2col,
    "mec": encode_mec,
    "cscc": encode_cscc,
    "cpo": encode_cpo,
    "cps": encode_cps,
}


def assert_same(encoding: Encoding, expected: Encoding) -> None:
    """Check that classes and arrays are equal: names, shapes, types, bits (with NaN and signs of zeros)."""
    assert type(encoding) is type(expected)
    assert encoding.geometry == expected.geometry
    a, b = encoding.arrays(), expected.arrays()
    assert list(a) == list(b)
    for name, array in a.items():
        assert (name, array.dtype, array.shape) == (name, b[name].dtype, b[name].shape)
        assert array.tobytes() == b[name].tobytes(), name
        assert not array.flags.writeable
    pointers = getattr(encoding, "pointers", ())
    assert isinstance(pointers, type(getattr(expected, "pointers", ())))


def assert_same_as_plain(
    x: Any, sizes: dict[str, Any], method: str, options: dict[str, Any]
) -> None:
    checked = as_maps(x)
    assert_same(
        encode(x, **sizes, method=method, **options),
        PLAIN[method](checked, Geometry(checked.shape, *sizes.values()), **options),
    )


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.fixture(params=[1, 2])
def threads(request, monkeypatch) -> int:
    """Use one thread, or two that share even the smallest work."""
    monkeypatch.setattr(numba, "get_num_threads", lambda: request.param)
    monkeypatch.setattr(policy, "MIN_SHARED_STEPS", 0)
    return request.param


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_arrays_equal_those_of_the_plain_encoders(case) -> None:
    for method, options in WAYS:
        for x in (case.x, channels_last(case.x)):
            assert_same_as_plain(x, case.sizes, method, options)


@settings(max_examples=30)
@given(case=cases())
@pytest.mark.parametrize("threads", [2, 3])
def test_many_threads_write_the_same(threads, case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba, "get_num_threads", lambda: threads)
        patch.setattr(policy, "MIN_SHARED_STEPS", 0)
        for method, options in WAYS:
            for x in (case.x, channels_last(case.x)):
                assert_same_as_plain(x, case.sizes, method, options)


@pytest.mark.parametrize(("method", "options"), WAYS)
@pytest.mark.parametrize(
    "shape", [(2, 33, 17, 31), (1, 16, 16, 16), (3, 5, 4, 47), (1, 70, 9, 1), (1, 1, 1, 80)]
)
def test_full_vectors_and_remainders(shape, method, options, threads) -> None:
    x = maps(shape, 0.4, 1)
    for view in (x, channels_last(x)):
        assert_same_as_plain(
            view, {"kernel_size": (3, 3), "stride": (1, 2), "padding": (1, 1)}, method, options
        )


@pytest.mark.parametrize(("method", "options"), WAYS)
def test_views_of_any_strides(method, options, threads) -> None:
    x = make_case(2, 3, 1, (6, 7), (3, 2), (1, 2), (1, 0), 0.4, 3).x
    sizes = {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)}
    padded = np.zeros((2, 6, 6, 14), np.float32)
    padded[:, ::2, :, ::2] = x
    bytes_ = np.zeros(x.nbytes + 1, np.uint8)
    odd = bytes_[1:].view(np.float32).reshape(x.shape)
    odd[...] = x
    assert not odd.flags.aligned
    fixed = x.copy()
    fixed.flags.writeable = False
    views = (
        padded[:, ::2, :, ::2],
        x[:, :, ::-1, ::-1],
        x[::-1, ::-1],
        np.asfortranarray(x),
        odd,
        fixed,
        x.swapaxes(2, 3),
    )
    for view in (*views, torch.from_numpy(x), np.broadcast_to(x[:1, :1], x.shape)):
        assert_same_as_plain(view, sizes, method, options)


@pytest.mark.parametrize(("method", "options"), SPARSE)
def test_nan_is_stored_and_no_zero_is(method, options, threads) -> None:
    x = np.full((1, 20, 9, 18), -0.0, np.float32)
    x[0, ::3, ::2, ::5] = [np.nan, -np.nan, np.inf, -np.inf][: x[0, ::3, ::2, ::5].shape[-1]]
    x[0, 1, 1, 1:3] = 1e-45, -1e-45
    for view in (x, channels_last(x)):
        assert_same_as_plain(view, {"kernel_size": 3, "stride": 1, "padding": 1}, method, options)


@pytest.mark.parametrize("method", ["cscc", "cpo", "cps"])
@pytest.mark.parametrize("pointers", ["shared", "per-channel"])
def test_empty_channels_and_images(method, pointers, threads) -> None:
    x = np.zeros((4, 5, 6, 7), np.float32)
    options = {} if method == "cscc" else {"pointers": pointers}
    sizes = {"kernel_size": 3, "stride": 1, "padding": 0}
    assert_same_as_plain(x, sizes, method, options)
    x[2, 3, 4, 5] = x[2, 1, 0, 0] = 1
    assert_same_as_plain(x, sizes, method, options)
    assert_same_as_plain(channels_last(x), sizes, method, options)


def test_columns_that_no_window_reads_and_windows_of_padding(threads) -> None:
    gaps = maps((2, 3, 4, 23), 0.9, 0)
    left_over = np.ones((1, 2, 1, 1), np.float32)
    for method, options in WAYS:
        for view in (gaps, channels_last(gaps)):
            assert_same_as_plain(
                view, {"kernel_size": 2, "stride": 5, "padding": 0}, method, options
            )
            assert_same_as_plain(
                view, {"kernel_size": (1, 1), "stride": (7, 23), "padding": (0, 3)}, method, options
            )
        assert_same_as_plain(
            left_over, {"kernel_size": (1, 2), "stride": (1, 9), "padding": (0, 2)}, method, options
        )


@pytest.mark.parametrize(
    ("method", "options"), [*SPARSE, ("cps", {"pointers": "per-channel", "index_bytes": 4})]
)
@pytest.mark.parametrize("more", [0, 1])
def test_index_widths_at_the_limit(method, options, more, threads) -> None:
    if method == "cps":
        shape = (
            (1, 1, 4, 4096 + more)
            if options.get("pointers") == "per-channel"
            else (1, 4096 + more, 4, 1)
        )
        sizes = {"kernel_size": (1, 1), "stride": 1, "padding": 0}
    else:
        shape = (
            (1, 1, 32768 + more, 2)
            if options.get("pointers") == "per-channel"
            else (1, 32768 + more, 1, 2)
        )
        sizes = {"kernel_size": (1, 2), "stride": 1, "padding": 0}
    x = maps(shape, 0.2, more)
    x[0, -1, -1, -1] = 1
    assert_same_as_plain(x, sizes, method, options)
    encoding = encode(x, **sizes, method=method, **options)
    index = encoding.arrays()["words" if method == "cps" else "indices"]
    assert index.itemsize == (4 if more or options.get("index_bytes") == 4 else 2)
    if more:
        with pytest.raises(InvalidInput, match="does not fit in 2 bytes"):
            encode(x, **sizes, method=method, **{**options, "index_bytes": 2})


@pytest.mark.parametrize("method", ["cscc", "cpo", "cps"])
def test_indices_of_8_bytes(method) -> None:
    x = maps((1, 3, 5, 6), 0.5, 0)
    assert_same_as_plain(
        x, {"kernel_size": 3, "stride": 1, "padding": 1}, method, {"index_bytes": 8}
    )
    assert encode(x, 3, method=method, index_bytes=8).product is not None
    with pytest.raises(InvalidInput, match="index_bytes must be 2, 4, 8 or None"):
        encode(x, 3, method=method, index_bytes=3)


def test_unknown_pointers_are_an_error() -> None:
    for method in ("cpo", "cps"):
        with pytest.raises(UnknownName, match="kind of pointers"):
            encode(np.ones((3, 3), np.float32), 2, method=method, pointers="none")


# ---- nothing is written outside the arrays


class Canaries:
    """A kernel that works on copies of its output arrays, with guard zones around them."""

    def __init__(self, kernel: Any, written: tuple[int, ...]) -> None:
        self.kernel, self.written = kernel, written

    def __call__(self, *arguments: Any) -> Any:
        values, copies = list(arguments), []
        for index in self.written:
            array = values[index]
            if array.size == 0:
                continue
            memory = np.full(array.nbytes + 256, 0xA5, np.uint8)
            inner = memory[128:-128].view(array.dtype).reshape(array.shape)
            inner[...] = array
            values[index] = inner
            copies.append((memory, inner, array))
        result = self.kernel(*values)
        for memory, inner, array in copies:
            assert (memory[:128] == 0xA5).all()
            assert (memory[-128:] == 0xA5).all()
            array[...] = inner
        return result


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_kernels_write_inside_their_arrays(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, written in {
            "count_columns": (8,),
            "assign_positions": (4, 5, 6),
            "assign_window_positions": (4, 5),
            "write_entries": (9, 10, 13),
            "write_sets": (8, 9, 12),
        }.items():
            patch.setattr(encoder_kernels, name, Canaries(getattr(encoder_kernels, name), written))
        for method, options in SPARSE:
            for x in (case.x, channels_last(case.x)):
                assert_same_as_plain(x, case.sizes, method, options)


def test_an_encoding_stores_how_it_convolves() -> None:
    encoding = encode(np.ones((3, 3), np.float32), 2)
    assert encoding.product is not None
    assert dataclasses.replace(encoding, product=None).convolve(
        np.ones((1, 1, 2, 2), np.float32)
    ).tolist() == [[[[4, 4], [4, 4]]]]
