"""What the command line does with recordings and distilled sets: pack, rerun, compare, table,
export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from explore.cli.options import pairs, text_options
from explore.cli.progress import progress_bar
from explore.core import registry
from explore.core.validation import check_choice, check_path
from explore.errors import DataMissing, InvalidInput

RECORDING = "A folder, a .zarr.zip file or a URL."


SET_HELP = "Override an option; may be repeated."


def pack(
    recording: Annotated[Path, typer.Argument(metavar="RUN.zarr", help="A recording folder.")],
    to: Annotated[
        Path,
        typer.Argument(metavar="OUT.zarr.zip", help="The file to write; replaced if it exists."),
    ],
) -> None:
    """Make one file of a recording folder."""
    from explore.core.recording import pack as packed

    recording, to = check_path("RUN.zarr", recording), check_path("OUT.zarr.zip", to)
    if to.is_dir() or to.resolve() == recording.resolve():
        raise InvalidInput(f"{to} exists and is no packed recording; give another name, .zarr.zip")
    to.parent.mkdir(parents=True, exist_ok=True)
    typer.echo(f"packed into {packed(recording, to)} ({to.stat().st_size / 1e6:.1f} MB)")


def rerun(
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help=RECORDING)],
    out: Annotated[
        str | None, typer.Option(metavar="RUN.zarr", help="The new one [default: NAME-again.zarr].")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP)
    ] = None,
) -> None:
    """Record a run again from its configuration and compare the two recordings."""
    from explore.core.reproduce import rerun as repeat

    new = out or f"{Path(recording).name.partition('.zarr')[0]}-again.zarr"
    changes = pairs(change, _text_options_of(recording) if change else ())
    try:
        with progress_bar("rerun") as progress:
            _, compared = repeat(recording, new, changes, progress)
    except (DataMissing, InvalidInput) as error:
        if path := _relative_data(recording, changes):
            raise InvalidInput(
                f"{error}. The recording names its data by the relative path {path!r}: repeat it "
                "in the folder in which it was recorded, or give its place: "
                """--set 'data={"name": ..., "options": {"path": ...}}'"""
            ) from error
        raise
    typer.echo(compared.to_string(index=False))
    bits = "the same bits" if compared["same bits"].all() else "not the same bits"
    typer.echo(f"recorded in {new}: {bits}")


def _config_of(recording: str) -> dict[str, Any]:
    from explore.core.recording import open_recording

    config = open_recording(recording).attrs.get("config")
    return config if isinstance(config, dict) else {}


def _text_options_of(recording: str) -> set[str]:
    """Return the options of a recording's method that are texts; none for an unknown method."""
    row = registry.methods().get(str(_config_of(recording).get("method")))
    return set() if row is None else text_options(row)


def _relative_data(recording: str, changes: dict[str, Any]) -> str:
    """Return the relative path of the data of a recording; empty if it has none."""
    data = _config_of(recording).get("data")
    options = data.get("options") if isinstance(data, dict) else None
    path = options.get("path") if isinstance(options, dict) else None
    is_relative = isinstance(path, str) and not Path(path).expanduser().is_absolute()
    return str(path) if is_relative and "data" not in changes else ""


def compare(
    recordings: Annotated[
        list[str], typer.Argument(metavar="A B ...", help=f"Two recordings or more. {RECORDING}")
    ],
    step: Annotated[
        int | None, typer.Option(metavar="N", help="At which step; by default the last of each.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A picture of all at that step, where they share one: .png .pdf .svg .html.",
        ),
    ] = None,
) -> None:
    """Compare recordings: options, versions, machine, numbers, and a picture at the same step."""
    from explore.core.compare import differences, open_with_names, shared_figure

    if out is not None:
        from explore.plotting.export import check_target

        check_target(out)
    opened, names = open_with_names(recordings)
    typer.echo(differences(opened, names, step).to_string())
    if out is not None:
        from explore.plotting.figure_files import save_figure

        name = shared_figure(opened)
        if not name:
            methods = ", ".join(str(recording.attrs.get("name")) for recording in opened)
            raise InvalidInput(f"recordings of {methods} share no figure")
        typer.echo(
            f"wrote {save_figure(name, opened, {} if step is None else {'step': step}, out)}"
        )


def table(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="RECORDING ...", help="Such as runs/*; other files are ignored."),
    ],
    form: Annotated[str, typer.Option("--format", metavar="FORM", help="md, latex or csv.")] = "md",
    against: Annotated[
        str, typer.Option(metavar="NAME", help="What the others are compared with.")
    ] = "",
    unlike: Annotated[
        bool, typer.Option("--unlike", help="Allow other protocols and test images in one table.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; by default it is shown.")
    ] = None,
) -> None:
    """Make one table of evaluations or of studies: means, spreads, paired differences, seconds."""
    from explore.core.tables import build_table, format_table, write_text

    text = format_table(build_table(paths, against, unlike), form)
    typer.echo(f"wrote {write_text(text, out)}" if out else text, nl=bool(out))


def export(
    product: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A distilled set, condensed graphs, or the recording beside one; for parquet the "
            "recording of a multi-label training.",
        ),
    ],
    to: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="Where to write: a folder; for pyg a .pt file, for parquet a .parquet file.",
        ),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORM",
            help="torch (images.pt, labels.pt, exact), png (a folder a class, lossy), pyg (a list "
            "of PyTorch Geometric's Data), or parquet (a table of held-out samples: positions, "
            "labels, probabilities and images).",
        ),
    ] = "torch",
    step: Annotated[
        int | None,
        typer.Option(metavar="N", help="At which step; by default the last. For parquet only."),
    ] = None,
) -> None:
    """Export a distilled set, condensed graphs or a multi-label training for other programs."""
    forms = {"torch": _write_torch, "png": _write_png, "pyg": _write_pyg}
    to = check_path("OUT", to)
    if form == "parquet":
        typer.echo(_write_parquet(product, to, step))
        return
    check_choice("form of an export", form, [*forms, "parquet"])
    if step is not None:
        raise InvalidInput(f"--step is for --format parquet; {form} has no steps")
    typer.echo(forms[form](Path(product), to))


def _write_torch(product: Path, to: Path) -> str:
    from explore.data.distilled_set import DistilledSet

    distilled_set = DistilledSet.load(product)
    return f"wrote {distilled_set!r} to {distilled_set.to_torch(to)}"


def _write_png(product: Path, to: Path) -> str:
    from explore.data.distilled_set import DistilledSet

    distilled_set = DistilledSet.load(product)
    return f"wrote {distilled_set!r} to {distilled_set.to_png(to)}"


def _write_pyg(product: Path, to: Path) -> str:
    from explore.graphs.condensed_graphs import CondensedGraphs

    condensed = CondensedGraphs.load(product)
    return f"wrote {condensed.graphs!r} to {condensed.write_pyg(to)}"


def _write_parquet(recording: str, to: Path, step: int | None) -> str:
    from explore.core.recording import open_recording
    from explore.multilabel.points_table import write_points

    opened = open_recording(recording)
    path = write_points(opened, to, step)
    return f"wrote {opened.sizes['point']} points to {path}"


COMMANDS = (pack, rerun, compare, table, export)
