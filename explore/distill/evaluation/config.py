"""How a distilled set is scored, as options: the protocol that must be equal for two numbers to be compared; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_different
from explore.distill.config import NORMS, strategy


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol(BaseConfig):
    """How networks are trained on a distilled set; what must be equal for two numbers to be compared.

    The network at the last epoch is scored, never the best one on the test images.

    Attributes:
        epochs, learning_rate, momentum, weight_decay, batch: of SGD; the rate is divided by 10 at half.
        learned_rate: use the set's own learned rate, where it has one, in place of ``learning_rate``.
        soft_labels: train on soft labels as they are; else on their largest.
        augment: "none", "dsa" or operations such as "crop_flip".
        flip: whether "dsa" flips; not for digits, whose mirror images are others.
        width, norm: of the networks.
        architectures: names of ``explore.models.architecture``.
        networks: how many of each.
        seed: of their weights and of the order of images.

    Raises:
        InvalidInput, UnknownName: a value is out of range or not known; the message names it.

    Source: the DC line's (arXiv 2006.05929): 300 epochs without augmentation, 1,000 with DSA.

    Example:
        >>> EvaluationProtocol(epochs=1000, augment="dsa").unlike(EvaluationProtocol())
        'epochs 1000 and 300, augment dsa and none'
    """

    epochs: int = option(300, "passes over the distilled set", at_least=1)
    learning_rate: float = option(
        0.01, "of the networks' SGD, divided by 10 at half of the epochs", above=0
    )
    momentum: float = option(0.9, "of the networks' SGD", at_least=0, below=1)
    weight_decay: float = option(5e-4, "of the networks' SGD", at_least=0)
    batch: int = option(256, "distilled images of a step", at_least=1)
    learned_rate: bool = option(
        False, "use the rate that was distilled with the images, where there is one"
    )
    soft_labels: bool = option(True, "train on soft labels; else on the largest of each")
    augment: str = option("none", "none, dsa, or operations such as crop_flip_rotate")
    flip: bool = option(True, "let dsa flip; not for digits, whose mirror images are others")
    width: int = option(32, "channels of the networks", at_least=1)
    norm: str = option("instance", "instance, batch, layer, group or none", choices=NORMS)
    architectures: Sequence[str] = option(
        ("convnet",), "kinds of networks: convnet, alexnet, vgg11, resnet18"
    )
    networks: int = option(5, "networks of each kind", at_least=1)
    seed: int = seed_option("of the networks' weights and of the order of images")

    def __post_init__(self) -> None:
        super().__post_init__()
        strategy(self.augment)
        names = check_different("architectures", self.architectures)
        object.__setattr__(self, "architectures", tuple(names))

    @classmethod
    def of(cls, config: Any) -> EvaluationProtocol:
        """The protocol in an ``EvaluateConfig`` or in the config of an evaluation's recording."""
        given = config if isinstance(config, Mapping) else vars(config)
        return EvaluationProtocol(
            **{f.name: given[f.name] for f in fields(EvaluationProtocol) if f.name in given}
        )

    def unlike(self, other: EvaluationProtocol) -> str:
        """What differs, of all that must not; how many networks of which kind, and their seed, may."""
        free = {"networks", "architectures", "seed"}
        differing = [
            f.name
            for f in fields(self)
            if f.name not in free and getattr(self, f.name) != getattr(other, f.name)
        ]
        return ", ".join(
            f"{name} {getattr(self, name)} and {getattr(other, name)}" for name in differing
        )


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(EvaluationProtocol):
    """A protocol, the distilled set that is scored and the images that it is scored on."""

    method: str = option("evaluate", "evaluate")
    distilled: Any = option(
        "", "the distilled set: a .safetensors file, or the recording beside which it lies"
    )
    data: Any = option(
        "", "the data set to score on; by default the one that the set was distilled from"
    )
    split: str = option("test", "the part of it: test, or val to choose settings on")
    device: str = device_option()

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what identifies the run in a recording."""
        return {**super().identity(data), "architectures": list(self.architectures)}
