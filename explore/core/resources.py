"""Locate the files that ship with explore: beside the package in a checkout, in it in a wheel."""

from __future__ import annotations

from pathlib import Path

from explore.core.validation import check_path, check_text
from explore.errors import DataMissing

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
