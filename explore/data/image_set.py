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

from explore.core import label_hierarchy
from explore.core.label_hierarchy import check_superclasses
from explore.core.tensor_validation import as_tensor, check_finite, check_tensor
from explore.core.validation import check_flag, check_items, check_names, check_text, describe
from explore.data._chunks import chunks
from explore.data._class_labels import check_class_labels
from explore.data._indices import check_indices
from explore.data._json_values import check_json
from explore.data.normalization import check_statistics, denormalize_to_bytes, normalize_bytes
from explore.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images, stored with 8 bits a channel.

    Arrays and lists are accepted where tensors are expected. All that is passed is checked once, is
    converted to the types below, and fits together from then on.

    Attributes:
        name: the name of the set in recordings, e.g. ``"digits"``.
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``, each in ``0..K-1``.
        class_names: ``K`` names, in label order.
        mean, std: per channel, in units of ``[0, 1]`` intensity; ``batch`` returns ``(x / 255 -
            mean) / std``. Finite, ``std`` above 0.
        options: the arguments of ``load`` that create this set, as JSON can hold them.
        masks: bool ``[N, H, W]``, the pixels of the labelled object (scenes only).
        subclasses: int64 ``[N]`` (scenes, histology, coarse CIFAR-100, nested folders, and the
            result of ``grouped``).
        subclass_names: names of the subclasses, in order.
        parents: class of each subclass, in order; see ``explore.core.label_hierarchy``.
        agreement: float32 ``[N]`` from 0 to 1, the share of annotators who chose the label (MHIST
            only).
        multi_hot: float32 ``[N, K]`` of 0 and 1, every class that is present (scenes and VOC).
        flip: whether a mirrored image is a member of the same class, as augmentation assumes; None
            if that is not known.

    Raises:
        InvalidInput: images that are not uint8 ``[N, C, H, W]``; labels, subclasses or parents that
            are no whole numbers, are out of range or do not match; another attribute of another
            shape, kind or range.

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
    flip: bool | None = None

    def __post_init__(self) -> None:
        images = as_tensor("images", self.images)
        if images.ndim != 4 or images.dtype != torch.uint8 or (len(images) and not images.numel()):
            raise InvalidInput(f"images must be uint8 [N, C, H, W], got {describe(images)}")
        count, class_names = len(images), check_names("class_names", self.class_names)
        mean, std = check_statistics(self.mean, self.std, images.shape[1])
        checked: dict[str, Any] = {
            "name": check_text("name", self.name),
            "images": images,
            "labels": check_class_labels("labels", self.labels, count, len(class_names)),
            "class_names": class_names,
            "mean": mean,
            "std": std,
            "options": check_json("options", self.options),
            "flip": None if self.flip is None else check_flag("flip", self.flip),
        }
        checked |= self._check_subclasses(checked["labels"], len(class_names))
        checked |= self._check_companions(tuple(images.shape), len(class_names))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _check_subclasses(self, labels: torch.Tensor, classes: int) -> dict[str, Any]:
        """Return the subclasses, their names and their classes; see ``Attributes``."""
        names = check_names("subclass_names", self.subclass_names)
        parents: Sequence[int] = check_items("parents", self.parents)
        subclasses = self.subclasses
        if len(parents):
            if len(parents) != len(names):
                raise InvalidInput(
                    f"parents has {len(parents)} entries, but there are {len(names)} subclasses in "
                    "subclass_names; give one for each"
                )
            parents = check_superclasses(self.parents, len(names), classes).tolist()
            if subclasses is None:
                raise InvalidInput("parents need subclasses; pass the subclass of each image")
        if subclasses is not None:
            limit = len(names) if names and not parents else None
            subclasses = check_class_labels(
                "subclasses", subclasses, len(labels), limit, "subclass_names"
            )
            if parents:
                label_hierarchy.check_labels(labels, subclasses, parents)
        return {"subclasses": subclasses, "subclass_names": names, "parents": tuple(parents)}

    def _check_companions(self, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
        """Return masks, present classes and agreement; see ``Attributes``."""
        count, _, height, width = shape
        checks: dict[str, tuple[tuple[int, ...], str]] = {
            "masks": ((count, height, width), "flag"),
            "multi_hot": ((count, classes), "number"),
            "agreement": ((count,), "float"),
        }
        checked: dict[str, Any] = {}
        for name, (expected, kind) in checks.items():
            values = getattr(self, name)
            if values is None:
                continue
            values = check_tensor(
                name, values, expected, kind=kind, dtype=torch.float32, empty=not count
            )
            if kind == "float" and count and not bool(((values >= 0) & (values <= 1)).all()):
                raise InvalidInput(f"{name} must be 0 to 1, the share of annotators")
            if kind == "number" and not bool(((values == 0) | (values == 1)).all()):
                raise InvalidInput(f"{name} must be 0 or 1, whether each class is present")
            checked[name] = values
        return checked

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        return f"ImageSet({self.name!r}: {n} images, {c}×{h}×{w}, {len(self.class_names)} classes)"

    def batch(self, indices: Any = slice(None)) -> torch.Tensor:
        """Return images ``indices`` (by default all), normalised, float32 ``[n, C, H, W]``.

        Args:
            indices: a slice; whole numbers in a list, an array or a tensor, of which negative ones
                count from the end; one whole number, which counts as a list; or N flags.

        Raises:
            InvalidInput: indices of another kind, or out of range.
        """
        return normalize_bytes(self._rows(self.images, indices), self.mean, self.std)

    def to_display(self, x: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation and clip: uint8 of the shape of ``x``, ``[..., C, H, W]``.

        Whole numbers and halves are computed in float32.

        Raises:
            InvalidInput: another number of channels, or images with NaN or infinities.
        """
        x = as_tensor("images", x).detach()
        check_finite("images", x)
        return denormalize_to_bytes(x, self.mean, self.std).cpu()

    def subset(self, indices: Any) -> ImageSet:
        """Return the same set with only the images ``indices``.

        Args:
            indices: see ``batch``.

        Raises:
            InvalidInput: indices of another kind, or out of range.
        """
        names = ("images", "labels", "masks", "subclasses", "multi_hot", "agreement")
        tensors = {name: getattr(self, name) for name in names}
        indices = check_indices("indices", indices, len(self), "images")
        rows: dict[str, Any] = {
            name: self._rows(tensor, indices)
            for name, tensor in tensors.items()
            if tensor is not None
        }
        return replace(self, **rows)

    def _rows(self, tensor: torch.Tensor, indices: Any) -> torch.Tensor:
        rows = check_indices("indices", indices, len(self), "images")
        return tensor[rows if isinstance(rows, slice) else rows.to(tensor.device)]

    def grouped(self, parents: Sequence[int], class_names: Sequence[str] = ()) -> ImageSet:
        """Return the same images with their classes as subclasses of fewer, coarser classes.

        In ``multi_hot``, a coarse class is present where any of its members is.

        Args:
            parents: the coarse class of each class, one entry for each class.
            class_names: of the coarse classes; by default the members' names, joined.

        Raises:
            InvalidInput: ``parents`` has another length, a coarse class has no members, or there is
                another number of names.

        Example:
            >>> from explore.data import load
            >>> halves = load("digits").grouped([0] * 5 + [1] * 5, ("0 to 4", "5 to 9"))
            >>> halves, halves.subclass_names[7]
            (ImageSet('digits': 1297 images, 1×16×16, 2 classes), '7')
        """
        superclasses = check_superclasses(parents, len(self.class_names))
        members = [(superclasses == k).nonzero()[0] for k in range(superclasses.max() + 1)]
        coarse_names = check_names("class_names", class_names)
        if coarse_names:
            check_names("class_names", coarse_names, len(members))
        names = tuple(" + ".join(self.class_names[i] for i in rows) for rows in members)
        multi_hot = self.multi_hot
        if multi_hot is not None:
            multi_hot = torch.stack([multi_hot[:, rows].amax(1) for rows in members], 1)
        return replace(
            self,
            labels=torch.from_numpy(superclasses).to(self.labels.device)[self.labels],
            class_names=coarse_names or names,
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
    """Return the hash of the bytes of tensors on any device; copies one chunk at a time at most.

    Example:
        >>> sha256_of(torch.zeros(2))[:8]
        'af5570f5'
    """
    digest = hashlib.sha256()
    for values in tensors:
        for chunk in chunks(values.detach()):
            # Bytes, as NumPy does not have all of PyTorch's types.
            digest.update(chunk.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def channel_statistics(
    images: torch.Tensor | Iterable[torch.Tensor],
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation (N − 1) per channel of uint8 images, in ``[0, 1]``.

    The moments are computed from the counts of the 256 values, as whole numbers: they are exact but
    for the last rounding, in any order, without a copy of all images.

    Args:
        images: uint8 ``[N, C, H, W]``, or an iterable of such tensors (see ``read_image_chunks``).

    Raises:
        InvalidInput: images of another type or shape.
    """
    counts: list[list[int]] = []
    for tensor in [images] if isinstance(images, torch.Tensor) else images:
        if tensor.ndim != 4 or tensor.dtype != torch.uint8:
            raise InvalidInput(f"images must be uint8 [N, C, H, W], got {describe(tensor)}")
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
