"""One panel of a picture, laid out alone: its axes and their texts fill the width of a file."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.legend import Legend
from matplotlib.text import Text

from explore.plotting.picture import Picture, styled
from explore.plotting.print_sizes import break_lines, extent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOWEST, HIGHEST = 0.45, 1.15
"""Limits of the height of a panel, as a share of its width; maps have the one of their pixels."""
NARROWEST = 0.3
"""The smallest share of the width that the axes of a panel have beside its texts."""
ROUNDS = 4
"""How often a layout is measured and corrected; after that it changes by less than a point."""
NUMBER = re.compile(r"[-−]?[\d.,]+[%×]?")
"""Tick labels that may be left out, because their neighbours tell what they would be."""


def lay_out_panel(picture: Picture, axes: list[Axes], available: float, share: float) -> None:
    """Change a picture so that it shows some axes only, as wide as a file.

    Args:
        picture: at its size on the screen.
        axes: the main axes, then those that belong to it.
        available: for the axes and their texts, in inches.
        share: of a text's size on the screen.
    """
    with styled(picture._lacks_glyphs, picture.settings):
        _hide_all_but(picture, axes)
    places, height = _relative_places(axes), _height_of(axes[0], share)
    figure, width, lines = picture.figure, 0.8 * available, _long_lines(axes)
    legends = [part for part in axes[0].get_children() if isinstance(part, Legend)]
    for legend in legends:  # They are placed when the axes have their size.
        legend.set_visible(False)
    for _ in range(ROUNDS):
        _place(figure, axes, places, width, height(width))
        _wrap(figure, lines, available, width, height(width))
        width = max(width + available - extent(picture).width, NARROWEST * available)
    _place(figure, axes, places, width, height(width))
    _thin_ticks(picture, axes[0])
    width = max(width + available - extent(picture).width, NARROWEST * available)
    _place(figure, axes, places, width, height(width))
    for legend in legends:
        legend.set_visible(True)
    with styled(picture._lacks_glyphs, picture.settings):
        _place_legend(picture, axes[0], available)


def _hide_all_but(picture: Picture, axes: list[Axes]) -> None:
    """Hide everything of a figure but some axes; the first one gets a legend if it has none."""
    figure, main = picture.figure, axes[0]
    if main.get_legend() is None and len(main.get_legend_handles_labels()[1]) > 1:
        main.legend(loc="best")
    for part in figure.get_children():
        if part is not figure.patch and part not in axes:
            part.set_visible(False)


def _thin_ticks(picture: Picture, axes: Axes) -> None:
    """Leave out tick labels of whole series of numbers, such as every second one, that overlap."""
    extent(picture)  # This sets the labels.
    axis = axes.xaxis
    ticks = [tick for tick in axis.get_major_ticks() if tick.label1.get_text()]
    texts = [tick.label1.get_text() for tick in ticks]
    boxes = [tick.label1.get_window_extent() for tick in ticks]
    if len(ticks) < 3 or not all(map(NUMBER.fullmatch, texts)):
        return
    gap = 0.3 * boxes[0].height
    for every in range(1, len(ticks)):
        shown = list(range(0, len(ticks), every))
        if all(boxes[b].x0 - boxes[a].x1 > gap for a, b in itertools.pairwise(shown)):
            break
    if axes.get_xscale() != "linear":  # There the gaps differ: show each label that has room.
        visible = [0]
        for k, box in enumerate(boxes):
            if box.x0 - boxes[visible[-1]].x1 > gap:
                visible.append(k)
        shown = visible
    if len(shown) < len(ticks):
        labels = [text if k in shown else "" for k, text in enumerate(texts)]
        axis.set_ticks([tick.get_loc() for tick in ticks], labels)


def _place_legend(picture: Picture, axes: Axes, available: float) -> None:
    """Make one legend of all, and put it below the axes if it would cover curves or is too wide.

    Args:
        picture: with the axes.
        axes: whose legends are placed.
        available: the width of the file, in inches.
    """
    legends = [part for part in axes.get_children() if isinstance(part, Legend)]
    if not legends:
        return
    extent(picture)  # This places them.
    if len(legends) == 1:
        if _is_clear(legends[0], axes):
            return
        legends[0].set_bbox_to_anchor(axes.bbox)
        legends[0].set_loc("best")
        extent(picture)
        if _is_clear(legends[0], axes):
            return
    handles: list[Any] = [handle for legend in legends for handle in legend.legend_handles]
    labels = [text.get_text() for legend in legends for text in legend.get_texts()]
    for legend in legends:
        legend.remove()
    drawn, limit = extent(picture), available * picture.figure.dpi
    gap = 0.6 * picture.settings["legend.fontsize"] / 72
    corner = picture.figure.dpi_scale_trans.transform((drawn.x0, drawn.y0 - gap))
    place = axes.transAxes.inverted().transform(corner)
    for columns in range(len(labels), 0, -1):
        legend = axes.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(float(place[0]), float(place[1])),
            ncols=columns,
            borderaxespad=0,
            borderpad=0,
            columnspacing=1.2,
        )
        extent(picture)
        width = legend.get_window_extent().width
        if width <= limit:
            break
    else:  # Even one column is too wide.
        texts = legend.get_texts()
        longest = max(text.get_window_extent().width for text in texts)
        for text in texts:
            break_lines(text, text.get_text(), limit - (width - longest), True)


def _is_clear(legend: Any, axes: Axes) -> bool:
    """Return whether a legend lies inside its axes and not over curves, bars or points."""
    box, frame = legend.get_window_extent(), axes.get_window_extent().padded(1)
    if not (frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)):
        return False
    bars, lines, points = legend._auto_legend_data(legend.figure.canvas.get_renderer())
    return not (
        any(line.intersects_bbox(box, filled=False) for line in lines if len(line.vertices))
        or box.count_contains(points or [(-1, -1)])
        or box.count_overlaps(bars)
    )


def _relative_places(axes: list[Axes]) -> list[tuple[float, float, float, float]]:
    """Return left, bottom, width and height of axes, in parts of the first one."""
    main = axes[0].get_position()
    boxes = [part.get_position() for part in axes]
    return [
        (
            (box.x0 - main.x0) / main.width,
            (box.y0 - main.y0) / main.height,
            box.width / main.width,
            box.height / main.height,
        )
        for box in boxes
    ]


def _height_of(axes: Axes, share: float) -> Callable[[float], float]:
    """Return a function of the width of axes that returns their height, both in inches.

    Curves have as many lines of text in height as on the screen, because some texts are placed in
    parts of the height. Images keep their proportions.

    Args:
        axes: at their size on the screen.
        share: of a text's size on the screen.
    """
    box = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    wide, high = float(box.width), float(box.height)
    if axes.get_aspect() != "auto":
        return lambda width: float(width * high / wide)
    return lambda width: float(np.clip(high * share, LOWEST * width, HIGHEST * width))


def _place(figure: Any, axes: list[Axes], places: list[Any], width: float, height: float) -> None:
    """Set the size of the main axes in inches and of the others in proportion, in a large figure.

    The file is a part of the figure, so that its edges need not be where texts end.
    """
    side = 3 * max(width, height)
    figure.set_size_inches(side, side)
    for part, (left, bottom, wide, high) in zip(axes, places, strict=True):
        box = (1 / 3 + left * width / side, 1 / 3 + bottom * height / side)
        part.set_position((*box, wide * width / side, high * height / side))


def _long_lines(axes: list[Axes]) -> list[tuple[Text, str, bool]]:
    """Return titles and labels with their whole text, and whether they are horizontal."""
    texts = []
    for part in axes:
        above = [
            t for t in part.texts if t.get_transform() == part.transAxes and t.get_position()[1] > 1
        ]
        titles = [part.title, part._left_title, part._right_title, *above]  # type: ignore[attr-defined]
        texts += [(text, text.get_text(), True) for text in [*titles, part.xaxis.label]]
        texts += [(part.yaxis.label, part.yaxis.label.get_text(), False)]
    return [entry for entry in texts if entry[1].strip()]


def _wrap(
    figure: Any, lines: list[tuple[Text, str, bool]], available: float, width: float, height: float
) -> None:
    """Break titles and labels that are longer than the file is wide, or the axes are high."""
    for text, words, horizontal in lines:
        limit = max(width, 0.5 * available) if horizontal else max(height, 0.8)
        break_lines(text, words, limit * figure.dpi, horizontal)
