"""The distillation run: synthetic images moved until fresh random networks attend to them as to the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from explore.core.runs import stream_seed
from explore.data.coresets import select
from explore.data.training_data import TrainingData
from explore.distill.augment import augment, draw_augmentation, strategy
from explore.distill.checks import check_images
from explore.distill.config import DistillConfig
from explore.distill.matching import matching_terms, real_means, synthetic_means, weighted
from explore.distill.probe import Probe
from explore.distill.run import DistilledSetRun
from explore.errors import InvalidInput, RunDiverged
from explore.models.convnet import ConvNet

if TYPE_CHECKING:
    import xarray

Network = Callable[[int], nn.Module]


def distill(
    images: torch.Tensor,
    labels: torch.Tensor,
    method: str = "datadam",
    *,
    images_per_class: int = 1,
    steps: int | None = None,
    seed: int = 0,
    network: Network | None = None,
    augment: str | None = None,
    device: str | None = None,
    **options: Any,
) -> DistillRun:
    """A run that distils your images; ``record`` it, or call ``advance`` in a loop of your own.

    Args:
        images: float ``[N, C, H, W]``, square, normalised as your network expects.
        labels: integers ``[N]``, 0 to K-1.
        method: "dm", "datadam", "channel" or "atom".
        images_per_class: synthetic images of each class.
        steps: steps planned; by default the preset's.
        seed: of every random stream.
        network: called with a seed, returns a new network; by default a ``ConvNet``. Any module will
            do whose activations are modules; it must take its weights from that seed.
        augment: "dsa", "none" or operations such as "crop_flip".
        device: where to compute, e.g. "cuda"; by default where ``images`` are.
        **options: the other fields of ``DistillConfig``, ``preset`` among them.

    Returns:
        A ``Run`` at step 0; ``run.images`` are the synthetic images, class by class.

    Raises:
        InvalidInput: see ``check_images``; zero steps; an option that does not exist or is out of range.
        UnknownName: method, preset or augmentation is not known.

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> run = distill(digits.batch(), digits.labels, "datadam", preset="lesson", steps=2)
        >>> run.advance()
        >>> run.step, tuple(run.images.shape)
        (1, (10, 1, 16, 16))
    """
    from explore.core.registry import make_config, method as row

    given = {
        "steps": steps,
        "augment": augment,
        "device": device or (str(images.device) if hasattr(images, "device") else None),
    }
    options |= {name: value for name, value in given.items() if value is not None}
    config = {"method": method, "images_per_class": images_per_class, "seed": seed, **options}
    return DistillRun(make_config(row(method), config), (images, labels), network)


def build(config: DistillConfig, data: Any = None) -> DistillRun:
    """The registry's builder."""
    return DistillRun(config, config.data if data is None else data)


class DistillRun(DistilledSetRun):
    """One distillation by DM, DataDAM, channel-only matching or ATOM; a ``Run``.

    Every step draws a fresh network that is never trained, a real batch and (with augmentation)
    one draw a class shared by real and synthetic images; the loss moves the synthetic images alone.
    """

    def __init__(self, options: DistillConfig, data: Any, network: Network | None = None) -> None:
        self.options = options
        self.name, self.steps = options.method, options.steps
        per_class = options.images_per_class
        check = partial(check_images, images_per_class=per_class, init=options.init)
        data = TrainingData(data, zca=options.zca, device=options.device, check=check)
        super().__init__(data, per_class)
        self.config: Mapping[str, Any] = options.identity(self.source.describe())
        self.loss = float("nan")
        self._operations = strategy(options.augment, self.source.flip)
        self._factory = network
        if network is not None:
            self.config = {
                **self.config,
                "network": getattr(network, "__qualname__", type(network).__name__),
            }
        self._own: ConvNet | None = None
        self.images = self._initial().requires_grad_(True)
        self._velocity = torch.zeros_like(self.images, requires_grad=False)
        self._probe: Probe | None = None

    @property
    def message(self) -> str:
        """The loss of the last step, for a progress bar."""
        return f"loss {self.loss:.3g}" if self.step else "no step yet"

    def advance(self) -> None:
        """One step: a fresh network, a real batch, one move of the synthetic images.

        Raises:
            RunDiverged: the loss is no finite number; the images are left as they were.
        """
        options, step, source = self.options, self.step + 1, self.source
        network = self._network(stream_seed(options.seed, "networks", step))
        chosen = source.sample(options.batch, stream_seed(options.seed, "batches", step))
        labels = source.labels[chosen].to(source.device)
        real = self._augmented(source.batch(chosen), labels, step)
        synthetic = self._augmented(self.images, self.labels, step)
        powers = (options.spatial, options.channel)
        target = real_means(
            network, real, labels, source.classes, *powers, getattr(torch, options.precision)
        )
        means = synthetic_means(network, synthetic, self.labels, source.classes, *powers)
        loss = weighted(matching_terms(target, means), options.mmd)
        if not torch.isfinite(loss):
            raise RunDiverged(
                f"the loss is {float(loss.detach())} at step {step}; learning_rate {options.learning_rate} may be too large"
            )
        (gradient,) = torch.autograd.grad(options.loss_scale * loss, self.images)
        with (
            torch.no_grad()
        ):  # SGD with momentum; torch.optim would do the same and take 1.5 s to import
            self._velocity.mul_(options.momentum).add_(gradient)
            self.images.sub_(options.learning_rate * self._velocity)
        self.loss, self.step = float(loss.detach()), step

    def snapshot(self) -> xarray.Dataset:
        """What can be seen now: images, and attention of fixed probe networks on them and on fixed real images."""
        if self._probe is None:
            networks = [
                self._made(stream_seed(self.options.seed, "probe", i))
                for i in range(self.options.probes)
            ]
            self._probe = Probe(self.source, networks, self.options)
        return self._probe.frame(self.images.detach(), self.labels, self.loss)

    def state(self) -> dict[str, Any]:
        """Return step, images, momentum and last loss; random streams are a function of the step."""
        arrays = {"images": self.images, "velocity": self._velocity}
        copies = {name: tensor.detach().cpu().numpy().copy() for name, tensor in arrays.items()}
        return {**super().state(), **copies, "loss": self.loss}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        if state["images"].shape != tuple(self.images.shape):
            raise InvalidInput(
                f"state holds images {state['images'].shape}, this run has {tuple(self.images.shape)}"
            )
        with torch.no_grad():
            self.images.copy_(torch.from_numpy(state["images"]))
            self._velocity.copy_(torch.from_numpy(state["velocity"]))
        self.loss = float(state["loss"])

    def _initial(self) -> torch.Tensor:
        options, source = self.options, self.source
        if options.init == "noise":
            generator = torch.Generator().manual_seed(stream_seed(options.seed, "init"))
            return torch.randn((len(self.labels), *source.shape), generator=generator).to(
                source.device
            )
        if options.init == "real":
            chosen = source.sample(options.images_per_class, stream_seed(options.seed, "init"))
        else:
            chosen = (
                select(source.batch(), source.labels, "kcenter", options.images_per_class)
                .cpu()
                .numpy()
            )
        return source.batch(chosen).clone()

    def _network(self, seed: int) -> nn.Module:
        if self._factory is not None:
            return self._made(seed)
        if self._own is None:
            self._own = self._made(seed)  # type: ignore[assignment]
        return self._own.draw(seed)  # type: ignore[union-attr]

    def _made(self, seed: int) -> nn.Module:
        options, (channels, size, _) = self.options, self.source.shape
        if self._factory is not None:
            network = self._factory(seed)
        else:
            network = ConvNet(
                channels,
                self.source.classes,
                size,
                width=options.width,
                depth=options.depth,
                norm=options.norm,
                seed=seed,
            )
        # training mode matters to batch norm alone: it uses the statistics of the batch, as released code does
        return network.to(self.source.device).requires_grad_(False).train()

    def _augmented(self, images: torch.Tensor, labels: torch.Tensor, step: int) -> torch.Tensor:
        if not self._operations:
            return images
        seeds = [
            stream_seed(self.options.seed, "augment", step, k) for k in range(self.source.classes)
        ]
        parts = [
            augment(images[labels == k], draw_augmentation(self._operations, seed))
            for k, seed in enumerate(seeds)
        ]
        return torch.cat(parts)  # images are class by class already
