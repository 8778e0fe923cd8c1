"""The numbers of the benchmark of trajectory matching, as data of ``GradientCosts``."""

from __future__ import annotations

import xarray

from explore.core.resources import read_measurements
from explore.distill.figures.gradient_costs import gradient_costs


def measured_gradients(times: str = "") -> xarray.Dataset:
    """Select what ``GradientCosts`` shows: time, memory and deviation of each kind of gradient.

    Args:
        times: a file of ``explore bench trajectories --json``; by default the numbers that ship,
            which are those of the documentation.

    Raises:
        DataMissing, InvalidInput: there is no such file, or it is of another benchmark.

    Example:
        >>> measured_gradients().steps.values.tolist()
        [5, 10, 20, 40]
    """
    values = read_measurements(times, "data/gradient-costs.json", ["steps", "measures"])
    return gradient_costs(values["steps"], values["measures"])
