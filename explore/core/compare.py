"""What sets recordings apart: configurations, versions, machines and numbers side by side, and the picture they share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.recording import open_recording
from explore.core.registry import methods
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray

MANY = 100
"""A variable of more values (a map, an image) is nothing to compare by its mean."""


def differences(
    recordings: Sequence[xarray.Dataset], names: Sequence[str], step: int | None = None
) -> pandas.DataFrame:
    """One row for each thing in which recordings differ (configuration, versions, machine), then their numbers at one step.

    Args:
        recordings: two or more.
        names: what their columns are called.
        step: at which numbers (such as the loss) are taken: of each the last frame up to there; the last one by default.

    Returns:
        DataFrame with one column a recording; what one does not have is an empty text.

    Raises:
        InvalidInput: fewer than two recordings, or not as many names.
    """
    import pandas

    if len(recordings) < 2 or len(names) != len(recordings):
        given = (
            f"{len(recordings)} recordings"
            if len(recordings) == len(names)
            else f"{len(recordings)} for {len(names)} names"
        )
        raise InvalidInput(f"two recordings or more are compared, and each has a name; got {given}")
    about = [_about(recording) for recording in recordings]
    keys = list(dict.fromkeys(key for one in about for key in one))
    apart = [key for key in keys if any(one.get(key) != about[0].get(key) for one in about)]
    rows = [(key, [one.get(key, "") for one in about]) for key in apart]
    shown = [at_step(recording, step) for recording in recordings]
    rows.append(("step", [int(one["step"]) for one in shown]))
    numbers = dict.fromkeys(
        str(name) for one in shown for name, v in one.data_vars.items() if v.ndim == 0
    )
    rows += [(name, [_number(one, name) for one in shown]) for name in numbers]
    if not numbers:  # accuracies of networks, say
        few = dict.fromkeys(
            str(name) for one in shown for name, v in one.data_vars.items() if _few(v)
        )
        rows += [(f"mean {name}", [_number(one, name) for one in shown]) for name in few]
    return pandas.DataFrame(
        [row for _, row in rows], index=[key for key, _ in rows], columns=list(names), dtype=object
    )


def at_step(recording: xarray.Dataset, step: int | None = None) -> xarray.Dataset:
    """The last frame up to a step; the last one of all if it is None.

    Raises:
        InvalidInput: nothing was recorded up to there.
    """
    steps = recording["step"].values
    if step is not None and step < steps[0]:
        raise InvalidInput(
            f"nothing was recorded up to step {step}; the first frame is of step {steps[0]}"
        )
    return recording.isel(
        step=-1 if step is None else int(np.searchsorted(steps, step, side="right")) - 1
    )


def figure_of(recordings: Sequence[xarray.Dataset]) -> str:
    """The figure that all these recordings can stand in, or an empty text."""
    known = methods()
    names = [
        known[name].figures if (name := str(r.attrs.get("name"))) in known else ()
        for r in recordings
    ]
    return (
        next((figure for figure in names[0] if all(figure in others for others in names)), "")
        if names
        else ""
    )


def named(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[xarray.Dataset], list[str]]:
    """Recordings and short names for them: those of their files, or the whole paths where files are called alike."""
    short = [Path(path).name.partition(".zarr")[0] for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    return [open_recording(path) for path in paths], names


def _about(recording: xarray.Dataset) -> dict[str, Any]:
    """All that a recording says of itself, in one flat mapping."""
    attributes = recording.attrs
    versions = {f"version of {name}": v for name, v in attributes.get("versions", {}).items()}
    machine = {name: attributes[name] for name in ("device", "threads") if name in attributes}
    seconds = {"seconds": round(attributes["seconds"], 2)} if "seconds" in attributes else {}
    return _flat(attributes.get("config", {})) | versions | machine | seconds


def _flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= (
            _flat(value, f"{before}{name}.")
            if isinstance(value, Mapping)
            else {f"{before}{name}": value}
        )
    return found


def _few(values: xarray.DataArray) -> bool:
    """Whether a variable is a number, or some numbers of a kind that their mean sums up."""
    return values.ndim == 0 or (values.dtype.kind == "f" and values.size <= MANY)


def _number(frame: xarray.Dataset, name: str) -> Any:
    return float(frame[name].mean()) if name in frame and _few(frame[name]) else ""
