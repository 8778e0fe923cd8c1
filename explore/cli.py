"""The command line, ``explore COMMAND``: it only reads arguments and calls the library."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from explore import __version__, registry
from explore.errors import ExploreError, ExploreWarning, InvalidInput, UnknownName
from explore.options import given_options, pairs, parameters
from explore.registry import Method

PLAIN: dict[str, Any] = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}


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
        row = registry.method(registry.resolve(next(iter(family.values())).config)().method if family else cmd_name)
        summary = f"one of {', '.join(family)}: give --method" if family else row.summary
        wanted = parameters(row, family)
        about = f"Record a run of {cmd_name}: {summary}."
        if any(parameter.name == "preset" for parameter in wanted):
            about += "\n\nA preset changes the defaults of what is not given."
        one = typer.Typer(**PLAIN)
        one.command(cmd_name, help=about, short_help=summary)(_runner(row, wanted))
        return typer.main.get_command(one)


app = typer.Typer(
    help="See, and use, what ten papers on distillation, attention, mixtures and sparsity compute.", no_args_is_help=True, **PLAIN
)
run_app = typer.Typer(cls=MethodGroup, help="Run a method and record it. The same command goes on where it stopped.", **PLAIN)
app.add_typer(run_app, name="run")

RECORDING = "A folder, a .zarr.zip file or a URL."
SET = "An option that is to be otherwise; may be repeated."


@run_app.callback(invoke_without_command=True)
def run_file(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Run what this file says, in place of METHOD: method = ..., steps = ..."),
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=f"With --config. {SET}")] = None,
    out: Annotated[
        str | None, typer.Option(metavar="RUN.zarr", help="With --config: the recording [default: FILE.zarr].")
    ] = None,
) -> None:
    """Run a method and record it. The same command goes on where it stopped."""
    if context.invoked_subcommand is not None:
        if config is not None or change or out:
            raise typer.BadParameter("--config, --set and --out before METHOD go without METHOD, which the file names")
        return
    if config is None:
        typer.echo(context.get_help())
        raise typer.Exit
    from explore.tasks import toml

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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def lab(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="-- OPTION", show_default=False, help="Options of JupyterLab.")
    ] = None,
    notebook: Annotated[str, typer.Option(metavar="NAME", help="A lab's name or a file in notebooks/.")] = "00_start.ipynb",
    port: Annotated[int | None, typer.Option(metavar="N", help="By default 8888, or the next one that is free.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page, or only say where it is.")] = True,
) -> None:
    """Open the notebooks in JupyterLab.

    Outside of a checkout they are copied into ./notebooks first; no file that is there is overwritten.
    Only this machine can open the page, with the token in its address, and nothing is asked of any other.
    Options after -- go to JupyterLab itself.
    """
    from explore import launch
    from explore.shipped import shipped

    here = Path.cwd()
    done = launch.prepare(here, here if launch.checkout(here) else shipped(launch.FOLDER))
    if done.copied:
        typer.echo(f"copied into {done.root / launch.FOLDER}: {', '.join(done.copied)}")
    if done.kept:
        typer.echo(f"kept as they are in {done.root / launch.FOLDER}: {', '.join(done.kept)}")
    name = launch.notebook_name(done.root, notebook)
    launch.start(launch.command(done.root, name, browser, port, more or ()))


@app.command()
def pack(
    recording: Annotated[Path, typer.Argument(metavar="RUN.zarr", help="A recording folder.")],
    to: Annotated[Path, typer.Argument(metavar="OUT.zarr.zip", help="The file to write; replaced if it exists.")],
) -> None:
    """Make one file of a recording folder."""
    from explore.recording import pack as packed

    to.parent.mkdir(parents=True, exist_ok=True)
    typer.echo(f"packed into {packed(recording, to)} ({to.stat().st_size / 1e6:.1f} MB)")


@app.command()
def figure(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(registry.FIGURES)}.")],
    recording: Annotated[
        list[str], typer.Option(metavar="PATH", help="A folder, a .zarr.zip file or a URL; again for each one to compare.")
    ],
    state: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="What is shown, such as label=Bag.")] = None,
    step: Annotated[int | None, typer.Option(metavar="N", help="The step that is shown; short for --state step=N.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The suffix decides: .pdf .png .svg .csv .html; by default NAME.pdf.")
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="One offline page with a slider over the steps, whatever the suffix.")
    ] = False,
) -> None:
    """Draw a figure from recordings into a file."""
    registry.figure(name)
    given = pairs(state) | ({} if step is None else {"step": step})
    target = out or Path(f"{name}.pdf")
    target = target.with_suffix(".html") if html else target
    from explore.plotting.export import save_figure
    from explore.recording import open_recording

    typer.echo(f"wrote {save_figure(name, [open_recording(path) for path in recording], given, target)}")


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="[[sweep]] tables of options, with lists in grid.")],
    to: Annotated[
        str | None, typer.Option(metavar="FOLDER|URL", help="Where recordings go; by default what the file says, or runs/NAME.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A running Dask scheduler, such as tcp://host:8786; by default this machine."),
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes on this machine; by default one a core.")] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Of each run; by default the cores shared out.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Record many configurations at once. The same command does only what is missing."""
    from explore import sweep as sweeping, tasks

    configs, evaluation, place = tasks.read(config)
    place = to or place or f"runs/{config.stem}"
    if dry_run:
        for task in tasks.plan(configs, evaluation):
            there = tasks.outcome(task, tasks.place_of(place)) is not None
            typer.echo(f"{'there' if there else 'to do'}  {task.name}  {tasks.short(task.config)}")
        return
    client = None if scheduler is None else sweeping.connect(scheduler)
    try:
        with _progress("sweep") as progress:
            found = sweeping.run(configs, client, place, evaluation, workers=workers, threads=threads, progress=progress)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise typer.Exit(130) from None
    typer.echo(found.to_string(index=False))
    typer.echo(f"in {place}; a table: explore table {shlex.quote(place)}/*")
    raise typer.Exit(int((found["state"] == "failed").any()))


@app.command()
def rerun(
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help=RECORDING)],
    out: Annotated[str | None, typer.Option(metavar="RUN.zarr", help="The new one [default: NAME-again.zarr].")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET)] = None,
) -> None:
    """Make a recording again from what it says of itself, and say how the two differ."""
    from explore.rerun import rerun as made_again

    new = out or f"{Path(recording).name.partition('.zarr')[0]}-again.zarr"
    with _progress("rerun") as progress:
        _, compared = made_again(recording, new, pairs(change), progress)
    typer.echo(compared.to_string(index=False))
    typer.echo(f"recorded in {new}: {'the same bits' if compared['same bits'].all() else 'not the same bits'}")


@app.command()
def compare(
    recordings: Annotated[list[str], typer.Argument(metavar="A B ...", help=f"Two recordings or more. {RECORDING}")],
    step: Annotated[int | None, typer.Option(metavar="N", help="At which step; by default the last of each.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A picture of all at that step, where they share one: .png .pdf .svg .html."),
    ] = None,
) -> None:
    """Say in what recordings differ: options, versions, machine, numbers; and show them at the same step."""
    from explore.comparing import differences, figure_of, named

    opened, names = named(recordings)
    typer.echo(differences(opened, names, step).to_string())
    if out is not None:
        from explore.plotting.export import save_figure

        name = figure_of(opened)
        if not name:
            raise InvalidInput(f"recordings of {', '.join(str(r.attrs.get('name')) for r in opened)} share no figure")
        typer.echo(f"wrote {save_figure(name, opened, {} if step is None else {'step': step}, out)}")


@app.command()
def table(
    paths: Annotated[list[str], typer.Argument(metavar="RECORDING ...", help="Such as runs/*: other files are passed over.")],
    form: Annotated[str, typer.Option("--format", metavar="FORM", help="md, latex or csv.")] = "md",
    against: Annotated[str, typer.Option(metavar="NAME", help="What the others are compared with.")] = "",
    unlike: Annotated[bool, typer.Option("--unlike", help="Allow other protocols and test images in one table.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write it; by default it is shown.")] = None,
) -> None:
    """Make one table of evaluations (or studies): means, spreads, how many of each, paired differences, seconds."""
    from explore.tables import formatted, table_of, write

    text = formatted(table_of(paths, against, unlike), form)
    typer.echo(f"wrote {write(text, out)}" if out else text, nl=bool(out))


@app.command()
def export(
    distilled: Annotated[Path, typer.Argument(metavar="SET.safetensors", help="A distilled set, or the recording beside it.")],
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="FORM", help="torch (images.pt, labels.pt, exact) or png (a folder a class, lossy)."),
    ] = "torch",
) -> None:
    """Hand a distilled set on to other programs."""
    from explore.data.distilled import DistilledSet, beside

    forms = {"torch": DistilledSet.to_torch, "png": DistilledSet.to_png}
    if form not in forms:
        raise UnknownName("form of a distilled set", form, forms)
    found = DistilledSet.load(beside(distilled) if ".zarr" in distilled.suffixes else distilled)
    typer.echo(f"wrote {found!r} to {forms[form](found, to)}")


@app.command(context_settings={"ignore_unknown_options": True})
def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A method or a topic.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="ARGUMENT", show_default=False)] = None,
) -> None:
    """Time a method beside what one would use instead.

    Arguments after NAME go to the benchmark; put -- before its own --help.
    """
    known = {row.name: row.bench for row in registry.methods().values() if row.bench}
    for target in list(known.values()):
        package, _, topic = target.partition(":")[0].rpartition(".")[0].rpartition(".")
        if package == "explore":
            known.setdefault(topic, target)
    if name not in known:
        raise UnknownName("benchmark", name, known)
    registry.resolve(known[name])(list(arguments or ()))


@app.command()
def doctor() -> None:
    """Say what is found and works, and how to mend the rest."""
    from explore import doctor as examiner

    findings = examiner.examine()
    typer.echo(examiner.report(findings))
    raise typer.Exit(int(any(finding.mend for finding in findings)))


def _runner(row: Method, wanted: list[inspect.Parameter]) -> Callable[..., None]:
    """The function behind ``explore run METHOD``, with the options ``wanted`` as its signature."""

    def run(method: str = row.name, **given: Any) -> None:
        row = registry.method(method)
        out, every, data_options = given.pop("out"), given.pop("every"), pairs(given.pop("data_option", None))
        config = given_options(row, given)
        data = config.get("data") or getattr(registry.make_config(row, {"method": row.name, **config}), "data", "")
        if data_options:
            config["data"] = {"name": data, "options": data_options}
        about = Path(str(config["distilled"])).stem if "distilled" in config else str(data)
        default = Path("runs") / f"{row.name}-{re.sub(r'[^a-zA-Z0-9_.-]+', '_', about)}.zarr"
        _record(row, config, out or str(default), every)

    run.__signature__ = inspect.Signature(wanted)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in wanted}
    return run


def _record(row: Method, config: Mapping[str, Any], out: str, every: str | int | float) -> None:
    from explore.runs import record

    run = registry.build({"method": row.name, **config})
    if "://" not in out:  # record() says what is wrong with those
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    try:
        with _progress(row.name) as progress:
            recording = record(run, out, every, progress)
    except KeyboardInterrupt as asked:
        where = f"stopped at step {run.step} of {run.steps}" if asked.args else "stopped at once, since the last checkpoint"
        typer.echo(f"{where}; the same command goes on", err=True)
        raise typer.Exit(130) from None
    frames = recording.sizes["step"]
    typer.echo(f"recorded in {out}: {frames} frames, to step {run.step} of {run.steps}. To see them: {_shown(row, out)}")
    if row.keep:
        kept = registry.resolve(row.keep)(run, out)
        typer.echo(f"distilled set in {kept}. To score it: explore run evaluate --distilled {shlex.quote(str(kept))}")
    if hasattr(run, "line"):
        typer.echo(run.line())


def _shown(row: Method, out: str) -> str:
    if row.table:
        return f"explore table {shlex.quote(out)}"
    if not row.figures:
        return f"explore.open_recording({out!r})"
    name = row.figures[0]
    return f"explore figure {name} --recording {shlex.quote(out)} --out {name}.html"


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr with the run's message and the time left; it starts where a resumed run starts."""
    from tqdm import tqdm

    bars: list[tqdm[Any]] = []
    form = "{desc} {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left{postfix}]"

    def progress(step: int, steps: int, message: str) -> None:
        pace = 0.2 if sys.stderr.isatty() else 10
        if not bars:
            bars.append(tqdm(total=steps, initial=step, desc=name, bar_format=form, mininterval=pace, dynamic_ncols=True))
        bar = bars[0]
        bar.set_postfix_str(message, refresh=False)
        if not bar.update(step - bar.n) and time.time() - bar.last_print_t >= pace:  # of a long step the message alone is new
            bar.refresh()
            bar.last_print_t = time.time()

    try:
        yield progress
    finally:
        for bar in bars:
            bar.close()
