"""Pictures as files: PNG, SVG, PDF, their numbers as CSV, and offline HTML pages with a slider."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.validation import (
    check_callable,
    check_items,
    check_number,
    check_path,
    check_text,
    check_whole_number,
    describe,
    to_python,
)
from explore.errors import InvalidInput, UnknownName
from explore.plotting.file_metadata import FileMetadata
from explore.plotting.picture import Picture
from explore.plotting.style import LEAST_SCALE, PRINT_DPI
from explore.plotting.texts import clean_texts

if TYPE_CHECKING:
    import xarray

FORMATS = ("png", "svg", "pdf", "csv", "html")
MAX_FRAMES, MAX_BYTES = 60, 5_000_000
MOST_CHANGE = 16
"""How much 999 of 1,000 colours of a smaller PNG may differ from the picture, of 255."""
LEVELS = 31
"""The largest level of a channel in the PNG of a picture with many colours."""

LISTED_POSITIONS = 5
"""Positions that an error message lists."""

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def save(
    picture: Picture,
    data: xarray.Dataset,
    out: str | os.PathLike[str],
    metadata: FileMetadata | None = None,
) -> Path:
    """Write the picture of ``data``, or its numbers, to a file.

    A folder that does not exist is created, and a file that exists is replaced.

    Args:
        picture: shows ``data`` afterwards.
        data: a Dataset that fits the picture.
        out: ends in ``.png``, ``.svg``, ``.pdf`` or ``.csv``. Numbers have six digits.
        metadata: of the file; by default title and alternative text of the picture.

    Raises:
        UnknownName: another suffix.
        InvalidInput: no path, or that of a folder; or metadata of another class.
    """
    (path, kind), picture = check_target(out), check_picture(picture)
    if kind == "html":
        raise UnknownName("file format", kind, FORMATS[:-1])
    if metadata is not None and not isinstance(metadata, FileMetadata):
        raise InvalidInput(f"metadata must be FileMetadata, got {describe(metadata)}")
    if kind == "csv":
        from explore.core.tables import csv_safe, round_numbers

        text = csv_safe(round_numbers(picture.table(data))).to_csv(index=False)
        return write_bytes(path, text.encode("utf-8", "replace"))
    picture.update(data)
    buffer = io.BytesIO()
    metadata = metadata or FileMetadata(picture.title, picture.describe(clean_texts(data)))
    picture.write(buffer, kind, PRINT_DPI, metadata.fields(kind))  # type: ignore[arg-type]
    return write_bytes(path, buffer.getvalue())


def check_picture(picture: Any) -> Picture:
    """Return a picture.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(picture, Picture):
        return picture
    raise InvalidInput(f"picture must be a Picture, got {describe(picture)}")


def check_target(out: Any) -> tuple[Path, str]:
    """Return the path of a picture's file, and its format: the suffix in lower case.

    Raises:
        UnknownName: another suffix.
        InvalidInput: no path, or that of a folder.

    Example:
        >>> check_target("loss.PNG")
        (PosixPath('loss.PNG'), 'png')
    """
    path = check_path("out", out)
    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise UnknownName("file format", kind, FORMATS, f"The suffix of {path.name!r} decides it.")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; choose another name for the file")
    return path, kind


def write_html(
    out: str | os.PathLike[str],
    picture: Picture,
    label: str,
    values: Sequence[Any],
    data: Callable[[Any], xarray.Dataset],
    start: Any = None,
) -> Path:
    """Write one HTML file with a working slider, which needs no kernel, server or network.

    A link such as ``page.html#step=40`` opens it at that position.

    Args:
        out: the file to write.
        picture: drawn once for each value.
        label: of the slider.
        values: the positions of the slider, at most 60 (see ``select_evenly``).
        data: returns the Dataset at a position.
        start: the position at which the page opens, or a number closest to it; the last position
            if left out.

    Raises:
        InvalidInput: no position or more than 60, or the page would be larger than 5 MB.
    """
    path, kind = check_target(out)
    if kind != "html":
        raise UnknownName("file format of a page", kind, ["html"])
    picture, label = check_picture(picture), check_text("label", label)
    values = check_items("values", values)
    check_callable("data", data, "of a position")
    if not 1 <= len(values) <= MAX_FRAMES:
        raise InvalidInput(
            f"a page has 1 to {MAX_FRAMES} positions, got {len(values)}; use fewer positions"
        )
    frames = []
    for value in values:
        frame = clean_texts(data(value))
        picture.update(frame)
        png = base64.b64encode(palette_png(picture)).decode()
        frames.append([f"{value}", png, picture.describe(frame)])
    fields = {
        "TITLE": html.escape(picture.title),
        "LABEL": html.escape(label),
        "LAST": str(len(frames) - 1),
        "START": str(len(frames) - 1 if start is None else _closest(start, values)),
        "KEY": script_json("-".join(label.split())),
        "LEAST": str(LEAST_SCALE),
        "FRAMES": script_json(frames),
    }
    page = re.sub("%([A-Z]+)%", lambda field: fields[field[1]], PAGE)
    if len(page.encode()) > MAX_BYTES:
        raise InvalidInput(
            f"the page would have {len(page) / 1e6:.1f} MB, "
            f"more than {MAX_BYTES / 1e6:.0f}; use fewer positions"
        )
    return write_bytes(path, page.encode())


def _closest(start: Any, values: Sequence[Any]) -> int:
    """Return the index of a position, or of the closest number.

    Raises:
        InvalidInput: it is no position, and not all of them are numbers.
    """
    start = to_python(start)
    if isinstance(start, str) and start in values:
        return list(values).index(start)
    if not all(isinstance(value, int | float) for value in values):
        listed = ", ".join(map(describe, values[:LISTED_POSITIONS]))
        raise InvalidInput(
            f"start must be one of the positions, such as {listed}; got {describe(start)}"
        )
    start = check_number("start", start)
    return min(range(len(values)), key=lambda k: abs(values[k] - start))


def script_json(values: Any) -> str:
    """Return values as JSON for a script element, whatever their texts hold.

    A ``<`` could begin a tag or a comment, after which the end of the script is not found. The two
    separators of lines end a text in older JavaScript.

    Example:
        >>> print(script_json(["<!--", 1]))
        ["\\u003c!--", 1]
    """
    text = json.dumps(values, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file, create its folder if needed, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def palette_png(picture: Picture) -> bytes:
    """Return the picture as a smaller PNG, for notebooks and pages.

    It has 256 colours, a third of the size. An octree changes nearly every colour by at most 16 of
    255, and the rarest by at most 48. A median cut would turn the few yellow pixels of a map
    orange. A picture with coloured photographs needs more colours: it has 32 levels of each channel
    instead.
    """
    from PIL import Image

    full = Image.open(io.BytesIO(picture.png())).convert("RGB")
    small = full.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    pixels = np.asarray(full)
    change = abs(np.asarray(small.convert("RGB")).astype(np.int16) - pixels)
    if np.quantile(change, 0.999) > MOST_CHANGE:
        levels = np.round(pixels / 255 * LEVELS) * (255 / LEVELS)
        small = Image.fromarray(levels.round().astype(np.uint8))
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def select_evenly(values: Sequence[Any], maximum: int = MAX_FRAMES) -> list[Any]:
    """Select at most ``maximum`` values, evenly spread, with the first and the last among them.

    Raises:
        InvalidInput: ``maximum`` is below 2.

    Example:
        >>> select_evenly([0, 1, 2, 3, 4], 3)
        [0, 2, 4]
    """
    maximum = check_whole_number("maximum", maximum, at_least=2)
    if len(values) <= maximum:
        return list(values)
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, maximum)]
