"""Pictures for print: built anew at a width, with one size of text, and nothing that only a screen
needs."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from explore.core.validation import check_flag, check_number, check_text, describe
from explore.errors import ExploreWarning, InvalidInput, UnknownName
from explore.plotting.picture import Picture, styled
from explore.plotting.print_sizes import build_with_size
from explore.plotting.printed_texts import DrawnText, cut_off, drawn_texts, overlaps

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

UNITS = {"in": 1.0, "mm": 1 / 25.4, "cm": 1 / 2.54, "pt": 1 / 72}
"""Units of a width, in inches; pt is the point of PDF."""

WIDTHS = (1.0, 20.0)
FONT_SIZES = (4.0, 24.0)
MARGIN = 0.02
"""Inches between what is drawn and the edges of the file."""
LOWEST, HIGHEST = 0.45, 1.15
"""Limits of the height of a panel, as a share of its width; maps have the one of their pixels."""
NARROWEST = 0.3
"""The smallest share of the width that the axes of a panel should have beside its texts."""
ROUNDS = 4
"""How often a layout is measured and corrected; after that it changes by less than a point."""
FACTORS = (1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
"""Larger widths that are tried, so that a warning can name one."""


@dataclass(frozen=True)
class PrintLayout:
    """How a picture is printed.

    Args:
        width: of the file, in inches.
        font_size: of every text, in points. Line widths and markers are in proportion to it.
        plain: leave out what is marked as furniture of the screen: headings that are sentences,
            hints, frames around what is selected.
        panel: the name of the panel that is printed alone; empty for the whole picture.

    Raises:
        InvalidInput: a width that is not between 1 and 20 inches, or a text size that is not
            between 4 and 24 points.
    """

    width: float
    font_size: float = 8.0
    plain: bool = False
    panel: str = ""

    def __post_init__(self) -> None:
        for name, limits in (("width", WIDTHS), ("font_size", FONT_SIZES)):
            value = check_number(name, getattr(self, name), at_least=limits[0], at_most=limits[1])
            object.__setattr__(self, name, value)
        check_flag("plain", self.plain)
        check_text("panel", self.panel)


def parse_width(text: str) -> float:
    """Return a width such as "3.3in" in inches.

    Raises:
        InvalidInput: it is no number with one of the units in, mm, cm and pt.

    Example:
        >>> parse_width("3.3in"), round(parse_width("84 mm"), 4)
        (3.3, 3.3071)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-z]+)\s*", check_text("width", text))
    if match is None or match[2] not in UNITS:
        raise InvalidInput(
            f"width must be a number with a unit (in, mm, cm or pt), such as 3.3in or 84mm, "
            f"got {describe(text)}"
        )
    return float(match[1]) * UNITS[match[2]]


@dataclass(frozen=True)
class PrintedPicture:
    """A picture that was laid out for print, and the part of its figure that is the file."""

    picture: Picture
    box: Bbox
    texts: list[DrawnText]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the texts: one sentence for each overlap and each text cut off."""
        overlapping = [f"{a!r} overlaps {b!r}" for a, b in overlaps(self.texts)]
        cut = [f"{t!r} is cut off" for t in cut_off(self.texts, self.box.x0, self.box.x1)]
        return overlapping + cut


def print_picture(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout
) -> PrintedPicture:
    """Build a picture for print.

    Args:
        picture_class: of the picture.
        data: the Dataset that it shows.
        layout: width, text size, and what is left out.

    Raises:
        UnknownName: the picture has no such panel; the message lists those it has.

    Warns:
        ExploreWarning: texts do not fit; the message names a larger width or the panels.
    """
    printed = _lay_out(picture_class, data, layout)
    if problems := printed.problems:
        warnings.warn(
            _advice(picture_class, data, layout, printed, problems), ExploreWarning, stacklevel=2
        )
    return printed


def _lay_out(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout
) -> PrintedPicture:
    if layout.panel:
        return _lay_out_panel(picture_class, data, layout)
    return _lay_out_all(picture_class, data, layout)


def _lay_out_all(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout
) -> PrintedPicture:
    """Build the whole picture so wide that what it draws has exactly the width of the file.

    Blank margins of the screen are used, and a longer text at a side makes room for itself.
    """
    width = layout.width
    for attempt in range(ROUNDS):
        picture = _build(picture_class, data, layout, width)
        drawn = _extent(picture)
        missing = layout.width - 2 * MARGIN - drawn.width
        if abs(missing) < MARGIN / 2 or attempt == ROUNDS - 1:
            break
        width = float(np.clip(width + missing, 0.6 * layout.width, 1.4 * layout.width))
    left = (drawn.x0 + drawn.x1 - layout.width) / 2
    box = Bbox([[left, drawn.y0 - MARGIN], [left + layout.width, drawn.y1 + MARGIN]])
    return PrintedPicture(picture, box, drawn_texts(picture.figure))


def _lay_out_panel(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout
) -> PrintedPicture:
    """Print the axes of one panel alone, so that they and their texts fill the figure."""
    picture = _build(picture_class, data, layout, picture_class.size[0])
    if layout.panel not in picture.panels:
        if not picture.panels:
            raise InvalidInput("this picture has no panels; print the whole picture")
        raise UnknownName("panel", layout.panel, picture.panels)
    axes = list(picture._named_panels[layout.panel])
    _hide_all_but(picture, axes)
    places = _relative_places(axes)
    ratio = _height_of(axes[0])
    figure, room = picture.figure, layout.width - 2 * MARGIN
    width, lines = 0.8 * room, _long_lines(axes)
    for _ in range(ROUNDS):
        _place(figure, axes, places, width, ratio)
        _wrap(figure, lines, room, width, ratio * width)
        drawn = _extent(picture)
        width = max(width + room - drawn.width, NARROWEST * layout.width)
    _place(figure, axes, places, width, ratio)
    drawn = _extent(picture)
    left = (drawn.x0 + drawn.x1 - layout.width) / 2
    box = Bbox([[left, drawn.y0 - MARGIN], [left + layout.width, drawn.y1 + MARGIN]])
    return PrintedPicture(picture, box, drawn_texts(figure))


def _build(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout, width: float
) -> Picture:
    """Build a picture at a width, and hide what only screens need."""
    picture = build_with_size(picture_class, data, width, layout.font_size)
    for artist in picture._screen_only if layout.plain else ():
        artist.set_visible(False)
    return picture


def _extent(picture: Picture) -> Bbox:
    """Return the box of everything that is drawn, in inches."""
    figure = picture.figure
    with styled(picture._lacks_glyphs, picture.settings):
        renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        figure.draw_without_rendering()
        return figure.get_tightbbox(renderer)


def _advice(
    picture_class: type[Picture],
    data: xarray.Dataset,
    layout: PrintLayout,
    printed: PrintedPicture,
    problems: list[str],
) -> str:
    """Return a message about texts that do not fit, with a width at which they do."""
    others = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    text = f"texts do not fit at {layout.width:.3g} in: {problems[0]}{others}"
    remedies = []
    if not layout.panel and printed.picture.panels:
        remedies.append(f"print one panel ({', '.join(printed.picture.panels)})")
    low, high = 0, len(FACTORS)
    while low < high:  # The smallest factor at which all texts fit.
        middle = (low + high) // 2
        wider = replace(layout, width=min(layout.width * FACTORS[middle], WIDTHS[1]))
        if _lay_out(picture_class, data, wider).problems:
            low = middle + 1
        else:
            high = middle
    if low < len(FACTORS):
        width = np.ceil(10 * layout.width * FACTORS[low]) / 10
        remedies.append(f"use a width of {width:.3g} in")
    remedies.append("use a smaller text size")
    return f"{text}; {' or '.join(remedies)}"


# ---- one panel


def _hide_all_but(picture: Picture, axes: list[Axes]) -> None:
    """Hide everything of a figure but some axes; a legend of the figure moves into the first."""
    figure, main = picture.figure, axes[0]
    if figure.legends and main.get_legend() is None and main.get_legend_handles_labels()[1]:
        main.legend(loc="best")
    for part in figure.get_children():
        if part is not figure.patch and part not in axes:
            part.set_visible(False)


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


def _height_of(axes: Axes) -> float:
    """Return the height of axes as a share of their width, as on the screen."""
    width, height = axes.get_window_extent().size
    if axes.get_aspect() == "auto":
        return float(np.clip(height / width, LOWEST, HIGHEST))
    return float(height / width)


def _place(figure: Any, axes: list[Axes], places: list[Any], width: float, ratio: float) -> None:
    """Set the main axes to a width in inches and the others in proportion, in a square figure.

    The file is a part of the figure, so that its edges need not be where texts end.
    """
    height = ratio * width
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
    figure: Any, lines: list[tuple[Text, str, bool]], room: float, width: float, height: float
) -> None:
    """Break titles and labels that are longer than the file is wide, or the axes are high."""
    for text, words, horizontal in lines:
        limit = (min(room, 1.05 * width) if horizontal else max(height, 0.8)) * figure.dpi
        text.set_text(words.replace("\n", " ") if "\n" not in words else words)
        broken, line = [], ""
        for word in words.split(" "):
            text.set_text(f"{line} {word}".strip())
            box = text.get_window_extent()
            if line and (box.width if horizontal else box.height) > limit:
                broken.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        text.set_text("\n".join([*broken, line]))
