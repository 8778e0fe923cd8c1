"""A survey of untrained networks: their class-mean attention, and how well it classifies images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from explore.attention.power_sums import power_sums
from explore.core.runs import BaseRun, stream_seed
from explore.data.training_data import TrainingData
from explore.distill.checks import check_training_images
from explore.distill.config import UntrainedConfig
from explore.distill.matching_loss import class_means
from explore.distill.probe import square_maps, to_seven_bits
from explore.distill.recordings import UNTRAINED
from explore.errors import InvalidInput
from explore.models.convnet import ConvNet

if TYPE_CHECKING:
    import xarray

POWERS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


def build(config: UntrainedConfig, data: Any = None) -> UntrainedRun:
    """Build the run for the registry."""
    return UntrainedRun(config, config.data if data is None else data)


class UntrainedRun(BaseRun):
    """A survey of untrained networks, one network for each step.

    Class means are those of training images. Other images of the training split are
    classified by the nearest class-mean map (in L2), so nothing depends on test images.

    Attributes:
        mean_indices, query_indices: the images of the class means, and those that are classified.
    """

    name = "untrained"

    def __init__(self, options: UntrainedConfig, data: Any) -> None:
        self.options, self.steps = options, options.steps
        self.source = TrainingData(data, device=options.device, check=check_training_images)
        self.device, self.class_names = self.source.device, self.source.class_names
        labels = self.source.labels
        generator = np.random.default_rng(stream_seed(options.seed, "probe"))
        order = generator.permutation(len(labels))
        # A small set gives half of its images to each part. The recording holds that number.
        count = min(options.images, len(order) // 2)
        config = options.identity(self.source.describe())
        self.config: Mapping[str, Any] = {**config, "images": count}
        self.mean_indices, self.query_indices = order[:count], order[count : 2 * count]
        for indices in (self.mean_indices, self.query_indices):
            absent = set(range(self.source.classes)) - set(labels[indices].tolist())
            if absent:
                raise InvalidInput(
                    f"no image of class {min(absent)} is among the {count} drawn at random; "
                    f"use more than images={options.images}, or a larger set"
                )

    @property
    def message(self) -> str:
        """A line for a progress bar; a survey has no loss."""
        return "network drawn"

    def advance(self) -> None:
        """Go to the next network; ``snapshot`` creates it."""
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Return the class-mean maps of each block and power, and the accuracy of the nearest."""
        options, source = self.options, self.source
        channels, size, _ = source.shape
        seed = stream_seed(options.seed, "networks", self.step)
        network = ConvNet(channels, source.classes, size, width=options.width, seed=seed)
        network = network.to(source.device, torch.float32).requires_grad_(False)
        mean_labels, query_labels = (
            source.labels[indices].to(source.device)
            for indices in (self.mean_indices, self.query_indices)
        )
        examples = [int((query_labels == k).nonzero()[0]) for k in range(source.classes)]
        means: list[list[torch.Tensor]] = []
        accuracies, example_maps = [], []
        for power in POWERS:
            sums = power_sums(network, source.batch(self.mean_indices), power, None)
            queries = power_sums(network, source.batch(self.query_indices), power, None)
            maps = class_means(sums, mean_labels, source.classes).spatial
            units = [normalize(s.flatten(1), dim=1) for s in queries.spatial]
            distances = [
                torch.cdist(unit, mean).square() for unit, mean in zip(units, maps, strict=True)
            ]
            means.append(maps)
            accuracies.append(
                [float((d.argmin(1) == query_labels).float().mean()) for d in distances]
            )
            example_maps.append([unit[examples] for unit in units])
        blocks = range(1, 1 + len(means[0]))
        variables: dict[str, object] = {"accuracy": np.array(accuracies, np.float32)}
        for name, by_power in (("attention", means), ("example_attention", example_maps)):
            for block in blocks:
                maps_of_block = torch.stack([maps[block - 1] for maps in by_power])
                variables[f"{name}_{block}"] = to_seven_bits(square_maps(maps_of_block))
        coordinates = {
            "power": np.array(POWERS),
            "block": np.array(blocks),
            "label": np.array(source.class_names, dtype=object),
            "example": source.to_display(source.batch(self.query_indices[examples])),
        }
        return UNTRAINED.frame(variables, coordinates)
