"""How many values of a network's maps are not zero, and what each format would need for them: layer by layer, image by image."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from explore.errors import InvalidInput
from explore.models.taps import Taps
from explore.sparseconv.encoding import encode
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES, quantise_maps

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class ConvolutionInput:
    """What one convolution took in: its name, the module, the maps ``[N, C, H, W]`` and the sizes (None: not of a plain kind)."""

    name: str
    module: nn.Conv2d
    maps: np.ndarray
    geometry: Geometry | None

    @property
    def pointwise(self) -> bool:
        """Whether its kernel is 1×1: no two windows share a value, so that nothing can be stored once instead of twice."""
        return self.module.kernel_size == (1, 1)


def convolved_maps(
    model: nn.Module, images: torch.Tensor, layers: Iterable[str] | None = None
) -> list[ConvolutionInput]:
    """What every convolution of a network takes in, in the order in which they are computed.

    Args:
        model: any network, in the mode in which it is to be seen (``model.eval()``); nothing in it is changed, the
            running statistics of a batch norm in training mode neither.
        images: float32 ``[N, ...]``, what the network takes.
        layers: names of convolutions; all of them if left out.

    Raises:
        InvalidInput: there is no convolution, none takes in maps, a name is not one's, the network does not take these
            images, or it has a dropout in training mode, which draws at random.
    """
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"model must be a torch network (nn.Module), got {type(model).__name__}")
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        given = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
        raise InvalidInput(
            f"images must be a tensor of floats [N, ...], normalised as the network has learnt, got {given}"
        )
    drawing = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _DropoutNd) and module.training
    ]
    if drawing:
        raise InvalidInput(
            f"{drawing[0]} is a dropout in training mode, which draws at random; call model.eval() first"
        )
    if isinstance(layers, str):
        layers = [layers]
    modules = {
        name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)
    }
    chosen = list(modules) if layers is None else list(layers)
    if not modules or set(chosen) - set(modules):
        odd = " ".join(map(repr, sorted(set(chosen) - set(modules), key=str)))
        raise InvalidInput(
            f"no convolution (nn.Conv2d) {odd}; the network has {', '.join(modules) or 'none'}".replace(
                " ;", ";"
            )
        )
    kept = (
        {name: buffer.clone() for name, buffer in model.named_buffers()}
        if model.training or _trains(model)
        else {}
    )
    try:
        with torch.no_grad(), Taps(model, chosen, inputs=True) as taps:
            model(images)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        shape = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        why = textwrap.shorten(str(error), 300, placeholder=" …")
        raise InvalidInput(f"the network does not take images of {shape}: {why}") from error
    finally:
        for name, buffer in model.named_buffers():
            if name in kept:
                buffer.copy_(kept[name])
    found = []
    for name, maps in taps.maps.items():
        module = modules[name if name in modules else name.rpartition("#")[0]]
        values = maps.float().cpu().numpy()
        if values.size:
            found.append(ConvolutionInput(name, module, values, geometry_of(module, values.shape)))
    if not found:
        raise InvalidInput(
            "no convolution took in maps [N, C, H, W]; give images with an axis for their number, [N, C, H, W]"
        )
    return found


def _trains(model: nn.Module) -> bool:
    return any(module.training for module in model.modules())


def geometry_of(module: nn.Conv2d, shape: tuple[int, ...]) -> Geometry | None:
    """Sizes of a convolution module on maps of this shape; None if it is grouped, dilated or padded in another way than by
    equally many zeros on both sides, which the formats do not know."""
    if module.groups > 1 or set(module.dilation) != {1} or module.padding_mode != "zeros":
        return None
    kernel, padding = (
        tuple(module.kernel_size),
        (0, 0) if module.padding == "valid" else module.padding,
    )
    if padding == "same":
        if kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
            return None
        padding = (kernel[0] // 2, kernel[1] // 2)
    return Geometry(shape, kernel, tuple(module.stride), padding)


def activation_density(
    model: nn.Module, images: torch.Tensor, layers: Iterable[str] | None = None
) -> xarray.Dataset:
    """Share of non-zero values in what every convolution takes in, and its size in every format.

    Args:
        model: any network; its mode is left as it is, so call ``model.eval()`` first.
        images: float32 ``[N, ...]``, what the network takes; they go through it one at a time.
        layers: names of convolutions (``nn.Conv2d``); all of them if left out.

    Returns:
        ``density [image, layer]`` in [0, 1], without the padding; ``work``, the share of multiply-adds that is left if zeros
        are skipped (the same for every format that skips them); ``bytes`` and ``elements [image, layer, format]``, with
        shared pointers; NaN for what the formats do not know (grouped, dilated, unevenly padded). Coordinates:
        ``shape [layer, 3]`` (C, H, W), ``filters``, ``kernel``, ``stride``, ``padding`` (−1 where the sizes are NaN),
        ``pointwise``.

    Raises:
        InvalidInput: see ``convolved_maps``; or there are no images.

    Example:
        >>> from explore.models import ConvNet
        >>> net = ConvNet(1, 10, 16, width=8, pooling="max").eval()
        >>> found = activation_density(net, torch.rand(3, 1, 16, 16))
        >>> found.layer.values.tolist(), found.sizes["image"]
        (['blocks.0.conv', 'blocks.1.conv', 'blocks.2.conv'], 3)
    """
    import xarray

    if isinstance(images, torch.Tensor) and not images.numel():
        raise InvalidInput(f"images must not be empty, got shape {list(images.shape)}")
    if not isinstance(images, torch.Tensor) or images.ndim == 0:
        raise InvalidInput(
            f"images must be a tensor of floats [N, ...], got {type(images).__name__}"
        )
    layers = (
        layers if layers is None or isinstance(layers, str) else list(layers)
    )  # an iterator would serve one image
    return xarray.concat(
        [frame(convolved_maps(model, image[None], layers)) for image in images], "image"
    )


def frame(seen: list[ConvolutionInput], maps: bool = False) -> xarray.Dataset:
    """Density and sizes of each layer of one image; with ``maps`` also its values in 255 levels."""
    import xarray

    sizes = np.full((2, len(seen), len(FORMAT_NAMES)), np.nan)
    for k, layer in enumerate(seen):
        if layer.geometry is not None:
            g = layer.geometry
            sizes[:, k, :2] = np.array([[4], [1]]) * [g.im2col_elements, g.mec_elements]
            for j, name in enumerate(FORMAT_NAMES[2:], 2):
                made = encode(layer.maps, g.kernel, g.stride, g.padding, name)
                sizes[:, k, j] = made.nbytes, made.elements
    share = [float(np.count_nonzero(layer.maps)) / layer.maps.size for layer in seen]
    work = [
        math.nan if layer.geometry is None else work_left(layer.maps, layer.geometry)
        for layer in seen
    ]
    data: dict[str, Any] = {
        "density": (
            "layer",
            np.array(share),
            {"long_name": "share of values that are not zero", "units": "1"},
        ),
        "work": (
            "layer",
            np.array(work),
            {"long_name": "share of multiply-adds that is left if zeros are skipped", "units": "1"},
        ),
        "bytes": (("layer", "format"), sizes[0], {"long_name": "size in bytes", "units": "byte"}),
        "elements": (
            ("layer", "format"),
            sizes[1],
            {"long_name": "size as the papers count it", "units": "elements"},
        ),
    }
    modules = [layer.module for layer in seen]
    known: dict[str, Any] = {
        "layer": ("layer", np.array([layer.name for layer in seen], object)),
        "format": ("format", np.array(FORMAT_NAMES, object)),
        "shape": (("layer", "chw"), np.array([layer.maps.shape[1:] for layer in seen])),
        "filters": ("layer", np.array([module.out_channels for module in modules])),
        "pointwise": ("layer", np.array([layer.pointwise for layer in seen])),
    }
    known["kernel"] = (("layer", "axis"), np.array([module.kernel_size for module in modules]))
    known["stride"] = (("layer", "axis"), np.array([module.stride for module in modules]))
    padding = [(-1, -1) if layer.geometry is None else layer.geometry.padding for layer in seen]
    known["padding"] = (("layer", "axis"), np.array(padding))
    if maps:
        chosen = [
            k for k, layer in enumerate(seen) if not layer.pointwise and layer.geometry is not None
        ]
        values, begin = quantise_maps([seen[k].maps[0] for k in chosen])
        about = {
            "long_name": "size of each value, 0 is zero and 255 the largest of its layer, layer after layer",
            "units": "1",
        }
        data["levels"] = ("place", values, about)
        offset = np.full(len(seen), -1)
        offset[chosen] = begin
        known["offset"] = (
            "layer",
            offset,
            {"long_name": "where the levels of a layer begin", "units": "1"},
        )
    return xarray.Dataset(data, known)


def work_left(maps: np.ndarray, geometry: Geometry) -> float:
    """Share of a dense convolution's multiply-adds, padding included, whose map value is not zero.

    So many an ideal program that skips zeros has to do, and CSCC, CPO and CPS all do exactly those.

    Example:
        >>> x = np.array([[[[1, 0, 0, 4, 0], [0, 2, 0, 5, 0], [3, 0, 0, 6, 7], [0, 0, 0, 0, 8]]]], np.float32)
        >>> round(54 * work_left(x, Geometry(x.shape, 3)))  # of the 54 entries of the im2col matrix
        20
    """
    upright = Geometry(
        (*geometry.shape[:2], geometry.shape[3], geometry.shape[2]),
        *(pair[::-1] for pair in (geometry.kernel, geometry.stride, geometry.padding)),
    )
    (ph, pw), (h, w) = geometry.padding, geometry.shape[2:]
    times = np.outer(upright.windows[ph : ph + h], geometry.windows[pw : pw + w])
    return float(((maps != 0) * times).sum() / geometry.im2col_elements)
