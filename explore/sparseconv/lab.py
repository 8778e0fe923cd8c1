"""The sparse-convolution lab: one function a notebook cell, each returning something that shows itself."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from explore.core.recording import open_recording, require_variable
from explore.core.resources import shipped
from explore.errors import DataMissing, InvalidInput
from explore.sparseconv.catalog import SHIPPED_NETWORKS
from explore.sparseconv.figures.format_cells import format_cells
from explore.sparseconv.figures.format_diagram import FormatDiagram
from explore.sparseconv.figures.layer_density import LayerDensity, density
from explore.sparseconv.figures.nonzero_maps import NonzeroMaps, nze
from explore.sparseconv.figures.shuffling_cost import (
    ARRANGEMENTS,
    SHUFFLED_FORMATS,
    ShufflingCost,
    shuffling_cost,
)
from explore.sparseconv.figures.survey_data import (
    SIZE_UNIT_LABELS,
    check_number,
    layer_maps,
    layers_with_maps,
)
from explore.sparseconv.figures.time_by_density import TimeByDensity, time_by_density
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import keep_largest, shuffle_values
from explore.widgets.controls import Button, Choice, Control, Slider
from explore.widgets.explorer import Explorer

EXAMPLE = ((1, 0, 0, 4, 0), (0, 2, 0, 5, 0), (3, 0, 0, 6, 7), (0, 0, 0, 0, 8))
"""A map on which every format can be written out by hand."""

UNCHOSEN = "choose …"
KEPT = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02)
"""Shares of the values that are not zero, the largest of which stay."""

SECONDS = 4.0
"""What measuring here takes, about."""

PATTERNS = ("scenes-vgg", "scenes-residual", "scenes-smooth")
TITLES = {
    "scenes-vgg": "scenes-vgg (ReLU)",
    "scenes-residual": "scenes-residual (ReLU, shortcuts)",
    "scenes-smooth": "scenes-smooth (SiLU, no ReLU)",
    "resnet20": "ResNet-20 on CIFAR-10 (JPEG)",
    "resnet56": "ResNet-56 on CIFAR-10 (JPEG)",
    "squeezenet": "SqueezeNet on Imagenette",
}


def copies(x: Any = EXAMPLE, kernel_size: int = 3) -> Explorer:
    """A small map written out in five formats: choose a value (click it), and every copy of it lights up.

    Args:
        x: ``[H, W]``, at most 8×8, with at least one value that is not zero.
        kernel_size: of the convolution.
    """
    try:
        x = np.asarray(x, np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"x must be one map of numbers [H, W]: {error}") from error
    if x.ndim != 2 or not x.size:
        raise InvalidInput(f"x must be one map [H, W], got shape {list(x.shape)}")
    names = [f"{i + 1}, {j + 1}" for i, j in np.argwhere(x != 0)]

    def source(value: str, stride: int) -> xarray.Dataset:
        return format_cells(x, kernel_size, stride, "" if value == UNCHOSEN else value)

    controls: dict[str, Control] = {
        "value": Choice("value in row, column", [UNCHOSEN, *names]),
        "stride": Choice("stride", [1, 2, 3]),
    }
    return Explorer(source, FormatDiagram, controls, "copies")


def neighbour_values(network: str = "scenes-vgg", image: int = 1) -> Explorer:
    """Real maps beside the same values at other places of their channels: which format gains from neighbours?

    Args:
        network: one of ``PATTERNS``, or the path of a survey with maps.
        image: of the survey, from 1 on.
    """
    recorded = _with_maps(network)
    check_number("image", image, 1, recorded.sizes["step"])

    @cache
    def measured(
        layer: int,
    ) -> tuple[Geometry, dict[float, dict[str, np.ndarray]], xarray.DataArray]:
        maps, geometry = layer_maps(recorded, image - 1, layer - 1)
        sides = {
            share: {
                ARRANGEMENTS[0]: (kept := keep_largest(maps, share)),
                ARRANGEMENTS[1]: shuffle_values(kept),
            }
            for share in KEPT
        }
        sizes = [
            [
                [_bytes(sides[share][side], geometry, name) for name in SHUFFLED_FORMATS]
                for side in ARRANGEMENTS
            ]
            for share in KEPT
        ]
        count = np.array([np.count_nonzero(sides[share][ARRANGEMENTS[0]]) for share in KEPT])
        known = {
            "share": list(KEPT),
            "density": ("share", count / maps.size),
            "count": ("share", np.maximum(1, count)),
        }
        return geometry, sides, xarray.DataArray(sizes, known, ("share", "side", "format"))

    def source(layer: int, kept: float, channel: int) -> xarray.Dataset:
        geometry, sides, sizes = measured(layer)
        shown = min(channel, geometry.shape[1]) - 1
        share = float(sizes["density"].sel(share=kept))
        title = f"{recorded.attrs['config']['model']}, convolution {layer}: density {share:.1%}; the maps are of channel {shown + 1}"
        return shuffling_cost(sides[kept], geometry, shown, sizes, kept, title)

    layers = layers_with_maps(recorded)
    controls: dict[str, Control] = {
        "layer": Slider("convolution", layers, layers[min(1, len(layers) - 1)]),
        "kept": Slider("largest values kept", list(KEPT)),
        "channel": Slider("channel", list(range(1, _channels(recorded) + 1))),
    }
    return Explorer(source, ShufflingCost, controls, "neighbours")


def patterns(*networks: str) -> Explorer:
    """Where a layer's values are not zero, and how many windows read each; every network, image, layer and channel.

    Args:
        *networks: of ``PATTERNS``, or paths of surveys with maps (``explore run density --maps``); all that ship if left out.
    """
    names = list(networks or PATTERNS)
    recorded = {name: _with_maps(name) for name in names}

    def source(network: str, image: int, layer: int, channel: int, unit: str) -> xarray.Dataset:
        chosen = recorded[network]
        nearest = min(layers_with_maps(chosen), key=lambda number: abs(number - layer))
        return nze(chosen, min(image, chosen.sizes["step"]) - 1, nearest, channel, unit)

    layers = sorted({number for r in recorded.values() for number in layers_with_maps(r)})
    controls: dict[str, Control] = {
        "network": Choice("network", names, names=TITLES),
        "image": Slider(
            "image", list(range(1, max(r.sizes["step"] for r in recorded.values()) + 1))
        ),
        "layer": Slider("convolution", layers, layers[min(1, len(layers) - 1)]),
        "channel": Slider("channel", list(range(1, max(map(_channels, recorded.values())) + 1))),
        "unit": Choice("count in", list(SIZE_UNIT_LABELS), names=SIZE_UNIT_LABELS),
    }
    return Explorer(source, NonzeroMaps, controls, "patterns")


def densities(*networks: str) -> Explorer:
    """Density and sizes, convolution by convolution, of published networks on real images.

    Args:
        *networks: of ``SHIPPED_NETWORKS``, or paths of surveys (``explore run density``); all that ship if left out.
    """
    names = list(networks or SHIPPED_NETWORKS)
    recorded = {name: survey(name) for name in names}

    def source(network: str, image: int, layer: int, unit: str) -> xarray.Dataset:
        chosen = recorded[network]
        last = chosen.sizes["layer"]
        return density(chosen, min(image, chosen.sizes["step"]) - 1, min(layer, last), unit)

    controls: dict[str, Control] = {
        "network": Choice("network", names, names=TITLES),
        "image": Slider(
            "image", list(range(1, max(r.sizes["step"] for r in recorded.values()) + 1))
        ),
        "layer": Slider(
            "convolution", list(range(1, max(r.sizes["layer"] for r in recorded.values()) + 1)), 3
        ),
        "unit": Choice("count in", list(SIZE_UNIT_LABELS), names=SIZE_UNIT_LABELS),
    }
    return Explorer(source, LayerDensity, controls, "densities")


def times() -> Explorer:
    """How long one convolution takes over the density of its map, as it was measured once, or here and now (some seconds)."""
    kept = json.loads(shipped("data/sparse-times.json").read_text(encoding="utf-8"))
    known: dict[str, tuple[list[Any], dict[str, Any]]] = {"": (kept["rows"], kept["about"])}

    def source(layer: str) -> xarray.Dataset:
        rows, about = known.get(layer, known[""])
        return time_by_density(rows, about, layer)

    def measure_here(explorer: Explorer) -> None:
        from explore.sparseconv.bench.timing import measure_layer

        explorer.say("measuring …")
        layer = explorer.layer  # type: ignore[attr-defined]
        known[layer] = measure_layer(layer, SECONDS)
        explorer.redraw()
        explorer.say("measured here")

    layers = list(dict.fromkeys(row["layer"] for row in kept["rows"]))
    controls: dict[str, Control] = {
        "layer": Choice("convolution", layers),
        "here": Button("Measure here", measure_here),
    }
    return Explorer(source, TimeByDensity, controls, "times")


def survey(name: str) -> xarray.Dataset:
    """A recorded survey by the name of its network, if it ships, or by its path.

    Raises:
        DataMissing: no such recording.
        InvalidInput: it is of something else.
    """
    shipping = name in SHIPPED_NETWORKS
    path = shipped(f"data/density-{name}.zarr.zip") if shipping else Path(name).expanduser()
    if not path.exists():
        raise DataMissing(
            f"there is no recording {path}; give the path of one, or a network of {', '.join(SHIPPED_NETWORKS)}"
        )
    (found,) = require_variable(
        open_recording(path).load(), "density", "a density survey (explore run density)"
    )
    return found


def _with_maps(name: str) -> xarray.Dataset:
    found = survey(name)
    if "offset" not in found or not layers_with_maps(found):
        raise InvalidInput(f"{name} holds no maps; record it with explore run density --maps")
    return found


def _channels(recorded: xarray.Dataset) -> int:
    """The most channels that a layer with maps has."""
    return max(
        int(recorded["shape"].values[number - 1, 0]) for number in layers_with_maps(recorded)
    )


def _bytes(maps: np.ndarray, geometry: Geometry, method: str) -> int:
    """Size of maps ``[C, H, W]`` in a format; by the plain encoders, which need not be compiled first."""
    return {"cpo": encode_cpo, "cps": encode_cps}[method](
        maps[None].astype(np.float32), geometry
    ).nbytes
