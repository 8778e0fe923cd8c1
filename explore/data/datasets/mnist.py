"""MNIST and Fashion-MNIST, read by torchvision."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.validation import check_choice, check_flag, check_whole_number
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet
from explore.errors import DataMissing

MAX_SIDE = 256
"""The largest side to which images are resized; all images are in memory at once."""
VAL_COUNT = 5000
"""The number of images at the end of the official training part that are "val"."""
CLOTHES_NAMES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


def mnist(split: str = "train", *, size: int = 28, download: bool = False) -> ImageSet:
    """Load MNIST, handwritten digits, 28×28: 55,000 "train", 5,000 "val" and 10,000 "test" images.

    Args:
        split: "train", "val" (the last 5,000 of the official training part) or "test".
        size: side in pixels, up to ``MAX_SIDE``; other sizes than 28 are resized (antialiased
            bilinear).
        download: download the files if they are missing.

    Raises:
        UnknownName: another split.
        DataMissing: the files are not in the data folder and ``download`` is false, or they cannot
            be downloaded.
        InvalidInput: ``size`` or ``download`` is of another kind, or the size is larger.
    """
    names = tuple(map(str, range(10)))
    images, labels, options = _read("mnist", "MNIST", split, size, download)
    return ImageSet("mnist", images, labels, names, (0.1307,), (0.3081,), options, flip=False)


def fashion_mnist(split: str = "train", *, size: int = 28, download: bool = False) -> ImageSet:
    """Load Fashion-MNIST, clothes, 28×28: 55,000 "train", 5,000 "val" and 10,000 "test" images.

    Arguments and errors are those of ``mnist``. Source: arXiv 1708.07747, MIT licence.
    """
    images, labels, options = _read("fashion-mnist", "FashionMNIST", split, size, download)
    mean, std = (0.2860,), (0.3530,)
    return ImageSet("fashion-mnist", images, labels, CLOTHES_NAMES, mean, std, options, flip=True)


def _read(
    name: str, class_name: str, split: str, size: int, download: bool
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Return images, labels, and the arguments that load them again."""
    split = check_choice("split", split, ("train", "val", "test"))
    size = check_whole_number("size", size, 1, MAX_SIDE)
    download = check_flag("download", download)
    from torchvision import datasets  # This import takes a second.

    try:
        loader = getattr(datasets, class_name)
        raw = loader(data_folder(), train=split != "test", download=download)
    except OSError as error:
        raise DataMissing(
            f"{name} cannot be read or downloaded: {error}; check the network and the permissions "
            f"of {data_folder()}"
        ) from error
    except (RuntimeError, ValueError, AssertionError) as error:  # The last two: damaged files.
        folder = data_folder() / class_name / "raw"
        # torchvision needs all four files for each split.
        files = [
            f"{part}-{kind}-ubyte"
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ]
        missing = [file for file in files if not (folder / file).exists()]
        raise DataMissing(
            f"{name} is not in {folder}: expected {', '.join(missing) or 'complete files'} there. "
            f"Put them there (unpacked), set EXPLORE_DATA to the folder above {class_name}, "
            f'or call load("{name}", download=True)'
        ) from error
    images, labels = raw.data[:, None], raw.targets.long()
    if split != "test":
        rows = slice(-VAL_COUNT, None) if split == "val" else slice(0, -VAL_COUNT)
        images, labels = images[rows], labels[rows]
    if size != 28:
        images = torch.cat([_resize(part, size) for part in images.split(5000)])
    return images, labels, {"split": split, "size": size}


def _resize(images: torch.Tensor, size: int) -> torch.Tensor:
    resized = torch.nn.functional.interpolate(
        images.float(), (size, size), mode="bilinear", antialias=True
    )
    return resized.round().byte()
