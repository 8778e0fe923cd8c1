"""Teachers and students: the networks of a run, and how a teacher is trained for each kind of lesson."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.runs import stream_seed
from explore.errors import ExploreWarning, InvalidInput
from explore.models.convnet import ConvNet
from explore.models.mlp import MLP, MLPs, Several
from explore.models.training import Fit, logits_of
from explore.subclass.losses import auxiliary_loss, class_logits, prior_correction
from explore.subclass.training_data import Part, SubclassData

Factory = Callable[[int, int], nn.Module]
"""``factory(outputs, seed)`` returns a new network, ``[N, ...]`` to logits ``[N, outputs]``."""

TEACHER_HIDDEN = 256  # of a teacher that is no ConvNet


def students(
    source: SubclassData,
    kind: str,
    width: int,
    seeds: Sequence[int],
    prior: bool,
    factory: Factory | None = None,
) -> nn.Module:
    """Untrained students as one network, ``[N, K or 1, ...]`` to ``[N, K, S]``, on the source's device."""
    if factory is not None or kind != "mlp":
        return Several([student(source, kind, width, seed, prior, factory) for seed in seeds])
    network = MLPs(int(np.prod(source.shape)), width, len(source.parents), seeds)
    _start(network, source, prior)
    return network.to(source.device)


def student(
    source: SubclassData,
    kind: str,
    width: int,
    seed: int,
    prior: bool,
    factory: Factory | None = None,
) -> nn.Module:
    """One untrained student, ``[N, ...]`` to ``[N, S]``, on the source's device."""
    if factory is not None:
        return made(factory, "student", source, seed, prior)
    if kind == "mlp":
        network: nn.Module = MLP(int(np.prod(source.shape)), width, len(source.parents), seed)
    else:
        network = _convnet(source, width, len(source.parents), seed)
    _start(network, source, prior)
    return network.to(source.device)


def teacher(
    source: SubclassData, width: int, seed: int, prior: bool, factory: Factory | None = None
) -> nn.Module:
    """An untrained teacher: a ConvNet of two blocks where images are square, else an MLP."""
    if factory is not None:
        return made(factory, "teacher", source, seed, prior)
    outputs = len(source.parents)
    if width and len(source.shape) == 3:
        network = _convnet(source, width, outputs, seed)
    else:
        network = MLP(int(np.prod(source.shape)), TEACHER_HIDDEN, outputs, seed)
    _start(network, source, prior)
    return network.to(source.device)


def made(factory: Factory, who: str, source: SubclassData, seed: int, prior: bool) -> nn.Module:
    """What a factory makes, if it fits.

    Raises:
        InvalidInput: it is no factory, makes no network, or one that does not take these images or has other outputs.
    """
    wanted = f"{who} must be factory(outputs, seed) that returns a new torch.nn.Module"
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InvalidInput(f"{wanted}; got {type(factory).__name__}")
    try:
        network = factory(len(source.parents), seed)
    except TypeError as error:
        raise InvalidInput(
            f"{wanted}; called with ({len(source.parents)}, {seed}) it failed: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InvalidInput(f"{wanted}; it returned {type(network).__name__}")
    network.to(source.device)
    check_outputs(who, network, source)
    _start(network, source, prior)
    return network


def teaching(
    network: nn.Module,
    kind: str,
    source: SubclassData,
    seen: Part,
    options: Any,
    seed: int,
    epochs: int,
) -> Fit:
    """The training of a teacher: of subclasses, of subclasses shuffled within each class, or of classes alone."""
    targets = seen.subclasses
    loss: Any = cross_entropy
    if kind == "random":
        targets = shuffled(seen, stream_seed(seed, "shuffle"))
    if kind == "found":
        targets, loss = seen.labels, Finding(source.parents, options.auxiliary)
    rate, batch = options.teacher_rate, options.teacher_batch
    return learning(
        network, seen.images, targets, loss, epochs, rate, batch, stream_seed(seed, "teacher")
    )


def learning(
    network: nn.Module,
    images: torch.Tensor,
    targets: Any,
    loss: Any,
    epochs: int,
    rate: float,
    batch: int,
    seed: int,
    pool: Any = None,
) -> Fit:
    """How teachers and students are trained alike: Adam, its rate falling to 0 along a cosine, no weight decay."""
    how: dict[str, Any] = {
        "learning_rate": rate,
        "schedule": "cosine",
        "optimizer": "adam",
        "weight_decay": 0.0,
    }
    return Fit(
        network, images, targets, loss=loss, epochs=epochs, batch=batch, seed=seed, pool=pool, **how
    )


class Finding:
    """The loss of a teacher that finds subclasses: cross entropy of the classes + β times the auxiliary loss."""

    __name__ = "finding"

    def __init__(self, parents: Sequence[int], weight: float) -> None:
        self.parents, self.weight = tuple(parents), weight

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """A scalar, of logits ``[B, S]`` and classes ``[B]``."""
        return cross_entropy(
            class_logits(logits, self.parents), labels
        ) + self.weight * auxiliary_loss(logits)


def shuffled(seen: Part, seed: int) -> torch.Tensor:
    """Subclasses dealt out anew within each class: the same sizes, no meaning."""
    generator, dealt = torch.Generator().manual_seed(seed), seen.subclasses.clone()
    for k in seen.labels.unique():
        members = (seen.labels == k).nonzero().flatten()
        dealt[members] = seen.subclasses[
            members[torch.randperm(len(members), generator=generator).to(members.device)]
        ]
    return dealt


def described(**factories: Any) -> dict[str, str]:
    """The names of those factories that were given, for a recording's configuration."""
    return {
        who: getattr(f, "__qualname__", type(f).__name__)
        for who, f in factories.items()
        if f is not None
    }


def check_outputs(who: str, network: nn.Module, source: SubclassData) -> None:
    """Refuse a network that does not take the images, or whose logits do not fit the parent map."""
    images, outputs = source[:2].images, len(source.parents)
    try:
        got = list(logits_of(network, images).shape)
    except (RuntimeError, IndexError) as error:
        raise InvalidInput(
            f"the {who} cannot take images of shape {list(images.shape)}: {error}"
        ) from error
    if got != [len(images), outputs]:
        raise InvalidInput(
            f"the {who} returns {got} for {len(images)} images; expected {[len(images), outputs]}: one logit a subclass"
        )


def _convnet(source: SubclassData, width: int, outputs: int, seed: int) -> nn.Module:
    if len(source.shape) != 3 or source.shape[1] != source.shape[2]:
        raise InvalidInput(
            f"a convnet takes square images [N, C, H, H], got {[len(source), *source.shape]}; choose mlp, or give your own"
        )
    network = ConvNet(
        source.shape[0],
        outputs,
        source.shape[1],
        width=width,
        depth=2,
        norm="batch",
        pooling="max",
        seed=seed,
    )
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # half the time of a step


@torch.no_grad()
def _start(network: nn.Module, source: SubclassData, prior: bool) -> None:
    """Start all classes alike: zero logits would favour a class with more subclasses."""
    sizes = np.bincount(source.parents)
    if not prior or sizes.min() == sizes.max():
        return
    last: list[Any] = [
        m
        for m in network.modules()
        if isinstance(m, MLPs | nn.Linear)
        and m.bias is not None
        and m.bias.shape[-1] == len(source.parents)
    ]
    if not last:
        text = "the network has no last linear layer with biases, so classes with more subclasses start ahead; prior=False says so"
        warnings.warn(text, ExploreWarning, stacklevel=4)
        return
    last[-1].bias += prior_correction(source.parents)
