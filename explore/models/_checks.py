"""Checks of networks, their inputs and their outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import nn

from explore.core.validation import describe
from explore.errors import ExploreError, InvalidInput

MAX_WEIGHTS = 1_000_000_000
"""A network with more would take gigabytes; a size with a digit too many is more likely."""


def check_weight_count(count: int) -> None:
    """Check the number of weights of a network before they take memory.

    Raises:
        InvalidInput: there are more than ``MAX_WEIGHTS``.
    """
    if count > MAX_WEIGHTS:
        amount = f"{count:.3g}" if count < 10**100 else "far more than 1e100"
        raise InvalidInput(
            f"the network would have {amount} weights, more than {MAX_WEIGHTS:.0e}; choose a "
            "smaller width, depth, size or number of classes"
        )


def is_traced(x: Any) -> bool:
    """Return whether a forward pass is being traced, and its input has no values to check."""
    return isinstance(x, torch.fx.Proxy) or torch.jit.is_tracing()


def as_input(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return images on the device, and in the floating type, of a network's first weight.

    Raises:
        InvalidInput: the network has no values (device "meta").
    """
    for weight in chain(network.parameters(), network.buffers()):
        if weight.is_floating_point():
            if weight.is_meta:
                raise InvalidInput("the network has no weights, as it is on the device meta")
            return images.to(weight.device, weight.dtype)
    return images


def run_network(network: nn.Module, images: torch.Tensor) -> Any:
    """Return the output of a network.

    Raises:
        InvalidInput: it cannot compute these images.
    """
    try:
        return network(images)
    except (ExploreError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        advice = "; give it images of its channels and size"
        if network.training and len(images) == 1:
            advice = (
                "; a batch norm in training mode needs more than one value, so choose another "
                "batch, which leaves no last batch of one image"
            )
        raise InvalidInput(
            f"the network cannot compute images {list(images.shape)}: {reason}{advice}"
        ) from error


def call_function(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of a user's function.

    Args:
        name: how the message calls it and its arguments, such as "pool(epoch)".

    Raises:
        InvalidInput: it fails with one of Python's or PyTorch's own errors.
    """
    try:
        return function(*arguments)
    except (ExploreError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(f"{name} fails with {type(error).__name__}: {reason}") from error


def copy_network(network: nn.Module) -> nn.Module:
    """Return a deep copy of a network.

    Raises:
        InvalidInput: it cannot be copied, for example because it stores results of a computation.
    """
    try:
        return copy.deepcopy(network)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(f"the network cannot be copied: {reason}") from error


def check_outputs(outputs: Any, count: int, shape: str = "[N, K]") -> torch.Tensor:
    """Return the outputs of a network if they are a tensor ``[N, ...]`` of floats.

    Args:
        outputs: what the network returned.
        count: N.
        shape: "[N, K]", or "[N, ...]" for two or more dimensions.

    Raises:
        InvalidInput: they are not, such as a tuple or a dict.
    """
    is_tensor = isinstance(outputs, torch.Tensor)
    fits = is_tensor and (outputs.ndim == 2 if shape == "[N, K]" else outputs.ndim > 1)
    if not fits or len(outputs) != count or not outputs.is_floating_point():
        returned = list(outputs.shape) if is_tensor else type(outputs).__name__
        raise InvalidInput(
            f"the network must return logits {shape} for N images, it returns {returned}; "
            "wrap it in a module that does"
        )
    result: torch.Tensor = outputs
    return result


def check_classes(name: str, classes: torch.Tensor, logits: torch.Tensor) -> None:
    """Check that each class is the number of a logit.

    Raises:
        InvalidInput: one is too large.
    """
    largest = int(classes.max()) if classes.numel() else 0
    if largest >= logits.shape[1]:
        raise InvalidInput(
            f"{name} must be classes 0 to {logits.shape[1] - 1}, as the network has "
            f"{logits.shape[1]} logits; got {largest}"
        )


def check_scores(logits: torch.Tensor, first: int = 0) -> None:
    """Check that the largest logit of each image is a finite number.

    Args:
        logits: ``[N, ..., K]``.
        first: number of the first image, for the message.

    Raises:
        InvalidInput: it is NaN or infinite, for example because the training of the network
            diverged.
    """
    if not logits.numel():
        return
    largest = logits.detach().amax(-1).flatten(1 if logits.ndim > 2 else 0)
    if not bool(torch.isfinite(largest).all()):
        rows = ~torch.isfinite(largest).reshape(len(logits), -1).all(1)
        index = int(rows.nonzero()[0])
        raise InvalidInput(
            f"the network returns logits that are NaN or infinite, first for image "
            f"{first + index}; its weights or these images are not finite, or its training diverged"
        )


def describe_inputs(*values: Any) -> str:
    """Return types and shapes for a message."""
    return ", ".join(describe(value) for value in values)


def counts_message(images: torch.Tensor, *targets: torch.Tensor) -> str:
    """Return the message on images and labels of different numbers, or none."""
    counts = ", ".join(str(len(target) if target.ndim else 1) for target in targets)
    return (
        f"got {len(images) if images.ndim else 1} images, {counts} labels; "
        "expected as many labels as images, and one or more of each"
    )
