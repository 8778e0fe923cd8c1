"""A recording made again from what it says of itself, and compared with the first, frame by frame."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.record import record
from explore.core.recording import has_ended, open_recording
from explore.core.registry import build, method, resolve
from explore.core.runs import Progress
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray


def rerun(
    recording: str | os.PathLike[str],
    to: str | os.PathLike[str],
    changes: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[xarray.Dataset, pandas.DataFrame]:
    """Build the run that made a recording, record it to the same steps, and say how the two differ.

    Args:
        recording: folder, ``.zarr.zip`` file or URL.
        to: the folder of the new one; a rerun that was interrupted goes on there.
        changes: options that are to be otherwise, such as ``{"seed": 1}``; or the data set, where it is called otherwise here.
        progress: as for ``record``.

    Returns:
        The new recording, and one row a variable: ``largest difference`` over all frames that both have, and ``same
        bits``. On the same machine, with the same versions and number of threads, all bits are the same.

    Raises:
        InvalidInput: the recording does not say what made it, or of data that cannot be loaded by name; or ``to`` is there
            already and has has_ended, so that nothing would be made again.

    Example:
        >>> import tempfile
        >>> from explore import build, record
        >>> first = tempfile.mkdtemp() + "/a.zarr"
        >>> _ = record(build({"method": "dm", "preset": "lesson", "steps": 2}), first)
        >>> again, compared = rerun(first, first.replace("a.zarr", "b.zarr"))
        >>> bool(compared["same bits"].all())
        True
    """
    first = open_recording(recording)
    if Path(to).exists() and (
        Path(to).resolve() == Path(recording).resolve() or has_ended(open_recording(to))
    ):
        raise InvalidInput(
            f"{to} is there already; nothing would be made again. Record to another folder, or remove it"
        )
    config = dict(first.attrs.get("config", {}))
    if "method" not in config:
        raise InvalidInput(
            f"{recording} does not say by which method it was made, so it cannot be made again"
        )
    last = int(first["step"][-1])
    if "steps" in resolve(method(config["method"]).config).__dataclass_fields__:
        config["steps"] = max(1, last)
    run = build({**config, **(changes or {})})
    stop = (
        None if changes else lambda: run.step >= last
    )  # of others it is not an option, and changes may ask for more
    again = record(
        run, to, every=[int(step) for step in first["step"].values], progress=progress, stop=stop
    )
    return again, compared(first, again)


def compared(first: xarray.Dataset, again: xarray.Dataset) -> pandas.DataFrame:
    """One row a variable of the first recording: how far they are apart in the frames that both have; NaN where one has NaN."""
    import pandas

    steps = np.intersect1d(first["step"].values, again["step"].values)
    a, b = first.sel(step=steps), again.sel(step=steps)
    rows = []
    for name in a.data_vars:
        if name not in b or a[name].shape != b[name].shape:
            rows.append(
                {"variable": str(name), "largest difference": float("nan"), "same bits": False}
            )
            continue
        one, other = a[name].values, b[name].values
        same = (one == other) | ((one != one) & (other != other))
        apart = np.abs(
            np.subtract(
                one, other, where=~same, out=np.zeros(same.shape), dtype=float, casting="unsafe"
            )
        )
        largest = float(apart.max()) if apart.size else 0.0
        rows.append(
            {
                "variable": str(name),
                "largest difference": largest,
                "same bits": one.tobytes() == other.tobytes(),
            }
        )
    return pandas.DataFrame(rows)
