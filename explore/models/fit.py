"""Fit: the one supervised training run, of any network on labelled images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.data.imageset import sha256_of
from explore.errors import InvalidInput
from explore.runs import stream_seed

if TYPE_CHECKING:
    import xarray


class Fit:
    """Train a network with SGD; a ``Run`` whose step is one epoch.

    Args:
        network: trained in place, on the device where it is.
        images: float ``[N, C, H, W]``; labels: integers ``[N]``.
        epochs: passes over the images.
        learning_rate: divided by 10 at half of the epochs.
        momentum, weight_decay: of SGD.
        batch: images a step; the order is drawn anew each epoch from ``seed``.

    Raises:
        InvalidInput: no images, labels that do not fit, or zero epochs.

    Source: the evaluation protocol of the DC line (arXiv 2006.05929): SGD, rate 0.01, momentum
    0.9, weight decay 5e-4, batch 256, divided by 10 at half.

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
        labels: torch.Tensor,
        *,
        epochs: int = 300,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch: int = 256,
        seed: int = 0,
    ) -> None:
        if not len(images) or len(images) != len(labels) or epochs < 1:
            given = f"{len(images)} images, {len(labels)} labels, {epochs} epochs"
            raise InvalidInput(f"{given}; expected as many labels as images and at least 1 of each")
        self.network, self.images, self.labels = network, images, labels
        self.step, self.steps, self.seed, self.batch = 0, epochs, seed, batch
        self.config: Mapping[str, Any] = {
            "method": self.name,
            "learning_rate": learning_rate,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "batch": batch,
            "seed": seed,
            "epochs": epochs,
            "data": {"name": "tensors", "shape": list(images.shape), "sha256": sha256_of(images, labels)},
        }
        self.loss = float("nan")
        self._rate = learning_rate
        self._optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=momentum, weight_decay=weight_decay)

    @property
    def message(self) -> str:
        """Loss of the last epoch."""
        return f"loss {self.loss:.3g}"

    def advance(self) -> None:
        """One epoch."""
        self._optimizer.param_groups[0]["lr"] = self._rate * (0.1 if self.step >= self.steps // 2 + 1 else 1.0)
        self.network.train()
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "batches", self.step))
        total = 0.0
        for chosen in torch.randperm(len(self.images), generator=generator).to(self.images.device).split(self.batch):
            loss = cross_entropy(self.network(self.images[chosen]), self.labels[chosen])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            total += float(loss.detach()) * len(chosen)
        self.loss, self.step = total / len(self.images), self.step + 1

    def run(self) -> Fit:
        """Advance to the end, without recording."""
        while self.step < self.steps:
            self.advance()
        return self

    def snapshot(self) -> xarray.Dataset:
        """Loss of the last epoch and accuracy on the training images."""
        import xarray

        values = {"loss": self.loss, "accuracy": accuracy(self.network, self.images, self.labels)}
        about = {name: {"long_name": name, "units": "1"} for name in values}
        return xarray.Dataset({name: ((), np.float32(value), about[name]) for name, value in values.items()})

    def result(self) -> xarray.Dataset:
        """The same as ``snapshot``: weights do not go into datasets; they are in ``network``."""
        return self.snapshot()

    def state(self) -> dict[str, Any]:
        """Weights, buffers and momentum."""
        tensors = self.network.state_dict()
        arrays: dict[str, Any] = {f"network.{name}": tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
        for index, parameter in enumerate(self.network.parameters()):
            momentum = self._optimizer.state[parameter].get("momentum_buffer") if parameter in self._optimizer.state else None
            if momentum is not None:
                arrays[f"momentum.{index}"] = momentum.cpu().numpy().copy()
        return arrays | {"loss": self.loss}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back (or on) to a ``state``."""
        weights = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
        self.network.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()})
        self._optimizer.state.clear()
        for index, parameter in enumerate(self.network.parameters()):
            if f"momentum.{index}" in state:
                momentum = torch.from_numpy(state[f"momentum.{index}"]).to(parameter)
                self._optimizer.state[parameter]["momentum_buffer"] = momentum.clone()  # training must not change ``state``
        self.loss = float(state["loss"])


@torch.no_grad()
def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500) -> float:
    """Share of images whose largest logit is their label, in evaluation mode; each module's mode is put back after.

    Raises:
        InvalidInput: no images, or not as many labels.
    """
    if not len(images) or len(images) != len(labels):
        raise InvalidInput(f"{len(images)} images, {len(labels)} labels; expected as many labels as images and at least 1")
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        hits = sum(int((network(x).argmax(1) == y).sum()) for x, y in zip(images.split(batch), labels.split(batch), strict=True))
    finally:
        for module in training:
            module.training = True
    return hits / len(images)
