"""Fit: the one supervised training run, of any network, on labelled images or whatever else a loss takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.runs import BaseRun, stream_seed
from explore.data.image_set import sha256_of
from explore.errors import InvalidInput, RunDiverged, UnknownName

if TYPE_CHECKING:
    import xarray


OPTIMIZERS, SCHEDULES = ("sgd", "adam"), ("step", "cosine", "constant")


class Fit(BaseRun):
    """Train a network; a ``Run`` whose step is one epoch.

    Args:
        network: trained in place, on the device where it is.
        images: float ``[N, ...]``, what the network takes.
        labels: integers ``[N]``, or a tuple of tensors ``[N, ...]`` that ``loss`` takes.
        loss: called with what the network returns and the labels (each of the tuple) of the same samples; returns
            a mean over them. Cross entropy if left out.
        epochs: passes over the images.
        learning_rate: at the start.
        schedule: of the rate: "step" (divided by 10 at half of the epochs), "cosine" (down to 0) or "constant".
        optimizer: "sgd" or "adam".
        momentum: of SGD.
        weight_decay: of either (with Adam the plain L2 kind).
        batch: images a step; the order is drawn anew each epoch from ``seed``.
        augment: called with a batch of images and its number in the run, returns what the network is given.
        pool: called with the epoch, returns the indices of the images to be used in it (a curriculum); all if left out.

    Raises:
        InvalidInput: no images, labels that do not fit, or zero epochs.
        UnknownName: another optimizer or schedule.

    Source: the defaults are the evaluation protocol of the DC line (arXiv 2006.05929): SGD, rate 0.01, momentum
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
            given = f"{len(images)} images, {', '.join(str(len(target)) for target in targets)} labels, {epochs} epochs"
            raise InvalidInput(f"{given}; expected as many labels as images and at least 1 of each")
        for kind, given, known in (
            ("optimizer", optimizer, OPTIMIZERS),
            ("schedule", schedule, SCHEDULES),
        ):
            if given not in known:
                raise UnknownName(kind, given, known)
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
        same: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
        if optimizer == "adam":
            self._optimizer: torch.optim.Optimizer = torch.optim.Adam(
                parameters, fused=True, **same
            )
        else:
            self._optimizer = torch.optim.SGD(parameters, momentum=momentum, **same)

    @property
    def message(self) -> str:
        """Loss of the last epoch."""
        return f"loss {self.loss:.3g}"

    def advance(self) -> None:
        """One epoch.

        Raises:
            RunDiverged: the loss is no finite number.
        """
        self._optimizer.param_groups[0]["lr"] = self._rate * self._share()
        self.network.train()
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "batches", self.step))
        chosen = torch.arange(len(self.images)) if self._pool is None else self._pool(self.step)
        order = chosen[torch.randperm(len(chosen), generator=generator)].to(self.images.device)
        total = torch.zeros((), device=self.images.device)
        parts = order.split(self.batch)
        for number, part in enumerate(parts, self.step * len(parts)):
            images = (
                self.images[part]
                if self._augment is None
                else self._augment(self.images[part], number)
            )
            loss = self._loss(self.network(images), *(target[part] for target in self.labels))
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(part)
        self.loss = float(total) / len(order)
        if not math.isfinite(self.loss):
            raise RunDiverged(
                f"the loss is {self.loss} in epoch {self.step + 1}; learning_rate {self._rate} may be too large"
            )
        self.step += 1

    def _share(self) -> float:
        """Of the first epoch's rate, in this one."""
        if self._schedule == "step":
            return 0.1 if self.step >= self.steps // 2 + 1 else 1.0
        return (
            0.5 + 0.5 * math.cos(math.pi * self.step / self.steps)
            if self._schedule == "cosine"
            else 1.0
        )

    def snapshot(self) -> xarray.Dataset:
        """Loss of the last epoch and, where the labels are classes, accuracy on the training images."""
        import xarray

        values = {"loss": self.loss}
        if self._loss is cross_entropy:
            values["accuracy"] = accuracy(self.network, self.images, self.labels[0])
        about = {name: {"long_name": name, "units": "1"} for name in values}
        return xarray.Dataset(
            {name: ((), np.float32(value), about[name]) for name, value in values.items()}
        )

    def result(self) -> xarray.Dataset:
        """The same as ``snapshot``: weights do not go into datasets; they are in ``network``."""
        return self.snapshot()

    def state(self) -> dict[str, Any]:
        """Weights, buffers and what the optimizer remembers."""
        arrays: dict[str, Any] = {
            f"network.{name}": _array(tensor) for name, tensor in self.network.state_dict().items()
        }
        for index, parameter in enumerate(self.network.parameters()):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    arrays[f"optimizer.{index}.{name}"] = _array(value)
        return {**super().state(), **arrays, "loss": self.loss}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        weights = {
            name.removeprefix("network."): value
            for name, value in state.items()
            if name.startswith("network.")
        }
        self.network.load_state_dict(
            {name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()}
        )
        self._optimizer.state.clear()
        parameters = list(self.network.parameters())
        for key, value in state.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                kept, parameter = (
                    torch.tensor(np.asarray(value)),
                    parameters[int(index)],
                )  # a copy: training must not change ``state``
                if (
                    kept.shape == parameter.shape
                ):  # in the parameter's order in memory, which a fused step relies on
                    kept = torch.empty_like(parameter, requires_grad=False).copy_(kept)
                self._optimizer.state[parameter][name] = kept.to(parameter.device)
        self.loss = float(state["loss"])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def accuracy(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500
) -> float:
    """Share of images whose largest logit is their label, in evaluation mode; each module's mode is put back after.

    Raises:
        InvalidInput: no images, or not as many labels.
    """
    if not len(images) or len(images) != len(labels):
        raise InvalidInput(
            f"{len(images)} images, {len(labels)} labels; expected as many labels as images and at least 1"
        )
    return hits(network, images, labels, batch) / len(images)


def hits(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 500) -> int:
    """How many images' largest logit is their label, as ``accuracy`` counts them."""
    return int((logits_of(network, images, batch).argmax(1) == labels).sum())


@torch.no_grad()
def logits_of(network: nn.Module, images: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """What a network says of all images, in evaluation mode; each module's mode is put back after."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        return torch.cat([network(part) for part in images.split(batch)])
    finally:
        for module in training:
            module.training = True
