"""Maps of recordings: levels, largest values, shuffled values, reading windows and CPS sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sparse_oracles import EXAMPLES, Case, brute_sizes, cases

from explore.sparseconv import encode
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import (
    count_reading_windows,
    count_set_values,
    keep_largest,
    quantise_maps,
    read_levels,
    set_sizes,
    shuffle_values,
)

FEW = settings(max_examples=max(25, EXAMPLES // 4))
ODD = [0.0, -0.0, 1.0, -3.0, 1e-45, 1e-30, 3e38, -3e38, np.inf, -np.inf, np.nan, 0.5, 7.0]


@FEW
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), max_size=4),
    st.integers(0, 10**6),
)
def test_levels_give_position_and_magnitude(shapes: list[tuple[int, int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    maps = [np.array(random.choice(ODD, shape), np.float32) for shape in shapes]
    recorded, begin = quantise_maps(maps)
    assert recorded.dtype == np.uint8
    assert len(recorded) == sum(m.size for m in maps)
    assert len(begin) == len(maps)
    for channel_map, offset in zip(maps, begin, strict=True):
        back = read_levels(recorded, offset, channel_map.shape)
        assert back.shape == channel_map.shape
        finite = [abs(float(v)) for v in channel_map.ravel() if np.isfinite(v)]
        most = max(finite, default=0.0) or 1.0
        for value, level in zip(channel_map.ravel().tolist(), back.ravel().tolist(), strict=True):
            if value == 0:
                assert level == 0
            elif not np.isfinite(value):
                assert level == 255
            else:
                assert 1 <= level <= 255
                assert -0.001 <= level - 255 * abs(value) / most <= 1.001  # rounded up


def test_levels_increase_with_the_magnitude() -> None:
    values = np.linspace(0, 1, 999, dtype=np.float32)
    recorded, _ = quantise_maps([values[None, None]])
    assert (np.diff(recorded.astype(int)) >= 0).all()
    assert set(recorded.tolist()) == set(range(256))


def test_an_empty_list_has_no_levels() -> None:
    recorded, begin = quantise_maps([])
    assert (recorded.size, begin) == (0, [])


MAPS = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))


@FEW
@given(MAPS, st.sampled_from([0.0, 0.02, 0.3, 0.5, 1.0]))
def test_the_largest_values_are_kept(shape: tuple[int, int, int, int], share: float) -> None:
    maps = np.random.default_rng(shape[3]).integers(0, 6, shape[:3]).astype(np.uint8)
    largest = keep_largest(maps, share)
    assert (largest.dtype, largest.shape) == (maps.dtype, maps.shape)
    assert np.count_nonzero(largest) == round(share * np.count_nonzero(maps))
    assert np.isin(largest[largest != 0], maps).all()
    assert (largest[largest != 0] == maps[largest != 0]).all()
    remaining, removed = largest[largest != 0], maps[(largest == 0) & (maps != 0)]
    if remaining.size and removed.size:
        assert remaining.min() >= removed.max()
        tied = np.flatnonzero(maps.ravel() == remaining.min())  # of equal ones the first
        assert (np.diff((largest.ravel()[tied] != 0).astype(int)) <= 0).all()


def test_the_largest_values_below_one_are_kept() -> None:
    assert keep_largest(np.array([[[0.2, 0.9, 0.0, 0.4]]]), 2 / 3).tolist() == [
        [[0.0, 0.9, 0.0, 0.4]]
    ]


@FEW
@given(MAPS)
def test_shuffling_keeps_the_values_of_each_channel(shape: tuple[int, int, int, int]) -> None:
    maps = np.random.default_rng(shape[3]).integers(0, 9, shape[:3])
    before = maps.copy()
    mixed = shuffle_values(maps)
    assert np.array_equal(maps, before)
    for original, shuffled in zip(maps, mixed, strict=True):
        assert sorted(original.ravel()) == sorted(shuffled.ravel())
    assert np.array_equal(mixed, shuffle_values(maps))


def test_shuffling_is_two_dimensional_and_different_in_each_channel() -> None:
    maps = np.stack([np.arange(64).reshape(8, 8)] * 2)
    first, second = shuffle_values(maps)
    assert (first != maps[0]).mean() > 0.8
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, shuffle_values(maps, seed=1)[0])
    assert len(set(first[0] // 8)) > 2  # values of many rows came into the first


def count_by_loops(case: Case) -> np.ndarray:
    """Count the windows that read each value of the first map, by loops."""
    sizes, (ph, pw) = brute_sizes(case), case.padding
    counts = np.full((sizes.height, sizes.width), -1)
    for i in range(case.x.shape[2]):
        for j in range(case.x.shape[3]):
            times = len(sizes.readers[j + pw])
            counts[i + ph, j + pw] = 0 if case.x[0, 0, i, j] == 0 else times or -2
    return counts


@FEW
@given(cases())
def test_reading_windows_equal_loops(case: Case) -> None:
    geometry = Geometry(case.x.shape, *case.sizes.values())
    assert np.array_equal(count_reading_windows(case.x[0, 0], geometry), count_by_loops(case))


@FEW
@given(cases())
def test_sets_are_the_words_of_cps(case: Case) -> None:
    x = case.x[:1]
    geometry = Geometry(x.shape, *case.sizes.values())
    counts = count_set_values(x[0], geometry)
    encoding: Any = encode(x, **case.sizes, method="cps")
    assert np.count_nonzero(counts) == len(encoding.words)
    assert counts.sum() == len(encoding.values)
    masks = sorted(int(word & 15).bit_count() for word in encoding.words)
    assert sorted(counts[counts > 0].tolist()) == masks


@FEW
@given(cases())
def test_set_sizes_equal_loops(case: Case) -> None:
    geometry = Geometry(case.x[:1].shape, *case.sizes.values())
    actual, sizes, (ph, pw) = set_sizes(case.x[0], geometry), brute_sizes(case), case.padding
    assert actual.shape == case.x.shape[1:]
    for c, i, j in np.ndindex(actual.shape):
        first = (i + ph) // 4 * 4 - ph
        rows = list(range(max(0, first), min(first + 4, actual.shape[1])))
        stored = case.x[0, c, i, j] != 0 and sizes.readers[j + pw]
        assert actual[c, i, j] == (np.count_nonzero(case.x[0, c, rows, j]) if stored else 0)


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_sets_begin_in_the_padding(padding: int) -> None:
    x = np.zeros((1, 6, 1), np.uint8)
    x[0, :, 0] = 1
    counts = count_set_values(x, Geometry((1, 1, 6, 1), (1, 1), 1, (padding, 0)))
    assert counts[0, :, 0].tolist() == {0: [4, 2], 1: [3, 3], 3: [1, 4, 1]}[padding]
