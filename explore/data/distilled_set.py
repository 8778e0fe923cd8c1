"""A distilled set: a few synthetic images with everything that is needed to train on them
elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from explore.data._checks import check_images, describe_tensor
from explore.data._distilled_conversions import (
    Space,
    fields_of_result,
    number_names,
    to_model_units,
    write_about,
    write_png,
)
from explore.data._product_file import (
    FileKind,
    damage_error,
    file_of,
    path_beside,
    read_file,
    write_file,
)
from explore.data.image_set import sha256_of
from explore.data.normalization import denormalize_to_bytes
from explore.data.whitening import ZCA
from explore.errors import InvalidInput

FILE = FileKind(
    "a distilled set",
    "DistilledSet.save",
    "use DistilledSet.import_ and specify the units of the images",
)


@dataclass(frozen=True, eq=False)
class DistilledSet:
    """Synthetic images with hard or soft labels.

    Attributes:
        images: float32 ``[N, C, H, W]`` in model units (the input of a network), in full precision.
        labels: int64 ``[N]``, or soft: float32 ``[N, K]``, probabilities that sum to 1.
        class_names: ``K`` names, in label order.
        mean, std: per channel, in units of ``[0, 1]`` intensity: a pixel is ``x · std + mean``.
            Empty if the units are unknown, as those of a run on plain tensors. One can train on
            such a set, but not display it.
        zca: the whitening that was applied after the normalisation; None if there was none.
        learning_rate: distilled together with the images (trajectory matching); None if there is
            none.
        provenance: how the set was made: method, config, step, versions, hash of the real data.
        protocol: how the accuracy of this set was measured, if it was.

    Raises:
        InvalidInput: shapes that do not match, NaN or Inf, labels out of range, or soft labels that
            are not probabilities of these classes.

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> images, labels = digits.batch([0, 1]), digits.labels[:2]
        >>> DistilledSet(images, labels, digits.class_names, digits.mean, digits.std)
        DistilledSet(2 images 1×16×16, 10 classes, hard labels)
    """

    images: torch.Tensor
    labels: torch.Tensor
    class_names: Sequence[str]
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    zca: ZCA | None = None
    learning_rate: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_images(self.images)
        self._check_labels()
        channels = self.images.shape[1]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, channels) or len(self.mean) != len(self.std):
                raise InvalidInput(
                    f"{name} must have one number for each of the {channels} channels, "
                    f"got {list(values)}"
                )
        if any(not value > 0 for value in self.std):
            raise InvalidInput(f"std must be above 0 in each channel, got {list(self.std)}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise InvalidInput(
                f"learning_rate must be above 0, got {self.learning_rate}; trajectory matching "
                "sometimes fails in this way"
            )
        labels = self.labels.float() if self.soft else self.labels.long()
        object.__setattr__(self, "images", self.images.detach().cpu().float().contiguous())
        object.__setattr__(self, "labels", labels.detach().cpu().contiguous())

    def _check_labels(self) -> None:
        y, count, classes = self.labels, len(self.images), len(self.class_names)
        if not isinstance(y, torch.Tensor) or len(y) != count or y.ndim not in (1, 2):
            raise InvalidInput(
                f"labels must be integers [{count}] or probabilities [{count}, {classes}], "
                f"got {describe_tensor(y)}"
            )
        if not self.soft:
            if y.is_floating_point() or not 0 <= int(y.min()) <= int(y.max()) < classes:
                values = y.dtype if y.is_floating_point() else f"{int(y.min())}..{int(y.max())}"
                raise InvalidInput(
                    f"hard labels must be integers 0..{classes - 1}, as there are {classes} class "
                    f"names; got {values}"
                )
            return
        if y.shape[1] != classes:
            raise InvalidInput(
                f"soft labels have {y.shape[1]} columns, but there are {classes} class names"
            )
        invalid = (y < 0).any(1) | ((y.sum(1) - 1).abs() > 1e-3) | ~torch.isfinite(y).all(1)
        if invalid.any() or not y.is_floating_point():
            index = int(invalid.int().argmax())
            raise InvalidInput(
                "soft labels must be probabilities that sum to 1 (apply softmax to logits); "
                f"image {index} has {y[index].tolist()}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        kind = "soft" if self.soft else "hard"
        whitened = ", whitened" if self.zca else ""
        return (
            f"DistilledSet({n} images {c}×{h}×{w}, {len(self.class_names)} classes, "
            f"{kind} labels{whitened})"
        )

    @property
    def soft(self) -> bool:
        """Whether labels are probabilities."""
        return self.labels.ndim == 2

    @property
    def sha256(self) -> str:
        """Hash of images and labels."""
        return sha256_of(self.images, self.labels)

    @classmethod
    def of(cls, result: Any, class_names: Sequence[str] = ()) -> Self:
        """Create a set from a run that distils images, or from the Dataset of its ``result()``.

        A learned rate is a variable or an attribute ``learning_rate`` of the Dataset. Labels of two
        dimensions are soft.

        Args:
            result: the run, or the Dataset.
            class_names: by default those of the run, or else the numbers of the classes.

        Raises:
            InvalidInput: the result has no images and labels, or the run is not finished.
        """
        names = class_names or getattr(result, "class_names", ())
        dataset = result.result() if hasattr(result, "result") else result
        if not {"images", "labels"} <= set(getattr(dataset, "data_vars", ())):
            raise InvalidInput(
                f"expected a run that distils images, or its result(); got {type(result).__name__}"
            )
        if unfinished := dataset.attrs.get("unfinished"):
            raise InvalidInput(f"{unfinished}; advance the run to its end first")
        fields = fields_of_result(dataset)
        if names:
            fields["class_names"] = tuple(map(str, names))
        return cls(**fields)

    @classmethod
    def import_(
        cls,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        space: Space | None = None,
        class_names: Sequence[str] = (),
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        zca: ZCA | None = None,
        logits: bool = False,
        **more: Any,
    ) -> Self:
        """Create a set from images of another program.

        The units of the images must be specified, as a wrong guess would cost accuracy silently.

        Args:
            images: ``[N, C, H, W]``.
            labels: integers ``[N]``, or soft ``[N, K]``.
            space: "model" (the input of a network), "unit" (0 to 1) or "bytes" (0 to 255).
            class_names: by default the numbers of the classes.
            mean, std: of the normalisation. It is applied to images of space "unit" and "bytes".
            zca: the whitening. It is applied to images of space "unit" and "bytes".
            logits: soft labels are logits (as trajectory matching learns them); apply softmax.
            **more: ``learning_rate``, ``provenance``, ``protocol``.

        Raises:
            InvalidInput: ``space`` is missing or contradicts the values.

        Example:
            >>> x = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
            >>> y = torch.arange(4)
            >>> DistilledSet.import_(x, y, space="bytes", mean=[0.5] * 3, std=[0.25] * 3)
            DistilledSet(4 images 3×8×8, 4 classes, hard labels)
        """
        x = to_model_units(images, space, mean, std, zca)
        y = labels.softmax(1) if logits and labels.ndim == 2 else labels
        names = tuple(class_names) or number_names(y)
        return cls(x, y, names, tuple(mean), tuple(std), zca, **more)

    def to_display(self) -> torch.Tensor:
        """Return uint8 ``[N, C, H, W]``: whitening and normalisation undone, clipped.

        Raises:
            InvalidInput: the units are unknown.
        """
        if not len(self.mean):
            raise InvalidInput(
                "these images cannot be displayed: their units are unknown, as the run was made "
                "from tensors"
            )
        x = self.zca.undo(self.images) if self.zca else self.images
        return denormalize_to_bytes(x, self.mean, self.std)

    def to_dataset(self) -> torch.utils.data.TensorDataset:
        """Return images and labels for a ``DataLoader``, in model units."""
        return torch.utils.data.TensorDataset(self.images, self.labels)

    def to_torch(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``images.pt`` and ``labels.pt`` (as DD-Ranking reads them) and ``about.json``.

        The files contain plain tensors in model units.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.images, folder / "images.pt")
        torch.save(self.labels, folder / "labels.pt")
        write_about(folder, self.about())
        return folder

    def to_png(self, folder: str | os.PathLike[str]) -> Path:
        """Write one PNG for each image into a folder for each class, as ``ImageFolder`` reads them.

        **Lossy**: 8 bits a channel, clipped. A network that is trained on the files may reach
        another accuracy; ``about.json`` contains this warning.
        """
        folder, pixels = Path(folder), self.to_display()
        labels = self.labels.argmax(1) if self.soft else self.labels
        write_png(folder, pixels, labels.tolist(), self.class_names)
        lossy = "8 bits a channel, clipped"
        if self.soft:
            lossy += "; soft labels became their largest"
        write_about(folder, {**self.about(), "lossy": lossy})
        return folder

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one ``.safetensors`` file, atomically: tensors, and all else as JSON in its header.

        Raises:
            InvalidInput: another suffix.
        """
        tensors = {"images": self.images, "labels": self.labels}
        if self.zca:
            tensors |= {f"zca_{name}": value for name, value in self.zca.fitted().items()}
        return write_file(path, tensors, self.about(), FILE)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote. Nothing in the file is executed.

        Args:
            path: the file, or the recording (``.zarr``, ``.zarr.zip``) that it lies beside.

        Raises:
            DataMissing: there is no such file.
            RecordingDamaged: the file is truncated or was changed.
            InvalidInput: a file of another program, whose units are unknown; see ``import_``.
        """
        path = file_of(path)
        tensors, header = read_file(path, FILE)
        if "images" not in tensors:
            raise InvalidInput(f"{path} holds {', '.join(tensors)}, no distilled set")
        try:
            zca = None
            if "zca_inverse" in tensors:
                mean, inverse, forward = (
                    tensors[f"zca_{name}"] for name in ("mean", "inverse", "forward")
                )
                zca = ZCA.of(mean, inverse, header["zca_epsilon"], forward)
            fields = ("class_names", "mean", "std", "learning_rate", "provenance", "protocol")
            result = cls(
                tensors["images"],
                tensors["labels"],
                zca=zca,
                **{name: header[name] for name in fields},
            )
            is_intact = result.sha256 == header["sha256"]
        except (ValueError, LookupError, TypeError) as error:  # ``save`` writes valid sets only
            raise damage_error(path, error) from error
        if not is_intact:
            raise damage_error(path, "its images or labels are not those that were saved")
        return result

    def about(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON."""
        units = "unknown"
        if len(self.mean):
            units = "model: (pixel / 255 - mean) / std" + (", then whitened" if self.zca else "")
        return {
            "class_names": list(self.class_names),
            "mean": list(self.mean),
            "std": list(self.std),
            "zca_epsilon": self.zca.epsilon if self.zca else None,
            "learning_rate": self.learning_rate,
            "labels": "soft" if self.soft else "hard",
            "units": units,
            "sha256": self.sha256,
            "provenance": dict(self.provenance),
            "protocol": dict(self.protocol),
        }


def save_beside(run: Any, recording: str | os.PathLike[str]) -> Path:
    """Save the distilled set of a run beside its recording and return the path of the file."""
    return DistilledSet.of(run).save(path_beside(recording))
