"""A run that trains a teacher on subclasses and then a student on the teacher's labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.frame_steps import FrameSteps
from explore.core.products import describe_product, resolve_product
from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_finite, check_tensor
from explore.errors import InvalidInput
from explore.models.mlp import Several
from explore.models.training import Fit, logits_of
from explore.subclass._network_checks import (
    adapt_network,
    bad_rows,
    check_trainable,
    check_trained,
    compute_logits,
    hash_network,
    name_errors,
)
from explore.subclass.config import TEACHING_SIGNALS, SubclassConfig
from explore.subclass.label_information import label_bits
from explore.subclass.losses import class_logits, class_probabilities, subclass_divergence
from explore.subclass.networks import (
    Factory,
    create_fit,
    create_student,
    create_teacher,
    factory_names,
    fit_teacher,
)
from explore.subclass.objective import Objective, StudentSettings
from explore.subclass.recordings import TRAINING
from explore.subclass.teacher_file import Teacher
from explore.subclass.training_data import SubclassData

if TYPE_CHECKING:
    import xarray


def build(config: SubclassConfig, data: Any = None) -> SubclassRun:
    """Return the run of a configuration."""
    return SubclassRun(config, config.data if data is None else data)


class SubclassRun(BaseRun):
    """The training of a teacher (if the method has one) and of a student; a step is an epoch.

    A frame holds the logits of teacher and student for images on which neither is trained.

    Args:
        options: see ``SubclassConfig``.
        data, classes: see ``SubclassData``.
        teacher, student: see ``explore.subclass.train``.

    Attributes:
        source: the data.
        held: the held-out images.
        own: the labelled images of the student.
        teacher, student: the networks; ``teacher`` is None if the method has none.
        teacher_fit, student_fit: their trainings; None if there is none, or it has not started.
    """

    def __init__(
        self,
        options: SubclassConfig,
        data: Any,
        teacher: nn.Module | Factory | None = None,
        student: Factory | None = None,
        classes: Any = None,
    ) -> None:
        self.options, self.name = options, options.method
        self.signal = TEACHING_SIGNALS[options.method]
        self.source = source = SubclassData(data, options.parents, options.device, classes)
        self.device, self.class_names = source.device, source.class_names
        if options.curriculum and source.agreement is None:
            raise InvalidInput(
                f"curriculum needs the agreement of annotators, which {source.name} does not have"
            )
        self._held_indices, indices = source.order(options.seed, options.holdout)
        self.held = source[self._held_indices]
        if not len(self.held):
            raise InvalidInput(
                f"a fifth of the images is held out, so there must be 5 or more, got {len(source)}"
            )
        for name in ("labels", "teacher_images"):
            count = getattr(options, name)
            if count > len(indices):
                raise InvalidInput(
                    f"{name}={count}, but the training set has {len(indices)} images besides "
                    f"{len(self.held)} that are held out; {name}=0 uses all of them"
                )
        self._own_indices = indices[: options.labels or None]
        self.own = source.training_set(self._own_indices, "student")
        self.teacher: nn.Module | None = None
        self.teacher_fit: Fit | None = None
        self.student_fit: Fit | None = None
        is_trained = isinstance(teacher, nn.Module)
        factories = factory_names(teacher=None if is_trained else teacher, student=student)
        description: dict[str, Any] = {}
        if options.teacher:
            expected = "teacher must be a Teacher or the .safetensors file of one"
            product = resolve_product(options.teacher, Teacher, expected)
            self.teacher = product.network(source, self.signal.teacher)
            description = describe_product(product)
        elif isinstance(teacher, nn.Module):
            if self.signal.teacher not in ("subclass", ""):
                raise InvalidInput(
                    f"{self.name} trains its own teacher; omit teacher, or pass a factory of "
                    "untrained networks"
                )
            if self.signal.teacher:
                self.teacher = adapt_network("teacher", teacher, source)
                sha256 = hash_network(teacher)
                description = {"network": type(teacher).__name__, "sha256": sha256}
        elif self.signal.teacher:
            seed = stream_seed(options.seed, "teacher")
            self.teacher = create_teacher(
                source, options.teacher_width, seed, options.prior, teacher
            )
            samples = source.training_set(indices[: options.teacher_images or None], "teacher")
            self.teacher_fit = fit_teacher(
                self.teacher,
                self.signal.teacher,
                source,
                samples,
                options,
                options.seed,
                options.teacher_epochs,
                own=teacher is not None,
            )
        self._own_networks = {"teacher": teacher is not None, "student": student is not None}
        self.teacher_epochs = 0 if self.teacher_fit is None else options.teacher_epochs
        seed = stream_seed(options.seed, "student")
        self.student = create_student(
            source, options.student, options.width, seed, options.prior, student
        )
        if student is not None:
            counts = [len(self.own)]
            if options.curriculum:
                pool = self.curriculum()
                counts = [len(pool(epoch)) for epoch in range(options.epochs)]
            check_trainable("student", self.student, self.own.images, counts, options.batch)
        self.steps = self.teacher_epochs + options.epochs
        # Frames are dense at the start of both trainings.
        dense = FrameSteps(1.25)
        starts = ((0, self.teacher_epochs), (self.teacher_epochs, options.epochs + 1))
        self.every = [start + k for start, epochs in starts for k in range(epochs) if k in dense]
        self.config: Mapping[str, Any] = {
            **options.identity(source.describe()),
            "parents": list(source.parents),
            **({"teacher": description} if description else {}),
            **factories,
        }

    @property
    def message(self) -> str:
        """The network in training, and the loss of its last epoch."""
        if self.student_fit is not None:
            return f"student, {self.student_fit.message}"
        if self.teacher_fit is not None and self.step <= self.teacher_epochs:
            return f"teacher, {self.teacher_fit.message}"
        return "student"

    def advance(self) -> None:
        """Train the teacher for one epoch, or the student after the teacher's last epoch."""
        if self.step >= self.steps:
            return
        is_teacher = self.teacher_fit is not None and self.step < self.teacher_epochs
        role = "teacher" if is_teacher else "student"
        with name_errors(role, self._own_networks[role]):
            if is_teacher:
                assert self.teacher_fit is not None
                self.teacher_fit.advance()
            else:
                self._start_student().advance()
        self._check_last(role)
        self.step += 1

    def _check_last(self, role: str) -> None:
        """Check a network after its last epoch.

        Raises:
            RunDiverged: it returns NaN. No loss is computed after the last step of the optimizer.
        """
        last = self.teacher_epochs if role == "teacher" else self.steps
        if self.step + 1 == last:
            self._held_logits(role)

    def _held_logits(self, role: str) -> torch.Tensor:
        """Return the logits of a network for the held-out images.

        Raises:
            RunDiverged: one of them is NaN or infinite.
        """
        network = self.student if role == "student" else self.teacher
        assert network is not None
        logits = compute_logits(network, self.held.images)
        rate = "learning_rate" if role == "student" else "teacher_rate"
        is_trained = role == "student" or self.teacher_fit is not None
        check_trained(role, logits, f"a lower {rate} may help" if is_trained else "repair it")
        return logits

    def predict(self, images: Any) -> torch.Tensor:
        """Return the student's class probabilities ``[N, C]`` for images ``[N, ...]``.

        Args:
            images: floats like those of the training, in a tensor, an array or a list.

        Raises:
            InvalidInput: images of another shape than those of the training, no floats, or NaN.
        """
        shape: Any = ["N", *self.source.shape]
        images = check_tensor("images", images, shape, dtype=torch.float32, empty=True)
        check_finite("images", images)
        if not len(images):
            return images.new_empty(0, len(self.source.class_names))
        logits = logits_of(self.student, images.detach().to(self.source.device))
        return class_probabilities(logits, self.source.parents)

    def _start_student(self) -> Fit:
        """Return the training of the student; the first call computes its soft labels."""
        if self.student_fit is None:
            options, own = self.options, self.own
            settings = StudentSettings(self.signal, options.distill_weight, options.temperature)
            objective = Objective([settings], self.source.parents, options.soften)
            logits = None
            if self.teacher is not None:
                logits = compute_logits(self.teacher, own.images)
                if len(bad := bad_rows(logits)):
                    raise InvalidInput(
                        f"the teacher returns NaN or Inf for {len(bad)} of {len(own)} images"
                    )
                logits = logits[:, None]
            self.student_fit = create_fit(
                Several([self.student]),
                own.images[:, None],
                objective.targets(own.labels[:, None], own.subclasses[:, None], logits),
                objective,
                options.epochs,
                options.learning_rate,
                options.batch,
                stream_seed(options.seed, "student"),
                self.curriculum() if options.curriculum else None,
            )
        return self.student_fit

    def curriculum(self) -> Callable[[int], torch.Tensor]:
        """Return a function that gives the indices of the student's images for an epoch.

        The first stage has the images with the highest agreement, and each of the following stages
        adds those of the next level. All stages have the same number of epochs.
        """
        assert self.source.agreement is not None
        agreement = self.source.agreement[self._own_indices]
        levels = agreement.unique().flip(0)

        def indices(epoch: int) -> torch.Tensor:
            stage = min(len(levels) - 1, epoch * len(levels) // self.options.epochs)
            return (agreement >= levels[stage]).nonzero().flatten()

        return indices

    def snapshot(self) -> xarray.Dataset:
        """Return the logits of student and teacher for the held-out images, and their scores."""
        held, source = self.held, self.source
        logits = {"student": self._held_logits("student")}
        if self.teacher is not None:
            logits["teacher"] = self._held_logits("teacher")
        values: dict[str, Any] = {}
        for role, z in logits.items():
            is_class = class_logits(z, source.parents).argmax(-1) == held.labels
            is_subclass = z.argmax(-1) == held.subclasses
            values[f"{role}_logits"] = _to_half(z)
            values[f"{role}_accuracy"] = np.float32(is_class.float().mean().cpu())
            values[f"{role}_subclass_accuracy"] = np.float32(is_subclass.float().mean().cpu())
            values[f"{role}_bits"] = np.float32(label_bits(z, source.parents))
        if self.teacher is not None:
            divergence = subclass_divergence(
                logits["student"], logits["teacher"], self.options.temperature
            )
            values["divergence"] = np.float32(divergence.mean().cpu())
        values["loss"] = np.float32(
            float("nan") if self.student_fit is None else self.student_fit.loss
        )
        teacher_epoch = min(self.step, self.teacher_epochs)
        values["teacher_epoch"] = np.int32(teacher_epoch)
        values["student_epoch"] = np.int32(self.step - teacher_epoch)
        coordinates: dict[str, Any] = {
            "subclass": np.array(source.subclass_names, object),
            "class": np.array(source.class_names, object),
            "parent": np.array(source.parents),
            "image_subclass": held.subclasses.cpu().numpy(),
        }
        pictures = source.pictures(self._held_indices)
        if pictures is not None:
            coordinates["picture"] = pictures
        return TRAINING.frame(values, coordinates)

    def result(self) -> xarray.Dataset:
        """Return the student's logits of the held-out images in full precision, with labels."""
        values = {
            "student_logits": logits_of(self.student, self.held.images).cpu().numpy(),
            "labels": ("image", self.held.labels.cpu().numpy()),
            "subclasses": ("image", self.held.subclasses.cpu().numpy()),
        }
        parents = ("subclass", np.array(self.source.parents))
        return TRAINING.frame(values, {"parent": parents})

    def state(self) -> dict[str, Any]:
        """Return the step, and weights and optimizers of teacher and student."""
        state = super().state()
        for role, fit in (("teacher", self.teacher_fit), ("student", self.student_fit)):
            if fit is not None:
                state |= {f"{role}.{name}": value for name, value in fit.state().items()}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        for role in ("teacher", "student"):
            prefix = f"{role}."
            part = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
            fit = self.teacher_fit if role == "teacher" else self._start_student() if part else None
            if part and fit is not None:
                fit.restore(part)


def _to_half(logits: torch.Tensor) -> np.ndarray:
    """Return logits as float16; those that are too large become its largest number."""
    largest = torch.finfo(torch.float16).max
    clipped = torch.where(logits.isfinite(), logits.clamp(-largest, largest), logits)
    return clipped.cpu().numpy().astype(np.float16)
