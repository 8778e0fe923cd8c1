"""The supervised training run for any network and loss, and the accuracy of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import as_tensor, check_finite, check_network, check_tensor
from explore.core.validation import (
    check_callable,
    check_choice,
    check_number,
    check_seed,
    check_whole_number,
    describe,
)
from explore.data.image_set import sha256_of
from explore.errors import ExploreError, InvalidInput, RunDiverged
from explore.models._checks import (
    as_input,
    call_function,
    check_classes,
    check_outputs,
    counts_message,
    describe_inputs,
    run_network,
)
from explore.models._training_checks import check_targets, check_trainable, is_finite
from explore.models.optimizer_state import optimizer_arrays, restore_optimizer, to_array
from explore.models.scoring import (
    MAX_BATCH,
    accuracy as accuracy,
    evaluation_mode as evaluation_mode,
    hits as hits,
    logits_of as logits_of,
)

if TYPE_CHECKING:
    import xarray


MAX_EPOCHS = 10**9
MAX_RATE = 1e38
"""Of a learning rate and a weight decay: the largest power of ten that a float32 holds."""

OPTIMIZER_NAMES, SCHEDULE_NAMES = ("sgd", "adam"), ("step", "cosine", "constant")


class Fit(BaseRun):
    """A supervised training of a network; a step of the run is one epoch.

    Args:
        network: trained in place, on its device.
        images: float ``[N, ...]``, the inputs of the network, or what ``augment`` turns into
            them; a tensor, an array or a list. Floats get the device and the type of the network.
        labels: integers ``[N]``, or for cross entropy probabilities ``[N, K]``, or a tuple of
            tensors ``[N, ...]`` that ``loss`` takes.
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
            The last batch of an epoch is smaller if they do not divide evenly; a last batch of one
            image is an error where the network needs more, as some batch norms do.
        augment: called with a batch of images and its number in the run; returns the inputs of the
            network.
        pool: called with the epoch; returns the indices of the images to use in it (a curriculum).
            By default all.

    Raises:
        InvalidInput: no images or images with NaN, labels that do not match them, a number out of
            range, or a network without weights to train.
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
        check_network("network", network)
        epochs = check_whole_number("epochs", epochs, 1, MAX_EPOCHS)
        batch, seed = check_whole_number("batch", batch, 1, MAX_BATCH), check_seed(seed)
        learning_rate = check_number("learning_rate", learning_rate, at_least=0, at_most=MAX_RATE)
        momentum = check_number("momentum", momentum, at_least=0, below=1)
        weight_decay = check_number("weight_decay", weight_decay, at_least=0, at_most=MAX_RATE)
        optimizer = check_choice("optimizer", optimizer, OPTIMIZER_NAMES)
        schedule = check_choice("schedule", schedule, SCHEDULE_NAMES)
        check_callable("loss", loss, "of outputs and labels")
        for name, function in (("augment", augment), ("pool", pool)):
            if function is not None:
                check_callable(name, function, "or None")
        check_trainable(network)
        images = as_tensor("images", images).detach()
        if images.is_floating_point():
            images = as_input(network, images)
            check_finite("images", images)
        targets = check_targets(labels, loss, network, images)
        if (
            not images.ndim
            or not len(images)
            or any(len(images) != len(target) for target in targets)
        ):
            raise InvalidInput(counts_message(images, *targets))
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
        self._largest_label = int(targets[0].max()) if targets[0].ndim == 1 else -1
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
            RunDiverged: the loss, a weight or, after the last epoch, an output is NaN or infinite.
                The network keeps these weights.
            InvalidInput: the network cannot compute the images, or the loss its outputs.
        """
        self._optimizer.param_groups[0]["lr"] = self._rate * self._rate_factor()
        self.network.train()
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "batches", self.step))
        pool = torch.arange(len(self.images)) if self._pool is None else self._pooled()
        order = pool[torch.randperm(len(pool), generator=generator)].to(self.images.device)
        total = torch.zeros((), device=self.images.device)
        batches = order.split(self.batch)
        for number, rows in enumerate(batches, self.step * len(batches)):
            images = self.images[rows]
            if self._augment is not None:
                images = call_function("augment(batch, number)", self._augment, images, number)
            outputs = run_network(self.network, images)
            loss = self._compute_loss(outputs, [target[rows] for target in self.labels])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(rows)
        self.loss = float(total) / len(order)
        if not math.isfinite(self.loss):
            raise self._divergence(f"the loss is {self.loss}")
        if not is_finite(self.network):
            raise self._divergence("a weight is NaN or infinite")
        if self.step == self.steps - 1:
            with torch.no_grad(), evaluation_mode(self.network):
                outputs = self.network(images)
            if isinstance(outputs, torch.Tensor) and not bool(outputs.isfinite().all()):
                raise self._divergence("an output of the network is NaN or infinite")
        self.step += 1

    def _divergence(self, reason: str) -> RunDiverged:
        return RunDiverged(
            f"{reason} in epoch {self.step + 1}; learning_rate {self._rate} may be too large"
        )

    def _pooled(self) -> torch.Tensor:
        """Return the indices of the images that ``pool`` selects for this epoch.

        Raises:
            InvalidInput: there are none, or they are no indices of images.
        """
        assert self._pool is not None
        pool = check_tensor(
            "the result of pool",
            call_function("pool(epoch)", self._pool, self.step),
            ("N",),
            kind="integer",
        )
        if int(pool.min()) < 0 or int(pool.max()) >= len(self.images):
            raise InvalidInput(
                f"pool must return indices of images, 0..{len(self.images) - 1}, got "
                f"{int(pool.min())}..{int(pool.max())}"
            )
        return pool.cpu()

    def _compute_loss(self, outputs: Any, targets: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch.

        Raises:
            InvalidInput: outputs and labels do not fit, or the loss is no differentiable number.
        """
        if self._loss is cross_entropy:
            check_outputs(outputs, len(targets[0]), "[N, ...]")
            if targets[0].ndim == 1 and self._largest_label >= outputs.shape[1]:
                check_classes("labels", targets[0].new_full((1,), self._largest_label), outputs)
        try:
            loss = self._loss(outputs, *targets)
        except (ExploreError, torch.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InvalidInput(
                f"the loss cannot be computed from outputs and labels "
                f"({describe_inputs(outputs, *targets)}): {reason}"
            ) from error
        if not isinstance(loss, torch.Tensor) or loss.ndim or not loss.requires_grad:
            raise InvalidInput(
                "loss must return the mean over the images as a tensor without dimensions that "
                f"depends on the network, got {describe(loss)}"
            )
        return loss

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
            labels = self.labels[0] if self.labels[0].ndim == 1 else self.labels[0].argmax(1)
            values["accuracy"] = accuracy(self.network, self.images, labels)
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
