"""Compare recordings: configurations, versions, machines, numbers, and a figure for all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.core.recording import check_dataset, frame_index, open_recording, steps_of
from explore.core.registry import methods
from explore.core.validation import check_items, check_names, check_number
from explore.errors import InvalidInput

if TYPE_CHECKING:
    import pandas
    import xarray

MAX_AVERAGED_VALUES = 100
"""A variable with more values is an image or a map, and its mean says nothing."""


def differences(
    recordings: Sequence[xarray.Dataset], names: Sequence[str], step: int | None = None
) -> pandas.DataFrame:
    """Return a table of the differences between recordings and of their numbers at one step.

    Args:
        recordings: two or more.
        names: the names of their columns.
        step: the step of the numbers (such as the loss): the last frame at or before it is used.
            By default the last frame of each recording.

    Returns:
        DataFrame with one column for each recording: first the options, versions and machines that
        differ, then the numbers. A value that a recording does not have is an empty text.

    Raises:
        InvalidInput: there are fewer than two recordings or another number of names, or the first
            frame of a recording comes after ``step``.
    """
    import pandas

    recordings = _check_recordings(recordings)
    names = check_names("names", names)
    if len(recordings) < 2 or len(names) != len(recordings):
        raise InvalidInput(
            "expected two or more recordings with one name each, "
            f"got {len(recordings)} recordings and {len(names)} names"
        )
    settings = [_settings(recording) for recording in recordings]
    rows: list[tuple[str, list[Any]]] = []
    for key in dict.fromkeys(key for values in settings for key in values):
        if any(values.get(key) != settings[0].get(key) for values in settings):
            rows.append((key, [values.get(key, "") for values in settings]))
    frames = [frame_at(recording, step) for recording in recordings]
    rows.append(("step", [int(frame["step"]) for frame in frames]))
    variables = [(str(name), v) for frame in frames for name, v in frame.data_vars.items()]
    if numbers := dict.fromkeys(name for name, v in variables if v.ndim == 0):
        rows += [(name, [_mean(frame, name) for frame in frames]) for name in numbers]
    else:  # For example the accuracy of each network.
        numbers = dict.fromkeys(name for name, v in variables if _has_mean(v))
        rows += [(f"mean {name}", [_mean(frame, name) for frame in frames]) for name in numbers]
    keys, values = zip(*rows, strict=True)
    return pandas.DataFrame(list(values), index=list(keys), columns=list(names), dtype=object)


def frame_at(recording: xarray.Dataset, step: int | None = None) -> xarray.Dataset:
    """Return the last frame at or before a step; the last frame of all for ``None``.

    Raises:
        InvalidInput: the first frame comes after the step.
    """
    first = steps_of(recording)[0]
    if step is not None and check_number("step", step) < first:
        raise InvalidInput(
            f"there is no frame up to step {step}; the first frame is of step {first}"
        )
    return recording.isel(step=frame_index(recording, step))


def shared_figure(recordings: Sequence[xarray.Dataset]) -> str:
    """Return the first figure that can show all recordings together; empty if there is none."""
    recordings = _check_recordings(recordings)
    rows = [methods().get(str(recording.attrs.get("name"))) for recording in recordings]
    figures = [row.figures if row else () for row in rows]
    return (
        next((f for f in figures[0] if all(f in others for others in figures)), "") if rows else ""
    )


def open_with_names(
    paths: Sequence[str | os.PathLike[str]],
) -> tuple[list[xarray.Dataset], list[str]]:
    """Open recordings and return them with names: the file names, or the paths if two are equal."""
    from explore.core._checked_store import location

    single = isinstance(paths, str | bytes | os.PathLike)
    places = [location("paths", p) for p in ([paths] if single else check_items("paths", paths))]
    names = [Path(place).name.partition(".zarr")[0] for place in places]
    if len(set(names)) < len(names):
        names = places
    return [open_recording(place) for place in places], names


def _check_recordings(recordings: Any) -> list[xarray.Dataset]:
    listed = [recordings]
    if not hasattr(recordings, "data_vars"):  # not one recording alone
        listed = check_items("recordings", recordings)
    for recording in listed:
        check_dataset(recording, "a recording")
    return listed


def _settings(recording: xarray.Dataset) -> dict[str, Any]:
    """Return configuration, versions and machine of a recording in one flat mapping."""
    attributes = recording.attrs
    versions = {f"version of {name}": v for name, v in attributes.get("versions", {}).items()}
    machine = {name: attributes[name] for name in ("device", "threads") if name in attributes}
    seconds = {"seconds": round(attributes["seconds"], 2)} if "seconds" in attributes else {}
    return _flatten(attributes.get("config", {})) | versions | machine | seconds


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            values |= _flatten(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def _has_mean(values: xarray.DataArray) -> bool:
    """Return whether a variable is one number, or a few numbers that their mean summarises."""
    few = values.dtype.kind == "f" and values.size <= MAX_AVERAGED_VALUES
    return values.ndim == 0 or few


def _mean(frame: xarray.Dataset, name: str) -> Any:
    return float(frame[name].mean()) if name in frame and _has_mean(frame[name]) else ""
