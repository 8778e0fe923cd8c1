"""Comparisons of a converted network with the one that it computes like."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from explore.core.tensor_validation import as_tensor, check_network
from explore.core.validation import check_whole_number
from explore.errors import InvalidInput
from explore.sparseconv.networks.convolution_inputs import network_input

TOLERANCE = 1e-3
"""Largest difference of an output that rounding may cause, relative to the largest value of that
output. A conversion that computes something else differs more."""


def agreement(
    model: nn.Module, converted: nn.Module, images: torch.Tensor, batch: int = 50
) -> tuple[float, float]:
    """Compare the outputs of two networks.

    Args:
        model, converted: networks that return ``[N, classes]``.
        images: their input.
        batch: number of images at a time.

    Returns:
        The share of images with the same predicted class, and the largest difference of a logit,
        relative to the largest logit; infinite if only one of two logits is finite.

    Raises:
        InvalidInput: there are no images or some are not finite, or the outputs are no logits of
            the same shape.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        >>> agreement(net, net, torch.rand(4, 1, 4, 4))
        (1.0, 0.0)
    """
    model, converted = check_network("model", model), check_network("converted", converted)
    images = network_input(model, images, finite=True)
    batch = min(check_whole_number("batch", batch, at_least=1), len(images))
    same, difference, largest = 0, 0.0, 0.0
    with torch.inference_mode():
        for part in images.split(batch):
            logits, converted_logits = _logits(model, part), _logits(converted, part)
            if logits.shape != converted_logits.shape:
                raise InvalidInput(
                    f"converted returns {list(converted_logits.shape)}, model returns "
                    f"{list(logits.shape)}; compare networks for the same classes"
                )
            same += int((logits.argmax(1) == converted_logits.argmax(1)).sum())
            difference = max(difference, _largest_difference(logits, converted_logits))
            largest = max(largest, _largest_value(logits))
    if not largest:
        return same / len(images), math.inf if difference else 0.0
    return same / len(images), difference / largest


def _logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    output = _compute(network, images)
    is_logits = isinstance(output, torch.Tensor) and output.ndim >= 2 and output.shape[1]
    if not is_logits:
        shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InvalidInput(f"the networks must return logits [N, classes], got {shape}")
    return output


def check_same_outputs(
    model: nn.Module, converted: nn.Module, images: torch.Tensor, folded: Collection[str]
) -> None:
    """Check that a converted network computes what the network computes.

    Both run once, with the same random numbers, and layer by layer if they differ.

    Args:
        model: the network; its buffers are restored.
        converted: the converted one.
        images: their input, checked.
        folded: names of modules whose output differs as something after them is folded into them.

    Raises:
        InvalidInput: the outputs differ; the message names the first layer that does.
    """
    outputs = [_flatten(_run(network, images)) for network in (model, converted)]
    if _equal(*outputs):
        return
    if not _equal(outputs[0], _flatten(_run(model, images))):
        raise InvalidInput(
            "model gives other outputs for the same images each time, so the conversion cannot be "
            "compared; leave images out"
        )
    layers: list[dict[str, list[Any]]] = []
    for network in (model, converted):
        records: dict[str, list[Any]] = {}
        with _records(network, records, folded):
            _run(network, images)
        layers.append(records)
    original, other = layers
    name = next(
        (name for name, values in original.items() if not _equal(values, other.get(name, []))),
        "the output",
    )
    raise InvalidInput(
        f"the converted network differs from model, first at {name!r}; leave this layer out of the "
        "selection, or use fold=False"
    )


def _run(network: nn.Module, images: torch.Tensor) -> Any:
    """Return the output of a network. Random numbers begin anew, and buffers do not change."""
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _compute(network, images.clone())
    finally:
        for name, value in network.named_buffers():
            if name in buffers and buffers[name].shape == value.shape:
                value.data.copy_(buffers[name])


def _compute(network: nn.Module, images: torch.Tensor) -> Any:
    try:
        return network(images)
    except (InvalidInput, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise InvalidInput(
            f"the network cannot compute outputs of images {list(images.shape)}: {reason}"
        ) from error


@contextmanager
def _records(
    network: nn.Module, records: dict[str, list[Any]], folded: Collection[str]
) -> Iterator[None]:
    """Record the outputs of all modules but the folded ones, in the order of computation."""

    def hook(name: str) -> Callable[..., None]:
        def store(module: nn.Module, args: Any, output: Any) -> None:
            values = [v.clone() if isinstance(v, torch.Tensor) else v for v in _flatten(output)]
            records.setdefault(name, []).extend(values)

        return store

    handles = []
    try:
        for name, module in network.named_modules():
            if name and name not in folded:
                handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _flatten(output: Any) -> list[Any]:
    """Return the tensors and other values of nested outputs, in order."""
    if isinstance(output, Mapping):
        return [value for key in output for value in _flatten(output[key])]
    if isinstance(output, list | tuple):
        return [value for item in output for value in _flatten(item)]
    if hasattr(output, "__dataclass_fields__"):
        return _flatten(vars(output))
    return [output]


def _equal(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(_same, first, second))


def _same(a: Any, b: Any) -> bool:
    """Return whether two outputs agree up to rounding. Values that are no tensors always do."""
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return type(a) is type(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point() or not a.numel():
        return True  # such as a class, which rounding may change
    width = max(TOLERANCE, 8 * torch.finfo(a.dtype).eps)
    return _largest_difference(a, b) <= width * _largest_value(a)


def _largest_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference of two values; infinite if only one of them is finite."""
    a, b = as_tensor("output", a).double(), as_tensor("output", b).double()
    finite = a.isfinite() & b.isfinite()
    others_equal = (a == b) | (a.isnan() & b.isnan())
    if not bool((finite | others_equal).all()):
        return math.inf
    return float(torch.where(finite, a - b, 0.0).abs().max()) if a.numel() else 0.0


def _largest_value(values: torch.Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0
