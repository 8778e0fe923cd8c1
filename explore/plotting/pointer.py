"""The value under the pointer: of the closest point of a curve, or of the cell of a map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
    rows.append(_row(axes.get_xlabel() or "x", nearest[0], axes.xaxis))
    rows.append(_row(axes.get_ylabel() or "y", nearest[1], axes.yaxis))
    return "\n".join(rows)


def _data(line: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = line.get_data(orig=False)
    return np.asarray(x, float), np.asarray(y, float)


def _row(name: str, value: float, axis: Any) -> str:
    """Return a line such as "accuracy 84.2%", in the unit of the ticks."""
    name = " ".join(name.split())
    ticks = [text.get_text() for text in axis.get_ticklabels()]
    if any(text.endswith("%") for text in ticks):
        return f"{name} {value * _percent_scale(axis.get_major_formatter()):.4g}%"
    return f"{name} {value:.4g}"


def _percent_scale(formatter: Any) -> float:
    """Return by what a formatter of percentages multiplies values: 100 for shares, else 1."""
    most = getattr(formatter, "xmax", None)
    if most is not None:
        return float(100 / most)
    text = str(formatter(0.5, 0)).rstrip("%").replace("−", "-")
    try:
        return 100.0 if abs(float(text)) > 5 else 1.0
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
