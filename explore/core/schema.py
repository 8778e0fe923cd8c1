"""What a kind of recording holds: names, dimensions and units of its variables, declared once.

A run fills its frames through the declaration, and a picture asks by it whether it can show a
recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from explore.core.validation import check_text, describe
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Variable:
    """One variable: its dimensions, without ``step``, what it is, and its unit.

    If a value has fewer dimensions than declared, the last ones are dropped: an image with one
    channel has no dimension ``rgb``. Braces in names stand for a number: ``"y_{block}"``.
    """

    dims: tuple[str, ...]
    long_name: str
    units: str = "1"


@dataclass(frozen=True)
class RecordingKind:
    """One kind of recording.

    Attributes:
        name: how messages call it, such as "an attention-matching run".
        variables: what evolves, by name. A recording is of this kind if it holds the first one.
            A name with braces, such as ``"attention_{block}"``, stands for one variable per number.
        coordinates: what does not change over a run.

    Example:
        >>> walk = RecordingKind("a walk", {"position": Variable((), "position", "m")})
        >>> frame = walk.frame({"position": 2.0})
        >>> frame.position.attrs
        {'long_name': 'position', 'units': 'm'}
        >>> import xarray
        >>> walk.check(xarray.Dataset({"speed": 1.0}, attrs={"name": "run"}))
        Traceback (most recent call last):
        ...
        explore.errors.InvalidInput: expected a recording of a walk; this one, of 'run', holds no
        position
    """

    name: str
    variables: Mapping[str, Variable]
    coordinates: Mapping[str, Variable] = field(default_factory=dict)

    def check(self, recordings: xarray.Dataset | Sequence[xarray.Dataset]) -> list[xarray.Dataset]:
        """Return one recording or several as a list, each of which is of this kind.

        Raises:
            InvalidInput: one of them is of another kind.
        """
        from explore.core.recording import require_variable

        name = re.sub(r"\{\w+\}", "1", next(iter(self.variables)))
        return require_variable(recordings, name, self.name)

    def frame(
        self, values: Mapping[str, Any], coordinates: Mapping[str, Any] | None = None
    ) -> xarray.Dataset:
        """Return one frame with the declared dimensions and attributes.

        Args:
            values: arrays by the names of variables.
            coordinates: arrays by the names of coordinates; one that is not declared is given as
                ``(dims, values)``.

        Raises:
            InvalidInput: a variable is not declared, or its values are no array.
        """
        import xarray

        for label, value in (("values", values), ("coordinates", coordinates or {})):
            if not isinstance(value, Mapping):
                raise InvalidInput(f"{label} must be a mapping of arrays, got {describe(value)}")
        variables = {name: _entry(self.variables, name, value) for name, value in values.items()}
        constants = {
            name: _entry(self.coordinates, name, value)
            for name, value in (coordinates or {}).items()
        }
        return xarray.Dataset(variables, constants)


def _entry(declared: Mapping[str, Variable], name: str, value: Any) -> Any:
    """Return ``(dims, value, attrs)`` of a variable; the numbers in its name go into its texts."""
    import numpy as np

    if isinstance(value, tuple):
        return value
    for pattern, variable in declared.items():
        regex = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(pattern))
        match = re.fullmatch(regex, check_text("the name of a variable", name))
        if match is None:
            continue
        numbers = match.groupdict()
        try:
            dimensions = np.ndim(value)
        except ValueError as error:
            raise InvalidInput(f"{name} must be an array: {error}") from error
        dims = tuple(dim.format(**numbers) for dim in variable.dims)[:dimensions]
        if len(dims) != dimensions:
            raise InvalidInput(
                f"{name} has {dimensions} dimensions; declared are {len(variable.dims)}"
            )
        attributes = {"long_name": variable.long_name.format(**numbers), "units": variable.units}
        return dims, value, {key: text for key, text in attributes.items() if text}
    raise InvalidInput(f"{name} is not declared; the declared names are {', '.join(declared)}")
