"""Options of the reduction methods, and the defaults of each method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from explore.core.config import BaseConfig, option, seed_option
from explore.core.validation import check_choice
from explore.errors import InvalidInput

METHOD_DEFAULTS: dict[str, dict[str, Any]] = {
    # Our reading of OGGMR (Sajedi et al. 2023): greedy by the angle, then L-BFGS.
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
"""Options of each method that differ from those of ``ReduceConfig``."""

PHASES = ("start", "merging", "clustering", "searching", "choosing weights", "L-BFGS")
"""The phases of a reduction; recordings contain their index."""

CRITERIA, REFINEMENTS = ("angle", "ise"), ("none", "weights", "full")
# West merges the component with the least weight w. For the enhanced algorithm, published sources
# differ: the least w / tr Σ, or the least w / |Σ|. The partner is the nearest by KL(N_i‖N_j) or by
# ∫ (N_i − N_j)², both without weights.
ORDERS, PARTNERS = ("weight", "trace", "determinant"), ("kl", "ise")


@dataclass(frozen=True, kw_only=True)
class ReduceConfig(BaseConfig):
    """Options of a reduction; ``ReduceConfig.make`` adds the defaults of the method.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("oggmr", "one of " + ", ".join(METHOD_DEFAULTS), choices=METHOD_DEFAULTS)
    data: Any = option(
        "standard-1d", "name of the mixture, or an .npz file with weights, means and covariances"
    )
    components: int = option(5, "components of the reduced mixture", at_least=1)
    criterion: str = option(
        "angle",
        "what is minimised: angle or ise (oggmr, brute, and every refinement)",
        choices=CRITERIA,
    )
    refine: str = option(
        "none",
        "after the merges: none, weights (least squares) or full (L-BFGS over all parameters)",
        choices=REFINEMENTS,
    )
    order: str = option(
        "weight",
        "west, cowa: the component to merge has the least weight, weight / trace or / determinant",
        choices=ORDERS,
    )
    partner: str = option(
        "kl", "west, cowa: it is merged into the nearest by kl or ise", choices=PARTNERS
    )
    max_iterations: int = option(200, "iterations of L-BFGS at most", at_least=1)
    min_weight: float = option(1e-6, "lower bound of each weight in L-BFGS", at_least=0)
    seed: int = seed_option("of the draws that the KL divergence of each frame is averaged over")
    draws: int = option(10_000, "number of those draws", at_least=2, at_most=10**8)

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a config in which every option is decided: by the method and ``values``."""
        name = check_choice("method", values.get("method", "oggmr"), METHOD_DEFAULTS)
        defaults = dict(METHOD_DEFAULTS[name])
        if name == "west" and values.get("order", "weight") != "weight":  # the enhanced algorithm
            defaults["partner"] = "ise"
        choices = {"criterion": CRITERIA, "order": ORDERS, "partner": PARTNERS}
        for key in choices.keys() & values.keys():
            values[key] = check_choice(key, values[key], choices[key])
        fixed = {"williams": {"criterion": "ise"}, "cowa": {"criterion": "ise"}}.get(name, {})
        if name not in ("west", "cowa"):
            fixed = {**fixed, "order": "weight", "partner": "kl"}
        for key, value in fixed.items():
            if values.get(key, value) != value:
                raise InvalidInput(f"{name} has no {key} other than {value}, got {values[key]!r}")
        return cls(**{**defaults, **values})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_weight >= 1 / self.components:
            raise InvalidInput(
                f"min_weight must be in [0, 1 / components), got {self.min_weight!r}"
            )
