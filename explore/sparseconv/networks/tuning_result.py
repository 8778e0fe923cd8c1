"""The result of ``select``: the fastest method for each convolution of a network, saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.convolution import METHOD_NAMES

FILE_FORMAT = 1


@dataclass(frozen=True)
class MethodChoice:
    """The fastest method of one convolution and its measurements.

    Attributes:
        method: the fastest.
        density: the smallest and the largest density of a single calibration image.
        dense_from: density from which on the dense convolution is expected to be faster.
        seconds: median of each method on the calibration images.
    """

    method: str
    density: tuple[float, float]
    dense_from: float
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Selection:
    """The fastest method of each convolution of a network, and how it was measured.

    Attributes:
        layers: by the names of the network's convolutions, as in ``model.named_modules()``.
        about: batch size, threads, versions, and the medians of the whole network (with folded
            batch norms) without and with the selection.
    """

    layers: Mapping[str, MethodChoice]
    about: Mapping[str, Any]

    def __repr__(self) -> str:
        sparse = sum(choice.method != "torch" for choice in self.layers.values())
        return f"Selection({sparse} of {len(self.layers)} convolutions leave the dense library)"

    def without_sparse(self) -> Selection:
        """Return a selection of the dense library for the same convolutions."""
        dense = {name: replace(choice, method="torch") for name, choice in self.layers.items()}
        return Selection(dense, {})

    def save(self, path: str | Path) -> Path:
        """Write the selection as JSON."""
        layers = {name: asdict(choice) for name, choice in self.layers.items()}
        content = {"format": FILE_FORMAT, "about": dict(self.about), "layers": layers}
        path = Path(path)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that ``save`` wrote.

        Raises:
            InvalidInput: the file holds something else.
            UnknownName: a method in the file is unknown.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content["format"] != FILE_FORMAT:
                raise InvalidInput(
                    f"{path} has format {content['format']}, this version reads {FILE_FORMAT}"
                )
            layers = {}
            for name, saved in content["layers"].items():
                low, high = saved["density"]
                dense_from = float(saved["dense_from"])
                choice = MethodChoice(saved["method"], (low, high), dense_from, saved["seconds"])
                if choice.method not in METHOD_NAMES:
                    raise UnknownName("method", choice.method, METHOD_NAMES)
                layers[name] = choice
            return cls(layers, content["about"])
        except InvalidInput:
            raise
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise InvalidInput(f"{path} is no selection: {error!r}") from error
