"""Where the small things that ship are: in a checkout beside the package, in an installed wheel inside it."""

from __future__ import annotations

from pathlib import Path

from explore.errors import DataMissing

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(name: str) -> Path:
    """The path of a shipped file or folder, e.g. ``"data/fashion-datadam.zarr.zip"`` or ``"notebooks"``.

    Raises:
        DataMissing: it was not shipped.
    """
    for root in (PACKAGE / "_shipped", PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise DataMissing(
        f"{name} is not in this installation of explore; reinstall it, or work in a checkout of its repository"
    )
