"""CIFAR-10 from folders of JPEG files, which need a tenth of the original's disk space."""

from __future__ import annotations

import torch

from explore.core.validation import check_choice, check_whole_number
from explore.data.datasets.folders import data_folder
from explore.data.decoding import read_images
from explore.data.image_set import ImageSet
from explore.errors import DataMissing

CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
# Statistics of the original training part. Those of the JPEG files are almost equal.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SPLIT_FILES = {
    "train": ("train", range(4500)),
    "val": ("train", range(4500, 5000)),
    "test": ("test", range(1000)),
}
"""The folder of each split, and the numbers of its files in each class."""


def cifar10_jpeg(split: str = "train", *, count: int | None = None) -> ImageSet:
    """Load CIFAR-10 as JPEG files of quality 75, 3×32×32, of ten classes.

    "train" has 45,000 images, "val" 5,000 and "test" 10,000. Results are not comparable with
    published CIFAR-10 results: compression changed the pixels, and networks trained on the
    originals lose about 10 points of accuracy on these. Call the set "CIFAR-10 (JPEG)". The files
    are ``cifar10/train/CLASS/0000.jpg`` to ``4999.jpg`` and ``cifar10/test/CLASS/0000.jpg`` to
    ``0999.jpg`` in the data folder. Every ten successive images have each class once, and a smaller
    set is the beginning of a larger one.

    Args:
        split: "train", "val" (the last 500 of each class of the official training part) or "test".
        count: maximal number of images of each class, the first ones; None for all.

    Raises:
        UnknownName: another split.
        DataMissing: a file is not in the data folder.
        InvalidInput: ``count`` is not a positive integer, or a file cannot be read.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    folder_name, numbers = SPLIT_FILES[check_choice("split", split, SPLIT_FILES)]
    count = None if count is None else check_whole_number("count", count, 1)
    folder = data_folder() / "cifar10" / folder_name
    files = [folder / name / f"{i:04}.jpg" for i in numbers[:count] for name in CLASS_NAMES]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataMissing(
            f"cifar10-jpeg is incomplete: {missing[0]} and {len(missing) - 1} more of {len(files)} "
            "files are missing. Put them there, or set EXPLORE_DATA to the folder above cifar10"
        )
    labels = torch.arange(len(CLASS_NAMES)).repeat(len(files) // len(CLASS_NAMES))
    options = {"split": split, "count": count}
    images = read_images(files)
    return ImageSet("cifar10-jpeg", images, labels, CLASS_NAMES, MEAN, STD, options, flip=True)
