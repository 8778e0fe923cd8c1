"""The rivals as runs: real images chosen class by class, or the mean of each class, for the same company as distilled sets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.runs import stream_seed
from explore.data.coresets import select
from explore.data.training_data import TrainingData
from explore.distill.checks import check_images
from explore.distill.config import CoresetConfig
from explore.distill.run import DistilledSetRun
from explore.models.convnet import ConvNet
from explore.models.training import Fit

if TYPE_CHECKING:
    import xarray

TOGETHER = 250
"""Images that are looked at at once."""


def build(config: CoresetConfig, data: Any = None) -> CoresetRun:
    """The registry's builder."""
    return CoresetRun(config, config.data if data is None else data)


class CoresetRun(DistilledSetRun):
    """A choice of real images; a ``Run`` whose step is a class, after the epochs in which a network for features is trained."""

    def __init__(self, options: CoresetConfig, data: Any) -> None:
        self.options, self.name = options, options.method
        mean = options.method == "class-mean"
        self.per_class = 1 if mean else options.images_per_class
        check = partial(check_images, images_per_class=self.per_class, init="real")
        data = TrainingData(data, device=options.device, check=check)
        super().__init__(data, self.per_class)
        self.config: Mapping[str, Any] = options.identity(self.source.describe())
        self.images = torch.zeros((len(self.labels), *self.source.shape), device=self.source.device)
        self.chosen = np.full(len(self.labels), -1)
        self._fit = (
            self._features_fit()
            if options.features == "network" and options.method in ("herding", "kcenter")
            else None
        )
        self._epochs = self._fit.steps if self._fit else 0
        self.steps = self._epochs + self.source.classes

    @property
    def message(self) -> str:
        """What is done."""
        if self.step < self._epochs and self._fit:
            return f"features, {self._fit.message}"
        return f"{self.step - self._epochs} of {self.source.classes} classes"

    def advance(self) -> None:
        """Train the network for one epoch, or choose for one class."""
        if self.step >= self.steps:
            return
        if self._fit and self.step < self._epochs:
            self._fit.advance()
        else:
            self._choose(self.step - self._epochs)
        self.step += 1

    def _choose(self, label: int) -> None:
        source, options = self.source, self.options
        members = (source.labels == label).nonzero().flatten()
        at = slice(label * self.per_class, (label + 1) * self.per_class)
        if options.method == "class-mean":
            total = sum(
                source.batch(part).sum(0, dtype=torch.float64) for part in members.split(TOGETHER)
            )
            self.images[at] = (total / len(members)).to(self.images)  # type: ignore[union-attr]
            return
        features = (
            torch.zeros(len(members), 1) if options.method == "random" else self._features(members)
        )
        picks = members[
            select(features, source.labels[members], options.method, self.per_class, options.seed)
        ]
        self.chosen[at] = picks.cpu().numpy()
        self.images[at] = source.batch(picks)

    @torch.no_grad()
    def _features(self, members: torch.Tensor) -> torch.Tensor:
        parts = (self.source.batch(part) for part in members.split(TOGETHER))
        if self._fit is None:
            return torch.cat([part.flatten(1).cpu() for part in parts])
        network: Any = self._fit.network.eval()
        return torch.cat([network.embed(part).cpu() for part in parts])

    def _features_fit(self) -> Fit:
        source, options = self.source, self.options
        seed, (channels, size, _) = stream_seed(options.seed, "features"), source.shape
        network = ConvNet(channels, source.classes, size, width=options.width, seed=seed).to(
            source.device
        )
        everything = torch.arange(len(source.labels))

        def looked_up(indices: torch.Tensor, _: int) -> torch.Tensor:
            return source.batch(indices)

        labels = source.labels.to(source.device)
        return Fit(
            network, everything, labels, epochs=options.feature_epochs, seed=seed, augment=looked_up
        )

    def snapshot(self) -> xarray.Dataset:
        """The images so far (black where none is chosen yet), and their numbers in the data (−1: none, or a mean)."""
        import xarray

        shown = self.source.to_display(self.images)
        done = np.repeat(np.arange(self.source.classes) < self.step - self._epochs, self.per_class)
        shown[~done] = 0
        dims = ("image", "y", "x", "channel")[: shown.ndim]
        return xarray.Dataset(
            {
                "images": (dims, shown, {"long_name": "chosen image", "units": "1"}),
                "chosen": (
                    "image",
                    self.chosen.copy(),
                    {"long_name": "number of the image in the data", "units": "1"},
                ),
            },
            {
                "image": ("image", np.arange(len(self.labels))),
                "label": ("image", self.labels.cpu().numpy()),
            },
        )

    def result(self) -> xarray.Dataset:
        """The chosen images in model units, with what undoes the normalisation."""
        made = super().result()
        unfinished = (
            f"images of {self.step - self._epochs} of {self.source.classes} classes are chosen"
        )
        return made.assign_attrs(unfinished=unfinished) if self.step < self.steps else made

    def state(self) -> dict[str, Any]:
        """What is chosen, and the network."""
        network = self._fit.state() if self._fit else {}
        state = {"images": self.images.cpu().numpy().copy(), "chosen": self.chosen.copy()}
        state |= {f"features.{name}": value for name, value in network.items()}
        return {**super().state(), **state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        self.images.copy_(torch.from_numpy(np.asarray(state["images"])))
        self.chosen = np.array(state["chosen"])
        if self._fit:
            prefix = "features."
            network = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
            # Checkpoints of earlier versions do not hold the step of this training.
            self._fit.restore({"step": min(self.step, self._epochs), **network})
