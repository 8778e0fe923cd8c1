"""The result of ``select``: the fastest method for each convolution of a network, saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from explore.core.validation import (
    check_choice,
    check_items,
    check_number,
    check_path,
    describe,
    to_python,
)
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.sparseconv.convolution import METHOD_NAMES

FILE_FORMAT = 1

MOST_FILE_BYTES = 64 << 20
"""Larger files are no selections: a convolution takes about 200 bytes."""


@dataclass(frozen=True)
class MethodChoice:
    """The fastest method of one convolution and its measurements.

    Attributes:
        method: the fastest.
        density: the smallest and the largest density of a single calibration image.
        dense_from: density from which on the dense convolution is expected to be faster.
        seconds: median of each method on the calibration images.

    Raises:
        UnknownName: no such method.
        InvalidInput: a density is not in [0, 1], or a time is no number.
    """

    method: str
    density: tuple[float, float]
    dense_from: float
    seconds: Mapping[str, float]

    def __post_init__(self) -> None:
        density = check_items("density", self.density)
        if len(density) != 2:
            raise InvalidInput(
                f"density must be two numbers, the smallest and the largest, got {density}"
            )
        low, high = (check_number("density", v, at_least=0, at_most=1) for v in density)
        seconds = check_mapping("seconds", self.seconds)
        fields = {
            "method": check_choice("method", self.method, METHOD_NAMES),
            "density": (low, high),
            "dense_from": check_number("dense_from", self.dense_from, at_least=0, at_most=1),
            "seconds": {
                name: check_number(f"seconds[{name!r}]", value, at_least=0)
                for name, value in seconds.items()
            },
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Selection:
    """The fastest method of each convolution of a network, and how it was measured.

    Attributes:
        layers: by the names of the network's convolutions, as in ``model.named_modules()``.
        about: batch size, threads, versions, and the medians of the whole network (with folded
            batch norms) without and with the selection.

    Raises:
        InvalidInput: ``layers`` does not map names to choices, or ``about`` is no mapping.

    Example:
        >>> Selection({"conv1": MethodChoice("bitmap", (0.1, 0.4), 0.5, {})}, {})
        Selection(1 of 1 convolutions leave the dense library)
    """

    layers: Mapping[str, MethodChoice]
    about: Mapping[str, Any]

    def __post_init__(self) -> None:
        layers = check_mapping("layers", self.layers)
        for name, choice in layers.items():
            if not isinstance(choice, MethodChoice):
                raise InvalidInput(
                    f"layers[{name!r}] must be a MethodChoice, got {describe(choice)}"
                )
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "about", check_mapping("about", self.about))

    def __repr__(self) -> str:
        sparse = sum(choice.method != "torch" for choice in self.layers.values())
        return f"Selection({sparse} of {len(self.layers)} convolutions leave the dense library)"

    def without_sparse(self) -> Selection:
        """Return a selection of the dense library for the same convolutions."""
        dense = {name: replace(choice, method="torch") for name, choice in self.layers.items()}
        return Selection(dense, {})

    def save(self, path: str | Path) -> Path:
        """Write the selection as JSON; ``~`` in the path is the home folder.

        Raises:
            InvalidInput: the path cannot be written to, or ``about`` holds what JSON cannot.
        """
        path = check_path("path", path)
        layers = {name: asdict(choice) for name, choice in self.layers.items()}
        content = {"format": FILE_FORMAT, "about": dict(self.about), "layers": layers}
        try:
            text = json.dumps(content, indent=1, default=_as_json) + "\n"
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(f"about must hold numbers, texts and lists only: {error}") from error
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(
                f"{path} cannot be written ({error.strerror}); give another path"
            ) from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that ``save`` wrote.

        Raises:
            DataMissing: there is no such file.
            InvalidInput: the file holds something else.
            UnknownName: a method in the file is unknown.
        """
        path = check_path("path", path)
        content = _read_json(path)
        try:
            if content["format"] != FILE_FORMAT:
                raise InvalidInput(
                    f"{path} has format {describe(content['format'])}, "
                    f"this version reads {FILE_FORMAT}"
                )
            layers = {
                name: MethodChoice(
                    saved["method"], saved["density"], saved["dense_from"], saved["seconds"]
                )
                for name, saved in content["layers"].items()
            }
            return cls(layers, content["about"])
        except UnknownName:
            raise
        except InvalidInput as error:
            raise InvalidInput(f"{path} is no selection: {error}") from error
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InvalidInput(f"{path} is no selection: {error!r}") from error


def check_mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping from texts as a ``dict``.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"{name} must be a mapping from names, got {describe(value)}")
    return dict(value)


def _as_json(value: Any) -> Any:
    """Return NumPy's and PyTorch's numbers as Python's own."""
    number = to_python(value)
    if number is value:
        raise TypeError(f"{describe(value)} is none of these")
    return number


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise InvalidInput(f"{path} is no selection: it has {path.stat().st_size} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataMissing(
            f"there is no selection {path}; give the path of a file that Selection.save wrote"
        ) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise InvalidInput(f"{path} is no selection: its lists are nested too deeply") from error
    except ValueError as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path} is no selection: {error}") from error
