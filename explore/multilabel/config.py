"""Options of multi-label trainings and studies. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_choice, check_different, check_number

OVERLAP_NAMES = ("jaccard", "dice", "overlap", "recall", "cosine")
CORRELATION_NAMES = ("outside", "inside", "none")
INSIDE_EPSILON = 1e-7
"""Added to J p where J is inside of the logarithm, as in the released code."""

KERNEL_COVARIANCES = ("isotropic", "anisotropic")
DENSITY_COVARIANCES = ("isotropic", "diagonal")
SIMILARITY_NAMES = ("product", "matched")

TRAINING_METHODS = (
    "bce",
    "focal",
    "asl",
    "multisupcon",
    "mulsupcon",
    "kmcl",
    "kmcl-constant",
    "probmcl",
)
"""The losses that a network can be trained with."""

CONTRASTIVE_METHODS = ("multisupcon", "mulsupcon", "kmcl", "kmcl-constant", "probmcl")

DEFAULT_TEMPERATURES = {"kmcl": 0.17, "kmcl-constant": 0.17}
"""Of KMCL's released code; that of the others is ``OTHER_TEMPERATURE``."""

OTHER_TEMPERATURE = 0.1

MIN_TEMPERATURE = 1e-9
"""The smallest temperature; at smaller ones, similarities differ by rounding alone."""

MOST_STRENGTH = 100.0
"""The largest strength of views: images are shifted by 200 pixels."""

MOST_WIDTH = 2**15
"""Of layers and mixtures; two layers of this width have 4 GB of weights."""

MOST_RATE = 1e30
"""Rates up to this are numbers of float32."""

DEFAULT_ALPHA = {"multisupcon": 0.3, "probmcl": 0.5}
"""Overlap from which samples are positive."""


@dataclass(frozen=True, kw_only=True)
class _CommonConfig(BaseConfig):
    """The options that a single training and a study share."""

    data: Any = option("scenes", "name of a set of samples with several labels each")
    epochs: int = option(40, "epochs of the network", at_least=1)
    classifier_epochs: int = option(
        20, "probmcl: epochs of the classifier after that, with a frozen network", at_least=1
    )
    batch: int = option(64, "samples in a step", at_least=2)
    features: int = option(64, "width of the features", at_least=1, at_most=MOST_WIDTH)
    width: int = option(
        16,
        "channels of the first convolution (images); hidden units / 8 (vectors)",
        at_least=1,
        at_most=MOST_WIDTH // 8,
    )
    latent: int = option(16, "axes of the mixtures of probmcl", at_least=1, at_most=MOST_WIDTH)
    views: float = option(
        1.0,
        "strength of the random changes of each view of a sample; 0: none",
        at_least=0,
        at_most=MOST_STRENGTH,
    )
    correlation: str = option(
        "outside",
        "kmcl: where the overlap of labels stands, outside of the logarithm, inside or none",
        choices=CORRELATION_NAMES,
    )
    covariance: str = option(
        "isotropic", "kmcl: isotropic or anisotropic components", choices=KERNEL_COVARIANCES
    )
    similarity: str = option(
        "matched", "probmcl: product kernel or matched components", choices=SIMILARITY_NAMES
    )
    overlap: str = option("jaccard", "measure of the overlap of labels", choices=OVERLAP_NAMES)
    seed: int = seed_option()
    device: str = device_option()


@dataclass(frozen=True, kw_only=True)
class MultilabelConfig(_CommonConfig):
    """Options of one training.

    Raises:
        InvalidInput: an option is out of range.
    """

    method: str = option("kmcl", "one of " + ", ".join(TRAINING_METHODS), choices=TRAINING_METHODS)
    learning_rate: float = option(
        0.003, "learning rate (Adam), down to 0 along a cosine", above=0, at_most=MOST_RATE
    )
    contrast_weight: float | None = option(
        None,
        "weight of the contrastive term; by default 1 / batch for kmcl, 0.1 for the cosine losses "
        "and 1 for probmcl",
        at_least=0,
    )
    reconstruction_weight: float | None = option(
        None, "kmcl: weight of the reconstruction; by default 1 / batch", at_least=0
    )
    temperature: float | None = option(
        None,
        "temperature of the contrast; by default 0.17 for kmcl, 0.1 for the others",
        at_least=MIN_TEMPERATURE,
    )
    alpha: float | None = option(
        None,
        "overlap from which two samples are positive; by default one shared label for kmcl, 0.3 "
        "for multisupcon, 0.5 for probmcl",
        above=0,
        at_most=1,
    )
    holdout: int = option(
        150, "samples held out for the frames; at most a fifth of all", at_least=1
    )

    @property
    def temperature_used(self) -> float:
        """The temperature, or the default of the method."""
        return self.temperature or DEFAULT_TEMPERATURES.get(self.method, OTHER_TEMPERATURE)

    @property
    def contrast_weight_used(self) -> float:
        """The weight of the contrastive term, or the default of the method."""
        if self.contrast_weight is not None:
            return self.contrast_weight
        return default_weight(self.method, self.batch)


@dataclass(frozen=True, kw_only=True)
class MultilabelStudyConfig(_CommonConfig):
    """Options of a study of losses, whose rates and weights are chosen on validation samples.

    Raises:
        InvalidInput: an option is out of range, or a list is empty or holds a value twice.
    """

    method: str = option("multilabel-study", "multilabel-study")
    methods: Sequence[str] = option(
        TRAINING_METHODS, "losses to compare: some of " + ", ".join(TRAINING_METHODS)
    )
    rates: Sequence[float] = option((0.0003, 0.001, 0.003, 0.01), "learning rates to choose from")
    weights: Sequence[float] = option(
        (0.1, 1.0, 10.0), "factors of the default weight of the contrast to choose from"
    )
    tuning_seeds: int = option(2, "seeds with which each choice is tried", at_least=1)
    seeds: int = option(5, "seeds of the comparison, the same for all losses", at_least=1)
    split: str = option(
        "test", "samples on which the chosen settings are scored", choices=("val", "test")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        checks = {
            "methods": lambda value: check_choice("methods", value, TRAINING_METHODS),
            "rates": lambda value: check_number("rates", value, above=0, at_most=MOST_RATE),
            "weights": lambda value: check_number("weights", value, at_least=0),
        }
        for name, check in checks.items():
            values = check_different(name, getattr(self, name))
            object.__setattr__(self, name, [check(value) for value in values])

    def training(self, method: str, rate: float, weight: float, seed: int) -> MultilabelConfig:
        """Return the options of one training of the study."""
        shared = {name: getattr(self, name) for name in _CommonConfig.__dataclass_fields__}
        contrast = weight * default_weight(method, self.batch)
        return MultilabelConfig(
            **{**shared, "seed": seed},
            method=method,
            learning_rate=rate,
            contrast_weight=contrast,
            reconstruction_weight=contrast if method.startswith("kmcl") else None,
        )


@dataclass(frozen=True, kw_only=True)
class WeightStudyConfig(_CommonConfig):
    """Options of a study of the weight of KMCL's contrast and reconstruction.

    Raises:
        InvalidInput: an option is out of range, or a list is empty or holds a value twice.
    """

    method: str = option("contrast-weights", "contrast-weights")
    weights: Sequence[float] = option(
        (0.0, 0.004, 0.0156, 0.06, 0.25, 1.0, 4.0, 16.0),
        "weights of contrast and reconstruction beside the classification with the weight 1",
    )
    learning_rate: float = option(0.003, "learning rate (Adam)", above=0, at_most=MOST_RATE)
    seeds: int = option(3, "seeds of each weight", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        values = check_different("weights", self.weights)
        values = [check_number("weights", value, at_least=0) for value in values]
        object.__setattr__(self, "weights", values)


def default_weight(method: str, batch: int) -> float:
    """Return the weight of the contrastive term beside a loss per sample.

    KMCL's released code sums the asymmetric loss over the batch and averages the other terms, which
    is 1 / batch beside the loss per sample. The others' defaults are our
    choice; a study tries a tenth and ten times of each.
    """
    if method.startswith("kmcl"):
        return 1 / batch
    return {"multisupcon": 0.1, "mulsupcon": 0.1, "probmcl": 1.0}.get(method, 0.0)
