"""``explore run``: a sub-command for each method and family of methods, made from their options."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from explore.cli.options import (
    given_options,
    loader_texts,
    pairs,
    parameters,
    positional_value,
    text_options,
)
from explore.cli.progress import progress_bar
from explore.cli.recordings import SET_HELP
from explore.core import registry
from explore.core.registry import Method
from explore.core.validation import check_choice, check_path, check_text
from explore.errors import InvalidInput, UnknownName

PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "add_completion": False,
    "pretty_exceptions_enable": False,
}
RUN_HELP = "Run a method and record it. The same command continues an interrupted run."


class MethodGroup(TyperGroup):
    """The sub-commands of ``explore run``; each is made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all families and methods."""
        return [*registry.families(), *registry.methods()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the sub-command of a method, of a family, or of a method in a Python file.

        Raises:
            UnknownName: there is none of this name; the message lists those there are.
        """
        if re.fullmatch(r".*\.py(:[\w-]+)?", cmd_name):
            cmd_name = _method_in_file(cmd_name)
        families = registry.families()
        if cmd_name not in families and cmd_name not in registry.methods():
            raise UnknownName("method", cmd_name, [*families, *registry.methods()])
        family = families.get(cmd_name)
        first = (
            registry.resolve(next(iter(family.values())).config)().method if family else cmd_name
        )
        row = registry.method(first)
        summary = f"one of {', '.join(family)}: give --method" if family else row.summary
        options = parameters(row, family)
        text = f"Record a run of {cmd_name}: {summary}."
        if any(parameter.name == "preset" for parameter in options):
            text += "\n\nA preset changes the defaults of options that are not given."
        command = typer.Typer(**PLAIN)
        command.command(cmd_name, help=text, short_help=summary)(
            _runner(row, options, cmd_name, family)
        )
        return typer.main.get_command(command)


run_app = typer.Typer(cls=MethodGroup, help=RUN_HELP, **PLAIN)


@run_app.callback(invoke_without_command=True, help=RUN_HELP)
def run_config(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Run the method that this file names: method = ..., steps = ...",
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=f"With --config. {SET_HELP}"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="RUN.zarr", help="With --config: the recording [default: FILE.zarr]."),
    ] = None,
) -> None:
    """Run the method of a configuration file, if no METHOD follows."""
    if context.invoked_subcommand is not None:
        if config is not None or change or out is not None:
            raise typer.BadParameter(
                "--config, --set and --out before METHOD cannot be combined with METHOD; "
                "the file names the method"
            )
        return
    if config is None:
        typer.echo(context.get_help())
        raise typer.Exit
    from explore.sweep.plan import read_toml

    config = check_path("--config", config)
    options = read_toml(config)
    name = pairs(change).get("method", options.get("method"))
    if name is None:
        raise InvalidInput(f'{config} names no method; add a line such as method = "datadam"')
    row = registry.method(name)
    options |= pairs(change, text_options(row))
    path, every = options.pop("out", str(config.with_suffix(".zarr"))), options.pop("every", "auto")
    path = check_text("out", path)
    del options["method"]
    options = given_options(row, options)
    registry.make_config(row, {"method": row.name, **options})  # names an option it does not have
    record_run(row, options, path if out is None else out, every)


def _method_in_file(source: str) -> str:
    """Add the methods of a Python file to the registry; return the name of the selected one."""
    path, _, name = source.partition(".py:")
    path = path.removesuffix(".py") + ".py"
    names = [method.name for method in registry.add_topic(path).methods]
    if not name and len(names) == 1:
        return names[0]
    if name not in names:
        raise UnknownName(f"method of {path}", name, names)
    return name


def _runner(
    row: Method,
    options: list[inspect.Parameter],
    command: str,
    family: Mapping[str, Method] | None,
) -> Callable[..., None]:
    """Return the function behind ``explore run METHOD``, with ``options`` as its signature.

    In ``explore run FAMILY``, the option ``--method`` names a method of this family only.
    """

    def run(method: str = row.name, **values: Any) -> None:
        if family is not None:
            check_choice(f"method of {command}", method, family)
        row = registry.method(method)
        out, every = values.pop("out"), values.pop("every")
        data_pairs = values.pop("data_option", None)
        config = given_options(row, values)
        default = registry.resolve(row.config).__dataclass_fields__.get("data")
        data = config.get("data") or (default.default if default else "")
        if data_pairs:
            if not data:
                raise InvalidInput("--data-option needs --data, the name of the set")
            options = pairs(data_pairs, loader_texts(str(data)))
            config["data"] = {"name": data, "options": options}
        product = config.get("distilled") or (config.get("experts") if data is None else None)
        if product:
            subject = Path(str(product)).stem
        else:
            subject = positional_value(row, config) or str(data)
        file = f"{row.name}-{re.sub(r'[^a-zA-Z0-9_.-]+', '_', subject)}.zarr"
        record_run(row, config, str(Path("runs") / file) if out is None else out, every)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in options}
    return run


def record_run(row: Method, config: Mapping[str, Any], out: str, every: str | int | float) -> None:
    """Record a run with a progress bar, and print where it is and how to look at it."""
    from explore.core.record import record
    from explore.core.recording import product_path
    from explore.core.runs import BaseRun

    if "://" not in out:  # record() refuses a URL with a message
        out = str(check_path("--out", out)) + "/" * out.endswith("/")
    run = registry.build({"method": row.name, **config})
    if "://" not in out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    try:
        with progress_bar(row.name) as progress:
            recording = record(run, out, every, progress)
    except KeyboardInterrupt as error:
        place = f"step {run.step} of {run.steps}" if error.args else "the last checkpoint"
        typer.echo(f"stopped at {place}; the same command continues", err=True)
        raise typer.Exit(130) from None
    frames = f"{recording.sizes['step']} frames, to step {run.step} of {run.steps}"
    typer.echo(f"recorded in {out}: {frames}. To see them: {_viewing_command(row, out)}")
    if row.product:
        product = product_path(out, row.product)
        command = row.follow_up.format(product=shlex.quote(str(product)))
        typer.echo(f"product in {product}" + (f". Next: {command}" if command else ""))
    if isinstance(run, BaseRun) and (summary := run.summary()):
        typer.echo(summary)


def _viewing_command(row: Method, out: str) -> str:
    if row.table:
        return f"explore table {shlex.quote(out)}"
    if not row.figures:
        return f"explore.open_recording({out!r})"
    name = row.figures[0]
    return f"explore figure {name} --recording {shlex.quote(out)} --out {name}.html"
