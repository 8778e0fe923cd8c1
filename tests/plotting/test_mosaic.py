"""Mosaics against tiles arranged by hand, and the quarter of a map with the most weight."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from explore.errors import InvalidInput
from explore.plotting.mosaic import grid_shape, mosaic, tile_box, where


def test_two_by_two_by_hand() -> None:
    tiles = np.arange(3 * 2 * 1, dtype=np.uint8).reshape(3, 2, 1)
    expected = [[0, 255, 2], [1, 255, 3], [255, 255, 255], [4, 255, 255], [5, 255, 255]]
    assert mosaic(tiles, columns=2).tolist() == expected


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), st.integers(0, 2), st.booleans())
def test_every_tile_is_at_its_box(
    count: int, height: int, width: int, gap: int, colour: bool
) -> None:
    tiles = np.random.default_rng(0).random((count, height, width, *((3,) if colour else ())))
    sheet = mosaic(tiles, gap=gap)
    for index in range(count):
        left, top, right, bottom = (
            round(edge + 0.5) for edge in tile_box(index, count, height, width, gap)
        )
        assert np.array_equal(sheet[top:bottom, left:right], tiles[index])


@given(st.integers(1, 200))
def test_a_grid_holds_all_tiles_and_no_empty_row(count: int) -> None:
    rows, columns = grid_shape(count)
    assert (rows - 1) * columns < count <= rows * columns


@pytest.mark.parametrize("shape", [(0, 2, 2), (2, 2), (2, 2, 2, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="tiles must be"):
        mosaic(np.zeros(shape))


def test_gaps_of_float_maps_are_missing_values() -> None:
    assert np.isnan(mosaic(np.zeros((2, 2, 2)))[:, 2]).all()


@pytest.mark.parametrize(
    ("row", "column", "name"),
    [(0, 0, "upper left"), (0, 4, "upper right"), (4, 0, "lower left"), (4, 4, "lower right")],
)
def test_a_hot_pixel_names_its_quarter(row: int, column: int, name: str) -> None:
    weights = np.zeros((5, 5))
    weights[row, column] = 2
    assert where(weights) == (name, 1.0)


def test_the_middle_of_an_odd_map_belongs_to_all_quarters() -> None:
    weights = np.zeros((3, 3))
    weights[1, 1] = 1
    assert where(weights)[1] == 0.25


def test_the_share_of_an_empty_map_is_zero() -> None:
    assert where(np.zeros((4, 4)))[1] == 0
