"""The result of a reduction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from explore.core.validation import check_whole_number
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.distances import pdf_angle
from explore.mixtures.inner_products import inner_log, inner_products
from explore.mixtures.merging import REMOVED, MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.stages import Step


@dataclass(frozen=True)
class Reduction:
    """The result of a reduction.

    Attributes:
        mixture: the reduced mixture.
        labels: ``[N]``, the component of ``mixture`` that each original component was merged into,
            -1 where it was removed; a refinement moves components afterwards.
        path: the merges in their order. Slots are numbered as the original components; scores are
            in the unit of the method's criterion (radians for the angle, 1 / volume for the ISE,
            nats for Runnalls and KL, a weight for pruning).
        kernel_evaluations: product integrals that the method computed.
        converged: whether the last search (clustering or L-BFGS), if any, stopped before its limit.
        message: how the reduction ended.
        seconds: wall time.
        original: the mixture before the reduction.
        reweighed: whether all weights were chosen again after each merge (COWA).
    """

    mixture: GaussianMixture
    labels: np.ndarray
    path: tuple[Step, ...]
    kernel_evaluations: int
    converged: bool
    message: str
    seconds: float
    original: GaussianMixture
    reweighed: bool = False

    @quiet
    def at(self, components: int) -> GaussianMixture:
        """Return the mixture on the path with this number of components (before any refinement).

        Raises:
            InvalidInput: the path does not contain this number.
        """
        steps = len(self.original) - check_whole_number("components", components)
        if not 0 <= steps <= len(self.path):
            low, high = len(self.original) - len(self.path), len(self.original)
            raise InvalidInput(
                f"the path goes from {high} to {low} components, not to {components}"
            )
        return self._mixtures[steps]

    @cached_property
    def _mixtures(self) -> list[GaussianMixture]:
        """Every mixture on the path, the original first."""
        from explore.mixtures.reduction.pruning import reweigh

        current, mixtures = MutableMixture(self.original), [self.original]
        for i, j, _ in self.path:
            if j == REMOVED:
                current.remove(i)
            else:
                current.merge(i, j)
            if self.reweighed:
                reweigh(current)
            mixtures.append(current.freeze())
        return mixtures

    @cached_property
    @quiet
    def trace(self) -> np.ndarray:
        """Angle to the original after each step of the path, in radians; before any refinement."""
        f, norm = self.original, inner_log(self.original, self.original)
        mixtures = self._mixtures[1:]
        return np.array([pdf_angle(f, g, inner_products(f, g, norm)) for g in mixtures])

    def __repr__(self) -> str:
        counts = f"{len(self.original)} → {len(self.mixture)} components"
        return f"Reduction({counts} in {self.seconds:.2g} s; {self.message})"
