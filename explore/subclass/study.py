"""A study: students of every method, width and label count, several seeds each, side by side; a Run.

All students of one width train at once (``models.MLPs``), and each teacher's logits are computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import BaseRun, stream_seed
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput
from explore.models.training import logits_of
from explore.subclass import label_information as bits
from explore.subclass.classification_metrics import report
from explore.subclass.config import LESSONS, StudyConfig
from explore.subclass.losses import class_logits, class_probabilities
from explore.subclass.networks import (
    Factory,
    described,
    learning,
    students,
    teacher as untrained_teacher,
    teaching,
)
from explore.subclass.objective import Objective, Taught
from explore.subclass.study_tables import DIMS, MEASURES
from explore.subclass.training_data import SubclassData

if TYPE_CHECKING:
    import xarray

JUST = -1
"""In ``teacher_images``: the teacher sees just what its student sees."""


@dataclass(frozen=True)
class Teacher:
    """One teacher to be trained: of a kind, on its first ``seen`` images (0: all), in one run."""

    kind: str
    seen: int
    run: int

    @property
    def key(self) -> str:
        """Its name in a checkpoint."""
        return f"teacher.{self.kind}.{self.seen}.{self.run}"


@dataclass(frozen=True)
class Group:
    """Students of one width that are trained together: of every method, temperature and run."""

    labels: int
    teacher_images: int
    width: int


def build(config: StudyConfig, data: Any = None) -> StudyRun:
    """The registry's builder."""
    return StudyRun(config, config.data if data is None else data)


def compare(
    train: Any,
    test: Any,
    parents: Any = None,
    *,
    teacher: Factory | None = None,
    student: Factory | None = None,
    **options: Any,
) -> StudyRun:
    """A study on your own data: students of every method, five runs each; ``record`` it, then ``table`` and ``lab.widths``.

    Args:
        train, test: each an ``ImageSet`` or a pair ``(images, subclasses)``: float ``[N, ...]`` and integers ``[N]``.
        parents: class of each subclass; an ``ImageSet`` may have its own.
        teacher, student: ``factory(outputs, seed)``; by default as for ``explore.subclass.train``.
        **options: the other fields of ``StudyConfig``, such as ``labels=[50, 200]``.

    Raises:
        InvalidInput: see ``StudyConfig`` and ``SubclassData``.

    Example:
        >>> x, s = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 4
        >>> compare((x, s), (x, s), [0, 0, 1, 1], labels=[20], widths=[4], seeds=2)
        StudyRun(tensors, step 0 of 5)
    """
    return StudyRun(
        StudyConfig(parents=parents, data="tensors", **options), (train, test), teacher, student
    )


class StudyRun(BaseRun):
    """Many students; a ``Run`` whose step trains one teacher, or all students of one width, label count and teacher's data.

    Run k of every method has the same images, and its students of one width start from the same weights: differences are paired.

    Args:
        options: see ``StudyConfig``.
        data: the name of a set, its description or an ``ImageSet`` that ``load`` made, of which the part to score on is
            loaded too; or what to train and to score on, each an ``ImageSet`` or a pair ``(images, subclasses)`` of tensors.
        teacher, student: ``factory(outputs, seed)``; a student's width is then its own affair.
        teachers: trained ones by key, from a study with the same data, seed and teachers' options; those that this study
            trains are added.
    """

    name = "subclass-study"

    def __init__(
        self,
        options: StudyConfig,
        data: Any,
        teacher: Factory | None = None,
        student: Factory | None = None,
        teachers: dict[str, nn.Module] | None = None,
    ) -> None:
        self.options = options
        self.teachers = {} if teachers is None else teachers
        train, test = _parts(data, options.split)
        self.source = source = SubclassData(train, options.parents, options.device)
        self.device, self.class_names = source.device, source.class_names
        scored = SubclassData(test, source.parents, options.device)
        self.test = scored[:]
        self._teacher, self._student = teacher, student
        self.config: Mapping[str, Any] = {
            **options.identity(source.describe()),
            "parents": list(source.parents),
            **described(teacher=teacher, student=student),
        }
        most = max(max(options.labels), *options.teacher_images)
        if most > len(source):
            raise InvalidInput(
                f"{most} images are asked for, but {source.name} has {len(source)} to train on"
            )
        self._orders = [source.order(options.seed + run)[1] for run in range(options.seeds)]
        self._said: dict[str, torch.Tensor] = {}
        sizes = [
            len(getattr(options, name))
            for name in ("methods", "temperatures", "labels", "teacher_images", "widths")
        ]
        self._scores = np.full((len(MEASURES), *sizes, options.seeds), np.nan, np.float32)
        kinds = list(
            dict.fromkeys(
                LESSONS[name].teacher for name in options.methods if LESSONS[name].teacher
            )
        )
        self._kinds = kinds
        self._teacher_scores = np.full(
            (2, max(1, len(kinds)), sizes[2], sizes[3], options.seeds), np.nan, np.float32
        )
        self._jobs = self._planned()
        self.steps = len(self._jobs)
        self.every = self.steps  # a frame at the start, one at the end
        self._done = ""

    @property
    def message(self) -> str:
        """What the last step trained."""
        return self._done or "study"

    def _planned(self) -> list[Teacher | Group]:
        jobs: list[Teacher | Group] = []
        for labels in self.options.labels:
            for images in self.options.teacher_images:
                for kind in self._kinds:
                    wanted = [
                        Teacher(kind, labels if images == JUST else images, run)
                        for run in range(self.options.seeds)
                    ]
                    jobs += [teacher for teacher in wanted if teacher not in jobs]
                jobs += [Group(labels, images, width) for width in self.options.widths]
        return jobs

    def advance(self) -> None:
        """Train one teacher, or all students of one group; nothing once that is done."""
        if self.step >= self.steps:
            return
        job = self._jobs[self.step]
        if isinstance(job, Teacher):
            self._teach(job)
        else:
            self._learn(job)
        self.step += 1

    def _teach(self, job: Teacher) -> None:
        options, source = self.options, self.source
        seed, order = options.seed + job.run, self._orders[job.run]
        network = self.teachers.get(job.key)
        if network is None:
            network = untrained_teacher(
                source,
                options.teacher_width,
                stream_seed(seed, "teacher"),
                options.prior,
                self._teacher,
            )
            seen = source.present(order[: job.seen or None], "teacher")
            epochs = epochs_for(options.teacher_updates, len(seen), options.teacher_batch)
            teaching(network, job.kind, source, source[seen], options, seed, epochs).run()
            self.teachers[job.key] = network
        asked = order[: max(options.labels)]
        self._said[job.key] = logits_of(network, source[asked].images)
        z = logits_of(network, self.test.images)
        right = (class_logits(z, source.parents).argmax(-1) == self.test.labels).float().mean()
        found = (float(right), bits.label_bits(z, source.parents))
        for at, images in np.ndindex(len(options.labels), len(options.teacher_images)):
            given = options.teacher_images[images]
            if job.seen == (options.labels[at] if given == JUST else given):
                self._teacher_scores[:, self._kinds.index(job.kind), at, images, job.run] = found
        self._done = f"teacher of {job.kind} subclasses: {found[0]:.1%}"

    def _learn(self, job: Group) -> None:
        options, source = self.options, self.source
        each = [
            (method, heat, run)
            for method in options.methods
            for heat in self._heats(method)
            for run in range(options.seeds)
        ]
        seeds = [stream_seed(options.seed + run, "student") for *_, run in each]
        network = students(source, options.student, job.width, seeds, options.prior, self._student)
        parts = [source[source.present(order[: job.labels], "student")] for order in self._orders]
        images, labels, subclasses = (
            torch.stack([getattr(parts[run], name) for *_, run in each], 1)
            for name in ("images", "labels", "subclasses")
        )
        blank = torch.zeros(job.labels, len(source.parents), device=source.device)
        seen = job.labels if job.teacher_images == JUST else job.teacher_images
        said = [
            self._said[Teacher(LESSONS[method].teacher, seen, run).key][: job.labels]
            if LESSONS[method].teacher
            else blank
            for method, _, run in each
        ]
        goal = Objective(
            [Taught(LESSONS[m], options.distill_weight, heat) for m, heat, _ in each],
            source.parents,
            options.soften,
        )
        targets = goal.targets(labels, subclasses, torch.stack(said, 1))
        epochs, seed = (
            epochs_for(options.updates, job.labels, options.batch),
            stream_seed(options.seed, "student"),
        )
        learning(
            network, images, targets, goal, epochs, options.learning_rate, options.batch, seed
        ).run()
        self._score(job, each, logits_of(network, self.test.images[:, None], 250))
        self._done = f"{len(each)} students, {job.width} wide, {job.labels} labels"

    def _heats(self, method: str) -> list[float]:
        """The temperatures at which a method is studied: one is enough where none is used."""
        return (
            list(self.options.temperatures)
            if LESSONS[method].teacher
            else [self.options.temperatures[0]]
        )

    def _score(self, job: Group, each: list[tuple[str, float, int]], logits: torch.Tensor) -> None:
        options, labels = self.options, self.test.labels.cpu().numpy()
        place = (
            options.labels.index(job.labels),
            options.teacher_images.index(job.teacher_images),
            options.widths.index(job.width),
        )
        for k, (method, heat, run) in enumerate(each):
            found = report(
                class_probabilities(logits[:, k].double(), self.source.parents),
                labels,
                options.positive,
            )
            heats = (
                [options.temperatures.index(heat)]
                if LESSONS[method].teacher
                else range(len(options.temperatures))
            )
            for t in heats:
                self._scores[(slice(None), options.methods.index(method), t, *place, run)] = [
                    found[name] for name in MEASURES
                ]

    def snapshot(self) -> xarray.Dataset:
        """All scores so far; NaN where students are still to be trained."""
        import xarray

        options = self.options
        about = {"long_name": f"score on the {options.split} images", "units": "1"}
        data = {
            "score": (("measure", *DIMS), self._scores.copy(), about),
            "teacher_accuracy": (
                ("kind", "labels", "teacher_images", "run"),
                self._teacher_scores[0].copy(),
                {"long_name": "accuracy of the teachers", "units": "1"},
            ),
            "teacher_bits": (
                ("kind", "labels", "teacher_images", "run"),
                self._teacher_scores[1].copy(),
                {"long_name": "soft label bits of the teachers at T = 1", "units": "bit"},
            ),
        }
        known: dict[str, Any] = {
            "measure": ("measure", np.array(list(MEASURES), object)),
            "lesson": ("lesson", np.array(options.methods, object)),
            "temperature": ("temperature", np.array(options.temperatures, np.float64)),
            "labels": ("labels", np.array(options.labels)),
            "teacher_images": ("teacher_images", np.array(options.teacher_images)),
            "width": ("width", np.array(options.widths)),
            "run": ("run", np.arange(options.seeds)),
            "kind": ("kind", np.array(self._kinds or [""], object)),
            "class": ("class", np.array(self.source.class_names, object)),
            "subclass": ("subclass", np.array(self.source.subclass_names, object)),
        }
        return xarray.Dataset(data, known)

    def state(self) -> dict[str, Any]:
        """Scores, and what the teachers said."""
        said = {name: logits.cpu().numpy().copy() for name, logits in self._said.items()}
        return {
            **super().state(),
            "scores": self._scores.copy(),
            "teacher_scores": self._teacher_scores.copy(),
            **said,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        self._scores, self._teacher_scores = (
            np.array(state[name], np.float32) for name in ("scores", "teacher_scores")
        )
        said = {name: value for name, value in state.items() if name.startswith("teacher.")}
        self._said = {
            name: torch.from_numpy(np.array(value)).to(self.source.device)
            for name, value in said.items()
        }


def epochs_for(updates: int, labels: int, batch: int) -> int:
    """Whole epochs with at least that many optimisation steps.

    Example:
        >>> epochs_for(600, 200, 64)
        150
    """
    return -(-updates // -(-labels // batch))


def _parts(data: Any, split: str) -> tuple[Any, Any]:
    """What students learn from, and what they are scored on."""
    from explore.data import load

    if (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(isinstance(part, ImageSet | tuple | list) for part in data)
    ):
        return data[0], data[1]
    given = data
    if isinstance(data, str):
        given = load(data)
    elif isinstance(data, Mapping) and data.get("name") != "tensors":
        given = load(data["name"], **{**data.get("options", {}), "split": "train"})
    if not isinstance(given, ImageSet):
        expected = "the name of a set, an ImageSet, or (train, test), each an ImageSet or a pair (images, subclasses)"
        raise InvalidInput(f"data must be {expected}; got {type(data).__name__}")
    return given, load(given.name, **{**given.options, "split": split})
