"""Many small pictures as one array, and where in a map its weight lies."""

from __future__ import annotations

import numpy as np

from explore.errors import InvalidInput


def grid_shape(count: int, columns: int | None = None) -> tuple[int, int]:
    """Rows and columns of a mosaic of ``count`` tiles: two rows up to 20 tiles, about square above.

    Example:
        >>> grid_shape(10), grid_shape(3), grid_shape(100)
        ((2, 5), (1, 3), (10, 10))
    """
    if columns is None:
        columns = (
            count if count <= 4 else -(-count // 2) if count <= 20 else int(np.ceil(np.sqrt(count)))
        )
    return -(-count // columns), columns


def mosaic(
    tiles: np.ndarray, columns: int | None = None, gap: int = 1, fill: float | None = None
) -> np.ndarray:
    """Lay tiles ``[N, H, W]`` or ``[N, H, W, 3]`` out in rows, with a gap between them.

    Args:
        tiles: of any dtype, at least one.
        columns: tiles a row; see ``grid_shape``.
        gap: pixels between tiles.
        fill: value of gaps and of empty places; white for uint8, NaN for floats if left out.

    Raises:
        InvalidInput: not of that shape, or no tiles.

    Example:
        >>> mosaic(np.zeros((10, 8, 8), np.uint8)).shape
        (17, 44)
    """
    tiles = np.asarray(tiles)
    if tiles.ndim not in (3, 4) or not len(tiles):
        raise InvalidInput(f"tiles must be [N, H, W] or [N, H, W, 3] with N ≥ 1, got {tiles.shape}")
    if fill is None:
        fill = 255 if tiles.dtype == np.uint8 else np.nan
    rows, columns = grid_shape(len(tiles), columns)
    height, width = tiles.shape[1:3]
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[3:]),
        fill,
        tiles.dtype,
    )
    for index, tile in enumerate(tiles):
        y, x = divmod(index, columns)
        sheet[
            y * (height + gap) : y * (height + gap) + height,
            x * (width + gap) : x * (width + gap) + width,
        ] = tile
    return sheet


def tile_box(
    index: int, count: int, height: int, width: int, gap: int = 1, columns: int | None = None
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a tile in the pixel coordinates of its mosaic (edges, as ``imshow`` draws them)."""
    y, x = divmod(index, grid_shape(count, columns)[1])
    left, top = x * (width + gap) - 0.5, y * (height + gap) - 0.5
    return left, top, left + width, top + height


def where(weights: np.ndarray) -> tuple[str, float]:
    """The quarter of a map ``[H, W]`` that holds the most weight, and its share, for alternative texts.

    Example:
        >>> where(np.array([[3.0, 1.0], [0.0, 0.0]]))
        ('upper left', 0.75)
    """
    weights = np.nan_to_num(np.asarray(weights, dtype=float))
    height, width = weights.shape
    # a middle row or column counts half to each side
    rows = np.clip(height / 2 - np.arange(height), 0, 1)
    columns = np.clip(width / 2 - np.arange(width), 0, 1)
    total = weights.sum() or 1.0
    shares = {
        f"{v} {h}": float(a @ weights @ b / total)
        for v, a in (("upper", rows), ("lower", 1 - rows))
        for h, b in (("left", columns), ("right", 1 - columns))
    }
    name = max(shares, key=lambda key: shares[key])
    return name, shares[name]
