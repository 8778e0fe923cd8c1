"""CIFAR-10 from folders of JPEG files, a tenth of the original's size on disk."""

from __future__ import annotations

import torch

from explore.data.datasets.folders import data_folder
from explore.data.decoding import read_images, whole_number
from explore.data.image_set import ImageSet
from explore.errors import DataMissing

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (
    (0.4914, 0.4822, 0.4465),
    (0.2470, 0.2435, 0.2616),
)  # of the original training part; the JPEGs' are as these
NUMBERS = {
    "train": ("train", range(4500)),
    "val": ("train", range(4500, 5000)),
    "test": ("test", range(1000)),
}
"""The folder of each split and the numbers of its files, of each class."""


def cifar10_jpeg(split: str = "train", *, count: int | None = None) -> ImageSet:
    """CIFAR-10 as JPEG files of quality 75: 45,000 "train", 5,000 "val" and 10,000 "test" images, 3×32×32, of ten classes.

    Not comparable with published CIFAR-10 numbers: compression changed the pixels, and networks trained on the originals
    lose about 10 points of accuracy on these. Say "CIFAR-10 (JPEG)". The files are ``cifar10/train/CLASS/0000.jpg`` to
    ``4999.jpg`` and ``cifar10/test/CLASS/0000.jpg`` to ``0999.jpg`` in the data folder. Every ten images in a row hold each
    class once, and fewer images are the first of more.

    Args:
        split: "train", "val" (the last 500 of each class of the official training part) or "test".
        count: images of each class at most, the first ones; all of them if None.

    Raises:
        DataMissing: the files are not in the data folder.
        InvalidInput: ``count`` is no positive integer, or a file cannot be read.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    part, numbers = NUMBERS[split]
    count = None if count is None else whole_number("count", count, 1)
    folder = data_folder() / "cifar10" / part
    files = [folder / name / f"{i:04}.jpg" for i in numbers[:count] for name in CLASSES]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataMissing(
            f"cifar10-jpeg is not whole: {missing[0]} and {len(missing) - 1} more of {len(files)} files are missing. "
            "Put them there, or set EXPLORE_DATA to the folder above cifar10"
        )
    labels = torch.arange(len(CLASSES)).repeat(len(files) // len(CLASSES))
    return ImageSet(
        "cifar10-jpeg",
        read_images(files),
        labels,
        CLASSES,
        MEAN,
        STD,
        {"split": split, "count": count},
    )
