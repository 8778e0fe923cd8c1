"""The picture of one small map in five formats, in which every copy of a value is highlighted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray
from matplotlib.collections import LineCollection, PolyCollection

from explore.plotting.picture import Picture, Target
from explore.plotting.style import CELL_GREY, FRAME_GREY, PALETTE
from explore.sparseconv.figures.format_cells import (
    MAP_CELL,
    MAP_LEFT,
    PICTURE_CELLS,
    STRIP_NAME_CELLS,
    ZERO_TEXT,
    column_positions,
    value_text,
)
from explore.sparseconv.figures.style import FORMAT_LABELS
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES

if TYPE_CHECKING:
    import pandas

CELL_PIXELS = 21.85
"""Width of a cell: as large as two digits need."""
TOP = 0.2
"""Where the headings of the three columns stand."""
STRIP_KINDS = ("values", "indices", "words", "masks", "pointers", "maps")
CPS_NOTES = (
    "rows: first row on the left, not stored",
    "maps: in the bytes, not in the elements",
)
"""What is drawn of CPS, but not stored or not counted."""
HIGHLIGHT: dict[str, Any] = {
    "facecolors": "#E69F0066",
    "edgecolors": PALETTE["vermilion"],
    "linewidths": 1.8,
}


class FormatDiagram(Picture):
    """The map on the left, two dense matrices in the middle, three sparse formats on the right."""

    size = (9.6, 4.2)
    title = "One map in five formats"

    def build(self, data: xarray.Dataset) -> None:
        """Draw all cells. Only the highlighted cells and the sentences change."""
        axes = self._axes = self.figure.add_axes((0.005, 0.005, 0.99, 0.99))
        axes.axis("off")
        axes.set_aspect("equal")
        self._headings: dict[str, Any] = {}
        # Left edge, upper edge and cell size of each strip.
        self._strips: dict[str, tuple[float, float, float]] = {}
        kernel, stride = np.split(data["sizes"].values, 2)
        geometry = Geometry((1, 1, *data["map"].shape), kernel, stride)
        entries = int(data["elements"].values[0])
        middle, right, self._line_cells = column_positions(data["map"].shape, entries, geometry)
        bottom = max(
            self._build_map(data) + 4.2,
            self._build_matrices(data, middle),
            self._build_lists(data, right) - 0.8,
        )
        axes.set(xlim=(0, PICTURE_CELLS), ylim=(bottom, -0.4))
        inches = (bottom + 0.4) * CELL_PIXELS / self.figure.dpi / 0.99
        self.size = (self.size[0], max(self.size[1], inches))
        self.figure.set_size_inches(*self.size)
        self._highlights = self.moving(axes.add_collection(PolyCollection([], **HIGHLIGHT)))

    def _build_map(self, data: xarray.Dataset) -> float:
        """Draw a bracket over each window and the map; return where the sentences begin."""
        self._axes.text(MAP_LEFT, TOP, "the map", fontweight="bold", va="center")
        hint = self._axes.text(MAP_LEFT + 3.6, TOP, "(click a value)", va="center", fontsize=9)
        self.furniture(hint)
        count = len(data["window"])
        numbers = f"windows 1 to {count}" if count > 1 else "window 1"
        style: dict[str, Any] = {"fontsize": 9, "color": FRAME_GREY, "va": "center"}
        self._axes.text(MAP_LEFT, TOP + 0.95, f"{numbers} of the kernel:", **style)
        y, brackets = 1.85, []
        for k, (first, last) in enumerate(data["window"].values):
            left = MAP_LEFT + first * MAP_CELL + 0.12
            right = MAP_LEFT + (last + 1) * MAP_CELL - 0.12
            brackets.append([(left, y + 0.3), (left, y), (right, y), (right, y + 0.3)])
            self._axes.text((left + right) / 2, y + 0.5, f"{k + 1}", ha="center", **style)
            y += 0.85
        self._axes.add_collection(LineCollection(brackets, colors=FRAME_GREY, lw=1.2))
        self._strips["map"] = (MAP_LEFT, y + 0.1, MAP_CELL)
        values = np.ndenumerate(data["map"].values)
        self._draw_cells("map", [(value_text(value), *index) for index, value in values], 11)
        y += 0.1 + len(data["map"]) * MAP_CELL + 1.1
        text = self._axes.text(MAP_LEFT, y, "", va="top", fontsize=9, linespacing=1.5)
        self._sentences = self.moving(text)
        return y

    def _build_matrices(self, data: xarray.Dataset, x: float) -> float:
        """Draw im2col and MEC from a left edge; return where they end."""
        y = TOP
        for name in ("im2col", "mec"):
            self._add_heading(name, x, y)
            y = self._draw_strip(data, f"{name} matrix", x, y + 0.75) + 1.2
        return y

    def _build_lists(self, data: xarray.Dataset, x: float) -> float:
        """Draw CSCC, CPO and CPS from a left edge; return where they end."""
        strips, y = set(data["cell_strip"].values), TOP
        for name in ("cscc", "cpo", "cps"):
            self._add_heading(name, x, y)
            y += 0.75
            for kind in STRIP_KINDS:
                if f"{name} {kind}" in strips:
                    label, gap = ("rows", 0.2) if kind == "masks" else (kind, 0.12)
                    self._axes.text(x, y + 0.5, label, fontsize=9, va="center", color=FRAME_GREY)
                    y = self._draw_strip(data, f"{name} {kind}", x + STRIP_NAME_CELLS, y) + gap
            y += 1.05
        style: dict[str, Any] = {"fontsize": 9, "color": FRAME_GREY, "va": "center"}
        for note in CPS_NOTES:
            self._axes.text(x, y - 0.6, note, **style)
            y += 0.85
        return y

    def _add_heading(self, name: str, x: float, y: float) -> None:
        label = FORMAT_LABELS[name]
        self._axes.text(x, y, label, fontweight="bold", va="center")
        text = self._axes.text(x + 0.36 * len(label) + 1.0, y, "", va="center", fontsize=9)
        self._headings[name] = self.moving(text)

    def _draw_strip(self, data: xarray.Dataset, strip: str, x: float, y: float) -> float:
        """Draw the cells of a strip from its upper left corner; return where it ends."""
        self._strips[strip] = (x, y, 1.0)
        indices = np.flatnonzero(data["cell_strip"].values == strip)
        columns = [data[f"cell_{key}"].values[indices] for key in ("text", "row", "column")]
        cells = list(zip(*(column.tolist() for column in columns), strict=True))
        self._draw_cells(strip, cells, 9)
        return max(self._cell_box(strip, row, column)[2][1] for _, row, column in cells)

    def _cell_box(self, strip: str, row: int, column: int) -> list[tuple[float, float]]:
        """Corners of a cell, from the upper left one clockwise."""
        x, y, size = self._strips[strip]
        # A word and its mask are as wide as four small digits.
        width = 1.95 if strip in ("cps words", "cps masks") else size
        if not strip.endswith(("matrix", "map")):  # a long list continues in the next line
            line, column = divmod(column, int(self._line_cells / width))
            row += line
        left, top = x + column * width, y + row * size
        right, bottom = x + (column + 1) * width, top + size
        return [(left, top), (right, top), (right, bottom), (left, bottom)]

    def _draw_cells(self, strip: str, cells: list[Any], size: float) -> None:
        boxes = [self._cell_box(strip, row, column) for _, row, column in cells]
        plain = strip.endswith(("pointers", "masks", "maps"))
        if not strip.endswith("masks"):  # Only what is stored has a box.
            face = CELL_GREY if plain else "white"
            style: dict[str, Any] = {"facecolors": face, "edgecolors": PALETTE["grey"]}
            self._axes.add_collection(PolyCollection(boxes, linewidths=0.7, **style))
        for (text, *_), box in zip(cells, boxes, strict=True):
            x, y = np.mean(box, axis=0)
            colour = FRAME_GREY if text == ZERO_TEXT or plain else "black"
            self._axes.text(x, y, text, ha="center", va="center", fontsize=size, color=colour)

    def show(self, data: xarray.Dataset) -> None:
        """Highlight the copies of the selected value, and count them."""
        index = int(data["value_index"])
        boxes = []
        if index >= 0:
            boxes.append(self._cell_box("map", *divmod(index, data["map"].shape[1])))
            for cell in np.flatnonzero(data["cell_source"].values == index):
                strip = str(data["cell_strip"].values[cell])
                if strip != "cps words":
                    row, column = (data[f"cell_{axis}"].values[cell] for axis in ("row", "column"))
                    boxes.append(self._cell_box(strip, int(row), int(column)))
        self._highlights.set_verts(boxes)
        for k, name in enumerate(FORMAT_NAMES):
            copies = f", {count_words(int(data['copies'].values[k]))}" if index >= 0 else ""
            elements, size = int(data["elements"].values[k]), int(data["bytes"].values[k])
            self._headings[name].set_text(f"{elements} elements, {size} bytes{copies}")
        self._sentences.set_text(_explain(data))

    def describe(self, data: xarray.Dataset) -> str:
        """Describe how often each format stores the selected value, and the sizes."""
        sizes = _list_by_format(map(int, data["elements"].values))
        if int(data["value_index"]) < 0:
            height, width = data["map"].shape
            map_size = f"A {height} by {width} map."
            return f"{map_size} Elements in each format: {sizes}. No value is chosen yet."
        value, row, column = _selected_value(data)
        copies = _list_by_format(count_words(int(count)) for count in data["copies"].values)
        return (
            f"The value {value} in row {row + 1}, column {column + 1}: {copies}. "
            f"Elements in each format: {sizes}."
        )

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Tabulate copies, elements and bytes of each format."""
        import pandas

        columns = {name: data[name].values for name in ("copies", "elements", "bytes")}
        return pandas.DataFrame({"format": list(FORMAT_LABELS.values()), **columns})

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return one target for each value of the map."""
        targets = []
        for (row, column), value in np.ndenumerate(data["map"].values):
            if value:
                (left, top), _, (right, bottom), _ = self._cell_box("map", row, column)
                box = self.box(self._axes, left, top, right, bottom)
                label = f"value {value_text(value)} in row {row + 1}, column {column + 1}"
                targets.append(Target(*box, label, {"value": f"{row + 1}, {column + 1}"}))
        return targets


def _list_by_format(items: Any) -> str:
    pairs = zip(FORMAT_LABELS.values(), items, strict=True)
    return ", ".join(f"{label} {item}" for label, item in pairs)


def _selected_value(data: xarray.Dataset) -> tuple[str, int, int]:
    row, column = divmod(int(data["value_index"]), data["map"].shape[1])
    return value_text(float(data["map"].values[row, column])), row, column


def _explain(data: xarray.Dataset) -> str:
    """Explain which windows read the selected value and where CPO stores it."""
    if int(data["value_index"]) < 0:
        return "How often will each format\nstore the value you choose?"
    value, _, column = _selected_value(data)
    ends = enumerate(data["window"].values, 1)
    windows = [k for k, (first, last) in ends if first <= column <= last]
    if not windows:
        return f"{value} is in column {column + 1}, which\nno window reads: no format stores it."
    plural, verb = ("s", "read") if len(windows) > 1 else ("", "reads")
    return (
        f"{value} is in column {column + 1},\n"
        f"which is read by window{plural} {', '.join(map(str, windows))}.\n"
        f"CPO files it under window {windows[0]}, among\n"
        f"the columns that {len(windows)} window{plural} {verb}."
    )


def count_words(count: int) -> str:
    """Return a number of copies in words.

    Example:
        >>> count_words(1), count_words(2), count_words(4)
        ('once', 'twice', '4 times')
    """
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
