"""The inputs of all convolutions of a network, recorded during one forward pass."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from explore.core.tensor_validation import check_network, check_tensor
from explore.core.validation import check_names, describe
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput
from explore.models.taps import Taps
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.validation import as_pair


@dataclass(frozen=True)
class ConvolutionInput:
    """The maps ``[N, C, H, W]`` that one convolution reads, with its name, module and sizes.

    The sizes are None if the formats do not support the convolution (see ``module_geometry``).
    """

    name: str
    module: nn.Conv2d
    maps: np.ndarray
    geometry: Geometry | None

    @property
    def pointwise(self) -> bool:
        """Whether the kernel is 1×1. Then no two windows read the same value."""
        return tuple(self.module.weight.shape[2:]) == (1, 1)


def convolution_inputs(
    model: nn.Module, images: torch.Tensor, layers: Iterable[str] | None = None
) -> list[ConvolutionInput]:
    """Record the input of every convolution of a network, in the order of computation.

    Args:
        model: any network, in the mode that is studied (``model.eval()``). It is not changed, not
            even the running statistics of a batch norm in training mode.
        images: float ``[N, ...]``, the input of the network; see ``network_input``.
        layers: names of convolutions; None selects all.

    Raises:
        InvalidInput: there is no convolution or none has maps as input, a name is unknown, the
            network does not accept the images, or a dropout is in training mode.
    """
    modules = _selected_convolutions(model, layers)
    images = network_input(model, images)
    _check_no_dropout(model)
    trains = any(module.training for module in model.modules())
    buffers = {name: b.clone() for name, b in model.named_buffers()} if trains else {}
    try:
        with torch.no_grad(), Taps(model, list(modules), inputs=True) as taps:
            model(images)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shape = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise InvalidInput(f"the network does not take images of {shape}: {reason}") from error
    finally:
        for name, buffer in model.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])
    inputs = []
    for name, maps in taps.maps.items():
        # The second call of a module has the name "module#2".
        module = modules[name if name in modules else name.rpartition("#")[0]]
        values = maps.float().cpu().numpy()
        if values.size:
            geometry = module_geometry(module, values.shape)
            inputs.append(ConvolutionInput(name, module, values, geometry))
    if not inputs:
        raise InvalidInput(
            "no convolution took in maps [N, C, H, W]; give images with a batch axis, [N, C, H, W]"
        )
    return inputs


def network_input(model: Any, images: Any, finite: bool = False) -> torch.Tensor:
    """Return images as a tensor of the type of a network's weights.

    Args:
        model: the network.
        images: floats ``[N, ...]``, a tensor, an array or a list; or an ``ImageSet``, of which the
            normalised images are taken.
        finite: refuse images with NaN or infinities.

    Raises:
        InvalidInput: it is no network, or the images are bytes, not finite or none at all.
    """
    model = check_network("model", model)
    if isinstance(images, ImageSet):
        images = images.batch()
    is_floating = getattr(getattr(images, "dtype", None), "is_floating_point", None)
    if is_floating is False or getattr(getattr(images, "dtype", None), "kind", "f") in "iub":
        raise InvalidInput(
            f"images must be floats [N, ...], normalised as in the training of the network, "
            f"got {describe(images)}"
        )
    tensor = check_tensor("images", images, ("N", ...), finite=finite)
    types = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return tensor.to(types.pop()) if len(types) == 1 else tensor


def _selected_convolutions(model: nn.Module, layers: Iterable[str] | None) -> dict[str, nn.Conv2d]:
    model = check_network("model", model)
    modules = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    if isinstance(layers, str):
        layers = [layers]
    names = tuple(modules) if layers is None else check_names("layers", layers)
    unknown = sorted(map(repr, set(names) - set(modules)))
    if not modules or unknown:
        raise InvalidInput(
            f"{' '.join(['no convolution (nn.Conv2d)', *unknown])}; "
            f"the network has {', '.join(modules) or 'none'}"
        )
    return {name: modules[name] for name in names}


def _check_no_dropout(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, _DropoutNd) and module.training:
            raise InvalidInput(
                f"{name} is a dropout in training mode, which is random; call model.eval() first"
            )


def module_geometry(module: nn.Conv2d, shape: tuple[int, ...]) -> Geometry | None:
    """Return the sizes of a convolution module on maps of this shape.

    The sizes are those with which it computes, also if its attributes were changed later.

    None if the formats do not support it: if it is grouped or dilated, its padding is not the same
    number of zeros on both sides, or its weights have no values.
    """
    weight = module.weight
    dilation = as_pair("dilation", module.dilation, 1)
    if module.groups != 1 or dilation != (1, 1) or module.padding_mode != "zeros":
        return None
    if weight.ndim != 4 or 0 in weight.shape:
        return None
    kernel, padding = tuple(weight.shape[2:]), module.padding
    if padding == "valid":
        padding = (0, 0)
    elif padding == "same":
        if any(size % 2 == 0 for size in kernel):
            return None
        padding = tuple(size // 2 for size in kernel)
    return Geometry(shape, kernel, module.stride, padding)
