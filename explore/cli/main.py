"""The command line, ``explore COMMAND``: it only reads arguments and calls the library."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from explore import __version__
from explore.cli.options import given_options, pairs, parameters, subject
from explore.cli.progress import progress_bar
from explore.cli.recordings import COMMANDS, SET
from explore.core import registry
from explore.core.registry import Method
from explore.errors import ExploreError, ExploreWarning, InvalidInput, UnknownName

PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "add_completion": False,
    "pretty_exceptions_enable": False,
}


class MethodGroup(TyperGroup):
    """``explore run``: a sub-command for each row of the registry and for each family of them, made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all families and methods."""
        return [*registry.families(), *registry.methods()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The sub-command of one method or family; an unknown name is an error that lists the known ones."""
        families = registry.families()
        if cmd_name not in families and cmd_name not in (known := registry.methods()):
            raise UnknownName("method", cmd_name, [*families, *known])
        family = families.get(cmd_name)
        row = registry.method(
            registry.resolve(next(iter(family.values())).config)().method if family else cmd_name
        )
        summary = f"one of {', '.join(family)}: give --method" if family else row.summary
        wanted = parameters(row, family)
        about = f"Record a run of {cmd_name}: {summary}."
        if any(parameter.name == "preset" for parameter in wanted):
            about += "\n\nA preset changes the defaults of what is not given."
        one = typer.Typer(**PLAIN)
        one.command(cmd_name, help=about, short_help=summary)(_runner(row, wanted))
        return typer.main.get_command(one)


app = typer.Typer(
    help="See, and use, what ten papers on distillation, attention, mixtures and sparsity compute.",
    no_args_is_help=True,
    **PLAIN,
)
run_app = typer.Typer(
    cls=MethodGroup,
    help="Run a method and record it. The same command goes on where it stopped.",
    **PLAIN,
)
app.add_typer(run_app, name="run")


@run_app.callback(invoke_without_command=True)
def run_file(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Run what this file says, in place of METHOD: method = ..., steps = ...",
        ),
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=f"With --config. {SET}")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="RUN.zarr", help="With --config: the recording [default: FILE.zarr]."),
    ] = None,
) -> None:
    """Run a method and record it. The same command goes on where it stopped."""
    if context.invoked_subcommand is not None:
        if config is not None or change or out:
            raise typer.BadParameter(
                "--config, --set and --out before METHOD go without METHOD, which the file names"
            )
        return
    if config is None:
        typer.echo(context.get_help())
        raise typer.Exit
    from explore.sweep.plan import toml

    given = {**toml(config), **pairs(change)}
    place, every = given.pop("out", str(config.with_suffix(".zarr"))), given.pop("every", "auto")
    if "method" not in given:
        raise InvalidInput(f'{config} names no method; add a line such as method = "datadam"')
    row = registry.method(str(given.pop("method")))
    given = given_options(row, given)
    registry.make_config(row, {"method": row.name, **given})  # says which option it does not have
    _record(row, given, out or place, every)


def main(arguments: list[str] | None = None) -> None:
    """The entry point: errors that explore raises on purpose become one line, with exit code 2."""
    for stream in (sys.stdout, sys.stderr):  # a console that has no λ shows a ? and does not fail
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _noted(warnings.showwarning)
            app(arguments, prog_name="explore")
    except (ExploreError, OSError) as error:
        if os.environ.get("EXPLORE_TRACEBACK") == "1":
            raise
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


def _noted(otherwise: Callable[..., None]) -> Callable[..., None]:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, ExploreWarning):
            typer.echo(f"note: {message}", err=True)
        else:
            otherwise(message, category, *where, **more)

    return show


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"explore {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and leave."
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
        int | None, typer.Option(metavar="N", help="By default 8888, or the next one that is free.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or only say where it is.")
    ] = True,
) -> None:
    """Open the notebooks in JupyterLab.

    Outside of a checkout they are copied into ./notebooks first; no file that is there is overwritten.
    Only this machine can open the page, with the token in its address, and nothing is asked of any other.
    Options after -- go to JupyterLab itself.
    """
    from explore.cli import jupyter as launch
    from explore.core.resources import shipped

    here = Path.cwd()
    done = launch.prepare(here, here if launch.checkout(here) else shipped(launch.FOLDER))
    if done.copied:
        typer.echo(f"copied into {done.root / launch.FOLDER}: {', '.join(done.copied)}")
    if done.kept:
        typer.echo(f"kept as they are in {done.root / launch.FOLDER}: {', '.join(done.kept)}")
    name = launch.notebook_name(done.root, notebook)
    launch.start(launch.command(done.root, name, browser, port, more or ()))


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
            help="Where recordings go; by default what the file says, or runs/NAME.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A running Dask scheduler, such as tcp://host:8786; by default this machine.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes on this machine; by default one a core."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Of each run; by default the cores shared out.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Record many configurations at once. The same command does only what is missing."""
    from explore.sweep.execute import connect, run
    from explore.sweep.plan import outcome, place_of, plan, read, short

    configs, evaluation, place = read(config)
    place = to or place or f"runs/{config.stem}"
    if dry_run:
        for task in plan(configs, evaluation):
            there = outcome(task, place_of(place)) is not None
            typer.echo(f"{'there' if there else 'to do'}  {task.name}  {short(task.config)}")
        return
    client = None if scheduler is None else connect(scheduler)
    try:
        with progress_bar("sweep") as progress:
            found = run(
                configs,
                client,
                place,
                evaluation,
                workers=workers,
                threads=threads,
                progress=progress,
            )
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise typer.Exit(130) from None
    typer.echo(found.to_string(index=False))
    typer.echo(f"in {place}; a table: explore table {shlex.quote(place)}/*")
    raise typer.Exit(int((found["state"] == "failed").any()))


@app.command(context_settings={"ignore_unknown_options": True})
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A method or a topic.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", show_default=False)
    ] = None,
) -> None:
    """Time a method beside what one would use instead.

    Arguments after NAME go to the benchmark; put -- before its own --help.
    """
    known = {row.name: row.bench for row in registry.methods().values() if row.bench}
    for target in list(known.values()):
        package, topic, *_ = target.partition(":")[0].split(".")
        if package == "explore":
            known.setdefault(topic, target)
    if name not in known:
        raise UnknownName("benchmark", name, known)
    registry.resolve(known[name])(list(arguments or ()))


@app.command()
def doctor() -> None:
    """Say what is found and works, and how to mend the rest."""
    from explore.cli import doctor as examiner

    findings = examiner.examine()
    typer.echo(examiner.report(findings))
    raise typer.Exit(int(any(finding.mend for finding in findings)))


for command in COMMANDS:
    app.command()(command)


def _runner(row: Method, wanted: list[inspect.Parameter]) -> Callable[..., None]:
    """The function behind ``explore run METHOD``, with the options ``wanted`` as its signature."""

    def run(method: str = row.name, **given: Any) -> None:
        row = registry.method(method)
        out, every, data_options = (
            given.pop("out"),
            given.pop("every"),
            pairs(given.pop("data_option", None)),
        )
        config = given_options(row, given)
        data = config.get("data") or getattr(
            registry.make_config(row, {"method": row.name, **config}), "data", ""
        )
        if data_options:
            config["data"] = {"name": data, "options": data_options}
        about = (
            Path(str(config["distilled"])).stem
            if "distilled" in config
            else subject(row, config) or str(data)
        )
        default = Path("runs") / f"{row.name}-{re.sub(r'[^a-zA-Z0-9_.-]+', '_', about)}.zarr"
        _record(row, config, out or str(default), every)

    run.__signature__ = inspect.Signature(wanted)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in wanted}
    return run


def _record(row: Method, config: Mapping[str, Any], out: str, every: str | int | float) -> None:
    from explore.core.runs import record

    run = registry.build({"method": row.name, **config})
    if "://" not in out:  # record() says what is wrong with those
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    try:
        with progress_bar(row.name) as progress:
            recording = record(run, out, every, progress)
    except KeyboardInterrupt as asked:
        where = (
            f"stopped at step {run.step} of {run.steps}"
            if asked.args
            else "stopped at once, since the last checkpoint"
        )
        typer.echo(f"{where}; the same command goes on", err=True)
        raise typer.Exit(130) from None
    frames = recording.sizes["step"]
    typer.echo(
        f"recorded in {out}: {frames} frames, to step {run.step} of {run.steps}. To see them: {_shown(row, out)}"
    )
    if row.keep:
        kept = registry.resolve(row.keep)(run, out)
        typer.echo(
            f"distilled set in {kept}. To score it: explore run evaluate --distilled {shlex.quote(str(kept))}"
        )
    if hasattr(run, "line"):
        typer.echo(run.line())


def _shown(row: Method, out: str) -> str:
    if row.table:
        return f"explore table {shlex.quote(out)}"
    if not row.figures:
        return f"explore.open_recording({out!r})"
    name = row.figures[0]
    return f"explore figure {name} --recording {shlex.quote(out)} --out {name}.html"
