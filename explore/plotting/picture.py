"""Picture: a figure that is built once from a Dataset and then updated, fast enough to drag."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from explore.plotting.dark import Canvas
from explore.plotting.png import encode
from explore.plotting.pointer import value_at
from explore.plotting.style import DPI, STYLE
from explore.plotting.texts import clean_texts, label_powers, lacks_glyphs

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_STYLE_LOCK = threading.RLock()


@dataclass(frozen=True)
class Target:
    """A part of a picture that can be clicked.

    Args:
        left, top, right, bottom: its box, in fractions of the picture from the upper left corner.
        label: the text for screen readers.
        state: the state that a click sets.
    """

    left: float
    top: float
    right: float
    bottom: float
    label: str
    state: Mapping[str, Any] = field(default_factory=dict)


class Picture:
    """The base of all pictures. A subclass defines ``build``, ``show``, ``describe`` and ``table``.

    Axes, labels and everything else that never changes are drawn once, as a background. An update
    restores the background and draws only the artists marked by ``moving``. The result equals a new
    picture of the same data, pixel for pixel.

    Args:
        data: the first Dataset to show; later ones must fit (see ``fits``).
    """

    size: tuple[float, float] = (9.0, 5.0)
    title = ""
    structural: tuple[str, ...] = ()
    """Names of scalar coordinates and attributes that determine the axes, such as the measure on
    the y axis. Data with another value of one of them need a new picture."""
    settings: Mapping[str, Any] = {}
    """Settings of Matplotlib on top of ``STYLE``, such as the sizes of a picture for print."""
    grabs = False
    """Whether parts of the picture can be dragged, by ``grab`` and ``pull``."""
    picks = False
    """Whether a pointer selects the closest of many parts, by ``pick``. Targets are for few."""

    def __init__(self, data: xarray.Dataset) -> None:
        self._moving: list[tuple[Axes | None, Artist]] = []
        self._named_panels: dict[str, tuple[Axes, ...]] = {}
        self._screen_only: list[Artist] = []
        self._backgrounds: dict[bool, Any] = {}  # light and dark
        self._structure = _structure(data, self.structural)
        data = clean_texts(data)
        self._lacks_glyphs = lacks_glyphs(data)
        with styled(self._lacks_glyphs, self.settings):
            self.figure = Figure(figsize=self.size, dpi=DPI, facecolor="white")
            self._canvas = Canvas(self.figure)
            self.build(data)
            label_powers(self.figure)
        self.update(data)

    # ---- what a subclass defines

    def build(self, data: xarray.Dataset) -> None:
        """Create axes and artists, and mark those that change by ``moving``."""
        raise NotImplementedError

    def show(self, data: xarray.Dataset) -> None:
        """Set the moving artists from the data."""
        raise NotImplementedError

    def describe(self, data: xarray.Dataset) -> str:
        """Return the alternative text: one to three sentences about this state."""
        raise NotImplementedError

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """Return the plotted numbers."""
        raise NotImplementedError

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """Return the parts that can be clicked."""
        return []

    def grab(self, data: xarray.Dataset, x: float, y: float) -> str | None:
        """Return the handle at a point, in fractions from the upper left corner, or None."""
        return None

    def pull(self, data: xarray.Dataset, handle: str, x: float, y: float) -> Mapping[str, Any]:
        """Return the state that moves a handle to a point; controls take their nearest value."""
        return {}

    def pick(self, data: xarray.Dataset, x: float, y: float) -> Mapping[str, Any]:
        """Return the state that a pointer at a point sets, in fractions from the upper left corner.

        Every state that can be picked has a control too, for those who use the keyboard.
        """
        return {}

    # ---- what every picture has

    def moving(self, artist: Any) -> Any:
        """Mark an artist that changes with the data, and return it."""
        artist.set_animated(True)
        self._moving.append((artist.axes, artist))
        return artist

    def panel(self, name: str, *axes: Axes) -> None:
        """Name axes that can be printed alone, such as ``picture.panel("curve", axes)``.

        Args:
            name: on the command line, one or two plain words with a hyphen between them.
            axes: the main axes, then those that belong to it, such as a colour bar or a twin. What
                is drawn in them is printed, but no text of the figure. Their titles and labels must
                therefore be texts of the axes.
        """
        self._named_panels[name] = axes

    def furniture(self, artist: Any) -> Any:
        """Mark an artist that only a screen needs, and return it.

        Examples are a heading that is a sentence, a hint such as "(click one)", the frame around
        what is selected, and the axes of buttons. ``explore figure --plain`` does not print them.
        """
        self._screen_only.append(artist)
        return artist

    @property
    def panels(self) -> tuple[str, ...]:
        """The names of the panels, in the order in which they were named."""
        return tuple(self._named_panels)

    def fits(self, data: xarray.Dataset) -> bool:
        """Return whether ``update`` can show these data; if not, they need a new picture."""
        return _structure(data, self.structural) == self._structure

    def update(self, data: xarray.Dataset) -> None:
        """Show other data."""
        data = clean_texts(data)
        self._lacks_glyphs = lacks_glyphs(data)
        with styled(self._lacks_glyphs, self.settings):
            self.show(data)

    def png(self, dark: bool = False) -> bytes:
        """Return the picture as PNG, at screen resolution; in dark colours if asked for."""
        canvas: Any = self._canvas  # Matplotlib has no types for the methods of a canvas.
        with styled(self._lacks_glyphs, self.settings):
            canvas.dark = dark
            if dark not in self._backgrounds:
                canvas.draw()
                self._backgrounds[dark] = canvas.copy_from_bbox(self.figure.bbox)
            canvas.restore_region(self._backgrounds[dark])
            for axes, artist in sorted(self._moving, key=lambda pair: pair[1].get_zorder()):
                (axes or self.figure).draw_artist(artist)
            pixels = np.asarray(canvas.buffer_rgba())
            canvas.dark = False
        return encode(pixels)

    def value_at(self, data: xarray.Dataset, x: float, y: float) -> str:
        """Return the value under a pointer, in fractions from the upper left corner, in words."""
        return value_at(self.figure, x, y)

    def write(
        self,
        file: Any,
        kind: Literal["png", "svg", "pdf"],
        dpi: int,
        metadata: Mapping[str, str] = {},
        box: Bbox | None = None,
    ) -> None:
        """Write the picture to a binary file in a format for print.

        Args:
            file: a binary file.
            kind: the format.
            dpi: pixels per inch, of PNG and of images in the other formats.
            metadata: of the file, with the keys that Matplotlib allows in this format.
            box: the part of the figure that is written, in inches; by default all of it.
        """
        no_date = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        artists = [artist for _, artist in self._moving]
        with styled(self._lacks_glyphs, self.settings):
            try:
                for artist in artists:  # Matplotlib does not write animated texts of a figure.
                    artist.set_animated(False)
                self.figure.savefig(
                    file, format=kind, dpi=dpi, metadata={**metadata, **no_date}, bbox_inches=box
                )
            finally:
                for artist in artists:
                    artist.set_animated(True)
        self._backgrounds.clear()  # because savefig changes the size of the canvas

    def inches(self, axes: Axes, place: tuple[float, float], x: float, y: float) -> float:
        """Return the distance in inches from a point in data coordinates to fractions (x, y)."""
        left, bottom = self.figure.transFigure.inverted().transform(axes.transData.transform(place))
        width, height = self.size
        return math.hypot((left - x) * width, (1 - bottom - y) * height)

    def place(self, axes: Axes, x: float, y: float) -> tuple[float, float]:
        """Return the data coordinates of a point in fractions from the upper left corner."""
        pixel = self.figure.transFigure.transform((x, 1 - y))
        left, bottom = axes.transData.inverted().transform(pixel)
        return float(left), float(bottom)

    def box(
        self, axes: Axes, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """Return a box in data coordinates as fractions of the picture.

        Returns:
            Left, top, right and bottom, from the upper left corner.
        """
        corners = axes.transData.transform([(left, top), (right, bottom)])
        x, y = self.figure.transFigure.inverted().transform(corners).T
        return float(min(x)), float(1 - max(y)), float(max(x)), float(1 - min(y))


@contextmanager
def styled(lacks_glyphs: bool = False, settings: Mapping[str, Any] = {}) -> Iterator[None]:
    """Use the style of explore in this context, in one thread at a time.

    Matplotlib's settings belong to the process, and a live job may draw while a reader moves a
    slider. So do the filters of warnings, which are only changed for a name with characters that
    the font lacks: a box is drawn for each of them.
    """
    style: Any = {**STYLE, **settings}
    with _STYLE_LOCK, mpl.rc_context(style):
        if not lacks_glyphs:
            yield
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            yield


def _structure(data: xarray.Dataset, structural: tuple[str, ...]) -> tuple[Any, ...]:
    """Return what the axes depend on: sizes, variables, coordinates and ``structural`` scalars."""
    coordinates = tuple(
        (str(name), tuple(map(str, data[name].values.ravel())))
        for name in data.coords
        if data[name].ndim == 1
    )
    scalars = tuple(
        str(data[name].values if name in data.coords else data.attrs[name]) for name in structural
    )
    sizes = tuple(sorted((str(name), size) for name, size in data.sizes.items()))
    return sizes, coordinates, tuple(sorted(map(str, data.data_vars))), scalars
