"""The picture of one small map in five formats: choose a value, and every copy of it lights up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection, PolyCollection

from explore.errors import InvalidInput
from explore.plotting.picture import Picture, Target
from explore.plotting.style import EDGE_GREY, FRAME_GREY, LIGHT_GRID_GREY, PALETTE
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.cscc import encode_cscc
from explore.sparseconv.formats.entries import Entries
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.im2col import encode_im2col
from explore.sparseconv.formats.mec import encode_mec
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES

if TYPE_CHECKING:
    import pandas

NAMES = {"im2col": "im2col", "mec": "MEC", "cscc": "CSCC", "cpo": "CPO", "cps": "CPS"}
MOST = (20, 16)
"""Rows and columns of an im2col matrix that can still be read."""
MOST_VALUES, LETTERS, LEAST = 40, 3, 8
"""Values in CSCC that fit in the picture, letters of a value that fit in a cell, and cells that a line of a list must hold."""
WIDE, PIXELS = 43.5, 21.85
"""Width of the picture in cells, and of a cell in pixels: as large as two digits need."""
LEFT, MAP_CELL, HELD = 0.4, 1.55, 3.6
"""Where the map begins, how wide its cells are, and the room for the name of a strip, in cells."""
NOTHING = "·"


def formats(
    x: np.ndarray, kernel_size: Any = 3, stride: Any = 1, chosen: str = ""
) -> xarray.Dataset:
    """What ``Formats`` shows: a map in im2col, MEC, CSCC, CPO and CPS, and where each has the chosen value.

    Args:
        x: float32 ``[H, W]``, a few rows and columns.
        kernel_size, stride: of the convolution, as in ``encode``; no padding.
        chosen: "row, column" of a value that is not zero, counted from 1; none if empty.

    Raises:
        InvalidInput: a map or matrix too large to be read, a map without values, or no such value.
    """
    geometry = Geometry((1, 1, *x.shape), kernel_size, stride)
    rows, columns = geometry.output[0] * geometry.output[1], geometry.kernel[0] * geometry.kernel[1]
    if rows > MOST[0] or columns > MOST[1] or max(x.shape) > 8:
        raise InvalidInput(
            f"a {x.shape[0]}×{x.shape[1]} map gives a {rows}×{columns} im2col matrix, too large to be read here; give a map of "
            f"at most 8×8 and a kernel with which the matrix has at most {MOST[0]}×{MOST[1]} entries"
        )
    long = next((text for text in map(_text, x.ravel().tolist()) if len(text) > LETTERS), "")
    if long:
        raise InvalidInput(
            f"{long} does not fit in a cell; give values of at most {LETTERS} letters, such as 12, −3 or 0.5"
        )
    places = [f"{i + 1}, {j + 1}" for i, j in np.argwhere(x != 0)]
    if not places:
        raise InvalidInput("the map has no value that is not zero")
    if chosen and chosen not in places:
        raise InvalidInput(
            f"chosen {chosen!r} is no value of the map; there are {'; '.join(places)}"
        )
    maps = x[None, None]
    made: list[Any] = [
        encode_im2col(maps, geometry),
        encode_mec(maps, geometry),
        encode_cscc(maps, geometry),
        encode_cpo(maps, geometry),
    ]
    made.append(encode_cps(maps, geometry, pointers="per-channel"))
    stored, room = (
        len(made[2].values),
        WIDE - 0.4 - HELD - _columns(x.shape, made[0].elements, geometry)[1],
    )
    if stored > MOST_VALUES or room < LEAST:
        wide = (
            f"a MEC matrix {geometry.padded[0] * geometry.kernel[1]} wide"
            if room < LEAST
            else f"{stored} values in CSCC"
        )
        raise InvalidInput(
            f"a {x.shape[0]}×{x.shape[1]} map with {wide} is too large to be read here; give a smaller map or kernel, or more "
            f"zeros (at most {MOST_VALUES} values in CSCC)"
        )
    cells = [cell for k, found in enumerate(made) for cell in _cells(k, found, geometry)]
    text, source, strip, row, column = (np.array(part) for part in zip(*cells, strict=True))
    at = -1
    if chosen:
        i, j = (int(word) - 1 for word in chosen.split(", "))
        at = i * x.shape[1] + j
    known = {
        "map": (("row", "column"), x),
        "cell_text": ("cell", text.astype(object)),
        "cell_source": ("cell", source),
        "cell_strip": ("cell", strip.astype(object)),
        "cell_row": ("cell", row),
        "cell_column": ("cell", column),
        "format": ("format", np.array(FORMAT_NAMES, object)),
        "elements": ("format", [found.elements for found in made]),
        "bytes": ("format", [found.nbytes for found in made]),
        "window": (("s", "end"), geometry.window_columns[:, [0, -1]]),
        "sizes": (
            "axis",
            [*geometry.kernel, *geometry.stride],
        ),  # by which a picture knows what it was built for
    }
    copies = [
        sum(s == at for _, s, strip, *_ in _cells(k, found, geometry) if _counts(strip))
        for k, found in enumerate(made)
    ]
    data = {"chosen": ((), at), "copies": ("format", copies if at >= 0 else [0] * len(made))}
    return xarray.Dataset(data, known)


def _columns(shape: tuple[int, ...], entries: int, geometry: Geometry) -> tuple[float, float]:
    """Where the dense matrices and the sparse formats begin, in cells: behind the widest of map and words, and of both
    matrices and their heads.
    """
    middle = LEFT + max(shape[1] * MAP_CELL, 10.5) + 1.2
    matrix = max(geometry.kernel[0], geometry.padded[0]) * geometry.kernel[1]
    letters = len(f"{entries} elements, {4 * entries} bytes, 4 times")
    return middle, middle + max(matrix + 1.4, 3.6 + 0.306 * letters)


def _counts(strip: str) -> bool:
    """Whether the cells of a strip are values (an index is not another copy)."""
    return strip.endswith(("matrix", "values"))


def _cells(which: int, made: Any, geometry: Geometry) -> list[tuple[str, int, str, int, int]]:
    """Every cell of a format: its text, the place in the map that it stands for (−1: none), its strip, row and column."""
    name, wide = FORMAT_NAMES[which], geometry.shape[3]
    if name == "im2col":
        places, values = geometry.im2col_indices(), made.matrix[0]
    elif name == "mec":
        rows = np.arange(geometry.padded[0])[:, None] * wide
        places = (rows + geometry.window_columns[:, None, :]).reshape(geometry.output[1], -1)
        values = made.lowered[0]
    if which < 2:
        return [
            (_text(values[at]), int(places[at]) if values[at] else -1, f"{name} matrix", *at)
            for at in np.ndindex(values.shape)
        ]
    entries: Entries = made.entries()
    source = entries.row * wide + entries.window * geometry.stride[1] + entries.column
    found = [
        (_text(v), int(s), f"{name} values", 0, k)
        for k, (v, s) in enumerate(zip(entries.values, source, strict=True))
    ]
    if name == "cps":
        place = -1
        for k, word in enumerate(made.words.tolist()):
            held = word & 15
            mask = "".join(str(held >> bit & 1) for bit in range(4))
            found.append((f"{word}", int(source[place + 1]), "cps words", 0, k))
            found.append((mask, -1, "cps masks", 0, k))
            place += held.bit_count()
    else:
        found += [
            (str(i), int(s), f"{name} indices", 0, k)
            for k, (i, s) in enumerate(zip(made.indices, source, strict=True))
        ]
    pointers = made.pointers if isinstance(made.pointers, tuple) else (made.pointers[0],)
    column = 0
    for row in pointers:
        for pointer in np.ravel(row).tolist():
            found.append((str(pointer), -1, f"{name} pointers", 0, column))
            column += 1
        column += 1  # a gap between classes
    return found + [
        (str(k), -1, f"{name} maps", 0, 0) for k in (made.maps if name == "cps" else [])
    ]


def _text(value: float) -> str:
    return f"{value:g}" if value else NOTHING


class Formats(Picture):
    """The map on the left, the two dense matrices in the middle, the three sparse formats on the right."""

    size = (9.6, 4.2)
    title = "One map in five formats"

    def build(self, data: xarray.Dataset) -> None:
        """All cells; only what is lit up changes."""
        axes = self._axes = self.figure.add_axes((0.005, 0.005, 0.99, 0.99))
        axes.axis("off")
        axes.set_aspect("equal")
        self._unit: dict[str, tuple[float, float, float]] = {}
        tall, wide = data["map"].shape
        x, scale = LEFT, MAP_CELL
        axes.text(x, 0.2, "the map: click a value", fontweight="bold", va="center")
        top = self._build_windows(data, x, scale)
        self._unit["map"] = (x, top, scale)
        values = data["map"].values
        self._draw(
            "map", [(_text(values[i, j]), i, j) for i in range(tall) for j in range(wide)], 11
        )
        bottom = top + tall * scale + 1.1
        self._said = self.moving(axes.text(x, bottom, "", va="top", fontsize=9, linespacing=1.5))
        strips = data["cell_strip"].values
        kernel, stride = np.split(data["sizes"].values, 2)
        middle, right = _columns(
            (tall, wide),
            int(data["elements"].values[0]),
            Geometry((1, 1, tall, wide), kernel, stride),
        )
        self._room = int(WIDE - 0.4 - HELD - right)
        self._heads = {}
        y = 0.2
        for name in ("im2col", "mec"):
            self._heads[name] = self._head(name, middle, y)
            y = self._strip(data, f"{name} matrix", middle, y + 0.75) + 1.2
        y = low = max(0.2, y)
        y = 0.2
        for name in ("cscc", "cpo", "cps"):
            self._heads[name] = self._head(name, right, y)
            y += 0.75
            for kind in ("values", "indices", "words", "masks", "pointers", "maps"):
                if f"{name} {kind}" in strips:
                    label = "rows" if kind == "masks" else kind
                    axes.text(right, y + 0.5, label, fontsize=9, va="center", color=FRAME_GREY)
                    y = self._strip(data, f"{name} {kind}", right + HELD, y) + (
                        0.12 if kind != "masks" else 0.2
                    )
            y += 1.05
        high = max(low, y - 0.8, bottom + 4.2)
        axes.set(xlim=(0, WIDE), ylim=(high, -0.4))
        inches = (high + 0.4) * PIXELS / self.figure.dpi / 0.99
        self.size = (self.size[0], max(self.size[1], inches))
        self.figure.set_size_inches(*self.size)
        look: dict[str, Any] = {
            "facecolors": "#E69F0066",
            "edgecolors": PALETTE["vermilion"],
            "linewidths": 1.8,
        }
        self._lit = self.moving(axes.add_collection(PolyCollection([], **look)))

    def _build_windows(self, data: xarray.Dataset, x: float, scale: float) -> float:
        """A bracket over each window, one above the other; returns where the map begins."""
        y, lines = 1.0, []
        for k, (first, last) in enumerate(data["window"].values):
            left, right = x + first * scale + 0.12, x + (last + 1) * scale - 0.12
            lines.append([(left, y + 0.3), (left, y), (right, y), (right, y + 0.3)])
            middle = max((left + right) / 2, x + 1.5)
            self._axes.text(
                middle,
                y + 0.05,
                f"window {k + 1}",
                fontsize=9,
                ha="center",
                va="top",
                color=FRAME_GREY,
            )
            y += 0.85
        self._axes.add_collection(LineCollection(lines, colors=FRAME_GREY, lw=1.2))
        return y + 0.1

    def _head(self, name: str, x: float, y: float) -> Any:
        self._axes.text(x, y, NAMES[name], fontweight="bold", va="center")
        return self.moving(
            self._axes.text(x + 0.36 * len(NAMES[name]) + 1.0, y, "", va="center", fontsize=9)
        )

    def _strip(self, data: xarray.Dataset, strip: str, x: float, y: float) -> float:
        """Draw the cells of a strip from a corner; returns where it ends."""
        on = np.flatnonzero(data["cell_strip"].values == strip)
        self._unit[strip] = (x, y, 1.0)
        cells = [
            (
                str(data["cell_text"].values[k]),
                int(data["cell_row"].values[k]),
                int(data["cell_column"].values[k]),
            )
            for k in on
        ]
        self._draw(strip, cells, 9)
        return max(self._box(strip, row, column)[2][1] for _, row, column in cells)

    def _box(self, strip: str, row: int, column: int) -> list[tuple[float, float]]:
        x, y, scale = self._unit[strip]
        wide = (
            1.95 if strip in ("cps words", "cps masks") else 1.0
        )  # as wide as four little squares
        if not strip.endswith(
            ("matrix", "map")
        ):  # a list that is too long goes on in the next line
            line, column = divmod(column, int(self._room / wide))
            row += line
        left, top, right = (
            x + column * scale * wide,
            y + row * scale,
            x + (column + 1) * scale * wide,
        )
        return [(left, top), (right, top), (right, top + scale), (left, top + scale)]

    def _draw(self, strip: str, cells: list[tuple[str, int, int]], size: float) -> None:
        boxes = [self._box(strip, row, column) for _, row, column in cells]
        plain = strip.endswith(("pointers", "masks", "maps"))
        self._axes.add_collection(
            PolyCollection(
                boxes,
                facecolors="none" if plain else "white",
                edgecolors=LIGHT_GRID_GREY if plain else EDGE_GREY,
                linewidths=0.7,
            )
        )
        for (text, *_), box in zip(cells, boxes, strict=True):
            x, y = np.mean(box, axis=0)
            colour = PALETTE["grey"] if text == NOTHING or plain else "black"
            self._axes.text(x, y, text, ha="center", va="center", fontsize=size, color=colour)

    def show(self, data: xarray.Dataset) -> None:
        """Light up the copies, and count them."""
        chosen = int(data["chosen"])
        boxes = []
        if chosen >= 0:
            boxes.append(self._box("map", *divmod(chosen, data["map"].shape[1])))
            for cell in np.flatnonzero(data["cell_source"].values == chosen):
                strip = str(data["cell_strip"].values[cell])
                if strip != "cps words":
                    boxes.append(
                        self._box(
                            strip,
                            int(data["cell_row"].values[cell]),
                            int(data["cell_column"].values[cell]),
                        )
                    )
        self._lit.set_verts(boxes)
        for k, name in enumerate(FORMAT_NAMES):
            copies = f", {times(int(data['copies'].values[k]))}" if chosen >= 0 else ""
            self._heads[name].set_text(
                f"{int(data['elements'].values[k])} elements, {int(data['bytes'].values[k])} bytes{copies}"
            )
        self._said.set_text(self._words(data))

    def _words(self, data: xarray.Dataset) -> str:
        chosen = int(data["chosen"])
        if chosen < 0:
            return "How often will each format\nstore the value you choose?"
        row, column = divmod(chosen, data["map"].shape[1])
        reading = [
            k + 1
            for k, (first, last) in enumerate(data["window"].values)
            if first <= column <= last
        ]
        value = _text(float(data["map"].values[row, column]))
        if not reading:
            return (
                f"{value} is in column {column + 1}, which\nno window reads: no format stores it."
            )
        several = len(reading) > 1
        return (
            f"{value} is in column {column + 1},\nwhich is read by window{'s' * several} {', '.join(map(str, reading))}.\n"
            f"CPO files it under window {reading[0]}, among\n"
            f"the columns that {len(reading)} window{'s read' if several else ' reads'}."
        )

    def describe(self, data: xarray.Dataset) -> str:
        """How often each format holds the chosen value, and their sizes."""
        sizes = ", ".join(
            f"{NAMES[name]} {int(n)}"
            for name, n in zip(FORMAT_NAMES, data["elements"].values, strict=True)
        )
        tall, wide = data["map"].shape
        chosen = int(data["chosen"])
        if chosen < 0:
            return (
                f"A {tall} by {wide} map. Elements in each format: {sizes}. No value is chosen yet."
            )
        row, column = divmod(chosen, wide)
        counts = ", ".join(
            f"{NAMES[name]} {times(int(n))}"
            for name, n in zip(FORMAT_NAMES, data["copies"].values, strict=True)
        )
        value = _text(float(data["map"].values[row, column]))
        return f"The value {value} in row {row + 1}, column {column + 1}: {counts}. Elements in each format: {sizes}."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Copies, elements and bytes of each format."""
        import pandas

        columns = {name: data[name].values for name in ("copies", "elements", "bytes")}
        return pandas.DataFrame({"format": [NAMES[name] for name in FORMAT_NAMES], **columns})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Each value of the map chooses itself."""
        found = []
        for row, column in np.argwhere(data["map"].values != 0).tolist():
            (left, top), _, (right, bottom), _ = self._box("map", row, column)
            box = self.box(self._axes, left, top, right, bottom)
            text = f"value {_text(float(data['map'].values[row, column]))} in row {row + 1}, column {column + 1}"
            found.append(Target(*box, text, {"value": f"{row + 1}, {column + 1}"}))
        return found


def times(count: int) -> str:
    """A number of times in words.

    Example:
        >>> times(1), times(2), times(4)
        ('once', 'twice', '4 times')
    """
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
