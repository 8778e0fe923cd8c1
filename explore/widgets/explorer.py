"""Explorer: computes a Dataset from the state of its controls and shows it as a picture."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from explore.core.validation import (
    check_callable,
    check_choice,
    check_flag,
    check_text,
    describe,
)
from explore.errors import InvalidInput
from explore.plotting.export import FORMATS, check_target, palette_png, save
from explore.plotting.picture import Picture
from explore.plotting.texts import clean_texts
from explore.widgets.actions import Actions
from explore.widgets.cells import claim_cell, close_widgets, disown_cell
from explore.widgets.controls import Button, Control, Slider, check_controls
from explore.widgets.prediction import NO_ANSWER, Cover, Prediction, check_prediction
from explore.widgets.view import FigureView, still_mimebundle

if TYPE_CHECKING:
    import xarray

Source = Callable[..., "xarray.Dataset"]


class Explorer(traitlets.HasTraits):
    """A picture with controls.

    The state is a set of traits, one for each control. Set them from code, from a test or by hand.
    Each change computes the Dataset, ``source(**state)``, and updates the picture at once: the
    front end sends only the latest value of a slider, and a timer would only add a delay.

    Args:
        source: called with the state as keywords; returns the Dataset to show.
        picture: a ``Picture`` class.
        controls: trait name → ``Slider``, ``Choice`` or ``Button``, in the order of the page.
        name: the beginning of the names of saved files.
        prediction: a question; the picture stays covered until the reader has answered it. It is
            the first control, with the name "prediction".

    Raises:
        InvalidInput: a control has the name of one of the explorer's own attributes, or an argument
            is of another kind.

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

    controls: dict[str, Control]
    name: str
    picture: Picture
    data: xarray.Dataset
    view: FigureView
    widget: ipywidgets.VBox
    actions: Actions
    closed: bool
    lock: Any

    def __init__(
        self,
        source: Source,
        picture: type[Picture],
        controls: Mapping[str, Control],
        name: str = "explorer",
        prediction: Prediction | None = None,
    ) -> None:
        super().__init__()
        check_callable("source", source, "of the state that returns a Dataset")
        if not (isinstance(picture, type) and issubclass(picture, Picture)):
            raise InvalidInput(f"picture must be a class of pictures, got {describe(picture)}")
        check_controls(controls)
        if prediction is not None:
            controls = {"prediction": check_prediction(prediction), **controls}
        self._prediction = prediction
        reserved = {*dir(self), *Explorer.__annotations__}
        for key in controls:
            if key in reserved or key.startswith("_"):
                raise InvalidInput(
                    f"a control cannot have the name {key!r}: explorers use this name themselves; "
                    "choose another name"
                )
        self._source, self._class = source, picture
        self.controls, self.name = dict(controls), check_text("name", name)
        self.closed = False
        self._value_controls = {
            key: control for key, control in controls.items() if not isinstance(control, Button)
        }
        self.add_traits(**{key: control.trait() for key, control in self._value_controls.items()})
        self.lock = threading.RLock()  # The thread of a job and the reader may both redraw.
        self._quiet = False
        self._handle: str | None = None  # the part of the picture that the pointer holds
        self._picture_class, self.data = self._present()
        self.picture = self._picture_class(self.data)
        self.actions = Actions(self)
        tracks = picture.grabs or picture.picks
        self.view = FigureView(tracks=tracks, drags=picture.grabs, formats=list(FORMATS))
        self.view.observe(self._on_target, "chosen")
        self.view.observe(self._on_pointer, "pointer")
        self.view.observe(lambda _: self.redraw(), "dark")
        self.view.on_msg(lambda view, message, buffers: self.actions.answer(message))
        self._numbers, self._message = ipywidgets.HTML(), ipywidgets.HTML()
        self._shows_numbers = False
        for slider in [c for c in controls.values() if isinstance(c, Slider)][:1]:
            slider.plays = not picture.grabs  # What is dragged has no course to play.
        row = ipywidgets.HBox(
            [self._link(key, control) for key, control in controls.items()],
            layout={"flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 1em"},
        )
        self.widget = ipywidgets.VBox([row, self.view, self._message, self._numbers])
        self.view.belongs_to(self.widget)
        self.observe(lambda _: self.redraw(), list(self._value_controls))
        self._show()
        claim_cell(self)

    @property
    def state(self) -> dict[str, Any]:
        """The values of all controls; ``explorer.set(**state)`` restores them."""
        return {key: getattr(self, key) for key in self._value_controls}

    @property
    def alt(self) -> str:
        """The alternative text of the picture."""
        return str(self.view.alt)

    @property
    def message(self) -> str:
        """The line of text under the picture, as HTML."""
        return str(self._message.value)

    def set(self, **state: Any) -> Explorer:
        """Set several values, redraw once, and return the explorer itself.

        Raises:
            UnknownName: there is no such control.
            ValueNotOffered: the control has no such value; the message lists its values.
        """
        for key in state:
            check_choice("control", key, self._value_controls)
        # Validate all values first, so that an invalid one changes nothing.
        values = {key: self.traits()[key]._validate(self, value) for key, value in state.items()}
        with self.lock, self.quiet():  # A link to a widget breaks if two threads change it.
            for key, value in values.items():
                setattr(self, key, value)
        self.redraw()
        return self

    def offer(self, name: str, values: Sequence[Any], value: Any = None) -> None:
        """Replace the values of a control, for example when a live run has new steps, and redraw.

        Args:
            name: of a slider or a list.
            values: the new values.
            value: the one to select; the present one if left out.

        Raises:
            UnknownName: there is no such control.
            InvalidInput: there are no values, or the selected one is none of them.
        """
        check_choice("control", name, self._value_controls)
        value = getattr(self, name) if value is None else value
        with self.lock, self.quiet():
            self._value_controls[name].replace_values(values, value)
        self.redraw()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Change the state in this context without a redraw for each change."""
        before, self._quiet = self._quiet, True  # Such contexts may be nested.
        try:
            yield
        finally:
            self._quiet = before

    def redraw(self) -> None:
        """Compute and show the current state; do nothing after ``close``."""
        if self._quiet:
            return
        with self.lock:
            if self.closed:
                return
            picture_class, data = self._present()
            if picture_class is self._picture_class and self.picture.fits(data):
                self.picture.update(data)
            else:
                self.picture = picture_class(data)
            self._picture_class, self.data = picture_class, data
            self._show()

    def _present(self) -> tuple[type[Picture], xarray.Dataset]:
        """Return the picture of the present state and its data: a cover before the prediction."""
        prediction = self._prediction
        if prediction is not None and not prediction.hides and self._is_open():
            return Cover, prediction.cover()
        return self._class, self.data_at()

    def _is_open(self) -> bool:
        """Return whether the question of the prediction has no answer yet."""
        return self.state["prediction"] is NO_ANSWER

    def data_at(self, **changes: Any) -> xarray.Dataset:
        """Return the data of the present state with some changes."""
        state = {**self.state, **changes}
        if self._prediction is not None:
            del state["prediction"]
            if self._prediction.hides and self._is_open():
                state["hidden"] = True
        return clean_texts(self._source(**state))

    def close(self) -> None:
        """Close all widgets, and release the picture and its data."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.unobserve_all()
            close_widgets(self.widget)
            self.view.unobserve_all()
            del self.picture, self.data, self._source, self.actions
        disown_cell(self)

    def say(self, text: str) -> None:
        """Show a line of text under the picture."""
        self._message.value = html.escape(check_text("text", text))

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file. An HTML page has the first slider and works offline.

        Args:
            path: ends in .png, .svg, .pdf, .csv or .html.

        Raises:
            UnknownName: another suffix.
            InvalidInput: .html of an explorer without a slider, the path of a folder, or an
                explorer that is closed.
        """
        path, kind = check_target(path)
        with self.lock:
            if self.closed:
                raise InvalidInput("this explorer is closed; run its cell again")
            if kind != "html":
                return save(self.picture, self.data, path)
            return self.actions.write_page(path)

    def _link(self, key: str, control: Control) -> ipywidgets.Widget:
        if isinstance(control, Button):
            return control.link(self, self.say)
        control.offer = partial(self.offer, key)
        return control.link(self, key)

    def _show(self) -> None:
        picture, data = self.picture, self.data
        if self._prediction is not None and self._picture_class is not Cover:
            self.view.note = self._prediction.note(self.state["prediction"], data)
        elif self._prediction is not None:
            self.view.note = ""
        self.view.code = self.actions.code()
        self.view.show(
            picture.png(dark=self.view.dark), picture.describe(data), picture.targets(data)
        )
        if self._shows_numbers:
            self._numbers.value = self._table()

    def show_numbers(self, show: bool) -> None:
        """Show the plotted numbers as a table under the picture, or hide them."""
        self._shows_numbers = show = check_flag("show", show)
        self._numbers.value = self._table() if show else ""

    def _on_target(self, change: Any) -> None:
        """Set the state of the target that was clicked or selected by keyboard."""
        index = change["new"].get("index", -1)
        targets = self.picture.targets(self.data)
        if 0 <= index < len(targets):
            self._set_present(targets[index].state)

    def _set_present(self, state: Mapping[str, Any]) -> None:
        """Set the values of those controls that the explorer has."""
        values = {key: state[key] for key in state if key in self._value_controls}
        if values:
            self.set(**values)

    def _on_pointer(self, change: Any) -> None:
        """Move the part of the picture that the pointer holds."""
        kind, x, y = (change["new"][key] for key in ("kind", "x", "y"))
        if kind == "hover":
            with self.lock:
                self.view.hover = self.picture.value_at(self.data, x, y)
            return
        if kind == "down":
            self._handle = self.picture.grab(self.data, x, y)
            if self._handle is not None:
                self.actions.remember()
            else:
                self._set_present(self.picture.pick(self.data, x, y))
        if self._handle is not None and kind == "move":
            state = {
                key: self._value_controls[key].nearest(value)
                for key, value in self.picture.pull(self.data, self._handle, x, y).items()
                if key in self._value_controls
            }
            if any(getattr(self, key) != value for key, value in state.items()):
                self.set(**state)
        if kind == "up":
            self._handle = None

    def _table(self) -> str:
        rows = self.picture.table(self.data).to_html(
            index=False, border=0, float_format=lambda v: f"{v:.4g}"
        )
        return f'<div style="max-height:18em;overflow:auto">{rows}</div>'

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widget for a front end, and the picture with its text for everything else."""
        with self.lock:
            if self.closed:
                return {"text/plain": self.alt}
            live = self.widget._repr_mimebundle_  # None after the widget was closed
            return {
                **(live(**options) if live else {}),
                **still_mimebundle(palette_png(self.picture), self.alt, self.view.note),
            }

    def __repr__(self) -> str:
        return self.alt
