"""A table of the held-out samples of a training, for programs that explore embeddings. No torch."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.compare import frame_at
from explore.core.validation import check_path, describe
from explore.errors import DependencyMissing, InvalidInput
from explore.multilabel.figures.projection import principal_axes, project
from explore.multilabel.recordings import TRAINING

if TYPE_CHECKING:
    import pandas
    import xarray

INSTALL_HINT = "Parquet files need pyarrow: pip install pyarrow"

THRESHOLD = 0.5
"""Probability from which a label counts as predicted in the column "text"."""

HUGGING_FACE_TYPES = {"info": {"features": {"image": {"_type": "Image"}}}}
"""By this the package ``datasets`` of Hugging Face decodes the column "image"."""


def points_table(recording: xarray.Dataset, step: int | None = None) -> pandas.DataFrame:
    """Return a table of a training with one row for each held-out sample.

    Args:
        recording: a recording of a multi-label training.
        step: the last frame at or before it is used; by default the last of all.

    Returns:
        DataFrame with the columns "point" (number of the sample), "x" and "y" (position on the two
        principal axes of the last frame, so that tables of several steps fit together), "text"
        (present and predicted labels), "labels" (names of the present labels), "label_count",
        "label: NAME" (0 or 1; missing if it is not known), "probability: NAME" and "uncertainty:
        KIND". Samples that are images also have "image", a mapping of "bytes" (a PNG file) and
        "path" as in data sets of Hugging Face, and "image_url", the same as a data URL.

    Raises:
        InvalidInput: another recording, no frame up to the step, or two labels of one name.

    Example:
        >>> from explore.core.recording import open_recording
        >>> from explore.core.resources import shipped
        >>> table = points_table(open_recording(shipped("data/scenes-kmcl.zarr.zip")))
        >>> table[["x", "y", "label_count"]].shape
        (150, 3)
    """
    import pandas

    checked = TRAINING.check(recording)
    if not checked:
        raise InvalidInput(
            f"recording must be a recording of {TRAINING.name}, got {describe(recording)}"
        )
    recording = checked[0]
    if "step" not in recording.dims:
        recording = recording.expand_dims("step")
    frame = frame_at(recording, step).load()
    names = [str(name) for name in frame["label"].values]
    if len(set(names)) < len(names):
        raise InvalidInput(f"labels must have different names, got {', '.join(names)}")
    plane = principal_axes(recording["embedding"].isel(step=-1).values)
    position = project(frame["embedding"].values, *plane)
    present = frame["present"].values.astype(bool)
    probability = frame["probability"].values.astype(np.float32)
    labels = [_listed(names, row) for row in present]
    columns: dict[str, Any] = {
        "point": np.arange(len(present)),
        "x": position[:, 0],
        "y": position[:, 1],
        **_images(frame),
        "text": [
            f"labels: {text or 'none'}; predicted: {_listed(names, row >= THRESHOLD) or 'none'}"
            for text, row in zip(labels, probability, strict=True)
        ],
        "labels": labels,
        "label_count": present.sum(1),
    }
    values = pandas.DataFrame(present, dtype="Int8")
    if "known" in frame.coords:
        values = values.where(frame["known"].values.astype(bool))
    columns |= {f"label: {name}": values[index] for index, name in enumerate(names)}
    columns |= {f"probability: {name}": probability[:, i] for i, name in enumerate(names)}
    if "uncertainty" in frame:
        kinds = frame["uncertainty_kind"].values
        columns |= {
            f"uncertainty: {kind}": row
            for kind, row in zip(kinds, frame["uncertainty"].values, strict=True)
        }
    return pandas.DataFrame(columns)


def write_points(
    recording: xarray.Dataset, path: str | os.PathLike[str], step: int | None = None
) -> Path:
    """Write the table of a training as a Parquet file; see ``points_table``.

    Raises:
        DependencyMissing: pyarrow is not installed.
        InvalidInput: see ``points_table``, or the path does not end in ``.parquet``.
    """
    path = check_path("path", path)
    if path.suffix != ".parquet":
        raise InvalidInput(
            f"a table of points is written as a .parquet file, got {str(path)!r}; other programs "
            "choose their reader by the suffix"
        )
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DependencyMissing(INSTALL_HINT) from error
    table = pyarrow.Table.from_pandas(points_table(recording, step), preserve_index=False)
    if "image" in table.column_names:
        types = {"huggingface": json.dumps(HUGGING_FACE_TYPES)}
        table = table.replace_schema_metadata({**table.schema.metadata, **types})
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)
    return path


def _listed(names: list[str], selected: np.ndarray) -> str:
    return ", ".join(name for name, is_selected in zip(names, selected, strict=True) if is_selected)


def _images(frame: xarray.Dataset) -> dict[str, Any]:
    """Return the columns of images; none if the samples are no images."""
    if "thumbnail" not in frame.coords:
        return {}
    files = [_png(pixels) for pixels in frame["thumbnail"].values]
    return {
        "image": [
            {"bytes": content, "path": f"{number}.png"} for number, content in enumerate(files)
        ],
        "image_url": [
            f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in files
        ],
    }


def _png(pixels: np.ndarray) -> bytes:
    """Return uint8 ``[H, W]`` or ``[H, W, 3]`` as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
