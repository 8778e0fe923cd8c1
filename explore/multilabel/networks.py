"""Networks of multi-label trainings: an encoder of any kind, and the heads of each method."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import nn

from explore.core.validation import describe
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput
from explore.models._init import Linear, initialise
from explore.models.trained.scene_network import shallow_network
from explore.models.training import evaluation_mode
from explore.multilabel.kernel_mixture import KernelMixtureHead
from explore.multilabel.mixture_density import MixtureDensityHead

EncoderFactory = Callable[[int], nn.Module]
"""``factory(seed)`` returns a new network, samples ``[N, ...]`` to features ``[N, D]``."""

PROJECTION_WIDTH = 64
"""Outputs of the projection that MultiSupCon and MulSupCon contrast."""

DENSITY_HIDDEN = 256
"""Hidden units of the mixture density head; the paper has 2048, for larger encoders."""


class Outputs(NamedTuple):
    """What a network returns for a batch.

    Attributes:
        features: of the encoder, ``[N, D]``.
        logits: of the labels, ``[N, K]``.
        contrasted: what the contrastive loss compares: a mixture or a projection; None without.
    """

    features: torch.Tensor
    logits: torch.Tensor
    contrasted: Any


class MultilabelNetwork(nn.Module):
    """An encoder, a classifier of its features, and what the method contrasts.

    Args:
        encoder: samples to features ``[N, D]``.
        classifier: features to logits; None if the logits are those of the mixture (KMCL).
        contrast_head: features to a mixture or a projection; None for plain classifiers.
    """

    def __init__(
        self, encoder: nn.Module, classifier: nn.Module | None, contrast_head: nn.Module | None
    ) -> None:
        super().__init__()
        self.encoder, self.classifier, self.contrast_head = encoder, classifier, contrast_head

    def forward(self, x: torch.Tensor) -> Outputs:
        """Return features, logits and what is contrasted."""
        features = self.encoder(x)
        if features.dtype != torch.float32:  # An encoder may compute in other types.
            features = features.float()
        contrasted = None if self.contrast_head is None else self.contrast_head(features)
        logits = contrasted.logits if self.classifier is None else self.classifier(features)  # type: ignore[union-attr]
        return Outputs(features, logits, contrasted)


def create_network(
    source: MultilabelSet, options: Any, seed: int, encoder: EncoderFactory | None = None
) -> MultilabelNetwork:
    """Return an untrained network for a method and a set.

    Args:
        source: whose samples and labels the network is for.
        options: a ``MultilabelConfig``.
        seed: of all weights. Encoder and classifier have the same weights in all methods.
        encoder: your own; by default a small convolutional network for images, and an MLP with one
            hidden layer for feature vectors.

    Raises:
        InvalidInput: the encoder is no factory of networks, or does not map the samples to
            ``[N, D]``.
    """
    factory = _default_encoder(source, options) if encoder is None else encoder
    network = _create_encoder(factory, seed)
    width = _feature_width(network, source)
    count = len(source.label_names)
    classifier: nn.Module | None = Linear(width, count)
    initialise(classifier, seed + 1)  # type: ignore[arg-type]
    head: nn.Module | None = None
    if options.method.startswith("kmcl"):
        head = KernelMixtureHead(width, count, options.covariance, seed=seed + 1)
        classifier = None
    elif options.method == "probmcl":
        head = MixtureDensityHead(
            width, count, hidden=DENSITY_HIDDEN, latent=options.latent, seed=seed + 2
        )
    elif options.method in ("multisupcon", "mulsupcon"):
        head = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, PROJECTION_WIDTH))
        initialise(head, seed + 2)
    return MultilabelNetwork(network, classifier, head)


def _default_encoder(source: MultilabelSet, options: Any) -> EncoderFactory:
    """Return the factory of the encoder for images or for feature vectors."""

    def create(seed: int) -> nn.Module:
        if source.is_image:
            network: nn.Module = shallow_network(source.shape[0], options.features, options.width)
        else:
            hidden = 8 * options.width
            network = nn.Sequential(
                Linear(source.shape[0], hidden), nn.ReLU(), Linear(hidden, options.features)
            )
        network = nn.Sequential(network, nn.ReLU())
        initialise(network, seed)
        return network

    return create


def _create_encoder(factory: EncoderFactory, seed: int) -> nn.Module:
    """Return the network of a factory."""
    expected = (
        "encoder must be a factory(seed) that returns a network, such as lambda seed: network"
    )
    if isinstance(factory, nn.Module) or not callable(factory):
        raise InvalidInput(f"{expected}; got {type(factory).__name__}")
    try:
        signature(factory).bind(seed)
    except TypeError as error:
        raise InvalidInput(f"{expected}; it cannot be called with one seed ({error})") from error
    except ValueError:  # Some functions have no signature.
        pass
    try:
        network: Any = factory(seed)
    except Exception as error:  # The function of somebody else may fail in any way.
        raise InvalidInput(f"{expected}; it failed: {error}") from error
    if not isinstance(network, nn.Module):
        raise InvalidInput(f"{expected}; it returned {type(network).__name__}")
    created: nn.Module = network
    return created


def _feature_width(encoder: nn.Module, source: MultilabelSet) -> int:
    """Return the width of the features of an encoder."""
    samples = source.batch(slice(0, 2)).cpu()
    count, shape = len(samples), list(source.shape)
    try:
        with torch.no_grad(), evaluation_mode(encoder):
            features = encoder(samples)
    except Exception as error:  # The network of somebody else may fail in any way.
        raise InvalidInput(f"the encoder cannot take samples of shape {shape}: {error}") from error
    if (
        not isinstance(features, torch.Tensor)
        or features.ndim != 2
        or not features.is_floating_point()
        or len(features) != count
        or not features.shape[1]
    ):
        got = type(features).__name__
        if hasattr(features, "shape"):
            is_float = isinstance(features, torch.Tensor) and features.is_floating_point()
            got = str(list(features.shape)) if is_float else describe(features)
        raise InvalidInput(
            f"the encoder must return features [N, D], here [{count}, D] for {count} samples, got "
            f"{got}; end it with a global pooling or nn.Flatten"
        )
    if not bool(features.isfinite().all()):
        raise InvalidInput(
            "the encoder returns NaN or infinite features; check its weights and layers"
        )
    return int(features.shape[1])
