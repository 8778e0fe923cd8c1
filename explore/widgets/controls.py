"""Controls: sliders, lists and buttons, linked to the traits of an explorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import traitlets

from explore.core.validation import check_items, check_text, describe, to_python
from explore.errors import ExploreError, InvalidInput
from explore.widgets.slider_view import SliderView

LABEL_STYLE = {"description_width": "initial"}
FIT_CONTENT = {"width": "max-content"}
LISTED_VALUES = 20
"""Values that an error message lists at most."""
LISTED_ROWS = 6
"""Rows of a list with several selections; it scrolls if it has more."""


class ValueNotOffered(InvalidInput, traitlets.TraitError):
    """A control does not have this value; the message lists those that it has."""


class _ValueControl:
    """A label, a list of values and a widget that offers these values."""

    label: str
    values: list[Any]
    start: Any
    widget: ipywidgets.Widget
    offer: Callable[..., None]
    """``Explorer.offer`` for this control; set by the explorer that the control belongs to."""

    def __init__(self, label: str, values: Sequence[Any], start: Any = None) -> None:
        self.label, self.values = check_text("label", label), _listed(label, values)
        self.start = self.values[0] if start is None else start
        self._check_start()

    def _check_start(self) -> None:
        """Replace the first value by the equal one in the list.

        Raises:
            ValueNotOffered: the list does not hold it.
        """
        self.start = matching_value(f"the start of {self.label!r}", self.start, self.values)

    def trait(self) -> traitlets.TraitType[Any, Any]:
        """Return a trait that accepts the values of this control."""
        return OneOf(self)

    def link(self, holder: traitlets.HasTraits, name: str) -> ipywidgets.Widget:
        """Create the widget and link it to the trait ``name`` of ``holder``."""
        self.widget = self._create_widget(getattr(holder, name))
        traitlets.link((holder, name), (self.widget, "value"))
        return self.widget

    def nearest(self, value: Any) -> Any:
        """Return the value closest to ``value``; ``value`` itself if one is not a number."""
        value = to_python(value)
        numbers = all(isinstance(option, int | float) for option in [*self.values, value])
        if not numbers or isinstance(value, bool):
            return value
        return min(self.values, key=lambda option: abs(option - value))

    def replace_values(self, values: Sequence[Any], value: Any) -> None:
        """Replace the values and select ``value``.

        Equal values are not sent again. The front end would answer with the first of them, and a
        late answer would undo what the reader has chosen meanwhile.

        Raises:
            InvalidInput: there are no values, or ``value`` is none of them.
        """
        values = _listed(self.label, values)
        value = self._selected(value, values)
        if values != self.values:
            self.values = values
            self.widget.options = self._options()  # This selects the first value.
        self.widget.value = value

    def _selected(self, value: Any, values: list[Any]) -> Any:
        """Return what is selected in a new list of values."""
        return matching_value(self.label, value, values)

    def _options(self) -> list[tuple[str, Any]]:
        return [
            (f"{value:,}" if isinstance(value, int) else f"{value}", value) for value in self.values
        ]

    def _create_widget(self, value: Any) -> ipywidgets.Widget:
        """Create the widget with this value selected; every subclass defines it."""
        raise NotImplementedError


class OneOf(traitlets.TraitType[Any, Any]):
    """A trait that accepts the values of one control."""

    def __init__(self, control: _ValueControl) -> None:
        super().__init__(control.start)
        self.control = control

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the control's own value that equals ``value``.

        Raises:
            ValueNotOffered: The control has no such value. The message lists its values.
        """
        return matching_value(str(self.name), value, self.control.values)


def matching_value(name: str, value: Any, values: Sequence[Any], number_word: str = "one") -> Any:
    """Return the item of ``values`` that equals a value.

    Numbers of NumPy count as Python's own; true and false are no numbers.

    Raises:
        ValueNotOffered: no item equals it; the message lists them.

    Example:
        >>> matching_value("step", 2.0, [1, 2])
        2
    """
    value = to_python(value)
    for option in values:
        try:
            equal = bool(option == value)
        except (TypeError, ValueError, RuntimeError):  # an array or a tensor
            equal = False
        if equal and isinstance(option, bool) == isinstance(value, bool):
            return option
    listed = ", ".join(map(describe, values[:LISTED_VALUES]))
    more = ", …" if len(values) > LISTED_VALUES else ""
    raise ValueNotOffered(f"{name} must be {number_word} of {listed}{more}; got {describe(value)}")


def _listed(label: str, values: Sequence[Any]) -> list[Any]:
    """Return the values of a control as a list of Python's own numbers.

    Raises:
        InvalidInput: there is none, or they are no list.
    """
    try:
        listed = [to_python(value) for value in check_items("values", values)]
    except InvalidInput:
        listed = []
    if not listed:
        raise InvalidInput(
            f"the control {label!r} needs a list of one value or more, got {describe(values)}"
        )
    return listed


class Slider(_ValueControl):
    """A slider over a list of values, such as the recorded steps.

    Args:
        label: the text before the slider.
        values: its positions.
        start: the first position; the first value if left out.
    """

    plays = False
    """Whether there is a Play button; the first slider of most explorers has one."""

    def _create_widget(self, value: Any) -> ipywidgets.Widget:
        return SliderView(
            options=self._options(), value=value, description=self.label, plays=self.plays
        )


class Choice(_ValueControl):
    """A drop-down list of a few values.

    Args:
        label: the text before the list.
        values: in the order of the list.
        start: the value that is selected first; the first one if left out.
        names: the texts of values in the list; a value without a text is listed as it is.
    """

    def __init__(
        self,
        label: str,
        values: Sequence[Any],
        start: Any = None,
        names: dict[Any, str] | None = None,
    ) -> None:
        super().__init__(label, values, start)
        if names is not None and not isinstance(names, Mapping):
            raise InvalidInput(f"names must be a mapping of values to texts, got {describe(names)}")
        self.names = dict(names or {})

    def _options(self) -> list[tuple[str, Any]]:
        return [(self.names.get(value, f"{value}"), value) for value in self.values]

    def _create_widget(self, value: Any) -> ipywidgets.Widget:
        return ipywidgets.Dropdown(
            options=self._options(),
            value=value,
            description=self.label,
            style=LABEL_STYLE,
            layout=FIT_CONTENT,
        )


class MultiChoice(Choice):
    """A list of which any number of values can be selected; the state is a tuple of them.

    Args:
        label: the text before the list.
        values: in the order of the list.
        start: the values that are selected first.
        names: the texts of values in the list; a value without a text is listed as it is.
    """

    def __init__(
        self,
        label: str,
        values: Sequence[Any],
        start: Sequence[Any] = (),
        names: dict[Any, str] | None = None,
    ) -> None:
        listed = isinstance(start, tuple | list)
        super().__init__(label, values, tuple(start) if listed else (start,), names)

    def _check_start(self) -> None:
        self.start = self._selected(self.start, self.values)

    def _selected(self, value: Any, values: list[Any]) -> Any:
        selected = value if isinstance(value, tuple | list) else [value]
        return tuple(matching_value(self.label, item, values) for item in selected)

    def trait(self) -> traitlets.TraitType[Any, Any]:
        """Return a trait that accepts any of the values of this control."""
        return SomeOf(self)

    def nearest(self, value: Any) -> Any:
        """Return ``value``: a selection has no nearest one."""
        return value

    def _create_widget(self, value: Any) -> ipywidgets.Widget:
        return ipywidgets.SelectMultiple(
            options=self._options(),
            value=value,
            description=self.label,
            rows=min(len(self.values), LISTED_ROWS),
            style=LABEL_STYLE,
            layout=FIT_CONTENT,
        )


class SomeOf(traitlets.TraitType[Any, Any]):
    """A trait that accepts a selection of the values of one control, as a tuple in their order."""

    def __init__(self, control: MultiChoice) -> None:
        super().__init__(control.start)
        self.control = control

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the selected values of a tuple or list, or of one value alone.

        Raises:
            ValueNotOffered: the control does not have one of them.
        """
        values = self.control.values
        items = value if isinstance(value, tuple | list) else [value]
        selected = [matching_value(str(self.name), item, values, "some") for item in items]
        return tuple(option for option in values if option in selected)


@dataclass
class Button:
    """A button that changes the state of an explorer.

    Args:
        label: the text on the button.
        action: called with the explorer, in the kernel.
        tooltip: the label if left out.
    """

    label: str
    action: Callable[[Any], None]
    tooltip: str = ""

    def link(self, owner: Any, report: Callable[[str], None]) -> ipywidgets.Widget:
        """Create the widget. A click calls ``action(owner)``; ``report`` shows an error's text."""
        self.widget = ipywidgets.Button(
            description=self.label, tooltip=self.tooltip or self.label, layout=FIT_CONTENT
        )

        def on_click(_: Any) -> None:
            try:
                self.action(owner)
            except ExploreError as error:  # The front end does not show exceptions of callbacks.
                report(str(error))

        self.widget.on_click(on_click)
        return self.widget


Control = Slider | Choice | Button


def check_controls(controls: Any) -> None:
    """Check that controls are given by name.

    Raises:
        InvalidInput: they are something else.
    """
    if not isinstance(controls, Mapping):
        raise InvalidInput(f"controls must be controls by name, got {describe(controls)}")
    for key, control in controls.items():
        if not (isinstance(key, str) and key.isidentifier()) or not isinstance(control, Control):
            raise InvalidInput(
                f"controls must be sliders, choices and buttons by a name such as 'step', "
                f"got {describe(key)}: {describe(control)}"
            )
