"""Imagenette: photographs of ten classes of ImageNet."""

from __future__ import annotations

from explore.data.datasets._imagenet_folders import load_class_folders
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet

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
        DataMissing: a class has no file; the message names the classes.
        InvalidInput: a size or count below 1, or a file that cannot be read.

    Source: J. Howard, github.com/fastai/imagenette; from ImageNet, for research only.
    """
    return load_class_folders(
        "imagenette",
        [data_folder() / name for name in FOLDER_NAMES],
        split,
        tuple(CLASS_NAMES),
        tuple(CLASS_NAMES.values()),
        size,
        count,
        {},
    )
