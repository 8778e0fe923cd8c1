"""The training of experts: networks on real images, with a checkpoint after each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.runs import BaseRun, stream_seed
from explore.data._product_file import path_beside
from explore.data.training_data import TrainingData
from explore.distill.augment import apply_draw, draw_augmentation, operations_for
from explore.distill.checks import check_training_images
from explore.distill.recordings import EXPERTS
from explore.distill.trajectories.config import ExpertsConfig
from explore.distill.trajectories.expert_trajectories import ExpertTrajectories
from explore.distill.trajectories.gradient import flatten_parameters
from explore.errors import RunDiverged
from explore.models.convnet import ConvNet
from explore.models.training import Fit

if TYPE_CHECKING:
    import xarray


def build(config: ExpertsConfig, data: Any = None) -> ExpertsRun:
    """Build the run for the registry."""
    return ExpertsRun(config, config.data if data is None else data)


class ExpertsRun(BaseRun):
    """Experts that are trained one after the other; a step is one epoch of one expert.

    Attributes:
        parameters: ``[experts, epochs + 1, P]``; zeros where an expert has not been yet.
    """

    name = "experts"

    def __init__(self, options: ExpertsConfig, data: Any) -> None:
        self.options = options
        self.source = TrainingData(
            data, zca=options.zca, device=options.device, check=check_training_images
        )
        self.device, self.class_names = self.source.device, self.source.class_names
        self.config: Mapping[str, Any] = options.identity(self.source.describe())
        self.steps = options.count * options.epochs
        size = sum(p.numel() for p in self._network(0).parameters())
        shape = (options.count, options.epochs + 1, size)
        self.parameters = torch.zeros(shape, dtype=torch.float32)
        self._loss = np.full((options.count, options.epochs), np.nan, np.float32)
        self._operations = operations_for(options.augment, options.flip, self.source.flip)
        self._fit: Fit | None = None

    @property
    def message(self) -> str:
        """The expert and the loss of its last epoch, for a progress bar."""
        if not self.step:
            return "no epoch yet"
        expert, epoch = divmod(self.step - 1, self.options.epochs)
        return f"expert {expert + 1}, loss {self._loss[expert, epoch]:.3g}"

    def advance(self) -> None:
        """Train an expert for one epoch.

        Raises:
            RunDiverged: the loss or a parameter is not a finite number.
        """
        if self.step >= self.steps:
            return
        expert, epoch = divmod(self.step, self.options.epochs)
        if self._fit is None:
            self._fit = self._create_fit(expert)
            self.parameters[expert, 0] = flatten_parameters(self._fit.network).cpu()
        self._fit.advance()
        parameters = flatten_parameters(self._fit.network).cpu()
        if not torch.isfinite(parameters).all():
            raise RunDiverged(
                f"the parameters of expert {expert + 1} are NaN or infinite after epoch "
                f"{epoch + 1}; learning_rate {self.options.learning_rate} may be too large"
            )
        self.parameters[expert, epoch + 1] = parameters
        self._loss[expert, epoch] = self._fit.loss
        self.step += 1
        if epoch + 1 == self.options.epochs:
            self._fit = None

    def snapshot(self) -> xarray.Dataset:
        """Return the loss of each epoch, and how far it moved the parameters; NaN where there was
        none yet."""
        movement = (self.parameters[:, 1:] - self.parameters[:, :-1]).norm(dim=2).numpy()
        values = {
            "loss": self._loss.copy(),
            "movement": np.where(np.isnan(self._loss), np.nan, movement).astype(np.float32),
        }
        coordinates = {
            "expert": np.arange(self.options.count),
            "epoch": np.arange(1, self.options.epochs + 1),
        }
        return EXPERTS.frame(values, coordinates)

    def summary(self) -> str:
        """Return the mean loss of the first and of the last epoch."""
        first, last = self._loss[:, 0].mean(), self._loss[:, -1].mean()
        return f"mean loss of the first epoch {first:.3f}, of the last {last:.3f}"

    def save_product(self, recording: Path) -> Path:
        """Write the trajectories as ``.safetensors`` beside the recording."""
        path: Path = ExpertTrajectories.of(self).save(path_beside(recording))
        return path

    def state(self) -> dict[str, Any]:
        """Return the trajectories so far and the training of the current expert."""
        fit = self._fit.state() if self._fit else {}
        return {
            **super().state(),
            "parameters": self.parameters.numpy().copy(),
            "loss": self._loss.copy(),
            **{f"fit.{name}": value for name, value in fit.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self.parameters = torch.from_numpy(np.array(state["parameters"]))
        self._loss = np.array(state["loss"])
        expert, epoch = divmod(self.step, self.options.epochs)
        self._fit = None
        if epoch:
            self._fit = self._create_fit(expert)
            prefix = "fit."
            self._fit.restore(
                {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
            )

    def _network(self, seed: int) -> ConvNet:
        options, (channels, size, _) = self.options, self.source.shape
        architecture: dict[str, Any] = {
            "width": options.width,
            "depth": options.depth,
            "norm": options.norm,
        }
        return ConvNet(channels, self.source.classes, size, **architecture, seed=seed).float()

    def _create_fit(self, expert: int) -> Fit:
        options, source = self.options, self.source
        seed = stream_seed(options.seed, "experts", expert)

        def inputs(indices: torch.Tensor, batch: int) -> torch.Tensor:
            draw_seed = stream_seed(seed, "augment", batch)
            draw = draw_augmentation(self._operations, draw_seed, len(indices))
            return apply_draw(source.batch(indices), draw)

        return Fit(
            self._network(seed).to(source.device),
            # The inputs are indices, so that batches are normalised only when they are used.
            torch.arange(len(source.labels)),
            source.labels.to(source.device),
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            schedule="constant",
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            batch=options.batch,
            seed=seed,
            augment=inputs,
        )
