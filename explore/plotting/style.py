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
    "axes.edgecolor": "#444444",
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
