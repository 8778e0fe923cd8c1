"""Options of a density survey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.models.trained.network_table import NETWORKS


@dataclass(frozen=True, kw_only=True)
class DensityConfig(BaseConfig):
    """Options of a density survey. Each network has a default image set.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("density", "density")
    model: str = option(
        "scenes-vgg",
        f"one of {', '.join(NETWORKS)}, or torchvision:NAME with --weights",
        positional=True,
    )
    weights: str = option("", "a file of weights that replaces the usual one")
    data: Any = option(
        "", "name of the image set [default: the test images of the network's own set]"
    )
    images: int = option(20, "number of random images, at least two; one a step", at_least=2)
    maps: bool = option(
        False,
        "record the maps (in 255 levels) and the images, for pictures of single maps; "
        "not for pointwise layers",
    )
    seed: int = seed_option("seed of the choice of images")
    device: str = device_option()
