"""Distillation by attention matching.

Synthetic images are optimised until random networks have the same attention on them as on real
images.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from explore.core.runs import stream_seed
from explore.core.tensor_validation import check_network
from explore.data.training_data import TrainingData
from explore.distill.augment import apply_draw, draw_augmentation, operations_for
from explore.distill.checks import check_factory, check_maps, check_training_images
from explore.distill.config import DistillConfig
from explore.distill.initial_images import initial_images
from explore.distill.matching_loss import matching_terms, real_means, synthetic_means, weighted
from explore.distill.probe import Probe
from explore.distill.run import DistilledSetRun, NetworkFactory
from explore.errors import InvalidInput, RunDiverged
from explore.models._checks import call_function
from explore.models.convnet import ConvNet

if TYPE_CHECKING:
    import xarray


def build(
    config: DistillConfig, data: Any = None, network: NetworkFactory | None = None
) -> DistillRun:
    """Build the run for the registry and for ``distill``."""
    return DistillRun(config, config.data if data is None else data, network)


class DistillRun(DistilledSetRun):
    """A distillation by DM, DataDAM, channel-only matching or ATOM.

    Every step uses a new network that is never trained and a batch of real images. With
    augmentation, real and synthetic images of a class are changed in the same way. Only the
    synthetic images are optimised.
    """

    def __init__(
        self, options: DistillConfig, data: Any, network: NetworkFactory | None = None
    ) -> None:
        self.options, self.name, self.steps = options, options.method, options.steps
        count = options.images_per_class
        check = partial(check_training_images, images_per_class=count, init=options.init)
        source = TrainingData(data, zca=options.zca, device=options.device, check=check)
        super().__init__(source, count)
        start = initial_images(options.init, source, count, stream_seed(options.seed, "init"))
        config = options.identity(source.describe()) | {"init": start.description}
        if network is not None:
            config["network"] = getattr(network, "__qualname__", type(network).__name__)
        self.config: Mapping[str, Any] = config
        self.loss = float("nan")
        self.operations = operations_for(options.augment, options.flip, source.flip)
        self._factory = network
        self._convnet: ConvNet | None = None
        self._previous: Callable[[], nn.Module | None] | None = None
        if network is None:  # Images that are too small are refused here, not in the first step.
            self._convnet = self._create_network(0)  # type: ignore[assignment]
        else:
            check_factory(network)
        self.images = start.images.requires_grad_(True)
        self._velocity = torch.zeros_like(self.images, requires_grad=False)
        self._probe: Probe | None = None

    @property
    def message(self) -> str:
        """The loss of the last step, for a progress bar."""
        return f"loss {self.loss:.3g}" if self.step else "no step yet"

    def advance(self) -> None:
        """Take one step: update the synthetic images with a new network and a batch of real images.

        Raises:
            RunDiverged: the loss or a pixel is not a finite number. The run keeps its last state.
        """
        options, step, source = self.options, self.step + 1, self.source
        network = self._random_network(stream_seed(options.seed, "networks", step))
        indices = source.sample(options.batch, stream_seed(options.seed, "batches", step))
        labels = source.labels[indices].to(source.device)
        real = self._augment(source.batch(indices), labels, step)
        synthetic = self._augment(self.images, self.labels, step)
        powers = (options.spatial, options.channel)
        target = real_means(
            network, real, labels, source.classes, *powers, getattr(torch, options.precision)
        )
        means = synthetic_means(network, synthetic, self.labels, source.classes, *powers)
        loss = weighted(matching_terms(target, means), options.mmd)
        if not torch.isfinite(loss):
            raise RunDiverged(
                f"the loss is {float(loss.detach())} at step {step}; "
                f"learning_rate {options.learning_rate} may be too large"
            )
        (gradient,) = torch.autograd.grad(options.loss_scale * loss, self.images)
        # SGD with momentum. torch.optim would round differently, and its import takes 1.5 s.
        with torch.no_grad():
            velocity = (self._velocity * options.momentum).add_(gradient)
            images = self.images - options.learning_rate * velocity
            if not torch.isfinite(images).all():
                raise RunDiverged(
                    f"an image is NaN or infinite after step {step}; learning_rate "
                    f"{options.learning_rate} may be too large"
                )
            self._velocity.copy_(velocity)
            self.images.copy_(images)
        self.loss, self.step = float(loss.detach()), step

    def snapshot(self) -> xarray.Dataset:
        """Return the images and the attention of the probe networks on them and on real images."""
        options = self.options
        if self._probe is None:
            seeds = [stream_seed(options.seed, "probe", i) for i in range(options.probes)]
            networks = [self._create_network(seed) for seed in seeds]
            powers = (options.spatial, options.channel)
            self._probe = Probe(self.source, networks, options.probe_images, options.seed, *powers)
        return self._probe.frame(self.images.detach(), self.labels, self.loss)

    def state(self) -> dict[str, Any]:
        """Return step, images, momentum and last loss.

        Random streams depend on the step alone, so they have no state.
        """
        arrays = {"images": self.images, "velocity": self._velocity}
        copies = {name: tensor.detach().cpu().numpy().copy() for name, tensor in arrays.items()}
        return {**super().state(), **copies, "loss": self.loss}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        if state["images"].shape != tuple(self.images.shape):
            raise InvalidInput(
                f"the state has images {state['images'].shape}, "
                f"but this run has {tuple(self.images.shape)}"
            )
        with torch.no_grad():
            self.images.copy_(torch.from_numpy(state["images"]))
            self._velocity.copy_(torch.from_numpy(state["velocity"]))
        self.loss = float(state["loss"])

    def _random_network(self, seed: int) -> nn.Module:
        if self._factory is not None:
            return self._create_network(seed)
        return self._convnet.draw(seed)  # type: ignore[union-attr]

    def _create_network(self, seed: int) -> nn.Module:
        options, (channels, size, _) = self.options, self.source.shape
        if self._factory is not None:
            return self._prepare(self._call_factory(self._factory, seed))
        architecture: dict[str, Any] = {
            "width": options.width,
            "depth": options.depth,
            "norm": options.norm,
        }
        network = ConvNet(channels, self.source.classes, size, **architecture, seed=seed)
        return self._prepare(network)

    def _prepare(self, network: nn.Module) -> nn.Module:
        # Training mode matters only for batch norm: it uses the statistics of the batch, as the
        # released code does.
        return network.to(self.source.device, torch.float32).requires_grad_(False).train()

    def _call_factory(self, factory: NetworkFactory, seed: int) -> nn.Module:
        """Return a new network of the user's own. The first one is checked on real images."""
        network = check_network(
            "the result of network(seed)", call_function("network(seed)", factory, seed)
        )
        if self._previous is None:
            source = self.source
            network = network.to(source.device, torch.float32).train()
            check_maps(network, source.batch(source.sample(1, 0)[:2]))
        elif self._previous() is network:
            raise InvalidInput(
                "network returns the same network for every seed; create a new one in each call"
            )
        self._previous = weakref.ref(network)
        return network

    def _augment(self, images: torch.Tensor, labels: torch.Tensor, step: int) -> torch.Tensor:
        """Augment each class in its own way. Images stand class by class, so their order stays."""
        if not self.operations:
            return images
        seed, classes = self.options.seed, range(self.source.classes)
        draws = [
            draw_augmentation(self.operations, stream_seed(seed, "augment", step, k))
            for k in classes
        ]
        return torch.cat([apply_draw(images[labels == k], draws[k]) for k in classes])
