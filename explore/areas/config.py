"""Options of the runs and of the scenes of this topic; no torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explore.attention.kinds import CAM_KINDS, KIND_HELP
from explore.core.config import BaseConfig, device_option, option, seed_option

SIDE = 32
"""Pixels a side of a scene."""

OBJECT_SIZES = (0.10, 0.18, 0.30, 0.42, 0.48)
"""Radius of the object / side of the image."""

SIZE_RANGE, CLUTTER_RANGE = (0.10, 0.48), (0, 8)
"""What the networks were trained on."""

CUES = {"outline": "scenes-outline", "texture": "scenes-texture"}
"""Where the class is, and the network that was trained to see it there."""

COMPARISONS = ("trained", "wrong class", "random weights")
"""Whose map is shown: the network's own for the true class, or one of two comparisons."""


@dataclass(frozen=True, kw_only=True)
class AreasConfig(BaseConfig):
    """Options of the areas over a recorded distillation.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("areas", "areas", choices=("areas",))
    recording: str = option(
        "fashion-datadam", "recording of a distillation: its path, or the name of one that ships"
    )
    data: Any = option(None, "the real images; by default those of the recording")
    network: str = option(
        "", "trained network, such as resnet20; by default a small one is trained on real images"
    )
    weights: str = option("", "file of weights that replaces the usual one of the network")
    epochs: int = option(10, "epochs in which the small network is trained", at_least=1)
    width: int = option(32, "channels of its first convolution", at_least=1)
    images: int = option(500, "real images of each class that train it, at most", at_least=1)
    reference: int = option(50, "other real images of each class for comparison", at_least=1)
    kind: str = option("gradcam", KIND_HELP, choices=CAM_KINDS)
    layer: str = option("", "name of the layer; by default the last map before the classifier")
    threshold: float = option(0.5, "level of the map above which an area counts", at_least=0)
    seed: int = seed_option()
    device: str = device_option()


@dataclass(frozen=True, kw_only=True)
class ComplexityConfig(BaseConfig):
    """Options of the complexity of a data set. The defaults are Comp-DD's, except for the network.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("complexity", "complexity", choices=("complexity",))
    data: Any = option(None, "folder of class folders, or the name of a data set", positional=True)
    subset: str = option("", "of a folder of ImageNet: a subset, such as birds_easy or woof")
    network: str = option("squeezenet", "trained network: a name, or torchvision:NAME with weights")
    weights: str = option("", "file of weights that replaces the usual one of the network")
    kind: str = option("smoothgradcam++", KIND_HELP, choices=CAM_KINDS)
    layer: str = option("", "name of the layer; by default the last map before the classifier")
    threshold: float = option(0.5, "level of the map above which an area counts", at_least=0)
    size: int = option(224, "side in pixels to which images of a folder are resized", at_least=1)
    images: int = option(0, "images of each class, the first ones by name; 0 for all", at_least=0)
    batch: int = option(32, "images in a step", at_least=1)
    skip_unreadable: bool = option(False, "leave out files that cannot be decoded")
    seed: int = seed_option("of the order of the images, and of the noise of smoothgradcam++")
    device: str = device_option()
