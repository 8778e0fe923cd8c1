"""Networks by name whose maps are looked at: three small ones that ship, published ones whose weights are looked for."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explore.core.resources import shipped
from explore.data.datasets.folders import data_folder
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.models._init import Conv2d, Linear
from explore.models.architectures import architecture

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of RGB / 255 that the published networks were trained with."""


@dataclass(frozen=True)
class Known:
    """How a network is made, where its weights are, and what its images are normalised by (None: as their set says)."""

    make: Callable[[], nn.Module]
    weights: str
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def load_network(name: str, weights: str | Path = "") -> tuple[nn.Module, Known]:
    """A trained network in evaluation mode, by name.

    Args:
        name: "scenes-vgg", "scenes-residual" or "scenes-smooth" (which ship), "resnet20" or "resnet56" (CIFAR-10),
            "vgg11" (Fashion-MNIST; ``scripts/train_vgg.py`` makes its weights), "squeezenet" (ImageNet), or
            "torchvision:NAME" for any classifier of torchvision.
        weights: a file of weights, in place of the usual one; safetensors, or what ``torch.load(weights_only=True)``
            reads. A classifier of torchvision needs it.

    Returns:
        The network, and what is known of it.

    Raises:
        UnknownName: no such network.
        DataMissing: the weights are not there; the message says where they are looked for.
        InvalidInput: they are of another network, or must be given.

    Example:
        >>> network, _ = load_network("scenes-vgg")
        >>> network(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 5])
    """
    known = known_network(name)
    file = Path(weights).expanduser() if weights else _usual(known.weights)
    if file is None:
        raise InvalidInput(
            f"{name} comes without weights; give weights=FILE, its state_dict as safetensors or by torch.save"
        )
    if not file.is_file():
        raise DataMissing(
            f"weights of {name} are looked for in {file}; put them there, or say where: weights=FILE"
        )
    with torch.device("meta"):  # nothing is drawn, so that the global random state stays as it is
        network = known.make()
    try:
        network.load_state_dict(read_weights(file), assign=True)
    except RuntimeError as error:
        why = textwrap.shorten(str(error), 300, placeholder=" …")  # it lists every layer
        raise InvalidInput(f"{file} holds no weights of {name}: {why}") from error
    return network.eval().requires_grad_(False), known


def known_network(name: str) -> Known:
    """What is known of a network by its name, without its weights.

    Raises:
        UnknownName: no such network.
        InvalidInput: no name.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"a network is given by its name, such as 'scenes-vgg', got {name!r}")
    if not name.startswith("torchvision:"):
        if name not in KNOWN:
            raise UnknownName("network", name, [*KNOWN, "torchvision:NAME"])
        return KNOWN[name]
    from torchvision import models
    from torchvision.models import get_model, list_models

    inside, offered = (
        name.partition(":")[2],
        list_models(module=models),
    )  # classifiers alone: detectors fetch weights of their own
    if inside not in offered:
        raise UnknownName("classifier of torchvision", inside, offered)
    return Known(partial(get_model, inside, weights=None), "", IMAGENET)


def _usual(weights: str) -> Path | None:
    if weights.startswith("data/"):
        return shipped(weights)
    return data_folder() / weights if weights else None


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Weights of a file as float32, by name; nothing in it is executed.

    Raises:
        InvalidInput: it cannot be read, or holds something else.
    """
    wanted = (
        "expected a state_dict as safetensors or by torch.save; nothing else in a file is executed"
    )
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever comes up; torch's own words propose to execute the file
        raise InvalidInput(
            f"{file} cannot be read as weights ({type(error).__name__}); {wanted}"
        ) from error
    if isinstance(found, dict):
        found = found.get("state_dict", found)
    if not isinstance(found, dict) or not all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in found.items()
    ):
        raise InvalidInput(f"{file} holds no tensors by name, but {_kinds(found)}; {wanted}")
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in found.items()
    }


def _kinds(found: Any) -> str:
    if not isinstance(found, dict):
        return type(found).__name__
    return "also " + ", ".join(
        sorted({type(value).__name__ for value in found.values()} - {"Tensor"})
        or ["names that are no text"]
    )


def scene_network(
    activation: type[nn.Module] = nn.ReLU, classes: int = 5, width: int = 16
) -> nn.Sequential:
    """Six convolutions 3×3 of 1, 1, 2, 2, 4, 4 times the width, each with batch norm, in pairs before a pooling; not drawn yet.

    Example:
        >>> sum(parameter.numel() for parameter in scene_network().parameters())
        72629
    """
    layers: list[nn.Module] = []
    channels = 3
    for index, times in enumerate((1, 1, 2, 2, 4, 4)):
        layers += [
            Conv2d(channels, width * times, 3, padding=1, bias=False),
            nn.BatchNorm2d(width * times),
            activation(),
        ]
        channels = width * times
        if index % 2:
            layers.append(nn.MaxPool2d(2) if index < 5 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*layers, nn.Flatten(), Linear(channels, classes))


class ResNetCifar(nn.Module):
    """The residual networks for CIFAR-10 with 6n + 2 layers: shortcuts without weights where the shape changes.

    Args:
        blocks: n, of each of three stages with 16, 32 and 64 channels.
        classes: number of logits.

    Source: He et al., 2016, section 4.2, shortcuts of kind A; names as in the published weights.
    """

    def __init__(self, blocks: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        for stage, width in enumerate((16, 32, 64), 1):
            before = [width if index or stage == 1 else width // 2 for index in range(blocks)]
            self.add_module(f"layer{stage}", nn.Sequential(*(Shortened(c, width) for c in before)))
        self.linear = Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, classes]``."""
        x = self.relu(self.bn1(self.conv1(x)))
        for stage in ("layer1", "layer2", "layer3"):
            x = getattr(self, stage)(x)
        return self.linear(x.mean((2, 3)))


class Shortened(nn.Module):
    """Two convolutions 3×3 beside a shortcut: every second pixel, with channels of zeros around, where the shape changes."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.spare, self.stride = (width - before) // 2, 1 if before == width else 2
        self.conv1 = Conv2d(before, width, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both added, then ReLU."""
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return self.relu(y + nn.functional.pad(shortcut, (0, 0, 0, 0, self.spare, self.spare)))


def _squeezenet() -> nn.Module:
    from torchvision.models import squeezenet1_0

    return squeezenet1_0(weights=None)


KNOWN: dict[str, Known] = {
    "scenes-vgg": Known(scene_network, "data/scenes-vgg.safetensors"),
    "scenes-residual": Known(
        partial(architecture, "resnet18", 3, 5, 64, width=8, norm="batch"),
        "data/scenes-residual.safetensors",
    ),
    "scenes-smooth": Known(partial(scene_network, nn.SiLU), "data/scenes-smooth.safetensors"),
    "resnet20": Known(partial(ResNetCifar, 3), "weights/resnet20-12fca82f.th", IMAGENET),
    "resnet56": Known(partial(ResNetCifar, 9), "weights/resnet56-4bfd9763.th", IMAGENET),
    "vgg11": Known(
        partial(architecture, "vgg11", 1, 10, 28, width=64, norm="batch"),
        "weights/vgg11-fashion.safetensors",
    ),
    "squeezenet": Known(_squeezenet, "weights/squeezenet1_0_deepcompression_fp16.pth", IMAGENET),
}
