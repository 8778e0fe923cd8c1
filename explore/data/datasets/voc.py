"""PASCAL VOC, or any set in its layout: photographs with several classes in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch

from explore.core.validation import (
    check_choice,
    check_flag,
    check_whole_number,
    describe,
    to_python,
)
from explore.data.datasets.folders import data_folder
from explore.data.datasets.voc_annotations import AnnotatedObject, read_annotation
from explore.data.decoding import MAX_SIDE, read_images
from explore.data.image_set import ImageSet
from explore.data.normalization import IMAGENET_MEAN, IMAGENET_STD
from explore.data.splitting import split_by_name
from explore.errors import DataMissing, InvalidInput

CLASS_NAMES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
YEARS = ("2007", "2008", "2009", "2010", "2011", "2012")


def voc(
    split: str = "train",
    *,
    year: str = "2012",
    size: int = 128,
    difficult: bool = False,
    download: bool = False,
) -> ImageSet:
    """Load PASCAL VOC: photographs resized to squares, with every class that is in them.

    If the official test list has annotations (as in 2007), "train", "val" and "test" are the
    official lists. Otherwise the official list val is "test", and a tenth of the official list
    train, selected by the names of the files, is "val". The files are
    ``VOCdevkit/VOC2012/JPEGImages``, ``Annotations`` and ``ImageSets/Main`` in the data folder
    (2011 is in ``TrainVal``). Another set in this layout has the classes that occur in the
    annotations of its lists train and val.

    Args:
        split: "train", "val" or "test".
        year: "2007" to "2012".
        size: side in pixels; the aspect ratio is not kept.
        difficult: count objects that are marked as difficult too. Otherwise, images in which all
            objects are difficult are left out.
        download: download the files if they are missing.

    Returns:
        A set with ``multi_hot``, every class that is present; ``labels`` is the class of the
        largest box (of equal boxes, the first). Normalised by ImageNet's statistics.

    Raises:
        UnknownName: another split.
        DataMissing: a list, an annotation or an image is missing.
        InvalidInput: an annotation that cannot be read, or has no objects or an impossible box; an
            empty split; an unknown year; a class that only the test list has; a repeated name.

    Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 111 (2015).
    """
    split = check_choice("split", split, ("train", "val", "test"))
    year = to_python(year)
    if not isinstance(year, str) or year not in YEARS:
        names = ", ".join(map(repr, YEARS))
        raise InvalidInput(f"year must be one of {names}, got {describe(year)}")
    difficult, download = check_flag("difficult", difficult), check_flag("download", download)
    size = check_whole_number("size", size, 1, MAX_SIDE)
    root = _find_root(year, download)
    lists = _read_lists(root)
    list_name, indices = _split_indices(root, lists, split)
    objects = {
        name: [read_annotation(_annotation_path(root, image)) for image in lists[name]]
        for name in sorted({"train", "val", list_name} & set(lists))
    }
    class_names = _class_names(
        [item for name in objects if name != "test" for image in objects[name] for item in image]
    )
    files: list[Path] = []
    labels: list[int] = []
    multi_hot = torch.zeros(len(indices), len(class_names))
    for i in indices:
        image = lists[list_name][i]
        counted = [item for item in objects[list_name][i] if difficult or not item.difficult]
        if not counted:
            continue
        unknown = [item.name for item in counted if item.name not in class_names]
        if unknown:
            raise InvalidInput(
                f"{_annotation_path(root, image)} has the class {unknown[0]!r}, but the lists "
                f"train and val have only {', '.join(class_names)}; correct the name"
            )
        multi_hot[len(files), [class_names.index(item.name) for item in counted]] = 1
        labels.append(class_names.index(max(counted, key=lambda item: item.area).name))
        files.append(root / "JPEGImages" / f"{image}.jpg")
    if not files:
        raise InvalidInput(
            f"{root} has no image for {split!r}: its list {list_name} has {len(lists[list_name])} "
            "names; check that it is complete"
        )
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataMissing(
            f"voc is incomplete: {missing[0]} and {len(missing) - 1} more images are missing. "
            "Put them there"
        )
    return ImageSet(
        "voc",
        read_images(files, size=size),
        torch.tensor(labels),
        class_names,
        IMAGENET_MEAN,
        IMAGENET_STD,
        {"split": split, "year": year, "size": size, "difficult": difficult},
        multi_hot=multi_hot[: len(files)].clone(),
        flip=True,
    )


def _find_root(year: str, download: bool) -> Path:
    """Return the folder of a year in torchvision's layout; download it if it is missing."""
    from torchvision import datasets  # This import takes a second.
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    folder, published = data_folder(), DATASET_YEAR_DICT[year]
    root = folder / published["base_dir"]
    if (root / "ImageSets" / "Main").is_dir():
        return root
    if not download:
        raise DataMissing(
            f"voc is not in {root}: expected JPEGImages, Annotations and ImageSets/Main there. Put "
            f"the unpacked files of {published['filename']} there, set EXPLORE_DATA to the folder "
            f"above {Path(published['base_dir']).parts[0]}, or call "
            f'load("voc", year="{year}", download=True)'
        )
    for image_set in ("train", "test") if year == "2007" else ("train",):
        try:
            datasets.VOCDetection(folder, year=year, image_set=image_set, download=True)
        except (OSError, RuntimeError) as error:
            raise DataMissing(
                f"voc cannot be downloaded: {error}; check the network and the permissions of "
                f"{folder}"
            ) from error
    return root


def _read_lists(root: Path) -> dict[str, list[str]]:
    """Return the names in the official lists; the test list only if its annotations exist."""
    folder = root / "ImageSets" / "Main"
    lists = {
        name: (folder / f"{name}.txt").read_text(encoding="utf-8", errors="replace").split()
        for name in ("train", "val", "test")
        if (folder / f"{name}.txt").is_file()
    }
    annotations = (root / "Annotations" / f"{image}.xml" for image in lists.get("test", []))
    if not any(path.is_file() for path in annotations):
        lists.pop("test", None)
    strange = [image for image in chain(*lists.values()) if Path(image).name != image]
    if strange:
        raise InvalidInput(
            f"the lists {', '.join(lists)} of {folder} contain {strange[0]!r}, which is no name of "
            "an image; correct it"
        )
    repeated = [image for image, count in Counter(chain(*lists.values())).items() if count > 1]
    if repeated:
        raise InvalidInput(
            f"{repeated[0]} is in the lists {', '.join(lists)} of {folder} more than once; "
            "splits must not overlap: keep one"
        )
    return lists


def _split_indices(
    root: Path, lists: dict[str, list[str]], split: str
) -> tuple[str, Sequence[int]]:
    """Return the official list that a split is from, and the indices of its images in that list."""
    is_official = "test" in lists
    name = split if is_official else {"train": "train", "val": "train", "test": "val"}[split]
    if name not in lists:
        raise DataMissing(
            f"voc is incomplete: {root / 'ImageSets' / 'Main' / name}.txt is missing. Put it there"
        )
    if is_official or split == "test":
        return name, range(len(lists[name]))
    return name, sorted(split_by_name(lists[name], [0] * len(lists[name]), val=10)[split])


def _class_names(objects: Sequence[AnnotatedObject]) -> tuple[str, ...]:
    names = {item.name for item in objects}
    return CLASS_NAMES if names <= set(CLASS_NAMES) else tuple(sorted(names))


def _annotation_path(root: Path, image: str) -> Path:
    path = root / "Annotations" / f"{image}.xml"
    if not path.is_file():
        raise DataMissing(
            f"voc is incomplete: {path} is missing. Put it there, or remove {image} from the "
            "lists in ImageSets/Main"
        )
    return path
