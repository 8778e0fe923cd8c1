"""FigureView: a picture in the browser, with alternative text, targets and pointer events."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from explore.plotting.picture import Target
from explore.plotting.style import LEAST_SCALE

FOLDER = Path(__file__).parent

SCRIPTS = ("saved_outputs.js", "figure_view.js")
"""Parts of one module: a widget cannot import files."""

STILL = """\
%NOTE%<img alt="%ALT%" src="data:image/png;base64,%PNG%" style="max-width:100%">
<p><small>Still picture, not running: run this cell to use its controls.</small></p>"""
"""What a saved notebook shows. Where the explorer runs, it takes the place of this."""


class FigureView(anywidget.AnyWidget):
    """A widget that shows PNG bytes; it needs no build, no extension and no network.

    Traits:
        png, alt: the picture and its alternative text; set ``alt`` first, because the front end
            redraws when ``png`` changes.
        note: a line above the picture, such as the reader's prediction.
        still: a smaller PNG of the present state, for the saved notebook; empty until one is made.
        root: the identifier of the widget that the cell shows, which contains this one.
        targets: boxes that can be clicked (see ``plotting.Target``), as dicts.
        chosen: ``{"index": i, "count": n}`` after target ``i`` was clicked or selected by keyboard.
        tracks: whether the front end reports pointer events.
        pointer: ``{"kind": "down" | "move" | "up" | "hover", "x": ..., "y": ...}``; x and y are
            fractions of the picture, from its upper left corner.
        hover: the value under the pointer, in words.
        dark: whether the page has a dark theme.
        formats: what the picture can be saved as; without one there are no buttons.
        drags: whether parts can be dragged, so that there is an Undo button.
        code: a line of code that shows this state again.

    Example:
        >>> view = FigureView()
        >>> view.show(b"png", "a red square", [])
        >>> view.alt
        'a red square'
    """

    _esm = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    _css = FOLDER / "figure_view.css"
    png = traitlets.Bytes(b"").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    still = traitlets.Bytes(b"").tag(sync=True)
    root = traitlets.Unicode("").tag(sync=True)
    targets: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    chosen = traitlets.Dict().tag(sync=True)
    tracks = traitlets.Bool(False).tag(sync=True)
    pointer = traitlets.Dict().tag(sync=True)
    hover = traitlets.Unicode("").tag(sync=True)
    dark = traitlets.Bool(False).tag(sync=True)
    formats: traitlets.List[str] = traitlets.List().tag(sync=True)
    drags = traitlets.Bool(False).tag(sync=True)
    code = traitlets.Unicode("").tag(sync=True)
    template = traitlets.Unicode(STILL).tag(sync=True)
    least = traitlets.Float(LEAST_SCALE).tag(sync=True)

    def show(self, png: bytes, alt: str, targets: Sequence[Target]) -> None:
        """Show a picture with its alternative text and its targets."""
        edges = ("left", "top", "right", "bottom")
        boxes = [
            {edge: round(getattr(target, edge), 4) for edge in edges} | {"label": target.label}
            for target in targets
        ]
        self.still = b""
        self.alt = alt
        if boxes != self.targets:
            self.targets = boxes
        self.png = png

    def belongs_to(self, widget: ipywidgets.Widget) -> None:
        """Set the root: the widget that the cell shows. A closed widget is shown nowhere."""
        self.root = "" if widget.comm is None else widget.model_id

    def download(self, name: str, content: bytes) -> None:
        """Let the browser save a file."""
        self.send({"do": "download", "name": name, "type": "application/octet-stream"}, [content])


def still_mimebundle(png: bytes, alt: str, note: str = "") -> dict[str, Any]:
    """Return what a saved notebook keeps of a picture: HTML with its text, PNG, and the text."""
    data = base64.b64encode(png).decode()
    fields = {
        "%NOTE%": f"<p>{html.escape(note)}</p>\n" if note else "",
        "%ALT%": html.escape(alt, quote=True),
        "%PNG%": data,
    }
    still = STILL
    for field, text in fields.items():
        still = still.replace(field, text)
    return {
        "text/html": still,
        "image/png": data,
        "text/plain": f"{note}\n{alt}" if note else alt,
    }
