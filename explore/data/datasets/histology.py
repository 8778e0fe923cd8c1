"""Histology with subclasses: colon-cancer cells by cell type, and MHIST's polyps by how many pathologists agreed."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from explore.data.datasets.folders import data_folder
from explore.data.decoding import read_image_chunks, read_images, whole_number
from explore.data.image_set import ImageSet, channel_statistics
from explore.data.splitting import split_by_name
from explore.errors import DataMissing, InvalidInput

SHARES = {"train": 0.60, "val": 0.15, "test": 0.25}
"""Of the patients whose cells ``crc_phenotypes`` shows."""
TRIES = 300  # divisions of the patients, of which the most even one is taken
POLYPS = ("HP", "SSA")
ANNOTATORS = 7
NAME, LABEL, VOTES, PART = COLUMNS = (
    "Image Name",
    "Majority Vote Label",
    "Number of Annotators who Selected SSA (Out of 7)",
    "Partition",
)


def crc_phenotypes(split: str = "train") -> ImageSet:
    """Cells of colon tissue, 3×27×27: 0 "non-cancerous" (fibroblast, inflammatory, others) or 1 "cancerous" (epithelial).

    No patient is in two splits: 60 % of the patients are for "train", 15 % for "val" and 25 % for "test". Of 300 divisions
    drawn once, it is the one in which the cells of every subclass come closest to these shares, as most patients' cells
    are of one or two types. The file is ``crc_phenotypes.npz`` in the data folder: images uint8 ``[N, 27, 27, 3]``,
    subclass, superclass and patient ``[N]``, subclass_names and superclass_names.

    No licence is known: for tests within the project, never for a figure.

    Args:
        split: "train", "val" or "test".

    Raises:
        DataMissing: the file is not in the data folder, or is not whole.

    Source: CRCHistoPhenotypes, Sirinukunwattana et al., IEEE Trans. Med. Imaging 35 (2016), by way of a staged subset.
    """
    path = data_folder() / "crc_phenotypes.npz"
    advice = "Put the whole file there, or set EXPLORE_DATA to its folder"
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            images, subclass, superclass, patient, names, class_names = (
                file[key]
                for key in (
                    "images",
                    "subclass",
                    "superclass",
                    "patient",
                    "subclass_names",
                    "superclass_names",
                )
            )
    except FileNotFoundError as error:
        raise DataMissing(
            f"crc-phenotypes is not in {path.parent}: expected {path.name} there. {advice}"
        ) from error
    except Exception as error:  # a torn archive, or one without these arrays
        raise DataMissing(
            f"crc-phenotypes cannot be read from {path}: {str(error).splitlines()[0]}. {advice}"
        ) from error
    parts = _by_patient(patient, subclass.astype(np.int64))
    chosen = parts[split]
    everything = torch.from_numpy(images).permute(0, 3, 1, 2)
    mean, std = channel_statistics(everything[parts["train"]])
    labels, subclasses = (
        torch.from_numpy(values.astype(np.int64)) for values in (superclass, subclass)
    )
    return ImageSet(
        "crc-phenotypes",
        everything[chosen].contiguous(),
        labels[chosen],
        tuple(map(str, class_names)),
        mean,
        std,
        {"split": split},
        subclasses=subclasses[chosen],
        subclass_names=tuple(map(str, names)),
        parents=tuple(int(superclass[subclass == s][0]) for s in range(len(names))),
    )


def mhist(
    split: str = "train", *, size: int = 64, bands: Sequence[Sequence[int]] = ((4, 5), (6, 7))
) -> ImageSet:
    """MHIST: colorectal polyps, 0 "HP" or 1 "SSA" by the majority of seven pathologists, with their agreement as subclasses.

    The agreement, how many of the seven chose the majority's label, is 4, 5, 6 or 7. ``bands`` says which of these make
    one subclass, the same for both classes. The official parts have 2,175 and 977 images; "val" is a tenth of the first,
    an equal share of each number of votes, whatever ``bands``. The data are given to those who sign its agreement, and are
    never downloaded: put ``annotations.csv`` and the folder ``images`` into the folder ``mhist`` of the data folder.

    Args:
        split: "train", "val" or "test" (the official one).
        size: side in pixels; the originals have 224 (antialiased bilinear).
        bands: a partition of 4, 5, 6, 7, such as ``((4, 5, 6), (7,))`` or ``((4,), (5,), (6,), (7,))``.

    Returns:
        A set with ``subclasses`` (named "SSA, 4–5 of 7", say), ``parents`` and ``agreement`` (a seventh to the whole,
        float32), normalised by the statistics of "train".

    Raises:
        DataMissing: ``annotations.csv`` or an image is not there.
        InvalidInput: ``bands`` is no partition; a column is missing or a row contradicts itself; an image cannot be read.

    Source: Wei et al., "A Petri Dish for Histopathology Image Analysis", arXiv 2101.12355; agreement as subclasses is our
    reading of Subclass Knowledge Distillation (arXiv 2207.08063), which does not say how it groups them.
    """
    grades = _bands(bands)
    size = whole_number("size", size, 1)
    folder = data_folder() / "mhist"
    polyps = _annotated(folder / "annotations.csv")
    missing = [polyp.name for polyp in polyps if not (folder / "images" / polyp.name).is_file()]
    if missing:
        raise DataMissing(
            f"mhist is not whole: {missing[0]} and {len(missing) - 1} more are not in {folder / 'images'}"
        )
    official = {
        part: [polyp for polyp in polyps if polyp.part == part] for part in ("train", "test")
    }
    shares = split_by_name(
        [polyp.name for polyp in official["train"]],
        [polyp.votes for polyp in official["train"]],
        val=10,
    )
    parts = {
        part: [official["train"][i] for i in sorted(shares[part])] for part in ("train", "val")
    }
    parts["test"] = official["test"]
    for part in ("train", split):
        if not parts[part]:
            raise InvalidInput(
                f"{folder / 'annotations.csv'} leaves no image for {part!r}; is it whole?"
            )
    files = {
        part: [folder / "images" / polyp.name for polyp in parts[part]] for part in ("train", split)
    }
    seen = (
        None
        if split == "train"
        else channel_statistics(read_image_chunks(files["train"], size=size))
    )
    images = read_images(files[split], size=size)
    mean, std = seen or channel_statistics(images)
    agreed = [max(polyp.votes, ANNOTATORS - polyp.votes) for polyp in parts[split]]
    labels = torch.tensor([POLYPS.index(polyp.label) for polyp in parts[split]])
    grade = torch.tensor(
        [next(g for g, band in enumerate(grades) if votes in band) for votes in agreed]
    )
    return ImageSet(
        "mhist",
        images,
        labels,
        POLYPS,
        mean,
        [value if value > 0 else 1.0 for value in std],
        {"split": split, "size": size, "bands": grades},
        subclasses=len(grades) * labels + grade,
        subclass_names=tuple(
            f"{label}, {_spelt(band)} of {ANNOTATORS}" for label in POLYPS for band in grades
        ),
        parents=tuple(label for label in range(len(POLYPS)) for _ in grades),
        agreement=torch.tensor(agreed, dtype=torch.float32) / ANNOTATORS,
    )


class _Polyp(NamedTuple):
    name: str
    label: str
    votes: int
    part: str


def _by_patient(patient: NDArray[Any], subclass: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Rows of each split, in an order drawn once, no patient in two."""
    patients, who = np.unique(patient, return_inverse=True)
    cells = np.zeros((len(patients), subclass.max() + 1))
    np.add.at(cells, (who, subclass), 1)
    random, wanted = np.random.default_rng(0), np.array(list(SHARES.values()))
    cuts = np.rint(np.cumsum(wanted)[:-1] * len(patients)).astype(int)
    orders = [random.permutation(len(patients)) for _ in range(TRIES)]

    def unevenness(order: NDArray[np.int64]) -> float:
        shares = np.stack([cells[part].sum(0) for part in np.split(order, cuts)]) / cells.sum(0)
        return float(abs(shares / wanted[:, None] - 1).max())

    best = min(orders, key=unevenness)
    rows = random.permutation(len(patient))  # the file is sorted by subclass
    return {
        split: rows[np.isin(who[rows], part)]
        for split, part in zip(SHARES, np.split(best, cuts), strict=True)
    }


def _bands(bands: Any) -> list[list[int]]:
    """The bands in rising order, as lists: that is how a recording gives them back."""
    try:
        found = sorted(
            sorted(whole_number("a number of votes", vote, 4) for vote in band) for band in bands
        )
    except (TypeError, InvalidInput):
        found = []
    if sorted(vote for band in found for vote in band) != [4, 5, 6, 7] or not all(found):
        raise InvalidInput(
            f"bands={bands!r} is no partition of 4, 5, 6, 7, the votes a majority of seven can have; "
            "give each of them once, such as ((4, 5), (6, 7)) or ((4, 5, 6), (7,))"
        )
    return found


def _spelt(band: Sequence[int]) -> str:
    """A band as people write it: 7, 4–5, or 4 and 7."""
    if len(band) > 1 and band[-1] - band[0] == len(band) - 1:
        return f"{band[0]}–{band[-1]}"
    return " and ".join(map(str, band))


def _annotated(path: Path) -> list[_Polyp]:
    """The rows of MHIST's table, each checked."""
    try:
        with path.open(
            newline="", encoding="utf-8-sig"
        ) as file:  # a spreadsheet may have put a mark before the text
            rows = list(csv.DictReader(file))
            columns = list(rows[0]) if rows else []
    except FileNotFoundError as error:
        raise DataMissing(
            f"mhist is not in {path.parent}: expected annotations.csv and the folder images there. Its owners give it to "
            "those who sign their agreement (https://bmirds.github.io/MHIST); or set EXPLORE_DATA to the folder above mhist"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} is no table in CSV ({error}); get a whole copy") from error
    if not rows:
        raise InvalidInput(f"{path} has no rows; get a whole copy")
    absent = [column for column in COLUMNS if column not in columns]
    if absent:
        raise InvalidInput(
            f"{path} has no column {', '.join(map(repr, absent))}; it has {', '.join(map(repr, columns))}"
        )
    polyps = [_checked(path, row) for row in rows]
    seen: set[str] = set()
    for polyp in polyps:
        if polyp.name in seen:
            raise InvalidInput(f"{path} has two rows of {polyp.name}; keep one")
        seen.add(polyp.name)
    return polyps


def _checked(path: Path, row: dict[str, Any]) -> _Polyp:
    name, label, votes, part = ((row[column] or "").strip() for column in COLUMNS)
    at = f"{path}: {name or 'a row without an image name'}"
    if not name or label not in POLYPS:
        raise InvalidInput(
            f"{at} has the label {label!r}; expected a name and {' or '.join(POLYPS)}"
        )
    if votes not in map(str, range(ANNOTATORS + 1)):
        raise InvalidInput(f"{at} has {votes!r} votes; expected an integer from 0 to {ANNOTATORS}")
    if part not in ("train", "test"):
        raise InvalidInput(f"{at} is in the partition {part!r}; expected train or test")
    if POLYPS[int(votes) > ANNOTATORS // 2] != label:
        raise InvalidInput(
            f"{at} is labelled {label}, but {votes} of {ANNOTATORS} annotators chose SSA; mend the label or the votes"
        )
    return _Polyp(name, label, int(votes), part)
