"""Checks of networks that a user passes: what they return, and whether they can be trained."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from explore.core.validation import describe
from explore.data.image_set import sha256_of
from explore.errors import ExploreError, ExploreWarning, InvalidInput, RunDiverged
from explore.models.training import evaluation_mode
from explore.subclass.training_data import SubclassData

PROBABILITY_TOLERANCE = 1e-3
"""Outputs from 0 to 1 whose sum differs from 1 by less than this look like probabilities."""


class LogitsOf(nn.Module):
    """A network whose output is not a float32 tensor, as one that returns its logits.

    Args:
        network: returns what ``take_logits`` takes.
        dtype: the images are converted to this type; None leaves them as they are.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, float32."""
        return take_logits(self.network(x if self.dtype is None else x.to(self.dtype))).float()


def take_logits(output: Any) -> torch.Tensor:
    """Return the logits in what a network returns.

    They are the output itself, its entry or attribute ``logits`` (Hugging Face, Inception), or the
    first item of a tuple or a list.

    Raises:
        InvalidInput: none of these is a tensor of floats.

    Example:
        >>> take_logits((torch.ones(1, 2), "features"))
        tensor([[1., 1.]])
    """
    logits = output
    if isinstance(output, Mapping):
        logits = output.get("logits")
    elif not isinstance(output, torch.Tensor) and hasattr(output, "logits"):
        logits = output.logits
    elif isinstance(output, tuple | list) and output:
        logits = output[0]
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        text = describe(output) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InvalidInput(
            f"a network must return a tensor of logits, a tuple that starts with it, or 'logits' "
            f"by name; got {text}"
        )
    return logits


def adapt_network(role: str, network: nn.Module, source: SubclassData) -> nn.Module:
    """Return a network that takes the images and returns one float32 logit for each subclass.

    Args:
        role: how messages call the network.
        network: it is moved to the device of the data.
        source: the data.

    Returns:
        The network itself where it does so, else a ``LogitsOf`` of it.

    Raises:
        InvalidInput: it does neither, or returns NaN.

    Warns:
        ExploreWarning: its outputs look like probabilities.
    """
    images, outputs = source[:2].images, len(source.parents)
    adapted: nn.Module
    try:
        network.to(source.device)
        adapted, output = network, _evaluate(network, images)
        if not isinstance(output, torch.Tensor) or output.dtype != torch.float32:
            adapted = LogitsOf(network)
    except Exception as error:  # Code of somebody else may raise anything.
        dtype = _dtype_of(network)
        try:
            if dtype in (None, torch.float32):
                raise error
            adapted, output = LogitsOf(network, dtype), _evaluate(network, images.to(dtype))
        except Exception as last:
            raise InvalidInput(
                f"the {role} cannot take images of shape {list(images.shape)}: {_reason(last)}"
            ) from last
    try:
        logits = take_logits(output).detach().float()
    except InvalidInput as error:
        raise InvalidInput(f"the {role}: {error}") from error
    expected = [len(images), outputs]
    if list(logits.shape) != expected:
        is_map = list(logits.shape) == [*expected, *[1] * (logits.ndim - 2)]
        raise InvalidInput(
            f"the {role} returns {list(logits.shape)} for {len(images)} images; "
            f"expected {expected}: one logit for each subclass"
            f"{'; append nn.Flatten()' if is_map else ''}"
        )
    if len(bad := bad_rows(logits)):
        raise InvalidInput(
            f"the {role} returns NaN or Inf for image {int(bad[0])}; its weights or its "
            "normalisation are damaged"
        )
    if _look_like_probabilities(logits):
        text = (
            f"the outputs of the {role} look like probabilities: each row is from 0 to 1, with sum "
            "1; return logits, without the softmax"
        )
        warnings.warn(text, ExploreWarning, stacklevel=4)
    return adapted


def bad_rows(logits: torch.Tensor) -> torch.Tensor:
    """Return the indices of rows with NaN or +Inf, or with nothing but −Inf."""
    is_bad = logits.isnan() | torch.isposinf(logits)
    return (is_bad.any(-1) | torch.isneginf(logits).all(-1)).nonzero().flatten()


def check_trained(role: str, logits: torch.Tensor, advice: str) -> None:
    """Check the logits of a network that was trained.

    Raises:
        RunDiverged: one of them is NaN or infinite.
    """
    if len(bad := bad_rows(logits)):
        raise RunDiverged(
            f"the {role} returns NaN or Inf for {len(bad)} of {len(logits)} images after its "
            f"training; {advice}"
        )


def check_trainable(
    role: str, network: nn.Module, images: torch.Tensor, counts: Sequence[int], batch: int
) -> None:
    """Check that a network can be trained on batches of all sizes that will occur.

    A copy of it computes the smallest batch in training mode, so that the network and the global
    random state stay as they are.

    Args:
        role: how messages call the network.
        network: it takes the images; see ``adapt_network``.
        images: of the training.
        counts: numbers of images in an epoch.
        batch: images in a step.

    Raises:
        InvalidInput: it has no parameter to train, or fails, as norms do for a batch of one.
    """
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InvalidInput(
            f"the {role} has no parameter that is trained; call .requires_grad_() on some of them"
        )
    sizes = {min(batch, count): count for count in counts}
    sizes |= {count % batch: count for count in counts if count % batch}
    size = min(sizes)
    try:
        trial = copy.deepcopy(network).train()
    except Exception:  # Some networks cannot be copied; ``name_errors`` names what happens later.
        return
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            logits = take_logits(trial(images[:size]))
        if not logits.requires_grad:
            raise InvalidInput("its logits do not depend on its parameters")
    except Exception as error:
        last = f" (the last of {sizes[size]} images in batches of {batch})"
        raise InvalidInput(
            f"the {role} cannot be trained on a batch of {size}{last if size < batch else ''}: "
            f"{_reason(error)}; choose another number of images or size of batches"
        ) from error


@contextmanager
def name_errors(role: str, active: bool) -> Iterator[None]:
    """Turn errors inside the network of a user, if ``active``, into an ``InvalidInput``."""
    try:
        yield
    except (ExploreError, MemoryError):
        raise
    except Exception as error:
        if not active:
            raise
        raise InvalidInput(f"the {role} failed in its training: {_reason(error)}") from error


def hash_network(network: nn.Module) -> str:
    """Return the hash of the weights and buffers of a network, of any type."""
    tensors = [v for v in network.state_dict().values() if isinstance(v, torch.Tensor)]
    return sha256_of(*map(hashable, tensors))


def hashable(values: torch.Tensor) -> torch.Tensor:
    """Return a tensor of a type that NumPy has; most are returned unchanged."""
    values = values.detach()
    if values.is_quantized:
        values = values.dequantize()
    if values.layout != torch.strided:
        values = values.to_dense()
    is_short = values.is_floating_point() and values.dtype.itemsize <= 2
    return values.float() if is_short and values.dtype != torch.float16 else values


@torch.no_grad()
def compute_logits(network: nn.Module, images: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """Return the logits of a checked network in evaluation mode, whatever they are."""
    with evaluation_mode(network):
        return torch.cat([network(part) for part in images.split(batch)])


@torch.no_grad()
def _evaluate(network: nn.Module, images: torch.Tensor) -> Any:
    with evaluation_mode(network):
        return network(images)


def _dtype_of(network: nn.Module) -> torch.dtype | None:
    """Return the type of the first weight of floats."""
    types = (p.dtype for p in network.parameters() if p.is_floating_point())
    return next(types, None)


def _look_like_probabilities(logits: torch.Tensor) -> bool:
    if logits.shape[1] < 2 or bool((logits < 0).any()):
        return False
    return bool(((logits.sum(1) - 1).abs() < PROBABILITY_TOLERANCE).all())


def _reason(error: Exception) -> str:
    """Return the first line of an error, or its type."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
