"""The supervised training run for any network and loss, and the accuracy of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.runs import BaseRun, stream_seed
from explore.core.validation import check_choice
from explore.data.image_set import sha256_of
from explore.errors import InvalidInput, RunDiverged
from explore.models.optimizer_state import optimizer_arrays, restore_optimizer, to_array

if TYPE_CHECKING:
    import xarray


OPTIMIZER_NAMES, SCHEDULE_NAMES = ("sgd", "adam"), ("step", "cosine", "constant")


class Fit(BaseRun):
    """A supervised training of a network; a step of the run is one epoch.

    Args:
        network: trained in place, on its device.
        images: float ``[N, ...]``, the inputs of the network.
        labels: integers ``[N]``, or a tuple of tensors ``[N, ...]`` that ``loss`` takes.
        loss: called with the outputs of the network and the labels (each tensor of the tuple) of
            the same samples; returns a mean over them. By default cross entropy.
        epochs: number of passes over the images.
        learning_rate: at the start.
        schedule: of the rate: "step" (divided by 10 at half of the epochs), "cosine" (down to 0) or
            "constant".
        optimizer: "sgd" or "adam".
        momentum: of SGD.
        weight_decay: of either optimizer (with Adam, the plain L2 kind).
        batch: number of images in an optimizer step; ``seed`` determines their order in each epoch.
        augment: called with a batch of images and its number in the run; returns the inputs of the
            network.
        pool: called with the epoch; returns the indices of the images to use in it (a curriculum).
            By default all.

    Raises:
        InvalidInput: no images, labels that do not match them, or zero epochs.
        UnknownName: an unknown optimizer or schedule.

    Source: the defaults are the evaluation protocol of the DC line (arXiv 2006.05929): SGD, rate
    0.01, momentum 0.9, weight decay 5e-4, batch 256, divided by 10 at half.

    Example:
        >>> from explore.models import ConvNet
        >>> x, y = torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])
        >>> fit = Fit(ConvNet(1, 2, 8, width=4), x, y, epochs=2).run()
        >>> fit.step, accuracy(fit.network, x, y)
        (2, 0.5)
    """

    name = "fit"

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor | tuple[torch.Tensor, ...],
        *,
        loss: Callable[..., torch.Tensor] = cross_entropy,
        epochs: int = 300,
        learning_rate: float = 0.01,
        schedule: str = "step",
        optimizer: str = "sgd",
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch: int = 256,
        seed: int = 0,
        augment: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
        pool: Callable[[int], torch.Tensor] | None = None,
    ) -> None:
        targets = labels if isinstance(labels, tuple) else (labels,)
        if not len(images) or any(len(images) != len(target) for target in targets) or epochs < 1:
            label_counts = ", ".join(str(len(target)) for target in targets)
            raise InvalidInput(
                f"got {len(images)} images, {label_counts} labels, {epochs} epochs; "
                "expected as many labels as images, and one or more of each"
            )
        check_choice("optimizer", optimizer, OPTIMIZER_NAMES)
        check_choice("schedule", schedule, SCHEDULE_NAMES)
        self.network, self.images, self.labels = network, images, targets
        self.steps, self.seed, self.batch = epochs, seed, batch
        self.config: Mapping[str, Any] = {
            "method": self.name,
            "loss": getattr(loss, "__name__", type(loss).__name__),
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "batch": batch,
            "seed": seed,
            "epochs": epochs,
            "data": {
                "name": "tensors",
                "shape": list(images.shape),
                "sha256": sha256_of(images, *targets),
            },
        }
        self.loss = float("nan")
        self._loss, self._rate, self._schedule = loss, learning_rate, schedule
        self._augment, self._pool = augment, pool
        parameters = list(network.parameters())
        shared: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
        if optimizer == "adam":
            self._optimizer: torch.optim.Optimizer = torch.optim.Adam(
                parameters, fused=True, **shared
            )
        else:
            self._optimizer = torch.optim.SGD(parameters, momentum=momentum, **shared)

    @property
    def message(self) -> str:
        """The loss of the last epoch, for the progress line."""
        return f"loss {self.loss:.3g}"

    def advance(self) -> None:
        """Train for one epoch.

        Raises:
            RunDiverged: the loss is NaN or infinite.
        """
        self._optimizer.param_groups[0]["lr"] = self._rate * self._rate_factor()
        self.network.train()
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "batches", self.step))
        pool = torch.arange(len(self.images)) if self._pool is None else self._pool(self.step)
        order = pool[torch.randperm(len(pool), generator=generator)].to(self.images.device)
        total = torch.zeros((), device=self.images.device)
        batches = order.split(self.batch)
        for number, rows in enumerate(batches, self.step * len(batches)):
            images = self.images[rows]
            if self._augment is not None:
                images = self._augment(images, number)
            loss = self._loss(self.network(images), *(target[rows] for target in self.labels))
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(rows)
        self.loss = float(total) / len(order)
        if not math.isfinite(self.loss):
            raise RunDiverged(
                f"the loss is {self.loss} in epoch {self.step + 1}; "
                f"learning_rate {self._rate} may be too large"
            )
        self.step += 1

    def _rate_factor(self) -> float:
        """Return the learning rate of this epoch, as a share of the rate at the start."""
        if self._schedule == "step":
            return 0.1 if self.step >= self.steps // 2 + 1 else 1.0
        if self._schedule == "cosine":
            return 0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)
        return 1.0

    def snapshot(self) -> xarray.Dataset:
        """Return the loss of the last epoch and, with cross entropy, the accuracy on the training
        images."""
        import xarray

        values = {"loss": self.loss}
        if self._loss is cross_entropy:
            values["accuracy"] = accuracy(self.network, self.images, self.labels[0])
        return xarray.Dataset(
            {
                name: ((), np.float32(value), {"long_name": name, "units": "1"})
                for name, value in values.items()
            }
        )

    def result(self) -> xarray.Dataset:
        """Return the same as ``snapshot``. The weights are not in it; they are in ``network``."""
        return self.snapshot()

    def state(self) -> dict[str, Any]:
        """Return weights, buffers and the state of the optimizer."""
        arrays: dict[str, Any] = {
            f"network.{name}": to_array(tensor)
            for name, tensor in self.network.state_dict().items()
        }
        arrays |= optimizer_arrays(self._optimizer, list(self.network.parameters()))
        return {**super().state(), **arrays, "loss": self.loss}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a ``state``."""
        super().restore(state)
        weights = {
            key.removeprefix("network."): torch.from_numpy(np.asarray(value))
            for key, value in state.items()
            if key.startswith("network.")
        }
        self.network.load_state_dict(weights)
        restore_optimizer(self._optimizer, list(self.network.parameters()), state)
        self.loss = float(state["loss"])


def accuracy(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500
) -> float:
    """Return the share of images whose largest logit is their label, in evaluation mode.

    The mode of each module is restored afterwards.

    Raises:
        InvalidInput: no images, or not as many labels.
    """
    if not len(images) or len(images) != len(labels):
        raise InvalidInput(
            f"got {len(images)} images, {len(labels)} labels; "
            "expected as many labels as images, and one or more"
        )
    return hits(network, images, labels, batch) / len(images)


def hits(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500) -> int:
    """Return the number of images whose largest logit is their label."""
    return int((logits_of(network, images, batch).argmax(1) == labels).sum())


@torch.no_grad()
def logits_of(network: nn.Module, images: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """Return the logits of all images in evaluation mode; the mode of each module is restored
    afterwards."""
    with evaluation_mode(network):
        return torch.cat([network(part) for part in images.split(batch)])


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Switch a network to evaluation mode in this context; each module gets its mode back."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
