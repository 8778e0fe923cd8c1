"""What the recordings of mixture reductions hold."""

from __future__ import annotations

from explore.core.schema import RecordingKind, Variable
from explore.mixtures.config import PHASES

ERROR_METRICS = {
    "angle": Variable((), "angle in L2", "rad"),
    "ise": Variable((), "integrated squared error", "1 / volume"),
    "nise": Variable((), "normalised integrated squared error"),
    "cauchy_schwarz": Variable((), "Cauchy–Schwarz divergence", "nat"),
    "kl": Variable((), "Kullback–Leibler divergence from the original", "nat"),
    "kl_error": Variable((), "standard error of it; 0 where it was integrated", "nat"),
    "mean_error": Variable((), "how far the mean moved, in standard deviations of the original"),
    "covariance_error": Variable(
        (), "Frobenius norm of the change of covariance, in units of the original's"
    ),
    "peaks": Variable((), "local maxima of the density"),
}
"""Every value that ``Yardstick.measure`` returns."""

REDUCTION = RecordingKind(
    "a mixture reduction",
    {
        "kernel_evaluations": Variable((), "kernel evaluations so far"),
        "weight": Variable(("component",), "weight; 0 where no component is left"),
        "mean": Variable(("component", "axis"), "mean"),
        "covariance": Variable(("component", "axis", "axis_"), "covariance"),
        "alive": Variable(("component",), "whether a component is left in this slot"),
        "label": Variable(("component",), "slot that each original component went to, or -1"),
        "merged": Variable(("pair",), "slots of the last merge, or -1"),
        "score": Variable((), "what the last merge cost, as the method counts"),
        "components": Variable((), "components left"),
        "phase": Variable((), ", ".join(f"{k} {phase}" for k, phase in enumerate(PHASES))),
        **ERROR_METRICS,
    },
    {
        "original_weight": Variable(("component",), "", ""),
        "original_mean": Variable(("component", "axis"), "", ""),
        "original_covariance": Variable(("component", "axis", "axis_"), "", ""),
    },
)
