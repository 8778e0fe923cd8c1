"""The table of networks with a name: title, architecture, weights and usual images.

It does not import torch, so that the command line and the lab can list the networks quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any


@dataclass(frozen=True)
class NetworkEntry:
    """One network of the table.

    Attributes:
        title: for menus.
        builder: "module:function", called with ``arguments`` and ``options``.
        weights: file of the trained weights, inside the data folder; inside the package if it
            begins with "data/"; empty if there is none.
        images: description of the images with which the network is usually measured.
        normalization: "imagenet" or "scenes", where the training images were normalised with the
            mean and the standard deviation of these; empty: with those of their own set.
    """

    title: str
    builder: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    images: Mapping[str, Any] | None = None
    normalization: str = ""

    def build(self) -> Any:
        """Build the network, without its trained weights."""
        return resolve_name(self.builder)(*self.arguments, **self.options)

    @property
    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and standard deviation of the images in [0, 1]; None: those of their set."""
        if self.normalization == "scenes":
            from explore.data.datasets.synthetic_scenes import MEAN, STD

            return MEAN, STD
        if self.normalization == "imagenet":
            from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD

            return IMAGENET_MEAN, IMAGENET_STD
        return None


_ARCHITECTURE = "explore.models.architectures:architecture"
_SCENE_NETWORK = "explore.models.trained.scene_network:scene_network"
_SHALLOW_NETWORK = "explore.models.trained.scene_network:shallow_network"


def _resnet_on_cifar(depth: int, checksum: str) -> NetworkEntry:
    """Return the row of a residual network on CIFAR-10; the file of its weights has a checksum."""
    return NetworkEntry(
        f"ResNet-{depth} on CIFAR-10 (JPEG)",
        "explore.models.trained.resnet_cifar:ResNetCifar",
        ((depth - 2) // 6,),
        weights=f"weights/resnet{depth}-{checksum}.th",
        images={"name": "cifar10-jpeg", "options": {"split": "test"}},
        normalization="imagenet",
    )


def _network_on_scenes(
    name: str, title: str, builder: str, *arguments: Any, size: int = 64, **options: Any
) -> NetworkEntry:
    """Return the row of a network whose weights ship; ``size`` is that of its scenes."""
    images = {"name": "scenes", "options": {"split": "test", "size": size}}
    weights = f"data/{name}.safetensors"
    return NetworkEntry(title, builder, arguments, options, weights, images, "scenes")


NETWORKS = {
    "resnet20": _resnet_on_cifar(20, "12fca82f"),
    "resnet56": _resnet_on_cifar(56, "4bfd9763"),
    "vgg11": NetworkEntry(
        "VGG-11 on Fashion-MNIST",
        _ARCHITECTURE,
        ("vgg11", 1, 10, 28),
        {"width": 64, "norm": "batch"},
        weights="weights/vgg11-fashion.safetensors",
        images={"name": "fashion-mnist", "options": {"split": "test"}},
    ),
    "squeezenet": NetworkEntry(
        "SqueezeNet on Imagenette",
        "torchvision.models:squeezenet1_0",
        options={"weights": None},
        weights="weights/squeezenet1_0_deepcompression_fp16.pth",
        images={"name": "imagenette", "options": {"split": "test"}},
        normalization="imagenet",
    ),
    "scenes-vgg": _network_on_scenes("scenes-vgg", "scenes-vgg (ReLU)", _SCENE_NETWORK),
    "scenes-residual": _network_on_scenes(
        "scenes-residual",
        "scenes-residual (ReLU, shortcuts)",
        _ARCHITECTURE,
        "resnet18",
        3,
        5,
        64,
        width=8,
        norm="batch",
    ),
    "scenes-smooth": _network_on_scenes(
        "scenes-smooth", "scenes-smooth (SiLU, no ReLU)", _SCENE_NETWORK, "SiLU"
    ),
    "scenes-outline": _network_on_scenes(
        "scenes-outline", "names the shape (outline)", _SHALLOW_NETWORK, size=32
    ),
    "scenes-texture": _network_on_scenes(
        "scenes-texture", "plain or striped (texture)", _SHALLOW_NETWORK, size=32, classes=2
    ),
}
