"""The doors: all public functions, classes and methods with arguments, found in the packages."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import explore

CORE = ("compare", "recording", "reproduce", "runs", "statistics", "tables", "registry")


def _public(module: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(getattr(module, "__all__", [])):
        value = getattr(module, name)
        if inspect.isclass(value) or (
            callable(value) and inspect.isfunction(inspect.unwrap(value))
        ):
            yield name, value


def _own_functions(module: Any) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(vars(module).items()):
        own = (
            callable(value)
            and inspect.isfunction(inspect.unwrap(value))
            and value.__module__ == module.__name__
        )
        if own and not name.startswith("_"):
            yield name, value


def _methods(owner: type) -> Iterator[tuple[str, Any]]:
    for name in dir(owner):
        if name.startswith("_") and name != "__call__":
            continue
        static = inspect.getattr_static(owner, name)
        function = static.__func__ if isinstance(static, classmethod | staticmethod) else static
        if inspect.isfunction(function) and function.__module__.startswith("explore"):
            yield name, static


def arguments_of(function: Any) -> list[str]:
    """Return the names of the arguments that a caller may give; ``*name`` for any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return []
    return [
        f"*{p.name}" if p.kind == p.VAR_POSITIONAL else p.name
        for p in parameters
        if p.name not in ("self", "cls") and p.kind != p.VAR_KEYWORD
    ]


def doors() -> dict[str, Any]:
    """Return every public function and class by its full name, and methods as ``CLASS.method``."""
    result: dict[str, Any] = {}
    packages = [m.name for m in pkgutil.iter_modules(explore.__path__) if m.name[0] != "_"]
    listed = [(f"explore.{name}", import_module(f"explore.{name}")) for name in packages]
    named = [(path, pair) for path, module in listed for pair in _public(module)]
    named += [("explore", (name, getattr(explore, name))) for name in ("build", "open_recording")]
    named += [("explore", (name, getattr(explore, name))) for name in ("pack", "record")]
    for name in CORE:
        module = import_module(f"explore.core.{name}")
        named += [(module.__name__, pair) for pair in _own_functions(module)]
    for path, module in listed:
        if hasattr(module, "__path__") and "lab" in {
            m.name for m in pkgutil.iter_modules(module.__path__)
        }:
            lab = import_module(f"{path}.lab")
            named += [(lab.__name__, pair) for pair in _own_functions(lab)]
    listed_objects: set[int] = set()
    for path, (name, value) in named:
        if id(value) in listed_objects or (inspect.isclass(value) and issubclass(value, Exception)):
            continue
        listed_objects.add(id(value))
        if arguments_of(value):
            result[f"{path}.{name}"] = value
        if inspect.isclass(value):
            for method, function in _methods(value):
                plain = getattr(function, "__func__", function)
                if arguments_of(plain):
                    result[f"{path}.{name}.{method}"] = function
    return result
