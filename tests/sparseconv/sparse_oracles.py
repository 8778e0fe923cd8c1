"""Helpers for tests of sparse convolution: a worked example, plain loops, cases, and torch."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

EXAMPLES = int(os.environ.get("EXPLORE_EXAMPLES", "150"))
"""Number of random cases of a property."""

M = np.array([[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]], np.float32)
KERNEL = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
OUTPUT = [[32, 104, 144], [16, 53, 154]]

WAYS: list[tuple[str, dict[str, Any]]] = [
    ("im2col", {}),
    ("mec", {}),
    ("cscc", {}),
    ("cscc", {"index_bytes": 4}),
    ("cpo", {}),
    ("cpo", {"trim": True}),
    ("cpo", {"pointers": "per-channel"}),
    ("cpo", {"pointers": "per-channel", "trim": True, "index_bytes": 4}),
    ("cps", {}),
    ("cps", {"trim": True, "index_bytes": 4}),
    ("cps", {"pointers": "per-channel"}),
]
"""Every published format with its options."""

EVERY = [*WAYS, ("bitmap", {})]

SPARSE = [way for way in WAYS if way[0] not in ("im2col", "mec")]


class Case(NamedTuple):
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def kernel(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def sizes(self) -> dict[str, Any]:
        return {"kernel_size": self.kernel, "stride": self.stride, "padding": self.padding}


def maps(shape: tuple[int, ...], density: float, seed: int) -> np.ndarray:
    """Return maps with a share of normal values; half of the other cells are −0.0."""
    random = np.random.default_rng(seed)
    x = random.normal(size=shape)
    empty = np.where(random.random(shape) < 0.5, 0.0, -0.0)
    return np.where(random.random(shape) < density, x, empty).astype(np.float32)


def make_case(
    n: int,
    c: int,
    k: int,
    size: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    density: float,
    seed: int,
) -> Case:
    random = np.random.default_rng(seed + 1)
    weight = random.normal(size=(k, c, *kernel)).astype(np.float32)
    return Case(
        maps((n, c, *size), density, seed),
        weight,
        random.normal(size=k).astype(np.float32),
        stride,
        padding,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Generate cases: kernels up to 7×7, strides 1 to 3, padding 0 to 3, densities 0 to 1."""
    kernel, stride, padding, size = [], [], [], []
    for _ in range(2):
        kernel.append(draw(st.integers(1, 7)))
        stride.append(draw(st.integers(1, 3)))
        padding.append(draw(st.integers(0, 3)))
        least = max(1, kernel[-1] - 2 * padding[-1])
        size.append(draw(st.integers(least, least + 9)))
    n, c, k = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    density = draw(st.sampled_from([0.0, 0.03, 0.1, 0.3, 0.6, 1.0]))
    case = make_case(
        n, c, k, size, kernel, tuple(stride), tuple(padding), density, draw(st.integers(0, 10**6))
    )
    case.x[:, draw(st.lists(st.integers(0, c - 1), max_size=2))] = 0  # empty channels
    return case


def oracle(case: Case, double: bool = False) -> np.ndarray:
    x, weight, bias = (torch.from_numpy(np.ascontiguousarray(a)) for a in case[:3])
    if double:
        x, weight, bias = x.double(), weight.double(), bias.double()
    return torch.nn.functional.conv2d(x, weight, bias, case.stride, case.padding).numpy()


def assert_close(actual: np.ndarray, case: Case) -> None:
    """Assert an error below 1e-4 of the sum of absolute terms of each output."""
    expected = oracle(case)
    terms = oracle(
        Case(abs(case.x), abs(case.weight), abs(case.bias), case.stride, case.padding), double=True
    )
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    assert (abs(actual - expected) <= 1e-4 * terms).all()


def assert_same_products(actual: np.ndarray, case: Case, method: str, expected: np.ndarray) -> None:
    """The same bits from our own kernels, which sum in one order whatever the layout; a BLAS chooses its order by the layout."""
    if method in ("im2col", "mec", "torch"):
        assert_close(np.asarray(actual), case)
    else:
        assert np.array_equal(actual, expected)


# ---- networks


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return normal values of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def net(*layers: nn.Module) -> nn.Sequential:
    """Return a network with normal weights, in evaluation mode."""
    network = nn.Sequential(*layers).eval()
    for index, parameter in enumerate(network.parameters()):
        parameter.data = noise(*parameter.shape, seed=index)
    return network


# ---- brute force


class Sizes(NamedTuple):
    """Sizes of a padded map and its windows, and the windows that read each column."""

    height: int
    width: int
    oh: int
    ow: int
    readers: list[list[int]]


def brute_sizes(case: Case) -> Sizes:
    (kh, kw), (sh, sw), (ph, pw) = case.kernel, case.stride, case.padding
    height, width = case.x.shape[2] + 2 * ph, case.x.shape[3] + 2 * pw
    oh = sum(1 for y in range(0, height, sh) if y + kh <= height)
    ow = sum(1 for s in range(0, width, sw) if s + kw <= width)
    readers = [[s for s in range(ow) if s * sw <= j < s * sw + kw] for j in range(width)]
    return Sizes(height, width, oh, ow, readers)


def stored_positions(case: Case) -> list[tuple[int, int, int, int]]:
    """Image, channel, padded row and padded column of every value that is not zero and that a window reads."""
    readers = brute_sizes(case).readers
    ph, pw = case.padding
    return [
        (n, c, i + ph, j + pw)
        for n, c, i, j in np.argwhere(case.x != 0).tolist()
        if readers[j + pw]
    ]


def readable_maps(case: Case) -> np.ndarray:
    """Return the maps with zeros in columns that no window reads."""
    readers, pw = brute_sizes(case).readers, case.padding[1]
    x = case.x + 0.0
    x[..., [j for j in range(x.shape[3]) if not readers[j + pw]]] = 0
    return x


def literal_cpo(case: Case) -> tuple[list[float], list[int], list[list[int]]]:
    """Return DA, IN and Ptr of one map, by the loops that define them."""
    sizes, (_, kw), sw, (ph, pw) = brute_sizes(case), case.kernel, case.stride[1], case.padding
    padded = np.pad(case.x[0, 0], ((ph, ph), (pw, pw)))
    values, indices, pointers = [], [], []
    for t in range(-(-kw // sw)):
        row = [0]
        for s in range(sizes.ow):
            count = row[-1]
            for j, readers in enumerate(sizes.readers):
                if len(readers) == t + 1 and readers[0] == s:
                    for i in range(sizes.height):
                        if padded[i, j] != 0:
                            values.append(float(padded[i, j]))
                            indices.append(i * kw + j - s * sw)
                            count += 1
            row.append(count)
        pointers.append(row)
    return values, indices, pointers


def literal_convolution(values: Any, indices: Any, pointers: Any, case: Case) -> np.ndarray:
    """Convolve one map with one filter by the loop over DA, IN and Ptr."""
    sizes, (kh, kw), (sh, sw) = brute_sizes(case), case.kernel, case.stride
    out, base = np.zeros((sizes.oh, sizes.ow)), 0
    for t, row in enumerate(pointers):
        for s in range(sizes.ow):
            for entry in range(base + row[s], base + row[s + 1]):
                i, local = divmod(indices[entry], kw)
                for line in range(kh):
                    if i >= line and (i - line) % sh == 0 and (i - line) // sh < sizes.oh:
                        for u in range(t + 1):
                            out[(i - line) // sh, s + u] += (
                                values[entry] * case.weight[0, 0, line, local - u * sw]
                            )
        base += row[-1]
    return out
