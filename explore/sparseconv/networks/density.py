"""Density of the input of every convolution of a network, and its size in every format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.validation import check_names
from explore.sparseconv.encoding import encode
from explore.sparseconv.formats.base import VALUE_BYTES
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES, quantise_maps
from explore.sparseconv.networks.convolution_inputs import (
    ConvolutionInput,
    convolution_inputs,
    network_input,
)
from explore.sparseconv.recordings import DENSITY_SURVEY

if TYPE_CHECKING:
    import xarray


def activation_density(
    model: nn.Module, images: torch.Tensor, layers: Iterable[str] | None = None
) -> xarray.Dataset:
    """Measure the share of non-zero values in the input of every convolution, and all sizes.

    Args:
        model: any network. Its mode is not changed, so call ``model.eval()`` first.
        images: float ``[N, ...]``, the input of the network. It gets one image at a time.
        layers: names of convolutions (``nn.Conv2d``); None selects all.

    Returns:
        ``density [image, layer]`` in [0, 1], without the padding; ``work``, the share of
        multiply-adds that is left if zeros are skipped (the same for every format that skips them);
        ``bytes`` and ``elements [image, layer, format]``, with shared pointers; NaN if the formats
        do not support the convolution (grouped, dilated, unevenly padded). Coordinates:
        ``shape [layer, 3]`` (C, H, W), ``filters``, ``kernel``, ``stride``, ``padding`` (−1 where
        the sizes are NaN), ``pointwise``.

    Raises:
        InvalidInput: see ``convolution_inputs``; or there are no images.

    Example:
        >>> from explore.models import ConvNet
        >>> net = ConvNet(1, 10, 16, width=8, pooling="max").eval()
        >>> densities = activation_density(net, torch.rand(3, 1, 16, 16))
        >>> densities.layer.values.tolist(), densities.sizes["image"]
        (['blocks.0.conv', 'blocks.1.conv', 'blocks.2.conv'], 3)
    """
    import xarray

    images = network_input(model, images)
    if layers is not None and not isinstance(layers, str):
        layers = check_names("layers", layers)  # an iterator would end after the first image
    frames = [density_frame(convolution_inputs(model, image[None], layers)) for image in images]
    return xarray.concat(frames, "image")


def density_frame(inputs: Sequence[ConvolutionInput], maps: bool = False) -> xarray.Dataset:
    """Return density and sizes of each layer for one image; with ``maps`` also the levels."""
    sizes = np.array([_sizes(layer) for layer in inputs], float)
    density = [np.count_nonzero(layer.maps) / layer.maps.size for layer in inputs]
    work = [math.nan if i.geometry is None else work_left(i.maps, i.geometry) for i in inputs]
    values: dict[str, Any] = {
        "density": np.array(density),
        "work": np.array(work),
        "bytes": sizes[..., 0],
        "elements": sizes[..., 1],
    }
    modules = [layer.module for layer in inputs]
    padding = [(-1, -1) if i.geometry is None else i.geometry.padding for i in inputs]
    coordinates: dict[str, Any] = {
        "layer": np.array([layer.name for layer in inputs], object),
        "format": np.array(FORMAT_NAMES, object),
        "shape": np.array([layer.maps.shape[1:] for layer in inputs]),
        "filters": np.array([module.out_channels for module in modules]),
        "pointwise": np.array([layer.pointwise for layer in inputs]),
        "kernel": np.array([module.kernel_size for module in modules]),
        "stride": np.array([module.stride for module in modules]),
        "padding": np.array(padding),
    }
    if maps:
        mapped = [k for k, i in enumerate(inputs) if not i.pointwise and i.geometry is not None]
        levels, offsets = quantise_maps([inputs[k].maps[0] for k in mapped])
        offset = np.full(len(inputs), -1)
        offset[mapped] = offsets
        values["levels"], coordinates["offset"] = levels, offset
    return DENSITY_SURVEY.frame(values, coordinates)


def _sizes(layer: ConvolutionInput) -> list[tuple[float, float]]:
    """Bytes and elements of the input in every format, with shared pointers."""
    g = layer.geometry
    if g is None:
        return [(math.nan, math.nan)] * len(FORMAT_NAMES)
    # The dense formats need not be built.
    sizes: list[tuple[float, float]] = [
        (VALUE_BYTES * count, count) for count in (g.im2col_elements, g.mec_elements)
    ]
    for name in FORMAT_NAMES[2:]:
        encoding = encode(layer.maps, g.kernel, g.stride, g.padding, name)
        sizes.append((encoding.nbytes, encoding.elements))
    return sizes


def work_left(maps: np.ndarray, geometry: Geometry) -> float:
    """Return the share of a dense convolution's multiply-adds whose map value is not zero.

    The padding counts as zeros. A program that skips all zeros does exactly these multiply-adds, as
    CSCC, CPO and CPS do.

    Example:
        >>> rows = [[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]
        >>> x = np.array([[rows]], np.float32)
        >>> round(54 * work_left(x, Geometry(x.shape, 3)))  # of the 54 entries of im2col
        20
    """
    (n, c, h, w), (ph, pw) = geometry.shape, geometry.padding
    sizes = (geometry.kernel, geometry.stride, geometry.padding)
    transposed = Geometry((n, c, w, h), *(pair[::-1] for pair in sizes))
    reads = np.outer(transposed.windows[ph : ph + h], geometry.windows[pw : pw + w])
    return float(((maps != 0) * reads).sum() / geometry.im2col_elements)
