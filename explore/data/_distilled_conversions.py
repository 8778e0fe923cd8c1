"""Convert images and labels from other sources to those of a distilled set, and export them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from explore.core.environment import versions
from explore.core.tensor_validation import as_tensor, check_tensor
from explore.core.validation import check_choice, check_items, check_path, describe
from explore.data._class_labels import check_class_labels
from explore.data.normalization import check_statistics, normalize, normalize_bytes
from explore.data.whitening import ZCA
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import xarray

Space = Literal["model", "unit", "bytes"]
SPACES = {
    "model": "float, the input of a network: (x / 255 − mean) / std, then whitened if zca is given",
    "unit": "float in [0, 1], not normalised",
    "bytes": "uint8, 0 to 255",
}
"""The units in which images can be imported."""
PNG_CHANNELS = (1, 3, 4)
UNSAFE_CHARACTERS = r'[/\\:*?"<>|\x00-\x1f\ud800-\udfff]'
"""Characters that the name of a folder cannot have on some system."""
MOST_NAME_BYTES = 100
"""Longer names of folders are cut; file systems allow 255 bytes or less."""


def to_model_units(
    images: Any,
    space: str | None,
    mean: Sequence[float],
    std: Sequence[float],
    zca: ZCA | None,
) -> torch.Tensor:
    """Return images of a known space in model units; see ``DistilledSet.import_``."""
    if space is None:
        options = "\n  ".join(f"{name}: {meaning}" for name, meaning in SPACES.items())
        raise InvalidInput(
            f"the value range of the images cannot be inferred; pass space=, one of:\n  {options}"
        )
    check_choice("space of images", space, SPACES)
    images = as_tensor("images", images).detach()
    if images.ndim != 4 or not images.numel():
        raise InvalidInput(f"images must be [N, C, H, W] with N ≥ 1, got {describe(images)}")
    expected = images.dtype == torch.uint8 if space == "bytes" else images.is_floating_point()
    if not expected:
        raise InvalidInput(f"images are {images.dtype}, which is not {space!r}: {SPACES[space]}")
    images = images if space == "bytes" else images.float()
    low, high = float(images.min()), float(images.max())
    if space == "unit" and not -1e-3 <= low <= high <= 1 + 1e-3:
        raise InvalidInput(
            f"images of space 'unit' must be in [0, 1], got {low:.3g} to {high:.3g}; "
            "pass space='model' for normalised images"
        )
    channels = images.shape[1]
    if [len(check_items(name, v)) for name, v in (("mean", mean), ("std", std))] != [channels] * 2:
        advice = ""
        if images.shape[3] in PNG_CHANNELS and channels not in PNG_CHANNELS:
            advice = "; images with the channels last need .permute(0, 3, 1, 2)"
        raise InvalidInput(
            f"pass mean and std for each of the {channels} channels "
            f"(0 and 1 if the images are not normalised){advice}"
        )
    mean, std = check_statistics(mean, std, channels)
    if zca is not None and not isinstance(zca, ZCA):
        raise InvalidInput(f"zca must be a fitted ZCA or None, got {describe(zca)}")
    if space == "model":
        return images
    apply = normalize_bytes if space == "bytes" else normalize
    x = apply(images, mean, std)
    return zca(x) if zca else x


def distilled_labels(
    labels: Any, count: int, classes: int | None = None, logits: bool = False
) -> torch.Tensor:
    """Return hard labels as int64 ``[N]``, or soft ones as float32 ``[N, K]``, on the CPU.

    Args:
        labels: whole numbers ``[N]``, or floats ``[N, K]``.
        count: N.
        classes: K, if it is known.
        logits: apply softmax to floats ``[N, K]``.

    Raises:
        InvalidInput: another shape or kind, hard labels out of range, or soft ones that are not
            probabilities, as they are after the conversion to float32.
    """
    y = as_tensor("labels", labels).detach().cpu()
    if y.ndim != 2 or not y.is_floating_point():
        return check_class_labels("labels", y, count, classes).contiguous()
    if len(y) != count:
        raise InvalidInput(
            f"labels must be floats [{count}, K], one row for each of the images, got {describe(y)}"
        )
    y = check_tensor("labels", y, ("N", "K"), dtype=torch.float32)
    if classes is not None and y.shape[1] != classes:
        raise InvalidInput(
            f"soft labels have {y.shape[1]} columns, but there are {classes} class names"
        )
    if logits:
        y = y.softmax(1)
    invalid = (y < 0).any(1) | ~((y.sum(1, dtype=torch.float64) - 1).abs() <= 1e-3)
    if invalid.any():
        index = int(invalid.int().argmax())
        total = float(y[index].sum(dtype=torch.float64))
        advice = "apply softmax to logits"
        if abs(total - 1) < 0.05 and bool((y[index] >= 0).all()):
            advice = "divide them by their sum: y = y.float(); y / y.sum(1, keepdim=True)"
        raise InvalidInput(
            f"soft labels must be probabilities that sum to 1 ({advice}); image {index} has "
            f"{describe(y[index].tolist())}, with the sum {total:.4g}"
        )
    return y.contiguous()


def fields_of_result(result: xarray.Dataset) -> dict[str, Any]:
    """Return the fields of a distilled set from the ``result()`` of a run that distils images.

    Class names are numbers: the result of a run does not contain names.
    """
    arrays = {
        name: as_tensor(name, result[name].values)
        for name in ("images", "labels", "zca_mean", "zca_inverse")
        if name in result
    }
    labels = arrays["labels"]
    rate = result.get("learning_rate", result.attrs.get("learning_rate"))
    return {
        "images": arrays["images"],
        "labels": labels,
        "class_names": number_names(labels),
        "mean": tuple(result["mean"].values.tolist()) if "mean" in result else (),
        "std": tuple(result["std"].values.tolist()) if "std" in result else (),
        "zca": ZCA.of(arrays["zca_mean"], arrays["zca_inverse"])
        if "zca_inverse" in arrays
        else None,
        "learning_rate": rate,
        "provenance": {
            "config": dict(result.attrs.get("config", {})),
            "step": result.attrs.get("step"),
            "versions": versions(),
        },
    }


def number_names(labels: torch.Tensor) -> tuple[str, ...]:
    """Return the numbers of the classes as names, for integer ``[N]`` or soft ``[N, K]`` labels."""
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    return tuple(str(k) for k in range(classes))


def create_folder(folder: str | os.PathLike[str]) -> Path:
    """Create a folder and return its path.

    Raises:
        InvalidInput: it is no path, or cannot be created.
    """
    path = check_path("folder", folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _writing_error(path, error) from error
    return path


def write_tensors(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write each tensor to a ``.pt`` file.

    Raises:
        InvalidInput: a file cannot be written.
    """
    try:
        for name, tensor in tensors.items():
            torch.save(tensor, folder / f"{name}.pt")
    except (OSError, RuntimeError) as error:  # PyTorch raises a RuntimeError for a full disk.
        raise _writing_error(folder, error) from error


def write_png(
    folder: str | os.PathLike[str],
    pixels: torch.Tensor,
    labels: Sequence[int],
    class_names: Sequence[str],
) -> Path:
    """Write uint8 images ``[N, C, H, W]`` as PNG files, one folder for each class.

    Raises:
        InvalidInput: another number of channels than 1, 3 or 4, or a file cannot be written.
    """
    from PIL import Image

    if pixels.shape[1] not in PNG_CHANNELS:
        raise InvalidInput(
            f"PNG holds images of 1, 3 or 4 channels, these have {pixels.shape[1]}; use to_torch"
        )
    path, digits = create_folder(folder), len(str(len(class_names) - 1))
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        class_folder = create_folder(path / _folder_name(f"{label:0{digits}d}", class_names[label]))
        array = image.permute(1, 2, 0).numpy() if len(image) >= 3 else image[0].numpy()
        try:
            Image.fromarray(array).save(class_folder / f"{index:05d}.png")
        except OSError as error:
            raise _writing_error(path, error) from error
    return path


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write ``about.json``.

    Raises:
        InvalidInput: it cannot be written.
    """
    try:
        (folder / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    except OSError as error:
        raise _writing_error(folder, error) from error


def _folder_name(number: str, name: str) -> str:
    """Return the name of a class's folder, which any file system can hold."""
    text = re.sub(UNSAFE_CHARACTERS, "-", f"{number} {name}")
    text = text.encode()[:MOST_NAME_BYTES].decode(errors="ignore")
    return text.rstrip(" ") or number


def _writing_error(path: Path, error: Exception) -> InvalidInput:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return InvalidInput(f"{path} cannot be written ({reason}); choose another folder")
