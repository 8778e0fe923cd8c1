"""A distilled set: a few synthetic images with everything that is needed to train on them
elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from explore.core.tensor_validation import check_finite, check_tensor
from explore.core.validation import check_flag, check_names, check_number, describe
from explore.data._distilled_conversions import (
    Space,
    create_folder,
    distilled_labels,
    fields_of_result,
    number_names,
    to_model_units,
    write_about,
    write_png,
    write_tensors,
)
from explore.data._json_values import check_json
from explore.data._product_file import (
    FileKind,
    damage_error,
    file_of,
    path_beside,
    read_file,
    write_file,
)
from explore.data.image_set import sha256_of
from explore.data.normalization import check_statistics, denormalize_to_bytes
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

    Arrays and lists are accepted where tensors are expected. All that is passed is checked as it
    will be saved, and stored in the types below.

    Attributes:
        images: float32 ``[N, C, H, W]`` in model units (the input of a network), in full precision.
        labels: int64 ``[N]``, or soft: float32 ``[N, K]``, probabilities that sum to 1.
        class_names: ``K`` names, in label order.
        mean, std: per channel, in units of ``[0, 1]`` intensity: a pixel is ``x · std + mean``.
            Empty if the units are unknown, as those of a run on plain tensors. One can train on
            such a set, but not display it. Finite, ``std`` above 0.
        zca: the whitening that was applied after the normalisation; None if there was none.
        learning_rate: distilled together with the images (trajectory matching); None if there is
            none.
        provenance: how the set was made: method, config, step, versions, hash of the real data; as
            JSON can hold it.
        protocol: how the accuracy of this set was measured, if it was; as JSON can hold it.

    Raises:
        InvalidInput: shapes that do not match, NaN or Inf, labels out of range, soft labels that
            are not probabilities of these classes, a whitening of other images, or a description
            that JSON cannot hold.

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
        images = check_tensor(
            "images", self.images, ("N", "C", "H", "W"), dtype=torch.float32, finite=True
        )
        class_names = check_names("class_names", self.class_names)
        mean, std = check_statistics(self.mean, self.std, images.shape[1], optional=True)
        rate = self.learning_rate
        checked: dict[str, Any] = {
            "images": images.detach().cpu().contiguous(),
            "labels": distilled_labels(self.labels, len(images), len(class_names)),
            "class_names": class_names,
            "mean": mean,
            "std": std,
            "learning_rate": None if rate is None else check_number("learning_rate", rate, above=0),
            "provenance": check_json("provenance", self.provenance),
            "protocol": check_json("protocol", self.protocol),
        }
        if self.zca is not None:
            if not isinstance(self.zca, ZCA):
                raise InvalidInput(f"zca must be a fitted ZCA or None, got {describe(self.zca)}")
            size, expected = len(self.zca.fitted()["mean"]), images[0].numel()
            if size != expected:
                raise InvalidInput(
                    f"zca must be fitted on images of {expected} values, as these have, got {size}"
                )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

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
        names = check_names("class_names", class_names) or getattr(result, "class_names", ())
        dataset = result.result() if hasattr(result, "result") else result
        if not {"images", "labels"} <= set(getattr(dataset, "data_vars", ())):
            raise InvalidInput(
                f"expected a run that distils images, or its result(); got {type(result).__name__}"
            )
        if unfinished := dataset.attrs.get("unfinished"):
            raise InvalidInput(f"{unfinished}; advance the run to its end first")
        fields = fields_of_result(dataset)
        if names:
            fields["class_names"] = names
        return cls(**fields)

    @classmethod
    def import_(
        cls,
        images: Any,
        labels: Any,
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
            InvalidInput: ``space`` is missing or contradicts the values, or the set cannot be made;
                see ``DistilledSet``.

        Example:
            >>> x = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
            >>> y = torch.arange(4)
            >>> DistilledSet.import_(x, y, space="bytes", mean=[0.5] * 3, std=[0.25] * 3)
            DistilledSet(4 images 3×8×8, 4 classes, hard labels)
        """
        unknown = sorted(set(more) - {"learning_rate", "provenance", "protocol"})
        if unknown:
            raise InvalidInput(
                f"import_ has no argument {', '.join(map(repr, unknown))}; it has space, "
                "class_names, mean, std, zca, logits, learning_rate, provenance, protocol"
            )
        x = to_model_units(images, space, mean, std, zca)
        y = distilled_labels(labels, len(x), logits=check_flag("logits", logits))
        names = check_names("class_names", class_names) or number_names(y)
        return cls(x, y, names, mean, std, zca, **more)

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
        check_finite("images without whitening", x, "their values are too large to be displayed")
        return denormalize_to_bytes(x, self.mean, self.std)

    def to_dataset(self) -> torch.utils.data.TensorDataset:
        """Return images and labels for a ``DataLoader``, in model units."""
        return torch.utils.data.TensorDataset(self.images, self.labels)

    def to_torch(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``images.pt`` and ``labels.pt`` (as DD-Ranking reads them) and ``about.json``.

        The files contain plain tensors in model units.

        Raises:
            InvalidInput: the folder cannot be written.
        """
        path = create_folder(folder)
        write_tensors(path, {"images": self.images, "labels": self.labels})
        write_about(path, self.about())
        return path

    def to_png(self, folder: str | os.PathLike[str]) -> Path:
        """Write one PNG for each image into a folder for each class, as ``ImageFolder`` reads them.

        **Lossy**: 8 bits a channel, clipped. A network that is trained on the files may reach
        another accuracy; ``about.json`` contains this warning.

        Raises:
            InvalidInput: the units of the images are unknown, PNG cannot hold their number of
                channels, or the folder cannot be written.
        """
        pixels = self.to_display()
        labels = self.labels.argmax(1) if self.soft else self.labels
        path = write_png(folder, pixels, labels.tolist(), self.class_names)
        lossy = "8 bits a channel, clipped"
        if self.soft:
            lossy += "; soft labels became their largest"
        write_about(path, {**self.about(), "lossy": lossy})
        return path

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
