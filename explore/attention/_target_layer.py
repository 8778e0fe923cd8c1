"""Find the layer of a network whose map is the last one with positions in the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from explore.core.validation import check_choice
from explore.errors import InvalidInput
from explore.models._checks import run_network

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
    return check_choice("layer", name, [other for other, _ in model.named_modules() if other])


def find_layer(model: nn.Module, image: torch.Tensor) -> str:
    """Return the name of the last layer with a map, before global pooling or the classifier.

    Pooling, dropout and maps of one pixel do not count. In a network without linear layers that
    ends with a convolution to one channel per class (SqueezeNet), this convolution is the
    classifier. If several modules return the same map, the last of them to end is named: the
    outermost one, such as "layer4" in a ResNet, and an activation that works in place rather than
    the convolution before it.

    Args:
        model: any network, in evaluation mode.
        image: ``[1, ...]``, its input.

    Raises:
        InvalidInput: no layer has such a map, attention layers follow it, or the network cannot
            compute the image.
    """
    outputs, logits = record_outputs(model, image)
    classes = logits.shape[1] if isinstance(logits, torch.Tensor) and logits.ndim == 2 else -1
    is_linear = any(isinstance(module, nn.Linear) for _, module, _ in outputs)
    convolutions = [k for k, (_, module, _) in enumerate(outputs) if isinstance(module, nn.Conv2d)]
    head = len(outputs) if is_linear or not convolutions else convolutions[-1]
    pooled: list[torch.Tensor] = []
    maps: list[tuple[str, nn.Module, torch.Tensor]] = []
    for position, (name, module, output) in enumerate(outputs):
        if not _is_map(output):
            continue
        if isinstance(module, POOLING_TYPES):
            pooled.append(output)
        elif not list(module.children()) and not isinstance(module, PASSIVE_TYPES):
            pooled = [other for other in pooled if other is not output]  # it worked in place
        is_pooled = any(output is other for other in pooled)
        is_classifier = position >= head and output.shape[1] == classes
        if not (is_pooled or is_classifier or isinstance(module, PASSIVE_TYPES)):
            maps.append((name, module, output))
    if not maps:
        raise InvalidInput(
            "the model has no layer with a map [N, C, H, W] of more than one pixel; its layers are "
            f"{_list_layers(model)}. Class activation maps need a convolution"
        )
    chosen, _, last = maps[-1]
    position = max(k for k, (_, _, output) in enumerate(outputs) if output is last)
    later = [type(module).__name__.lower() for _, module, _ in outputs[position + 1 :]]
    if any("attention" in name for name in later):  # libraries have their own classes
        raise InvalidInput(
            f"the last map is the one of {chosen!r}, and attention layers follow it, so it says "
            f"little about the class; give layer={chosen!r} if you want its map all the same"
        )
    return chosen


def record_outputs(
    model: nn.Module, image: torch.Tensor
) -> tuple[list[tuple[str, nn.Module, Any]], Any]:
    """Return name, module and output of each module in the order in which their calls end.

    The output of the model itself is the second value.
    """
    outputs: list[tuple[str, nn.Module, Any]] = []
    handles = [
        module.register_forward_hook(_append_output(outputs, name))
        for name, module in model.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            logits = run_network(model, image)
    finally:
        for handle in handles:
            handle.remove()
    return outputs, logits


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
