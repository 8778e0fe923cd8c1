"""Controls: what a reader moves, each linked to one trait of an explorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from explore.errors import ExploreError

if TYPE_CHECKING:
    from explore.widgets.explorer import Explorer

WIDE = {"description_width": "initial"}


class OneOf(traitlets.TraitType[Any, Any]):
    """A trait that takes one of the values of a control; the message lists them."""

    def __init__(self, control: Slider | Choice) -> None:
        super().__init__(control.start)
        self.control = control

    def validate(self, obj: Any, value: Any) -> Any:
        """The control's own value that equals ``value``."""
        for option in self.control.values:
            if option == value:
                return option
        listed = ", ".join(map(repr, self.control.values[:20])) + (
            ", …" if len(self.control.values) > 20 else ""
        )
        raise traitlets.TraitError(f"{self.name} must be one of {listed}; got {value!r}")


class _Valued:
    """What slider and choice share: values, a start and a widget whose options are those values."""

    label: str
    values: list[Any]
    start: Any

    def trait(self) -> OneOf:
        """The explorer's trait for this control."""
        return OneOf(self)  # type: ignore[arg-type]

    def link(self, explorer: Explorer, name: str) -> ipywidgets.Widget:
        """Make the widget and link it to the explorer's trait ``name``."""
        self._linked = explorer, name
        self.widget = self._make(getattr(explorer, name))
        traitlets.link((explorer, name), (self.widget, "value"))
        return self.widget

    def nearest(self, value: Any) -> Any:
        """The value that is closest to a number; itself where values are no numbers."""
        if not all(isinstance(known, int | float) for known in self.values):
            return value
        return min(self.values, key=lambda known: abs(known - value))

    def offer(self, values: Sequence[Any], chosen: Any = None) -> None:
        """Offer other values (a live run has new steps) and redraw; ``chosen`` or else the present value is chosen."""
        explorer, name = self._linked
        chosen = getattr(explorer, name) if chosen is None else chosen
        self.values = list(values)
        with (
            explorer.quiet()
        ):  # two messages to the front end: in one, the slider's number lags behind
            self.widget.options = self._options()  # which chooses the first one
            self.widget.value = chosen
        explorer.redraw()

    def _options(self) -> list[tuple[str, Any]]:
        return [
            (f"{value:,}" if isinstance(value, int) else f"{value}", value) for value in self.values
        ]

    def _make(self, value: Any) -> ipywidgets.Widget:
        raise NotImplementedError


class Slider(_Valued):
    """A slider over given values (the recorded steps, say).

    Args:
        label: what the reader sees before it.
        values: its positions.
        start: where it stands at first; the first value if left out.
    """

    def __init__(self, label: str, values: Sequence[Any], start: Any = None) -> None:
        self.label, self.values = label, list(values)
        self.start = self.values[0] if start is None else start

    def _make(self, value: Any) -> ipywidgets.Widget:
        return ipywidgets.SelectionSlider(
            options=self._options(),
            value=value,
            description=self.label,
            style=WIDE,
            layout={"width": "min(100%, 34em)"},
        )


class Choice(_Valued):
    """One of a few values, in a list.

    Args:
        label: what the reader sees before it.
        values: in the order shown.
        start: the one chosen at first; the first if left out.
        names: how values are called, where not as they are.
    """

    def __init__(
        self,
        label: str,
        values: Sequence[Any],
        start: Any = None,
        names: dict[Any, str] | None = None,
    ) -> None:
        self.label, self.values, self.names = label, list(values), names or {}
        self.start = self.values[0] if start is None else start

    def _options(self) -> list[tuple[str, Any]]:
        return [(self.names.get(value, f"{value}"), value) for value in self.values]

    def _make(self, value: Any) -> ipywidgets.Widget:
        return ipywidgets.Dropdown(
            options=self._options(),
            value=value,
            description=self.label,
            style=WIDE,
            layout={"width": "max-content"},
        )


@dataclass
class Button:
    """A button that changes the state: ``action(explorer)`` is called in the kernel."""

    label: str
    action: Callable[[Explorer], None]

    def link(self, explorer: Explorer, name: str) -> ipywidgets.Widget:
        """Make the widget; ``name`` is not used, a button has no state."""
        button = ipywidgets.Button(
            description=self.label, tooltip=self.label, layout={"width": "max-content"}
        )

        def act(_: Any) -> None:
            try:
                self.action(explorer)
            except ExploreError as error:  # an exception in a callback is seen by nobody
                explorer.say(str(error))

        button.on_click(act)
        return button


Control = Slider | Choice | Button
