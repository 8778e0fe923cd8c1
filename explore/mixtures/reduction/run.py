"""Reduction of a Gaussian mixture as a run; ten methods behind one call."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from explore.core.runs import BaseRun
from explore.core.validation import describe
from explore.errors import InvalidInput
from explore.mixtures._gaussian import quiet
from explore.mixtures.config import PHASES, ReduceConfig
from explore.mixtures.error_metrics import Yardstick
from explore.mixtures.examples import load_mixture
from explore.mixtures.merging import REMOVED, MutableMixture
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.recordings import REDUCTION
from explore.mixtures.reduction.methods import build_stages
from explore.mixtures.reduction.result import Reduction
from explore.mixtures.reduction.stages import Step, check_pair_exists

if TYPE_CHECKING:
    import xarray

UNNAMED = "mixture"
"""The name in recordings of a mixture that was not loaded by name."""


def reduce(
    mixture: GaussianMixture, components: int, method: str = "oggmr", **options: Any
) -> Reduction:
    """Approximate a mixture by one of fewer components.

    Args:
        mixture: N components.
        components: number of components of the result, 1 to N.
        method: these refine by L-BFGS at the end, except with ``refine="none"``, and then do not
            preserve mean and covariance:
            "oggmr" (greedy by the angle of the whole mixture; our reading of Sajedi et al. 2023),
            "williams" (greedy by its ISE, with removals; Williams and Maybeck 2003),
            "gmrc" (clustering from Runnalls' result; Schieferdecker and Huber 2009).
            These do not refine: "ise-local" (the change in L2 by a pair's merge), "runnalls"
            (2007), "salmond" (joining; 1990), "west" (1993; ``order="trace"`` or
            ``"determinant"``: enhanced), "cowa" (Chen, Chang and Smith 2010), "prune", "brute"
            (all partitions, at most two million).
        **options: of ``ReduceConfig``: ``criterion="angle" | "ise"``,
            ``refine="none" | "weights" | "full"``, ``order``, ``partner``, ``max_iterations``,
            ``min_weight``.

    Returns:
        A ``Reduction``.

    Raises:
        InvalidInput: components > N, an option out of range, or too many partitions.
        UnknownName: there is no such method.

    Example:
        >>> from explore.mixtures import load_mixture, pdf_angle
        >>> ten = load_mixture("standard-1d")
        >>> for method in ("runnalls", "oggmr"):
        ...     five = reduce(ten, 5, method, refine="none")
        ...     print(method, round(pdf_angle(ten, five.mixture), 4), five.labels)
        runnalls 0.2358 [0 1 2 3 0 2 2 0 4 2]
        oggmr 0.0759 [0 1 0 2 0 3 0 0 4 0]
    """
    names = sorted(set(ReduceConfig.__dataclass_fields__) - {"data", "method", "components"})
    if unknown := sorted(set(options) - set(names)):
        listed = ", ".join(map(repr, unknown))
        raise InvalidInput(f"reduce has no option {listed}; it has {', '.join(names)}")
    if not isinstance(mixture, GaussianMixture):
        raise InvalidInput(
            f"expected a GaussianMixture, got {type(mixture).__name__}; "
            "see GaussianMixture.from_sklearn"
        )
    config = ReduceConfig.make(method=method, components=components, **options)
    return ReduceRun(config, mixture).run().reduction()


def build(config: ReduceConfig, data: Any = None) -> ReduceRun:
    """Build the run of a method; ``data`` replaces that of the config."""
    return ReduceRun(config, config.data if data is None else data)


class ReduceRun(BaseRun):
    """A run that reduces a mixture; each step is one merge, one sweep, or one part of a search.

    Args:
        options: see ``ReduceConfig``.
        data: a ``GaussianMixture``, the name of one, or ``{"name": ..., "options": {...}}`` as in
            recordings.

    Attributes:
        original: the mixture before the reduction.
        current: the present mixture.
        path: merges and removals so far.
        phase: the stage of the last step, one of ``config.PHASES``.
        converged, outcome: whether and how the last stage ended.
    """

    @quiet
    def __init__(self, options: ReduceConfig, data: Any) -> None:
        self.options, self.name = options, options.method
        self.original, self._origin = resolve_mixture(data)
        n, m = len(self.original), options.components
        if m > n:
            raise InvalidInput(f"components must be at most {n}, which the mixture has, got {m}")
        self.current = MutableMixture(self.original)
        # Late merges are more informative than early ones, so the frames are evenly spaced.
        self.every = max(1, (n - m) // 100)
        self.path: list[Step] = []
        self.phase, self.converged, self.outcome = "start", True, "nothing to do"
        self._seconds = 0.0
        self._mixture: GaussianMixture | None = self.original
        self._stages, self._stage = build_stages(options, self.original), 0
        self._select_stage()

    @cached_property
    def config(self) -> Mapping[str, Any]:  # type: ignore[override]
        """Method, options and mixture."""
        f = self.original
        arrays = (f.weights, f.means, f.covariances)
        digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
        data = {**self._origin, "shape": list(f.means.shape), "sha256": digest}
        return self.options.identity(data)

    @property
    def mixture(self) -> GaussianMixture:
        """The present mixture."""
        if self._mixture is None:
            self._mixture = self.current.freeze()
        return self._mixture

    @property
    def message(self) -> str:
        """How many components are left, and the phase of the last step."""
        return f"{self.current.count} components after {self.phase}"

    @quiet
    def advance(self) -> None:
        """Take one step of the present stage.

        Raises:
            InvalidInput: the numbers of the mixture are too large or too small for the method.
        """
        self._advance()

    @quiet
    def run(self) -> Self:
        """Advance to the end without recording; returns the run itself."""
        while self.step < self.steps:
            self._advance()
        return self

    def _advance(self) -> None:
        if self._stage >= len(self._stages):
            return
        began = time.perf_counter()
        stage = self._stages[self._stage]
        step = stage.advance(self.current)
        if step is not None:
            check_pair_exists(0 if math.isfinite(step.score) else -1)
            self.path.append(step)
        self.phase, self.converged, self.outcome = stage.phase, stage.converged, stage.message
        self._mixture = None
        self.step += 1
        self._select_stage()
        self._seconds += time.perf_counter() - began

    def _select_stage(self) -> None:
        """Skip stages that are done, and update the planned number of steps."""
        while self._stage < len(self._stages) and self._stages[self._stage].done(self.current):
            self._stage += 1
        rest = self._stages[self._stage :]
        done = rest[0].steps_done if rest else 0
        self.steps = self.step + sum(stage.steps for stage in rest) - done

    def reduction(self) -> Reduction:
        """Return the result so far.

        Raises:
            InvalidInput: it is not finite, as the numbers of the mixture are too large.
        """
        arrays = (self.mixture.weights, self.mixture.means, self.mixture.covariances)
        if not all(np.isfinite(array).all() for array in arrays):
            raise InvalidInput(
                "the reduced mixture is not finite, as the numbers of the original are too large "
                "or too small; choose another unit"
            )
        return Reduction(
            self.mixture,
            self.current.compact_labels(),
            tuple(self.path),
            self._evaluations,
            self.converged,
            self.outcome,
            self._seconds,
            self.original,
            reweighed=self.name == "cowa",
        )

    @property
    def _evaluations(self) -> int:
        return sum(stage.evaluations for stage in self._stages)

    @cached_property
    def _yardstick(self) -> Yardstick:
        return Yardstick(self.original, self.options.draws, self.options.seed)

    @quiet
    def snapshot(self) -> xarray.Dataset:
        """Return the components in their slots, the last step, and every error metric."""
        current, last = self.current, Step(REMOVED, REMOVED, float("nan"))
        if self.path and self.phase == "merging":
            last = self.path[-1]
        values = {
            "weight": current.w.copy(),
            "mean": current.means.copy(),
            "covariance": current.covariances.copy(),
            "alive": current.alive.copy(),
            "label": current.labels.astype(np.int32),
            "merged": np.array([last.i, last.j], np.int32),
            "score": np.float64(last.score),
            "components": np.int32(current.count),
            "phase": np.int32(PHASES.index(self.phase)),
            "kernel_evaluations": np.int64(self._evaluations),
        }
        errors = self._yardstick.measure(self.mixture)
        values |= {name: np.float64(error) for name, error in errors.items()}
        return REDUCTION.frame(values, self._coordinates())

    def result(self) -> xarray.Dataset:
        """Return the reduced mixture, the original, and the label of each original component."""
        import xarray

        g = self.mixture
        originals = REDUCTION.frame({}, self._coordinates()).coords
        data = {
            "weight": (("reduced",), g.weights.copy()),
            "mean": (("reduced", "axis"), g.means.copy()),
            "covariance": (("reduced", "axis", "axis_"), g.covariances.copy()),
            "label": (("component",), self.current.compact_labels()),
        }
        attrs = {"converged": self.converged, "message": self.outcome}
        return xarray.Dataset(data, originals, attrs)

    def _coordinates(self) -> dict[str, Any]:
        f = self.original
        return {
            "original_weight": np.array(f.weights),
            "original_mean": np.array(f.means),
            "original_covariance": np.array(f.covariances),
        }

    def state(self) -> dict[str, Any]:
        """Return the values that ``restore`` needs: the present mixture, the path, the stages."""
        state = {f"parts.{name}": value for name, value in self.current.state().items()}
        for number, stage in enumerate(self._stages):
            state |= {f"{number}.{name}": value for name, value in stage.state().items()}
        return {
            **super().state(),
            **state,
            "path": np.array(self.path, float).reshape(-1, 3),
            "at": self._stage,
            "phase": self.phase,
            "converged": self.converged,
            "ended": self.outcome,
        }

    @quiet
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)

        def section(prefix: str) -> dict[str, Any]:
            return {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }

        self.current.restore(section("parts."))
        for number, stage in enumerate(self._stages):
            stage.restore(section(f"{number}."))
        self.path = [Step(int(i), int(j), float(score)) for i, j, score in state["path"]]
        self._stage, self.phase = int(state["at"]), str(state["phase"])
        self.converged, self.outcome = bool(state["converged"]), str(state["ended"])
        self._mixture = None
        self._select_stage()


def resolve_mixture(data: Any) -> tuple[GaussianMixture, dict[str, Any]]:
    """Return the mixture that ``data`` describes, and its description in a recording."""
    if isinstance(data, str):
        data = load_mixture(data)
    elif isinstance(data, Mapping):
        if data.get("name") == UNNAMED:
            raise InvalidInput("the mixture of this run has no name; give data=mixture")
        options = data.get("options") or {}
        if "name" not in data or not isinstance(options, Mapping):
            raise InvalidInput(
                f"the description of a mixture has a name and options, got {describe(dict(data))}"
            )
        data = load_mixture(data["name"], **options)
    if not isinstance(data, GaussianMixture):
        raise InvalidInput(
            f"data must be a GaussianMixture or the name of one, got {type(data).__name__}"
        )
    return data, {"name": UNNAMED, "options": {}, **data.origin}
