"""Load images with a table of labels beside them: a column of file names and columns of 0 and 1."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from explore.core.validation import (
    check_choice,
    check_flag,
    check_names,
    check_path,
    check_seed,
    check_text,
    check_whole_number,
)
from explore.data.decoding import IMAGE_SUFFIXES, read_header, read_split, size_error
from explore.data.multilabel_set import MultilabelSet
from explore.data.stratification import stratified_split
from explore.errors import DataMissing, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

SPLIT_NAMES = ("train", "val", "test")
SPLIT_COLUMN = "split"
FILE_COLUMNS = ("file", "filename", "file_name", "image", "path")
"""Names of the column with the names of the files, of which the first one in the table is used."""
MOST_COLUMNS = 10_000
"""Of a table; one with more is no table of labels."""

MOST_CHARACTERS = 2**24
"""Of the first line, which is read to count the columns."""

LABEL_VALUES = {
    **dict.fromkeys(("0", "0.0", "false"), 0),
    **dict.fromkeys(("1", "1.0", "true"), 1),
    **dict.fromkeys(("", "nan", "na", "<na>", "none"), -1),
}
"""The texts of a cell in lower case; −1 is an empty cell."""


def label_table(
    split: str = "train",
    *,
    path: str | PathLike[str] | pd.DataFrame,
    images: str | PathLike[str],
    column: str = "",
    labels: Sequence[str] = (),
    size: int | None = None,
    missing: bool = False,
    seed: int = 0,
) -> MultilabelSet:
    """Load a folder of images and a table with one row for each image.

    If the table has a column ``split``, its values train, val and test are the splits; without val,
    a tenth of train is val. Otherwise the images are split 70/10/20. Both by iterative
    stratification: a missing label counts as 0 there. Rows without labels are accepted. The order
    of the rows does not matter: images are in the order of their names. Images are grey if all
    files are grey, otherwise RGB.

    Args:
        split: "train", "val" or "test".
        path: a CSV file with a header, or a pandas DataFrame.
        images: the folder of the images; a row names a file by its path below this folder.
        column: the column of the file names; by default the first of file, filename, file_name,
            image and path that the table has.
        labels: the columns of labels; by default all others.
        size: side in pixels to which all images are resized (antialiased bilinear, to a square). If
            None, all images must have the same size.
        missing: whether a cell may be empty: then the label is unknown, and the set has ``mask``.
        seed: of the splits.

    Returns:
        A set named "label-table", normalised by the statistics of train. A set of a DataFrame
        cannot be loaded again by its options; keep the table as a file to record runs.

    Raises:
        DataMissing: the table or the folder does not exist.
        InvalidInput: a row without a file or a file without a row, a cell other than 0 and 1, an
            empty cell without ``missing=True``, or a table of another form. The message names the
            first position.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> from PIL import Image
        >>> rows = [{"file": f"{k}.png", "sea": k % 2, "sun": int(k > 4)} for k in range(10)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for row in rows:
        ...         Image.new("RGB", (8, 8)).save(f"{folder}/{row['file']}")
        ...     photos = label_table(path=pd.DataFrame(rows), images=folder)
        >>> photos, photos.label_names
        (MultilabelSet('label-table': 7 samples, 3×8×8, 2 labels), ('sea', 'sun'))
    """
    check_choice("split", split, SPLIT_NAMES)
    missing = check_flag("missing", missing)
    size = None if size is None else check_whole_number("size", size, 1)
    seed = check_seed(seed)
    column = "" if column is None else check_text("column", column)
    labels = () if labels is None else check_names("labels", labels)
    table = _parse(path, column, labels)
    folder = _check_folder(images)
    _match_files(table, folder)
    if not missing and (table.values < 0).any():
        row, k = np.argwhere(table.values < 0)[0]
        raise InvalidInput(
            f"{table.describe(row, table.label_names[k])} is empty; write 0 or 1, or pass "
            "missing=True if empty cells are unknown labels"
        )
    members = _split_rows(table, seed)
    for name in ("train", split):  # The statistics are those of train.
        if not len(members[name]):
            sizes = ", ".join(f"{part} {len(rows)}" for part, rows in members.items())
            raise InvalidInput(f"{table.title} has too few rows for {name!r} ({sizes}); add some")
    files = {name: [folder / table.files[row] for row in rows] for name, rows in members.items()}
    pixels, mean, std = read_split(files, split, size=size, grey=_are_all_grey(files, size))
    values = torch.from_numpy(table.values[members[split]])
    return MultilabelSet(
        "label-table",
        pixels,
        (values > 0).float(),
        tuple(table.label_names),
        mean,
        std,
        mask=values >= 0 if missing else None,
        options={
            "split": split,
            "path": str(path) if isinstance(path, str | PathLike) else None,
            "images": str(images),
            "column": column,
            "labels": list(labels),
            "size": size,
            "missing": missing,
            "seed": seed,
        },
    )


class _Table(NamedTuple):
    title: str  # of the table, in messages
    files: list[str]  # the file of each row, in ascending order
    row_numbers: list[int]  # the place of each row in the table, from 1
    values: NDArray[np.int64]  # [N, K]: 0, 1, or −1 for an empty cell
    label_names: list[str]
    splits: list[str]  # the split of each row; empty without such a column

    def describe(self, row: int, column: str) -> str:
        """Return how messages call a cell."""
        return f"{self.title}: row {self.row_numbers[row]} ({self.files[row]}), column {column!r}"


def _parse(path: str | PathLike[str] | pd.DataFrame, column: str, labels: Sequence[str]) -> _Table:
    """Return the rows of a table, sorted by file name.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: the table lacks a column, or a cell has another value.
    """
    title, frame = _read_frame(path)
    headers = [str(header).strip() for header in frame.columns]
    _check_width(title, len(headers))
    repeated = [header for header, count in Counter(headers).items() if count > 1]
    if repeated:
        raise InvalidInput(f"{title} has two columns {repeated[0]!r}; rename one")
    if not column:
        column = next((name for name in FILE_COLUMNS if name in headers), "")
    label_names = list(labels) or [name for name in headers if name not in (column, SPLIT_COLUMN)]
    advice = (
        f"its columns are {', '.join(headers)}. Pass column=, that of the file names, and labels=, "
        "those of the labels"
    )
    if not column:
        raise InvalidInput(f"{title} has no column {', '.join(FILE_COLUMNS)}; {advice}")
    if not label_names:
        raise InvalidInput(f"{title} has no columns of labels; {advice}")
    for name in (column, *label_names):
        if name not in headers:
            raise InvalidInput(f"{title} has no column {name!r}; {advice}")
    texts = {
        name: [str(cell).strip() for cell in frame.iloc[:, headers.index(name)]]
        for name in (column, *label_names, *{SPLIT_COLUMN} & set(headers))
    }
    order = np.argsort(np.array(texts[column], dtype=object), kind="stable").tolist()
    if not order:
        raise InvalidInput(f"{title} has no rows; write one for each image")
    values = np.array(
        [[LABEL_VALUES.get(cell.lower(), -2) for cell in texts[name]] for name in label_names]
    ).T[order]
    sorted_splits = [texts[SPLIT_COLUMN][row] for row in order] if SPLIT_COLUMN in texts else []
    files = [texts[column][row] for row in order]
    table = _Table(title, files, [row + 1 for row in order], values, label_names, sorted_splits)
    wrong = np.argwhere(values == -2)
    if len(wrong):
        row, k = min(wrong.tolist(), key=lambda place: (table.row_numbers[place[0]], place[1]))
        raise InvalidInput(
            f"{table.describe(row, label_names[k])} is {texts[label_names[k]][order[row]]!r}; "
            "write 0 or 1"
        )
    for row, value in enumerate(sorted_splits):
        if value not in SPLIT_NAMES:
            raise InvalidInput(
                f"{table.describe(row, SPLIT_COLUMN)} is {value!r}; write train, val or test"
            )
    return table


def _read_frame(path: str | PathLike[str] | pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return how messages call a table, and the table."""
    import pandas as pd

    if isinstance(path, pd.DataFrame):
        return "the table", path
    if not isinstance(path, str | PathLike) or not str(path):
        raise InvalidInput(
            f"path must be a CSV file or a DataFrame, got {path!r}; a recording does not contain a "
            "DataFrame, pass it again"
        )
    file = check_path("path", path)
    if not os.path.isfile(file):  # noqa: PTH113 - that of pathlib raises errors for long names
        raise DataMissing(f"{file} is not a file; path must be a CSV file with a header")
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            _check_width(str(file), lines.readline(MOST_CHARACTERS).count(","))
        # Without a header, so that pandas does not rename columns of the same name.
        frame = pd.read_csv(
            file, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except InvalidInput:
        raise
    except ValueError as error:  # Also the errors of pandas' parser, and of the encoding.
        reason = " ".join(str(error).split())
        raise InvalidInput(
            f"{file} cannot be read as CSV ({reason}); save it as CSV in UTF-8"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be opened ({error.strerror}); check its permissions and the disk"
        ) from error
    return str(file), frame.iloc[1:].set_axis(frame.iloc[0].astype(str), axis=1)


def _check_width(title: str, count: int) -> None:
    if count > MOST_COLUMNS:
        raise InvalidInput(
            f"{title} has {count} columns, more than {MOST_COLUMNS}; keep those of labels"
        )


def _check_folder(images: str | PathLike[str]) -> Path:
    if not isinstance(images, str | PathLike) or not str(images):
        raise InvalidInput(f"images must be the folder of the images, got {images!r}")
    folder = check_path("images", images)
    if not os.path.isdir(folder):  # noqa: PTH112 - that of pathlib raises errors for long names
        raise DataMissing(f"{folder} is not a folder; images must be the folder of the images")
    return folder


def _match_files(table: _Table, folder: Path) -> None:
    """Check that the rows of a table and the images in a folder are the same, each once.

    Raises:
        InvalidInput: names the first row without a file, or else the first file without a row.
    """
    present = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    }
    rows = sorted(zip(table.row_numbers, table.files, strict=True))
    listed: dict[str, int] = {}
    for number, file_name in rows:
        if file_name in listed:
            raise InvalidInput(
                f"{table.title}: rows {listed[file_name]} and {number} are both for {file_name}; "
                "keep one"
            )
        if file_name not in present:
            raise InvalidInput(
                f"{table.title}: row {number} is for {file_name!r}, which is not an image in "
                f"{folder}; add the file, or remove the row"
            )
        listed[file_name] = number
    unlisted = sorted(present - set(listed))
    if unlisted:
        others = f" (and {len(unlisted) - 1} more images)" if len(unlisted) > 1 else ""
        raise InvalidInput(
            f"{folder / unlisted[0]}{others} has no row in {table.title}; add one, or move the "
            "image elsewhere"
        )


def _split_rows(table: _Table, seed: int) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split."""
    labels = table.values > 0
    if not table.splits:
        return dict(zip(SPLIT_NAMES, stratified_split(labels, [0.7, 0.1, 0.2], seed), strict=True))
    splits = np.array(table.splits)
    members = {name: np.flatnonzero(splits == name) for name in SPLIT_NAMES}
    rows = members["train"]
    if len(rows) and not len(members["val"]):
        train, val = stratified_split(labels[rows], [0.9, 0.1], seed)
        members |= {"train": rows[train], "val": rows[val]}
    return members


def _are_all_grey(files: dict[str, list[Path]], size: int | None) -> bool:
    """Return whether all images are grey; without ``size``, check that all have the same size."""
    paths = sorted(path for part in files.values() for path in part)
    headers = [read_header(path) for path in paths]
    for path, (_, image_size) in zip(paths, headers, strict=True):
        if size is None and image_size != headers[0][1]:
            raise size_error(path, image_size, paths[0], headers[0][1])
    return all(grey for grey, _ in headers)
