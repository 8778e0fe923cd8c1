"""Invalid maps, weights, biases, sizes and options are refused with a message that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv import Geometry, conv2d, encode
from explore.sparseconv.formats.validation import as_maps

METHODS = ("im2col", "mec", "cscc", "cpo", "cps")
X, W = np.ones((2, 3, 6, 7), np.float32), np.ones((4, 3, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.astype(np.float64), "x must be float32, got float64; convert it"),
        (X.astype(np.float16), "got float16"),
        (X.astype(np.int32), "got int32"),
        (X.astype(np.uint8), "got uint8"),
        (X.astype(bool), "got bool"),
        (X.astype(np.complex64), "got complex64"),
        (X.astype(">f4"), "got >f4"),
        (X.astype(object), "got object"),
        (X.tolist(), "got float64"),
        ("picture", "x must be float32, got <U7"),
        (None, "got object"),
        (np.float32(1), r"x must be \[N, C, H, W\], \[C, H, W\] or \[H, W\], got shape \[\]"),
        (X[0, 0, 0], r"got shape \[7\]"),
        (X[None], r"got shape \[1, 2, 3, 6, 7\]"),
        (X[:, :0], "must not be empty"),
        (X[:, :, :0], "must not be empty"),
        (X[..., :0], "must not be empty"),
        (np.ma.masked_array(X, X > 2), r"masked array; fill it first: x.filled\(0\)"),
        ([[1.0], [1.0, 2.0]], "x must be a float32 array or CPU tensor, got list"),
        (torch.ones(2, 3, 6, 7, dtype=torch.float64), "got float64"),
        (torch.ones(2, 3, 6, 7, dtype=torch.bfloat16), "got Tensor"),
        (torch.ones(2, 3, 6, 7, device="meta"), "or CPU tensor, got Tensor"),
        (torch.ones(6, 7).to_sparse(), "or CPU tensor, got Tensor"),
        (np.datetime64("2020-01-01"), "got datetime64"),
        (np.zeros(3, [("a", "f4")]), "must be float32"),
    ],
)
def test_maps(x, message) -> None:
    for method in METHODS:
        with pytest.raises(InvalidInput, match=message):
            encode(x, 3, method=method)
        with pytest.raises(InvalidInput, match=message):
            conv2d(x, W, method=method)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (W.astype(np.float64), "weight must be float32, got float64; convert it"),
        (W.astype(np.int64), "got int64"),
        (W.astype(np.complex64), "got complex64"),
        (W[0], r"weight must be \[K, C, Kh, Kw\] and not empty, got shape \[3, 3, 3\]"),
        (W[None], "got shape"),
        (W[:0], "not empty"),
        (W[..., :0], "not empty"),
        (W[:, :2], r"weight \[4, 2, 3, 3\] is for 2 channels, x has 3"),
        (W[:, :1], "grouped convolution is not supported"),
        (
            np.ones((1, 3, 7, 7), np.float32),
            "a 7×7 kernel is larger than the padded map of 6×7; pad more or take a smaller kernel",
        ),
        (np.ones((1, 3, 1, 8), np.float32), "a 1×8 kernel is larger"),
    ],
)
def test_weights(weight, message) -> None:
    for method in METHODS:
        with pytest.raises(InvalidInput, match=message):
            conv2d(X, weight, method=method)


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (np.ones(4), "bias must be float32, got float64"),
        (np.ones(3, np.float32), r"bias must be \[4\], one number a filter, got shape \[3\]"),
        (np.ones((4, 1), np.float32), r"got shape \[4, 1\]"),
        (np.float32(1), r"got shape \[\]"),
        (0, "bias must be float32, got int64"),
    ],
)
def test_biases(bias, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        conv2d(X, W, bias)
    with pytest.raises(InvalidInput, match=message):
        encode(X, 3).convolve(W, bias)


@pytest.mark.parametrize("name", ["kernel_size", "stride", "padding"])
@pytest.mark.parametrize(
    "bad",
    [-1, True, "same", None, (1,), (1, 2, 3), (1, -1), (1, 1.5), (1, True), [[1, 2]], np.nan],
)
def test_sizes(name, bad) -> None:
    sizes: dict[str, Any] = {"kernel_size": 3, name: bad}
    for method in METHODS:
        with pytest.raises(
            InvalidInput,
            match=f"{name} must be an integer ≥ {0 if name == 'padding' else 1}, or two",
        ):
            encode(X, **sizes, method=method)


@pytest.mark.parametrize("name", ["kernel_size", "stride"])
@pytest.mark.parametrize("bad", [0, (0, 1), (1, 0)])
def test_sizes_of_zero(name, bad) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be an integer ≥ 1"):
        encode(X, **{"kernel_size": 3, name: bad})


def test_maps_are_not_copied() -> None:
    for view in (X, X[0], X[0, 0], X[:, :, ::-1, ::2]):
        maps = as_maps(view)
        assert maps.ndim == 4
        assert np.shares_memory(maps, X)


def test_sizes_may_be_numpy_integers_and_lists() -> None:
    expected = encode(X, (3, 3), (2, 1), (1, 0)).geometry
    assert encode(X, np.int8(3), [2, 1], np.array([1, 0])).geometry == expected


@pytest.mark.parametrize("shape", [(1, 2, 3), (0, 1, 2, 3), (1, 1, 2.5, 3), "abcd", (), 4, None])
def test_shapes_of_a_geometry(shape) -> None:
    with pytest.raises(InvalidInput, match=r"shape must be \(N, C, H, W\)"):
        Geometry(shape, 1)


def test_kernels_of_an_encoding() -> None:
    for method in METHODS:
        encoding = encode(X, 3, method=method)
        with pytest.raises(
            InvalidInput,
            match=r"has a 3×2 kernel, x was encoded for 3×3; encode it with kernel_size=\(3, 2\)",
        ):
            encoding.convolve(W[..., :2])
        with pytest.raises(InvalidInput, match="is for 2 channels, x has 3"):
            encoding.convolve(W[:, :2])


def test_methods_and_options() -> None:
    with pytest.raises(
        UnknownName,
        match=r"unknown method 'ccsc'; known: bitmap, cpo, cps, cscc, im2col, mec\. Did you mean 'cscc'\?",
    ):
        encode(X, 3, method="ccsc")
    with pytest.raises(UnknownName, match="unknown method"):
        conv2d(X, W, method="winograd")
    with pytest.raises(UnknownName, match="unknown kind of pointers 'none'"):
        encode(X, 3, pointers="none")
    with pytest.raises(UnknownName, match="unknown kind of pointers"):
        encode(X, 3, method="cps", pointers="map")
    with pytest.raises(InvalidInput, match="mec has no option 'trim'; its options: none"):
        encode(X, 3, method="mec", trim=True)
    with pytest.raises(
        InvalidInput, match="cscc has no option 'pointers', 'trim'; its options: index_bytes"
    ):
        conv2d(X, W, method="cscc", trim=True, pointers="shared")
    with pytest.raises(InvalidInput, match="cpo has no option 'geometry'"):
        encode(X, 3, geometry=None)
