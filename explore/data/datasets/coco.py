"""COCO, or any set in its layout: photographs with the categories of all objects in them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from explore.core.validation import (
    check_choice,
    check_seed,
    check_whole_number,
    describe,
    to_python,
)
from explore.data.datasets._file_names import is_path_below
from explore.data.datasets.folders import data_folder
from explore.data.decoding import MAX_SIDE, read_images
from explore.data.multilabel_set import MultilabelSet
from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD
from explore.data.stratification import stratified_split
from explore.errors import DataMissing, InvalidInput

SPLIT_NAMES = ("train", "val", "test")
LABEL_CHOICES = ("all", "present")
TRAIN_PART, VAL_PART = "train2017", "val2017"
"""The published parts: names of folders of images, and parts of the names of the annotations."""


def coco(
    split: str = "train",
    *,
    size: int = 128,
    labels: str = "all",
    count: int | None = None,
    folder: str = "coco",
    seed: int = 0,
) -> MultilabelSet:
    """Load COCO 2017: photographs resized to squares, with all categories of objects in them.

    The files are ``annotations/instances_train2017.json`` and ``instances_val2017.json``, and the
    images in ``train2017`` and ``val2017``, below ``coco`` in the data folder. The published
    val2017 is "test"; a tenth of train2017, by iterative stratification, is "val". Groups of
    objects (``iscrowd``) count as well. Images without annotations have no labels.

    Args:
        split: "train", "val" or "test".
        size: side in pixels; the aspect ratio is not kept.
        labels: "all" categories of the file (80), or those that are "present" in train2017. Their
            order is that of their numbers.
        count: maximal number of images, those with the lowest numbers; None for all.
        folder: of the set, within the data folder.
        seed: of the split.

    Raises:
        DataMissing: a file of annotations or an image is missing.
        InvalidInput: a file that cannot be read, annotations of unknown images or categories, or a
            file name that leads outside of the folder of the images.

    Source: Lin et al., "Microsoft COCO: Common Objects in Context", arXiv 1405.0312.
    """
    options = _check_options(split, size, labels, count, folder, seed)
    root = data_folder() / folder
    if split != "test":
        parts = dict(zip(("train", "val"), (0.9, 0.1), strict=True))
        return _load("coco", root, _read_annotations(root, TRAIN_PART), parts, options)
    annotations = _read_annotations(root, VAL_PART)
    if labels == "present":
        train = _read_annotations(root, TRAIN_PART)
        if train.categories != annotations.categories:
            raise InvalidInput(
                f"{_annotation_path(root, VAL_PART)} lists other categories than that of "
                f"{TRAIN_PART}; replace both files"
            )
        annotations = annotations._replace(is_present=train.is_present)
    return _load("coco", root, annotations, {"test": 1.0}, options)


def coco128(
    split: str = "train",
    *,
    size: int = 128,
    labels: str = "all",
    count: int | None = None,
    folder: str = "coco128",
    seed: int = 0,
) -> MultilabelSet:
    """Load COCO128, the first 128 images of COCO's train2017, or another set with one part.

    The files are ``annotations/instances_train2017.json`` and the images in ``train2017``, below
    ``coco128`` in the data folder. The images are split 70/10/20 by iterative stratification.
    Arguments and errors are those of ``coco``.
    """
    options = _check_options(split, size, labels, count, folder, seed)
    root = data_folder() / folder
    parts = {"train": 0.7, "val": 0.1, "test": 0.2}
    return _load("coco128", root, _read_annotations(root, TRAIN_PART), parts, options)


class _Annotations(NamedTuple):
    part: str
    file_names: list[str]  # of the images, by their numbers
    categories: list[tuple[int, str]]  # number and name, by number
    table: NDArray[np.bool_]  # [images, categories]
    is_present: NDArray[np.bool_]  # [categories]: some image of the training part has it


def _check_options(
    split: str, size: int, labels: str, count: int | None, folder: str, seed: int
) -> dict[str, Any]:
    folder = to_python(folder)
    if not is_path_below(folder):
        raise InvalidInput(
            f"folder must be the name of a folder within the data folder, got {describe(folder)}"
        )
    return {
        "split": check_choice("split", split, SPLIT_NAMES),
        "size": check_whole_number("size", size, 1, MAX_SIDE),
        "labels": check_choice("labels", labels, LABEL_CHOICES),
        "count": None if count is None else check_whole_number("count", count, 1),
        "folder": folder,
        "seed": check_seed(seed),
    }


def _load(
    name: str,
    root: Path,
    annotations: _Annotations,
    parts: dict[str, float],
    options: dict[str, Any],
) -> MultilabelSet:
    """Load one split of the images that a file of annotations lists.

    Args:
        name: of the set.
        root: the folder of the folders of images.
        annotations: of these images.
        parts: the splits of these images, and their shares.
        options: of the loader.
    """
    rows = np.arange(len(annotations.file_names))
    if len(parts) > 1:
        members = stratified_split(annotations.table, list(parts.values()), options["seed"])
        rows = members[list(parts).index(options["split"])]
    rows = rows[: options["count"]]
    if not len(rows):
        raise InvalidInput(
            f"{_annotation_path(root, annotations.part)} lists too few images for "
            f"{options['split']!r}; it lists {len(annotations.file_names)}"
        )
    files = [root / annotations.part / annotations.file_names[row] for row in rows]
    missing = [file for file in files if not os.path.isfile(file)]  # noqa: PTH113 - never raises
    if missing:
        raise DataMissing(
            f"{name} is incomplete: {missing[0]} and {len(missing) - 1} more images are missing. "
            "Put them there"
        )
    columns = np.arange(len(annotations.categories))
    if options["labels"] == "present":
        columns = np.flatnonzero(annotations.is_present)
    return MultilabelSet(
        name,
        read_images(files, size=options["size"]),
        torch.from_numpy(annotations.table[np.ix_(rows, columns)].astype(np.float32)),
        tuple(annotations.categories[column][1] for column in columns),
        IMAGENET_MEAN,
        IMAGENET_STD,
        options=options,
    )


def _annotation_path(root: Path, part: str) -> Path:
    return root / "annotations" / f"instances_{part}.json"


def _read_annotations(root: Path, part: str) -> _Annotations:
    """Return what a file of annotations says about the images and categories.

    pycocotools is not used: it computes masks and scores, must be compiled on some systems, and of
    all that only the pairs of image and category are needed here.
    """
    path = _annotation_path(root, part)
    if not path.is_file():
        raise DataMissing(
            f"{path} is missing. Put COCO's annotations and images there, set EXPLORE_DATA to the "
            f"folder above {root.name}, or pass folder= with the name of their folder"
        )
    try:
        content = json.loads(path.read_bytes())
        images = {_number(image["id"]): _file_name(image) for image in content["images"]}
        categories = {_number(e["id"]): _category_name(e) for e in content["categories"]}
        objects = [
            (_number(entry["image_id"]), _number(entry["category_id"]))
            for entry in content["annotations"]
        ]
        lengths = len(content["images"]), len(content["categories"])
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be opened ({error.strerror}); check its permissions and the disk"
        ) from error
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        # A ValueError: no JSON, or one of the checks below.
        kind = "" if isinstance(error, InvalidInput) else f"{type(error).__name__}: "
        reason = f"{kind}{error}"
        raise InvalidInput(
            f"{path} cannot be read as annotations of COCO ({reason}); replace it by a complete "
            'file with "images", "categories" and "annotations"'
        ) from error
    repeated = len(images) < lengths[0] or len(set(images.values())) < lengths[0]
    if repeated or len(set(categories.values())) < lengths[1] or not images or not categories:
        problem = "lists no" if not images or not categories else "repeats the number or name of"
        raise InvalidInput(f"{path} {problem} images or categories; replace it")
    image_ids, category_ids = sorted(images), sorted(categories)
    rows = {number: row for row, number in enumerate(image_ids)}
    columns = {number: column for column, number in enumerate(category_ids)}
    for image, category in objects:
        if image not in rows or category not in columns:
            raise InvalidInput(
                f"{path} has an annotation of image {image} and category {category}, but does not "
                f"list this {'image' if image not in rows else 'category'}; replace the file"
            )
    table = np.zeros((len(rows), len(columns)), bool)
    if objects:
        table[[rows[image] for image, _ in objects], [columns[k] for _, k in objects]] = True
    return _Annotations(
        part,
        [images[number] for number in image_ids],
        [(number, categories[number]) for number in category_ids],
        table,
        np.asarray(table.any(0)),
    )


def _number(value: Any) -> int:
    """Return the number of an image or a category; some programs write it as a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    return check_whole_number("a number of an image or category", value)


def _file_name(image: Any) -> str:
    """Return the name of an image, which must lie below the folder of the images."""
    name = image["file_name"]
    if not is_path_below(name):
        raise InvalidInput(
            f"file_name must be the name of a file in the folder of the images, got "
            f"{describe(name)}"
        )
    return str(name)


def _category_name(entry: Any) -> str:
    name = entry["name"]
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput(f"the name of a category must be a text, got {describe(name)}")
    name.encode("utf-8")  # A half of a pair of surrogates could not be stored.
    return name
