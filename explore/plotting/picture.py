"""Picture: a figure built once from a Dataset and then only updated, so that it can be dragged."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from explore.plotting.png import encode
from explore.plotting.style import DPI, STYLE

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


_LOCK = threading.RLock()


@dataclass(frozen=True)
class Target:
    """A part of a picture that can be clicked: its box in fractions of the picture (from the upper left corner),
    what a screen reader says of it, and the state it sets.
    """

    left: float
    top: float
    right: float
    bottom: float
    label: str
    state: Mapping[str, Any] = field(default_factory=dict)


class Picture:
    """Base of all pictures. A subclass says how to ``build`` it, ``show`` data in it, and ``describe`` it in words.

    The axes, labels and everything that never changes are drawn once and kept as a background; an
    update restores it and draws only the artists given to ``moving``. The result is the same, pixel
    for pixel, as a new picture of the same data.

    Args:
        data: the first Dataset to show; later ones must have the same sizes and coordinates
            (``fits`` tells).
    """

    size: tuple[float, float] = (9.0, 5.0)
    title = ""
    structural: tuple[str, ...] = ()
    """Names of scalar coordinates and attributes that determine the axes, such as the quantity on the y axis.
    Data with another value of one of them need a new picture."""

    def __init__(self, data: xarray.Dataset) -> None:
        self._moving: list[tuple[Axes | None, Artist]] = []
        self._background: Any = None
        self._structure = _structure(data, self.structural)
        with _styled():
            self.figure = Figure(figsize=self.size, dpi=DPI, facecolor="white")
            self._canvas = FigureCanvasAgg(self.figure)
            self.build(data)
        self.update(data)

    # what a subclass says
    def build(self, data: xarray.Dataset) -> None:
        """Create axes and artists; give those that change to ``moving``."""
        raise NotImplementedError

    def show(self, data: xarray.Dataset) -> None:
        """Set the moving artists from data."""
        raise NotImplementedError

    def describe(self, data: xarray.Dataset) -> str:
        """The alternative text: what this state shows, in one to three sentences."""
        raise NotImplementedError

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        """The plotted numbers."""
        raise NotImplementedError

    def targets(self, data: xarray.Dataset) -> list[Target]:
        """What can be clicked."""
        return []

    grabs = False
    """Whether parts of it can be dragged; then ``grab`` and ``pull`` say which and how."""

    def grab(self, data: xarray.Dataset, x: float, y: float) -> str | None:
        """The handle at a point, in fractions of the picture from its upper left corner; None where there is none."""
        return None

    def pull(self, data: xarray.Dataset, handle: str, x: float, y: float) -> Mapping[str, Any]:
        """The state that takes a handle to a point; numbers go to the nearest value that their control has."""
        return {}

    # what it gets
    def moving(self, artist: Any) -> Any:
        """Mark an artist as one that changes with the data; returns it."""
        artist.set_animated(True)
        self._moving.append((artist.axes, artist))
        return artist

    def fits(self, data: xarray.Dataset) -> bool:
        """Whether ``update`` can show these data, or a new picture is needed."""
        return _structure(data, self.structural) == self._structure

    def update(self, data: xarray.Dataset) -> None:
        """Show other data."""
        with _styled():
            self.show(data)

    def png(self) -> bytes:
        """The picture as it stands, at screen resolution."""
        with _styled():
            if self._background is None:
                self._canvas.draw()
                self._background = self._canvas.copy_from_bbox(self.figure.bbox)
            self._canvas.restore_region(self._background)
            for axes, artist in sorted(self._moving, key=lambda pair: pair[1].get_zorder()):
                (axes or self.figure).draw_artist(artist)
        return encode(np.asarray(self._canvas.buffer_rgba()))

    def write(self, file: Any, kind: Literal["png", "svg", "pdf"], dpi: int) -> None:
        """The picture as it stands, in a format for print."""
        dateless = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        with _styled():
            try:
                for (
                    _,
                    artist,
                ) in self._moving:  # matplotlib leaves animated texts of the figure out of files
                    artist.set_animated(False)
                self.figure.savefig(file, format=kind, dpi=dpi, metadata=dateless)
            finally:
                for _, artist in self._moving:
                    artist.set_animated(True)
        self._background = None  # savefig leaves the canvas at another size

    def inches(self, axes: Any, place: tuple[float, float], x: float, y: float) -> float:
        """How far a place in data coordinates is from a point in fractions of the picture."""
        at = self.figure.transFigure.inverted().transform(axes.transData.transform(place))
        return (
            float(((at[0] - x) * self.size[0]) ** 2 + ((1 - at[1] - y) * self.size[1]) ** 2) ** 0.5
        )

    def place(self, axes: Any, x: float, y: float) -> tuple[float, float]:
        """A point in fractions of the picture, from its upper left corner, in data coordinates."""
        at = axes.transData.inverted().transform(self.figure.transFigure.transform((x, 1 - y)))
        return float(at[0]), float(at[1])

    def box(
        self, axes: Any, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """A box in data coordinates as fractions of the picture: left, top, right, bottom from its upper left corner."""
        corners = axes.transData.transform([(left, top), (right, bottom)])
        (x0, y0), (x1, y1) = self.figure.transFigure.inverted().transform(corners)
        return (
            float(min(x0, x1)),
            float(1 - max(y0, y1)),
            float(max(x0, x1)),
            float(1 - min(y0, y1)),
        )


@contextmanager
def _styled() -> Iterator[None]:
    """Our style inside, the reader's own settings after. One at a time: matplotlib's settings belong to the whole process,
    and a live job may draw while the reader moves a slider.
    """
    with _LOCK, mpl.rc_context(STYLE):
        yield


def _structure(data: xarray.Dataset, structural: tuple[str, ...]) -> tuple[Any, ...]:
    """Collect what a picture is built around: sizes, the names and numbers on its axes, and ``structural`` scalars."""
    names = tuple(
        (str(name), tuple(map(str, data[name].values.ravel())))
        for name in data.coords
        if data[name].ndim == 1
    )
    scalars = tuple(
        str(data[name].values if name in data.coords else data.attrs[name]) for name in structural
    )
    return (
        tuple(sorted((str(k), v) for k, v in data.sizes.items())),
        names,
        tuple(sorted(map(str, data.data_vars))),
        scalars,
    )
