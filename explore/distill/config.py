"""Options of the attention-matching methods and their rivals; no torch, so that the command line starts fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from explore.core.config import identity, option
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
    """The operations of ``"dsa"``, ``"none"`` or a list such as ``"crop_flip"``; ``flip=False`` drops the flip, as for digits.

    Raises:
        UnknownName: an operation is not known.

    Example:
        >>> strategy("dsa", flip=False)
        ('color', 'crop', 'cutout', 'scale', 'rotate')
    """
    if name in ("none", ""):
        return ()
    chosen = tuple((DSA if name == "dsa" else name).split("_"))
    for operation in chosen:
        if operation not in OPERATIONS:
            raise UnknownName("augmentation", operation, OPERATIONS)
    return tuple(operation for operation in chosen if flip or operation != "flip")


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Everything that decides a distillation run; made by ``DistillConfig.make``, which fills in the preset.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("datadam", "dm, datadam, channel or atom")
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "synthetic images of each class")
    steps: int = option(8000, "steps to run in all")
    seed: int = option(0, "of every random stream")
    preset: str = option(
        "paper", "paper, code (where released code differs) or lesson (seconds on a laptop)"
    )
    spatial: float | None = option(4.0, "power of the spatial maps; none switches the term off")
    channel: float | None = option(4.0, "power of the channel vectors; none switches the term off")
    mmd: float = option(0.01, "weight λ of the mean-embedding term")
    learning_rate: float = option(
        1.0, "of the synthetic images; above 50 a class the paper uses 10"
    )
    momentum: float = option(0.5, "of the synthetic images' SGD")
    loss_scale: float = option(1.0, "factor on the whole loss; the released code has 100")
    batch: int = option(
        256, "real images of each class in a step; a smaller class gives all it has"
    )
    init: str = option("real", "where synthetic images start: real, noise or kcenter")
    augment: str = option("dsa", "dsa, none, or operations such as crop_flip_rotate")
    zca: bool = option(False, "whiten the images first (ZCA, ε = 0.1)")
    width: int = option(128, "channels of the networks")
    depth: int | None = option(None, "blocks of the networks; by default by image size")
    norm: str = option("instance", "instance, batch, layer, group or none")
    probes: int = option(3, "fixed networks that measure every frame")
    probe_images: int = option(64, "fixed real images a class that every frame is measured against")
    precision: str = option("float32", "of the real images' pass: float32 or bfloat16")
    device: str = option("", "where to compute; not part of what identifies the run")

    @classmethod
    def make(cls, **given: Any) -> Self:
        """A config in which every value is decided: preset, then method, then what is given."""
        name, preset = given.get("method", "datadam"), given.get("preset", "paper")
        if name not in TERMS:
            raise UnknownName("method", name, TERMS)
        if preset not in PRESETS:
            raise UnknownName("preset", preset, PRESETS)
        if preset == "code" and name not in ("dm", "datadam"):
            raise InvalidInput(
                f"there is no released code of {name}; presets for it: lesson, paper"
            )
        terms = TERMS[name]
        if preset == "code" and name == "dm":
            terms = {
                **terms,
                "norm": "instance",
                "loss_scale": 1.0,
                "batch": 256,
            }  # DM's own code, not DataDAM's
        large = {
            "paper": 51,
            "code": 100,
        }  # images a class from which on the rate is 10; paper and code differ
        if preset in large and given.get("images_per_class", 1) >= large[preset]:
            terms = {**terms, "learning_rate": 10.0}
        return cls(**{**PRESETS[preset], **terms, **given})

    def __post_init__(self) -> None:
        checks: Mapping[str, bool] = {
            "images_per_class must be at least 1": self.images_per_class >= 1,
            "steps must be at least 1": self.steps >= 1,
            "seed must be 0 or more": self.seed >= 0,
            "spatial must be above 0 or None": self.spatial is None or self.spatial > 0,
            "channel must be above 0 or None": self.channel is None or self.channel > 0,
            "mmd must be 0 or more": self.mmd >= 0,
            "one of spatial, channel and mmd must be on": bool(
                self.spatial or self.channel or self.mmd
            ),
            "learning_rate must be above 0": self.learning_rate > 0,
            "momentum must be in [0, 1)": 0 <= self.momentum < 1,
            "loss_scale must be above 0": self.loss_scale > 0,
            "batch must be at least 1": self.batch >= 1,
            "init must be real, noise or kcenter": self.init in ("real", "noise", "kcenter"),
            "width must be at least 1": self.width >= 1,
            "depth must be at least 2, for there is no map but the last otherwise": self.depth
            is None
            or self.depth >= 2,
            "norm must be instance, batch, layer, group or none": self.norm
            in ("instance", "batch", "layer", "group", "none"),
            "probes must be at least 1": self.probes >= 1,
            "probe_images must be at least 1": self.probe_images >= 1,
            "precision must be float32 or bfloat16": self.precision in ("float32", "bfloat16"),
        }
        for rule, holds in checks.items():
            if not holds:
                name = rule.split(" ", 1)[0]
                given = f", got {getattr(self, name)!r}" if hasattr(self, name) else ""
                raise InvalidInput(rule + given)

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What identifies the run in a recording."""
        return identity(self, data)


@dataclass(frozen=True, kw_only=True)
class UntrainedConfig:
    """Everything that decides a survey of untrained networks; each step draws one network."""

    method: str = option("untrained", "untrained")
    data: Any = option("digits", "name of the data set")
    steps: int = option(10, "networks to draw")
    seed: int = option(0, "of every random stream")
    images: int = option(
        1000, "real images that class means are made of, and as many that are classified"
    )
    width: int = option(32, "channels of the networks")
    device: str = option("", "where to compute; not part of what identifies the run")

    def __post_init__(self) -> None:
        if self.steps < 1 or self.seed < 0 or self.images < 10 or self.width < 1:
            raise InvalidInput(
                f"steps ≥ 1, seed ≥ 0, images ≥ 10 and width ≥ 1 expected, got {self}"
            )

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What identifies the run in a recording."""
        return identity(self, data)


CORESETS = ("random", "herding", "kcenter", "class-mean")
"""What a distilled set should beat: real images chosen in three ways, and the mean of each class."""


@dataclass(frozen=True, kw_only=True)
class CoresetConfig:
    """Everything that decides a choice of real images."""

    method: str = option("random", "random, herding, kcenter or class-mean")
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "images of each class; class-mean has one, whatever is asked")
    seed: int = option(0, "of the random choice, and of the network whose features are used")
    features: str = option(
        "pixels", "what herding and kcenter measure distances in: pixels or network"
    )
    feature_epochs: int = option(10, "passes over the data in which that network is trained first")
    width: int = option(32, "channels of that network")
    device: str = option("", "where to compute; not part of what identifies the run")

    def __post_init__(self) -> None:
        if self.method not in CORESETS:
            raise UnknownName("coreset method", self.method, CORESETS)
        if self.features not in ("pixels", "network"):
            raise UnknownName("kind of features", self.features, ("pixels", "network"))
        for name, least in (
            ("images_per_class", 1),
            ("seed", 0),
            ("feature_epochs", 1),
            ("width", 1),
        ):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name} must be at least {least}, got {getattr(self, name)!r}")

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What identifies the run in a recording."""
        return identity(self, data)
