"""Command-line options, made from the fields of a method's configuration."""

from __future__ import annotations

import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import Field, fields
from typing import Annotated, Any

import typer

from explore.core import registry
from explore.core.config import type_name
from explore.core.registry import Method

OFF = "none"
"""The text for ``None`` where an option can be None."""

NAME_OPTIONS = ("data", "distilled", "init")
"""Options that are names or paths, although a configuration may hold other values too."""

SIMPLE = {bool: "", float: "FLOAT", int: "INT", str: "TEXT"}


def parameters(row: Method, family: Mapping[str, Method] | None = None) -> list[inspect.Parameter]:
    """Return the parameters of ``explore run METHOD``.

    They are the options of the method, ``data_option``, ``out`` and ``every``.

    For a ``family`` the first parameter is the method, by default ``row``, and the options are
    those of all its methods. Each option's default is ``None`` for "not given", so that presets
    decide; the help shows the value without a preset.
    """
    options: dict[str, inspect.Parameter] = {}
    settings: list[Field[Any]] = []
    methods: dict[str, list[Method]] = {}
    configurations = _configurations(row, family)
    for kind, members in configurations.items():
        hints = typing.get_type_hints(kind)
        defaults = registry.make_config(members[0], {"method": members[0].name})
        for setting in fields(kind):
            if setting.name == "method":
                continue
            methods.setdefault(setting.name, []).extend(members)
            value = getattr(defaults, setting.name)
            help = _help(setting, value)
            if setting.name in options:
                _append_help(options[setting.name], help, members)
            else:
                options[setting.name] = _parameter_of(setting, hints[setting.name], help)
                settings.append(setting)
    for name, option in options.items():
        if len(methods[name]) < sum(map(len, configurations.values())):
            _help_option(option).help += f" (only {_names(methods[name])})"
    result = list(options.values())
    if family is not None:
        help = f"one of {', '.join(family)}; some have other defaults [default: {row.name}]"
        result.insert(
            0, _keyword("method", str, row.name, metavar="NAME", show_default=False, help=help)
        )
    if any(setting.name == "data" for setting in settings):
        help = "for the data set's loader, such as size=16; may be repeated"
        result.append(
            _keyword("data_option", list[str] | None, None, metavar="KEY=VALUE", help=help)
        )
    positional = [
        setting.name.upper() for setting in settings if setting.metadata.get("positional")
    ]
    path = f"runs/{row.name}-{[*positional, 'DATA'][0]}.zarr"
    help = f"the recording, continued if it exists [default: {path}]"
    result.append(_keyword("out", str | None, None, metavar="RUN.zarr", help=help))
    help = (
        "which steps to record (this does not change the run): log (dense at the start), "
        "each N-th, or growing by a FACTOR [default: auto]"
    )
    result.append(
        _keyword(
            "every",
            str,
            "auto",
            parser=_every,
            metavar="auto|log|N|FACTOR",
            show_default=False,
            help=help,
        )
    )
    return result


def given_options(row: Method, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were given, with ``OFF`` as ``None`` where an option can be None."""
    hints = typing.get_type_hints(registry.resolve(row.config))
    return {
        name: None if value == OFF and type(None) in typing.get_args(hints.get(name)) else value
        for name, value in values.items()
        if value is not None
    }


def positional_value(row: Method, values: Mapping[str, Any]) -> str:
    """Return the value of the positional argument; empty if the method has none."""
    settings = fields(registry.resolve(row.config))
    return next(
        (str(values.get(f.name, f.default)) for f in settings if f.metadata.get("positional")), ""
    )


def text_options(row: Method) -> set[str]:
    """Return the options of a method that are texts, such as names and paths."""
    return {
        setting.name
        for setting in fields(registry.resolve(row.config))
        if setting.name in NAME_OPTIONS or type_name(setting).removesuffix(" | None") == "str"
    }


def loader_texts(data: str) -> set[str]:
    """Return the options of a data set's loader that are texts; none if there is no such set."""
    rows = (registry.datasets(content).get(data) for content in ("images", "graphs", "multilabel"))
    row = next(filter(None, rows), None)
    if row is None:
        return set()
    annotations = {
        name: str(parameter.annotation)
        for name, parameter in inspect.signature(registry.resolve(row.loader)).parameters.items()
    }
    return {
        name
        for name, kind in annotations.items()
        if ("str" in kind or "Path" in kind) and "int" not in kind
    }


def pairs(texts: Iterable[str] | None, as_text: Collection[str] = ()) -> dict[str, Any]:
    """Return ``["size=16", "label=Bag"]`` as a mapping; values are read as JSON where possible.

    Args:
        texts: pairs of a key and a value.
        as_text: keys of which a number, true and false are texts, such as the path of a folder.

    Example:
        >>> pairs(["size=16", "download=true", "label=Bag", 'digit="3"'])
        {'size': 16, 'download': True, 'label': 'Bag', 'digit': '3'}
        >>> pairs(["path=2024"], as_text={"path"})
        {'path': '2024'}
    """
    values = {}
    for pair in texts or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"expected KEY=VALUE, such as size=16, got {pair!r}")
        literal = _literal(value)
        is_text = key in as_text and not isinstance(literal, str | list | dict | None)
        values[key] = value if is_text else literal
    return values


def _configurations(row: Method, family: Mapping[str, Method] | None) -> dict[type, list[Method]]:
    """Return the configurations of a family with their methods; that of ``row`` comes first."""
    grouped: dict[type, list[Method]] = {}
    for member in [row, *(family or {}).values()]:
        group = grouped.setdefault(registry.resolve(member.config), [])
        if member not in group:
            group.append(member)
    return grouped


def _help(setting: Field[Any], default: Any) -> str:
    """Return the help of an option with its default."""
    text = default
    if default is None:
        text = OFF
    elif isinstance(default, bool):
        text = "yes" if default else "no"
    return setting.metadata.get("help", "") + (f" [default: {text}]" if text != "" else "")


def _append_help(parameter: inspect.Parameter, help: str, members: list[Method]) -> None:
    """Add to an option what it means for the methods of another configuration, if it differs."""
    option = _help_option(parameter)
    if option.help != help:
        option.help += f"; {_names(members)}: {help}"


def _help_option(parameter: inspect.Parameter) -> Any:
    """Return the object of typer that holds the help of a parameter."""
    (option,) = typing.get_args(parameter.annotation)[1:]
    return option


def _names(methods: Iterable[Method]) -> str:
    return ", ".join(method.name for method in methods)


def _parameter_of(setting: Field[Any], hint: Any, help: str) -> inspect.Parameter:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    kinds = [
        kind for kind in (typing.get_args(hint) if union else (hint,)) if kind is not type(None)
    ]
    is_name = setting.name in NAME_OPTIONS
    kind = str if is_name else kinds[0] if len(kinds) == 1 else None
    if setting.metadata.get("positional"):
        argument = Annotated[
            str | None, typer.Argument(metavar=setting.name.upper(), show_default=False, help=help)
        ]
        return inspect.Parameter(
            setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=argument
        )
    if kind in (int, float) and union:
        return _keyword(
            setting.name,
            str | None,
            None,
            parser=_or_off(kind),
            metavar=f"{SIMPLE[kind]}|{OFF}",
            help=help,
        )
    if kind is bool:
        return _keyword(setting.name, bool | None, None, help=help)
    if kind in SIMPLE and kind is not bool:
        return _keyword(setting.name, kind | None, None, metavar=SIMPLE[kind], help=help)
    return _keyword(setting.name, str | None, None, parser=_literal, metavar="JSON", help=help)


def _keyword(name: str, kind: Any, default: Any, **option: Any) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(**option)]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _or_off(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return OFF if text == OFF else kind(text)
        except ValueError:
            number = "a whole number" if kind is int else "a number"
            raise typer.BadParameter(f"expected {number} or {OFF}, got {text!r}") from None

    return parse


def _every(text: str) -> Any:
    if text in ("auto", "log"):
        return text
    try:
        if text.isdecimal() and int(text) > 0:
            return int(text)
        growth = float(text)
    except ValueError:  # also more digits than Python reads
        growth = 0.0
    if 1 < growth < math.inf:
        return growth
    raise typer.BadParameter(
        f"expected auto, log, a whole number above 0 or a factor above 1 such as 1.5, got {text!r}"
    )


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise typer.BadParameter(f"{text[:20]} … is nested too deeply") from None
