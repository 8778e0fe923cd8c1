"""The command ``explore figure``: draw a figure into a file, or list all figures."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from explore.cli.options import pairs
from explore.core import registry
from explore.core.validation import check_path
from explore.errors import ExploreError, InvalidInput


def _figure_names() -> str:
    """Return the names of all figures for a help text; none if a topic cannot be loaded."""
    try:
        return f"One of: {', '.join(registry.figures())}."
    except ExploreError:  # Commands that need the topics say it.
        return "The name of a figure."


def figure(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help=_figure_names(), show_default=False)
    ] = None,
    recording: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="A folder, a .zarr.zip file or a URL; again for each one to compare; by default "
            "what ships with this package.",
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What is shown, such as label=Bag."),
    ] = None,
    step: Annotated[
        int | None,
        typer.Option(metavar="N", help="The step that is shown; short for --state step=N."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The suffix decides: .pdf .png .svg .csv .html; by default NAME.pdf.",
        ),
    ] = None,
    html: Annotated[
        bool,
        typer.Option(
            "--html", help="One offline page with a slider over the steps, whatever the suffix."
        ),
    ] = False,
    width: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTH",
            help="For print: the width of the file, such as 3.3in or 84mm. With another option for "
            "print, the default is 7in, and 3.3in for a panel.",
        ),
    ] = None,
    font_size: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="For print: the size of all texts [default: 8]."),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="For print: without what only a screen needs, such as headings that are "
            "sentences, hints and marks of what is selected.",
        ),
    ] = False,
    panel: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For print: this panel alone; --list shows the names."),
    ] = None,
    caption: Annotated[
        bool, typer.Option("--caption", help="Print a description of the picture, for a caption.")
    ] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="Show all figures with their states and panels.")
    ] = False,
) -> None:
    """Draw a figure into a file, as on the screen or laid out for print."""
    if list_all:
        typer.echo("\n".join(_figure_lines(name)))
        return
    if name is None:
        raise InvalidInput("figure needs the name of a figure; explore figure --list shows them")
    registry.figure(name)
    values = pairs(state) | ({} if step is None else {"step": step})
    layout = _print_layout(width, font_size, plain, panel)
    from explore.core.recording import open_recording
    from explore.plotting import figure_files
    from explore.plotting.export import check_target

    target = check_path("--out", out or f"{name}.pdf")
    target, _ = check_target(target.with_suffix(".html") if html else target)
    opened = [open_recording(path) for path in recording] if recording else None
    drawn = figure_files.draw_figure(name, opened, values)
    command = _figure_command(name, recording, values, layout, width)
    typer.echo(f"wrote {drawn.save(target, layout, command)}")
    if caption:
        typer.echo(drawn.caption)


def _figure_lines(name: str | None) -> Iterator[str]:
    """Yield the lines of a list of figures, or of one of them."""
    from explore.plotting.figure_source import default_recordings, needs_recordings, state_names

    rows = registry.figures() if name is None else {name: registry.figure(name)}
    for row in rows.values():
        yield f"{row.name}: {registry.resolve(row.picture).title}"
        yield f"  states: {', '.join(state_names(row)) or 'none'}"
        if row.panels:
            yield f"  panels: {', '.join(row.panels)}"
        if needs_recordings(row) and not default_recordings(row):
            yield "  needs --recording: none of its recordings ships"


def _print_layout(
    width: str | None, font_size: float | None, plain: bool, panel: str | None
) -> Any:
    """Return the layout for print that options ask for; None for the picture of the screen."""
    if width is None and font_size is None and not plain and panel is None:
        return None
    from explore.plotting.print_layout import PrintLayout, parse_width

    inches = parse_width(width or ("3.3in" if panel else "7in"))
    return PrintLayout(inches, 8.0 if font_size is None else font_size, plain, panel or "")


def _figure_command(
    name: str,
    recording: list[str] | None,
    values: dict[str, Any],
    layout: Any,
    width: str | None,
) -> str:
    """Return the command that draws a figure again, without the name of the file."""
    words = ["explore", "figure", name]
    for path in recording or ():
        words += ["--recording", path]
    for key, value in values.items():
        text = value if isinstance(value, str) and not _is_literal(value) else json.dumps(value)
        words += ["--state", f"{key}={text}"]
    if layout is not None:
        words += ["--width", width or f"{layout.width:g}in"]
        words += ["--font-size", f"{layout.font_size:g}"]
        words += ["--plain"] if layout.plain else []
        words += ["--panel", layout.panel] if layout.panel else []
    return shlex.join(words)


def _is_literal(text: str) -> bool:
    """Return whether a text would be read as something else than a text."""
    return pairs([f"x={text}"])["x"] != text
