"""One training of subclass distillation: a teacher learns, then a student learns from it; a Run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import BaseRun, FrameSteps, stream_seed
from explore.data.image_set import sha256_of
from explore.errors import InvalidInput, UnknownName
from explore.models.mlp import Several
from explore.models.training import Fit, logits_of
from explore.subclass import label_information as bits
from explore.subclass.config import LESSONS, SubclassConfig
from explore.subclass.losses import class_logits, class_probabilities, subclass_divergence
from explore.subclass.networks import (
    Factory,
    check_outputs,
    described,
    learning,
    student as untrained_student,
    teacher as untrained_teacher,
    teaching,
)
from explore.subclass.objective import Objective, Taught
from explore.subclass.training_data import SubclassData

if TYPE_CHECKING:
    import xarray


def train(
    images: torch.Tensor,
    subclasses: torch.Tensor,
    parents: Any,
    method: str = "skd",
    *,
    classes: torch.Tensor | None = None,
    teacher: nn.Module | Factory | None = None,
    student: Factory | str | None = None,
    device: str | None = None,
    **options: Any,
) -> SubclassRun:
    """A run that trains a teacher on your subclasses and a student with what it knows; ``record`` it, or loop over ``advance``.

    Args:
        images: float ``[N, ...]``, normalised as your networks expect. A fifth at most is held out, to measure on.
        subclasses: integers ``[N]``, 0..S-1.
        parents: class of each subclass, ``[S]``.
        method: "skd", "kd", "scratch", "labels-only", "random-subclasses" or "found-subclasses".
        classes: of the samples, ``[N]``, if they are to be checked against the subclasses.
        teacher: a trained network, ``[N, ...]`` to subclass logits ``[N, S]``, which is then not trained again; or
            ``factory(outputs, seed)`` that makes one to train. By default a small ConvNet (an MLP where images are not
            square). Methods without a teacher do not ask it. Where classes have unequal numbers of subclasses, the last
            biases of what a factory made are set (``prior=False`` leaves them).
        student: ``factory(outputs, seed)``, or "mlp" (by default, with ``width`` hidden units) or "convnet".
        device: where to compute; by default where ``images`` are.
        **options: the other fields of ``SubclassConfig``; ``labels``, how many images the student trains on, is all if left out.

    Returns:
        A ``Run`` at step 0, whose steps are epochs: the teacher's, then the student's. ``run.student`` is the network,
        ``[N, ...]`` to subclass logits ``[N, S]``; ``run.predict`` gives class probabilities.

    Raises:
        InvalidInput: see ``SubclassConfig``, ``explore.core.label_hierarchy`` and ``SubclassData``; networks of another number of subclasses.

    Example:
        >>> x, s = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 4
        >>> run = train(x, s, parents=[0, 0, 1, 1], classes=s // 2, teacher_epochs=2, epochs=3)
        >>> run
        SubclassRun(skd on tensors, step 0 of 5)
    """
    from explore.core.registry import make_config, method as row

    if isinstance(student, str):
        options, student = {**options, "student": student}, None
    if method not in LESSONS:
        raise UnknownName("method", method, LESSONS)
    device = device or (str(images.device) if hasattr(images, "device") else "")
    config = make_config(
        row(method),
        {
            "method": method,
            "device": device,
            "data": "tensors",
            "parents": parents,
            "labels": 0,
            **options,
        },
    )
    return SubclassRun(config, (images, subclasses), teacher, student, classes)


def build(config: SubclassConfig, data: Any = None) -> SubclassRun:
    """The registry's builder."""
    return SubclassRun(config, config.data if data is None else data)


class SubclassRun(BaseRun):
    """One student's training, its teacher's before it where it has one; a ``Run`` whose step is an epoch.

    A frame holds the logits of teacher and student for images that neither learns from.
    """

    def __init__(
        self,
        options: SubclassConfig,
        data: Any,
        teacher: nn.Module | Factory | None = None,
        student: Factory | None = None,
        classes: torch.Tensor | None = None,
    ) -> None:
        self.options, self.name = options, options.method
        self.lesson = LESSONS[options.method]
        self.source = source = SubclassData(data, options.parents, options.device, classes)
        self.device, self.class_names = source.device, source.class_names
        if options.curriculum and source.agreement is None:
            raise InvalidInput(
                f"curriculum needs the agreement of annotators, which {source.name} does not have"
            )
        held, rest = source.order(options.seed, options.holdout)
        self.held, self._held_at = source[held], held
        for name, wanted in (
            ("labels", options.labels),
            ("teacher_images", options.teacher_images),
        ):
            if wanted > len(rest):
                said = f"{name}={wanted}, but the training set has {len(rest)} images besides {len(held)} that are held out"
                raise InvalidInput(f"{said}; {name}=0 takes them all")
        self._own_at = source.present(rest[: options.labels or None], "student")
        self.own = source[self._own_at]
        given = isinstance(teacher, nn.Module)
        if given and self.lesson.teacher not in ("subclass", ""):
            raise InvalidInput(
                f"{self.name} trains its own teacher; leave teacher out, or give a factory of untrained ones"
            )
        self.teacher: nn.Module | None = None
        self.teacher_epochs = options.teacher_epochs if self.lesson.teacher and not given else 0
        self._lessons: Fit | None = None
        seed = stream_seed(options.seed, "teacher")
        if given and self.lesson.teacher:
            self.teacher = teacher.to(source.device)  # type: ignore[union-attr]
            check_outputs("teacher", self.teacher, source)
        elif self.lesson.teacher:
            self.teacher = untrained_teacher(
                source, options.teacher_width, seed, options.prior, teacher
            )
            seen = source[source.present(rest[: options.teacher_images or None], "teacher")]
            self._lessons = teaching(
                self.teacher,
                self.lesson.teacher,
                source,
                seen,
                options,
                options.seed,
                options.teacher_epochs,
            )
        seed = stream_seed(options.seed, "student")
        self.student = untrained_student(
            source, options.student, options.width, seed, options.prior, student
        )
        self.steps = self.teacher_epochs + options.epochs
        self.every = self._frame_epochs()
        self.config: Mapping[str, Any] = {
            **options.identity(source.describe()),
            "parents": list(source.parents),
        }
        if given and self.teacher is not None:
            weights = list(self.teacher.state_dict().values())
            self.config = {
                **self.config,
                "teacher": {"network": type(teacher).__name__, "sha256": sha256_of(*weights)},
            }
        self.config = {
            **self.config,
            **described(teacher=None if given else teacher, student=student),
        }
        self._learning: Fit | None = None

    def _frame_epochs(self) -> list[int]:
        """Return the epochs that become frames: dense at the start of both trainings."""
        dense = FrameSteps(1.25)
        teacher = [epoch for epoch in range(self.teacher_epochs) if epoch in dense]
        return [
            *teacher,
            *(
                self.teacher_epochs + epoch
                for epoch in range(self.options.epochs + 1)
                if epoch in dense
            ),
        ]

    @property
    def message(self) -> str:
        """Who learns, and the loss of the last epoch."""
        if (
            self.step <= self.teacher_epochs
            and self._lessons is not None
            and self._learning is None
        ):
            return f"teacher, {self._lessons.message}"
        return f"student, {self._learning.message}" if self._learning else "student"

    def advance(self) -> None:
        """One epoch of the teacher, or of the student once the teacher has learnt; nothing once that is done."""
        if self.step >= self.steps:
            return
        if self.step < self.teacher_epochs:
            assert self._lessons is not None
            self._lessons.advance()
        else:
            self._fit().advance()
        self.step += 1

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Class probabilities ``[N, C]`` that the student gives images ``[N, ...]`` as it stands.

        Raises:
            InvalidInput: images of another shape than those it was made for.
        """
        if not isinstance(images, torch.Tensor) or tuple(images.shape[1:]) != self.source.shape:
            given = (
                list(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
            )
            raise InvalidInput(f"images must be a tensor {['N', *self.source.shape]}, got {given}")
        return class_probabilities(
            logits_of(self.student, images.to(self.source.device)), self.source.parents
        )

    def _fit(self) -> Fit:
        """The student's training; what its teacher says of its images is asked and softened once."""
        if self._learning is None:
            options, own = self.options, self.own
            goal = Objective(
                [Taught(self.lesson, options.distill_weight, options.temperature)],
                self.source.parents,
                options.soften,
            )
            said = None if self.teacher is None else logits_of(self.teacher, own.images)[:, None]
            targets = goal.targets(own.labels[:, None], own.subclasses[:, None], said)
            self._learning = learning(
                Several([self.student]),
                own.images[:, None],
                targets,
                goal,
                options.epochs,
                options.learning_rate,
                options.batch,
                stream_seed(options.seed, "student"),
                self._stages() if options.curriculum else None,
            )
        return self._learning

    def _stages(self) -> Any:
        """What the student may see in an epoch: images with full agreement first, then with less, in equal spans."""
        assert self.source.agreement is not None
        agreement = self.source.agreement[self._own_at]
        levels = agreement.unique().flip(0)

        def seen(epoch: int) -> torch.Tensor:
            stage = min(len(levels) - 1, epoch * len(levels) // self.options.epochs)
            return (agreement >= levels[stage]).nonzero().flatten()

        return seen

    def snapshot(self) -> xarray.Dataset:
        """Logits of the held-out images, by student and teacher, with what follows from them."""
        import xarray

        held, parents = self.held, self.source.parents
        said = {"student": logits_of(self.student, held.images)}
        if self.teacher is not None:
            said["teacher"] = logits_of(self.teacher, held.images)
        data: dict[str, Any] = {}
        for who, z in said.items():
            about = {"long_name": f"subclass logits of the {who}", "units": "1"}
            data[f"{who}_logits"] = (
                ("image", "subclass"),
                z.cpu().numpy().astype(np.float16),
                about,
            )
            right = (class_logits(z, parents).argmax(-1) == held.labels).float().mean()
            data[f"{who}_accuracy"] = (
                (),
                np.float32(right.cpu()),
                {"long_name": f"{who}, accuracy of classes", "units": "1"},
            )
            right = (z.argmax(-1) == held.subclasses).float().mean()
            about = {"long_name": f"{who}, accuracy of subclasses", "units": "1"}
            data[f"{who}_subclass_accuracy"] = ((), np.float32(right.cpu()), about)
            about = {"long_name": f"{who}, soft label bits at T = 1", "units": "bit"}
            data[f"{who}_bits"] = ((), np.float32(bits.label_bits(z, parents)), about)
        if self.teacher is not None:
            away = subclass_divergence(
                said["student"], said["teacher"], self.options.temperature
            ).mean()
            about = {"long_name": "T² KL(teacher ‖ student) over subclasses", "units": "nat"}
            data["divergence"] = ((), np.float32(away.cpu()), about)
        loss = self._learning.loss if self._learning else float("nan")
        data["loss"] = (
            (),
            np.float32(loss),
            {"long_name": "the student's loss in the last epoch", "units": "nat"},
        )
        learnt = min(self.step, self.teacher_epochs)
        for who, epochs in (("teacher", learnt), ("student", self.step - learnt)):
            data[f"{who}_epoch"] = (
                (),
                np.int32(epochs),
                {"long_name": f"epochs in which the {who} has learnt", "units": "1"},
            )
        return xarray.Dataset(data, self._constants())

    def _constants(self) -> dict[str, Any]:
        source, pictures = self.source, self.source.pictures(self._held_at)
        known: dict[str, Any] = {
            "subclass": ("subclass", np.array(source.subclass_names, object)),
            "class": ("class", np.array(source.class_names, object)),
            "parent": (
                "subclass",
                np.array(source.parents),
                {"long_name": "class of each subclass"},
            ),
            "image_subclass": (
                "image",
                self.held.subclasses.cpu().numpy(),
                {"long_name": "subclass of each image"},
            ),
        }
        if pictures is not None:
            known["picture"] = (
                ("image", "y", "x", "rgb")[: pictures.ndim],
                pictures,
                {"long_name": "held-out images"},
            )
        return known

    def result(self) -> xarray.Dataset:
        """The student's logits of the held-out images, in full precision, with their classes and subclasses."""
        import xarray

        logits = logits_of(self.student, self.held.images).cpu().numpy()
        held = {"labels": self.held.labels, "subclasses": self.held.subclasses}
        return xarray.Dataset(
            {
                "student_logits": (
                    ("image", "subclass"),
                    logits,
                    {"long_name": "subclass logits of the student", "units": "1"},
                ),
                **{name: ("image", value.cpu().numpy()) for name, value in held.items()},
            },
            {"parent": ("subclass", np.array(self.source.parents))},
        )

    def state(self) -> dict[str, Any]:
        """Return the step, and weights and optimizers of teacher and student."""
        state = super().state()
        for role, fit in (("teacher", self._lessons), ("student", self._learning)):
            if fit is not None:
                state |= {f"{role}.{name}": value for name, value in fit.state().items()}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        for role in ("teacher", "student"):
            prefix = f"{role}."
            part = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
            fit = self._lessons if role == "teacher" else self._fit() if part else None
            if part and fit is not None:
                fit.restore(part)
