"""Find the layer of a network whose map is the last one with positions in the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from explore.errors import InvalidInput, UnknownName

POOLING_TYPES = (
    nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)  # fmt: skip
PASSIVE_TYPES = (*POOLING_TYPES, nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten)
"""Modules that are never chosen: a pooled map is coarser, the others return what they get."""
LISTED_LAYERS = 12
"""How many layers a message lists at most."""


def check_layer(model: nn.Module, name: str) -> str:
    """Return the name of a layer that the model has.

    Raises:
        UnknownName: it has no such layer; the message names the nearest one.
    """
    names = [other for other, _ in model.named_modules() if other]
    if name not in names:
        raise UnknownName("layer", name, names)
    return name


def find_layer(model: nn.Module, image: torch.Tensor) -> str:
    """Return the name of the last layer with a map, before global pooling or the classifier.

    Pooling, dropout and maps of one pixel do not count. In a network that ends with a convolution
    to one channel per class (SqueezeNet), this convolution is the classifier. If several modules
    return the same map, the outermost one is named, such as "layer4" in a ResNet.

    Args:
        model: any network, in evaluation mode.
        image: ``[1, ...]``, its input.

    Raises:
        InvalidInput: no layer has such a map, or attention layers follow it.
    """
    outputs: list[tuple[str, nn.Module, Any]] = []
    handles = [
        module.register_forward_hook(_append_output(outputs, name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            logits = model(image)
    finally:
        for handle in handles:
            handle.remove()
    classes = logits.shape[1] if isinstance(logits, torch.Tensor) and logits.ndim == 2 else -1
    has_linear = any(isinstance(module, nn.Linear) for _, module, _ in outputs)
    pooled: list[torch.Tensor] = []
    maps: list[tuple[str, nn.Module, torch.Tensor]] = []
    for name, module, output in outputs:
        if not _is_map(output):
            continue
        is_new = all(output is not other for _, _, other in maps)
        if isinstance(module, POOLING_TYPES) and is_new:
            pooled.append(output)
        is_pooled = any(output is other for other in pooled)
        is_classifier = not has_linear and output.shape[1] == classes
        if not (is_pooled or is_classifier or isinstance(module, PASSIVE_TYPES)):
            maps.append((name, module, output))
    if not maps:
        raise InvalidInput(
            "the model has no layer with a map [N, C, H, W] of more than one pixel; its layers are "
            f"{_list_layers(model)}. Class activation maps need a convolution"
        )
    last = maps[-1][2]
    names = [name for name, _, output in maps if output is last]
    chosen = min(reversed(names), key=lambda name: name.count("."))
    position = max(k for k, (_, _, output) in enumerate(outputs) if output is last)
    after = [module for _, module, _ in outputs[position + 1 :]]
    if any(isinstance(module, nn.MultiheadAttention) for module in after):
        raise InvalidInput(
            f"the last map is the one of {chosen!r}, and attention layers follow it, so it says "
            f"little about the class; give layer={chosen!r} if you want its map all the same"
        )
    return chosen


def _append_output(outputs: list[tuple[str, nn.Module, Any]], name: str) -> Callable[..., None]:
    return lambda module, args, output: outputs.append((name, module, output))


def _is_map(output: Any) -> bool:
    return (
        isinstance(output, torch.Tensor)
        and output.ndim == 4
        and output.is_floating_point()
        and output.shape[2] * output.shape[3] > 1
    )


def _list_layers(model: nn.Module) -> str:
    """Return names and types of the first layers, for a message."""
    leaves = [
        f"{name or 'the model itself'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if not list(module.children())
    ]
    rest = len(leaves) - LISTED_LAYERS
    return ", ".join(leaves[:LISTED_LAYERS]) + (f" and {rest} more" if rest > 0 else "")
