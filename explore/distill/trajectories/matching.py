"""Distillation by matching the trajectories of experts: MTT, DATM and EDF.

A student that learns from the synthetic images is to move like an expert that learns from the real
ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import one_hot

from explore.core.runs import stream_seed
from explore.data.training_data import TrainingData
from explore.distill.augment import apply_draw, draw_augmentation, operations_for
from explore.distill.checks import check_training_images
from explore.distill.config import MAPS_NOTE
from explore.distill.probe import to_eight_bits, to_seven_bits
from explore.distill.recordings import TRAJECTORY_MATCHING
from explore.distill.run import DistilledSetRun
from explore.distill.trajectories.config import TrajectoryConfig
from explore.distill.trajectories.discriminative_areas import DiscriminativeAreas
from explore.distill.trajectories.expert_trajectories import resolve_experts
from explore.distill.trajectories.gradient import FlatNetwork, Student, trajectory_gradient
from explore.distill.trajectories.loss import (
    common_pattern_dropout,
    dropped_parameters,
    gradient_multiplier,
)
from explore.distill.trajectories.start import starting_point
from explore.errors import InvalidInput, RunDiverged

if TYPE_CHECKING:
    import xarray

LABEL_MOMENTUM = 0.9
"""Momentum of the soft labels, in DATM and EDF."""

LAST_STEP = ("maps", "gradient", "dropped")
"""Tensors of the last step that a snapshot shows."""


def build(config: TrajectoryConfig, data: Any = None) -> TrajectoryRun:
    """Build the run for the registry and for ``distill``."""
    return TrajectoryRun(config, data)


class TrajectoryRun(DistilledSetRun):
    """A distillation by MTT, DATM or EDF.

    In each step a student starts from a checkpoint of an expert, learns from the synthetic images
    for some steps, and is compared with a later checkpoint of the same expert. Images, soft labels
    and the student's learning rate follow the gradient of that comparison.

    Source: MTT (arXiv 2203.11932), DATM (arXiv 2310.05773), EDF (arXiv 2410.17193).

    Args:
        options: see ``TrajectoryConfig``.
        data: the real images, those on which the experts were trained; by default
            ``options.data``, or else what the experts' configuration names.

    Raises:
        InvalidInput: there are no experts, too few, or those of other images; or the window goes
            beyond their last epoch.
        DataMissing, RecordingDamaged: a file of experts does not exist or cannot be read.
    """

    def __init__(self, options: TrajectoryConfig, data: Any = None) -> None:
        self.options, self.name, self.steps = options, options.method, options.steps
        data = options.data if data is None else data
        experts = resolve_experts(
            options.experts, data, self.name, options.expert_count, options.device
        )
        self.experts = experts.trajectories
        self._check_window()
        count = options.images_per_class
        check = partial(check_training_images, images_per_class=count, init=options.init)
        zca = bool(self.experts.config["zca"])
        data = self.experts.config["data"] if data is None else data
        source = TrainingData(data, zca=zca, device=options.device, check=check)
        self.experts.check_data(source)
        super().__init__(source, count)
        self._label_numbers = self.labels
        self._network = FlatNetwork(self.experts.network().to(self.device))
        start = starting_point(options, source, self.experts)
        self._learned = start.learned
        self._velocity = {name: torch.zeros_like(v) for name, v in self._learned.items()}
        self._fixed_logits = start.fixed_logits
        self._show_learned()
        self.config: Mapping[str, Any] = options.identity(source.describe()) | {
            "experts": experts.description,
            "init": start.description,
        }
        self._operations = operations_for(options.augment, options.flip, source.flip)
        self.loss, self.skipped, self._start_epoch = float("nan"), 0, -1
        side = source.shape[1:]
        self._maps = torch.zeros(len(self.images), *side, device=self.device)
        self._gradient = torch.zeros_like(self.images)
        self._dropped = torch.zeros(self._network.size, dtype=torch.bool, device=self.device)
        self._areas: DiscriminativeAreas | None = None
        self._real_areas: np.ndarray | None = None

    @property
    def message(self) -> str:
        """The loss of the last step and the student's rate, for a progress bar."""
        if not self.step:
            return "no step yet"
        return f"loss {self.loss:.3g}, student's rate {self._learned['rate']:.3g}"

    def advance(self) -> None:
        """Take one step.

        Raises:
            RunDiverged: the loss, a gradient or a learned value is not a finite number, or the
                student's learning rate would no longer be above 0. The run keeps its last state.
        """
        options, step, maps = self.options, self.step + 1, self._maps
        if options.enhance and self.step % options.refresh == 0:
            maps = self._discriminative_areas().maps(self.images, self._label_numbers)
        generator = np.random.default_rng(stream_seed(options.seed, "experts", step))
        expert = int(generator.integers(len(self.experts)))
        epoch = int(generator.choice(options.window(self.step)))
        trajectory = self.experts.parameters[expert]
        start, target = (
            trajectory[e].to(self.device) for e in (epoch, epoch + options.expert_epochs)
        )
        logits = self._label_logits()
        student = Student(
            self.images,
            self._label_numbers if logits is None else logits,
            self._learned["rate"],
            self._batches(step),
            partial(self._augment, step),
        )

        def loss(end: torch.Tensor) -> torch.Tensor:
            return common_pattern_dropout(end, target, start, options.drop_ratio)

        gradient = trajectory_gradient(self._network, start, student, loss, options.gradient)
        value = float(gradient.loss)
        if not math.isfinite(value):
            raise RunDiverged(
                f"the loss is {value} at step {step}; learning_rate {options.learning_rate} or "
                f"the student's rate {self._learned['rate']:.3g} may be too large"
            )
        multiplied = gradient.images * self._multiplier(maps)[:, None]
        is_open = options.gate is None or value <= options.gate
        if is_open:
            gradients = {"images": multiplied, "rate": gradient.rate}
            if "labels" in self._learned and gradient.labels is not None:
                gradients["labels"] = gradient.labels
            self._update(gradients)
        elif not torch.isfinite(multiplied).all():
            raise RunDiverged(
                f"the gradient of an image is NaN or infinite at step {step}; "
                f"the student's rate {self._learned['rate']:.3g} may be too large"
            )
        self.loss, self.step, self._start_epoch = value, step, epoch
        self.skipped += not is_open
        self._maps, self._gradient = maps, multiplied
        self._dropped = dropped_parameters(gradient.end, target, options.drop_ratio)

    def snapshot(self) -> xarray.Dataset:
        """Return images, maps, soft labels, and what the last step dropped and multiplied."""
        source, areas = self.source, self._discriminative_areas()
        if self._real_areas is None:
            self._real_areas = areas.real_areas(self.options.seed)
        maps, map_areas = areas.measure(self.images, self._label_numbers)
        soft_labels = self.labels if self.labels.ndim == 2 else one_hot(self.labels).float()
        values = {
            "map": to_seven_bits(maps),
            "area": map_areas.cpu().numpy(),
            "multiplier": to_seven_bits(self._multiplier(self._maps)),
            "gradient": to_eight_bits(self._gradient),
            "soft_label": soft_labels.cpu().numpy().copy(),
        }
        layers, sizes = self._layers()
        shares = [float(part.float().mean()) for part in self._dropped.split(sizes)]
        variables: dict[str, Any] = {
            "dropped": self._dropped.cpu().numpy().copy(),
            "image": self._by_class(source.to_display(self.images)),
            **{name: self._by_class(value) for name, value in values.items()},
            "dropped_share": np.array(shares, np.float32),
            "learning_rate": np.float32(self._learned["rate"]),
            "loss": np.float32(self.loss),
            "start_epoch": np.int32(self._start_epoch),
            "skipped": np.int32(self.skipped),
        }
        coordinates = {
            "label": np.array(self.class_names, dtype=object),
            "layer": np.array(layers, dtype=object),
            "size": np.array(sizes),
            "real_area": self._real_areas,
        }
        return TRAJECTORY_MATCHING.frame(variables, coordinates).assign_attrs(map=areas.describe())

    def summary(self) -> str:
        """Return the loss, and that the maps of EDF come from a network that saw all images."""
        text = f"loss {self.loss:.3f}, student's rate {self._learned['rate']:.3g}"
        if self.skipped:
            text += f", {self.skipped} steps above the gate"
        if self.options.enhance:
            text += f"; {MAPS_NOTE}"
        return text

    def state(self) -> dict[str, Any]:
        """Return step, what is learned with its momentum, and what the last step used."""
        tensors = {
            **self._learned,
            **{f"velocity.{name}": value for name, value in self._velocity.items()},
            **{name: getattr(self, f"_{name}") for name in LAST_STEP},
        }
        copies = {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}
        numbers = {"loss": self.loss, "skipped": self.skipped, "start_epoch": self._start_epoch}
        return {**super().state(), **copies, **numbers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        if np.shape(state["images"]) != tuple(self.images.shape):
            raise InvalidInput(
                f"the state has images {np.shape(state['images'])}, "
                f"but this run has {tuple(self.images.shape)}"
            )

        def tensor(name: str) -> torch.Tensor:
            return torch.from_numpy(np.array(state[name])).to(self.device)

        self._learned = {name: tensor(name) for name in self._learned}
        self._velocity = {name: tensor(f"velocity.{name}") for name in self._velocity}
        for name in LAST_STEP:
            setattr(self, f"_{name}", tensor(name))
        self.loss, self.skipped = float(state["loss"]), int(state["skipped"])
        self._start_epoch = int(state["start_epoch"])
        self._show_learned()

    def _check_window(self) -> None:
        options, last = self.options, self.experts.epochs
        needed = options.window_last - 1 + options.expert_epochs
        if needed > last:
            raise InvalidInput(
                f"the window goes beyond the trajectories: a student that starts before epoch "
                f"window_last {options.window_last} and matches expert_epochs "
                f"{options.expert_epochs} more needs epoch {needed}, but the experts end at "
                f"epoch {last}; train longer, or make the window smaller"
            )

    def _batches(self, step: int) -> list[torch.Tensor]:
        """Return the rows of each of the student's steps: each image once before any twice."""
        count, size = len(self.images), self.options.batch
        if not 0 < size < count:
            return [torch.arange(count, device=self.device)] * self.options.student_steps
        generator = torch.Generator().manual_seed(stream_seed(self.options.seed, "batches", step))
        batches: list[torch.Tensor] = []
        while len(batches) < self.options.student_steps:
            batches += torch.randperm(count, generator=generator).split(size)
        return [rows.to(self.device) for rows in batches[: self.options.student_steps]]

    def _augment(self, step: int, images: torch.Tensor, student_step: int) -> torch.Tensor:
        """Augment the images of one of the student's steps, each in its own way."""
        seed = stream_seed(self.options.seed, "augment", step, student_step)
        return apply_draw(images, draw_augmentation(self._operations, seed, len(images)))

    def _update(self, gradients: Mapping[str, torch.Tensor]) -> None:
        """Take a step of SGD with momentum; nothing changes if the rate would not be above 0."""
        options = self.options
        rates = {
            "images": options.learning_rate,
            "labels": options.label_rate,
            "rate": options.rate_rate,
        }
        velocity, learned = {}, {}
        for name, gradient in gradients.items():
            momentum = LABEL_MOMENTUM if name == "labels" else options.momentum
            velocity[name] = momentum * self._velocity[name] + gradient
            learned[name] = self._learned[name] - rates[name] * velocity[name]
        if not float(learned["rate"]) > 0:
            raise RunDiverged(
                f"the student's learning rate would become {float(learned['rate']):.3g} in step "
                f"{self.step + 1}; choose a smaller rate_rate than {options.rate_rate}"
            )
        for name, values in learned.items():
            if not torch.isfinite(values).all():
                raise RunDiverged(
                    f"the learned {name} would be NaN or infinite after step {self.step + 1}; "
                    f"its learning rate {rates[name]:g} may be too large"
                )
        self._velocity, self._learned = velocity, learned
        self._show_learned()

    def _show_learned(self) -> None:
        """Set the public attributes to what has been learned."""
        self.images, self.learning_rate = self._learned["images"], self._learned["rate"]
        logits = self._label_logits()
        self.labels = self._label_numbers if logits is None else logits.softmax(1)

    def _label_logits(self) -> torch.Tensor | None:
        """Return the logits of soft labels, learned or fixed; None where labels are hard."""
        return self._learned.get("labels", self._fixed_logits)

    def _multiplier(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the factor of each pixel's gradient, ``[N, H, W]``; 1 without enhancement."""
        options = self.options
        if not options.enhance:
            return torch.ones_like(maps)
        return gradient_multiplier(maps, options.beta, options.area_threshold)

    def _discriminative_areas(self) -> DiscriminativeAreas:
        if self._areas is None:
            self._areas = DiscriminativeAreas(self.options, self.source)
        return self._areas

    def _layers(self) -> tuple[list[str], list[int]]:
        """Return the names of the network's parameters, and how many numbers each has."""
        named = dict(self.experts.network().named_parameters())
        return list(named), [parameter.numel() for parameter in named.values()]

    def _by_class(self, values: np.ndarray) -> np.ndarray:
        """Return ``[K · count, ...]`` as ``[K, count, ...]``."""
        return values.reshape(self.source.classes, self.images_per_class, *values.shape[1:])
