"""The table of complexity: one row for each class, and one for the whole set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.areas.recordings import COMPLEXITY
from explore.core.validation import check_items, describe
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray


def table(
    recordings: Sequence[xarray.Dataset], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Return the complexity of each class of each recording, and the mean over classes.

    Args:
        recordings: of ``explore run complexity``; others are left out.
        against: has no effect: classes are not compared in pairs.
        unlike: has no effect: each row names its network and kind of map.

    Example:
        >>> from explore import build, record
        >>> from explore.core.registry import methods
        >>> tiny = methods()["complexity"].tiny
        >>> table([record(build({"method": "complexity", **tiny}))])["class"].tolist()
        ['disc', 'square', 'ring', 'cross', 'triangle', 'all classes']
    """
    import pandas

    rows = []
    for recording in check_items("recordings", recordings):
        if not hasattr(recording, "attrs"):
            raise InvalidInput(f"recordings must be recordings, got {describe(recording)}")
        if "complexity" not in recording:
            continue
        (recording,) = COMPLEXITY.check(recording)
        config, last = recording.attrs["config"], recording.isel(step=-1)
        shared = {
            "data": config["subset"] or _data_name(config["data"]),
            "network": config["network"],
            "map": config["kind"],
        }
        values = last["complexity"].values
        measured = values[np.isfinite(values)]  # Not those of which no image was measured.
        for index, name in enumerate(last.label.values):
            rows.append(
                {
                    **shared,
                    "class": str(name),
                    "images": int(last["measured"].values[index]),
                    "complexity": float(values[index]),
                    "std": float(last["deviation"].values[index]),
                }
            )
        rows.append(
            {
                **shared,
                "class": "all classes",
                "images": int(last["measured"].values.sum()),
                "complexity": float(measured.mean()) if len(measured) else np.nan,
                "std": float(measured.std(ddof=1)) if len(measured) > 1 else np.nan,
            }
        )
    complete = pandas.DataFrame(rows)
    complete.attrs["percent"] = ("complexity",)
    return complete


def _data_name(description: Mapping[str, Any]) -> str:
    """Return the name of a folder, or of any other data set."""
    path = description.get("options", {}).get("path", "")
    return PurePath(path).name or str(description["name"])
