"""Figures of the catalog as files: as on the screen, or laid out for print."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.core.validation import check_text, describe
from explore.errors import InvalidInput
from explore.plotting.export import check_target, save, select_evenly, write_bytes, write_html
from explore.plotting.figure_source import FigureSource, figure_source
from explore.plotting.file_metadata import FileMetadata
from explore.plotting.picture import Picture
from explore.plotting.print_layout import PrintLayout, print_picture
from explore.plotting.style import PRINT_DPI

if TYPE_CHECKING:
    import xarray

PRINT_FORMATS = ("pdf", "png", "svg")


@dataclass(frozen=True)
class DrawnFigure:
    """A figure of the catalog in one state: its data, and what writes it to a file.

    Args:
        source: of the figure.
        state: such as ``{"step": 40}``.
        data: the Dataset that is shown.
    """

    source: FigureSource
    state: Mapping[str, Any]
    data: xarray.Dataset

    @cached_property
    def picture(self) -> Picture:
        """The picture at the size of the screen."""
        return self.source.picture_class(self.data)

    @property
    def caption(self) -> str:
        """The alternative text, which describes this state."""
        return self.picture.describe(self.data)

    def save(
        self,
        out: str | os.PathLike[str],
        layout: PrintLayout | None = None,
        command: str = "",
    ) -> Path:
        """Write the figure to a file; see ``save_figure``."""
        path, kind = check_target(out)
        if layout is not None and kind not in PRINT_FORMATS:
            raise InvalidInput(
                f"width, text size, plain and panel are for {', '.join(PRINT_FORMATS)}, "
                f"got {path.name}"
            )
        if kind == "html":
            slider = self.source.slider
            # A slider that counts something else than steps stands in place of the step.
            state = {key: value for key, value in self.state.items() if key != "step"}
            return write_html(
                path,
                self.picture,
                slider,
                select_evenly(self.source.positions()),
                lambda position: self.source.data({**state, slider: position}),
                start=self.state.get(slider),
            )
        metadata = FileMetadata(
            self.picture.title, self.caption, self.source.origin(), check_text("command", command)
        )
        if layout is None:
            return save(self.picture, self.data, path, metadata)
        printed = print_picture(self.source.picture_class, self.data, layout)
        buffer = io.BytesIO()
        printed.write(buffer, kind, PRINT_DPI, metadata.fields(kind))  # type: ignore[arg-type]
        return write_bytes(path, buffer.getvalue())


def draw_figure(
    name: str,
    recordings: xarray.Dataset | Sequence[xarray.Dataset] | None,
    state: Mapping[str, Any],
) -> DrawnFigure:
    """Return a figure of the catalog in one state.

    Args:
        name: of the figure.
        recordings: that it shows; None for those that ship, or for a figure that shows none.
        state: such as ``{"step": 40, "label": "Bag"}``; what is left out has its default.

    Raises:
        UnknownName: there is no such figure.
        InvalidInput: the figure has no such state, or cannot show these recordings.

    Example:
        >>> draw_figure("evolution", None, {"step": 3}).caption
        'Class T-shirt of fashion-mnist. DataDAM at step 3: ...'
    """
    source = figure_source(name, recordings)
    return DrawnFigure(source, state, source.data(state))


def save_figure(
    name: str,
    recordings: xarray.Dataset | Sequence[xarray.Dataset] | None,
    state: Mapping[str, Any],
    out: str | os.PathLike[str],
    layout: PrintLayout | None = None,
    command: str = "",
) -> Path:
    """Write a figure of the catalog to a file.

    Args:
        name: of the figure.
        recordings: that it shows; None for those that ship, or for a figure that shows none.
        state: such as ``{"step": 40, "label": "Bag"}``; what is left out has its default.
        out: ends in ``.png``, ``.svg``, ``.pdf``, ``.csv``, or ``.html`` for a page with a slider
            over the steps. Its folder is created, and a file that exists is replaced.
        layout: how it is printed (PNG, SVG and PDF only); by default as on the screen.
        command: a command that makes the file again, for its metadata.

    Raises:
        UnknownName: there is no such figure, format or panel.
        InvalidInput: the figure has no such state, cannot show these recordings, or ``out`` is a
            folder.

    Warns:
        ExploreWarning: texts do not fit at the width of the layout.
    """
    check_target(out)
    if layout is not None and not isinstance(layout, PrintLayout):
        raise InvalidInput(f"layout must be a PrintLayout, got {describe(layout)}")
    return draw_figure(name, recordings, state).save(out, layout, command)
