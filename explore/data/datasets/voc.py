"""Photographs with several classes in each, from PASCAL VOC or any set in its layout; downloaded only when asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch

from explore.data.datasets.folders import data_folder
from explore.data.datasets.voc_annotations import Thing, things_in
from explore.data.decoding import read_images, whole_number
from explore.data.image_set import ImageSet
from explore.data.splitting import split_by_name
from explore.errors import DataMissing, InvalidInput

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *(
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    ),
)
YEARS = ("2007", "2008", "2009", "2010", "2011", "2012")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as is usual for photographs


def voc(
    split: str = "train",
    *,
    year: str = "2012",
    size: int = 128,
    difficult: bool = False,
    download: bool = False,
) -> ImageSet:
    """PASCAL VOC: photographs squeezed to squares (the aspect ratio is not kept), with every class that is in them.

    Where the official test list has its annotations (as in 2007), "train", "val" and "test" are the official lists.
    Otherwise the official list val is "test", and a tenth of the official list train, chosen by the files' names, is "val".
    The files are ``VOCdevkit/VOC2012/JPEGImages``, ``Annotations`` and ``ImageSets/Main`` in the data folder (2011 stands in
    ``TrainVal``). Another set in this layout has the classes that are found in the annotations of its lists train and val.

    Args:
        split: "train", "val" or "test".
        year: "2007" to "2012".
        size: side in pixels.
        difficult: count objects that are marked as difficult too. Otherwise images in which all are difficult are left out.
        download: fetch the files if they are missing.

    Returns:
        A set with ``multi_hot``, every class that is present; ``labels`` is the class of the largest box (of several, the
        first). Normalised by ImageNet's statistics.

    Raises:
        DataMissing: a list, an annotation or an image is not there; says which.
        InvalidInput: an annotation that cannot be read, or has no objects or an impossible box; an empty split; an unknown
            year; a class that only the test list has; a name that is twice in the lists.

    Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 111 (2015).
    """
    if year not in YEARS:
        raise InvalidInput(f"year must be one of {', '.join(map(repr, YEARS))}, got {year!r}")
    size = whole_number("size", size, 1)
    root = _root(year, download)
    official = _lists(root)
    part, chosen = _share(root, official, split)
    read = {"train", "val", part} & set(official)
    things = {
        each: [things_in(_annotation(root, name)) for name in official[each]]
        for each in sorted(read)
    }
    names = _names(
        [thing for each in things if each != "test" for found in things[each] for thing in found]
    )
    images: list[Path] = []
    labels: list[int] = []
    present = torch.zeros(len(chosen), len(names))
    for i in chosen:
        counted = [thing for thing in things[part][i] if difficult or not thing.difficult]
        if not counted:
            continue
        unknown = [thing.name for thing in counted if thing.name not in names]
        if unknown:
            at, known = _annotation(root, official[part][i]), ", ".join(names)
            raise InvalidInput(
                f"{at} has the class {unknown[0]!r}, but the lists train and val have only {known}; mend the name"
            )
        present[len(images), [names.index(thing.name) for thing in counted]] = 1
        labels.append(names.index(max(counted, key=lambda thing: thing.area).name))
        images.append(root / "JPEGImages" / f"{official[part][i]}.jpg")
    if not images:
        raise InvalidInput(
            f"{root} leaves no image for {split!r}: its list {part} has {len(official[part])} names; is it whole?"
        )
    missing = [file for file in images if not file.is_file()]
    if missing:
        raise DataMissing(
            f"voc is not whole: {missing[0]} and {len(missing) - 1} more images are missing. Put them there"
        )
    options = {"split": split, "year": year, "size": size, "difficult": difficult}
    pixels, multi_hot = read_images(images, size=size), present[: len(images)].clone()
    return ImageSet(
        "voc", pixels, torch.tensor(labels), names, MEAN, STD, options, multi_hot=multi_hot
    )


def _root(year: str, download: bool) -> Path:
    """The folder of a year, as torchvision lays it out."""
    from torchvision import datasets  # here, because importing it takes a second
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    folder = data_folder()
    root = folder / DATASET_YEAR_DICT[year]["base_dir"]
    if not (root / "ImageSets" / "Main").is_dir():
        if not download:
            wanted = "JPEGImages, Annotations and ImageSets/Main"
            raise DataMissing(
                f"voc is not in {root}: expected {wanted} there. Put them there (the files of "
                f"{DATASET_YEAR_DICT[year]['filename']}, unpacked), set EXPLORE_DATA to the folder above "
                f'{Path(DATASET_YEAR_DICT[year]["base_dir"]).parts[0]}, or call load("voc", year="{year}", download=True)'
            )
        for part in ("train", "test") if year == "2007" else ("train",):
            datasets.VOCDetection(folder, year=year, image_set=part, download=True)
    return root


def _lists(root: Path) -> dict[str, list[str]]:
    """The names in the official lists that are there; the test list only if its annotations are there as well."""
    main = root / "ImageSets" / "Main"
    found = {
        part: (main / f"{part}.txt").read_text(encoding="utf-8", errors="replace").split()
        for part in ("train", "val", "test")
        if (main / f"{part}.txt").is_file()
    }
    if not any(_annotation(root, name, there=False).is_file() for name in found.get("test", [])):
        found.pop("test", None)
    twice = [name for name, count in Counter(chain(*found.values())).items() if count > 1]
    if twice:
        raise InvalidInput(
            f"{twice[0]} is twice in the lists {', '.join(found)} of {main}; splits must not overlap: keep one"
        )
    return found


def _share(root: Path, official: dict[str, list[str]], split: str) -> tuple[str, Sequence[int]]:
    """From which official list a split comes, and the numbers in it."""
    part = split if "test" in official else {"train": "train", "val": "train", "test": "val"}[split]
    if part not in official:
        raise DataMissing(
            f"voc is not whole: {root / 'ImageSets' / 'Main' / part}.txt is missing. Put it there"
        )
    if "test" in official or split == "test":
        return part, range(len(official[part]))
    return part, sorted(split_by_name(official[part], [0] * len(official[part]), val=10)[split])


def _names(things: Sequence[Thing]) -> tuple[str, ...]:
    found = sorted({thing.name for thing in things})
    return CLASSES if set(found) <= set(CLASSES) else tuple(found)


def _annotation(root: Path, name: str, there: bool = True) -> Path:
    path = root / "Annotations" / f"{name}.xml"
    if there and not path.is_file():
        raise DataMissing(
            f"voc is not whole: {path} is missing. Put it there, or take {name} out of the lists in ImageSets/Main"
        )
    return path
