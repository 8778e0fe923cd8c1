"""Load photographs from folders that are named and divided as ImageNet's are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from explore.core.validation import check_choice, check_whole_number
from explore.data.decoding import IMAGE_SUFFIXES, MAX_SIDE, read_images
from explore.data.image_set import ImageSet
from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD
from explore.errors import DataMissing

SPLITS = ("train", "val", "test")


def load_class_folders(
    name: str,
    roots: Sequence[Path],
    split: str,
    folders: Sequence[str],
    class_names: Sequence[str],
    size: int,
    count: int | None,
    options: Mapping[str, Any],
) -> ImageSet:
    """Load the images of some class folders below ``train`` or ``val``.

    The published val is "test"; every tenth file of train is "val".

    Args:
        name: of the set.
        roots: folders of which the first one that has the split is used.
        split: "train", "val" or "test".
        folders, class_names: of each class, in the order of the labels.
        size: side in pixels to which all are resized.
        count: maximal number of images of each class, the first ones by name; None for all.
        options: what ``load`` needs to load the same set again, besides split, size and count.

    Raises:
        UnknownName: another split.
        DataMissing: a class has no file; the message names the classes.
        InvalidInput: a size or count below 1, or a file that cannot be read.
    """
    size = check_whole_number("size", size, 1, MAX_SIDE)
    count = None if count is None else check_whole_number("count", count, 1)
    check_choice("split", split, SPLITS)
    published_split = "val" if split == "test" else "train"
    try:
        root = next((root for root in roots if (root / published_split).is_dir()), roots[0])
        files = [_split_files(root / published_split / folder, split) for folder in folders]
    except OSError as error:  # no permission, or a path that is too long
        raise DataMissing(
            f"{name}: {str(roots[0])[:200]} cannot be listed ({error.strerror}); check the path "
            "and its permissions"
        ) from error
    missing = [k for k, listed in enumerate(files) if not listed]
    if missing:
        first = root / published_split / folders[missing[0]]
        problem = "no image in"
        if split == "val" and list_images(first):
            problem = "fewer than ten images (every tenth is val) in"
        lacking = ", ".join(f"{folders[k]} ({class_names[k]})" for k in missing)
        advice = f"put the folders train and val into {root}"
        if "path" not in options:
            advice += f", or set EXPLORE_DATA to the folder above {root.name}"
        raise DataMissing(f"{name}: {problem} {first.parent}/{lacking}; {advice}")
    chosen = [listed[:count] for listed in files]
    labels = [label for label, listed in enumerate(chosen) for _ in listed]
    return ImageSet(
        name,
        read_images([file for listed in chosen for file in listed], size=size),
        torch.tensor(labels),
        tuple(class_names),
        IMAGENET_MEAN,
        IMAGENET_STD,
        {"split": split, **options, "size": size, "count": count},
        flip=True,
    )


def list_images(folder: Path) -> list[Path]:
    """Return the image files of a folder by name, without hidden ones."""
    return sorted(
        file
        for file in folder.glob("[!.]*")
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    )


def _split_files(folder: Path, split: str) -> list[Path]:
    images = list_images(folder)
    if split == "val":
        return images[9::10]
    return images if split == "test" else [file for i, file in enumerate(images) if i % 10 != 9]
