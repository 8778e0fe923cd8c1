"""Locate the files that ship with explore: beside the package in a checkout, in it in a wheel."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explore.core.validation import check_path, check_text
from explore.errors import DataMissing, InvalidInput

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder, such as ``"notebooks"``.

    Raises:
        InvalidInput: the name is no path.
        DataMissing: this installation does not contain it.
        InvalidInput: ``name`` is no text.
    """
    name = check_text("name", name)
    check_path("name", name)
    for root in (PACKAGE / "_shipped", PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise DataMissing(
        f"{name} is not in this installation of explore; "
        "install explore again, or use a checkout of its repository"
    )


def read_measurements(
    path: str | os.PathLike[str], default: str, keys: Sequence[str]
) -> dict[str, Any]:
    """Return the numbers of a benchmark, as ``explore bench NAME --json FILE`` writes them.

    Args:
        path: of the file; empty for the numbers that ship.
        default: the shipped file.
        keys: that the file must have.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: the file holds no JSON, or not these keys.

    Example:
        >>> read_measurements("", "data/mixture-costs.json", ["sizes"])["sizes"]
        [50, 100, 200, 400, 700, 1000]
    """
    file = shipped(default) if path == "" else check_path("times", path)
    if not file.is_file():
        raise DataMissing(f"there is no file {file}; write it by explore bench NAME --json {file}")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} holds no JSON: {error}") from error
    missing = [key for key in keys if not isinstance(values, dict) or key not in values]
    if missing:
        raise InvalidInput(f"{file} lacks {', '.join(missing)}; it is of another benchmark")
    result: dict[str, Any] = values
    return result
