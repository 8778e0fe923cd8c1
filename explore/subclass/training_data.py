"""Images with classes and subclasses for teachers and students."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from explore.core.label_hierarchy import check_labels, check_subclasses, check_superclasses
from explore.core.runs import stream_seed
from explore.data._checks import check_images
from explore.data._resolve import loader_options, resolve_dataset
from explore.data.image_set import ImageSet, sha256_of
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput

HALVES = (0,) * 5 + (1,) * 5
SUPERCLASSES: Mapping[str, tuple[tuple[int, ...], tuple[str, str]]] = {
    "digits": (HALVES, ("0 to 4", "5 to 9")),
    "mnist": (HALVES, ("0 to 4", "5 to 9")),
    "fashion-mnist": (HALVES, ("T-shirt to coat", "sandal to boot")),
    "cifar10-jpeg": ((1, 1, 0, 0, 0, 0, 0, 0, 1, 1), ("animal", "vehicle")),
}
"""Default superclasses of the classes of a set, which become subclasses, and their names."""


@dataclass(frozen=True)
class LabelledImages:
    """Images in model units, with their classes and subclasses."""

    images: torch.Tensor
    labels: torch.Tensor
    subclasses: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Any) -> LabelledImages:
        return LabelledImages(self.images[indices], self.labels[indices], self.subclasses[indices])


class SubclassData(TrainingData):
    """Images with classes and subclasses, in model units, on one device.

    Args:
        data: as for ``TrainingData``; a pair of tensors, arrays or lists is ``(images,
            subclasses)``.
        parents: class of each subclass; by default those of the set, or of ``SUPERCLASSES``.
        device: of the images.
        classes: classes of the samples of a pair, to check that they agree with the subclasses.

    Attributes:
        parents: class of each subclass.
        class_names, subclass_names: their names.

    Raises:
        InvalidInput: no subclasses and no parents, labels that contradict the parents, a class
            without images, NaN or Inf.
    """

    def __init__(
        self, data: Any, parents: Any = None, device: str = "", classes: Any = None
    ) -> None:
        image_set, images, subclasses = resolve_dataset(data)
        if image_set is None:
            if parents is None:
                raise InvalidInput(
                    "tensors have no superclasses; pass parents=[class of each subclass]"
                )
            parents = check_superclasses(parents)
            check_images(images, subclasses, labels_name="subclasses", any_rank=True)
            if classes is not None:
                check_labels(classes, subclasses, parents)
            labels = torch.from_numpy(parents[check_subclasses(subclasses, len(parents))])
            super().__init__((images, labels), device=device)
            self.sha256 = sha256_of(images, subclasses)
            self.parents = tuple(parents.tolist())
            self.class_names = tuple(f"class {k}" for k in range(max(self.parents) + 1))
            self.subclass_names = tuple(f"subclass {k}" for k in range(len(self.parents)))
        else:
            image_set = with_subclasses(image_set, parents)
            super().__init__(image_set, device=device)
            assert image_set.subclasses is not None
            subclasses, self.parents = image_set.subclasses, tuple(image_set.parents)
            self.class_names = tuple(image_set.class_names)
            self.subclass_names = tuple(image_set.subclass_names)
        self._pixels = None if image_set is None else image_set.images
        tensors = (self.batch(), self.labels, subclasses.long())
        self._all = LabelledImages(*(tensor.to(self.device) for tensor in tensors))
        self._check_classes(self.labels, f"the {len(self)} training images")

    def __getitem__(self, indices: Any) -> LabelledImages:
        return self._all[indices]

    @property
    def agreement(self) -> torch.Tensor | None:
        """Agreement of the annotators for each image; None if the set has none."""
        return None if self.set is None else self.set.agreement

    def order(self, seed: int, holdout: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Return indices of ``holdout`` images (at most a fifth), and of all others, shuffled."""
        count = min(holdout, len(self) // 5)
        generator = np.random.default_rng(stream_seed(seed, "labels"))
        order = torch.from_numpy(generator.permutation(len(self)))
        return order[:count], order[count:]

    def training_set(self, indices: Any, role: str) -> LabelledImages:
        """Return the images at ``indices``, among which every class must be present.

        Args:
            indices: of images.
            role: "teacher" or "student", for error messages.

        Raises:
            InvalidInput: a class has no image among them.
        """
        samples = self[indices]
        self._check_classes(samples.labels, f"the {len(samples)} images of the {role}")
        return samples

    def _check_classes(self, labels: torch.Tensor, images: str) -> None:
        for k, name in enumerate(self.class_names):
            if not (labels == k).any():
                raise InvalidInput(
                    f"class {name!r} has no image among {images}; every class needs at least one"
                )

    def pictures(self, indices: torch.Tensor) -> np.ndarray | None:
        """Return uint8 ``[n, H, W]`` or ``[n, H, W, 3]``; None for tensors (unknown units)."""
        if self._pixels is None:
            return None
        pixels = self._pixels[indices]
        return (pixels[:, 0] if pixels.shape[1] < 3 else pixels.permute(0, 2, 3, 1)).numpy()


def with_subclasses(image_set: ImageSet, parents: Any = None) -> ImageSet:
    """Return an image set with subclasses: its own, or its classes grouped to superclasses.

    Raises:
        InvalidInput: the set has no subclasses and no default superclasses and ``parents`` is None;
            or ``parents`` does not fit.

    Example:
        >>> from explore.data import load
        >>> with_subclasses(load("digits")).class_names
        ('0 to 4', '5 to 9')
    """
    if parents is None and len(image_set.parents):
        return image_set
    default, names = SUPERCLASSES.get(image_set.name, (None, ()))
    if parents is None and default is None:
        raise InvalidInput(
            f"{image_set.name} has no subclasses; pass parents=[…], "
            f"the superclass of each of its {len(image_set.class_names)} classes"
        )
    superclasses = check_superclasses(default if parents is None else parents)
    if image_set.subclasses is not None and len(image_set.parents):
        if superclasses.tolist() == list(image_set.parents):
            return image_set
        # The subclasses of the set become its classes, which get other superclasses.
        check_superclasses(superclasses, len(image_set.subclass_names))
        image_set = replace(
            image_set,
            labels=image_set.subclasses,
            class_names=image_set.subclass_names,
            subclasses=None,
            subclass_names=(),
            parents=(),
            multi_hot=None,  # It has the former classes.
        )
        return image_set.grouped(superclasses.tolist())
    is_default = default is not None and superclasses.tolist() == list(default)
    return image_set.grouped(superclasses.tolist(), names if is_default else ())


def resolve_parts(data: Any, split: str) -> tuple[Any, Any]:
    """Return the data for training, and those on which students are scored.

    Args:
        data: a pair of these, or the name, description or ``ImageSet`` of a set.
        split: of the set on which students are scored.

    Raises:
        InvalidInput: ``data`` is none of these.
    """
    from explore.data import load

    is_pair = isinstance(data, tuple | list) and len(data) == 2
    if is_pair and all(isinstance(part, ImageSet | tuple | list) for part in data):
        return data[0], data[1]
    train = data
    if isinstance(data, str):
        train = load(data)
    elif isinstance(data, Mapping) and data.get("name") != "tensors":
        options = {**loader_options(data.get("options") or {}), "split": "train"}
        train = resolve_dataset({**data, "options": options})[0]
    if not isinstance(train, ImageSet):
        raise InvalidInput(
            "data must be the name of a set, an ImageSet, or (train, test), each an ImageSet or "
            f"a pair (images, subclasses); got {type(data).__name__}"
        )
    return train, load(train.name, **{**train.options, "split": split})
