"""The style of all pictures: text sizes, line widths, and colours for colour-blind readers too."""

from __future__ import annotations

from typing import Any

DPI = 100
"""Pixels per inch on the screen; files for print have ``PRINT_DPI``."""

PRINT_DPI = 300

LEAST_SCALE = 0.72
"""Pictures are not shown smaller than this on a page: their smallest text, of 9 points, has 12.5
pixels when it is drawn, and 9 pixels then. Where there is less room, they scroll."""

PALETTE = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#AA4499",
    "black": "#000000",
    "grey": "#767676",
}
"""Colours of Okabe and Ito without the light ones: all have a contrast of 3:1 or more to white."""

TEXT_PALETTE = {**PALETTE, "vermilion": "#AD4B00", "green": "#007A59", "grey": "#666666"}
"""The same colours for text: their contrast to white and to light cells is 4.5:1 or more."""

MARKERS = {"blue": "o", "vermilion": "s", "green": "^", "purple": "D", "black": "v"}
"""A marker for each colour, so that no information is in the colour alone."""

FRAME_GREY = "#444444"  # frames of axes, rules, secondary text
CURVE_GREY = "#555555"  # curves and notes in the background
LABEL_GREY = "#666666"  # labels of reference lines
EDGE_GREY = "#999999"  # edges of cells and images
BAR_GREY = "#bbbbbb"  # bars without a class
AREA_GREY = "#cfcfcf"  # areas under a density
GRID_GREY = "#dddddd"
LIGHT_GRID_GREY = "#e5e5e5"
BAND_GREY = "#f0f0f0"  # bands behind some of the columns
CELL_GREY = "#f4f4f4"  # empty cells
CONTOUR_GREYS = ("#ededed", "#dcdcdc", "#c8c8c8", "#b0b0b0")
"""Fills between contour lines, from the lowest density to the highest."""

SEQUENTIAL = "viridis"
"""The colour map of maps; its lightness rises evenly."""

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "font.family": "DejaVu Sans",  # is part of matplotlib: the same pixels everywhere
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FRAME_GREY,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.interpolation": "nearest",
    "text.parse_math": False,  # a $ in a name is a $; see explore.plotting.texts
    "svg.fonttype": "none",  # text is saved as text
    "pdf.fonttype": 42,
    "svg.hashsalt": "explore",  # the same file for the same picture
}
"""Settings for ``matplotlib.rc_context``; the settings of the reader do not change."""


def text_colour(colour: str) -> str:
    """Return the colour of text that belongs to a line or a marker of this colour.

    Example:
        >>> text_colour("#D55E00"), text_colour("#123456")
        ('#AD4B00', '#123456')
    """
    names = [name for name, value in PALETTE.items() if value == colour]
    return TEXT_PALETTE[names[0]] if names else colour


def set_title(axes: Any, text: str) -> Any:
    """Add a left-aligned title that may change in updates, and return it."""
    return axes.text(
        0,
        1.03,
        text,
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        fontsize=STYLE["axes.titlesize"],
    )
