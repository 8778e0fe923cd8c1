"""MHIST: colorectal polyps, with the agreement of seven pathologists as subclass."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from explore.core.validation import check_choice, check_items, check_whole_number, describe
from explore.data.datasets.folders import data_folder
from explore.data.decoding import MAX_SIDE, read_split
from explore.data.image_set import ImageSet
from explore.data.splitting import split_by_name
from explore.errors import DataMissing, InvalidInput

CLASS_NAMES = ("HP", "SSA")
ANNOTATORS = 7
MAJORITY_VOTES = [4, 5, 6, 7]
COLUMNS = (
    "Image Name",
    "Majority Vote Label",
    "Number of Annotators who Selected SSA (Out of 7)",
    "Partition",
)


class _Polyp(NamedTuple):
    name: str
    label: str
    votes: int
    partition: str


def mhist(
    split: str = "train", *, size: int = 64, bands: Sequence[Sequence[int]] = ((4, 5), (6, 7))
) -> ImageSet:
    """Load MHIST: colorectal polyps, 0 "HP" or 1 "SSA" by the majority of seven pathologists.

    The agreement, how many of the seven chose the label of the majority, is 4, 5, 6 or 7. ``bands``
    groups these numbers into subclasses, the same for both classes. The official parts have 2,175
    and 977 images. "val" is a tenth of the first, with an equal share of each number of votes, and
    does not depend on ``bands``. The data are available to those who sign an agreement, and are
    never downloaded: put ``annotations.csv`` and the folder ``images`` into the folder ``mhist`` of
    the data folder.

    Args:
        split: "train", "val" or "test" (the official one).
        size: side in pixels; the originals have 224 (antialiased bilinear).
        bands: a partition of 4, 5, 6, 7, such as ``((4, 5, 6), (7,))`` or ``((4,), (5,), (6,),
            (7,))``.

    Returns:
        A set with ``subclasses`` (with names such as "SSA, 4–5 of 7"), ``parents`` and
        ``agreement`` (votes / 7, float32), normalised by the statistics of "train".

    Raises:
        UnknownName: another split.
        DataMissing: ``annotations.csv`` or an image is missing.
        InvalidInput: ``bands`` is not a partition, a column is missing, a row contradicts itself,
            or an image cannot be read.

    Source: Wei et al., "A Petri Dish for Histopathology Image Analysis", arXiv 2101.12355.
    Agreement as subclass is our reading of Subclass Knowledge Distillation (arXiv 2207.08063),
    which does not say how it groups the images.
    """
    split = check_choice("split", split, ("train", "val", "test"))
    sorted_bands = _check_bands(bands)
    size = check_whole_number("size", size, 1, MAX_SIDE)
    folder = data_folder() / "mhist"
    polyps = _read_table(folder / "annotations.csv")
    missing = [polyp.name for polyp in polyps if not (folder / "images" / polyp.name).is_file()]
    if missing:
        raise DataMissing(
            f"mhist is incomplete: {missing[0]} and {len(missing) - 1} more are not in "
            f"{folder / 'images'}"
        )
    splits = _split(polyps)
    for name in ("train", split):
        if not splits[name]:
            raise InvalidInput(
                f"{folder / 'annotations.csv'} has no image for {name!r}; check that it is complete"
            )
    files = {
        name: [folder / "images" / polyp.name for polyp in part] for name, part in splits.items()
    }
    images, mean, std = read_split(files, split, size=size)
    agreement = [max(polyp.votes, ANNOTATORS - polyp.votes) for polyp in splits[split]]
    labels = torch.tensor([CLASS_NAMES.index(polyp.label) for polyp in splits[split]])
    band_index = {votes: i for i, band in enumerate(sorted_bands) for votes in band}
    return ImageSet(
        "mhist",
        images,
        labels,
        CLASS_NAMES,
        mean,
        std,
        {"split": split, "size": size, "bands": sorted_bands},
        subclasses=len(sorted_bands) * labels + torch.tensor([band_index[n] for n in agreement]),
        subclass_names=tuple(
            f"{label}, {_band_name(band)} of {ANNOTATORS}"
            for label in CLASS_NAMES
            for band in sorted_bands
        ),
        parents=tuple(label for label in range(len(CLASS_NAMES)) for _ in sorted_bands),
        agreement=torch.tensor(agreement, dtype=torch.float32) / ANNOTATORS,
        flip=True,
    )


def _split(polyps: Sequence[_Polyp]) -> dict[str, list[_Polyp]]:
    train = [polyp for polyp in polyps if polyp.partition == "train"]
    rows = split_by_name([polyp.name for polyp in train], [polyp.votes for polyp in train], val=10)
    return {
        "train": [train[i] for i in sorted(rows["train"])],
        "val": [train[i] for i in sorted(rows["val"])],
        "test": [polyp for polyp in polyps if polyp.partition == "test"],
    }


def _check_bands(bands: Any) -> list[list[int]]:
    """Return the bands in rising order, as lists, which is what JSON in a recording returns."""
    try:
        result = sorted(
            sorted(check_whole_number("votes", votes, 4) for votes in check_items("a band", band))
            for band in check_items("bands", bands)
        )
    except InvalidInput:
        result = []
    if sorted(votes for band in result for votes in band) != MAJORITY_VOTES or not all(result):
        raise InvalidInput(
            f"bands={describe(bands)} is not a partition of 4, 5, 6, 7, the votes that a "
            "majority of seven can have; use each of them once, such as ((4, 5), (6, 7)) or "
            "((4, 5, 6), (7,))"
        )
    return result


def _band_name(band: Sequence[int]) -> str:
    """Return a band in words: 7, 4–5, or 4 and 7."""
    if len(band) > 1 and band[-1] - band[0] == len(band) - 1:
        return f"{band[0]}–{band[-1]}"
    return " and ".join(map(str, band))


def _read_table(path: Path) -> list[_Polyp]:
    """Read the rows of MHIST's table and check each of them."""
    try:
        # A spreadsheet may have written a byte order mark, which utf-8-sig removes.
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise DataMissing(
            f"mhist is not in {path.parent}: expected annotations.csv and the folder images there. "
            "Its owners give it to those who sign their agreement "
            "(https://bmirds.github.io/MHIST). "
            "If you have it elsewhere, set EXPLORE_DATA to the folder above mhist"
        ) from error
    except OSError as error:
        raise DataMissing(
            f"{path} cannot be opened ({error.strerror}); check its permissions"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} is not a CSV table ({error}); get a complete copy") from error
    if not rows:
        raise InvalidInput(f"{path} has no rows; get a complete copy")
    missing = [column for column in COLUMNS if column not in rows[0]]
    if missing:
        raise InvalidInput(
            f"{path} has no column {', '.join(map(repr, missing))}; "
            f"it has {', '.join(map(repr, rows[0]))}"
        )
    polyps = [_check_row(path, row) for row in rows]
    name, count = Counter(polyp.name for polyp in polyps).most_common(1)[0]
    if count > 1:
        raise InvalidInput(f"{path} has {count} rows of {name}; keep one")
    return polyps


def _check_row(path: Path, row: dict[str, Any]) -> _Polyp:
    name, label, votes, partition = ((row[column] or "").strip() for column in COLUMNS)
    prefix = f"{path}: {name or 'a row without an image name'}"
    if not name or label not in CLASS_NAMES:
        raise InvalidInput(
            f"{prefix} has the label {label!r}; expected a name and {' or '.join(CLASS_NAMES)}"
        )
    if Path(name).name != name or name.startswith("."):
        raise InvalidInput(f"{prefix} is no name of a file in the folder images; correct it")
    if votes not in map(str, range(ANNOTATORS + 1)):
        raise InvalidInput(
            f"{prefix} has {votes!r} votes; expected an integer from 0 to {ANNOTATORS}"
        )
    if partition not in ("train", "test"):
        raise InvalidInput(f"{prefix} is in the partition {partition!r}; expected train or test")
    if CLASS_NAMES[int(votes) > ANNOTATORS // 2] != label:
        raise InvalidInput(
            f"{prefix} is labelled {label}, but {votes} of {ANNOTATORS} annotators chose SSA; "
            "correct the label or the votes"
        )
    return _Polyp(name, label, int(votes), partition)
