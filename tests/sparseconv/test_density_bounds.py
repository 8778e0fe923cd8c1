"""Density bounds: sizes cross at the bound, and the bounds of usual layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv import Geometry, density_bound, encode


def maps_with_values(g: Geometry, count: int) -> np.ndarray:
    """Return maps with ``count`` values, all in columns that windows read."""
    x = np.zeros(g.shape, np.float32)
    _, c, h, _ = g.shape
    positions = np.arange(count)
    x[
        0,
        positions // len(g.order) % c,
        positions // len(g.order) // c % h,
        g.order[positions % len(g.order)] - g.padding[1],
    ] = 1
    assert np.count_nonzero(x) == count
    return x


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(4, 9), st.integers(4, 9)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    versus=st.sampled_from(["im2col", "mec", "map"]),
)
def test_a_bound_is_where_sizes_cross(shape, kernel, stride, padding, versus) -> None:
    g = Geometry((1, *shape), kernel, stride, padding)
    cells = shape[0] * g.padded[0] * g.padded[1]
    capacity = shape[0] * shape[1] * len(g.order)
    bound = density_bound(g, versus)
    below = math.ceil(round(bound * cells, 6)) - 1  # the largest count under the bound
    for count, smaller in ((below, True), (below + 1, False)):
        if 0 <= count <= capacity:
            ratio = encode(maps_with_values(g, count), kernel, stride, padding).compression_ratio(
                versus, "elements"
            )
            assert (ratio > 1) == smaller
    if below > capacity:  # always smaller
        assert (
            encode(maps_with_values(g, capacity), kernel, stride, padding).compression_ratio(
                versus, "elements"
            )
            > 1
        )
    if bound <= 0:  # never
        assert (
            encode(maps_with_values(g, 0), kernel, stride, padding).compression_ratio(
                versus, "elements"
            )
            <= 1
        )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (1, 1), (2, 3), (5, 2)])
def test_against_cscc(seed, kernel, stride) -> None:
    random = np.random.default_rng(seed)
    x = (random.random((1, 3, 9, 11)) < random.random() ** 3).astype(np.float32)
    g = Geometry(x.shape, kernel, stride, 1)
    cpo, cscc, mec = (
        encode(x, kernel, stride, 1, method=method) for method in ("cpo", "cscc", "mec")
    )
    lowered = np.count_nonzero(mec.lowered) / mec.lowered.size
    density = len(cpo.values) / (3 * g.padded[0] * g.padded[1])
    assert (density < density_bound(g, "cscc", lowered) - 1e-12) == (cpo.elements < cscc.elements)


def test_usual_layers() -> None:
    for size in (14, 56, 112):
        stride_1, stride_2 = (
            density_bound(Geometry((1, 64, size, size), 3, stride, 1)) for stride in (1, 2)
        )
        assert 1.3 < stride_1 < 1.5  # always smaller than MEC
        assert 0.65 < stride_2 < 0.75
        assert abs(density_bound(Geometry((1, 64, size, size), 1)) - 0.5) < 0.01
    layer = Geometry((1, 64, 56, 56), 3, padding=1)
    assert abs(density_bound(layer, "map") - 0.5) < 0.05
    assert abs(density_bound(layer, "im2col") - 4.5) < 0.4


def test_narrow_indices_scale_a_bound() -> None:
    layer = Geometry((1, 64, 56, 56), 3, padding=1)
    for versus in ("im2col", "mec", "map"):
        assert math.isclose(
            density_bound(layer, versus, index_bytes=2), density_bound(layer, versus) * 4 / 3
        )
        assert density_bound(layer, versus, pointer_bytes=2) > density_bound(layer, versus)


def test_a_batch_changes_nothing() -> None:
    single, many = (Geometry((n, 3, 8, 8), 3) for n in (1, 7))
    for versus in ("im2col", "mec", "map"):
        assert density_bound(single, versus) == density_bound(many, versus)
    assert density_bound(single, "cscc", 0.2) == density_bound(many, "cscc", 0.2)


def test_invalid_arguments_are_refused() -> None:
    g = Geometry((1, 1, 8, 8), 3)
    with pytest.raises(UnknownName, match="unknown versus"):
        density_bound(g, "cps")
    for arguments in ({"versus": "cscc"}, {"versus": "mec", "lowered_density": 0.5}):
        with pytest.raises(InvalidInput, match="lowered_density is for versus='cscc'"):
            density_bound(g, **arguments)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(InvalidInput, match="lowered_density must be a number of at least 0"):
            density_bound(g, "cscc", bad)
    for name in ("index_bytes", "pointer_bytes"):
        for bad in (0, 1.5, True, "4"):
            with pytest.raises(InvalidInput, match=f"{name} must be a whole number of at least 1"):
                density_bound(g, **{name: bad})
