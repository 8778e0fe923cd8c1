"""CRCHistoPhenotypes: cells of colon tissue, with the type of the cell as subclass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from explore.core.validation import check_choice
from explore.data.datasets.folders import data_folder
from explore.data.image_set import ImageSet, channel_statistics
from explore.errors import DataMissing

ARRAY_NAMES = (
    "images",
    "subclass",
    "superclass",
    "patient",
    "subclass_names",
    "superclass_names",
)
PATIENT_SHARES = {"train": 0.60, "val": 0.15, "test": 0.25}
CANDIDATE_DIVISIONS = 300


def crc_phenotypes(split: str = "train") -> ImageSet:
    """Load cells of colon tissue, 3×27×27: 0 "non-cancerous" or 1 "cancerous".

    The subclasses of the first are fibroblast, inflammatory and others; of the second, epithelial.
    No patient is in two splits: 60 % of the patients are in "train", 15 % in "val" and 25 % in
    "test". Most patients have cells of one or two types; of 300 random divisions of the patients,
    this is the one in which the cells of every subclass are closest to these shares. The file is
    ``crc_phenotypes.npz`` in the data folder: images uint8 ``[N, 27, 27, 3]``, subclass, superclass
    and patient ``[N]``, subclass_names and superclass_names.

    The licence is unknown: use the set for tests within the project, never for a figure.

    Args:
        split: "train", "val" or "test".

    Raises:
        UnknownName: another split.
        DataMissing: the file is not in the data folder, or is incomplete.

    Source: Sirinukunwattana et al., IEEE Trans. Med. Imaging 35 (2016), a subset.
    """
    split = check_choice("split", split, PATIENT_SHARES)
    path = data_folder() / "crc_phenotypes.npz"
    advice = "Put the complete file there, or set EXPLORE_DATA to its folder"
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            arrays = [file[name] for name in ARRAY_NAMES]
            _check_arrays(*arrays[:4])
    except FileNotFoundError as error:
        raise DataMissing(
            f"crc-phenotypes is not in {path.parent}: expected {path.name} there. {advice}"
        ) from error
    except Exception as error:  # A truncated archive, or one without these arrays.
        raise DataMissing(
            f"crc-phenotypes cannot be read from {path}: {str(error).splitlines()[0]}. {advice}"
        ) from error
    images, subclass, superclass, patient, subclass_names, class_names = arrays
    splits = split_by_patient(patient, subclass.astype(np.int64))
    rows = splits[split]
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    mean, std = channel_statistics(pixels[splits["train"]])
    return ImageSet(
        "crc-phenotypes",
        pixels[rows].contiguous(),
        torch.from_numpy(superclass.astype(np.int64))[rows],
        tuple(map(str, class_names)),
        mean,
        std,
        {"split": split},
        subclasses=torch.from_numpy(subclass.astype(np.int64))[rows],
        subclass_names=tuple(map(str, subclass_names)),
        parents=tuple(int(superclass[subclass == s][0]) for s in range(len(subclass_names))),
        flip=True,
    )


def _check_arrays(images: NDArray[Any], *columns: NDArray[Any]) -> None:
    """Check the shapes of the arrays in the file.

    Raises:
        ValueError: they differ from what the file holds as published.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != 3 or not len(images):
        raise ValueError(f"images are {images.dtype} {list(images.shape)}, not uint8 [N, H, W, 3]")
    if any(column.shape != (len(images),) for column in columns):
        raise ValueError("the arrays have different lengths")


def split_by_patient(
    patient: NDArray[Any], subclass: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split, in a fixed random order, with no patient in two splits."""
    patients, patient_index = np.unique(patient, return_inverse=True)
    cells = np.zeros((len(patients), subclass.max() + 1))
    np.add.at(cells, (patient_index, subclass), 1)
    random, shares = np.random.default_rng(0), np.array(list(PATIENT_SHARES.values()))
    borders = np.rint(np.cumsum(shares)[:-1] * len(patients)).astype(int)
    orders = [random.permutation(len(patients)) for _ in range(CANDIDATE_DIVISIONS)]

    def unevenness(order: NDArray[np.int64]) -> float:
        parts = np.split(order, borders)
        cell_shares = np.stack([cells[part].sum(0) for part in parts]) / cells.sum(0)
        return float(abs(cell_shares / shares[:, None] - 1).max())

    best = np.split(min(orders, key=unevenness), borders)
    rows = random.permutation(len(patient))  # The file is sorted by subclass.
    return {
        split: rows[np.isin(patient_index[rows], part)]
        for split, part in zip(PATIENT_SHARES, best, strict=True)
    }
