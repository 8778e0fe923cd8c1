"""Mulan's multi-label sets of feature vectors, such as emotions and yeast: ARFF files and XML."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from explore.core.validation import check_choice, check_flag, check_text, describe
from explore.data.datasets._file_names import is_plain_name
from explore.data.datasets.folders import data_folder
from explore.data.multilabel_set import MultilabelSet, feature_statistics
from explore.data.stratification import stratified_split
from explore.errors import DataMissing, InvalidInput

SPLIT_NAMES = ("train", "val", "test")
MOST_BYTES = 2**29
"""Of a file, also when it is decompressed; the largest set of Mulan has a fifth."""

VAL_SHARE = 0.2
"""The share of the published training part that is "val"."""


def emotions(split: str = "train", *, standardize: bool = True) -> MultilabelSet:
    """Load "emotions": 72 features of 593 pieces of music, 6 emotions. See ``mulan``.

    Source: Trohidis et al., "Multi-label Classification of Music into Emotions", ISMIR 2008.
    """
    return mulan(split, name="emotions", standardize=standardize)


def flags(split: str = "train", *, standardize: bool = True) -> MultilabelSet:
    """Load "flags": 19 attributes of 194 countries and their flags, 7 colours. See ``mulan``.

    Source: Goncalves et al., "A Genetic Algorithm for Optimizing the Label Ordering in Multi-label
    Classifier Chains", ICTAI 2013.
    """
    return mulan(split, name="flags", standardize=standardize)


def yeast(split: str = "train", *, standardize: bool = True) -> MultilabelSet:
    """Load "yeast": 103 features of 2,417 genes, 14 functions. See ``mulan``.

    Source: Elisseeff and Weston, "A Kernel Method for Multi-labelled Classification", NIPS 2001.
    """
    return mulan(split, name="yeast", standardize=standardize)


def mulan(split: str = "train", *, name: str, standardize: bool = True) -> MultilabelSet:
    """Load a set in Mulan's format from ``mulan/NAME`` in the data folder.

    The files are ``NAME.xml`` (the names of the labels), ``NAME-train.arff`` and
    ``NAME-test.arff``; each may be compressed as ``.gz``. "test" is the published test part; "val"
    is a fifth of the published training part, by iterative stratification, and "train" the rest.

    A numeric attribute is one feature. A nominal attribute of two values is one feature, 1 for the
    second value, and one of more values is one feature for each.

    Args:
        split: "train", "val" or "test".
        name: of the set, such as "emotions".
        standardize: let ``batch`` subtract the mean and divide by the standard deviation of
            "train".

    Raises:
        DataMissing: the set or one of its files is not in the data folder.
        InvalidInput: a file that cannot be read, has a missing value, lacks a label or is sparse.
        UnknownName: an unknown split.

    Source: Tsoumakas et al., "MULAN: A Java Library for Multi-Label Learning", JMLR 12, 2011.
    """
    split = check_choice("split", split, SPLIT_NAMES)
    name = check_text("name", name)
    standardize = check_flag("standardize", standardize)
    folder = _find_folder(name)
    label_names = _read_label_names(_find_file(folder, f"{name}.xml"))
    train = _read_table(_find_file(folder, f"{name}-train.arff"), label_names)
    rows, val_rows = stratified_split(train.labels, [1 - VAL_SHARE, VAL_SHARE])
    columns = train.features.shape[1]
    mean, std = [0.0] * columns, [1.0] * columns
    if standardize:
        mean, std = feature_statistics(torch.from_numpy(train.features[rows]))
    table = train
    if split == "test":
        path = _find_file(folder, f"{name}-test.arff")
        table, rows = _read_table(path, label_names), np.arange(0)
        if (table.feature_names, table.label_names) != (train.feature_names, train.label_names):
            raise InvalidInput(
                f"{path} has other attributes than the training part; replace both files"
            )
        rows = np.arange(len(table.labels))
    elif split == "val":
        rows = val_rows
    return MultilabelSet(
        name,
        torch.from_numpy(table.features[rows].astype(np.float32)),
        torch.from_numpy(table.labels[rows].astype(np.float32)),
        table.label_names,
        mean,
        std,
        options={"split": split, "standardize": standardize},
        feature_names=table.feature_names,
    )


def present_sets() -> list[str]:
    """Return the names of the sets of Mulan in the data folder."""
    return sorted(
        path.name.partition(".xml")[0]
        for pattern in ("*/*.xml", "*/*.xml.gz")
        for path in (data_folder() / "mulan").glob(pattern)
        if path.name.partition(".xml")[0] == path.parent.name
    )


class _Table(NamedTuple):
    features: NDArray[np.float64]  # [N, F]
    labels: NDArray[np.float64]  # [N, K]
    feature_names: tuple[str, ...]
    label_names: tuple[str, ...]


def _find_folder(name: str) -> Path:
    """Return the folder of a set.

    Raises:
        DataMissing: it does not exist.
    """
    root = data_folder() / "mulan"
    if is_plain_name(name) and (root / name).is_dir():
        return root / name
    present = ", ".join(present_sets()) or "no sets"
    advice = "The name must be that of a folder there"
    if is_plain_name(name):
        advice = f"Put {name}.xml, {name}-train.arff and {name}-test.arff of Mulan into "
        advice += str(root / name)
    raise DataMissing(
        f"there is no set {describe(name)} in {root}, which holds {present}. {advice}"
    )


def _find_file(folder: Path, file_name: str) -> Path:
    for path in (folder / file_name, folder / f"{file_name}.gz"):
        if path.is_file():
            return path
    raise DataMissing(f"{file_name} (or {file_name}.gz) is missing in {folder}; put it there")


def _read_bytes(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be decompressed ({error}); replace it") from error
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be opened ({error.strerror}); check its permissions and the disk"
        ) from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{path} holds more than {MOST_BYTES} bytes; replace it")
    return bytes(data)


def _read_text(path: Path) -> str:
    """Return the text of a file, in UTF-8, UTF-16 with its mark, or else Latin-1."""
    data = _read_bytes(path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_label_names(path: Path) -> list[str]:
    from defusedxml.ElementTree import DTDForbidden, ParseError, fromstring

    try:
        root = fromstring(_read_bytes(path), forbid_dtd=True)
    except (
        ParseError,
        ValueError,
        LookupError,
        RecursionError,
    ) as error:  # LookupError: an unknown encoding.
        reason = "it has a document type" if isinstance(error, DTDForbidden) else error
        raise InvalidInput(f"{path} cannot be read as XML ({reason}); replace it") from error
    nodes = [node for node in root.iter() if node.tag.rpartition("}")[2] == "label"]
    label_names = [node.get("name", "").strip() for node in nodes]
    if not label_names or not all(label_names) or len(set(label_names)) < len(label_names):
        raise InvalidInput(
            f"{path} must have elements label with different names, got {label_names}"
        )
    return label_names


def _read_table(path: Path, label_names: list[str]) -> _Table:
    """Return the features and the labels of an ARFF file, in the order of its attributes."""
    from scipy.io import arff

    text = _read_text(path)
    rows = text.lower().partition("@data")[2].split("\n")
    if any(row.startswith("{") for row in rows):
        raise InvalidInput(f"{path} is a sparse ARFF file, which cannot be read; write it in full")
    try:
        data, meta = arff.loadarff(io.StringIO(text))
    except Exception as error:  # The reader raises exceptions of many types.
        reason = str(error) or type(error).__name__
        raise InvalidInput(f"{path} cannot be read as ARFF ({reason}); replace it") from error
    attributes = len(meta.names())
    for number, row in enumerate(rows):
        is_plain = "," in row and not any(character in row for character in "'\"%")
        if is_plain and row.count(",") + 1 != attributes:
            raise InvalidInput(
                f"{path}: line {number} after @data has {row.count(',') + 1} values, the file has "
                f"{attributes} attributes; replace it by a complete file"
            )
    missing = sorted(set(label_names) - set(meta.names()))
    if missing:
        raise InvalidInput(
            f"{path} has no attribute {missing[0]!r}, which the XML names as a label"
        )
    if not len(data):
        raise InvalidInput(f"{path} has no rows; replace it by a complete file")
    features: dict[str, NDArray[Any]] = {}
    labels: dict[str, NDArray[Any]] = {}
    for attribute in meta.names():
        columns = _columns(path, attribute, data[attribute], *meta[attribute])
        if attribute not in label_names:
            features |= columns
        elif list(columns) == [attribute] and np.isin(columns[attribute], (0, 1)).all():
            labels |= columns
        else:
            values = meta[attribute][1] or np.unique(data[attribute]).tolist()
            raise InvalidInput(
                f"{path}: label {attribute!r} must be 0 or 1, but has the values "
                f"{', '.join(map(str, values))}"
            )
    if not features:
        raise InvalidInput(f"{path} has no attributes besides the labels; replace it")
    return _Table(
        np.stack(list(features.values()), 1),
        np.stack(list(labels.values()), 1),
        tuple(features),
        tuple(labels),
    )


def _columns(
    path: Path, attribute: str, values: NDArray[Any], kind: str, choices: tuple[str, ...] | None
) -> dict[str, NDArray[np.float64]]:
    """Return the features of one attribute, by name."""
    if kind == "numeric":
        missing, columns = np.isnan(values), {attribute: values.astype(float)}
        large = ~missing & ~(np.abs(columns[attribute]) <= np.finfo(np.float32).max)
        if large.any():
            row = int(large.argmax())
            raise InvalidInput(
                f"{path}: attribute {attribute!r} of row {row + 1} is {values[row]}, which float32 "
                "cannot hold; rescale the attribute"
            )
    elif kind == "nominal" and choices:
        texts = np.char.decode(values, "utf-8")
        missing = texts == "?"
        columns = {f"{attribute}={choice}": (texts == choice).astype(float) for choice in choices}
        if set(choices) <= {"0", "1"}:
            columns = {attribute: (texts == "1").astype(float)}
        elif len(choices) == 2:
            columns.pop(f"{attribute}={choices[0]}")
    else:
        raise InvalidInput(
            f"{path}: attribute {attribute!r} is of type {kind}; it must be numeric or nominal"
        )
    if missing.any():
        raise InvalidInput(
            f"{path}: attribute {attribute!r} of row {int(missing.argmax()) + 1} is missing (?); "
            "replace it by a value, or leave the row out"
        )
    return columns
