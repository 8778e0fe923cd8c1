"""Repeat the run of a recording, and compare the two recordings frame by frame."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.products import without_downloads
from explore.core.record import record
from explore.core.recording import has_ended, open_recording, steps_of
from explore.core.registry import build, method, resolve
from explore.core.runs import Progress
from explore.core.validation import check_path, check_text, describe
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
    """Build the run of a recording again, record it to the same step, and compare the recordings.

    Nothing is downloaded because a recording asks for it: its data set must be on this machine.

    Args:
        recording: folder, ``.zarr.zip`` file or URL.
        to: the folder of the new recording; an interrupted rerun continues there.
        changes: options to replace, such as ``{"seed": 1}``, or ``data`` if the data set has
            another name on this machine.
        progress: as for ``record``.

    Returns:
        The new recording, and a table with one row for each variable: ``largest difference`` over
        all common frames, and ``same bits``. All bits are the same on the same machine with the
        same versions and number of threads.

    Raises:
        InvalidInput: the recording does not name its method, its data cannot be loaded by name,
            or ``to`` is a finished recording.

    Example:
        >>> import tempfile
        >>> from explore import build, record
        >>> first = tempfile.mkdtemp() + "/a.zarr"
        >>> _ = record(build({"method": "dm", "preset": "lesson", "steps": 2}), first)
        >>> second, table = rerun(first, first.replace("a.zarr", "b.zarr"))
        >>> bool(table["same bits"].all())
        True
    """
    from explore.core._checked_store import location

    place, goal = location("recording", recording), location("to", to)
    target = check_path("to", goal)
    changes = {} if changes is None else changes
    if not isinstance(changes, Mapping):
        raise InvalidInput(f"changes must be a mapping of options, got {describe(changes)}")
    first = open_recording(place)
    if target.exists() and (
        target.resolve() == Path(place).resolve() or has_ended(open_recording(target))
    ):
        raise InvalidInput(f"{to} already holds a recording; choose another folder or remove it")
    config = without_downloads(first.attrs.get("config", {}))
    if "method" not in config:
        raise InvalidInput(
            f"{recording} does not name its method in its configuration; it cannot be repeated"
        )
    check_text("method", config["method"])
    last = int(steps_of(first)[-1])
    if "steps" in resolve(method(config["method"]).config).__dataclass_fields__:
        config["steps"] = max(1, last)
    run = build({**config, **changes})
    # Not all methods have an option for the number of steps. Changes may contain more steps.
    stop = None if changes else lambda: run.step >= last
    steps = [int(step) for step in first["step"].values]
    second = record(run, goal, every=steps, progress=progress, stop=stop)
    return second, compare_frames(first, second)


def compare_frames(first: xarray.Dataset, second: xarray.Dataset) -> pandas.DataFrame:
    """Return a table of all variables: the largest difference, and whether the bits are equal.

    Only common frames are compared. The difference is NaN if a value is NaN in one recording only,
    or if shapes differ.

    Raises:
        InvalidInput: they are no recordings, or have no step in common.
    """
    import pandas

    steps_of(first), steps_of(second)
    steps = np.intersect1d(first["step"].values, second["step"].values)
    if not steps.size:
        raise InvalidInput("the two recordings have no step in common, so nothing can be compared")
    first, second = first.sel(step=steps), second.sel(step=steps)
    rows = []
    for name in first.data_vars:
        largest, same_bits = float("nan"), False
        if name in second and first[name].shape == second[name].shape:
            a, b = first[name].values, second[name].values
            equal = (a == b) | ((a != a) & (b != b))
            zeros = np.zeros(equal.shape)
            differences = np.abs(
                np.subtract(a, b, where=~equal, out=zeros, dtype=float, casting="unsafe")
            )
            largest = float(differences.max()) if differences.size else 0.0
            same_bits = a.tobytes() == b.tobytes()
        rows.append({"variable": str(name), "largest difference": largest, "same bits": same_bits})
    return pandas.DataFrame(rows)
