"""Options of a density survey, and the networks it knows by name; no torch, so that it loads fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explore.core.config import identity, option
from explore.errors import InvalidInput

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
class DensityConfig:
    """Everything that decides a survey; every network has images that it is usually looked at with.

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
    images: int = option(20, "how many, drawn at random, two at least; one a step")
    maps: bool = option(
        False,
        "keep the maps (in 255 levels) and the images, for pictures of single maps; not for pointwise layers",
    )
    seed: int = option(0, "of the images drawn")
    device: str = option("", "cpu, cuda or another of torch's; by default cpu")

    def __post_init__(self) -> None:
        for name in ("model", "weights", "device"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInput(f"{name} must be a text, got {getattr(self, name)!r}")
        if not isinstance(self.maps, bool):
            raise InvalidInput(f"maps must be true or false, got {self.maps!r}")
        for name, least in (("images", 2), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidInput(f"{name} must be a whole number ≥ {least}, got {value!r}")

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What repeats the survey."""
        return identity(self, data)
