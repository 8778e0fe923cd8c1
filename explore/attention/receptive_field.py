"""The receptive field of a layer: the part of the image on which one value of a map depends."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from explore.attention._input_checks import check_shape
from explore.attention._target_layer import check_layer
from explore.core.tensor_validation import check_network
from explore.errors import InvalidInput
from explore.models._checks import copy_network, run_network

NORM_TYPES = (
    nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm,
)  # fmt: skip
ACTIVATION_PACKAGE = "torch.nn.modules.activation"


def receptive_field(model: nn.Module, layer: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of a layer's receptive field in pixels, cut at the image.

    It is measured in a copy of the network whose weights are positive and equal, without norms and
    nonlinear modules, and whose modules for max pooling compute means: the pixels with a gradient
    of the middle value of the map. Norms do not count, as usual, although an instance norm depends
    on the whole image. Squeeze and excitation does: it makes the field the whole image. A max
    pooling that is called as a function keeps its maximum, and counts as one pixel.

    Args:
        model: any network.
        layer: name of a module that returns a map ``[N, C, H, W]``.
        shape: of one image, ``(C, H, W)``.

    Raises:
        UnknownName: no layer of this name.
        InvalidInput: no network, no shape of an image, a network that cannot be copied or cannot
            compute such images, a layer that returns no map, or a map that does not depend on the
            image.

    Example:
        >>> from explore.models import ConvNet
        >>> receptive_field(ConvNet(3, 10, 32, width=8), "blocks.2.activation", (3, 32, 32))
        (18, 18)
    """
    layer = check_layer(check_network("model", model), layer)
    shape = check_shape(shape)
    outputs: list[Any] = []
    with torch.inference_mode(False), torch.enable_grad():
        linear = _linear_copy(model)
        handle = linear.get_submodule(layer).register_forward_hook(
            lambda module, args, output: outputs.append(output)
        )
        image = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
        try:
            run_network(linear, image)
        finally:
            handle.remove()
        if not outputs or not isinstance(outputs[-1], torch.Tensor) or outputs[-1].ndim != 4:
            raise InvalidInput(f"layer {layer!r} must return a map [N, C, H, W]")
        height, width = outputs[-1].shape[2:]
        middle = outputs[-1][0, :, height // 2, width // 2].sum()
        if not middle.requires_grad:
            raise InvalidInput(f"layer {layer!r} does not depend on the image")
        (gradient,) = torch.autograd.grad(middle, image, allow_unused=True)
    if gradient is None or not gradient.any():
        raise InvalidInput(f"layer {layer!r} does not depend on the image")
    if not torch.isfinite(gradient).all():  # only products of maps grow that fast: a gate
        return shape[1], shape[2]
    reached = gradient[0].abs().sum(0) > 0
    rows, columns = reached.any(1).nonzero().flatten(), reached.any(0).nonzero().flatten()
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def _linear_copy(model: nn.Module) -> nn.Module:
    """Copy a network with positive equal weights, without norms and nonlinear modules."""
    linear = copy_network(model)
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in linear.parameters()):
        raise InvalidInput("the network has lazy layers; compute one image with it first")
    linear = linear.to("cpu").double().eval().requires_grad_(False)
    for name, module in list(linear.named_modules(remove_duplicate=False)):
        replacement = _replacement(module)
        if replacement is not None and name:
            parent, _, child = name.rpartition(".")
            setattr(linear.get_submodule(parent), child, replacement)
    for parameter in linear.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        parameter.fill_(1 / fan_in if parameter.ndim > 1 else 0)
    return linear


def _replacement(module: nn.Module) -> nn.Module | None:
    """Return the linear module that takes the place of a module; None keeps it."""
    if isinstance(module, NORM_TYPES):
        return nn.Identity()
    if isinstance(module, nn.MaxPool2d):
        kernel, dilation = _pair(module.kernel_size), _pair(module.dilation)
        height, width = (d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        return nn.AvgPool2d((height, width), module.stride, module.padding, module.ceil_mode)
    if isinstance(module, nn.AdaptiveMaxPool2d):
        return nn.AdaptiveAvgPool2d(module.output_size)
    is_activation = type(module).__module__ == ACTIVATION_PACKAGE
    if is_activation and not isinstance(module, nn.MultiheadAttention):
        return nn.Identity()
    return None


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value
