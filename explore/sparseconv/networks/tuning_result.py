"""Selection: what was chosen for each convolution of a network, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.convolution import METHOD_NAMES

FORMAT = 1


@dataclass(frozen=True)
class Choice:
    """What was found out about one convolution.

    Attributes:
        method: the fastest.
        density: the smallest and the largest density seen, of single images.
        dense_from: density from which on the dense convolution is taken to be faster.
        seconds: medians of each method, on the calibration images.
    """

    method: str
    density: tuple[float, float]
    dense_from: float
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Selection:
    """What was chosen for each convolution of a network, and where it was timed.

    Attributes:
        layers: by the names of the network's convolutions, as in ``model.named_modules()``.
        about: batch size, threads, versions, medians of the whole network (batch norms folded) without and with the selection.
    """

    layers: Mapping[str, Choice]
    about: Mapping[str, Any]

    def __repr__(self) -> str:
        sparse = sum(choice.method != "torch" for choice in self.layers.values())
        return f"Selection({sparse} of {len(self.layers)} convolutions leave the dense library)"

    def without_sparse(self) -> Selection:
        """The same convolutions, all left to the dense library."""
        return Selection(
            {name: replace(choice, method="torch") for name, choice in self.layers.items()}, {}
        )

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        out = Path(path)
        kept = {
            "format": FORMAT,
            "about": dict(self.about),
            "layers": {name: asdict(c) for name, c in self.layers.items()},
        }
        out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        return out

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            InvalidInput: the file is something else.
        """
        try:
            kept = json.loads(Path(path).read_text(encoding="utf-8"))
            if kept["format"] != FORMAT:
                raise InvalidInput(
                    f"{path} has format {kept['format']}, this version reads {FORMAT}"
                )
            layers = {
                name: Choice(
                    c["method"],
                    (c["density"][0], c["density"][1]),
                    float(c["dense_from"]),
                    c["seconds"],
                )
                for name, c in kept["layers"].items()
            }
            if odd := [c.method for c in layers.values() if c.method not in METHOD_NAMES]:
                raise UnknownName("method", odd[0], METHOD_NAMES)
            return cls(layers, kept["about"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"{path} is no selection: {error!r}") from error
