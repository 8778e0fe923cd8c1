"""Convert images and labels from other sources to those of a distilled set, and export them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from explore.core.environment import versions
from explore.data.normalization import normalize, normalize_bytes
from explore.data.whitening import ZCA
from explore.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    import xarray

Space = Literal["model", "unit", "bytes"]
SPACES = {
    "model": "float, the input of a network: (x / 255 − mean) / std, then whitened if zca is given",
    "unit": "float in [0, 1], not normalised",
    "bytes": "uint8, 0 to 255",
}
"""The units in which images can be imported."""


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
    if space not in SPACES:
        raise UnknownName("space of images", space, SPACES)
    if not isinstance(images, torch.Tensor) or not images.numel():
        raise InvalidInput(
            f"images must be a tensor [N, C, H, W] with N ≥ 1, got {type(images).__name__}"
        )
    if (images.dtype == torch.uint8) != (space == "bytes"):
        raise InvalidInput(f"images are {images.dtype}, which is not {space!r}: {SPACES[space]}")
    low, high = float(images.min()), float(images.max())
    if space == "unit" and not -1e-3 <= low <= high <= 1 + 1e-3:
        raise InvalidInput(
            f"images of space 'unit' must be in [0, 1], got {low:.3g} to {high:.3g}; "
            "pass space='model' for normalised images"
        )
    if len(mean) != images.shape[1] or len(std) != images.shape[1]:
        raise InvalidInput(
            f"pass mean and std for each of the {images.shape[1]} channels "
            "(0 and 1 if the images are not normalised)"
        )
    if space == "model":
        return images.float()
    x = (
        normalize_bytes(images, mean, std)
        if space == "bytes"
        else normalize(images.float(), mean, std)
    )
    return zca(x) if zca else x


def fields_of_result(result: xarray.Dataset) -> dict[str, Any]:
    """Return the fields of a distilled set from the ``result()`` of a run that distils images.

    Class names are numbers: the result of a run does not contain names.
    """
    arrays = {
        name: torch.from_numpy(result[name].values)
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
        "learning_rate": None if rate is None else float(rate),
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


def write_png(
    folder: Path, pixels: torch.Tensor, labels: Sequence[int], class_names: Sequence[str]
) -> None:
    """Write uint8 images ``[N, C, H, W]`` as PNG files, one folder for each class."""
    from PIL import Image

    digits = len(str(len(class_names) - 1))
    for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        name = f"{label:0{digits}d} {class_names[label]}".replace("/", "-")
        (folder / name).mkdir(parents=True, exist_ok=True)
        array = image.permute(1, 2, 0).numpy() if len(image) >= 3 else image[0].numpy()
        Image.fromarray(array).save(folder / name / f"{index:05d}.png")


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write ``about.json``."""
    (folder / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
