"""Networks of teachers and students, and the training of a teacher for each kind of soft labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.runs import stream_seed
from explore.errors import ExploreError, ExploreWarning, InvalidInput
from explore.models.convnet import ConvNet
from explore.models.mlp import MLP, MLPs, Several
from explore.models.training import Fit
from explore.subclass._loss_input import widen
from explore.subclass._network_checks import adapt_network, check_trainable
from explore.subclass.losses import prior_correction, spread_of, sum_classes
from explore.subclass.training_data import LabelledImages, SubclassData

Factory = Callable[[int, int], nn.Module]
"""``factory(outputs, seed)`` returns a new network, ``[N, ...]`` to logits ``[N, outputs]``."""

TEACHER_HIDDEN = 256
"""Hidden units of a teacher that is an MLP."""


def create_students(
    source: SubclassData,
    kind: str,
    width: int,
    seeds: Sequence[int],
    prior: bool,
    factory: Factory | None = None,
) -> nn.Module:
    """Return untrained students as one network, ``[N, K or 1, ...]`` to ``[N, K, S]``."""
    if factory is not None or kind != "mlp":
        return Several(
            [create_student(source, kind, width, seed, prior, factory) for seed in seeds]
        )
    network = MLPs(int(np.prod(source.shape)), width, len(source.parents), seeds)
    return _prepare(network, source, prior)


def create_student(
    source: SubclassData,
    kind: str,
    width: int,
    seed: int,
    prior: bool,
    factory: Factory | None = None,
) -> nn.Module:
    """Return one untrained student, ``[N, ...]`` to ``[N, S]``, on the device of the data."""
    if factory is not None:
        return _call_factory(factory, "student", source, seed, prior)
    create = _create_mlp if kind == "mlp" else _create_convnet
    return _prepare(create(source, width, seed), source, prior)


def create_teacher(
    source: SubclassData, width: int, seed: int, prior: bool, factory: Factory | None = None
) -> nn.Module:
    """Return an untrained teacher: a ConvNet of two blocks for images, else an MLP."""
    if factory is not None:
        return _call_factory(factory, "teacher", source, seed, prior)
    if width and len(source.shape) == 3:
        advice = "teacher_width=0 trains an mlp instead"
        return _prepare(_create_convnet(source, width, seed, advice), source, prior)
    return _prepare(_create_mlp(source, TEACHER_HIDDEN, seed), source, prior)


def fit_teacher(
    network: nn.Module,
    kind: str,
    source: SubclassData,
    samples: LabelledImages,
    options: Any,
    seed: int,
    epochs: int,
    own: bool = False,
) -> Fit:
    """Return the training of a teacher, at its first epoch.

    Args:
        network: untrained.
        kind: "subclass", "random" or "found"; see ``TeachingSignal``.
        source: whose superclasses the loss needs.
        samples: on which the teacher is trained.
        options: of the run or the study.
        seed: of the run.
        epochs: how many.
        own: the network is that of a factory, which is tried first.

    Raises:
        InvalidInput: it cannot be trained on these samples.
    """
    if own:
        counts = [len(samples)]
        check_trainable("teacher", network, samples.images, counts, options.teacher_batch)
    targets = samples.subclasses
    loss: Any = cross_entropy
    if kind == "random":
        targets = shuffle_subclasses(samples, stream_seed(seed, "shuffle"))
    if kind == "found":
        targets, loss = samples.labels, DiscoveryLoss(source.parents, options.auxiliary)
    rate, batch, seed = options.teacher_rate, options.teacher_batch, stream_seed(seed, "teacher")
    return create_fit(network, samples.images, targets, loss, epochs, rate, batch, seed)


def create_fit(
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
    """Return a training with the settings that teachers and students share.

    The optimizer is Adam without weight decay. Its learning rate falls to 0 along a cosine.
    """
    shared: Any = {"optimizer": "adam", "schedule": "cosine", "weight_decay": 0.0, "pool": pool}
    sizes: Any = {"epochs": epochs, "learning_rate": rate, "batch": batch, "seed": seed}
    return Fit(network, images, targets, loss=loss, **sizes, **shared)


class DiscoveryLoss:
    """Cross entropy of the classes + β times the auxiliary loss, which discovers subclasses."""

    __name__ = "finding"

    def __init__(self, parents: Sequence[int], weight: float) -> None:
        self.parents, self.weight = tuple(parents), weight

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return a scalar for logits ``[B, S]`` and classes ``[B]``."""
        class_loss = cross_entropy(sum_classes(widen(logits), self.parents), labels)
        return class_loss + self.weight * spread_of(widen(logits))


def shuffle_subclasses(samples: LabelledImages, seed: int) -> torch.Tensor:
    """Return the subclasses, permuted at random within each class."""
    generator, shuffled = torch.Generator().manual_seed(seed), samples.subclasses.clone()
    for k in samples.labels.unique():
        members = (samples.labels == k).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator).to(members.device)
        shuffled[members] = samples.subclasses[members[order]]
    return shuffled


def factory_names(**factories: Any) -> dict[str, str]:
    """Return the names of the factories that are not None, for the configuration of a recording."""
    return {
        role: getattr(factory, "__qualname__", type(factory).__name__)
        for role, factory in factories.items()
        if factory is not None
    }


def check_factory(role: str, factory: Any) -> str:
    """Return what a factory must be, for messages.

    Raises:
        InvalidInput: it is no function, or a network.
    """
    expected = f"{role} must be factory(outputs, seed) that returns a new torch.nn.Module"
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InvalidInput(f"{expected}; got {type(factory).__name__}")
    return expected


def _call_factory(
    factory: Factory, role: str, source: SubclassData, seed: int, prior: bool
) -> nn.Module:
    """Return the network of a factory.

    Raises:
        InvalidInput: no factory, or its network does not fit the data.
    """
    expected = check_factory(role, factory)
    outputs = len(source.parents)
    try:
        network = factory(outputs, seed)
    except ExploreError:
        raise
    except Exception as error:  # Code of somebody else may raise anything.
        raise InvalidInput(
            f"{expected}; the call with ({outputs}, {seed}) failed: {error}"
        ) from error
    if not isinstance(network, nn.Module):
        raise InvalidInput(f"{expected}; it returned {type(network).__name__}")
    return _prepare(adapt_network(role, network, source), source, prior)


def _create_mlp(source: SubclassData, width: int, seed: int) -> nn.Module:
    return MLP(int(np.prod(source.shape)), width, len(source.parents), seed)


def _create_convnet(
    source: SubclassData,
    width: int,
    seed: int,
    advice: str = "choose mlp, or pass a factory of networks",
) -> nn.Module:
    shape = source.shape
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] < 4:
        raise InvalidInput(
            "a convnet takes square images [N, C, H, H] with H ≥ 4, "
            f"got {[len(source), *shape]}; {advice}"
        )
    channels, size, _ = source.shape
    layers: Any = {"width": width, "depth": 2, "norm": "batch", "pooling": "max"}
    network = ConvNet(channels, len(source.parents), size, seed=seed, **layers)
    # In this memory format a step takes half the time.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@torch.no_grad()
def _prepare(network: nn.Module, source: SubclassData, prior: bool) -> nn.Module:
    """Move a network to the device of the data, and set its last biases.

    With zero logits a class with more subclasses would have a higher probability. The biases give
    all classes the same one.
    """
    sizes = np.bincount(source.parents)
    if prior and sizes.min() != sizes.max():
        linear = [m for m in network.modules() if isinstance(m, MLPs | nn.Linear)]
        biases: list[Any] = [m.bias for m in linear if m.bias is not None]
        biases = [bias for bias in biases if bias.shape[-1] == len(source.parents)]
        if biases:
            biases[-1] += prior_correction(source.parents).to(biases[-1].device)
        else:
            text = (
                "the network has no last linear layer with biases, so classes with more subclasses "
                "start with a higher probability; prior=False turns this warning off"
            )
            warnings.warn(text, ExploreWarning, stacklevel=4)
    return network.to(source.device)
