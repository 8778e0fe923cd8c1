"""MNIST and Fashion-MNIST through torchvision; looked for in the data folder, downloaded only when asked."""

from __future__ import annotations

import torch

from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet
from explore.errors import DataMissing

VAL = 5000
"""Images of the official training part that are kept aside to choose settings on."""

CLOTHES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def mnist(split: str = "train", *, size: int = 28, download: bool = False) -> ImageSet:
    """MNIST: 55,000 "train", 5,000 "val" and 10,000 "test" images of handwritten digits, 28×28.

    Args:
        split: "train", "val" (the last 5,000 of the official training part) or "test".
        size: side in pixels; another one than 28 is resized (antialiased bilinear).
        download: fetch the files if they are missing.

    Raises:
        DataMissing: the files are not in the data folder and ``download`` is false.
    """
    return _load(
        "mnist", "MNIST", tuple(map(str, range(10))), 0.1307, 0.3081, split, size, download
    )


def fashion_mnist(split: str = "train", *, size: int = 28, download: bool = False) -> ImageSet:
    """Fashion-MNIST: 55,000 "train", 5,000 "val" and 10,000 "test" images of clothes, 28×28.

    Arguments and errors as for ``mnist``. Source: arXiv 1708.07747, MIT licence.
    """
    return _load("fashion-mnist", "FashionMNIST", CLOTHES, 0.2860, 0.3530, split, size, download)


def _load(
    name: str,
    kind: str,
    class_names: tuple[str, ...],
    mean: float,
    std: float,
    split: str,
    size: int,
    download: bool,
) -> ImageSet:
    from torchvision import datasets  # here, because importing it takes a second

    folder = data_folder()
    try:
        raw = getattr(datasets, kind)(folder, train=split != "test", download=download)
    except (RuntimeError, ValueError, AssertionError) as error:  # the last two from damaged files
        wanted = folder / kind / "raw"
        files = [
            f"{part}-{what}-ubyte"
            for part in ("train", "t10k")
            for what in ("images-idx3", "labels-idx1")
        ]
        missing = [
            file for file in files if not (wanted / file).exists()
        ]  # torchvision wants all four whatever the split
        raise DataMissing(
            f"{name} is not in {wanted}: expected {', '.join(missing) or 'whole files'} there. Put them there (unpacked), "
            f'set EXPLORE_DATA to the folder above {kind}, or call load("{name}", download=True)'
        ) from error
    images, labels = raw.data[:, None], raw.targets.long()
    if split != "test":
        chosen = slice(-VAL, None) if split == "val" else slice(0, -VAL)
        images, labels = images[chosen], labels[chosen]
    if size != 28:
        parts = images.split(5000)
        resize = torch.nn.functional.interpolate
        images = torch.cat(
            [
                resize(p.float(), (size, size), mode="bilinear", antialias=True).round().byte()
                for p in parts
            ]
        )
    return ImageSet(
        name, images, labels, class_names, (mean,), (std,), {"split": split, "size": size}
    )
