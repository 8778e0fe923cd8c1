"""The value under the pointer: of the closest point of a curve, or of the cell of a map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator

REACH = 40
"""Pixels from the pointer within which a point of a curve is named."""


def value_at(figure: Any, x: float, y: float) -> str:
    """Return what a picture shows at a point, in words; an empty text where there is nothing.

    Args:
        figure: of Matplotlib.
        x, y: fractions of the figure, from its upper left corner.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure = Figure()
        >>> axes = figure.add_axes((0, 0, 1, 1), xlabel="step", ylabel="loss")
        >>> lines = axes.plot([0, 1, 2], [5, 4, 3], "o-", label="DM")
        >>> limits = axes.set(xlim=(0, 2), ylim=(3, 5))
        >>> value_at(figure, 0.5, 0.5)
        'DM\\nstep 1\\nloss 4'
    """
    place = figure.transFigure.transform((x, 1 - y))
    for axes in reversed(figure.axes):
        if not axes.get_visible() or not axes.bbox.contains(*place):
            continue
        text = _nearest_point(axes, place) or _map_value(axes, place)
        if text:
            return text
    return ""


def _nearest_point(axes: Any, place: np.ndarray) -> str:
    """Return label and values of the closest point of a curve within reach."""
    best, nearest, line_of = REACH, None, None
    for line in axes.lines:
        points = np.column_stack(np.broadcast_arrays(*_data(line)))
        if not line.get_visible() or len(points) < 2 or line.get_transform() != axes.transData:
            continue  # a reference line, or one that is drawn for the legend only
        distances = np.hypot(*(axes.transData.transform(points) - place).T)
        distances[~np.isfinite(distances)] = np.inf
        index = int(distances.argmin())
        if distances[index] < best:
            best, nearest, line_of = distances[index], points[index], line
    if nearest is None or line_of is None:
        return ""
    label = str(line_of.get_label())
    rows = [] if label.startswith("_") else [label]
    rows.append(_row("x", nearest[0], axes.xaxis))
    rows.append(_row("y", nearest[1], axes.yaxis))
    return "\n".join(row for row in rows if row)


def _data(line: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = line.get_data(orig=False)
    return np.asarray(x, float), np.asarray(y, float)


def _row(letter: str, value: float, axis: Any) -> str:
    """Return a line such as "accuracy 84.2%", as the ticks say it; a name if they are names."""
    label = " ".join(axis.get_label_text().split())
    ticks, places = [text.get_text() for text in axis.get_ticklabels()], axis.get_majorticklocs()
    is_fixed = isinstance(axis.get_major_locator(), FixedLocator) and any(ticks)
    if is_fixed and not all(map(_says_its_place, ticks, places)):
        nearest = int(np.abs(np.asarray(places) - value).argmin())
        return f"{label} {ticks[nearest]}".strip()
    if any(text.endswith("%") for text in ticks):
        scale = _percent_scale(axis.get_major_formatter())
        return f"{label or letter} {value * scale:.4g}%"
    return f"{label or letter} {value:.4g}"


def _says_its_place(text: str, place: float) -> bool:
    """Return whether a tick says the number of its place, as it is or in percent, or nothing."""
    number = text.strip().rstrip("%×").replace("−", "-").replace(",", "")
    try:
        value = float(number) if number else place
    except ValueError:
        return False
    return any(math.isclose(value, scale * place, rel_tol=0.01) for scale in (1, 100))


def _percent_scale(formatter: Any) -> float:
    """Return by what a formatter of percentages multiplies values: 100 for shares, else 1."""
    most = getattr(formatter, "xmax", None)
    if most is not None:
        return float(100 / most)
    text = str(formatter(0.4, 0)).rstrip("%").replace("−", "-")
    try:
        return 100.0 if abs(float(text)) > 4 else 1.0
    except ValueError:
        return 1.0


def _map_value(axes: Any, place: np.ndarray) -> str:
    """Return the number of the cell of a map; photographs have no number."""
    for image in reversed(axes.images):
        values = image.get_array()
        if not image.get_visible() or values is None or np.ndim(values) != 2:
            continue
        column, row = axes.transData.inverted().transform(place)
        left, right, bottom, top = image.get_extent()
        height, width = np.shape(values)
        j = math.floor((column - left) / (right - left) * width) if right != left else -1
        i = math.floor((row - top) / (bottom - top) * height) if bottom != top else -1
        if image.origin == "lower":
            i = height - 1 - i
        if 0 <= i < height and 0 <= j < width:
            value = np.ma.filled(np.ma.asarray(values)[i, j].astype(float), np.nan)
            return "" if np.isnan(value) else f"{float(value):.4g}"
    return ""
