"""The original CIFAR-10 and CIFAR-100, read by torchvision."""

from __future__ import annotations

from typing import Any

import torch

from explore.core.validation import check_choice, check_flag
from explore.data.datasets.cifar_jpeg import CLASS_NAMES
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet
from explore.errors import DataMissing

SUPERCLASSES = {
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
"""The superclasses of CIFAR-100 and the classes of each."""
FINE_NAMES = tuple(sorted(" ".join(SUPERCLASSES.values()).split()))
# torchvision does not read the column of superclasses in the files.
PARENTS = tuple(
    next(k for k, names in enumerate(SUPERCLASSES.values()) if name in names.split())
    for name in FINE_NAMES
)
"""The superclass of each class, in order."""
LABEL_KINDS = ("fine", "coarse")


def cifar10(split: str = "train", *, download: bool = False) -> ImageSet:
    """Load the original CIFAR-10: 3×32×32, ten classes, 45,000 / 5,000 / 10,000 images.

    Normalised by the statistics that all code for dataset distillation uses. Their standard
    deviations (0.2023, 0.1994, 0.2010) are means over images; those of all pixels are 0.2470,
    0.2435 and 0.2616, which "cifar10-jpeg" uses.

    Args:
        split: "train", "val" (the last 500 images of each class of the official training part) or
            "test".
        download: download the files if they are missing.

    Raises:
        DataMissing: a file is not in ``cifar-10-batches-py`` in the data folder, or is not the
            published one, or cannot be downloaded.
        UnknownName: another split.
        InvalidInput: ``download`` is no flag.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    images, labels = _read("cifar10", "CIFAR10", split, 500, download)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    options = {"split": split}
    return ImageSet("cifar10", images, labels, CLASS_NAMES, mean, std, options, flip=True)


def cifar100(split: str = "train", *, labels: str = "fine", download: bool = False) -> ImageSet:
    """Load the original CIFAR-100: 3×32×32, 100 classes in 20 superclasses.

    The splits have 40,000, 10,000 and 10,000 images.

    Args:
        split: "train", "val" (the last 100 images of each class of the official training part) or
            "test".
        labels: "fine", 100 classes; or "coarse", the 20 superclasses, with the 100 as
            ``subclasses`` (five of each) and ``parents``.
        download: download the files if they are missing.

    Raises:
        DataMissing: a file is not in ``cifar-100-python`` in the data folder, or is not the
            published one.
        UnknownName: another split, or ``labels`` is neither "fine" nor "coarse".
        InvalidInput: ``download`` is no flag.

    Source: that of ``cifar10``.
    """
    labels = check_choice("labels", labels, LABEL_KINDS)
    images, fine_labels = _read("cifar100", "CIFAR100", split, 100, download)
    options = {"split": split, "labels": labels}
    mean, std = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
    fine = ImageSet("cifar100", images, fine_labels, FINE_NAMES, mean, std, options, flip=True)
    return fine.grouped(PARENTS, tuple(SUPERCLASSES)) if labels == "coarse" else fine


def _read(
    name: str, class_name: str, split: str, val_count: int, download: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels in the order of the files."""
    split = check_choice("split", split, ("train", "val", "test"))
    download = check_flag("download", download)
    from torchvision import datasets  # This import takes a second.

    folder, loader = data_folder(), getattr(datasets, class_name)
    try:
        # These files are pickles, which can execute code. torchvision reads only files with the
        # published MD5: it checks all batches before it opens the first, and the list of names
        # before it opens that. Two files with the same MD5 can be constructed, but not a file with
        # the MD5 of a given one, so what is read is what the authors published.
        raw = loader(folder, train=split != "test", download=download)
    except OSError as error:
        raise DataMissing(
            f"{name} cannot be read or downloaded: {error}; check the network and the permissions "
            f"of {folder}"
        ) from error
    except RuntimeError as error:
        raise DataMissing(
            f"{name} is not in {folder / loader.base_folder}: "
            f"{_describe_problem(loader) or error}. "
            f"Put the unpacked files of {loader.filename} there, set EXPLORE_DATA to the folder "
            f'above {loader.base_folder}, or call load("{name}", download=True)'
        ) from error
    images, labels = torch.from_numpy(raw.data).permute(0, 3, 1, 2), torch.tensor(raw.targets)
    if split == "test":
        return images.contiguous(), labels
    in_val = torch.zeros(len(labels), dtype=torch.bool)
    for k in range(int(labels.max()) + 1):
        in_val[(labels == k).nonzero().flatten()[-val_count:]] = True
    rows = in_val if split == "val" else ~in_val
    return images[rows].contiguous(), labels[rows]


def _describe_problem(loader: Any) -> str:
    """Return which files are missing, and which are not the published ones."""
    from torchvision.datasets.utils import check_integrity

    folder = data_folder() / loader.base_folder
    meta = (loader.meta["filename"], loader.meta["md5"])
    missing, changed = [], []
    for name, md5 in [*loader.train_list, *loader.test_list, meta]:
        if not (folder / name).is_file():
            missing.append(name)
        elif not check_integrity(folder / name, md5):
            changed.append(name)
    problems = [f"{', '.join(missing)} missing"] if missing else []
    if changed:
        problems.append(f"{', '.join(changed)} not the published file (by MD5) and not read")
    return "; ".join(problems)
