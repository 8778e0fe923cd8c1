"""The stages of a reduction method: each changes a mutable mixture step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from explore.errors import InvalidInput
from explore.mixtures.merging import MutableMixture
from explore.mixtures.mixture import GaussianMixture


class Step(NamedTuple):
    """A step of a reduction: slot ``j`` is merged into ``i``, or ``i`` is removed (``j = -1``).

    ``score`` is its cost by the criterion of the method.
    """

    i: int
    j: int
    score: float


class Stage:
    """A stage of a method.

    Attributes:
        phase: one of ``config.PHASES``.
        steps, steps_done: the largest number of steps, and how many are done.
        evaluations: product integrals computed so far.
        converged, message: whether and how it ended.
        state_arrays: attributes that a checkpoint holds, once they exist, under the same names.
        state_values: attributes that a checkpoint holds, and their names in it.
    """

    phase = ""
    steps = steps_done = evaluations = 0
    converged, message = True, ""
    state_arrays: tuple[str, ...] = ()
    state_values: ClassVar[dict[str, str]] = {"steps_done": "taken", "evaluations": "evaluations"}

    def advance(self, current: MutableMixture) -> Step | None:
        """Do one step; return it if it is a merge or a removal."""
        raise NotImplementedError

    def done(self, current: MutableMixture) -> bool:
        """Return whether the stage is finished."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return the values that ``restore`` needs."""
        arrays = {
            name: np.array(getattr(self, name)) for name in self.state_arrays if hasattr(self, name)
        }
        return arrays | {key: getattr(self, name) for name, key in self.state_values.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        for name in self.state_arrays:
            if name in state:
                setattr(self, name, np.array(state[name]))
        for name, key in self.state_values.items():
            setattr(self, name, type(getattr(self, name))(state[key]))


class Merging(Stage):
    """A stage that merges or removes one component in each step, down to a number of components."""

    phase = "merging"

    def __init__(self, original: GaussianMixture, components: int) -> None:
        self.original, self.components = original, components
        self.steps = len(original) - components
        self.message = f"merged to {components} components"

    def done(self, current: MutableMixture) -> bool:
        """Return whether the number of components is reached."""
        return current.count <= self.components

    def advance(self, current: MutableMixture) -> Step:
        """Merge one pair, or remove one component."""
        self.steps_done += 1
        return self.reduce_once(current)

    def reduce_once(self, current: MutableMixture) -> Step:
        """Merge one pair, or remove one component."""
        raise NotImplementedError


def check_pair_exists(index: int) -> None:
    """Check that a search has found a component to merge.

    Raises:
        InvalidInput: its index is negative, as all costs are NaN or infinite.
    """
    if index < 0:
        raise InvalidInput(
            "the costs of all merges are larger than any number, or not a number, as the numbers "
            "of the mixture are too large or too small; choose another unit, or another method"
        )
