"""DistilledSet: a small synthetic set as one file, with all that is needed to train on it elsewhere as it was trained on here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch

from explore.core.environment import versions
from explore.data.image_set import sha256_of
from explore.data.whitening import ZCA
from explore.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    import os

    import xarray


Space = Literal["model", "unit", "bytes"]
SPACES = {
    "model": "float, what networks are given: (x / 255 − mean) / std, and whitened if zca is given; say mean and std",
    "unit": "float in [0, 1], not normalised",
    "bytes": "uint8, 0 to 255",
}
"""Units in which others' images may come."""


@dataclass(frozen=True, eq=False)
class DistilledSet:
    """Synthetic images with hard or soft labels.

    Attributes:
        images: float32 ``[N, C, H, W]`` in model units: what a network is trained on, in full precision.
        labels: int64 ``[N]``, or soft: float32 ``[N, K]``, probabilities that sum to 1.
        class_names: ``K`` names, in label order.
        mean, std: per channel, in units of ``[0, 1]`` intensity: a pixel is ``x · std + mean``. Empty if nothing is known of the
            units, as of a run on plain tensors; such a set can be trained on, but not shown.
        zca: what whitened the images after normalisation; None if nothing did.
        learning_rate: that was distilled with the images (trajectory matching); None if there is none.
        provenance: what the set was made by: method, config, step, versions, hash of the real data.
        protocol: how accuracies of this set were measured, where they were.

    Raises:
        InvalidInput: shapes that do not fit, NaN or Inf, labels out of range, soft labels of another width than there
            are classes or that are no probabilities.

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> few = DistilledSet(digits.batch([0, 1]), digits.labels[:2], digits.class_names, digits.mean, digits.std)
        >>> few
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
        x, y, k = self.images, self.labels, len(self.class_names)
        if (
            not isinstance(x, torch.Tensor)
            or x.ndim != 4
            or not x.is_floating_point()
            or not x.numel()
        ):
            given = (
                f"{x.dtype} {list(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
            )
            raise InvalidInput(
                f"images must be a float tensor [N, C, H, W] with N ≥ 1, got {given}"
            )
        if not isinstance(y, torch.Tensor) or len(y) != len(x) or y.ndim not in (1, 2):
            given = (
                f"{y.dtype} {list(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
            )
            raise InvalidInput(
                f"labels must be integers [{len(x)}] or probabilities [{len(x)}, {k}], got {given}"
            )
        bad = (~torch.isfinite(x).flatten(1).all(1)).nonzero().flatten()
        if len(bad):
            raise InvalidInput(
                f"{len(bad)} images hold NaN or Inf, the first is number {int(bad[0])}"
            )
        self._check_labels(k)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, x.shape[1]) or len(self.mean) != len(self.std):
                raise InvalidInput(
                    f"{name} must have one number for each of the {x.shape[1]} channels, got {list(values)}"
                )
        if any(not value > 0 for value in self.std):
            raise InvalidInput(f"std must be above 0 in each channel, got {list(self.std)}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise InvalidInput(
                f"learning_rate must be above 0, got {self.learning_rate}; negative learned rates are a known failure"
            )
        object.__setattr__(self, "images", x.detach().cpu().float().contiguous())
        object.__setattr__(
            self, "labels", (y.float() if self.soft else y.long()).detach().cpu().contiguous()
        )

    def _check_labels(self, classes: int) -> None:
        y = self.labels
        if self.soft:
            if y.shape[1] != classes:
                raise InvalidInput(
                    f"soft labels are {y.shape[1]} wide, but there are {classes} class names"
                )
            wrong = (
                ((y < 0).any(1) | ((y.sum(1) - 1).abs() > 1e-3) | ~torch.isfinite(y).all(1))
                .nonzero()
                .flatten()
            )
            if len(wrong) or not y.is_floating_point():
                at = int(wrong[0]) if len(wrong) else 0
                raise InvalidInput(
                    f"soft labels must be probabilities that sum to 1 (a softmax of logits does); image {at} has {y[at].tolist()}"
                )
        elif y.is_floating_point() or not 0 <= int(y.min()) <= int(y.max()) < classes:
            given = y.dtype if y.is_floating_point() else f"{int(y.min())}..{int(y.max())}"
            raise InvalidInput(
                f"hard labels must be integers 0..{classes - 1}, as there are {classes} class names; got {given}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        more = ", whitened" if self.zca else ""
        kind = "soft" if self.soft else "hard"
        return f"DistilledSet({n} images {c}×{h}×{w}, {len(self.class_names)} classes, {kind} labels{more})"

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
        """From a run (or its ``result()``) that distils images.

        Args:
            result: the run, or the Dataset that its ``result()`` returns.
            class_names: by default the run's own, or the numbers of the classes.

        Raises:
            InvalidInput: its result holds no images and labels.
        """
        names = class_names or getattr(getattr(result, "source", None), "class_names", ())
        made: xarray.Dataset = result.result() if hasattr(result, "result") else result
        if not {"images", "labels"} <= set(getattr(made, "data_vars", ())):
            raise InvalidInput(
                f"expected a run that distils images, or its result(); got {type(result).__name__}"
            )
        if unfinished := made.attrs.get("unfinished"):
            raise InvalidInput(f"{unfinished}; advance the run to its end first")
        labels = torch.from_numpy(made["labels"].values)
        names = names or [str(k) for k in range(int(labels.max()) + 1)]
        known = {
            name: made[name].values
            for name in ("mean", "std", "zca_mean", "zca_inverse")
            if name in made
        }
        whitening = None
        if "zca_inverse" in known:
            whitening = ZCA.of(
                torch.from_numpy(known["zca_mean"]), torch.from_numpy(known["zca_inverse"])
            )
        config = made.attrs.get("config", {})
        return cls(
            torch.from_numpy(made["images"].values),
            labels,
            tuple(map(str, names)),
            tuple(known["mean"].tolist()) if "mean" in known else (),
            tuple(known["std"].tolist()) if "std" in known else (),
            whitening,
            provenance={
                "config": dict(config),
                "step": made.attrs.get("step"),
                "versions": versions(),
            },
        )

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
        """Others' images, whose units must be said: a wrong guess would cost points without a word.

        Args:
            images: ``[N, C, H, W]``.
            labels: integers ``[N]``, or soft ``[N, K]``.
            space: one of ``SPACES``: "model", "unit" or "bytes".
            class_names: by default the numbers of the classes.
            mean, std: of the normalisation. For "unit" and "bytes" it is applied; for "model" it was.
            zca: what has whitened (space "model") or is to whiten the images.
            logits: soft labels are logits (as trajectory matching learns them), to be made probabilities.
            **more: ``learning_rate``, ``provenance``, ``protocol``.

        Raises:
            InvalidInput: ``space`` is not given, or says something else than the values do.

        Example:
            >>> x = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
            >>> DistilledSet.import_(x, torch.arange(4), space="bytes", mean=[0.5] * 3, std=[0.25] * 3)
            DistilledSet(4 images 3×8×8, 4 classes, hard labels)
        """
        if space is None:
            known = "\n  ".join(f"{name}: {what}" for name, what in SPACES.items())
            raise InvalidInput(
                f"say in which units the images are, for it cannot be seen: space= one of\n  {known}"
            )
        if space not in SPACES:
            raise UnknownName("space of images", space, SPACES)
        if not isinstance(images, torch.Tensor) or not images.numel():
            raise InvalidInput(
                f"images must be a tensor [N, C, H, W] with N ≥ 1, got {type(images).__name__}"
            )
        if (images.dtype == torch.uint8) != (space == "bytes"):
            raise InvalidInput(
                f"images are {images.dtype}, which is not {space!r}: {SPACES[space]}"
            )
        x = images.float()
        low, high = float(x.min()), float(x.max())
        if space == "unit" and not -1e-3 <= low <= high <= 1 + 1e-3:
            raise InvalidInput(
                f"images of space 'unit' must be in [0, 1], got {low:.3g} to {high:.3g}; normalised ones are 'model'"
            )
        if len(mean) != images.shape[1] or len(std) != images.shape[1]:
            raise InvalidInput(
                f"give mean and std for each of the {images.shape[1]} channels (0 and 1 if there was no normalisation)"
            )
        if space != "model":
            shape = (images.shape[1], 1, 1)
            x = x / 255 if space == "bytes" else x
            x = (x - x.new_tensor(mean).view(shape)) / x.new_tensor(std).view(shape)
            x = zca(x) if zca else x
        y = labels.softmax(1) if logits and labels.ndim == 2 else labels
        classes = y.shape[1] if y.ndim == 2 else int(y.max()) + 1
        names = tuple(class_names) or tuple(str(k) for k in range(classes))
        return cls(x, y, names, tuple(mean), tuple(std), zca, **more)

    def to_display(self) -> torch.Tensor:
        """uint8 ``[N, C, H, W]``: whitening and normalisation undone, clipped.

        Raises:
            InvalidInput: the units are not known.
        """
        if not len(self.mean):
            raise InvalidInput(
                "nothing is known of these images' units (the run was made from tensors), so they cannot be shown"
            )
        x = self.zca.undo(self.images) if self.zca else self.images
        shape = (len(self.mean), 1, 1)
        x = x * x.new_tensor(self.std).view(shape) + x.new_tensor(self.mean).view(shape)
        return x.mul(255).round().clamp(0, 255).to(torch.uint8)

    def to_dataset(self) -> torch.utils.data.TensorDataset:
        """Images and labels for a ``DataLoader``, in model units."""
        return torch.utils.data.TensorDataset(self.images, self.labels)

    def to_torch(self, folder: str | os.PathLike[str]) -> Path:
        """``images.pt``, ``labels.pt`` (plain tensors in model units, as DD-Ranking takes them) and ``about.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.images, folder / "images.pt")
        torch.save(self.labels, folder / "labels.pt")
        (folder / "about.json").write_text(json.dumps(self.about(), indent=1), encoding="utf-8")
        return folder

    def to_png(self, folder: str | os.PathLike[str]) -> Path:
        """One PNG an image in a folder a class, as ``ImageFolder`` reads them. **Lossy**: 8 bits a channel, clipped;
        a network trained on them may score otherwise. ``about.json`` says so.
        """
        from PIL import Image

        folder, shown = Path(folder), self.to_display()
        hard = self.labels.argmax(1) if self.soft else self.labels
        for k, (image, label) in enumerate(zip(shown, hard.tolist(), strict=True)):
            place = (
                folder
                / f"{label:0{len(str(len(self.class_names) - 1))}d} {self.class_names[label]}".replace(
                    "/", "-"
                )
            )
            place.mkdir(parents=True, exist_ok=True)
            pixels = image.permute(1, 2, 0).numpy() if len(image) >= 3 else image[0].numpy()
            Image.fromarray(pixels).save(place / f"{k:05d}.png")
        about = {
            **self.about(),
            "lossy": "8 bits a channel, clipped; soft labels became their largest"
            if self.soft
            else "8 bits a channel, clipped",
        }
        (folder / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        return folder

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one ``.safetensors`` file, atomically: tensors, and all else as JSON in its header.

        Raises:
            InvalidInput: another suffix.
        """
        from explore.data._distilled_file import write

        return write(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote; nothing in it is executed.

        Raises:
            DataMissing: there is no such file.
            RecordingDamaged: it cannot be read whole, or it is not as it was saved.
            InvalidInput: a file of others, which does not say its units; see ``import_``.
        """
        from explore.data._distilled_file import read

        return read(path, cls)

    def about(self) -> dict[str, Any]:
        """All but the tensors, as JSON."""
        return {
            "class_names": list(self.class_names),
            "mean": list(self.mean),
            "std": list(self.std),
            "zca_epsilon": self.zca.epsilon if self.zca else None,
            "learning_rate": self.learning_rate,
            "labels": "soft" if self.soft else "hard",
            "units": "model: (pixel / 255 - mean) / std" + (", then whitened" if self.zca else "")
            if len(self.mean)
            else "unknown",
            "sha256": self.sha256,
            "provenance": dict(self.provenance),
            "protocol": dict(self.protocol),
        }
