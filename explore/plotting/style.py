"""How all pictures look: type sizes, line widths and palettes that colour-blind readers can tell apart."""

from __future__ import annotations

from typing import Any

DPI = 100
"""Pixels an inch on screen; files for print are written at ``PRINT_DPI``."""

PRINT_DPI = 300

PALETTE = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#AA4499",
    "black": "#000000",
    "grey": "#767676",
}
"""Okabe and Ito's colours, less the light ones that do not stand out on white (all ≥ 3:1 against it)."""

MARKERS = {"blue": "o", "vermilion": "s", "green": "^", "purple": "D", "black": "v"}
"""A marker for each colour, so that nothing is told by colour alone."""

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
"""For maps: rises evenly in lightness."""

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same pixels everywhere
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FRAME_GREY,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.interpolation": "nearest",
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "svg.hashsalt": "explore",  # the same file for the same picture
}
"""Settings used inside ``matplotlib.rc_context`` alone; the reader's own are not touched."""


def set_title(axes: Any, text: str) -> Any:
    """A left-aligned title that may change while the picture is updated."""
    return axes.text(
        0,
        1.03,
        text,
        transform=axes.transAxes,
        ha="left",
        va="bottom",
        fontsize=STYLE["axes.titlesize"],
    )
