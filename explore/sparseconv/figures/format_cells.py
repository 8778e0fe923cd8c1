"""The cells of a small map in five formats: the text of each cell and the value it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray

from explore.errors import InvalidInput
from explore.sparseconv.formats.base import Encoding
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.cscc import encode_cscc
from explore.sparseconv.formats.entries import SparseEncoding
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import Im2col, encode_im2col
from explore.sparseconv.formats.mec import MEC, encode_mec
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES

MOST_MATRIX_ROWS, MOST_MATRIX_COLUMNS, MOST_MAP_CELLS = 20, 16, 8
"""The largest im2col matrix and the longest side of a map that can still be read."""
MOST_VALUES, MOST_LETTERS, LEAST_LINE_CELLS = 40, 3, 8
"""Values in CSCC that fit in the picture, letters of a value that fit in a cell, and the least
number of cells in one line of a list."""
ZERO_TEXT = "·"

# Layout in cells of the matrices: width of the picture, left edge and cell width of the map, and
# the width of the name of a strip.
PICTURE_CELLS = 43.5
MAP_LEFT, MAP_CELL = 0.4, 1.55
STRIP_NAME_CELLS = 3.6


class Cell(NamedTuple):
    """One cell: its text, the flat index of its value in the map (−1: none), and its position."""

    text: str
    source: int
    strip: str
    row: int
    column: int


def format_cells(
    x: np.ndarray, kernel_size: Any = 3, stride: Any = 1, value: str = ""
) -> xarray.Dataset:
    """Compute what ``FormatDiagram`` draws: a map in five formats, and the copies of one value.

    Args:
        x: float32 ``[H, W]``, a few rows and columns.
        kernel_size, stride: of the convolution, as in ``encode``; no padding.
        value: "row, column" of a non-zero value, counted from 1; empty for none.

    Raises:
        InvalidInput: the map or a matrix is too large to be read, the map has no values, or
            ``value`` is not one of them.
    """
    geometry = Geometry((1, 1, *x.shape), kernel_size, stride)
    _check_map(x, geometry)
    names = value_names(x)
    if value and value not in names:
        raise InvalidInput(f"{value!r} is no value of the map; there are {'; '.join(names)}")
    index = -1
    if value:
        row, column = (int(number) - 1 for number in value.split(", "))
        index = row * x.shape[1] + column
    maps = x[None, None]
    encodings: list[Encoding] = [
        encode(maps, geometry) for encode in (encode_im2col, encode_mec, encode_cscc, encode_cpo)
    ]
    encodings.append(encode_cps(maps, geometry, pointers="per-channel"))
    _check_space(encodings)
    cells = [cell for encoding in encodings for cell in _cells(encoding)]
    copies = [0] * len(FORMAT_NAMES)
    for cell in cells:
        name, kind = cell.strip.split()
        # An index is not another copy of the value.
        if cell.source == index >= 0 and kind in ("matrix", "values"):
            copies[FORMAT_NAMES.index(name)] += 1
    text, source, strip, row_index, column_index = map(np.array, zip(*cells, strict=True))
    coordinates = {
        "map": (("row", "column"), x),
        "cell_text": ("cell", text.astype(object)),
        "cell_source": ("cell", source),
        "cell_strip": ("cell", strip.astype(object)),
        "cell_row": ("cell", row_index),
        "cell_column": ("cell", column_index),
        "format": ("format", np.array(FORMAT_NAMES, object)),
        "elements": ("format", [encoding.elements for encoding in encodings]),
        "bytes": ("format", [encoding.nbytes for encoding in encodings]),
        "window": (("s", "end"), geometry.window_columns[:, [0, -1]]),
        # A picture compares coordinates to decide whether it must be built again.
        "sizes": ("axis", [*geometry.kernel, *geometry.stride]),
    }
    return xarray.Dataset({"value_index": ((), index), "copies": ("format", copies)}, coordinates)


def value_names(x: np.ndarray) -> list[str]:
    """Return "row, column" of each non-zero value, counted from 1."""
    return [f"{i + 1}, {j + 1}" for i, j in np.argwhere(x != 0)]


def value_text(value: float) -> str:
    """Return the text of a value in a cell."""
    return f"{value:g}" if value else ZERO_TEXT


def column_positions(
    shape: tuple[int, ...], entries: int, geometry: Geometry
) -> tuple[float, float, int]:
    """Return where the matrices and the sparse formats begin, and the cells in a line of a list.

    The matrices stand to the right of the map and of the sentences below it. The sparse formats
    stand to the right of both matrices and of their headings.
    """
    matrices = MAP_LEFT + max(shape[1] * MAP_CELL, 10.5) + 1.2
    matrix_width = max(geometry.kernel[0], geometry.padded[0]) * geometry.kernel[1]
    letters = len(f"{entries} elements, {4 * entries} bytes, 4 times")
    lists = matrices + max(matrix_width + 1.4, 3.6 + 0.306 * letters)
    return matrices, lists, int(PICTURE_CELLS - 0.4 - STRIP_NAME_CELLS - lists)


def _check_map(x: np.ndarray, geometry: Geometry) -> None:
    rows, columns = int(np.prod(geometry.output)), int(np.prod(geometry.kernel))
    map_is_large = max(x.shape) > MOST_MAP_CELLS
    if rows > MOST_MATRIX_ROWS or columns > MOST_MATRIX_COLUMNS or map_is_large:
        raise InvalidInput(
            f"a {x.shape[0]}×{x.shape[1]} map gives a {rows}×{columns} im2col matrix, which is "
            "too large to be read; give a map of at most 8×8 and a kernel with which the matrix "
            f"has at most {MOST_MATRIX_ROWS}×{MOST_MATRIX_COLUMNS} entries"
        )
    for text in map(value_text, x.ravel().tolist()):
        if len(text) > MOST_LETTERS:
            raise InvalidInput(
                f"{text} does not fit in a cell; give values of at most {MOST_LETTERS} letters, "
                "such as 12, −3 or 0.5"
            )
    if not x.any():
        raise InvalidInput("the map has no value that is not zero")


def _check_space(encodings: list[Encoding]) -> None:
    geometry = encodings[0].geometry
    (height, width), values = geometry.shape[2:], encodings[2].arrays()["values"].size
    line_cells = column_positions((height, width), encodings[0].elements, geometry)[2]
    if values > MOST_VALUES or line_cells < LEAST_LINE_CELLS:
        problem = f"{values} values in CSCC"
        if line_cells < LEAST_LINE_CELLS:
            problem = f"a MEC matrix {geometry.padded[0] * geometry.kernel[1]} wide"
        raise InvalidInput(
            f"a {height}×{width} map with {problem} is too large to be read; give a smaller map or "
            f"kernel, or more zeros (at most {MOST_VALUES} values in CSCC)"
        )


def _cells(encoding: Any) -> Iterator[Cell]:
    """Yield every cell of an encoding, strip by strip."""
    name, geometry = encoding.name, encoding.geometry
    width = geometry.shape[3]
    if isinstance(encoding, Im2col):
        yield from _matrix_cells(name, encoding.matrix[0], geometry.im2col_indices())
    elif isinstance(encoding, MEC):
        rows = np.arange(geometry.padded[0])[:, None] * width
        indices = rows + geometry.window_columns[:, None, :]
        values = encoding.lowered[0]
        yield from _matrix_cells(name, values, indices.reshape(values.shape))
    elif isinstance(encoding, SparseEncoding):
        entries = encoding.entries()
        source = entries.row * width + entries.window * geometry.stride[1] + entries.column
        yield from _list_cells(encoding, entries.values.tolist(), source.tolist())


def _matrix_cells(name: str, values: np.ndarray, indices: np.ndarray) -> Iterator[Cell]:
    for (row, column), value in np.ndenumerate(values):
        source = int(indices[row, column]) if value else -1
        yield Cell(value_text(value), source, f"{name} matrix", row, column)


def _list_cells(encoding: Any, values: list[float], source: list[int]) -> Iterator[Cell]:
    name = encoding.name
    for k, value in enumerate(values):
        yield Cell(value_text(value), source[k], f"{name} values", 0, k)
    if name == "cps":
        first = 0
        for k, word in enumerate(encoding.words.tolist()):
            mask = "".join(str(word >> bit & 1) for bit in range(4))
            yield Cell(f"{word}", source[first], "cps words", 0, k)
            yield Cell(mask, -1, "cps masks", 0, k)
            first += mask.count("1")
    else:
        for k, number in enumerate(encoding.indices.tolist()):
            yield Cell(str(number), source[k], f"{name} indices", 0, k)
    pointers = encoding.pointers if isinstance(encoding.pointers, tuple) else (encoding.pointers,)
    column = 0
    for array in pointers:
        for number in array.ravel().tolist():
            yield Cell(str(number), -1, f"{name} pointers", 0, column)
            column += 1
        column += 1  # a gap between classes
    if name == "cps":
        for number in encoding.maps.tolist():
            yield Cell(str(number), -1, "cps maps", 0, 0)
