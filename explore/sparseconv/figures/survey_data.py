"""Data of the pictures of a density survey: one image, one layer, and the maps of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray

from explore.core.recording import require_variable
from explore.core.validation import describe
from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.formats.base import VALUE_BYTES
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES, read_levels

SIZE_UNIT_LABELS = {"bytes": "bytes", "elements": "elements, as the papers count"}


def single_survey(
    recordings: xarray.Dataset | Sequence[xarray.Dataset], variable: str, kind: str
) -> xarray.Dataset:
    """Return the one recording that holds a variable.

    Raises:
        InvalidInput: there are several recordings, or one of another kind.
    """
    surveys = require_variable(recordings, variable, kind)
    if len(surveys) != 1:
        raise InvalidInput(f"give one recording, got {len(surveys)}")
    return surveys[0]


def check_number(name: str, value: Any, least: int, most: float = np.inf, hint: str = "") -> None:
    """Check that a value is an integer from ``least`` to ``most``.

    Raises:
        InvalidInput: it is something else.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or not least <= value <= most:
        bounds = f"{least} or more" if most == np.inf else f"{least} to {most:.0f}"
        raise InvalidInput(f"{name} must be {bounds}{hint}, got {describe(value)}")


def chart_data(
    survey: xarray.Dataset, step: int, layer: int, unit: str, layers: Sequence[int] | None = None
) -> xarray.Dataset:
    """Select what the charts over the layers need for one image of a survey.

    Args:
        survey: the recording.
        step: of the image.
        layer: number of a convolution, from 1 on; 0 selects the sparsest of ``layers``.
        unit: "bytes" or "elements".
        layers: numbers of the convolutions among which layer 0 selects. By default all with a
            kernel larger than 1×1.
    """
    if unit not in SIZE_UNIT_LABELS:
        raise UnknownName("unit", unit, SIZE_UNIT_LABELS)
    count, shares = survey.sizes["layer"], survey["density"].values
    check_number("step", step, 0)
    check_number("layer", layer, 0, count, ", the number of a convolution (0: the sparsest)")
    if not layer:
        candidates = ~survey["pointwise"].values
        if layers is not None:
            candidates = np.isin(np.arange(1, count + 1), layers)
        if not candidates.any():
            candidates[:] = True
        layer = 1 + int(np.where(candidates, shares.mean(0), np.inf).argmin())
    image = max(0, int(np.searchsorted(survey.step.values, step, side="right")) - 1)
    sizes, map_sizes = survey[unit].values, _map_sizes(survey["shape"].values, unit)
    coordinates = {
        "layer": ("layer", np.array(list(map(str, survey["layer"].values)), object)),
        "format": ("format", np.array(FORMAT_NAMES, object)),
        "shares": (("image", "layer"), shares),
        "ratio_range": ("end", _ratio_range(sizes, map_sizes)),
        "shape": (("layer", "chw"), survey["shape"].values),
        "pointwise": ("layer", survey["pointwise"].values),
    }
    for name in ("kernel", "stride", "padding"):
        coordinates[name] = (("layer", "axis"), survey[name].values)
    variables = {
        "density": ("layer", shares[image]),
        "size": (("layer", "format"), sizes[image]),
        "map_size": ("layer", map_sizes),
        "work": ("layer", survey["work"].values[image]),
        "layer_index": ((), layer - 1),
        "image_index": ((), image),
        "unit": ((), np.array(unit, object)),
    }
    network = str(survey.attrs["config"]["model"])
    return xarray.Dataset(variables, coordinates, attrs={"network": network})


def _map_sizes(shapes: np.ndarray, unit: str) -> np.ndarray:
    """Sizes of the maps themselves, ``[layer]``."""
    return np.asarray((VALUE_BYTES if unit == "bytes" else 1) * shapes.prod(1), float)


def _ratio_range(sizes: np.ndarray, map_sizes: np.ndarray) -> list[float]:
    """Smallest and largest ratio that is drawn, of every format and of the maps themselves."""
    im2col = sizes[..., :1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.concatenate([im2col / sizes, im2col / map_sizes[:, None]], -1)
    finite = ratios[np.isfinite(ratios)]
    return [float(finite.min(initial=1.0)), float(finite.max(initial=2.0))]


def layers_with_maps(survey: xarray.Dataset) -> list[int]:
    """Return the numbers, from 1 on, of the convolutions whose maps a survey holds."""
    return [k + 1 for k, offset in enumerate(survey["offset"].values) if offset >= 0]


def layer_maps(survey: xarray.Dataset, image: int, layer: int) -> tuple[np.ndarray, Geometry]:
    """Return the maps of a layer, uint8 levels ``[C, H, W]``, and the sizes of its convolution.

    Raises:
        InvalidInput: the survey holds no maps of this layer.
    """
    offset = int(survey["offset"].values[layer])
    if offset < 0:
        numbers = ", ".join(map(str, layers_with_maps(survey)))
        raise InvalidInput(
            f"no maps of convolution {layer + 1} are recorded; there are those of {numbers}"
        )
    shape = survey["shape"].values[layer].tolist()
    sizes = [survey[name].values[layer].tolist() for name in ("kernel", "stride", "padding")]
    maps = read_levels(survey["levels"].isel(step=image).values, offset, shape)
    return maps, Geometry((1, *shape), *sizes)
