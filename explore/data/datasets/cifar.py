"""The original CIFAR-10 and CIFAR-100 through torchvision; looked for in the data folder, downloaded only when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from explore.data.datasets.cifar_jpeg import CLASSES
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet
from explore.errors import DataMissing, InvalidInput

GROUPS = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
"""CIFAR-100's superclasses and the classes of each."""
FINE = tuple(sorted(" ".join(GROUPS.values()).split()))
PARENTS = tuple(
    next(k for k, names in enumerate(GROUPS.values()) if name in names.split()) for name in FINE
)
"""The superclass of each class, in order; torchvision leaves out the files' own column of them."""
KINDS = ("fine", "coarse")


def cifar10(split: str = "train", *, download: bool = False) -> ImageSet:
    """CIFAR-10, the original: 45,000 "train", 5,000 "val" and 10,000 "test" images, 3×32×32, of ten classes.

    Normalised by the numbers that all code for dataset distillation uses. Their standard deviations (0.2023, 0.1994, 0.2010)
    are means over images; those of all pixels are 0.2470, 0.2435 and 0.2616, which "cifar10-jpeg" uses.

    Args:
        split: "train", "val" (the last 500 images of each class of the official training part) or "test".
        download: fetch the files if they are missing.

    Raises:
        DataMissing: a file is not in ``cifar-10-batches-py`` in the data folder, or is not the published one.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    images, labels = _published("cifar10", "CIFAR10", split, 500, download)
    return ImageSet(
        "cifar10",
        images,
        labels,
        CLASSES,
        (0.4914, 0.4822, 0.4465),
        (0.2023, 0.1994, 0.2010),
        {"split": split},
    )


def cifar100(split: str = "train", *, labels: str = "fine", download: bool = False) -> ImageSet:
    """CIFAR-100, the original: 40,000 "train", 10,000 "val" and 10,000 "test" images, 3×32×32, of 100 classes in 20 groups.

    Args:
        split: "train", "val" (the last 100 images of each class of the official training part) or "test".
        labels: "fine", 100 classes; or "coarse", the 20 superclasses, with the 100 as ``subclasses`` (five each) and
            ``parents``.
        download: fetch the files if they are missing.

    Raises:
        DataMissing: a file is not in ``cifar-100-python`` in the data folder, or is not the published one.
        InvalidInput: ``labels`` is neither.

    Source: as of ``cifar10``.
    """
    if labels not in KINDS:
        raise InvalidInput(f"labels must be {' or '.join(map(repr, KINDS))}, got {labels!r}")
    images, numbers = _published("cifar100", "CIFAR100", split, 100, download)
    options = {"split": split, "labels": labels}
    mean, std = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
    made = ImageSet("cifar100", images, numbers, FINE, mean, std, options)
    return made.grouped(PARENTS, tuple(GROUPS)) if labels == "coarse" else made


def _published(
    name: str, kind: str, split: str, val: int, download: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels in the files' order; of each class, the last ``val`` of the training part are "val"."""
    from torchvision import datasets  # here, because importing it takes a second

    folder, loader = data_folder(), getattr(datasets, kind)
    try:
        # These files are pickles, which can run code when read. torchvision reads none whose MD5 is not the published one
        # (all batches are checked before the first is opened, the list of names before it is). Two files of one MD5 can be
        # made on purpose, but nobody can make one for an MD5 that is given, so what is read is what Toronto published.
        raw = loader(folder, train=split != "test", download=download)
    except RuntimeError as error:
        raise DataMissing(
            f"{name} is not in {folder / loader.base_folder}: {_trouble(loader, name, error)}"
        ) from error
    images, labels = torch.from_numpy(raw.data).permute(0, 3, 1, 2), torch.tensor(raw.targets)
    if split == "test":
        return images.contiguous(), labels
    kept = torch.zeros(len(labels), dtype=torch.bool)
    for k in range(int(labels.max()) + 1):
        kept[(labels == k).nonzero().flatten()[-val:]] = True
    chosen = kept if split == "val" else ~kept
    return images[chosen].contiguous(), labels[chosen]


def _trouble(loader: Any, name: str, error: Exception) -> str:
    """Which files are missing or are others than the published, and what to do."""
    from torchvision.datasets.utils import check_integrity

    place = data_folder() / loader.base_folder
    wanted: Sequence[tuple[str, str]] = [
        *loader.train_list,
        *loader.test_list,
        (loader.meta["filename"], loader.meta["md5"]),
    ]
    missing = [file for file, _ in wanted if not (place / file).is_file()]
    damaged = [
        file
        for file, md5 in wanted
        if file not in missing and not check_integrity(place / file, md5)
    ]
    found = [f"{', '.join(missing)} missing"] if missing else []
    found += (
        [f"{', '.join(damaged)} not the published file (by MD5) and not read"] if damaged else []
    )
    return (
        f"{'; '.join(found) or error}. Put the files of {loader.filename} there (unpacked), set EXPLORE_DATA to the folder above "
        f'{loader.base_folder}, or call load("{name}", download=True)'
    )
