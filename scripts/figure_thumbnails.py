"""Draw a small picture of every figure, and list all figures in docs/figures.md.

    python scripts/figure_thumbnails.py

The list stands between two comments of the page. Figures of which no recording ships have no small
picture, and those of data sets that must be downloaded neither: photographs belong to others.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from explore.core import registry
from explore.core.catalog import Figure
from explore.core.registry import resolve
from explore.errors import ExploreError
from explore.plotting.figure_files import draw_figure
from explore.plotting.figure_source import default_recordings, needs_recordings, state_names

DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
WIDTH = 300
"""Width of a small picture, in pixels."""
COLOURS = 40


def thumbnail(row: Figure) -> bytes:
    """Return a small PNG of a figure in its default state."""
    full = Image.open(io.BytesIO(draw_figure(row.name, None, {}).picture.png())).convert("RGB")
    small = full.resize((WIDTH, round(WIDTH * full.height / full.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    palette = small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def section(row: Figure) -> str:
    """Return the lines of the page about a figure, and write its small picture."""
    lines = [f"### {row.name}", "", f"{resolve(row.picture).title}", ""]
    path = DOCS / "figures" / f"{row.name}.png"
    path.unlink(missing_ok=True)
    if needs_recordings(row) and not default_recordings(row):
        lines += ["This figure needs `--recording`: none of its recordings ships.", ""]
    else:
        try:
            path.write_bytes(thumbnail(row))
            lines += [f"![A small picture of the figure {row.name}](figures/{path.name})", ""]
        except ExploreError as error:
            print(f"{row.name}: {error}")
            lines += ["This figure needs a data set that does not ship.", ""]
    for label, names in (("States", state_names(row)), ("Panels", row.panels)):
        if names:
            lines.append(f"* {label}: {', '.join(f'`{name}`' for name in names)}")
    return "\n".join(lines).rstrip()


def main() -> None:
    """Write all small pictures and the list."""
    os.environ.pop("EXPLORE_DATA", None)
    (DOCS / "figures").mkdir(exist_ok=True)
    parts = []
    for topic in registry.topics().values():
        if topic.figures:
            parts.append(f"## {topic.name}")
            parts += [section(row) for row in topic.figures]
    page = DOCS / "figures.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    body = "\n\n".join(parts)
    page.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
