"""Explorer: state → Dataset → picture, with controls linked to the state."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from explore.errors import ExploreError, InvalidInput, UnknownName
from explore.plotting.export import FORMATS, save, small_png, thinned, write_html
from explore.plotting.picture import Picture
from explore.widgets.controls import Button, Control, Slider
from explore.widgets.view import FigureView, still

if TYPE_CHECKING:
    import xarray

Source = Callable[..., "xarray.Dataset"]


TAKEN = {
    "alt",
    "controls",
    "data",
    "name",
    "picture",
    "quiet",
    "redraw",
    "save",
    "say",
    "set",
    "state",
    "view",
    "widget",
}
"""Names of an explorer's own attributes."""


class Explorer(traitlets.HasTraits):
    """A picture with controls.

    The state is a set of traits, one a control: set them from code, a test, or by hand. Each
    change computes the Dataset anew, ``source(**state)``, and updates the picture at once, in the
    observer: the front end sends only a slider's latest value, a timer would only lag behind it.

    Args:
        source: called with the state as keywords; returns the Dataset to show.
        picture: a ``Picture`` class.
        controls: trait name → ``Slider``, ``Choice`` or ``Button``, in the order shown.
        name: begins the names of saved files.

    Raises:
        InvalidInput: a control has the name of one of the explorer's own attributes.

    Example:
        >>> from explore.distill.figures.evolution import Evolution, evolution
        >>> from explore import open_recording
        >>> from explore.core.resources import shipped
        >>> recording = open_recording(shipped("data/digits-datadam.zarr.zip"))
        >>> steps = Slider("step", recording.step.values.tolist())
        >>> explorer = Explorer(lambda step: evolution(recording, step), Evolution, {"step": steps})
        >>> explorer.step = 1
        >>> explorer.alt
        'Class 0 of digits. DataDAM at step 1: ...'
    """

    def __init__(
        self,
        source: Source,
        picture: type[Picture],
        controls: Mapping[str, Control],
        name: str = "explorer",
    ) -> None:
        super().__init__()
        taken = sorted(key for key in controls if key in TAKEN or hasattr(self, key))
        if taken:
            raise InvalidInput(
                f"a control cannot be called {taken[0]!r}: an explorer has an attribute of that name"
            )
        self._source, self._kind, self.controls, self.name = source, picture, dict(controls), name
        self._names = [key for key, control in controls.items() if not isinstance(control, Button)]
        self.add_traits(**{key: controls[key].trait() for key in self._names})  # type: ignore[union-attr]
        self._lock = threading.RLock()  # a job's thread and the reader may both redraw
        self._held = False
        self.picture: Picture | None = None
        self.data: xarray.Dataset | None = None
        self.view = FigureView()
        self.view.observe(self._choose, "chosen")
        self._handle: str | None = None  # what the pointer holds
        self.view.tracks = picture.grabs
        self.view.observe(self._drag, "pointer")
        linked = [control.link(self, key) for key, control in self.controls.items()]
        self._numbers = ipywidgets.HTML()
        self._said = ipywidgets.HTML()
        row = ipywidgets.HBox(
            linked, layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 1em"}
        )
        self.widget = ipywidgets.VBox([row, self.view, self._footer(), self._numbers])
        self.observe(lambda _: self.redraw(), self._names)
        self.redraw()

    @property
    def state(self) -> dict[str, Any]:
        """The values of all controls; ``explorer.set(**state)`` brings them back."""
        return {key: getattr(self, key) for key in self._names}

    @property
    def alt(self) -> str:
        """The alternative text of what is shown."""
        return self.view.alt

    def set(self, **state: Any) -> None:
        """Set several values and redraw once.

        Raises:
            UnknownName: there is no such control.
            TraitError: the control has no such value; the message lists those it has.
        """
        for key in state:
            if key not in self._names:
                raise UnknownName("control", key, self._names)
        checked = {
            key: self.traits()[key]._validate(self, value) for key, value in state.items()
        }  # all or nothing
        with self.quiet():
            for key, value in checked.items():
                setattr(self, key, value)
        self.redraw()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Change the state inside without a redraw for each change."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def redraw(self) -> None:
        """Compute and show the current state."""
        if self._held:
            return
        with self._lock:
            data = self._source(**self.state)
            if self.picture is not None and self.picture.fits(data):
                self.picture.update(data)
            else:
                self.picture = self._kind(data)
            self.data = data
            self.view.show(
                self.picture.png(), self.picture.describe(data), self.picture.targets(data)
            )
            if self._numbers.value:
                self._numbers.value = self._table()

    def say(self, text: str) -> None:
        """Show a line of text under the picture."""
        self._said.value = html.escape(text)

    def save(self, path: str | Path) -> Path:
        """Write what is shown; the suffix decides: .png, .svg, .pdf, .csv, or .html with the first slider working offline.

        Raises:
            UnknownName: another suffix.
            InvalidInput: .html of an explorer without a slider.
        """
        path = Path(path)
        with self._lock:
            if path.suffix != ".html":
                return save(self.picture, self.data, path)  # type: ignore[arg-type]
            slider = next(
                (key for key in self._names if isinstance(self.controls[key], Slider)), None
            )
            if slider is None:
                raise InvalidInput(
                    "this explorer has no slider for a page to move; save it as .png, .svg or .pdf"
                )
            values = thinned(self.controls[slider].values)  # type: ignore[union-attr]
            shown = self._kind(self.data)  # type: ignore[arg-type]
            return write_html(
                path,
                shown,
                self.controls[slider].label,
                values,
                lambda value: self._source(**{**self.state, slider: value}),
            )

    def _choose(self, change: Any) -> None:
        """A part of the picture was clicked, or chosen by keyboard: do what its target says."""
        index = change["new"].get("index", -1)
        targets = self.picture.targets(self.data) if self.picture is not None else []  # type: ignore[arg-type]
        if 0 <= index < len(targets):
            self.set(
                **{key: value for key, value in targets[index].state.items() if key in self._names}
            )

    def _drag(self, change: Any) -> None:
        """The pointer went down, moved or was lifted: what it holds follows it."""
        kind, x, y = (change["new"][key] for key in ("kind", "x", "y"))
        if kind == "down":
            self._handle = self.picture.grab(self.data, x, y)  # type: ignore[union-attr, arg-type]
        if self._handle is not None and kind == "move":
            wanted = self.picture.pull(self.data, self._handle, x, y)  # type: ignore[union-attr, arg-type]
            state = {
                key: self.controls[key].nearest(value)  # type: ignore[union-attr]
                for key, value in wanted.items()
                if key in self._names
            }  # type: ignore[union-attr]
            if any(getattr(self, key) != value for key, value in state.items()):
                self.set(**state)
        if kind == "up":
            self._handle = None

    def _footer(self) -> ipywidgets.Widget:
        numbers = ipywidgets.ToggleButton(
            description="Numbers",
            tooltip="Show the plotted numbers as a table",
            layout={"width": "max-content"},
        )
        formats = ipywidgets.Dropdown(
            options=[(kind.upper(), kind) for kind in FORMATS],
            description="Save as",
            style={"description_width": "initial"},
            layout={"width": "11em"},
        )
        button = ipywidgets.Button(
            description="Save",
            tooltip="Write the picture to the notebook's folder",
            layout={"width": "max-content"},
        )

        def show_numbers(change: Any) -> None:
            self._numbers.value = self._table() if change["new"] else ""

        def write(_: Any) -> None:
            text = "-".join(f"{key}-{value}" for key, value in self.state.items())
            safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in f"{self.name}-{text}")[
                :120
            ]
            try:
                self.say(f"saved as {self.save(f'{safe}.{formats.value}')}")
            except (OSError, ExploreError) as error:
                self.say(f"not saved: {error}")

        numbers.observe(show_numbers, "value")
        button.on_click(write)
        return ipywidgets.HBox(
            [numbers, formats, button, self._said],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )

    def _table(self) -> str:
        rows = self.picture.table(self.data).to_html(  # type: ignore[arg-type, union-attr]
            index=False, border=0, float_format=lambda v: f"{v:.4g}"
        )  # type: ignore[union-attr, arg-type]
        return f'<div style="max-height:18em;overflow:auto">{rows}</div>'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Live in a front end, a picture with alternative text everywhere else."""
        with self._lock:
            return {
                **self.widget._repr_mimebundle_(**options),
                **still(small_png(self.picture), self.alt),  # type: ignore[arg-type]
            }  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return self.alt
