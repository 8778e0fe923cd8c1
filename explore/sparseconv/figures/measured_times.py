"""The times of the benchmark of sparse convolution, as data of its two pictures."""

from __future__ import annotations

from typing import Any

import xarray

from explore.core.resources import read_measurements
from explore.core.validation import check_choice
from explore.sparseconv.figures.speedup_by_density import speedup_by_density
from explore.sparseconv.figures.time_by_density import time_by_density


def measured_times(layer: str = "", times: str = "") -> xarray.Dataset:
    """Select what ``TimeByDensity`` shows: the times of one convolution over the density.

    Args:
        layer: such as "56² 64→64 3×3"; the first one by default.
        times: a file of ``explore bench sparseconv --json``; by default the times that ship.

    Raises:
        DataMissing, InvalidInput: there is no such file, or it is of another benchmark.
        UnknownName: there is no such layer; the message lists those there are.

    Example:
        >>> measured_times("56² 64→64 3×3").sizes["density"]
        7
    """
    values = _read(times)
    layers = list(dict.fromkeys(str(row["layer"]) for row in values["rows"]))
    name = check_choice("layer", layer or layers[0], layers)
    return time_by_density(values["rows"], values["about"], name)


def measured_speedups(method: str = "bitmap", times: str = "") -> xarray.Dataset:
    """Select what ``SpeedupByDensity`` shows: how many times as fast a method is on each layer.

    Args:
        method: that is compared with the faster of PyTorch's two memory formats.
        times: a file of ``explore bench sparseconv --json``; by default the times that ship.

    Raises:
        DataMissing, InvalidInput: there is no such file, or it is of another benchmark, or it has
            no times of this method.

    Example:
        >>> measured_speedups().sizes["layer"]
        12
    """
    values = _read(times)
    return speedup_by_density(values["rows"], values["about"], method)


def _read(times: str) -> dict[str, Any]:
    return read_measurements(times, "data/sparse-times.json", ["rows", "about"])
