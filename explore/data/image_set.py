"""A labelled image set: uint8 inside, normalised float32 outside."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import add
from typing import Any

import torch

from explore.core.label_hierarchy import check_labels, check_superclasses
from explore.data._chunks import chunks
from explore.data.normalization import denormalize_to_bytes, normalize_bytes
from explore.errors import InvalidInput


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, stored with 8 bits a channel.

    Attributes:
        name: the name of the set in recordings, e.g. ``"digits"``.
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``, each in ``0..K-1``.
        class_names: ``K`` names, in label order.
        mean, std: per channel, in units of ``[0, 1]`` intensity; ``batch`` returns ``(x / 255 -
            mean) / std``.
        options: the arguments of ``load`` that create this set.
        masks: bool ``[N, H, W]``, the pixels of the labelled object (scenes only).
        subclasses: int64 ``[N]`` (scenes, histology, coarse CIFAR-100, nested folders, and the
            result of ``grouped``).
        subclass_names: names of the subclasses, in order.
        parents: class of each subclass, in order; see ``explore.core.label_hierarchy``.
        agreement: float32 ``[N]``, the share of annotators who chose the label (MHIST only).
        multi_hot: float32 ``[N, K]``, every class that is present (scenes and VOC).

    Raises:
        InvalidInput: images that are not uint8 ``[N, C, H, W]``, or labels, subclasses and parents
            that do not match.

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
        images, labels, classes = self.images, self.labels, len(self.class_names)
        if images.ndim != 4 or images.dtype != torch.uint8:
            raise InvalidInput(
                f"images must be uint8 [N, C, H, W], got {images.dtype} {list(images.shape)}"
            )
        if labels.shape != (len(images),):
            raise InvalidInput(
                f"labels must be [{len(images)}], one for each image, got {list(labels.shape)}"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise InvalidInput(
                f"labels must be 0..{classes - 1}, as there are {classes} class names; "
                f"got {int(labels.min())}..{int(labels.max())}"
            )
        if len(self.parents):
            check_superclasses(self.parents, len(self.subclass_names), classes)
            if self.subclasses is None:
                raise InvalidInput("parents need subclasses; pass the subclass of each image")
            check_labels(labels, self.subclasses, self.parents)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        return f"ImageSet({self.name!r}: {n} images, {c}×{h}×{w}, {len(self.class_names)} classes)"

    def batch(self, indices: Any = slice(None)) -> torch.Tensor:
        """Return images ``indices`` (by default all), normalised, float32 ``[n, C, H, W]``."""
        return normalize_bytes(self.images[indices], self.mean, self.std)

    def to_display(self, x: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation and clip: uint8 of the shape of ``x``, ``[..., C, H, W]``."""
        return denormalize_to_bytes(x.detach(), self.mean, self.std).cpu()

    def subset(self, indices: Any) -> ImageSet:
        """Return the same set with only the images ``indices``."""
        names = ("images", "labels", "masks", "subclasses", "multi_hot", "agreement")
        tensors = {name: getattr(self, name) for name in names}
        return replace(self, **{k: t[indices] for k, t in tensors.items() if t is not None})

    def grouped(self, parents: Sequence[int], class_names: Sequence[str] = ()) -> ImageSet:
        """Return the same images with their classes as subclasses of fewer, coarser classes.

        In ``multi_hot``, a coarse class is present where any of its members is.

        Args:
            parents: the coarse class of each class, one entry for each class.
            class_names: of the coarse classes; by default the members' names, joined.

        Raises:
            InvalidInput: ``parents`` has another length, or a coarse class without members.

        Example:
            >>> from explore.data import load
            >>> halves = load("digits").grouped([0] * 5 + [1] * 5, ("0 to 4", "5 to 9"))
            >>> halves, halves.subclass_names[7]
            (ImageSet('digits': 1297 images, 1×16×16, 2 classes), '7')
        """
        superclasses = check_superclasses(parents, len(self.class_names))
        members = [(superclasses == k).nonzero()[0] for k in range(superclasses.max() + 1)]
        names = tuple(" + ".join(str(self.class_names[i]) for i in rows) for rows in members)
        multi_hot = self.multi_hot
        if multi_hot is not None and multi_hot.shape[1] != len(superclasses):
            multi_hot = None  # It describes other classes.
        if multi_hot is not None:
            multi_hot = torch.stack([multi_hot[:, rows].amax(1) for rows in members], 1)
        return replace(
            self,
            labels=torch.from_numpy(superclasses)[self.labels],
            class_names=tuple(class_names) or names,
            subclasses=self.labels,
            subclass_names=tuple(self.class_names),
            parents=tuple(superclasses.tolist()),
            multi_hot=multi_hot,
        )

    @cached_property
    def sha256(self) -> str:
        """Hash of images and labels: the identity of the data in a recording."""
        return sha256_of(self.images, self.labels)


def sha256_of(*tensors: torch.Tensor) -> str:
    """Return the hash of the bytes of tensors on any device; copies one chunk at a time at most."""
    digest = hashlib.sha256()
    for values in tensors:
        for chunk in chunks(values.detach()):
            digest.update(chunk.cpu().contiguous().flatten().numpy().data)
    return digest.hexdigest()


def channel_statistics(
    images: torch.Tensor | Iterable[torch.Tensor],
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation (N − 1) per channel of uint8 images, in ``[0, 1]``.

    The moments are computed from the counts of the 256 values, as whole numbers: they are exact but
    for the last rounding, in any order, without a copy of all images.

    Args:
        images: uint8 ``[N, C, H, W]``, or an iterable of such tensors (see ``read_image_chunks``).
    """
    counts: list[list[int]] = []
    for tensor in [images] if isinstance(images, torch.Tensor) else images:
        for chunk in chunks(tensor):
            more = [torch.bincount(c.flatten(), minlength=256).tolist() for c in chunk.unbind(1)]
            pairs = zip(counts or [[0] * 256] * len(more), more, strict=True)
            counts = [list(map(add, *pair)) for pair in pairs]
    means, deviations = zip(*map(_moments, counts), strict=True) if counts else ((), ())
    return list(means), list(deviations)


def _moments(counts: list[int]) -> tuple[float, float]:
    n = sum(counts)
    total, squares = (
        sum(count * byte**power for byte, count in enumerate(counts)) for power in (1, 2)
    )
    if n < 2:
        return total / 255 if n else math.nan, math.nan
    return total / (255 * n), math.sqrt((n * squares - total**2) / (n * (n - 1))) / 255
