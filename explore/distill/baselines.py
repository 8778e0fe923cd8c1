"""Baselines of distilled sets: coresets of real images, and the mean image of each class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.runs import stream_seed
from explore.data.coresets import select
from explore.data.training_data import TrainingData
from explore.distill.checks import check_training_images
from explore.distill.config import CoresetConfig
from explore.distill.recordings import CORESET
from explore.distill.run import DistilledSetRun
from explore.models.convnet import ConvNet
from explore.models.training import Fit

if TYPE_CHECKING:
    import xarray

CHUNK = 250
"""Images that are processed at once."""


def build(config: CoresetConfig, data: Any = None) -> CoresetRun:
    """Build the run for the registry."""
    return CoresetRun(config, config.data if data is None else data)


class CoresetRun(DistilledSetRun):
    """A selection of real images, or class means.

    A step is a class. If features come from a network, the epochs of its training come first.
    """

    def __init__(self, options: CoresetConfig, data: Any) -> None:
        self.options, self.name = options, options.method
        count = 1 if options.method == "class-mean" else options.images_per_class
        check = partial(check_training_images, images_per_class=count, init="real")
        source = TrainingData(data, device=options.device, check=check)
        super().__init__(source, count)
        self.config: Mapping[str, Any] = options.identity(source.describe())
        shape = (len(self.labels), *source.shape)
        self.images = torch.zeros(shape, dtype=torch.float32, device=source.device)
        self.chosen = np.full(len(self.labels), -1)
        uses_network = options.features == "network" and options.method in ("herding", "kcenter")
        self._fit = self._network_fit() if uses_network else None
        self._epochs = self._fit.steps if self._fit else 0
        self.steps = self._epochs + source.classes

    @property
    def message(self) -> str:
        """The stage of the run, for a progress bar."""
        if self.step < self._epochs and self._fit:
            return f"features, {self._fit.message}"
        return f"{self.step - self._epochs} of {self.source.classes} classes"

    def advance(self) -> None:
        """Train the network for one epoch, or select the images of one class."""
        if self.step >= self.steps:
            return
        if self._fit and self.step < self._epochs:
            self._fit.advance()
        else:
            self._select(self.step - self._epochs)
        self.step += 1

    def _select(self, label: int) -> None:
        source, options, count = self.source, self.options, self.images_per_class
        members = (source.labels == label).nonzero().flatten()
        rows = slice(label * count, (label + 1) * count)
        if options.method == "class-mean":
            chunks = (source.batch(part) for part in members.split(CHUNK))
            total = sum(chunk.sum(0, dtype=torch.float64) for chunk in chunks)
            self.images[rows] = (total / len(members)).to(self.images)  # type: ignore[union-attr]
            return
        if options.method == "random":
            features = torch.zeros(len(members), 1)
        else:
            features = self._features(members)
        labels = source.labels[members]
        indices = members[select(features, labels, options.method, count, options.seed)]
        self.chosen[rows] = indices.cpu().numpy()
        self.images[rows] = source.batch(indices)

    @torch.no_grad()
    def _features(self, members: torch.Tensor) -> torch.Tensor:
        chunks = (self.source.batch(part) for part in members.split(CHUNK))
        if self._fit is None:
            return torch.cat([chunk.flatten(1).cpu() for chunk in chunks])
        network: Any = self._fit.network.eval()
        return torch.cat([network.embed(chunk).cpu() for chunk in chunks])

    def _network_fit(self) -> Fit:
        source, options = self.source, self.options
        seed, (channels, size, _) = stream_seed(options.seed, "features"), source.shape
        network = ConvNet(channels, source.classes, size, width=options.width, seed=seed)
        return Fit(
            network.to(source.device, torch.float32),
            torch.arange(len(source.labels)),
            source.labels.to(source.device),
            epochs=options.feature_epochs,
            seed=seed,
            # The inputs are indices, so that batches are normalised only when they are used.
            augment=lambda indices, _: source.batch(indices),
        )

    def snapshot(self) -> xarray.Dataset:
        """Return the images (black until they are selected) and their numbers in the data.

        The number is -1 for an image that is not selected yet, and for a class mean.
        """
        pixels = self.source.to_display(self.images)
        pixels[max(0, self.step - self._epochs) * self.images_per_class :] = 0
        variables = {"images": pixels, "chosen": self.chosen.copy()}
        coordinates = {"image": np.arange(len(self.labels)), "label": self.labels.cpu().numpy()}
        return CORESET.frame(variables, coordinates)

    def result(self) -> xarray.Dataset:
        """Return the set in model units; before the last step it is marked as unfinished."""
        result = super().result()
        if self.step < self.steps:
            count, classes = self.step - self._epochs, self.source.classes
            result.attrs["unfinished"] = f"images of {count} of {classes} classes are chosen"
        return result

    def state(self) -> dict[str, Any]:
        """Return the step, the selected images and the network."""
        network = self._fit.state() if self._fit else {}
        state = {"images": self.images.cpu().numpy().copy(), "chosen": self.chosen.copy()}
        state |= {f"features.{name}": value for name, value in network.items()}
        return {**super().state(), **state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self.images.copy_(torch.from_numpy(np.asarray(state["images"])))
        self.chosen = np.array(state["chosen"])
        if self._fit:
            prefix = "features."
            network = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
            # Checkpoints of earlier versions do not hold the step of this training.
            self._fit.restore({"step": min(self.step, self._epochs), **network})
