"""Options of the attention-matching methods and their baselines, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_choice, check_whole_number
from explore.errors import InvalidInput, UnknownName

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
DSA = "_".join(OPERATIONS)

TERMS: dict[str, dict[str, Any]] = {
    "dm": {"spatial": None, "channel": None, "mmd": 1.0, "learning_rate": 1.0},
    "datadam": {"channel": None},
    "channel": {"spatial": None},
    "atom": {},
}
"""Which terms of the one loss a method switches on, on top of a preset; DM weighs its only term by 1."""

PRESETS: dict[str, dict[str, Any]] = {
    # The hyper-parameter table of the DataDAM paper. Its rates barely move small images in a few
    # hundred steps: they are meant for 8,000 steps with 2,048-wide embeddings. Batch 256 is DM's.
    "paper": {},
    # What DataDAM's released code does where it differs: power 1 (the call passes it explicitly),
    # batch norm with all classes in one forward pass, the loss times 100 (which SGD feels as a
    # rate 100 times larger), 20,000 steps, 64 real images a class. The published numbers came from an
    # unknown mixture of the two.
    "code": {
        "spatial": 1.0,
        "channel": 1.0,
        "norm": "batch",
        "loss_scale": 100.0,
        "steps": 20_000,
        "batch": 64,
    },
    # Moves visibly on digits and Fashion-MNIST within seconds on a laptop. λ is ten times larger
    # because the embedding is 128 wide, not 2,048, and the term grows with its width.
    "lesson": {
        "width": 32,
        "mmd": 0.1,
        "learning_rate": 3.0,
        "steps": 200,
        "batch": 16,
        "init": "noise",
        "augment": "none",
    },
}


def strategy(name: str, flip: bool = True) -> tuple[str, ...]:
    """Return the operations of ``"dsa"``, ``"none"`` or a list such as ``"crop_flip"``; ``flip=False`` drops the flip, as for digits.

    Raises:
        UnknownName: an operation is not known.

    Example:
        >>> strategy("dsa", flip=False)
        ('color', 'crop', 'cutout', 'scale', 'rotate')
    """
    if name in ("none", ""):
        return ()
    names = tuple((DSA if name == "dsa" else name).split("_"))
    for operation in names:
        if operation not in OPERATIONS:
            raise UnknownName("augmentation", operation, OPERATIONS)
    return tuple(operation for operation in names if flip or operation != "flip")


NORMS = ("instance", "batch", "layer", "group", "none")
"""Normalisation layers of a ConvNet."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(BaseConfig):
    """Options of a distillation run; ``DistillConfig.make`` fills in the preset.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("datadam", "dm, datadam, channel or atom", choices=TERMS)
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "synthetic images of each class", at_least=1)
    steps: int = option(8000, "steps to run in all", at_least=1)
    seed: int = seed_option()
    preset: str = option(
        "paper",
        "paper, code (where released code differs) or lesson (seconds on a laptop)",
        choices=PRESETS,
    )
    spatial: float | None = option(
        4.0, "power of the spatial maps; none switches the term off", above=0
    )
    channel: float | None = option(
        4.0, "power of the channel vectors; none switches the term off", above=0
    )
    mmd: float = option(0.01, "weight λ of the mean-embedding term", at_least=0)
    learning_rate: float = option(
        1.0, "of the synthetic images; above 50 a class the paper uses 10", above=0
    )
    momentum: float = option(0.5, "of the synthetic images' SGD", at_least=0, below=1)
    loss_scale: float = option(1.0, "factor on the whole loss; the released code has 100", above=0)
    batch: int = option(
        256, "real images of each class in a step; all images of a smaller class", at_least=1
    )
    init: str = option(
        "real",
        "how synthetic images are initialised: real, noise or kcenter",
        choices=("real", "noise", "kcenter"),
    )
    augment: str = option("dsa", "dsa, none, or operations such as crop_flip_rotate")
    zca: bool = option(False, "whiten the images first (ZCA, ε = 0.1)")
    width: int = option(128, "channels of the networks", at_least=1)
    depth: int | None = option(
        None, "blocks of the networks, two or more; by default by image size", at_least=2
    )
    norm: str = option("instance", "instance, batch, layer, group or none", choices=NORMS)
    probes: int = option(3, "fixed networks that measure every frame", at_least=1)
    probe_images: int = option(
        64, "fixed real images of each class that every frame is measured against", at_least=1
    )
    precision: str = option(
        "float32",
        "of the real images' pass: float32 or bfloat16",
        choices=("float32", "bfloat16"),
    )
    device: str = device_option()

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a config in which every option is decided: by the preset, the method and ``values``."""
        name = check_choice("method", values.get("method", "datadam"), TERMS)
        preset = check_choice("preset", values.get("preset", "paper"), PRESETS)
        if preset == "code" and name not in ("dm", "datadam"):
            raise InvalidInput(
                f"there is no released code of {name}; presets for it: lesson, paper"
            )
        terms = dict(TERMS[name])
        if preset == "code" and name == "dm":  # DM's own code, which is not DataDAM's
            terms |= {"norm": "instance", "loss_scale": 1.0, "batch": 256}
        # From this number of images of a class on the rate is 10; paper and code differ in it.
        large = {"paper": 51, "code": 100}
        count = check_whole_number("images_per_class", values.get("images_per_class", 1))
        if preset in large and count >= large[preset]:
            terms["learning_rate"] = 10.0
        return cls(**{**PRESETS[preset], **terms, **values})

    def __post_init__(self) -> None:
        super().__post_init__()
        strategy(self.augment)
        if not (self.spatial or self.channel or self.mmd):
            raise InvalidInput("one of spatial, channel and mmd must be on")


@dataclass(frozen=True, kw_only=True)
class UntrainedConfig(BaseConfig):
    """Options of a survey of untrained networks; each step draws one network."""

    method: str = option("untrained", "untrained")
    data: Any = option("digits", "name of the data set")
    steps: int = option(10, "networks to draw", at_least=1)
    seed: int = seed_option()
    images: int = option(
        1000, "real images for the class means, and as many that are classified", at_least=10
    )
    width: int = option(32, "channels of the networks", at_least=1)
    device: str = device_option()


CORESETS = ("random", "herding", "kcenter", "class-mean")
"""Baselines of a distilled set: real images selected in three ways, and the mean of each class."""


@dataclass(frozen=True, kw_only=True)
class CoresetConfig(BaseConfig):
    """Options of a coreset."""

    method: str = option("random", "random, herding, kcenter or class-mean", choices=CORESETS)
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "images of each class; class-mean always has one", at_least=1)
    seed: int = seed_option("of the random choice, and of the network whose features are used")
    features: str = option(
        "pixels",
        "what herding and kcenter measure distances in: pixels or network",
        choices=("pixels", "network"),
    )
    feature_epochs: int = option(
        10, "passes over the data in which that network is trained first", at_least=1
    )
    width: int = option(32, "channels of that network", at_least=1)
    device: str = device_option()
