"""Options of the reduction methods: one dataclass and what each method makes of it; no Numba, so that it loads fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

from explore.core.config import identity, option
from explore.errors import InvalidInput, UnknownName

USUAL: dict[str, dict[str, Any]] = {
    # Greedy on the angle of the whole mixture, then everything by L-BFGS: our reading of OGGMR (Sajedi et al. 2023).
    "oggmr": {"criterion": "angle", "refine": "full"},
    "williams": {"criterion": "ise", "refine": "full"},
    "ise-local": {"criterion": "ise"},
    "runnalls": {},
    "salmond": {},
    "west": {},
    "cowa": {"criterion": "ise", "order": "trace", "partner": "ise"},
    "gmrc": {"criterion": "ise", "refine": "full"},
    "prune": {},
    "brute": {},
}
"""What a method does if nothing else is said."""

PHASES = ("start", "merging", "clustering", "searching", "choosing weights", "L-BFGS")
"""What a step may be, in the order in which recordings number it."""

CRITERIA, REFINE = ("angle", "ise"), ("none", "weights", "full")
# West merges the component with the least weight w; of the enhanced algorithm the field's two sources differ: the least
# w / tr Σ, or the least w / |Σ|. Its partner is the nearest by KL(N_i‖N_j) or by ∫ (N_i − N_j)², both without weights.
ORDERS, PARTNERS = ("weight", "trace", "determinant"), ("kl", "ise")


@dataclass(frozen=True, kw_only=True)
class ReduceConfig:
    """Everything that decides a reduction; made by ``ReduceConfig.make``, which fills in what the method usually does.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("oggmr", "one of " + ", ".join(USUAL))
    data: Any = option(
        "standard-1d", "name of the mixture, or an .npz file with weights, means and covariances"
    )
    components: int = option(5, "how many are to be left")
    criterion: str = option(
        "angle", "what is kept small: angle or ise (oggmr, brute, and every refinement)"
    )
    refine: str = option(
        "none",
        "after the merges: none, weights (least squares) or full (L-BFGS over all parameters)",
    )
    order: str = option(
        "weight",
        "west, cowa: the component to merge has the least weight, weight / trace or / determinant",
    )
    partner: str = option("kl", "west, cowa: and goes to the nearest by kl or ise")
    max_iterations: int = option(200, "of L-BFGS")
    min_weight: float = option(1e-6, "no weight falls below this in L-BFGS")
    seed: int = option(0, "of the draws that the KL divergence of each frame is averaged over")
    draws: int = option(10_000, "how many draws")

    @classmethod
    def make(cls, **given: Any) -> Self:
        """A config in which every value is decided."""
        name = given.get("method", "oggmr")
        if name not in USUAL:
            raise UnknownName("method", name, USUAL)
        usual = dict(USUAL[name])
        if name == "west" and given.get("order", "weight") != "weight":  # the enhanced algorithm
            usual["partner"] = "ise"
        fixed = {"williams": {"criterion": "ise"}, "cowa": {"criterion": "ise"}}.get(name, {})
        if name not in ("west", "cowa"):
            fixed = {**fixed, "order": "weight", "partner": "kl"}
        wrong = [key for key, value in fixed.items() if given.get(key, value) != value]
        if wrong:
            raise InvalidInput(
                f"{name} has no {wrong[0]} other than {fixed[wrong[0]]}, got {given[wrong[0]]!r}"
            )
        return cls(**{**usual, **given})

    def __post_init__(self) -> None:
        for name, known in (
            ("criterion", CRITERIA),
            ("refine", REFINE),
            ("order", ORDERS),
            ("partner", PARTNERS),
        ):
            if getattr(self, name) not in known:
                raise InvalidInput(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        least = {"components": 1, "max_iterations": 1, "seed": 0, "draws": 2}
        for name, low in least.items():
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, Real)
                or not float(value) >= low
                or float(value) % 1
            ):
                raise InvalidInput(f"{name} must be a whole number ≥ {low}, got {value!r}")
            object.__setattr__(self, name, int(float(value)))  # 5.0 and NumPy's numbers will do
        if (
            not isinstance(self.min_weight, Real)
            or not 0 <= float(self.min_weight) < 1 / self.components
        ):
            raise InvalidInput(
                f"min_weight must be in [0, 1 / components), got {self.min_weight!r}"
            )

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What identifies the run in a recording."""
        return identity(self, data)
