"""Mosaics of many small pictures in one array, and the quarter of a map with the most weight."""

from __future__ import annotations

import numpy as np

from explore.core.array_validation import as_array, check_array
from explore.core.validation import check_number, check_whole_number
from explore.errors import InvalidInput


def grid_shape(count: int, columns: int | None = None) -> tuple[int, int]:
    """Return rows and columns for ``count`` tiles: up to two rows for 20 tiles, about square above.

    Example:
        >>> grid_shape(10), grid_shape(3), grid_shape(100)
        ((2, 5), (1, 3), (10, 10))
    """
    if columns is None:
        columns = (
            count if count <= 4 else -(-count // 2) if count <= 20 else int(np.ceil(np.sqrt(count)))
        )
    return -(-count // columns), columns


MAX_COLUMNS, MAX_GAP = 10_000, 1_000
"""More would take memory without being of use on a screen."""


def mosaic(
    tiles: np.ndarray, columns: int | None = None, gap: int = 1, fill: float | None = None
) -> np.ndarray:
    """Arrange tiles ``[N, H, W]`` or ``[N, H, W, 3]`` in rows, with gaps between them.

    Args:
        tiles: of any dtype, at least one.
        columns: tiles in a row; see ``grid_shape``.
        gap: pixels between tiles.
        fill: the value of gaps and empty places; if left out, white for uint8, NaN for floats,
            and 0 for other integers.

    Raises:
        InvalidInput: another shape, or no tiles.

    Example:
        >>> mosaic(np.zeros((10, 8, 8), np.uint8)).shape
        (17, 44)
    """
    tiles = as_array("tiles", tiles)
    is_coloured = tiles.ndim == 4 and tiles.shape[3] in (3, 4)
    if not (tiles.ndim == 3 or is_coloured) or not tiles.size:
        raise InvalidInput(
            f"tiles must be [N, H, W] or [N, H, W, 3] with N ≥ 1, got {list(tiles.shape)}"
        )
    if columns is not None:
        columns = check_whole_number("columns", columns, at_least=1, at_most=MAX_COLUMNS)
    gap = check_whole_number("gap", gap, at_least=0, at_most=MAX_GAP)
    if fill is None:
        fill = 255 if tiles.dtype == np.uint8 else np.nan if tiles.dtype.kind == "f" else 0
    else:
        fill = check_number("fill", fill)
    rows, columns = grid_shape(len(tiles), columns)
    height, width = tiles.shape[1:3]
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[3:])
    sheet = np.full(shape, fill, tiles.dtype)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def tile_box(
    index: int, count: int, height: int, width: int, gap: int = 1, columns: int | None = None
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a tile in the pixel coordinates of ``imshow``."""
    row, column = divmod(index, grid_shape(count, columns)[1])
    left, top = column * (width + gap) - 0.5, row * (height + gap) - 0.5
    return left, top, left + width, top + height


def where(weights: np.ndarray) -> tuple[str, float]:
    """Return the quarter of a map ``[H, W]`` that has the most weight, and its share of the weight.

    Places of NaN have no weight.

    Example:
        >>> where(np.array([[3.0, 1.0], [0.0, 0.0]]))
        ('upper left', 0.75)
    """
    weights = np.nan_to_num(check_array("weights", weights, ("H", "W"), finite=False))
    height, width = weights.shape
    # One half of a middle row or column counts for each side.
    rows = np.clip(height / 2 - np.arange(height), 0, 1)
    columns = np.clip(width / 2 - np.arange(width), 0, 1)
    total = weights.sum() or 1.0
    shares = {
        f"{vertical} {horizontal}": float(row_parts @ weights @ column_parts / total)
        for vertical, row_parts in (("upper", rows), ("lower", 1 - rows))
        for horizontal, column_parts in (("left", columns), ("right", 1 - columns))
    }
    quarter = max(shares, key=lambda key: shares[key])
    return quarter, shares[quarter]
