"""Options of an evaluation. Two accuracies can be compared only under the same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_different, check_names, describe
from explore.distill.config import FLIP, LARGEST_RATE, NORMS, flip_option, strategy
from explore.errors import InvalidInput

COMPARABLE = ("networks", "architectures", "seed")
"""Options of a protocol that may differ between two accuracies that are compared."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol(BaseConfig):
    """How networks are trained on a distilled set.

    Networks are tested after the last epoch. No other epoch is selected by its test accuracy.

    Attributes:
        epochs, learning_rate, momentum, weight_decay, batch: of SGD. After half of the epochs the
            rate is divided by 10.
        learned_rate: use the learning rate of the distilled set, if it has one.
        soft_labels: train on soft labels; if false, on the class with the largest probability.
        augment: "none", "dsa" or operations such as "crop_flip".
        flip: whether images are mirrored; None for what the test images say. Digits are never
            mirrored then. Where it is unknown, images are mirrored, and the log says so.
        width, norm: of the networks.
        architectures: names of ``explore.models.architecture``.
        networks: the number of networks of each architecture.
        seed: of their weights and of the order of images.

    Raises:
        InvalidInput, UnknownName: a value is out of range or unknown; the message names it.

    Source: dataset condensation (arXiv 2006.05929): 300 epochs, or 1,000 with DSA.

    Example:
        >>> EvaluationProtocol(epochs=1000, augment="dsa").unlike(EvaluationProtocol())
        'epochs 1000 and 300, augment dsa and none'
    """

    epochs: int = option(300, "passes over the distilled set", at_least=1)
    learning_rate: float = option(
        0.01,
        "of the networks' SGD, divided by 10 after half of the epochs",
        above=0,
        at_most=LARGEST_RATE,
    )
    momentum: float = option(0.9, "of the networks' SGD", at_least=0, below=1)
    weight_decay: float = option(5e-4, "of the networks' SGD", at_least=0, at_most=LARGEST_RATE)
    batch: int = option(256, "distilled images in a step", at_least=1)
    learned_rate: bool = option(False, "use the learning rate of the distilled set, if it has one")
    soft_labels: bool = option(True, "train on soft labels, not on the most probable class")
    augment: str = option("none", "none, dsa, or operations such as crop_flip_rotate")
    flip: bool | None = flip_option()
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
        names = check_names("architectures", self.architectures)
        object.__setattr__(self, "architectures", check_different("architectures", names))

    @property
    def mirrors(self) -> bool:
        """Whether the augmentation contains the operation that mirrors images."""
        return FLIP in strategy(self.augment)

    @classmethod
    def of(cls, config: Any) -> EvaluationProtocol:
        """Return the protocol of an ``EvaluateConfig`` or of the config in a recording.

        Raises:
            InvalidInput: it is neither.
        """
        if not isinstance(config, Mapping | EvaluationProtocol):
            raise InvalidInput(f"config must be that of an evaluation, got {describe(config)}")
        values = config if isinstance(config, Mapping) else vars(config)
        names = [f.name for f in fields(EvaluationProtocol)]
        return EvaluationProtocol(**{name: values[name] for name in names if name in values})

    def unlike(self, other: EvaluationProtocol) -> str:
        """Return the differences that make accuracies incomparable; empty if there are none.

        Number and architectures of the networks, and their seed, may differ.

        Raises:
            InvalidInput: ``other`` is no protocol.
        """
        if not isinstance(other, EvaluationProtocol):
            raise InvalidInput(f"other must be an EvaluationProtocol, got {describe(other)}")
        names = [f.name for f in fields(self) if f.name not in COMPARABLE]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return ", ".join(f"{name} {a} and {b}" for name, (a, b) in pairs.items() if a != b)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(EvaluationProtocol):
    """A protocol, the distilled set and the test images."""

    method: str = option("evaluate", "evaluate")
    distilled: Any = option(
        "", "the distilled set: a .safetensors file, or the recording beside it"
    )
    data: Any = option("", "the data set to test on; by default the one that was distilled")
    split: str = option("test", "the split to test on: test, or val to choose options")
    device: str = device_option()

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what identifies the run in a recording."""
        return {**super().identity(data), "architectures": list(self.architectures)}
