"""Texts of pictures: a name is drawn letter by letter, whatever characters it holds.

Names of classes, methods and data sets come from files of others. Matplotlib would read those with
two ``$`` as TeX, warn of characters that its font lacks, and fail on some. So the style of pictures
turns TeX off, and what pictures need in its place is here: powers as tick labels, and letters as
markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogFormatterMathtext, LogFormatterSciNotation

from explore.plotting.style import STYLE

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Is drawn for a character that is no letter, such as a control character."""

UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters except the line feed, halves of characters, and what XML does not allow."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean_text(text: str) -> str:
    """Return a text with a replacement for each character that no font and no file can have.

    Example:
        >>> clean_text("US$ and\\x07 A$")
        'US$ and� A$'
    """
    return UNPRINTABLE.sub(REPLACEMENT, text)


def clean_texts(data: xarray.Dataset) -> xarray.Dataset:
    """Return a Dataset whose names and attributes can be drawn; the same one if all of them can."""
    if not any(UNPRINTABLE.search(text) for text in _texts(data)):
        return data
    attributes = {
        key: clean_text(value) if isinstance(value, str) else value
        for key, value in data.attrs.items()
    }
    replaced = {
        name: (data[name].dims, _clean_array(data[name].values))
        for name in data.variables
        if data[name].dtype.kind in "OUT"
    }
    coordinates = {name: value for name, value in replaced.items() if name in data.coords}
    variables = {name: value for name, value in replaced.items() if name not in data.coords}
    return data.assign(variables).assign_coords(coordinates).assign_attrs(attributes)


def lacks_glyphs(data: xarray.Dataset) -> bool:
    """Return whether the font lacks a character of the names and attributes of a Dataset."""
    characters = {c for text in _texts(data) if not text.isascii() for c in text}
    return not characters <= _font_characters() | {"\n"}


def text_marker(text: str) -> Path:
    """Return a marker for ``plot`` that has the form of a text.

    Example:
        >>> text_marker("3").vertices.shape[1]
        2
    """
    properties = FontProperties(family=STYLE["font.family"])
    outline, codes = text_to_path.get_text_path(properties, text)
    if not len(outline):  # an empty name, or a space
        return Path.unit_circle()
    vertices = np.asarray(outline, float)
    return Path(vertices - (vertices.min(0) + vertices.max(0)) / 2, codes)


class PowerFormatter(LogFormatterSciNotation):
    """Tick labels of logarithmic axes as plain text, such as "10³" and "2×10⁻¹".

    Example:
        >>> PowerFormatter()(1000.0), PowerFormatter()(0.2)
        ('10³', '2×10⁻¹')
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        text = super().__call__(x, pos).replace(r"\times", "×")
        inner = re.sub(r"^\$\\mathdefault\{(.*)\}\$$", r"\1", text)
        base, power, exponent = inner.partition("^{")
        base = base.replace("-", "\N{MINUS SIGN}")
        return base + exponent.removesuffix("}").translate(SUPERSCRIPTS) if power else base


def label_powers(figure: Figure) -> None:
    """Give logarithmic axes tick labels of plain text, where they have Matplotlib's TeX."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            for group in ("major", "minor"):
                formatter = getattr(axis, f"get_{group}_formatter")()
                if isinstance(formatter, LogFormatterMathtext):
                    base = axis.get_transform().base  # type: ignore[attr-defined]
                    plain = PowerFormatter(base, formatter.labelOnlyBase)
                    getattr(axis, f"set_{group}_formatter")(plain)


def _texts(data: xarray.Dataset) -> Iterator[str]:
    """Yield all texts of a Dataset: of its variables, coordinates and attributes."""
    for name in data.variables:
        values = data[name]
        if values.dtype.kind in "OUT":
            yield from map(str, values.values.ravel().tolist())
    yield from (value for value in data.attrs.values() if isinstance(value, str))


def _clean_array(values: np.ndarray) -> np.ndarray:
    cleaned = np.empty(values.shape, object)
    cleaned.ravel()[:] = [
        clean_text(value) if isinstance(value, str) else value for value in values.ravel().tolist()
    ]
    return cleaned


@cache
def _font_characters() -> frozenset[str]:
    """Return the characters that both weights of the font have."""
    weights: Any = ("normal", "bold")
    fonts = [
        FT2Font(findfont(FontProperties(family=STYLE["font.family"], weight=weight)))
        for weight in weights
    ]
    return frozenset.intersection(*(frozenset(map(chr, font.get_charmap())) for font in fonts))
