"""Pictures as files: PNG, SVG, PDF, their numbers as CSV, and offline HTML pages with a slider."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.errors import InvalidInput, UnknownName
from explore.plotting.style import PRINT_DPI

if TYPE_CHECKING:
    import xarray

    from explore.plotting.picture import Picture

FORMATS = ("png", "svg", "pdf", "csv", "html")
MAX_FRAMES, MAX_BYTES = 60, 5_000_000
MOST_CHANGE = 16
"""How much 999 of 1,000 colours of a smaller PNG may differ from the picture, of 255."""
LEVELS = 31
"""The largest level of a channel in the PNG of a picture with many colours."""

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def save(picture: Picture, data: xarray.Dataset, out: Path) -> Path:
    """Write the picture of ``data``, or its numbers, to a file.

    Args:
        picture: shows ``data`` afterwards.
        data: a Dataset that fits the picture.
        out: ends in ``.png``, ``.svg``, ``.pdf`` or ``.csv``.

    Raises:
        UnknownName: another suffix.
    """
    out, kind = Path(out), Path(out).suffix.lstrip(".").lower()
    if kind not in FORMATS[:-1]:
        raise UnknownName("file format", kind, FORMATS)
    out.parent.mkdir(parents=True, exist_ok=True)
    if kind == "csv":
        picture.table(data).to_csv(out, index=False)
        return out
    picture.update(data)
    with out.open("wb") as file:
        picture.write(file, kind, PRINT_DPI)  # type: ignore[arg-type]
    return out


def save_figure(
    name: str, recordings: Sequence[xarray.Dataset], state: Mapping[str, Any], out: Path
) -> Path:
    """Write a figure of the catalog to a file.

    Args:
        name: of the figure.
        recordings: the recordings that it shows.
        state: such as ``{"step": 40, "label": "Bag"}``; what is left out has its default.
        out: ends in ``.png``, ``.svg``, ``.pdf``, ``.csv``, or ``.html`` for a page with a slider
            over the steps.

    Raises:
        UnknownName: there is no such figure or format.
        InvalidInput: the figure has no such state.
    """
    from explore.core.registry import figure, resolve  # only here: a slider needs no registry

    entry, out = figure(name), Path(out)
    picture_class, select = resolve(entry.picture), resolve(entry.select)
    parameters = [p for p in signature(select).parameters if p != "recordings"]
    unknown = sorted(set(state) - set(parameters))
    if unknown:
        raise InvalidInput(
            f"figure {name} has no state {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(parameters)}"
        )
    data = select(recordings, **state)
    picture = picture_class(data)
    if out.suffix != ".html":
        return save(picture, data, out)
    if entry.positions:
        positions = resolve(entry.positions)
    else:
        name = entry.slider if all(entry.slider in r.coords for r in recordings) else "step"
        positions = np.unique(np.concatenate([r[name].values for r in recordings])).tolist()
    return write_html(
        out,
        picture,
        entry.slider,
        select_evenly(positions),
        lambda position: select(recordings, **{**state, entry.slider: position}),
    )


def write_html(
    out: Path,
    picture: Picture,
    label: str,
    values: Sequence[Any],
    data: Callable[[Any], xarray.Dataset],
) -> Path:
    """Write one HTML file with a working slider, which needs no kernel, server or network.

    Args:
        out: the file to write.
        picture: drawn once for each value.
        label: of the slider.
        values: the positions of the slider, at most 60 (see ``select_evenly``).
        data: returns the Dataset at a position.

    Raises:
        InvalidInput: no position or more than 60, or the page would be larger than 5 MB.
    """
    if not 1 <= len(values) <= MAX_FRAMES:
        raise InvalidInput(
            f"a page has 1 to {MAX_FRAMES} positions, got {len(values)}; use fewer positions"
        )
    frames = []
    for value in values:
        frame = data(value)
        picture.update(frame)
        png = base64.b64encode(palette_png(picture)).decode()
        frames.append([f"{value}", png, picture.describe(frame)])
    fields = {
        "TITLE": html.escape(picture.title),
        "LABEL": html.escape(label),
        "LAST": str(len(frames) - 1),
        "FRAMES": json.dumps(frames, ensure_ascii=False).replace("</", "<\\/"),
    }
    page = PAGE
    for field, text in fields.items():
        page = page.replace(f"%{field}%", text)
    if len(page.encode()) > MAX_BYTES:
        raise InvalidInput(
            f"the page would have {len(page) / 1e6:.1f} MB, "
            f"more than {MAX_BYTES / 1e6:.0f}; use fewer positions"
        )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


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

    Example:
        >>> select_evenly([0, 1, 2, 3, 4], 3)
        [0, 2, 4]
    """
    if len(values) <= maximum:
        return list(values)
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, maximum)]
