"""Options of a density survey, and the networks it knows by name; no torch, so that it loads fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explore.core.config import BaseConfig, device_option, option, seed_option

SCENES = {"name": "scenes", "options": {"split": "test", "size": 64}}
NETWORKS: dict[str, Any] = {
    "scenes-vgg": SCENES,
    "scenes-residual": SCENES,
    "scenes-smooth": SCENES,
    "resnet20": {"name": "cifar10-jpeg", "options": {"split": "test"}},
    "resnet56": {"name": "cifar10-jpeg", "options": {"split": "test"}},
    "vgg11": {"name": "fashion-mnist", "options": {"split": "test"}},
    "squeezenet": {"name": "imagenette", "options": {"split": "test"}},
}
"""Networks, and the images that each is usually looked at with."""


@dataclass(frozen=True, kw_only=True)
class DensityConfig(BaseConfig):
    """Options of a density survey; every network has images that it is usually surveyed with.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("density", "density")
    model: str = option(
        "scenes-vgg",
        f"one of {', '.join(NETWORKS)}, or torchvision:NAME with --weights",
        positional=True,
    )
    weights: str = option("", "a file of weights, in place of the usual ones")
    data: Any = option(
        "", "name of the image set [default: test images of what the network was made for]"
    )
    images: int = option(
        20, "how many images, drawn at random, two or more; one a step", at_least=2
    )
    maps: bool = option(
        False,
        "record the maps (in 255 levels) and the images, for pictures of single maps; "
        "not for pointwise layers",
    )
    seed: int = seed_option("of the images drawn")
    device: str = device_option()
