"""The function that trains a teacher and a student on data of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from explore.core.validation import check_choice
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput
from explore.subclass.config import TEACHING_SIGNALS
from explore.subclass.networks import Factory
from explore.subclass.run import SubclassRun
from explore.subclass.teacher_file import Teacher


def train(
    images: Any,
    subclasses: Any = None,
    parents: Any = None,
    method: str = "skd",
    *,
    classes: Any = None,
    teacher: nn.Module | Factory | Teacher | str | Path | None = None,
    student: Factory | str | None = None,
    device: str | None = None,
    **options: Any,
) -> SubclassRun:
    """Return a run that trains a teacher on your subclasses, and a student on the teacher's labels.

    Pass it to ``record``, or call ``advance`` in a loop.

    Args:
        images: floats ``[N, ...]``, normalised for your networks, in a tensor, an array or a list;
            they are computed in float32. At most a fifth is held out. Or an ``ImageSet``, which
            holds its subclasses itself.
        subclasses: integers ``[N]`` of any type, 0..S-1.
        parents: class of each subclass, ``[S]``; a set may have them already.
        method: "skd", "kd", "scratch", "labels-only", "random-subclasses" or "found-subclasses".
        classes: of the samples, ``[N]``, to check that they agree with the subclasses.
        teacher: a trained network, ``[N, ...]`` to subclass logits ``[N, S]``, which is not trained
            again. It may return them in a tuple that starts with them or by the name ``logits``,
            and may be of any type of floats. Or a ``Teacher`` or its file; or
            ``factory(outputs, seed)`` that returns an untrained one. By default a small ConvNet, or
            an MLP if the samples are not images. If classes have different numbers of subclasses,
            the last biases of a factory's network are set (unless ``prior=False``).
        student: ``factory(outputs, seed)``, or "mlp" (the default, with ``width`` hidden units), or
            "convnet".
        device: of the computation; by default that of ``images``.
        **options: the other fields of ``SubclassConfig``. ``labels``, the number of images for the
            student, is 0 (all images) by default.

    Returns:
        A ``Run`` at step 0. Its steps are the epochs of the teacher and then of the student.
        ``run.student`` is the network, ``[N, ...]`` to subclass logits ``[N, S]``; ``run.predict``
        returns class probabilities.

    Raises:
        InvalidInput: see ``SubclassConfig`` and ``SubclassData``; or a network that does not fit,
            or that cannot be trained on a batch of the size that would occur.

    Warns:
        ExploreWarning: the outputs of a network look like probabilities.

    Example:
        >>> x, s = torch.randn(40, 2), torch.arange(40) % 4
        >>> run = train(x, s, parents=[0, 0, 1, 1], classes=s // 2, teacher_epochs=2, epochs=3)
        >>> run
        SubclassRun(skd on tensors, step 0 of 5)
    """
    from explore.core.registry import make_config, method as registered_method

    if isinstance(student, str):
        options, student = {**options, "student": student}, None
    method = check_choice("method", method, TEACHING_SIGNALS)
    data: Any = (images, subclasses)
    if isinstance(images, ImageSet):
        if subclasses is not None:
            raise InvalidInput("an ImageSet holds its subclasses; omit subclasses")
        data = images
    elif subclasses is None:
        raise InvalidInput("images need subclasses, integers [N]; got None")
    if device is None or (isinstance(device, str) and not device):
        device = str(images.device) if isinstance(images, torch.Tensor) else ""
    values = {"method": method, "device": device, "data": "tensors", "parents": parents}
    if isinstance(teacher, Teacher | str | Path):
        options, teacher = {**options, "teacher": teacher}, None
    config = make_config(registered_method(method), {**values, "labels": 0, **options})
    return SubclassRun(config, data, teacher, student, classes)
