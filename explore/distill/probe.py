"""Probe: fixed networks and real images that synthetic ones are measured with, so that a recording shows only those change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from explore.core.runs import stream_seed
from explore.data.training_data import TrainingData
from explore.distill.config import DistillConfig
from explore.distill.matching import ClassMeans, matching_terms, real_means

if TYPE_CHECKING:
    import xarray

POWER = 4.0
"""Maps of a method that does not match them (DM) are looked at with the paper's power, so that methods compare."""


class Probe:
    """Fixed networks and their class means over fixed real images; ``frame`` measures synthetic images against them."""

    def __init__(
        self, source: TrainingData, networks: list[nn.Module], options: DistillConfig
    ) -> None:
        self.source, self.networks, self.options = source, networks, options
        self.powers = (options.spatial or POWER, options.channel or POWER)
        chosen = source.sample(options.probe_images, stream_seed(options.seed, "probe"))
        self.real = [
            self._means(net, source.batch(chosen), source.labels[chosen].to(source.device))
            for net in networks
        ]

    def frame(self, images: torch.Tensor, labels: torch.Tensor, loss: float) -> xarray.Dataset:
        """One frame: images in display units, maps, channel vectors and distances, means over the probe networks.

        Channel vectors are those of the first network: channels of two random networks do not correspond.
        """
        import xarray

        per_class = self.options.images_per_class
        means = [self._means(net, images, labels) for net in self.networks]
        terms = [
            matching_terms(real, synthetic)
            for real, synthetic in zip(self.real, means, strict=True)
        ]
        shown = self.source.to_display(images)
        shown = shown.reshape(self.source.classes, per_class, *shown.shape[1:])
        average = {
            name: torch.stack([t[name] for t in terms]).mean(0).cpu().numpy().astype(np.float32)
            for name in terms[0]
        }
        pictured, by_block = ("label", "copy", "y", "x", "rgb")[: shown.ndim], ("label", "block")
        data: dict[str, object] = {
            "image": (pictured, shown, {"long_name": "synthetic image", "units": "display"}),
            "attention_distance": (
                by_block,
                average["spatial"],
                _about("squared distance of mean spatial attention"),
            ),
            "channel_distance": (
                by_block,
                average["channel"],
                _about("squared distance of mean channel attention"),
            ),
            "embedding_distance": (
                "label",
                average["embedding"],
                _about("squared distance of mean embeddings"),
            ),
            "loss": (
                (),
                np.float32(loss),
                _about("loss of the last step, under that step's network"),
            ),
        }
        known: dict[str, object] = {
            "label": (
                "label",
                np.array(self.source.class_names[: self.source.classes], dtype=object),
            ),
            "block": ("block", np.arange(1, 1 + average["spatial"].shape[1])),
        }
        for layer in range(len(means[0].spatial)):
            at = layer + 1
            title = f"spatial attention of block {at}, unit norm, mean over images"
            dims = ("label", f"y_{at}", f"x_{at}")
            data[f"attention_{at}"] = (dims, self._maps(means, layer), _about(f"synthetic {title}"))
            known[f"real_attention_{at}"] = (
                dims,
                self._maps(self.real, layer),
                _about(f"real {title}"),
            )
            title = f"channel attention of block {at} of the first probe network, unit norm"
            data[f"channel_{at}"] = (
                ("label", f"c_{at}"),
                half(means[0].channel[layer]),
                _about(f"synthetic {title}"),
            )
            known[f"real_channel_{at}"] = (
                ("label", f"c_{at}"),
                half(self.real[0].channel[layer]),
                _about(f"real {title}"),
            )
        return xarray.Dataset(data, known)

    def _means(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> ClassMeans:
        return real_means(network, images, labels, self.source.classes, *self.powers)

    def _maps(self, means: list[ClassMeans], layer: int) -> np.ndarray:
        mean = torch.stack([m.spatial[layer] for m in means]).mean(0)
        side = round(mean.shape[1] ** 0.5)
        return half(mean.view(len(mean), side, side))


def half(values: torch.Tensor) -> np.ndarray:
    """Non-negative values as float16 of 7 significant bits (at most 0.8 % off): enough to look at, a third smaller on disk."""
    bits = values.cpu().numpy().astype(np.float16).view(np.uint16)
    return ((bits + 8) & 0xFFF0).view(np.float16)


def _about(long_name: str) -> dict[str, str]:
    return {"long_name": long_name, "units": "1"}
