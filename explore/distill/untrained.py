"""A survey of networks that never learnt: their class-mean attention, and how far the nearest mean map classifies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import normalize

from explore.attention.power_sums import power_sums
from explore.core.runs import BaseRun, stream_seed
from explore.data.training_data import TrainingData
from explore.distill.checks import check_images
from explore.distill.config import UntrainedConfig
from explore.distill.matching import class_means
from explore.distill.probe import half
from explore.errors import InvalidInput
from explore.models.convnet import ConvNet

if TYPE_CHECKING:
    import xarray

POWERS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


def build(config: UntrainedConfig, data: Any = None) -> UntrainedRun:
    """The registry's builder."""
    return UntrainedRun(config, config.data if data is None else data)


class UntrainedRun(BaseRun):
    """Draw one untrained network a step and look through it; a ``Run``.

    Class means are those of training images; the images that are classified by their nearest
    class-mean map (in L2) are others of the training part, so nothing is tuned on a test set.
    """

    name = "untrained"

    def __init__(self, options: UntrainedConfig, data: Any) -> None:
        self.options, self.steps = options, options.steps
        self.source = TrainingData(data, device=options.device, check=check_images)
        self.device, self.class_names = self.source.device, self.source.class_names
        order = np.random.default_rng(stream_seed(options.seed, "probe")).permutation(
            len(self.source.labels)
        )
        count = min(
            options.images, len(order) // 2
        )  # what is there, not what was asked for, goes into the recording
        self.config: Mapping[str, Any] = {
            **options.identity(self.source.describe()),
            "images": count,
        }
        self._known, self._asked = order[:count], order[count : 2 * count]
        for part in (self._known, self._asked):
            absent = sorted(
                set(range(self.source.classes)) - set(self.source.labels[part].tolist())
            )
            if absent:
                given = f"no image of class {absent[0]} is among the {count} drawn at random"
                raise InvalidInput(
                    f"{given}; give more than images={options.images}, or a larger set"
                )

    @property
    def message(self) -> str:
        """Nothing is lost or won here: no loss."""
        return "network drawn"

    def advance(self) -> None:
        """Turn to the next network; it is drawn when it is looked at."""
        self.step += 1

    def snapshot(self) -> xarray.Dataset:
        """Class-mean maps of both blocks at every power, accuracy of the nearest one, and one image of each class."""
        import xarray

        options, source = self.options, self.source
        seed = stream_seed(options.seed, "networks", self.step)
        network = ConvNet(
            source.shape[0], source.classes, source.shape[1], width=options.width, seed=seed
        ).to(source.device)
        network.requires_grad_(False)
        labels = {
            name: source.labels[at].to(source.device)
            for name, at in (("known", self._known), ("asked", self._asked))
        }
        examples = [int((labels["asked"] == k).nonzero()[0]) for k in range(source.classes)]
        means: list[list[torch.Tensor]] = []
        shares, shown = [], []
        for power in POWERS:
            known = power_sums(network, source.batch(self._known), power, None)
            asked = power_sums(network, source.batch(self._asked), power, None)
            maps = class_means(known, labels["known"], source.classes).spatial
            units = [normalize(s.flatten(1), dim=1) for s in asked.spatial]
            distances = [
                torch.cdist(unit, mean).square() for unit, mean in zip(units, maps, strict=True)
            ]
            means.append(maps)
            shares.append(
                [float((d.argmin(1) == labels["asked"]).float().mean()) for d in distances]
            )
            shown.append([unit[examples] for unit in units])
        about = {"long_name": "accuracy of the nearest class-mean map", "units": "1"}
        data: dict[str, object] = {
            "accuracy": (("power", "block"), np.array(shares, np.float32), about)
        }
        for block in range(len(means[0])):
            dims = ("power", "label", f"y_{block + 1}", f"x_{block + 1}")
            for name, stacked, what in (
                ("attention", means, "mean over images"),
                ("example_attention", shown, "one image"),
            ):
                of_block = torch.stack([layers[block] for layers in stacked])
                side = round(of_block.shape[-1] ** 0.5)
                values = half(of_block.view(*of_block.shape[:2], side, side))
                about = {
                    "long_name": f"spatial attention of block {block + 1}, unit norm, {what}",
                    "units": "1",
                }
                data[f"{name}_{block + 1}"] = (dims, values, about)
        pictures = source.to_display(source.batch(self._asked[examples]))
        known_once = {
            "power": ("power", np.array(POWERS)),
            "block": ("block", np.arange(1, 1 + len(means[0]))),
            "label": ("label", np.array(source.class_names, dtype=object)),
            "example": (
                ("label", "y", "x", "rgb")[: pictures.ndim],
                pictures,
                {"long_name": "one image of each class"},
            ),
        }
        return xarray.Dataset(data, known_once)
