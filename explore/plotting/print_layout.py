"""Pictures for print: built anew at a width, with one size of text, and nothing that only a screen
needs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.transforms import Bbox

from explore.core.validation import check_flag, check_number, check_text, describe
from explore.errors import ExploreWarning, InvalidInput, UnknownName
from explore.plotting.picture import Picture
from explore.plotting.print_panel import lay_out_panel
from explore.plotting.print_sizes import SCREEN_SIZE, break_lines, build_with_size, extent
from explore.plotting.printed_texts import DrawnText, cut_off, drawn_texts, overlaps

if TYPE_CHECKING:
    import xarray

UNITS = {"in": 1.0, "mm": 1 / 25.4, "cm": 1 / 2.54, "pt": 1 / 72}
"""Units of a width, in inches; pt is the point of PDF."""

WIDTHS = (1.0, 20.0)
FONT_SIZES = (4.0, 24.0)
MARGIN = 0.02
"""Inches between what is drawn and the edges of the file."""
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

    def write(
        self, file: Any, kind: Literal["png", "svg", "pdf"], dpi: int, metadata: Mapping[str, Any]
    ) -> None:
        """Write the part of the figure that is the file; see ``Picture.write``."""
        box = self.box
        if kind == "png":  # A rounding error would cost a column of pixels.
            box = Bbox.from_extents(box.x0, box.y0, box.x1 + 1e-9, box.y1)
        self.picture.write(file, kind, dpi, metadata, box)


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
    if not layout.panel:
        return _lay_out_all(picture_class, data, layout)
    picture = _build(picture_class, data, layout, picture_class.size[0])
    if not picture.panels:
        raise InvalidInput("this picture has no panels; print the whole picture")
    if layout.panel not in picture.panels:
        raise UnknownName("panel", layout.panel, picture.panels)
    axes = list(picture._named_panels[layout.panel])
    lay_out_panel(picture, axes, layout.width - 2 * MARGIN, layout.font_size / SCREEN_SIZE)
    return PrintedPicture(picture, _file_box(extent(picture), layout), drawn_texts(picture.figure))


def _lay_out_all(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout
) -> PrintedPicture:
    """Build the whole picture so wide that what it draws has exactly the width of the file.

    Blank margins of the screen are used, and a longer text at a side makes room for itself.
    """
    target, width, slope, tried = layout.width - 2 * MARGIN, layout.width, 1.0, None
    for attempt in range(ROUNDS):
        picture = _build(picture_class, data, layout, width)
        _wrap_long_texts(picture.figure, width - MARGIN)
        drawn = extent(picture)
        if abs(target - drawn.width) < MARGIN / 2 or attempt == ROUNDS - 1:
            break
        if tried and tried[0] != width:  # Texts do not grow with the figure.
            slope = float(np.clip((drawn.width - tried[1]) / (width - tried[0]), 0.2, 1))
        tried = width, drawn.width
        width += (target - drawn.width) / slope
        width = float(np.clip(width, 0.6 * layout.width, 1.4 * layout.width))
    return PrintedPicture(picture, _file_box(drawn, layout), drawn_texts(picture.figure))


def _build(
    picture_class: type[Picture], data: xarray.Dataset, layout: PrintLayout, width: float
) -> Picture:
    """Build a picture at a width, and hide what only screens need."""
    picture = build_with_size(picture_class, data, width, layout.font_size)
    for artist in picture._screen_only if layout.plain else ():
        artist.set_visible(False)
    return picture


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


def _file_box(content: Bbox, layout: PrintLayout) -> Bbox:
    """Return the part of a figure that is written: as wide as the file, around the middle."""
    left = (content.x0 + content.x1 - layout.width) / 2
    right = left + layout.width
    return Bbox([[left, content.y0 - MARGIN], [right, content.y1 + MARGIN]])


def _wrap_long_texts(figure: Any, width: float) -> None:
    """Break sentences of a figure that are longer than the figure is wide."""
    limit = width * figure.dpi
    for text in figure.texts:
        if text.get_visible() and text.get_ha() == "left" and not text.get_rotation():
            box = text.get_window_extent()
            if box.x1 > limit and limit - box.x0 > 0.3 * limit:
                break_lines(text, text.get_text(), limit - box.x0, True)
