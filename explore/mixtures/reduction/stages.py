"""What a method is made of: stages, each of which takes the parts of a mixture some steps further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from explore.mixtures.components import Parts
from explore.mixtures.mixture import GaussianMixture


class Step(NamedTuple):
    """One step of a reduction: slot ``j`` was merged into slot ``i`` (or ``i`` was removed, ``j = -1``); ``score`` as the
    method counts it.
    """

    i: int
    j: int
    score: float


class Stage(Protocol):
    """A part of a method.

    Attributes:
        phase: one of ``config.PHASES``.
        steps, taken: how many it takes at most, and has taken.
        evaluations: product integrals computed so far.
        converged, message: whether and how it ended.
    """

    phase: str
    steps: int
    taken: int
    evaluations: int
    converged: bool
    message: str

    def advance(self, parts: Parts) -> Step | None:
        """One step; None where it is no merge."""

    def done(self, parts: Parts) -> bool:
        """Whether nothing is left to do."""

    def state(self) -> dict[str, Any]:
        """What ``restore`` takes."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""


class Kept:
    """What every stage shares: ``arrays`` and ``values`` name the attributes that resume it, those that exist by then."""

    arrays: tuple[str, ...] = ()
    values: tuple[str, ...] = ("taken", "evaluations")
    steps = taken = evaluations = 0
    converged, message = True, ""

    def state(self) -> dict[str, Any]:
        """What ``restore`` takes."""
        kept = {name: np.array(getattr(self, name)) for name in self.arrays if hasattr(self, name)}
        return kept | {name: getattr(self, name) for name in self.values}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        for name in self.arrays:
            if name in state:
                setattr(self, name, np.array(state[name]))
        for name in self.values:
            setattr(self, name, type(getattr(self, name))(state[name]))


class Merging(Kept):
    """A stage that ends at a number of components."""

    phase = "merging"

    def __init__(self, original: GaussianMixture, components: int) -> None:
        self.original, self.components = original, components
        self.steps = len(original) - components
        self.message = f"merged to {components} components"

    def done(self, parts: Parts) -> bool:
        """Whether that number is reached."""
        return parts.count <= self.components

    def advance(self, parts: Parts) -> Step:
        """Merge one pair, or remove one component."""
        self.taken += 1
        return self.choose(parts)

    def choose(self, parts: Parts) -> Step:
        """Do so."""
        raise NotImplementedError
