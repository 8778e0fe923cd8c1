"""Images with classes and subclasses, and which of them a student and its teacher train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from explore.core.label_hierarchy import check_labels, check_parents, check_subclasses
from explore.core.runs import stream_seed
from explore.data._resolve import resolve_dataset
from explore.data.image_set import ImageSet, sha256_of
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput

HALVES = (0,) * 5 + (1,) * 5
GROUPS: Mapping[str, tuple[tuple[int, ...], tuple[str, str]]] = {
    "digits": (HALVES, ("0 to 4", "5 to 9")),
    "mnist": (HALVES, ("0 to 4", "5 to 9")),
    "fashion-mnist": (HALVES, ("T-shirt to coat", "sandal to boot")),
    "cifar10-jpeg": ((1, 1, 0, 0, 0, 0, 0, 0, 1, 1), ("animal", "vehicle")),
}
"""How sets without subclasses of their own are grouped if nothing else is said: their classes become subclasses."""


@dataclass(frozen=True)
class Part:
    """Some images in model units, with their classes and subclasses."""

    images: torch.Tensor
    labels: torch.Tensor
    subclasses: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Any) -> Part:
        return Part(self.images[indices], self.labels[indices], self.subclasses[indices])


class SubclassData(TrainingData):
    """Images with classes and subclasses, in model units, on one device.

    Args:
        data: as for ``TrainingData``; a pair of tensors is ``(images, subclasses)``.
        parents: class of each subclass; by default the set's own, or that of ``GROUPS``.
        device: where the images are.
        classes: classes of a pair's samples, where they are to be checked against the subclasses.

    Raises:
        InvalidInput: no subclasses and no parents, labels that contradict the map, a class without
            images, NaN or Inf.
    """

    def __init__(
        self, data: Any, parents: Any = None, device: str = "", classes: torch.Tensor | None = None
    ) -> None:
        images_set, images, subclasses = resolve_dataset(data)
        if images_set is None:
            if parents is None:
                raise InvalidInput(
                    "tensors come without a parent map; give parents=[class of each subclass]"
                )
            parents = check_parents(parents)
            check_tensors(images, subclasses)
            if classes is not None:
                check_labels(classes, subclasses, parents)
            labels = torch.from_numpy(parents[check_subclasses(subclasses, len(parents))])
            super().__init__((images, labels), device=device)
            self.sha256 = sha256_of(images, subclasses)
            self.parents = tuple(parents.tolist())
            self.class_names = tuple(f"class {k}" for k in range(max(self.parents) + 1))
            self.subclass_names = tuple(f"subclass {k}" for k in range(len(self.parents)))
        else:
            images_set = as_subclasses(images_set, parents)
            super().__init__(images_set, device=device)
            assert images_set.subclasses is not None
            subclasses, self.parents = images_set.subclasses, tuple(images_set.parents)
            self.class_names = tuple(images_set.class_names)
            self.subclass_names = tuple(images_set.subclass_names)
        self._pixels = None if images_set is None else images_set.images
        tensors = (self.batch(), self.labels, subclasses.long())
        self._all = Part(*(tensor.to(self.device) for tensor in tensors))
        for k, name in enumerate(self.class_names):
            if not (self.labels == k).any():
                raise InvalidInput(
                    f"class {name!r} has no image in the training set; every class needs some"
                )

    def __getitem__(self, indices: Any) -> Part:
        return self._all[indices]

    @property
    def agreement(self) -> torch.Tensor | None:
        """Of annotators, image by image, where the set has it."""
        return None if self.set is None else self.set.agreement

    def order(self, seed: int, holdout: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices of ``holdout`` images that nobody learns from (at most a fifth), and of all others in random order."""
        count = min(holdout, len(self) // 5)
        drawn = torch.from_numpy(
            np.random.default_rng(stream_seed(seed, "labels")).permutation(len(self))
        )
        return drawn[:count], drawn[count:]

    def present(self, indices: torch.Tensor, who: str) -> torch.Tensor:
        """``indices``, if every class is among them.

        Raises:
            InvalidInput: a class is absent.
        """
        labels = self._all.labels[indices]
        absent = [name for k, name in enumerate(self.class_names) if not (labels == k).any()]
        if absent:
            raise InvalidInput(
                f"no image of class {absent[0]!r} is among the {len(indices)} that the {who} sees; give it more"
            )
        return indices

    def pictures(self, indices: torch.Tensor) -> np.ndarray | None:
        """uint8 ``[n, H, W]`` or ``[n, H, W, 3]``; None of tensors, of whose units nothing is known."""
        if self._pixels is None:
            return None
        chosen = self._pixels[indices]
        return (chosen[:, 0] if chosen.shape[1] < 3 else chosen.permute(0, 2, 3, 1)).numpy()


def as_subclasses(given: ImageSet, parents: Any = None) -> ImageSet:
    """The set with subclasses: its own, or its classes grouped.

    Raises:
        InvalidInput: it has none, and how to group its classes is neither said nor known; or ``parents`` does not fit.

    Example:
        >>> from explore.data import load
        >>> as_subclasses(load("digits")).class_names
        ('0 to 4', '5 to 9')
    """
    usual = GROUPS.get(given.name)
    if parents is None and len(given.parents):
        return given
    if parents is None and usual is None:
        raise InvalidInput(
            f"{given.name} has no subclasses; say which class each of its {len(given.class_names)} becomes: parents=[…]"
        )
    known = check_parents(usual[0] if parents is None else parents)  # type: ignore[index]
    if given.subclasses is not None and len(
        given.parents
    ):  # a set whose own subclasses are grouped anew
        if known.tolist() == list(given.parents):
            return given
        check_parents(known, len(given.subclass_names))
        plain = replace(
            given,
            labels=given.subclasses,
            class_names=given.subclass_names,
            subclasses=None,
            subclass_names=(),
            parents=(),
        )
        return plain.grouped(known.tolist())
    names = usual[1] if usual and known.tolist() == list(usual[0]) else ()
    return given.grouped(known.tolist(), names)


def check_tensors(images: Any, subclasses: Any) -> None:
    """Refuse what cannot be learnt from."""
    for name, value in (("images", images), ("subclasses", subclasses)):
        if not isinstance(value, torch.Tensor):
            hint = (
                "; of an ImageSet give .batch(), .subclasses and .parents"
                if isinstance(value, ImageSet)
                else ""
            )
            raise InvalidInput(
                f"{name} must be a torch tensor (torch.as_tensor makes one), got {type(value).__name__}{hint}"
            )
    if images.ndim < 2 or not images.is_floating_point() or not images.numel():
        hint = "; bytes become floats by .float() / 255" if images.dtype == torch.uint8 else ""
        raise InvalidInput(
            f"images must be float [N, ...] with N ≥ 1, got {images.dtype} {list(images.shape)}{hint}"
        )
    if (
        subclasses.shape != (len(images),)
        or subclasses.is_floating_point()
        or subclasses.is_complex()
    ):
        raise InvalidInput(
            f"subclasses must be integers [{len(images)}], got {subclasses.dtype} {list(subclasses.shape)}"
        )
    bad = (~torch.isfinite(images).flatten(1).all(1)).nonzero().flatten()
    if len(bad):
        raise InvalidInput(
            f"{len(bad)} images hold NaN or Inf, the first is number {int(bad[0])}; remove or repair them"
        )
