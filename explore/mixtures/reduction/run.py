"""Reduction of a Gaussian mixture, one merge a step; ten methods behind one call."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.runs import BaseRun
from explore.errors import InvalidInput
from explore.mixtures.components import REMOVED, MutableMixture
from explore.mixtures.config import PHASES, ReduceConfig
from explore.mixtures.distances import pdf_angle
from explore.mixtures.error_metrics import ERROR_METRICS, Yardstick
from explore.mixtures.examples import load_mixture
from explore.mixtures.inner_products import inner_log, inner_products
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.stages import Stage, Step

if TYPE_CHECKING:
    import xarray

NAMELESS = "mixture"
"""What a mixture that was not loaded by name is called in recordings."""


def reduce(
    mixture: GaussianMixture, components: int, method: str = "oggmr", **options: Any
) -> Reduction:
    """Approximate a mixture by one of fewer components.

    Args:
        mixture: N components.
        components: how many are to be left, 1 to N.
        method: these refine by L-BFGS at the end, unless told ``refine="none"``, and then no longer keep mean and covariance:
            "oggmr" (greedy on the angle of the whole; our reading of Sajedi et al. 2023),
            "williams" (greedy on the ISE of the whole, with removals; Williams and Maybeck 2003),
            "gmrc" (clustering from Runnalls' start; Schieferdecker and Huber 2009);
            these do not: "ise-local" (what a pair's merge changes in L2), "runnalls" (2007), "salmond" (joining; 1990),
            "west" (1993; ``order="trace"`` or ``"determinant"``: enhanced), "cowa" (Chen, Chang and Smith 2010),
            "prune", "brute" (all partitions, at most two million).
        **options: of ``ReduceConfig``: ``criterion="angle" | "ise"``, ``refine="none" | "weights" | "full"``,
            ``order``, ``partner``, ``max_iterations``, ``min_weight``.

    Returns:
        A ``Reduction``.

    Raises:
        InvalidInput: components > N, an option out of range, or too many partitions.
        UnknownName: no such method.

    Example:
        >>> from explore.mixtures import load_mixture, pdf_angle
        >>> ten = load_mixture("standard-1d")
        >>> for method in ("runnalls", "oggmr"):
        ...     five = reduce(ten, 5, method, refine="none")
        ...     print(method, round(pdf_angle(ten, five.mixture), 4), five.labels)
        runnalls 0.2358 [0 1 2 3 0 2 2 0 4 2]
        oggmr 0.0759 [0 1 0 2 0 3 0 0 4 0]
    """
    known = set(ReduceConfig.__dataclass_fields__) - {"data", "method", "components"}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidInput(
            f"reduce has no option {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known))}"
        )
    if not isinstance(mixture, GaussianMixture):
        raise InvalidInput(
            f"expected a GaussianMixture, got {type(mixture).__name__}; see GaussianMixture.from_sklearn"
        )
    config = ReduceConfig.make(method=method, components=components, **options)
    return ReduceRun(config, mixture).run().reduction()


@dataclass(frozen=True)
class Reduction:
    """The result of a reduction.

    Attributes:
        mixture: the reduced one.
        labels: ``[N]``, the component of ``mixture`` that each original one went to, -1 where it was removed; of the
            merges: a refinement moves components on.
        path: the merges in their order; slots are numbered as the original components are, scores as the method counts
            (radians for the angle, 1 / volume for the ISE, nats for Runnalls and KL, a weight for pruning).
        kernel_evaluations: product integrals that the method computed.
        converged: whether the last search (clustering or L-BFGS), if there was one, stopped before its limit.
        message: how it ended.
        seconds: wall time.
        original: the mixture before.
        reweighed: whether all weights were chosen anew after each merge (COWA).
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

    def at(self, components: int) -> GaussianMixture:
        """The mixture on the path when it had so many components (before any refinement).

        Raises:
            InvalidInput: the path does not pass there.
        """
        steps = len(self.original) - int(components)
        if not 0 <= steps <= len(self.path):
            low, high = len(self.original) - len(self.path), len(self.original)
            raise InvalidInput(
                f"the path goes from {high} to {low} components, not to {components}"
            )
        return self._walk()[steps]

    def _walk(self) -> list[GaussianMixture]:
        """Every mixture on the path, the original first."""
        from explore.mixtures.reduction.pruning import reweigh

        parts, found = MutableMixture(self.original), [self.original]
        for i, j, _ in self.path:
            if j == REMOVED:
                parts.remove(i)
            else:
                parts.merge(i, j)
            if self.reweighed:
                reweigh(parts)
            found.append(parts.freeze())
        return found

    @cached_property
    def trace(self) -> np.ndarray:
        """Angle to the original after each step of the path, in radians; before any refinement."""
        f, own = self.original, inner_log(self.original, self.original)
        return np.array(
            [pdf_angle(f, here, inner_products(f, here, own)) for here in self._walk()[1:]]
        )

    def __repr__(self) -> str:
        return f"Reduction({len(self.original)} → {len(self.mixture)} components in {self.seconds:.2g} s; {self.message})"


def build(config: ReduceConfig, data: Any = None) -> ReduceRun:
    """The registry's builder."""
    return ReduceRun(config, config.data if data is None else data)


class ReduceRun(BaseRun):
    """Reduce a mixture, one merge (or sweep, or piece of a search) a step; a ``Run``.

    Args:
        options: see ``ReduceConfig``.
        data: a ``GaussianMixture``, the name of one, or ``{"name": ..., "options": {...}}`` as recordings keep it.
    """

    def __init__(self, options: ReduceConfig, data: Any) -> None:
        self.options, self.name = options, options.method
        self.original, self._origin = taken(data)
        n = len(self.original)
        if options.components > n:
            raise InvalidInput(
                f"components must be at most {n}, which the mixture has, got {options.components}"
            )
        self.parts = MutableMixture(self.original)
        self._stages = stages_of(options, self.original)
        self._at = 0
        self.steps = 0
        self.every = max(
            1, (n - options.components) // 100
        )  # late merges tell more than early ones, so not "log"
        self.path: list[Step] = []
        self.phase, self.converged, self.ended, self._seconds = "start", True, "nothing to do", 0.0
        self._mixture: GaussianMixture | None = self.original
        self._turn()

    @cached_property
    def config(self) -> Mapping[str, Any]:  # type: ignore[override]
        """What repeats the run."""
        f = self.original
        digest = hashlib.sha256(
            b"".join(array.tobytes() for array in (f.weights, f.means, f.covariances))
        ).hexdigest()
        return self.options.identity(
            {**self._origin, "shape": list(f.means.shape), "sha256": digest}
        )

    @property
    def mixture(self) -> GaussianMixture:
        """As it stands."""
        if self._mixture is None:
            self._mixture = self.parts.freeze()
        return self._mixture

    @property
    def message(self) -> str:
        """How many components are left, and what the last step was."""
        return f"{self.parts.count} components after {self.phase}"

    def advance(self) -> None:
        """Take one step of the present stage."""
        began = time.perf_counter()
        stage = self._stages[self._at]
        step = stage.advance(self.parts)
        if step is not None:
            self.path.append(step)
        self.phase, self.converged, self.ended = stage.phase, stage.converged, stage.message
        self._mixture = None
        self.step += 1
        self._turn()
        self._seconds += time.perf_counter() - began

    def _turn(self) -> None:
        """Go on to the next stage that has something to do, and see how many steps are left."""
        while self._at < len(self._stages) and self._stages[self._at].done(self.parts):
            self._at += 1
        left = self._stages[self._at :]
        self.steps = self.step + sum(
            stage.steps - (stage.steps_done if k == 0 else 0) for k, stage in enumerate(left)
        )

    def reduction(self) -> Reduction:
        """What was reached so far."""
        labels, evaluations = self.parts.compact_labels(), self._evaluations
        how = evaluations, self.converged, self.ended, self._seconds
        return Reduction(
            self.mixture, labels, tuple(self.path), *how, self.original, self.name == "cowa"
        )

    @property
    def _evaluations(self) -> int:
        return sum(stage.evaluations for stage in self._stages)

    @cached_property
    def _yardstick(self) -> Yardstick:
        return Yardstick(self.original, self.options.draws, self.options.seed)

    def snapshot(self) -> xarray.Dataset:
        """Components in their slots, what the last step did, and every measure against the original."""
        import xarray

        parts, f = self.parts, self.original
        last = (
            self.path[-1]
            if self.path and self.phase == "merging"
            else Step(REMOVED, REMOVED, float("nan"))
        )
        component, axes = ("component",), ("component", "axis", "axis_")
        seen = [
            ("weight", component, parts.w.copy(), "weight; 0 where no component is left"),
            ("mean", axes[:2], parts.means.copy(), "mean"),
            ("covariance", axes, parts.covariances.copy(), "covariance"),
            ("alive", component, parts.alive.copy(), "whether a component is left in this slot"),
            (
                "label",
                component,
                parts.labels.astype(np.int32),
                "slot that each original component went to, or -1",
            ),
            (
                "merged",
                ("pair",),
                np.array([last.i, last.j], np.int32),
                "slots of the last merge, or -1",
            ),
            ("score", (), np.float64(last.score), "what the last merge cost, as the method counts"),
            ("components", (), np.int32(parts.count), "components left"),
            (
                "phase",
                (),
                np.int32(PHASES.index(self.phase)),
                ", ".join(f"{k} {p}" for k, p in enumerate(PHASES)),
            ),
            ("kernel_evaluations", (), np.int64(self._evaluations), "kernel evaluations so far"),
        ]
        frame = {
            name: (dims, values, {"long_name": text, "units": "1"})
            for name, dims, values, text in seen
        }
        for name, value in self._yardstick.measure(self.mixture).items():
            text, unit = ERROR_METRICS[name]
            frame[name] = ((), np.float64(value), {"long_name": text, "units": unit})
        return xarray.Dataset(frame, _coordinates(f))

    def result(self) -> xarray.Dataset:
        """The reduced mixture, the original, and which component each original one went to."""
        import xarray

        g = self.mixture
        found = {
            "weight": (("reduced",), g.weights.copy()),
            "mean": (("reduced", "axis"), g.means.copy()),
            "covariance": (("reduced", "axis", "axis_"), g.covariances.copy()),
            "label": (("component",), self.parts.compact_labels()),
        }
        return xarray.Dataset(
            found, _coordinates(self.original), {"converged": self.converged, "message": self.ended}
        )

    def state(self) -> dict[str, Any]:
        """Parts, path and what every stage keeps."""
        kept: dict[str, Any] = {
            f"parts.{name}": value for name, value in self.parts.state().items()
        }
        for number, stage in enumerate(self._stages):
            kept |= {f"{number}.{name}": value for name, value in stage.state().items()}
        kept |= {
            "path": np.array(self.path, float).reshape(-1, 3),
            "at": self._at,
            "phase": self.phase,
        }
        return {**super().state(), **kept, "converged": self.converged, "ended": self.ended}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)

        def under(prefix: str) -> dict[str, Any]:
            return {
                name.removeprefix(prefix): value
                for name, value in state.items()
                if name.startswith(prefix)
            }

        self.parts.restore(under("parts."))
        for number, stage in enumerate(self._stages):
            stage.restore(under(f"{number}."))
        self.path = [Step(int(i), int(j), float(score)) for i, j, score in state["path"]]
        self._at, self.phase = int(state["at"]), str(state["phase"])
        self.converged, self.ended, self._mixture = (
            bool(state["converged"]),
            str(state["ended"]),
            None,
        )
        self._turn()


def stages_of(options: ReduceConfig, f: GaussianMixture) -> list[Stage]:
    """The stages of a method; none where there is nothing to reduce."""
    name, m, criterion = options.method, options.components, options.criterion
    if m == len(f):
        return []
    found: list[Stage]
    if name in ("oggmr", "williams"):
        from explore.mixtures.reduction.global_merging import GlobalMerging

        found = [GlobalMerging(f, m, criterion, removals=name == "williams")]
    elif name in ("runnalls", "salmond", "ise-local", "gmrc"):
        from explore.mixtures.reduction.clustering import Clustering
        from explore.mixtures.reduction.local_merging import LocalMerging

        cost = {"gmrc": "runnalls", "ise-local": "ise"}.get(name, name)
        found = [LocalMerging(f, m, cost), *([Clustering(f)] if name == "gmrc" else [])]
    elif name in ("west", "cowa"):
        from explore.mixtures.reduction.pruning import LightestFirst

        found = [LightestFirst(f, m, options.order, options.partner, reweigh=name == "cowa")]
    elif name == "prune":
        from explore.mixtures.reduction.pruning import Pruning

        found = [Pruning(f, m)]
    else:
        from explore.mixtures.reduction.brute import BruteForce

        found = [BruteForce(f, m, criterion)]
    if options.refine != "none":
        from explore.mixtures.reduction.refine import Refinement

        found.append(Refinement(f, "weights", options))
    if options.refine == "full":
        found.append(Refinement(f, "full", options))
    return found


def taken(data: Any) -> tuple[GaussianMixture, dict[str, Any]]:
    """A mixture from whatever stands for one, and what names it in a recording."""
    if isinstance(data, str):
        data = load_mixture(data)
    elif isinstance(data, Mapping):
        if data.get("name") == NAMELESS:
            raise InvalidInput("this run was made from a mixture without a name; give data=mixture")
        data = load_mixture(data["name"], **data.get("options", {}))
    if not isinstance(data, GaussianMixture):
        raise InvalidInput(
            f"data must be a GaussianMixture or the name of one, got {type(data).__name__}"
        )
    return data, {"name": NAMELESS, "options": {}, **data.origin}


def _coordinates(f: GaussianMixture) -> dict[str, Any]:
    return {
        "original_weight": (("component",), np.array(f.weights)),
        "original_mean": (("component", "axis"), np.array(f.means)),
        "original_covariance": (("component", "axis", "axis_"), np.array(f.covariances)),
    }
