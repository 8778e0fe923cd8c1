"""A run that trains the students of a study: all methods, widths and numbers of labels.

All students of one width are trained together (``models.MLPs``), and the logits of each teacher are
computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import BaseRun, stream_seed
from explore.errors import InvalidInput
from explore.subclass._network_checks import (
    check_trainable,
    check_trained,
    compute_logits,
    name_errors,
)
from explore.subclass.classification_metrics import report
from explore.subclass.config import TEACHING_SIGNALS, StudyConfig
from explore.subclass.label_information import label_bits
from explore.subclass.losses import class_logits, class_probabilities
from explore.subclass.networks import (
    Factory,
    check_factory,
    create_fit,
    create_students,
    create_teacher,
    factory_names,
    fit_teacher,
)
from explore.subclass.objective import Objective, StudentSettings
from explore.subclass.recordings import METRIC_LABELS, STUDY
from explore.subclass.study_jobs import StudentsJob, TeacherJob, epochs_for, teacher_images_of
from explore.subclass.training_data import SubclassData, resolve_parts

if TYPE_CHECKING:
    import xarray


def build(config: StudyConfig, data: Any = None) -> StudyRun:
    """Return the run of a configuration."""
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
    """Return a study on your own data: students of every method, five runs each.

    ``record`` it, then show it with ``table`` and ``lab.widths``.

    Args:
        train, test: each an ``ImageSet`` or a pair ``(images, subclasses)``: float ``[N, ...]`` and
            integers ``[N]``.
        parents: class of each subclass; not needed if an ``ImageSet`` has subclasses.
        teacher, student: ``factory(outputs, seed)``; by default as for ``explore.subclass.train``.
        **options: the other fields of ``StudyConfig``, such as ``labels=[50, 200]``.

    Raises:
        InvalidInput: see ``StudyConfig`` and ``SubclassData``.

    Example:
        >>> x, s = torch.randn(60, 2), torch.arange(60) % 4
        >>> compare((x, s), (x, s), [0, 0, 1, 1], labels=[20], widths=[4], seeds=2)
        StudyRun(subclass-study on tensors, step 0 of 5)
    """
    from explore.core.registry import make_config, method

    values = {**options, "parents": parents, "data": "tensors"}
    config = make_config(method("subclass-study"), values)
    return StudyRun(config, (train, test), teacher, student)


class StudyRun(BaseRun):
    """A study of many students. A step trains one teacher, or all students of one width.

    Run k of every method uses the same images, and its students of one width have the same initial
    weights. So differences between methods are paired.

    Args:
        options: see ``StudyConfig``.
        data: the name of a set, its description or an ``ImageSet`` of ``load``; the split for the
            scores is loaded too. Or a pair of the data for training and for the scores, each an
            ``ImageSet`` or a pair ``(images, subclasses)`` of tensors.
        teacher, student: ``factory(outputs, seed)``. A factory of students ignores the width.
        teachers: trained teachers by key, from a study with the same data, seed and options of the
            teachers. The teachers of this study are added.
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
        for name, factory in (("teacher", teacher), ("student", student)):
            if factory is not None:
                check_factory(name, factory)
        self.options = options
        self.teachers = {} if teachers is None else teachers
        train, test = resolve_parts(data, options.split)
        self.source = source = SubclassData(train, options.parents, options.device)
        self.device, self.class_names = source.device, source.class_names
        scored = SubclassData(test, source.parents, options.device)
        if scored.shape != source.shape:
            raise InvalidInput(
                f"the images for the scores have the shape {list(scored.shape)}, those of the "
                f"training {list(source.shape)}; both need the same"
            )
        self.test = scored[:]
        if options.positive >= len(source.class_names):
            raise InvalidInput(
                f"positive must be one of the classes 0..{len(source.class_names) - 1}, "
                f"got {options.positive}"
            )
        self._teacher_factory, self._student_factory = teacher, student
        self.config: Mapping[str, Any] = {
            **options.identity(source.describe()),
            "parents": list(source.parents),
            **factory_names(teacher=teacher, student=student),
        }
        largest = max(*options.labels, *options.teacher_images)
        if largest > len(source):
            raise InvalidInput(
                f"labels or teacher_images is {largest}, but {source.name} has only "
                f"{len(source)} training images"
            )
        self._orders = [source.order(options.seed + run)[1] for run in range(options.seeds)]
        self._teacher_logits: dict[str, torch.Tensor] = {}
        kinds = [TEACHING_SIGNALS[method].teacher for method in options.methods]
        self._kinds = list(dict.fromkeys(kind for kind in kinds if kind))
        shape = [len(options.labels), len(options.teacher_images)]
        scores_shape = [len(options.methods), len(options.temperatures), *shape]
        scores_shape = [len(METRIC_LABELS), *scores_shape, len(options.widths), options.seeds]
        self._scores = np.full(scores_shape, np.nan, np.float32)
        teachers_shape = (2, max(1, len(self._kinds)), *shape, options.seeds)
        self._teacher_scores = np.full(teachers_shape, np.nan, np.float32)
        self._jobs = self._plan()
        self.steps = len(self._jobs)
        self.every = self.steps  # The first and the last step are frames.
        self._message = "study"

    @property
    def message(self) -> str:
        """What the last step trained."""
        return self._message

    def _plan(self) -> list[TeacherJob | StudentsJob]:
        jobs: list[TeacherJob | StudentsJob] = []
        for labels in self.options.labels:
            for images in self.options.teacher_images:
                for kind in self._kinds:
                    count = teacher_images_of(images, labels)
                    teachers = [TeacherJob(kind, count, run) for run in range(self.options.seeds)]
                    jobs += [job for job in teachers if job not in jobs]
                jobs += [StudentsJob(labels, images, width) for width in self.options.widths]
        return jobs

    def advance(self) -> None:
        """Train one teacher, or all students of one width."""
        if self.step >= self.steps:
            return
        job = self._jobs[self.step]
        if isinstance(job, TeacherJob):
            self._train_teacher(job)
        else:
            self._train_students(job)
        self.step += 1

    def _train_teacher(self, job: TeacherJob) -> None:
        options, source = self.options, self.source
        seed, order = options.seed + job.run, self._orders[job.run]
        network = self.teachers.get(job.key)
        if network is None:
            initial = stream_seed(seed, "teacher")
            network = create_teacher(
                source, options.teacher_width, initial, options.prior, self._teacher_factory
            )
            samples = source.training_set(order[: job.images or None], "teacher")
            epochs = epochs_for(options.teacher_updates, len(samples), options.teacher_batch)
            own = self._teacher_factory is not None
            fit = fit_teacher(network, job.kind, source, samples, options, seed, epochs, own)
            with name_errors("teacher", own):
                fit.run()
            self.teachers[job.key] = network
        student_images = source[order[: max(options.labels)]].images
        self._teacher_logits[job.key] = compute_logits(network, student_images)
        z = compute_logits(network, self.test.images)
        check_trained("teacher", z, "a lower teacher_rate may help")
        is_correct = class_logits(z, source.parents).argmax(-1) == self.test.labels
        scores = (float(is_correct.float().mean()), label_bits(z, source.parents))
        kind = self._kinds.index(job.kind)
        for i, labels in enumerate(options.labels):
            for j, images in enumerate(options.teacher_images):
                if job.images == teacher_images_of(images, labels):
                    self._teacher_scores[:, kind, i, j, job.run] = scores
        self._message = f"teacher of {job.kind} subclasses: {scores[0]:.1%}"

    def _train_students(self, job: StudentsJob) -> None:
        options, source = self.options, self.source
        students = [
            (method, temperature, run)
            for method in options.methods
            for temperature in self._temperatures(method)
            for run in range(options.seeds)
        ]
        seeds = [stream_seed(options.seed + run, "student") for *_, run in students]
        network = create_students(
            source, options.student, job.width, seeds, options.prior, self._student_factory
        )
        samples = [source.training_set(order[: job.labels], "student") for order in self._orders]
        images, labels, subclasses = (
            torch.stack([getattr(samples[run], name) for *_, run in students], 1)
            for name in ("images", "labels", "subclasses")
        )
        no_teacher = torch.zeros(job.labels, len(source.parents), device=source.device)
        logits, settings = [], []
        for method, temperature, run in students:
            signal = TEACHING_SIGNALS[method]
            settings.append(StudentSettings(signal, options.distill_weight, temperature))
            if signal.teacher:
                key = job.teacher_key(signal.teacher, run)
                logits.append(self._teacher_logits[key][: job.labels])
            else:
                logits.append(no_teacher)
        objective = Objective(settings, source.parents, options.soften)
        own = self._student_factory is not None
        if own:
            counts = [job.labels]
            check_trainable("student", network, images, counts, options.batch)
        fit = create_fit(
            network,
            images,
            objective.targets(labels, subclasses, torch.stack(logits, 1)),
            objective,
            epochs_for(options.updates, job.labels, options.batch),
            options.learning_rate,
            options.batch,
            stream_seed(options.seed, "student"),
        )
        with name_errors("student", own):
            fit.run()
        z = compute_logits(network, self.test.images[:, None], 250)
        check_trained("student", z.flatten(0, 1), "a lower learning_rate may help")
        self._score(job, students, z)
        self._message = f"{len(students)} students, {job.width} wide, {job.labels} labels"

    def _temperatures(self, method: str) -> list[float]:
        """Return the temperatures of a method. Methods without a teacher do not depend on it."""
        count = None if TEACHING_SIGNALS[method].teacher else 1
        return list(self.options.temperatures)[:count]

    def _score(
        self, job: StudentsJob, students: list[tuple[str, float, int]], logits: torch.Tensor
    ) -> None:
        options, labels = self.options, self.test.labels.cpu().numpy()
        setting = (
            options.labels.index(job.labels),
            options.teacher_images.index(job.teacher_images),
            options.widths.index(job.width),
        )
        for k, (method, temperature, run) in enumerate(students):
            probabilities = class_probabilities(logits[:, k].double(), self.source.parents)
            scores = report(probabilities, labels, options.positive)
            # Without a teacher the score holds for all temperatures.
            t = options.temperatures.index(temperature)
            temperatures = t if TEACHING_SIGNALS[method].teacher else slice(None)
            scores_of_run = self._scores[:, options.methods.index(method), :, *setting, run]
            for metric, name in enumerate(METRIC_LABELS):
                scores_of_run[metric, temperatures] = scores[name]

    def snapshot(self) -> xarray.Dataset:
        """Return all scores, NaN for students and teachers that are not trained yet."""
        options = self.options
        values = {
            "score": self._scores.copy(),
            "teacher_accuracy": self._teacher_scores[0].copy(),
            "teacher_bits": self._teacher_scores[1].copy(),
        }
        coordinates = {
            "measure": np.array(list(METRIC_LABELS), object),
            "lesson": np.array(options.methods, object),
            "temperature": np.array(options.temperatures, np.float64),
            "labels": np.array(options.labels),
            "teacher_images": np.array(options.teacher_images),
            "width": np.array(options.widths),
            "run": np.arange(options.seeds),
            "kind": np.array(self._kinds or [""], object),
            "class": np.array(self.source.class_names, object),
            "subclass": np.array(self.source.subclass_names, object),
        }
        frame = STUDY.frame(values, coordinates)
        frame["score"].attrs["long_name"] = f"score on the {options.split} images"
        return frame

    def state(self) -> dict[str, Any]:
        """Return the step, the scores, and the logits of the teachers."""
        return {
            **super().state(),
            "scores": self._scores.copy(),
            "teacher_scores": self._teacher_scores.copy(),
            **{key: z.cpu().numpy().copy() for key, z in self._teacher_logits.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._scores = np.array(state["scores"], np.float32)
        self._teacher_scores = np.array(state["teacher_scores"], np.float32)
        self._teacher_logits = {
            key: torch.from_numpy(np.array(value)).to(self.source.device)
            for key, value in state.items()
            if key.startswith("teacher.")
        }
