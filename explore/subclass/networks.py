"""Teachers and students: the networks of a run, and how a teacher is trained for each kind of lesson."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.errors import ExploreWarning, InvalidInput
from explore.models.convnet import ConvNet
from explore.models.fit import Fit, logits_of
from explore.models.mlp import MLP, MLPs, Several
from explore.runs import stream_seed
from explore.subclass.losses import auxiliary_loss, class_logits, prior_correction
from explore.subclass.source import Part, Source

Factory = Callable[[int, int], nn.Module]
"""``factory(outputs, seed)`` returns a new network, ``[N, ...]`` to logits ``[N, outputs]``."""

TEACHER_HIDDEN = 256  # of a teacher that is no ConvNet


def students(
    source: Source, kind: str, width: int, seeds: Sequence[int], prior: bool, factory: Factory | None = None
) -> nn.Module:
    """Untrained students as one network, ``[N, K or 1, ...]`` to ``[N, K, S]``, on the source's device."""
    outputs = len(source.parents)
    network: Any
    if factory is None and kind == "mlp":
        network = MLPs(int(np.prod(source.shape)), width, outputs, seeds)
    else:
        make = factory or (lambda outputs, seed: _convnet(source, width, outputs, seed))
        network = Several([make(outputs, seed) for seed in seeds])
    for one in network.networks if isinstance(network, Several) else [network]:
        _start(one, source, prior)
    network.to(source.device)
    if factory is not None:
        check_outputs("student", network, source[:2].images[:, None], (len(seeds), outputs))
    return network


def teacher(source: Source, width: int, seed: int, prior: bool, factory: Factory | None = None) -> nn.Module:
    """An untrained teacher: a ConvNet of two blocks where images are square, else an MLP."""
    outputs = len(source.parents)
    if factory is not None:
        network = factory(outputs, seed)
    elif width and len(source.shape) == 3:
        network = _convnet(source, width, outputs, seed)
    else:
        network = MLP(int(np.prod(source.shape)), TEACHER_HIDDEN, outputs, seed)
    _start(network, source, prior)
    network.to(source.device)
    if factory is not None:
        check_outputs("teacher", network, source[:2].images, (outputs,))
    return network


def teaching(network: nn.Module, kind: str, source: Source, seen: Part, options: Any, seed: int, epochs: int) -> Fit:
    """The training of a teacher: of subclasses, of subclasses shuffled within each class, or of classes alone."""
    targets = seen.subclasses
    loss: Any = cross_entropy
    if kind == "random":
        targets = shuffled(seen, stream_seed(seed, "shuffle"))
    if kind == "found":
        targets, loss = seen.labels, Finding(source.parents, options.auxiliary)
    rate, batch = options.teacher_rate, options.teacher_batch
    return learning(network, seen.images, targets, loss, epochs, rate, batch, stream_seed(seed, "teacher"))


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
    how: dict[str, Any] = {"learning_rate": rate, "schedule": "cosine", "optimizer": "adam", "weight_decay": 0.0}
    return Fit(network, images, targets, loss=loss, epochs=epochs, batch=batch, seed=seed, pool=pool, **how)


class Finding:
    """The loss of a teacher that finds subclasses: cross entropy of the classes + β times the auxiliary loss."""

    __name__ = "finding"

    def __init__(self, parents: Sequence[int], weight: float) -> None:
        self.parents, self.weight = tuple(parents), weight

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """A scalar, of logits ``[B, S]`` and classes ``[B]``."""
        return cross_entropy(class_logits(logits, self.parents), labels) + self.weight * auxiliary_loss(logits)


def shuffled(seen: Part, seed: int) -> torch.Tensor:
    """Subclasses dealt out anew within each class: the same sizes, no meaning."""
    generator, dealt = torch.Generator().manual_seed(seed), seen.subclasses.clone()
    for k in seen.labels.unique():
        members = (seen.labels == k).nonzero().flatten()
        dealt[members] = seen.subclasses[members[torch.randperm(len(members), generator=generator).to(members.device)]]
    return dealt


def check_outputs(who: str, network: nn.Module, images: torch.Tensor, wanted: tuple[int, ...]) -> None:
    """Refuse a network whose logits do not fit the parent map."""
    got = tuple(logits_of(network, images).shape)
    if got[1:] != wanted:
        raise InvalidInput(
            f"the {who} returns {list(got)} for {got[0]} images; expected {[got[0], *wanted]}: one logit a subclass"
        )


def _convnet(source: Source, width: int, outputs: int, seed: int) -> nn.Module:
    if len(source.shape) != 3 or source.shape[1] != source.shape[2]:
        raise InvalidInput(
            f"a convnet takes square images [N, C, H, H], got {[len(source), *source.shape]}; choose mlp, or give your own"
        )
    network = ConvNet(source.shape[0], outputs, source.shape[1], width=width, depth=2, norm="batch", pooling="max", seed=seed)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # half the time of a step


@torch.no_grad()
def _start(network: nn.Module, source: Source, prior: bool) -> None:
    """Start all classes alike: zero logits would favour a class with more subclasses."""
    sizes = np.bincount(source.parents)
    if not prior or sizes.min() == sizes.max():
        return
    last: list[Any] = [
        m
        for m in network.modules()
        if isinstance(m, MLPs | nn.Linear) and m.bias is not None and m.bias.shape[-1] == len(source.parents)
    ]
    if not last:
        text = (
            "the network has no last linear layer with biases, so classes with more subclasses start ahead; prior=False says so"
        )
        warnings.warn(text, ExploreWarning, stacklevel=4)
        return
    last[-1].bias += prior_correction(source.parents)
