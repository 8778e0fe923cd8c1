"""Options of the attention-matching methods and their baselines; no torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_choice, check_text, check_whole_number, describe
from explore.distill.catalog import BASELINES
from explore.errors import InvalidInput, UnknownName

NORMS = ("instance", "batch", "layer", "group", "none")
"""Normalisation layers of a ConvNet."""

MAX_STEPS = 1_000_000_000
"""Of a run: no computer takes more, and recordings number them."""

LARGEST_RATE = 1e30
"""Of a learning rate or a weight decay: larger numbers leave the range of float32 at once."""

FLIP = "flip"
"""The operation that mirrors images."""

OPERATIONS = ("color", "crop", "cutout", FLIP, "scale", "rotate")

METHOD_TERMS: dict[str, dict[str, Any]] = {
    "dm": {"spatial": None, "channel": None, "mmd": 1.0, "learning_rate": 1.0},
    "datadam": {"channel": None},
    "channel": {"spatial": None},
    "atom": {},
}
"""The options of the loss that each method changes in a preset; DM has one term, of weight 1."""

PRESETS: dict[str, dict[str, Any]] = {
    # The hyper-parameters of the DataDAM paper are for 8,000 steps with 2,048-wide embeddings. In a
    # few hundred steps they hardly change small images. Batch 256 is DM's.
    "paper": {},
    # The released code of DataDAM differs: power 1 (the call passes it explicitly), batch norm with
    # all classes in one forward pass, the loss times 100 (for SGD, the same as a rate 100 times as
    # large), 20,000 steps, 64 real images of each class. It is not known which of the two produced
    # which published number.
    "code": {
        "spatial": 1.0,
        "channel": 1.0,
        "norm": "batch",
        "loss_scale": 100.0,
        "steps": 20_000,
        "batch": 64,
    },
    # Changes the images of digits and Fashion-MNIST visibly within seconds on a laptop. λ is ten
    # times as large, because the term grows with the width of the embedding: 128, not 2,048.
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


MAPS_NOTE = "the network of the maps saw the whole training set"
"""What stands beside every result of a run that used class activation maps (EDF)."""


def uses_maps(distilled: Mapping[str, Any]) -> bool:
    """Return whether a set, described as in the recording of an evaluation, was made by EDF."""
    return bool((distilled.get("config") or {}).get("enhance"))


def strategy(name: str, flip: bool = True) -> tuple[str, ...]:
    """Return the operations of ``"dsa"``, ``"none"`` or a list such as ``"crop_flip"``.

    Args:
        name: the augmentation.
        flip: False removes the flip, as for digits.

    Raises:
        UnknownName: an unknown operation.
        InvalidInput: the name is no text.

    Example:
        >>> strategy("dsa", flip=False)
        ('color', 'crop', 'cutout', 'scale', 'rotate')
    """
    name = check_text("augment", name)
    if name in ("none", ""):
        return ()
    operations = OPERATIONS if name == "dsa" else tuple(name.split("_"))
    for operation in operations:
        if operation not in OPERATIONS:
            raise UnknownName("augmentation", operation, OPERATIONS)
    return tuple(operation for operation in operations if flip or operation != FLIP)


def check_steps(steps: int) -> None:
    """Check that a computer can take a number of steps.

    Raises:
        InvalidInput: it cannot.
    """
    if steps > MAX_STEPS:
        raise InvalidInput(f"steps must be at most {MAX_STEPS:,}, got {describe(steps)}")


def flip_option() -> Any:
    """Describe the option ``flip`` of a run that augments real or synthetic images."""
    return option(
        None, "whether images are mirrored; by default if the data set says that they may be"
    )


def without_default_flip(identity: dict[str, Any]) -> dict[str, Any]:
    """Return the identity of a run without ``flip`` if it is not set.

    Recordings that were made before there was this option then go on.
    """
    if identity[FLIP] is None:
        del identity[FLIP]
    return identity


INIT_NAMES = ("real", "noise", "kcenter")
INIT_HELP = (
    "how synthetic images are initialised: real, noise, kcenter, or a distilled set: its file or "
    "the recording beside it"
)


def check_init(init: Any) -> None:
    """Check that a text names an initialisation or a file; other values are checked with the data.

    Raises:
        UnknownName: it names neither.
    """
    if isinstance(init, str) and not is_file_name(init):
        check_choice("init", init, INIT_NAMES)


def is_file_name(text: str) -> bool:
    """Return whether a text is the name of a distilled set's file or of a recording."""
    return text.rstrip("/").endswith((".safetensors", ".zarr", ".zarr.zip"))


@dataclass(frozen=True, kw_only=True)
class DistillConfig(BaseConfig):
    """Options of an attention-matching run; ``DistillConfig.make`` applies a preset.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("datadam", "dm, datadam, channel or atom", choices=METHOD_TERMS)
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "synthetic images of each class", at_least=1)
    steps: int = option(8000, "steps to run in all", at_least=1)
    seed: int = seed_option()
    preset: str = option(
        "paper",
        "paper, code (the values of released code) or lesson (seconds on a laptop)",
        choices=PRESETS,
    )
    spatial: float | None = option(
        4.0, "power of the spatial attention; none removes the term", above=0
    )
    channel: float | None = option(
        4.0, "power of the channel attention; none removes the term", above=0
    )
    mmd: float = option(0.01, "weight λ of the mean-embedding term", at_least=0)
    learning_rate: float = option(
        1.0, "of the synthetic images; 10 in the paper above 50 images per class", above=0
    )
    momentum: float = option(0.5, "of the SGD on the synthetic images", at_least=0, below=1)
    loss_scale: float = option(1.0, "factor on the loss; 100 in the released code", above=0)
    batch: int = option(
        256, "real images of each class in a step; a smaller class gives all it has", at_least=1
    )
    init: Any = option("real", INIT_HELP)
    augment: str = option("dsa", "dsa, none, or operations such as crop_flip_rotate")
    flip: bool | None = flip_option()
    zca: bool = option(False, "whiten the images first (ZCA, ε = 0.1)")
    width: int = option(128, "channels of the networks", at_least=1)
    depth: int | None = option(
        None, "blocks of the networks, two or more; by default from the image size", at_least=2
    )
    norm: str = option("instance", "instance, batch, layer, group or none", choices=NORMS)
    probes: int = option(3, "probe networks that measure every frame", at_least=1)
    probe_images: int = option(
        64, "real images of each class to which every frame is compared", at_least=1
    )
    precision: str = option(
        "float32",
        "of the forward pass over real images: float32 or bfloat16",
        choices=("float32", "bfloat16"),
    )
    device: str = device_option()

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a config with the preset, changed by the method and by ``values``."""
        name = check_choice("method", values.get("method", "datadam"), METHOD_TERMS)
        preset = check_choice("preset", values.get("preset", "paper"), PRESETS)
        if preset == "code" and name not in ("dm", "datadam"):
            raise InvalidInput(
                f"there is no released code of {name}; its presets are lesson and paper"
            )
        changes = dict(METHOD_TERMS[name])
        if preset == "code" and name == "dm":  # The code of DM is another one than DataDAM's.
            changes |= {"norm": "instance", "loss_scale": 1.0, "batch": 256}
        # From this number of images per class on, the rate is 10. Paper and code differ in it.
        large = {"paper": 51, "code": 100}
        count = check_whole_number("images_per_class", values.get("images_per_class", 1))
        if preset in large and count >= large[preset]:
            changes["learning_rate"] = 10.0
        return cls(**{**PRESETS[preset], **changes, **values})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)
        strategy(self.augment)
        check_init(self.init)
        if not (self.spatial or self.channel or self.mmd):
            raise InvalidInput("all terms are off; set spatial, channel or mmd")

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what identifies the run in a recording."""
        return without_default_flip(super().identity(data))


@dataclass(frozen=True, kw_only=True)
class UntrainedConfig(BaseConfig):
    """Options of a survey of untrained networks, one network for each step."""

    method: str = option("untrained", "untrained")
    data: Any = option("digits", "name of the data set")
    steps: int = option(10, "networks to survey", at_least=1)
    seed: int = seed_option()
    images: int = option(
        1000, "real images for the class means, and as many to classify", at_least=10
    )
    width: int = option(32, "channels of the networks", at_least=1)
    device: str = device_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)


@dataclass(frozen=True, kw_only=True)
class CoresetConfig(BaseConfig):
    """Options of a coreset or of class means."""

    method: str = option("random", "random, herding, kcenter or class-mean", choices=BASELINES)
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "images of each class; one for class-mean", at_least=1)
    seed: int = seed_option("of the random selection and of the network for features")
    features: str = option(
        "pixels",
        "features in which herding and kcenter measure distances: pixels or network",
        choices=("pixels", "network"),
    )
    feature_epochs: int = option(
        10, "epochs in which the network for features is trained first", at_least=1
    )
    width: int = option(32, "channels of the network for features", at_least=1)
    device: str = device_option()
