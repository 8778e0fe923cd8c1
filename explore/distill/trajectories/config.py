"""Options of experts and of trajectory matching, with published presets; no torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from explore.attention.kinds import CAM_KINDS, KIND_HELP
from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_choice, check_number, check_whole_number
from explore.distill.config import (
    INIT_HELP,
    LARGEST_RATE,
    check_init,
    check_steps,
    flip_option,
    strategy,
    without_default_flip,
)
from explore.errors import InvalidInput

GRADIENT_KINDS = ("adjoint", "unroll", "tesla")
"""Ways to the gradient; see ``explore.distill.trajectories.gradient``."""

CAM_TARGETS = ("label", "official", "predicted")

BUFFERLESS_NORMS = ("instance", "layer", "group", "none")
"""Norms without running statistics: an expert is then its parameters and nothing else."""

EXPERT_PRESETS: dict[str, dict[str, Any]] = {
    # MTT: 100 experts, 50 epochs (EDF: 100), SGD without momentum.
    "paper": {},
    # Experts of small images that move far enough within seconds.
    "lesson": {
        "count": 5,
        "epochs": 20,
        "learning_rate": 0.05,
        "batch": 64,
        "augment": "none",
        "width": 16,
    },
}


@dataclass(frozen=True, kw_only=True)
class ExpertsConfig(BaseConfig):
    """Options of experts: networks that are trained on real images, with a checkpoint each epoch.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("experts", "experts", choices=("experts",))
    data: Any = option("digits", "name of the data set")
    preset: str = option("paper", "paper, or lesson (seconds on a laptop)", choices=EXPERT_PRESETS)
    count: int = option(100, "experts", at_least=1)
    epochs: int = option(50, "epochs of each expert", at_least=1)
    seed: int = seed_option()
    learning_rate: float = option(0.01, "of the SGD of the experts", above=0, at_most=LARGEST_RATE)
    momentum: float = option(0.0, "of the SGD of the experts", at_least=0, below=1)
    weight_decay: float = option(0.0, "of the SGD of the experts", at_least=0, at_most=LARGEST_RATE)
    batch: int = option(256, "real images in a step of an expert", at_least=1)
    augment: str = option("dsa", "dsa, none, or operations such as crop_flip_rotate")
    flip: bool | None = flip_option()
    zca: bool = option(False, "whiten the images first (ZCA, ε = 0.1)")
    width: int = option(128, "channels of the networks", at_least=1)
    depth: int | None = option(
        None, "blocks of the networks, two or more; by default from the image size", at_least=2
    )
    norm: str = option("instance", "instance, layer, group or none", choices=BUFFERLESS_NORMS)
    device: str = device_option()

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a config with the preset, changed by ``values``."""
        preset = check_choice("preset", values.get("preset", "paper"), EXPERT_PRESETS)
        return cls(**{**EXPERT_PRESETS[preset], **values})

    def __post_init__(self) -> None:
        super().__post_init__()
        strategy(self.augment)

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what identifies the run in a recording."""
        return without_default_flip(super().identity(data))


METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "mtt": {"label_rate": 0.0, "drop_ratio": 0.0, "enhance": False, "gate": None},
    "datm": {"drop_ratio": 0.0, "enhance": False},
    "edf": {"enhance": True},
}
"""What makes each method: MTT has hard labels and no gate, DATM adds both, EDF its two parts."""


def _row(
    student_steps: int,
    batch: int,
    learning_rate: float,
    window: tuple[int, int, int],
    rate_rate: float,
    label_rate: float = 0.0,
    gate: float | None = None,
    window_start: int = 0,
    **more: Any,
) -> dict[str, Any]:
    stop, last, steps = window
    return {
        "student_steps": student_steps,
        "batch": batch,
        "learning_rate": learning_rate,
        "window_start": window_start,
        "window_stop": stop,
        "window_last": last,
        "window_steps": steps,
        "rate_rate": rate_rate,
        "label_rate": label_rate,
        "gate": gate,
        **more,
    }


PUBLISHED: dict[str, dict[int, dict[str, Any]]] = {
    # MTT on CIFAR-10, from memory of the paper's table, not checked.
    "mtt": {
        1: _row(50, 0, 100.0, (2, 2, 0), 1e-7),
        10: _row(30, 0, 1e5, (20, 20, 0), 1e-6),
        50: _row(30, 256, 1e3, (40, 40, 0), 1e-5),
    },
    # DATM on CIFAR-10, from the configurations of its code.
    "datm": {
        1: _row(80, 10, 100.0, (4, 4, 0), 1e-7, 5.0, 1.1),
        10: _row(80, 100, 100.0, (10, 20, 1000), 1e-5, 2.0, 1.0),
        50: _row(80, 500, 1000.0, (20, 40, 2000), 1e-5, 2.0, 1.0),
        500: _row(40, 1000, 50.0, (60, 60, 0), 1e-5, 10.0, 1.0, window_start=40),
    },
    # EDF on subsets of ImageNet at 128×128. The values of single subsets differ: β is 2 on
    # Imagewoof with 10 and 50 images per class, the ratio is 0.375 on the fruit subset.
    "edf": {
        1: _row(40, 0, 1e4, (5, 10, 1000), 1e-5, 2.0, 2.0, drop_ratio=0.0, refresh=50),
        10: _row(40, 200, 1e3, (10, 20, 1000), 1e-5, 2.0, 2.0, drop_ratio=0.25, refresh=100),
        50: _row(40, 200, 100.0, (20, 40, 1000), 1e-5, 5.0, 1.5, drop_ratio=0.375, refresh=200),
    },
}
"""Published settings by method and images per class; other numbers take the next smaller one."""

LESSON: dict[str, Any] = {
    "steps": 100,
    "student_steps": 10,
    "batch": 0,
    "learning_rate": 100.0,
    "rate_rate": 1e-5,
    "label_rate": 2.0,
    "student_rate": 0.02,
    "gate": 2.0,
    "window_start": 0,
    "window_stop": 5,
    "window_last": 10,
    "window_steps": 50,
    "drop_ratio": 0.25,
    "beta": 1.0,
    "refresh": 20,
    "augment": "none",
}
"""Minutes on a laptop, for small images."""

TRAJECTORY_PRESETS = ("paper", "lesson")


@dataclass(frozen=True, kw_only=True)
class TrajectoryConfig(BaseConfig):
    """Options of MTT, DATM and EDF; ``TrajectoryConfig.make`` applies a preset.

    Raises:
        InvalidInput: an option is out of range; the message names it.
    """

    method: str = option("mtt", "mtt, datm or edf", choices=METHOD_OPTIONS)
    data: Any = option(None, "name of the data set; by default that of the experts")
    experts: Any = option(
        "",
        "the experts: a .safetensors file or the recording beside it, several of them, or options "
        "of new ones",
    )
    expert_count: int | None = option(None, "experts to use; by default all", at_least=1)
    images_per_class: int = option(1, "synthetic images of each class", at_least=1)
    steps: int = option(10_000, "steps to run in all", at_least=1)
    seed: int = seed_option()
    preset: str = option(
        "paper", "paper, or lesson (minutes on a laptop)", choices=TRAJECTORY_PRESETS
    )
    student_steps: int = option(20, "steps N of the student", at_least=1)
    expert_epochs: int = option(2, "epochs M of the expert that the student matches", at_least=1)
    batch: int = option(0, "synthetic images in a step of the student; 0 for all", at_least=0)
    learning_rate: float = option(1000.0, "of the synthetic images", above=0)
    momentum: float = option(0.5, "of the images and of the rate", at_least=0, below=1)
    label_rate: float = option(0.0, "learning rate of soft labels; 0 keeps hard labels", at_least=0)
    student_rate: float = option(0.01, "learning rate of the student at the start", above=0)
    rate_rate: float = option(1e-5, "learning rate of the student's learning rate", at_least=0)
    gate: float | None = option(
        None, "a step with a larger loss changes nothing; none for no such limit", above=0
    )
    window_start: int = option(0, "first epoch from which a student starts", at_least=0)
    window_stop: int = option(20, "the epoch before which it starts, at step 0", at_least=1)
    window_last: int = option(20, "the epoch before which it starts, in the end", at_least=1)
    window_steps: int = option(0, "steps in which the one becomes the other", at_least=0)
    drop_ratio: float = option(
        0.0, "share of the parameters that are dropped from the loss", at_least=0, below=1
    )
    enhance: bool = option(False, "multiply the gradient inside discriminative areas")
    beta: float = option(1.0, "β: the multiplier inside an area is its map + β", at_least=0)
    area_threshold: Any = option("mean", "level of the map above which is the area; or a number")
    refresh: int = option(50, "steps after which maps are computed again", at_least=1)
    cam_network: str = option(
        "", "network of the maps, such as squeezenet; by default a small one is trained first"
    )
    cam_weights: str = option("", "file of weights that replaces the usual one of that network")
    cam_layer: str = option("", "its layer; by default the last map before the classifier")
    cam_kind: str = option("smoothgradcam++", KIND_HELP, choices=CAM_KINDS)
    cam_target: str = option(
        "label",
        "class of the map: label, predicted, or official (the number of the label as the released "
        "code has it, also where the network numbers its classes otherwise)",
        choices=CAM_TARGETS,
    )
    cam_epochs: int = option(10, "epochs in which the small network is trained", at_least=1)
    cam_width: int = option(16, "channels of its first convolution", at_least=1)
    init: Any = option("real", INIT_HELP)
    augment: str = option("dsa", "dsa, none, or operations such as crop_flip_rotate")
    flip: bool | None = flip_option()
    gradient: str = option(
        "adjoint",
        "adjoint (exact, little memory), unroll (exact), tesla (approximate)",
        choices=GRADIENT_KINDS,
    )
    device: str = device_option()

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a config with the preset of the method, changed by ``values``."""
        method = check_choice("method", values.get("method", "mtt"), METHOD_OPTIONS)
        preset = check_choice("preset", values.get("preset", "paper"), TRAJECTORY_PRESETS)
        if preset == "paper":
            count = check_whole_number(
                "images_per_class", values.get("images_per_class", 1), at_least=1
            )
            chosen = PUBLISHED[method][max(k for k in PUBLISHED[method] if k <= count)]
        else:
            chosen = LESSON
        changes: Mapping[str, Any] = {**chosen, **METHOD_OPTIONS[method]}
        return cls(**{**changes, **values})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)
        strategy(self.augment)
        check_init(self.init)
        if not isinstance(self.area_threshold, str) or self.area_threshold != "mean":
            if isinstance(self.area_threshold, str):
                raise InvalidInput(
                    f'area_threshold must be a number or "mean", got {self.area_threshold!r}'
                )
            check_number("area_threshold", self.area_threshold)
        if self.window_last < self.window_stop:
            raise InvalidInput(
                f"the window grows from window_stop to window_last, got {self.window_stop} and "
                f"{self.window_last}; window_last must be at least window_stop"
            )
        if self.window_stop <= self.window_start:
            raise InvalidInput(
                f"no epoch lies in the window from window_start {self.window_start} to before "
                f"window_stop {self.window_stop}"
            )

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what identifies the run in a recording."""
        return without_default_flip(super().identity(data))

    def window(self, step: int) -> range:
        """Return the epochs from which a student may start after ``step`` steps.

        Source: the expanding window of DATM (arXiv 2310.05773).

        Example:
            >>> config = TrajectoryConfig(window_stop=10, window_last=20, window_steps=1000)
            >>> [config.window(step).stop for step in (0, 500, 5000)]
            [10, 15, 20]
        """
        share = 1.0 if step >= self.window_steps else step / self.window_steps
        growth = int((self.window_last - self.window_stop) * share)
        return range(self.window_start, self.window_stop + growth)
