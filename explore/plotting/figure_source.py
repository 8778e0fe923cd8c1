"""Where a figure of the catalog takes its data from: recordings, a function, or an explorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.catalog import Figure
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.validation import describe
from explore.errors import InvalidInput
from explore.plotting.picture import Picture
from explore.plotting.selection import list_recordings
from explore.plotting.texts import clean_texts

if TYPE_CHECKING:
    import xarray


class FigureSource:
    """The picture class of a figure, its states, and the data of each state."""

    picture_class: type[Picture]
    states: tuple[str, ...]

    def __init__(self, entry: Figure) -> None:
        from explore.core.registry import resolve  # only here: a slider needs no registry

        self.entry = entry
        self.picture_class = resolve(entry.picture)

    @property
    def slider(self) -> str:
        """The state that the slider of an HTML page moves."""
        return self.entry.slider

    def data(self, state: Mapping[str, Any]) -> xarray.Dataset:
        """Return the Dataset of a state; what is left out has its default.

        Raises:
            InvalidInput: the figure has no such state.
        """
        self.check(state)
        return clean_texts(self.select(state))

    def check(self, state: Any) -> None:
        """Check the names of a state.

        Raises:
            InvalidInput: it is no mapping, or the figure has no such state.
        """
        if not isinstance(state, Mapping):
            raise InvalidInput(
                f"state must be a mapping, such as {{'step': 40}}, got {describe(state)}"
            )
        if unknown := [key for key in state if key not in self.states]:
            names = ", ".join(self.states) or "none"
            raise InvalidInput(
                f"figure {self.entry.name} has no state {', '.join(map(repr, unknown))}; "
                f"it has {names}"
            )

    def select(self, state: Mapping[str, Any]) -> xarray.Dataset:
        """Return the Dataset of a state that was checked; each form defines it."""
        raise NotImplementedError

    def positions(self) -> Sequence[Any]:
        """Return the positions of the slider."""
        from explore.core.registry import resolve

        if not self.entry.positions:
            raise InvalidInput(
                f"figure {self.entry.name} has no slider; write it as .pdf, .png or .svg"
            )
        positions: Sequence[Any] = resolve(self.entry.positions)
        return positions

    def origin(self) -> str:
        """Return data set and seed of the numbers, for the metadata of a file."""
        return ""


class RecordedFigure(FigureSource):
    """A figure of recordings: ``select(recordings, **state)``."""

    def __init__(self, entry: Figure, recordings: Any = None) -> None:
        super().__init__(entry)
        self._select, self.states = _function(entry)
        self.recordings = list_recordings(_default(entry) if recordings is None else recordings)

    def select(self, state: Mapping[str, Any]) -> xarray.Dataset:
        """Return the Dataset of a state."""
        return self._select(self.recordings, **state)

    def positions(self) -> Sequence[Any]:
        """Return the positions of the slider: by default the values of its coordinate, or steps."""
        if self.entry.positions:
            positions: Any = super().positions()
            in_order: Sequence[Any] = (
                positions(self.recordings) if callable(positions) else positions
            )
            return in_order
        has_all = all(self.slider in recording.coords for recording in self.recordings)
        name = self.slider if has_all else "step"
        values = [recording[name].values for recording in self.recordings]
        listed: list[Any] = np.unique(np.concatenate(values)).tolist()
        return listed

    def origin(self) -> str:
        """Return name, data set and seed of each recording."""
        return "; ".join(map(_origin, self.recordings))


class ComputedFigure(FigureSource):
    """A figure without recordings: ``select(**state)``."""

    def __init__(self, entry: Figure) -> None:
        super().__init__(entry)
        self._select, self.states = _function(entry)

    def select(self, state: Mapping[str, Any]) -> xarray.Dataset:
        """Return the Dataset of a state."""
        return self._select(**state)


class ExplorerFigure(FigureSource):
    """What an explorer of a lab shows; the states are those of its controls."""

    def __init__(self, entry: Figure) -> None:
        from explore.core.registry import resolve

        super().__init__(entry)
        self.explorer = resolve(entry.explorer)()
        controls = {k: c for k, c in self.explorer.controls.items() if hasattr(c, "values")}
        for key, control in controls.items():  # A figure is no exercise: its question is answered.
            if getattr(control, "is_prediction", False):
                self.explorer.set(**{key: control.values[1]})
        self._values = {
            key: list(control.values)
            for key, control in controls.items()
            if not getattr(control, "is_prediction", False)
        }
        self.states = tuple(self._values)

    @property
    def slider(self) -> str:
        """The state that the slider of an HTML page moves: by default the first control."""
        named = self.entry.slider in self._values
        return self.entry.slider if named or not self.states else self.states[0]

    def select(self, state: Mapping[str, Any]) -> xarray.Dataset:
        """Return the Dataset of a state.

        Raises:
            InvalidInput: a control has no such value; the message lists those that it has.
        """
        values = {key: _offered(value, self._values[key]) for key, value in state.items()}
        if values:
            self.explorer.set(**values)
        data: xarray.Dataset = self.explorer.data
        return data

    def positions(self) -> Sequence[Any]:
        """Return the positions of the slider: by default all values of its control."""
        if self.entry.positions or not self.states:
            return super().positions()
        return self._values[self.slider]

    def origin(self) -> str:
        """Return the data set that the explorer's data name, if they do."""
        name = self.explorer.data.attrs.get("data")
        return f"data {name}" if isinstance(name, str) else ""


def figure_source(name: str, recordings: Any = None) -> FigureSource:
    """Return where a figure of the catalog takes its data from.

    Args:
        name: of the figure.
        recordings: one or several, as ``open_recording`` returns them; by default those that ship.

    Raises:
        UnknownName: there is no such figure.
        InvalidInput: recordings for a figure that shows none, or none for one of which none ship.

    Example:
        >>> figure_source("evolution").states
        ('step', 'label', 'by')
        >>> figure_source("detour").states
        ('share',)
    """
    from explore.core.registry import figure

    entry = figure(name)
    if needs_recordings(entry):
        return RecordedFigure(entry, recordings)
    if recordings:
        raise InvalidInput(f"figure {name} shows no recordings; leave them out")
    return ExplorerFigure(entry) if entry.explorer else ComputedFigure(entry)


def needs_recordings(entry: Figure) -> bool:
    """Return whether a figure is one of recordings."""
    from explore.core.registry import resolve

    return bool(entry.select) and "recordings" in signature(resolve(entry.select)).parameters


def state_names(entry: Figure) -> tuple[str, ...]:
    """Return the names of a figure's states without its data."""
    return _function(entry)[1] if entry.select else entry.states


def default_recordings(entry: Figure) -> tuple[str, ...]:
    """Return the shipped files that a figure shows by default; none if none ship."""
    from explore.core.registry import methods

    if entry.recordings:
        return entry.recordings
    rows = [row for row in methods().values() if entry.name in row.figures and row.recordings]
    return rows[0].recordings[:1] if rows else ()


def _default(entry: Figure) -> list[xarray.Dataset]:
    files = default_recordings(entry)
    if not files:
        raise InvalidInput(
            f"figure {entry.name} needs a recording, and none of it ships: "
            f"explore figure {entry.name} --recording PATH"
        )
    return [open_recording(shipped(file)) for file in files]


def _function(entry: Figure) -> tuple[Callable[..., xarray.Dataset], tuple[str, ...]]:
    """Return the function that selects the data of a figure, and the names of its states."""
    from explore.core.registry import resolve

    select = resolve(entry.select)
    names = (name for name in signature(select).parameters if name != "recordings")
    return select, tuple(names)


def _offered(value: Any, values: list[Any]) -> Any:
    """Return the value of a control that is written like a value: on a command line, 4 and "4"."""
    if value in values:
        return value
    return next((option for option in values if str(option) == str(value)), value)


def _origin(recording: xarray.Dataset) -> str:
    """Return name, data set and seed of a recording."""
    config = recording.attrs.get("config")
    config = config if isinstance(config, Mapping) else {}
    data = config.get("data")
    parts = {
        "data": data.get("name") if isinstance(data, Mapping) else data,
        "seed": config.get("seed"),
        "seeds": config.get("seeds"),
    }
    words = [f"{key} {value}" for key, value in parts.items() if value is not None]
    name = str(recording.attrs.get("name", "recording"))
    return f"{name}: {', '.join(words)}" if words else name
