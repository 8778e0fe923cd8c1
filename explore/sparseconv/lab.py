"""The sparse-convolution lab: one function for each notebook cell; each returns an explorer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import xarray

from explore.core.array_validation import check_array
from explore.core.recording import open_recording, require_variable
from explore.core.resources import shipped
from explore.core.validation import check_path
from explore.errors import DataMissing, InvalidInput
from explore.models.trained.network_table import NETWORKS
from explore.sparseconv.catalog import MAPPED_NETWORKS, SURVEYED_NETWORKS
from explore.sparseconv.figures.format_cells import format_cells, value_names
from explore.sparseconv.figures.format_diagram import FormatDiagram
from explore.sparseconv.figures.layer_density import LayerDensity, density
from explore.sparseconv.figures.nonzero_maps import NonzeroMaps, nze
from explore.sparseconv.figures.shuffling_cost import (
    ARRANGEMENTS,
    SHUFFLED_FORMATS,
    ShufflingCost,
    describe_growth,
    shuffling_cost,
)
from explore.sparseconv.figures.survey_data import (
    SIZE_UNIT_LABELS,
    check_number,
    layer_maps,
    layers_with_maps,
)
from explore.sparseconv.figures.time_by_density import (
    TimeByDensity,
    describe_winner,
    no_times,
    time_by_density,
)
from explore.sparseconv.formats.cpo import encode_cpo
from explore.sparseconv.formats.cps import encode_cps
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import keep_largest, shuffle_values
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.job import Progress
from explore.widgets.live import Live
from explore.widgets.prediction import Prediction

EXAMPLE_MAP = ((1, 0, 0, 4, 0), (0, 2, 0, 5, 0), (3, 0, 0, 6, 7), (0, 0, 0, 0, 8))
"""A map on which every format can be written by hand."""

NO_VALUE = "choose …"
KEPT_PERCENTAGES = (100, 70, 50, 35, 20, 10, 5, 2)
"""Percentages of the non-zero values; the largest values stay."""

MEASURE_SECONDS = 6.0
"""Approximate time of one measurement in the lab, without compilation."""
SHIPPED, OWN = "shipped", "measured here"
SHIPPED_TITLE, OWN_TITLE = "times that ship, measured", "measured here, just now,"

NETWORK_TITLES = {name: entry.title for name, entry in NETWORKS.items()}


def copies(x: Any = EXAMPLE_MAP, kernel_size: int = 3) -> Explorer:
    """Explore a small map in five formats: choose or click a value to highlight every copy of it.

    Args:
        x: ``[H, W]``, at most 8×8, with at least one value that is not zero.
        kernel_size: of the convolution.
    """
    x = check_array("x", x, ("H", "W")).astype(np.float32)

    def source(value: str, stride: int) -> xarray.Dataset:
        return format_cells(x, kernel_size, stride, "" if value == NO_VALUE else value)

    controls: dict[str, Control] = {
        "value": Choice("value in row, column", [NO_VALUE, *value_names(x)]),
        "stride": Choice("stride", [1, 2, 3]),
    }
    return Explorer(source, FormatDiagram, controls, "copies")


def neighbour_values(network: str = "scenes-vgg", image: int = 1) -> Explorer:
    """Explore maps and the same values at random positions: which format gains from neighbours?

    Args:
        network: "scenes-vgg", "scenes-residual", "scenes-smooth", or the path of a survey with
            maps.
        image: number of an image of the survey, from 1 on.
    """
    recording = _survey_with_maps(network)
    check_number("image", image, 1, recording.sizes["step"])

    @cache
    def arrange(
        layer: int,
    ) -> tuple[Geometry, dict[int, dict[str, np.ndarray]], xarray.DataArray]:
        maps, geometry = layer_maps(recording, image - 1, layer - 1)
        largest = {percent: keep_largest(maps, percent / 100) for percent in KEPT_PERCENTAGES}
        arrangements = {
            percent: dict(zip(ARRANGEMENTS, (kept, shuffle_values(kept)), strict=True))
            for percent, kept in largest.items()
        }
        sizes = [
            [
                [_encoded_bytes(m, geometry, name) for name in SHUFFLED_FORMATS]
                for m in pair.values()
            ]
            for pair in arrangements.values()
        ]
        count = np.array([np.count_nonzero(kept) for kept in largest.values()])
        coordinates = {
            "percent": list(KEPT_PERCENTAGES),
            "density": ("percent", count / maps.size),
            "count": ("percent", np.maximum(1, count)),
        }
        return (
            geometry,
            arrangements,
            xarray.DataArray(sizes, coordinates, ("percent", "side", "format")),
        )

    def source(layer: int, kept: int, channel: int) -> xarray.Dataset:
        geometry, arrangements, sizes = arrange(layer)
        index = min(channel, geometry.shape[1]) - 1
        model, density = recording.attrs["config"]["model"], sizes["density"].sel(percent=kept)
        title = (
            f"{NETWORK_TITLES.get(model, model)}, convolution {layer}: "
            f"density {float(density):.1%}, channel {index + 1} is drawn"
        )
        return shuffling_cost(arrangements[kept], geometry, index, sizes, kept, title)

    layers = layers_with_maps(recording)
    controls: dict[str, Control] = {
        "layer": _layer_slider(layers),
        "kept": Slider("largest values kept (%)", list(KEPT_PERCENTAGES)),
        "channel": _number_slider("channel", _channels(recording)),
    }
    prediction = Prediction(
        "The same values are moved to random positions. By how much do the formats grow?",
        (
            "neither grows",
            "CPO stays, CPS grows by less than 10%",
            "CPO stays, CPS grows by 10% or more",
            "both grow",
        ),
        describe_growth,
    )
    return Explorer(source, ShufflingCost, controls, "neighbours", prediction)


def patterns(*networks: str) -> Explorer:
    """Explore where the values of a layer are not zero, and how many windows read each.

    Args:
        *networks: "scenes-vgg", "scenes-residual", "scenes-smooth", or paths of surveys with maps
            (``explore run density --maps``); all shipped ones by default.
    """
    recordings = {name: _survey_with_maps(name) for name in networks or MAPPED_NETWORKS}

    def source(network: str, image: int, layer: int, channel: int) -> xarray.Dataset:
        recording = recordings[network]
        nearest = min(layers_with_maps(recording), key=lambda number: abs(number - layer))
        return nze(recording, min(image, recording.sizes["step"]) - 1, nearest, channel)

    layers = sorted({number for r in recordings.values() for number in layers_with_maps(r)})
    channels = range(1, 1 + max(map(_channels, recordings.values())))
    controls: dict[str, Control] = {
        **_survey_controls(recordings, _layer_slider(layers)),
        "channel": Choice("channel", list(channels)),
    }
    return Explorer(source, NonzeroMaps, controls, "patterns")


def densities(*networks: str) -> Explorer:
    """Explore density and size of each convolution of published networks on real images.

    Args:
        *networks: names of networks with a shipped survey, or paths of surveys
            (``explore run density``); all shipped ones by default.
    """
    recordings = {name: survey(name) for name in networks or SURVEYED_NETWORKS}

    def source(network: str, image: int, layer: int, unit: str) -> xarray.Dataset:
        recording = recordings[network]
        image, layer = min(image, recording.sizes["step"]), min(layer, recording.sizes["layer"])
        return density(recording, image - 1, layer, unit)

    most = max(r.sizes["layer"] for r in recordings.values())
    controls: dict[str, Control] = {
        **_survey_controls(recordings, _number_slider("convolution", most, 3)),
        "unit": _unit_choice(),
    }
    return Explorer(source, LayerDensity, controls, "densities")


def times() -> Live:
    """Explore the time of one convolution over the density of its map.

    The reader first predicts where the published formats are faster. Then the times that ship are
    shown. A button measures the layer on this computer, in several
    rounds; a list goes back to the times that ship.
    """
    saved = json.loads(shipped("data/sparse-times.json").read_text(encoding="utf-8"))
    measurements: dict[str, tuple[list[Any], dict[str, Any]]] = {}

    def source(layer: str, times: str) -> xarray.Dataset:
        if times == SHIPPED:
            return time_by_density(saved["rows"], saved["about"], layer, SHIPPED_TITLE)
        if layer not in measurements:
            return no_times(layer)
        return time_by_density(*measurements[layer], layer, OWN_TITLE)

    def measure(progress: Progress, stop: Callable[[], bool]) -> None:
        from explore.sparseconv.bench.timing import measure_layer

        layer = explorer.state["layer"]
        rows, about = measure_layer(layer, MEASURE_SECONDS, progress, stop)
        if rows:
            measurements[layer] = rows, about
            explorer.set(layer=layer, times=OWN)

    controls: dict[str, Control] = {
        "layer": Choice("convolution", list(dict.fromkeys(row["layer"] for row in saved["rows"]))),
        "times": Choice("times", [SHIPPED, OWN]),
    }
    prediction = Prediction(
        "At which densities are CPO and CPS faster than the dense convolution?",
        ("at 50% and at 5%", "at 5%, not at 50%", "neither at 50% nor at 5%"),
        describe_winner,
    )
    explorer = Explorer(source, TimeByDensity, controls, "times", prediction)
    live = Live({}, measure, lambda: None, lambda: None, "Measure here", "measurements")
    live.show(explorer)
    return live


def survey(name: str) -> xarray.Dataset:
    """Load a recorded survey by the name of its network, if it ships, or by its path.

    Raises:
        DataMissing: the recording does not exist.
        InvalidInput: the recording is of another kind.
    """
    ships = isinstance(name, str) and name in SURVEYED_NETWORKS
    path = shipped(f"data/density-{name}.zarr.zip") if ships else check_path("network", name)
    if not path.exists():
        raise DataMissing(
            f"there is no recording {path}; give the path of one, or a network of "
            f"{', '.join(SURVEYED_NETWORKS)}"
        )
    kind = "a density survey (explore run density)"
    return require_variable(open_recording(path).load(), "density", kind)[0]


def _survey_with_maps(name: str) -> xarray.Dataset:
    recording = survey(name)
    if "offset" not in recording or not layers_with_maps(recording):
        raise InvalidInput(f"{name} holds no maps; record it with explore run density --maps")
    return recording


def _channels(recording: xarray.Dataset) -> int:
    """Return the largest number of channels of a layer with maps."""
    return max(int(recording["shape"].values[k - 1, 0]) for k in layers_with_maps(recording))


def _survey_controls(
    recordings: Mapping[str, xarray.Dataset], layers: Slider
) -> dict[str, Control]:
    images = max(recording.sizes["step"] for recording in recordings.values())
    return {
        "network": Choice("network", list(recordings), names=NETWORK_TITLES),
        "image": Choice("image", list(range(1, images + 1))),
        "layer": layers,
    }


def _layer_slider(layers: Iterable[int]) -> Slider:
    """Return a slider over convolutions that starts at the second one."""
    layers = list(layers)
    return Slider("convolution", layers, layers[min(1, len(layers) - 1)])


def _number_slider(label: str, most: int, start: int | None = None) -> Slider:
    return Slider(label, list(range(1, most + 1)), start)


def _unit_choice() -> Choice:
    return Choice("count in", list(SIZE_UNIT_LABELS), names=SIZE_UNIT_LABELS)


def _encoded_bytes(maps: np.ndarray, geometry: Geometry, method: str) -> int:
    """Return the size of maps ``[C, H, W]``. The NumPy encoders need no compilation."""
    encode = {"cpo": encode_cpo, "cps": encode_cps}[method]
    return encode(maps[None].astype(np.float32), geometry).nbytes
