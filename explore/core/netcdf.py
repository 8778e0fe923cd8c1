"""Export recordings as NetCDF, for programs that do not read Zarr."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core._chunks import open_part
from explore.core._format import to_json
from explore.core.recording import check_dataset
from explore.core.validation import check_path
from explore.errors import InvalidInput, RecordingFailed

if TYPE_CHECKING:
    import xarray

INT32 = np.iinfo(np.int32)
MAX_EXACT = 2**53
"""Larger whole numbers are not exact as a float."""


def to_netcdf(recording: xarray.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a recording, or a part of one, as a file of the format NetCDF-3 with 64-bit offsets.

    Every NetCDF program reads it. What the format lacks is converted: attributes that are mappings,
    such as ``config``, become JSON texts, flags become 0 and 1, float16 becomes float32, and whole
    numbers become int32, or float64 where they are larger.

    Args:
        recording: what ``open_recording`` returns, also after ``isel`` or ``sel``.
        path: the file, usually ``NAME.nc``; replaced atomically if it exists.

    Returns:
        The path of the file.

    Raises:
        InvalidInput: it is no recording, or a number is too large for any type of the format.
        RecordingFailed: the file cannot be written.

    Example:
        >>> import json, tempfile, xarray
        >>> from explore import build, record
        >>> run = build({"method": "dm", "data": "digits", "preset": "lesson", "steps": 2})
        >>> path = to_netcdf(record(run), tempfile.mkdtemp() + "/dm.nc")
        >>> with xarray.open_dataset(path) as dataset:
        ...     json.loads(dataset.attrs["config"])["method"], dataset.sizes["step"]
        ('dm', 3)
    """
    import xarray

    check_dataset(recording, "recording")
    if empty := [str(name) for name, length in recording.sizes.items() if not length]:
        raise InvalidInput(
            f"NetCDF has no dimension of length 0, and {empty[0]} has; "
            f"leave it out: recording.drop_dims({empty[0]!r})"
        )
    target = check_path("path", path)
    variables = {name: _convert(name, v) for name, v in recording.variables.items()}
    coordinates = {name: variables.pop(name) for name in recording.coords}
    plain = xarray.Dataset(variables, coordinates, _attributes(recording.attrs))
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        content = plain.to_netcdf(None, format="NETCDF3_64BIT", engine="scipy")
        with open_part(part) as file:
            file.write(content)
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise RecordingFailed(
            f"{target} could not be written: {error.strerror or error}; choose another file"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"this dataset cannot be written as NetCDF: {error}") from error
    return target


def _convert(name: Any, variable: xarray.Variable) -> tuple[Any, Any, dict[str, Any]]:
    """Return dimensions, values and attributes of a variable in types that the format has."""
    values, attributes = np.asarray(variable.values), _attributes(variable.attrs)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    elif values.dtype.kind == "b":
        values = values.astype(np.int8)
    elif values.dtype.kind in "iu" and values.dtype not in (np.int8, np.int16, np.int32):
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        if max(-low, high) > MAX_EXACT:
            largest = max(low, high, key=abs)
            raise InvalidInput(f"{name} holds {largest}, which no type of NetCDF-3 holds")
        fits = low >= INT32.min and high <= INT32.max
        values = values.astype(np.int32 if fits else np.float64)
    elif values.dtype.kind in "OUT":
        values = values.astype(object)
    return variable.dims, values, attributes


def _attributes(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as numbers, texts and lists of numbers; None is left out."""
    plain: dict[str, Any] = {}
    for name, value in json.loads(to_json(dict(attributes))).items():
        numbers = value if isinstance(value, list) else [value]
        if all(isinstance(v, float) for v in numbers) and numbers:
            plain[name] = value
        elif all(isinstance(v, int) and INT32.min <= v <= INT32.max for v in numbers) and numbers:
            plain[name] = np.int32(value)
        elif value is not None:
            plain[name] = value if isinstance(value, str) else to_json(value).decode()
    return plain
