"""The probe: fixed networks and real images that measure the synthetic images of every frame.

A change between two frames is therefore a change of the synthetic images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from explore.core.runs import stream_seed
from explore.data.training_data import TrainingData
from explore.distill.matching_loss import ClassMeans, matching_terms, real_means
from explore.distill.recordings import ATTENTION_MATCHING

if TYPE_CHECKING:
    import xarray

POWER = 4.0
"""The power of maps that a method does not match (such as DM), so that methods can be compared."""


class Probe:
    """Probe networks with their class means over fixed real images.

    Args:
        source: the real images.
        networks: the probe networks.
        images: how many real images of each class.
        seed: of the run.
        spatial, channel: powers of the attention; None for that of the paper.
    """

    def __init__(
        self,
        source: TrainingData,
        networks: Sequence[nn.Module],
        images: int,
        seed: int,
        spatial: float | None = None,
        channel: float | None = None,
    ) -> None:
        self.source, self.networks = source, networks
        self.powers = (spatial or POWER, channel or POWER)
        indices = source.sample(images, stream_seed(seed, "probe"))
        labels = source.labels[indices].to(source.device)
        self.real_means = [self._means(net, source.batch(indices), labels) for net in networks]

    def frame(self, images: torch.Tensor, labels: torch.Tensor, loss: float) -> xarray.Dataset:
        """Return images in display units, maps, channel vectors and distances as one frame.

        Maps and distances are means over the probe networks. Channel vectors are those of the first
        network, as the channels of two random networks do not correspond.

        Args:
            images: the synthetic images in model units, equally many of each class, class by class.
            labels: the class of each image.
            loss: of the last step.
        """
        means = [self._means(net, images, labels) for net in self.networks]
        terms = [matching_terms(*pair) for pair in zip(self.real_means, means, strict=True)]
        average = {
            name: torch.stack([t[name] for t in terms]).mean(0).cpu().numpy().astype(np.float32)
            for name in terms[0]
        }
        pixels, classes = self.source.to_display(images), self.source.classes
        variables: dict[str, object] = {
            "image": pixels.reshape(classes, -1, *pixels.shape[1:]),
            "attention_distance": average["spatial"],
            "channel_distance": average["channel"],
            "embedding_distance": average["embedding"],
            "loss": np.float32(loss),
        }
        coordinates: dict[str, object] = {
            "label": np.array(self.source.class_names[:classes], dtype=object),
            "block": np.arange(1, 1 + average["spatial"].shape[1]),
        }
        for index in range(len(means[0].spatial)):
            block = index + 1
            variables[f"attention_{block}"] = _mean_maps(means, index)
            variables[f"channel_{block}"] = to_seven_bits(means[0].channel[index])
            coordinates[f"real_attention_{block}"] = _mean_maps(self.real_means, index)
            coordinates[f"real_channel_{block}"] = to_seven_bits(self.real_means[0].channel[index])
        return ATTENTION_MATCHING.frame(variables, coordinates)

    def _means(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> ClassMeans:
        return real_means(network, images, labels, self.source.classes, *self.powers)


def _mean_maps(means: list[ClassMeans], index: int) -> np.ndarray:
    mean = torch.stack([m.spatial[index] for m in means]).mean(0)
    return to_seven_bits(square_maps(mean))


def square_maps(maps: torch.Tensor) -> torch.Tensor:
    """Return flat maps ``[..., H·W]`` of square images as ``[..., H, W]``."""
    side = round(maps.shape[-1] ** 0.5)
    return maps.view(*maps.shape[:-1], side, side)


def to_seven_bits(values: torch.Tensor) -> np.ndarray:
    """Return non-negative values as float16 with 7 significant bits.

    The error of at most 0.8 % cannot be seen in a picture, and a recording is a third smaller.
    """
    bits = values.cpu().numpy().astype(np.float16).view(np.uint16)
    return ((bits + 8) & 0xFFF0).view(np.float16)


def to_eight_bits(values: torch.Tensor) -> np.ndarray:
    """Return values as float32 with 8 significant bits, for the same reason as ``to_seven_bits``.

    Unlike float16, it keeps very small values, such as those of gradients.
    """
    bits = values.detach().cpu().numpy().astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & np.uint32(0xFFFF0000)).view(np.float32)
