"""A picture with all texts in one size, and all other sizes in points in proportion.

Here is also what measures such a picture, and what breaks its texts into lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import Axis
from matplotlib.collections import Collection
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from explore.plotting.picture import Picture, styled
from explore.plotting.style import STYLE

if TYPE_CHECKING:
    import xarray

SCREEN_SIZE = float(STYLE["font.size"])
"""The text size, in points, that line widths and markers of pictures are chosen for."""

MEASURED: Mapping[type[Artist], tuple[str, ...]] = {
    Line2D: ("linewidth", "markersize", "markeredgewidth"),
    Patch: ("linewidth",),
    Collection: ("linewidth", "sizes"),
    FancyArrowPatch: ("mutation_scale",),
}
"""Properties in points; the sizes of markers in a collection are in square points."""

Sizes = dict[tuple[int, str], Any]
"""Values that were set, by the identity of an artist and the name of a property."""


def build_with_size(
    picture_class: type[Picture], data: xarray.Dataset, width: float, size: float
) -> Picture:
    """Build a picture at a width with all texts in one size.

    Args:
        picture_class: of the picture.
        data: the Dataset that it shows.
        width: of the figure, in inches; its height is in proportion, as on the screen.
        size: of all texts, in points.

    Returns:
        A picture that is not updated any more: all its artists are drawn with the background.
    """
    share = size / SCREEN_SIZE
    height = picture_class.size[1] * width / picture_class.size[0]
    attributes = {"size": (width, height), "settings": _settings(size, share)}
    printed_class = type(picture_class.__name__, (picture_class,), attributes)
    picture: Picture = printed_class(data)
    sizes: Sizes = {}
    _resize(picture, size, share, sizes)
    picture.update(data)  # Some texts are placed by the size of others.
    _resize(picture, size, share, sizes)
    for _, artist in picture._moving:  # Matplotlib leaves animated artists out.
        artist.set_animated(False)
    return picture


def _settings(size: float, share: float) -> dict[str, Any]:
    """Return settings of Matplotlib: texts of one size, ticks and distances in proportion."""
    texts = (
        "font.size",
        "axes.titlesize",
        "axes.labelsize",
        "legend.fontsize",
        "legend.title_fontsize",
        "xtick.labelsize",
        "ytick.labelsize",
    )
    lengths = {"axes.labelpad": 4.0, "axes.titlepad": 6.0, "grid.linewidth": 0.8}
    for axis in ("xtick", "ytick"):
        lengths |= {f"{axis}.major.size": 3.5, f"{axis}.major.width": 0.8}
        lengths |= {f"{axis}.minor.size": 2.0, f"{axis}.minor.width": 0.6}
        lengths |= {f"{axis}.major.pad": 3.5, f"{axis}.minor.pad": 3.4}
    return dict.fromkeys(texts, size) | {key: share * value for key, value in lengths.items()}


def _resize(picture: Picture, size: float, share: float, sizes: Sizes) -> None:
    """Set the size of all texts, and multiply what is measured in points by a share.

    Args:
        picture: whose artists are changed.
        size: of texts, in points.
        share: of line widths and markers.
        sizes: what was set before, by the identity of artists; such an artist is left as it is,
            unless the picture has changed it since.
    """
    for axes in picture.figure.axes:
        axes.tick_params(which="both", labelsize=size)
    for artist in _artists(picture.figure):
        if isinstance(artist, Text):
            artist.set_fontsize(size)
        if isinstance(artist, Annotation) and artist.anncoords == "offset points":
            _multiply(artist, "xyann", share, sizes)
        for kind, names in MEASURED.items():
            for name in names if isinstance(artist, kind) else ():
                _multiply(artist, name, share**2 if name == "sizes" else share, sizes)


def _multiply(artist: Any, name: str, share: float, sizes: Sizes) -> None:
    """Multiply a property of an artist, unless it still has the value that was set before."""
    getter, setter = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
    value = getter() if getter else getattr(artist, name, None)
    if value is None or (name == "sizes" and not len(value)):
        return
    key = (id(artist), name)
    if key in sizes and np.array_equal(sizes[key], value):
        return
    new: Any = np.multiply(value, share)
    new = float(new) if new.ndim == 0 else (tuple(new.tolist()) if name == "xyann" else new)
    if setter:
        setter(new)
    else:
        setattr(artist, name, new)
    sizes[key] = getter() if getter else new


def _artists(artist: Artist) -> Iterator[Artist]:
    """Yield an artist and all parts of it, except the lines of ticks, which have settings."""
    yield artist
    if isinstance(artist, Axis):
        yield artist.label
        yield artist.offsetText
        return
    for part in artist.get_children():
        yield from _artists(part)


def extent(picture: Picture) -> Bbox:
    """Return the box of everything that is drawn, in inches."""
    figure = picture.figure
    for line in figure.findobj(Line2D):
        if not np.isfinite(line.get_xydata()).all(axis=1).any():  # It would count as a point at 0.
            line.set_in_layout(False)
    with styled(picture._lacks_glyphs, picture.settings):
        renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        figure.draw_without_rendering()
        return figure.get_tightbbox(renderer)


def break_lines(text: Text, words: str, limit: float, horizontal: bool) -> None:
    """Set a text to words in as many lines as it needs to be no longer than a limit, in pixels."""
    finished = []
    for paragraph in words.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            text.set_text(longer)
            box = text.get_window_extent()
            if line and (box.width if horizontal else box.height) > limit:
                finished.append(line)
                longer = word
            line = longer
        finished.append(line)
    text.set_text("\n".join(finished))
