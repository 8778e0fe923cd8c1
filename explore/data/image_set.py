"""ImageSet: images kept as bytes, handed out as normalised tensors, with what undoes the normalisation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import add
from typing import Any

import torch

from explore.core.label_hierarchy import check_labels, check_parents
from explore.data._chunks import chunks
from explore.errors import InvalidInput


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, 8 bits a channel inside, normalised float32 outside.

    Attributes:
        name: what the set is called in recordings, e.g. ``"digits"``.
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``, each in ``0..K-1``.
        class_names: ``K`` names, in label order.
        mean, std: per channel, in units of ``[0, 1]`` intensity; ``batch`` returns ``(x / 255 - mean) / std``.
        options: what ``load`` was called with, so that the set can be made again.
        masks: bool ``[N, H, W]``, where the labelled object is (scenes only).
        subclasses: int64 ``[N]`` (scenes, histology, coarse CIFAR-100, folders of folders, and what ``grouped`` returns).
        subclass_names: names of the subclasses, in order.
        parents: class of each subclass, in order; see ``explore.core.label_hierarchy``.
        agreement: float32 ``[N]``, the share of annotators who chose the label (MHIST only).
        multi_hot: float32 ``[N, K]``, every class that is present (scenes and VOC).

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> digits.batch([0, 1]).shape
        torch.Size([2, 1, 16, 16])
        >>> len(digits), digits.class_names[3]
        (1297, '3')
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    class_names: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    options: Mapping[str, Any] = field(default_factory=dict)
    masks: torch.Tensor | None = None
    subclasses: torch.Tensor | None = None
    subclass_names: Sequence[str] = ()
    multi_hot: torch.Tensor | None = None
    parents: Sequence[int] = ()
    agreement: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise InvalidInput(
                f"images must be uint8 [N, C, H, W], got {self.images.dtype} {list(self.images.shape)}"
            )
        if self.labels.shape != (len(self.images),):
            raise InvalidInput(
                f"labels must be [{len(self.images)}], one an image, got {list(self.labels.shape)}"
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(
            self.class_names
        ):
            found, known = (int(self.labels.min()), int(self.labels.max())), len(self.class_names)
            raise InvalidInput(
                f"labels must be 0..{known - 1}, as there are {known} class names; got {found[0]}..{found[1]}"
            )
        if len(self.parents):
            check_parents(self.parents, len(self.subclass_names), len(self.class_names))
            if self.subclasses is None:
                raise InvalidInput(
                    "parents are given, but no subclasses; give the subclass of each image"
                )
            check_labels(self.labels, self.subclasses, self.parents)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        return f"ImageSet({self.name!r}: {n} images, {c}×{h}×{w}, {len(self.class_names)} classes)"

    def batch(self, indices: Any = slice(None)) -> torch.Tensor:
        """Images ``indices`` (all of them by default), normalised, float32 ``[n, C, H, W]``."""
        chosen = self.images[indices].float().div_(255)
        mean, std = self._statistics(chosen)
        return chosen.sub_(mean).div_(std)

    def to_display(self, x: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation and clip: uint8 of the shape of ``x``, ``[..., C, H, W]``."""
        mean, std = self._statistics(x)
        return (x.detach() * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8).cpu()

    def subset(self, indices: Any) -> ImageSet:
        """The same set with only the images ``indices``."""

        def pick(values: torch.Tensor | None) -> torch.Tensor | None:
            return None if values is None else values[indices]

        return ImageSet(
            self.name,
            self.images[indices],
            self.labels[indices],
            self.class_names,
            self.mean,
            self.std,
            self.options,
            pick(self.masks),
            pick(self.subclasses),
            self.subclass_names,
            pick(self.multi_hot),
            self.parents,
            pick(self.agreement),
        )

    def grouped(self, parents: Sequence[int], class_names: Sequence[str] = ()) -> ImageSet:
        """The same images with their classes as subclasses of fewer, coarser classes.

        In ``multi_hot``, a coarse class is present where any of its members is.

        Args:
            parents: the coarse class of each class, one entry a class.
            class_names: of the coarse classes; by default the members' names joined.

        Raises:
            InvalidInput: ``parents`` has another length, or a coarse class without members.

        Example:
            >>> from explore.data import load
            >>> halves = load("digits").grouped([0] * 5 + [1] * 5, ("0 to 4", "5 to 9"))
            >>> halves, halves.subclass_names[7]
            (ImageSet('digits': 1297 images, 1×16×16, 2 classes), '7')
        """
        known = check_parents(parents, len(self.class_names))
        present = (
            self.multi_hot
            if self.multi_hot is not None and self.multi_hot.shape[1] == len(known)
            else None
        )  # of these classes
        members = [
            [str(name) for name, of in zip(self.class_names, known, strict=True) if of == k]
            for k in range(known.max() + 1)
        ]
        return replace(
            self,
            labels=torch.from_numpy(known)[self.labels],
            class_names=tuple(class_names) or tuple(" + ".join(names) for names in members),
            subclasses=self.labels,
            subclass_names=tuple(self.class_names),
            parents=tuple(known.tolist()),
            multi_hot=None
            if present is None
            else torch.stack([present[:, known == k].amax(1) for k in range(len(members))], 1),
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of images and labels: the identity of the data in a recording."""
        return sha256_of(self.images, self.labels)

    def _statistics(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(self.mean), 1, 1)
        return like.new_tensor(self.mean).view(shape), like.new_tensor(self.std).view(shape)


def sha256_of(*tensors: torch.Tensor) -> str:
    """Hash of the bytes of images, then labels, wherever they live; copies a piece at a time at most."""
    digest = hashlib.sha256()
    for values in tensors:
        for chunk in chunks(values.detach()):
            digest.update(chunk.cpu().contiguous().flatten().numpy().data)
    return digest.hexdigest()


def channel_statistics(
    images: torch.Tensor | Iterable[torch.Tensor],
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (N − 1) per channel of uint8 ``[N, C, H, W]``, in units of ``[0, 1]``.

    Bytes are counted, and the moments of the counts are whole numbers: exact but for the last rounding, in any order,
    without a copy of the whole.

    Args:
        images: a tensor, or tensors that together are the images, such as ``read_pieces`` gives.
    """
    counts: list[list[int]] = []
    for given in [images] if isinstance(images, torch.Tensor) else images:
        for chunk in chunks(given):
            found = [
                torch.bincount(channel.flatten(), minlength=256).tolist()
                for channel in chunk.unbind(1)
            ]
            counts = (
                [list(map(add, *both)) for both in zip(counts, found, strict=True)]
                if counts
                else found
            )
    return [_moments(channel)[0] for channel in counts], [
        _moments(channel)[1] for channel in counts
    ]


def _moments(counts: list[int]) -> tuple[float, float]:
    n = sum(counts)
    total, squares = (
        sum(count * byte**power for byte, count in enumerate(counts)) for power in (1, 2)
    )
    if n < 2:
        return total / 255 if n else math.nan, math.nan
    return total / (255 * n), math.sqrt((n * squares - total**2) / (n * (n - 1))) / 255
