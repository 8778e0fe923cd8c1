"""Imagenette: photographs of ten classes of ImageNet."""

from __future__ import annotations

import torch

from explore.core.validation import check_whole_number
from explore.data.datasets.folders import data_folder
from explore.data.decoding import IMAGE_SUFFIXES, read_images
from explore.data.image_set import ImageSet
from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD
from explore.errors import DataMissing, UnknownName

CLASS_NAMES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""The folder and the name of each class."""
IMAGENET_CLASSES = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
"""The number of each class among ImageNet's 1,000."""
FOLDER_NAMES = ("imagenette", "imagenette2", "imagenette2-320", "imagenette2-160")


def imagenette(split: str = "train", *, size: int = 224, count: int | None = None) -> ImageSet:
    """Load Imagenette, or as many photographs of each of its ten classes as the folder has.

    The files are ``imagenette/train/n01440764/*.JPEG`` and ``imagenette/val/…`` in the data folder
    (or ``imagenette2``, ``imagenette2-320``, ``imagenette2-160``). The published val is "test";
    every tenth file of train is "val".

    Args:
        split: "train", "val" or "test"; they share no file.
        size: side in pixels to which all are resized (antialiased bilinear; the aspect ratio is not
            kept).
        count: maximal number of images of each class, the first ones by name; None for all.

    Raises:
        UnknownName: another split.
        DataMissing: a class has no file.
        InvalidInput: a size or count below 1, or a file that cannot be read.

    Source: J. Howard, github.com/fastai/imagenette; from ImageNet, for research only.
    """
    size = check_whole_number("size", size, 1)
    count = None if count is None else check_whole_number("count", count, 1)
    if split not in ("train", "val", "test"):
        raise UnknownName("split", split, ("train", "val", "test"))
    published_split = "val" if split == "test" else "train"
    roots = [data_folder() / name for name in FOLDER_NAMES]
    root = next((root for root in roots if (root / published_split).is_dir()), roots[0])
    files, labels = [], []
    for label, name in enumerate(CLASS_NAMES):
        folder = root / published_split / name
        images = sorted(
            file
            for file in folder.glob("[!.]*")
            if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
        )
        if split == "val":
            images = images[9::10]
        elif split == "train":
            images = [file for i, file in enumerate(images) if i % 10 != 9]
        if not images:
            problem = "no image"
            if split == "val" and any(folder.glob("*")):
                problem = "fewer than ten images (every tenth is val)"
            raise DataMissing(
                f"imagenette: {problem} in {folder}; put Imagenette's train and val there, or set "
                f"EXPLORE_DATA to the folder above {root.name}"
            )
        files += images[:count]
        labels += [label] * len(images[:count])
    return ImageSet(
        "imagenette",
        read_images(files, size=size),
        torch.tensor(labels),
        tuple(CLASS_NAMES.values()),
        IMAGENET_MEAN,
        IMAGENET_STD,
        {"split": split, "size": size, "count": count},
    )
