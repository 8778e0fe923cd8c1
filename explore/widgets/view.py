"""FigureView: a picture in the browser, with alternative text, targets and pointer events."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from explore.plotting.picture import Target


class FigureView(anywidget.AnyWidget):
    """A widget that shows PNG bytes; it needs no build, no extension and no network.

    Traits:
        png, alt: the picture and its alternative text; set ``alt`` first, because the front end
            redraws when ``png`` changes.
        targets: boxes that can be clicked (see ``plotting.Target``), as dicts.
        chosen: ``{"index": i, "count": n}`` after target ``i`` was clicked or selected by keyboard.
        tracks: whether the front end reports pointer events.
        pointer: ``{"kind": "down" | "move" | "up", "x": ..., "y": ...}``; x and y are fractions
            of the picture, from its upper left corner.

    Example:
        >>> view = FigureView()
        >>> view.show(b"png", "a red square", [])
        >>> view.alt
        'a red square'
    """

    _esm = Path(__file__).parent / "figure_view.js"
    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    targets: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    tracks = traitlets.Bool(False).tag(sync=True)
    pointer = traitlets.Dict().tag(sync=True)

    def show(self, png: bytes, alt: str, targets: Sequence[Target]) -> None:
        """Show a picture with its alternative text and its targets."""
        edges = ("left", "top", "right", "bottom")
        boxes = [
            {edge: round(getattr(target, edge), 4) for edge in edges} | {"label": target.label}
            for target in targets
        ]
        self.alt = alt
        if boxes != self.targets:
            self.targets = boxes
        self.png = png


def still_mimebundle(png: bytes, alt: str) -> dict[str, Any]:
    """Return what a saved notebook keeps of a picture: HTML with its text, PNG, and the text."""
    data = base64.b64encode(png).decode()
    return {
        "text/html": f'<img alt="{html.escape(alt, quote=True)}" '
        f'src="data:image/png;base64,{data}" style="max-width:100%">',
        "image/png": data,
        "text/plain": alt,
    }
