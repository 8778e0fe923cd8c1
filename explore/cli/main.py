"""The command line, ``explore COMMAND``: it reads arguments and calls the library."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from explore import __version__
from explore.cli.figure import figure
from explore.cli.progress import progress_bar
from explore.cli.recordings import COMMANDS
from explore.cli.run import PLAIN, run_app
from explore.core import registry
from explore.errors import ExploreError, ExploreWarning, UnknownName

app = typer.Typer(
    help="See, and use, what papers on distillation, attention, mixtures and sparsity compute.",
    no_args_is_help=True,
    **PLAIN,
)
app.add_typer(run_app, name="run")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error of ``explore.errors`` or of the system is printed as one line,
    with exit code 2."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):  # a console without λ prints a ? and does not fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings(), _without_backend(arguments or sys.argv[1:]):
            warnings.showwarning = _as_note(warnings.showwarning)
            app(arguments, prog_name="explore")
    except (ExploreError, OSError) as error:
        if os.environ.get("EXPLORE_TRACEBACK") == "1":
            raise
        _discard_output_of_full_disk(error)
        with suppress(OSError):
            typer.echo(f"error: {_sentence(error)}", err=True)
        raise SystemExit(2) from None


def _open_streams() -> None:
    """Open what was closed of standard input, output and errors.

    Otherwise the first file of a recording would be opened in their place, and get their text.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


@contextmanager
def _without_backend(arguments: list[str]) -> Iterator[None]:
    """Remove the backend of Matplotlib from the environment in this context.

    Pictures of explore need none, but Matplotlib refuses to start with a name that it does not
    know. The kernels of JupyterLab have their own.
    """
    backend = None if arguments[:1] == ["lab"] else os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def _sentence(error: Exception) -> str:
    """Return the message of an error; for one of the system, the file and the reason."""
    if isinstance(error, ExploreError) or not isinstance(error, OSError) or not error.strerror:
        return str(error) or type(error).__name__
    place = "" if error.filename is None else f"{os.fsdecode(error.filename)!r} cannot be used: "
    return f"{place}{error.strerror}"


def _discard_output_of_full_disk(error: Exception) -> None:
    """Send what is left of the output nowhere, so that its end does not fail a second time."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_note(show_other: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *details: Any, **more: Any) -> None:
        if issubclass(category, ExploreWarning):
            typer.echo(f"note: {message}", err=True)
        else:
            show_other(message, category, *details, **more)

    return show


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"explore {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def lab(
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- OPTION", show_default=False, help="Options of JupyterLab."),
    ] = None,
    notebook: Annotated[
        str, typer.Option(metavar="NAME", help="A lab's name or a file in notebooks/.")
    ] = "00_start.ipynb",
    port: Annotated[
        int | None, typer.Option(metavar="N", help="By default 8888, or the next free one.")
    ] = None,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open the page, or only print its address."),
    ] = True,
    allow_root: Annotated[
        bool, typer.Option("--allow-root", help="Start as root too, as in a container.")
    ] = False,
) -> None:
    """Open the notebooks in JupyterLab.

    Outside of a checkout they are copied into ./notebooks first; existing files are not
    overwritten. The page can be opened on this machine only, with the token in its address.
    JupyterLab contacts no other machine. Options after -- go to JupyterLab itself.
    """
    from explore.cli import jupyter
    from explore.core.resources import shipped

    options = jupyter.root_options(allow_root, more or ())
    folder = Path.cwd()
    source = folder if jupyter.checkout(folder) else shipped(jupyter.FOLDER)
    copies = jupyter.prepare(folder, source)
    if copies.copied:
        typer.echo(f"copied into {copies.root / jupyter.FOLDER}: {', '.join(copies.copied)}")
    if copies.existing:
        typer.echo(
            f"not overwritten in {copies.root / jupyter.FOLDER}: {', '.join(copies.existing)}"
        )
    name = jupyter.notebook_name(copies.root, notebook)
    jupyter.start(jupyter.command(copies.root, name, browser, port, options))


@app.command()
def sweep(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="SWEEP.toml", help="[[sweep]] tables of options, with lists in grid."
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|URL",
            help="Where recordings go [default: what the file says, or runs/NAME].",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A running Dask scheduler, such as tcp://host:8786 [default: this machine].",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes on this machine [default: one for each core]."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads of each run [default: the cores are divided]."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done.")
    ] = False,
) -> None:
    """Record many configurations at once. The same command does only what is missing."""
    from explore.sweep.plan import absolute_target, config_label, outcome, plan, read
    from explore.sweep.scheduler import connect, run

    configs, evaluation, folder = read(config)
    folder = to or folder or f"runs/{config.stem}"
    if dry_run:
        for task in plan(configs, evaluation):
            state = "to do" if outcome(task, absolute_target(folder)) is None else "there"
            typer.echo(f"{state}  {task.name}  {config_label(task.config)}")
        return
    client = None if scheduler is None else connect(scheduler)
    try:
        with progress_bar("sweep") as progress:
            results = run(
                configs,
                client,
                folder,
                evaluation,
                workers=workers,
                threads=threads,
                progress=progress,
            )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues", err=True)
        raise typer.Exit(130) from None
    typer.echo(results.to_string(index=False))
    typer.echo(f"in {folder}; a table: explore table {shlex.quote(folder)}/*")
    raise typer.Exit(int((results["state"] == "failed").any()))


@app.command(context_settings={"ignore_unknown_options": True})
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A method or a topic.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", show_default=False)
    ] = None,
) -> None:
    """Time a method and the alternatives that a user would choose.

    Arguments after NAME go to the benchmark; put -- before its own --help.
    """
    functions = registry.benchmarks()
    if name not in functions:
        raise UnknownName("benchmark", name, functions)
    registry.resolve(functions[name])(list(arguments or ()))


@app.command()
def doctor() -> None:
    """Check the installation and suggest repairs."""
    from explore.cli import doctor as examiner

    diagnoses = examiner.examine()
    typer.echo(examiner.report(diagnoses))
    raise typer.Exit(int(any(diagnosis.remedy for diagnosis in diagnoses)))


for command in (figure, *COMMANDS):
    app.command()(command)
