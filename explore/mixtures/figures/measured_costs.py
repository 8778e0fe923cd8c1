"""The times of the benchmark of mixture reduction, as data of ``Costs``."""

from __future__ import annotations

import xarray

from explore.core.resources import read_measurements
from explore.mixtures.figures.cost import costs


def measured_costs(times: str = "") -> xarray.Dataset:
    """Select what ``Costs`` shows: the seconds of each method at each number of components.

    Args:
        times: a file of ``explore bench mixtures --json``; by default the times that ship, which
            are those of the documentation.

    Raises:
        DataMissing, InvalidInput: there is no such file, or it is of another benchmark.

    Example:
        >>> measured_costs().sizes["components"]
        6
    """
    values = read_measurements(times, "data/mixture-costs.json", ["sizes", "growth"])
    return costs(values["sizes"], values["growth"])
