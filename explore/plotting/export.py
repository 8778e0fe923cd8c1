"""Pictures as files: PNG, SVG, PDF, their numbers as CSV, and one offline HTML page with a slider."""

from __future__ import annotations

import base64
import html
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

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def save(picture: Picture, data: xarray.Dataset, out: Path) -> Path:
    """Write the picture of ``data`` (or its numbers) to ``out``; the suffix decides the format.

    Args:
        picture: shows ``data`` afterwards.
        data: what to show.
        out: ``.png``, ``.svg``, ``.pdf`` or ``.csv``.

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
    """One figure of the registry, from recordings, to a file.

    Args:
        name: of the figure.
        recordings: what it takes its data from.
        state: such as ``{"step": 40, "label": "Bag"}``; what is left out has its default.
        out: the suffix decides: ``.png``, ``.svg``, ``.pdf``, ``.csv``, or ``.html`` for one page
            with a slider over the steps.

    Raises:
        UnknownName: the figure or the format is not known.
        InvalidInput: the figure has no such state.
    """
    from explore.core.registry import (
        figure,
        resolve,
    )  # a slider needs this module, but no table of methods

    row, out = figure(name), Path(out)
    kind, select = resolve(row.picture), resolve(row.select)
    known = [parameter for parameter in signature(select).parameters if parameter != "recordings"]
    unknown = sorted(set(state) - set(known))
    if unknown:
        raise InvalidInput(
            f"figure {name} has no state {', '.join(map(repr, unknown))}; it has {', '.join(known)}"
        )
    first = select(recordings, **state)
    picture = kind(first)
    if out.suffix != ".html":
        return save(picture, first, out)
    along = row.slider if all(row.slider in r.coords for r in recordings) else "step"
    known = (
        resolve(row.positions)
        if row.positions
        else np.unique(np.concatenate([r[along].values for r in recordings])).tolist()
    )
    return write_html(
        out,
        picture,
        row.slider,
        thinned(known),
        lambda at: select(recordings, **{**state, row.slider: at}),
    )


def write_html(
    out: Path,
    picture: Picture,
    label: str,
    values: Sequence[Any],
    data: Callable[[Any], xarray.Dataset],
) -> Path:
    """One HTML file with a working slider: no kernel, no server, nothing loaded from anywhere.

    Args:
        out: the file to write.
        picture: drawn once for each value.
        label: of the slider.
        values: its positions, at most 60 (see ``thinned``).
        data: the Dataset at a position.

    Raises:
        InvalidInput: more than 60 positions, or the page would pass 5 MB.
    """
    if not 1 <= len(values) <= MAX_FRAMES:
        raise InvalidInput(
            f"a page takes 1 to {MAX_FRAMES} positions, got {len(values)}; thin them out"
        )
    frames = []
    for value in values:
        shown = data(value)
        picture.update(shown)
        frames.append(
            [f"{value}", base64.b64encode(small_png(picture)).decode(), picture.describe(shown)]
        )
    packed = json.dumps(frames, ensure_ascii=False).replace("</", "<\\/")
    fields = {
        "TITLE": html.escape(picture.title),
        "LABEL": html.escape(label),
        "LAST": str(len(frames) - 1),
        "FRAMES": packed,
    }
    page = PAGE
    for name, text in fields.items():
        page = page.replace(f"%{name}%", text)
    if len(page.encode()) > MAX_BYTES:
        raise InvalidInput(
            f"the page would be {len(page) / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}; use fewer positions"
        )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


def small_png(picture: Picture) -> bytes:
    """The picture with at most 256 colours: a third of the size, for saved notebooks and pages.

    An octree keeps nearly every colour within 16 of 255, the rarest within 48; a median cut would turn the few yellow
    pixels of a map orange.
    """
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture.png())).quantize(
        256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    ).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def thinned(values: Sequence[Any], most: int = MAX_FRAMES) -> list[Any]:
    """At most ``most`` of the values, spread evenly, the first and the last among them.

    Example:
        >>> thinned([0, 1, 2, 3, 4], 3)
        [0, 2, 4]
    """
    if len(values) <= most:
        return list(values)
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, most)]
