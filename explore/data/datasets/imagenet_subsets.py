"""Subsets of ImageNet with ten classes each: Comp-DD's sixteen, Imagenette and its relatives."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from os import PathLike

from explore.core.validation import check_choice, check_path
from explore.data.datasets._imagenet_classes import IMAGENET_CLASSES
from explore.data.datasets._imagenet_folders import load_class_folders
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet
from explore.errors import ExploreWarning


@dataclass(frozen=True)
class ImageNetSubset:
    """Some classes of ImageNet.

    Attributes:
        published_ids: numbers of the classes among ImageNet's 1,000, in the order of the labels.
        complexity: the published complexity in percent (Comp-DD, mean of its ten classes); None for
            other subsets.
    """

    published_ids: tuple[int, ...]
    complexity: float | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The same numbers without repetitions."""
        return tuple(dict.fromkeys(self.published_ids))

    @property
    def folders(self) -> tuple[str, ...]:
        """The name of each class's folder, such as "n01440764"."""
        return tuple(IMAGENET_CLASSES[number][0] for number in self.ids)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class in English."""
        return tuple(IMAGENET_CLASSES[number][1] for number in self.ids)


IMAGENET_SUBSETS = {
    "birds_easy": ImageNetSubset((130, 140, 83, 142, 134, 139, 88, 90, 144, 21), 66.0),
    "birds_hard": ImageNetSubset((14, 19, 91, 15, 13, 95, 10, 16, 20, 12), 74.5),
    "cars_easy": ImageNetSubset((581, 535, 717, 817, 511, 436, 656, 757, 661, 751), 57.4),
    "cars_hard": ImageNetSubset((802, 660, 829, 627, 609, 575, 573, 867, 734, 408), 64.4),
    "dogs_easy": ImageNetSubset((193, 180, 227, 167, 246, 248, 224, 177, 269, 252), 64.8),
    "dogs_hard": ImageNetSubset((239, 238, 247, 195, 151, 266, 157, 181, 154, 217), 70.8),
    "fish_easy": ImageNetSubset((5, 1, 6, 397, 390, 3, 392, 393, 148, 147), 60.4),
    "fish_hard": ImageNetSubset((0, 391, 389, 395, 4, 396, 2, 394, 50, 103), 66.4),
    "snake_easy": ImageNetSubset((64, 57, 55, 56, 61, 62, 68, 67, 54, 60), 64.3),
    "snake_hard": ImageNetSubset((46, 42, 41, 40, 43, 58, 65, 59, 53, 52), 70.8),
    "insect_easy": ImageNetSubset((323, 314, 310, 309, 306, 308, 302, 313, 303, 315), 67.9),
    "insect_hard": ImageNetSubset((301, 326, 324, 305, 325, 300, 318, 320, 70, 322), 73.0),
    "round_easy": ImageNetSubset((417, 560, 953, 826, 426, 981, 430, 890, 746, 768), 64.6),
    "round_hard": ImageNetSubset((852, 805, 736, 892, 429, 574, 722, 522, 752, 971), 69.3),
    "music_easy": ImageNetSubset((542, 687, 494, 566, 642, 513, 875, 683, 889, 881), 64.1),
    "music_hard": ImageNetSubset((420, 594, 420, 579, 402, 776, 486, 401, 546, 558), 68.7),
    "nette": ImageNetSubset((0, 217, 482, 491, 497, 566, 569, 571, 574, 701)),
    "woof": ImageNetSubset((193, 182, 258, 162, 155, 167, 159, 273, 207, 229)),
    "meow": ImageNetSubset((281, 282, 283, 284, 285, 291, 292, 290, 289, 287)),
    "squawk": ImageNetSubset((84, 130, 88, 144, 145, 22, 96, 9, 100, 89)),
    "fruit": ImageNetSubset((953, 954, 949, 950, 951, 957, 952, 945, 943, 948)),
    "yellow": ImageNetSubset((309, 986, 954, 951, 987, 779, 599, 291, 72, 11)),
}
"""By name. "music_hard" lists the banjo twice, so it has nine classes.

Source: Comp-DD in the code of EDF (arXiv 2410.17193); the last six are those of MTT (arXiv
2203.11932), of which Imagenette and Imagewoof are by J. Howard."""


def find_subset(name: str) -> ImageNetSubset:
    """Return a subset by name, with a warning if it lists a class twice.

    Raises:
        UnknownName: there is no subset of this name.
    """
    subset = IMAGENET_SUBSETS[check_choice("subset", name, IMAGENET_SUBSETS)]
    repeated = [n for n in subset.ids if subset.published_ids.count(n) > 1]
    for number in repeated:
        positions = [k for k, n in enumerate(subset.published_ids) if n == number]
        warnings.warn(
            f"{name} lists {IMAGENET_CLASSES[number][1]} (class {number}) as labels "
            f"{' and '.join(map(str, positions))}; it is used once, so the subset has "
            f"{len(subset.ids)} classes",
            ExploreWarning,
            stacklevel=2,
        )
    return subset


def imagenet_subset(
    split: str = "train",
    *,
    subset: str,
    size: int = 128,
    count: int | None = None,
    path: str | PathLike[str] = "",
) -> ImageSet:
    """Load the classes of one subset from a folder of ImageNet; no other class is read.

    The files are ``train/n01440764/*.JPEG`` and ``val/n01440764/*.JPEG`` in the folder ``imagenet``
    of the data folder. ImageNet's val is "test"; every tenth file of train is "val".

    Args:
        split: "train", "val" or "test"; they share no file.
        subset: a name of ``IMAGENET_SUBSETS``, such as "birds_easy" or "woof".
        size: side in pixels to which all are resized (antialiased bilinear; the aspect ratio is not
            kept).
        count: maximal number of images of each class, the first ones by name; None for all.
        path: another folder that contains train and val.

    Raises:
        UnknownName: an unknown split or subset.
        DataMissing: a class has no file; the message names the classes.
        InvalidInput: a size or count below 1, or a file that cannot be read.

    Source: Comp-DD (arXiv 2410.17193); the images are ImageNet's, for research only.
    """
    chosen, options = find_subset(subset), {"subset": subset}
    root = data_folder() / "imagenet"
    if not isinstance(path, str) or path:
        root, options["path"] = check_path("path", path), os.fsdecode(path)
    return load_class_folders(
        "imagenet-subset", [root], split, chosen.folders, chosen.class_names, size, count, options
    )
