"""Imagenette: ten classes of ImageNet in folders of WordNet names, looked for in the data folder."""

from __future__ import annotations

import torch

from explore.data.datasets.folders import data_folder
from explore.data.decoding import IMAGE_SUFFIXES, read_images, whole_number
from explore.data.image_set import ImageSet
from explore.errors import DataMissing, UnknownName

CLASSES = {
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
IMAGENET_CLASSES = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
"""Which of ImageNet's 1,000 classes each is."""
FOLDERS = ("imagenette", "imagenette2", "imagenette2-320", "imagenette2-160")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's usual ones


def imagenette(split: str = "train", *, size: int = 224, count: int | None = None) -> ImageSet:
    """Imagenette, or a part of it: as many photographs of each of ten classes as its folder holds.

    The files are ``imagenette/train/n01440764/*.JPEG`` and ``imagenette/val/…`` in the data folder (``imagenette2``,
    ``-320`` and ``-160`` are found too). The published val is our "test"; every tenth file of train is our "val".

    Args:
        split: "train", "val" or "test"; they share no file.
        size: side in pixels to which all are resized (antialiased bilinear; the aspect ratio is not kept).
        count: images of each class at most, the first ones by name; all of them if None.

    Raises:
        UnknownName: another split.
        DataMissing: a class has no file; says where they are looked for.
        InvalidInput: a size or count below 1, or a file that cannot be read.

    Source: J. Howard, github.com/fastai/imagenette; of ImageNet, for research only.
    """
    size, count = (
        whole_number("size", size, 1),
        None if count is None else whole_number("count", count, 1),
    )
    if split not in ("train", "val", "test"):
        raise UnknownName("split", split, ("train", "val", "test"))
    inside = "val" if split == "test" else "train"
    places = [data_folder() / name for name in FOLDERS]
    root = next((place for place in places if (place / inside).is_dir()), places[0])
    part = root / inside
    files, labels = [], []
    for label, name in enumerate(CLASSES):
        found = sorted(
            file
            for file in (part / name).glob("[!.]*")
            if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
        )
        if split != "test":
            found = [
                file for number, file in enumerate(found) if (number % 10 == 9) == (split == "val")
            ]
        if not found:
            few = split == "val" and any((part / name).glob("*"))
            lacking = "fewer than ten images, every tenth of which is val," if few else "no image"
            raise DataMissing(
                f"imagenette: {lacking} in {part / name}; put Imagenette's train and val there, or set EXPLORE_DATA to the "
                f"folder above {root.name}"
            )
        files += found[:count]
        labels += [label] * len(found[:count])
    options = {"split": split, "size": size, "count": count}
    names = tuple(CLASSES.values())
    return ImageSet(
        "imagenette", read_images(files, size=size), torch.tensor(labels), names, MEAN, STD, options
    )
