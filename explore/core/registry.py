"""The registry: methods, figures, labs and data sets of all installed topics.

Topics are found through the entry points of the group ``explore.topics``, this package's own as
well as those of others. ``EXPLORE_TOPICS`` names further ones: modules or Python files, separated
as in ``PATH``. A single method of another package may also be an entry point of
``explore.methods``.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import resolve_name as resolve
from types import ModuleType
from typing import TYPE_CHECKING, Any

from explore.core.catalog import DataSet, Figure, Lab, Method, Topic
from explore.core.validation import (
    check_choice,
    check_path,
    check_text,
    check_whole_number,
    describe,
    to_python,
)
from explore.errors import DataMissing, ExploreError, ExploreWarning, InvalidInput

if TYPE_CHECKING:
    from explore.core.runs import Run

__all__ = ["DataSet", "Figure", "Lab", "Method", "Topic", "build", "resolve"]

TOPICS_GROUP, METHODS_GROUP = "explore.topics", "explore.methods"
TOPICS_VARIABLE = "EXPLORE_TOPICS"

_FILE_MODULES: set[str] = set()
"""Names of the modules that were imported from Python files of users."""


@cache
def topics() -> dict[str, Topic]:
    """Return all topics by name; a topic that cannot be loaded is skipped with a warning."""
    loaded = {topic.name: topic for topic in _load_entries(TOPICS_GROUP)}
    for source in filter(None, os.environ.get(TOPICS_VARIABLE, "").split(os.pathsep)):
        topic = load_topic(source)
        loaded[topic.name] = topic
    if not loaded:
        text = "no topic of explore is installed; install the package again: pip install -e ."
        warnings.warn(text, ExploreWarning, stacklevel=2)
    return loaded


def load_topic(source: str | os.PathLike[str]) -> Topic:
    """Return the topic that a module or a Python file defines as ``TOPIC``.

    A file may define ``METHOD``, a single ``Method``, instead.

    Raises:
        DataMissing: there is no such file or module.
        InvalidInput: it defines neither, it cannot be imported, or a file has the name of a module.
    """
    source = str(check_path("source", source))
    try:
        module = _module_of_file(source) if source.endswith(".py") else import_module(source)
    except ExploreError:
        raise
    except ModuleNotFoundError as error:
        raise DataMissing(f"there is no module {source!r}: {error}") from error
    except Exception as error:  # The code of somebody else raises anything.
        raise InvalidInput(
            f"{source} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if isinstance(topic := getattr(module, "TOPIC", None), Topic):
        return topic
    if isinstance(method := getattr(module, "METHOD", None), Method):
        return Topic(method.name, methods=(method,))
    raise InvalidInput(
        f"{source} must define TOPIC (a Topic) or METHOD (a Method) of explore.core.catalog"
    )


def _module_of_file(source: str) -> ModuleType:
    """Return the module in a Python file, which is imported by the file's name without suffix.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: a module of this name exists already, which the file would replace.
    """
    path = Path(source).resolve()
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise DataMissing(
            f"{source} is not there; expected a Python file that defines TOPIC or METHOD"
        )
    module = sys.modules.get(path.stem)
    if module is not None and getattr(module, "__file__", None) == str(path):
        return module
    if path.stem in sys.stdlib_module_names or (module and path.stem not in _FILE_MODULES):
        raise InvalidInput(
            f"{source} has the name of the module {path.stem!r}, which it would replace; "
            "give the file another name"
        )
    sys.modules[path.stem] = created = module_from_spec(spec)
    try:
        spec.loader.exec_module(created)
    except BaseException:
        del sys.modules[path.stem]
        if module is not None:
            sys.modules[path.stem] = module
        raise
    _FILE_MODULES.add(path.stem)
    return created


def add_topic(source: str | os.PathLike[str]) -> Topic:
    """Add the topic in a module or a Python file, also for processes started later.

    Raises:
        DataMissing, InvalidInput: see ``load_topic``.
    """
    source = str(check_path("source", source))
    topic = load_topic(source)
    before = os.environ.get(TOPICS_VARIABLE, "")
    path = str(Path(source).resolve()) if source.endswith(".py") else source
    if path not in before.split(os.pathsep):
        os.environ[TOPICS_VARIABLE] = os.pathsep.join(filter(None, [before, path]))
        forget()
    return topic


def forget() -> None:
    """Forget what was read from entry points, so that it is read again."""
    for function in (topics, methods, figures):
        function.cache_clear()


@cache
def methods() -> dict[str, Method]:
    """Return all methods by name."""
    listed = [method for topic in topics().values() for method in topic.methods]
    return {method.name: method for method in [*listed, *_load_entries(METHODS_GROUP)]}


@cache
def figures() -> dict[str, Figure]:
    """Return all figures by name."""
    return {figure.name: figure for topic in topics().values() for figure in topic.figures}


def labs() -> list[Lab]:
    """Return all labs in the order of their notebooks."""
    return sorted(
        (lab for topic in topics().values() for lab in topic.labs), key=lambda lab: lab.notebook
    )


def datasets(content: str = "images") -> dict[str, DataSet]:
    """Return all data sets of one kind of content, such as "images" or "graphs", by name."""
    content = check_text("content", content)
    rows = [row for topic in topics().values() for row in topic.datasets]
    return {row.name: row for row in rows if row.content == content}


def families() -> dict[str, dict[str, Method]]:
    """Return the methods that share a configuration, by the name of their family and their own."""
    grouped: dict[str, dict[str, Method]] = {}
    for row in methods().values():
        if row.family:
            grouped.setdefault(row.family, {})[row.name] = row
    return grouped


def benchmarks() -> dict[str, str]:
    """Return the functions that time something, by the names of methods and of topics."""
    named = {row.name: row.bench for row in methods().values() if row.bench}
    for topic in topics().values():
        named |= topic.benchmarks
        if first := next((method.bench for method in topic.methods if method.bench), ""):
            named.setdefault(topic.name, first)
    return named


def method(name: str) -> Method:
    """Return one method.

    Raises:
        UnknownName: there is no such method; the message lists those there are.
    """
    return methods()[check_choice("method", name, methods())]


def figure(name: str) -> Figure:
    """Return one figure.

    Raises:
        UnknownName: there is no such figure; the message lists those there are.
    """
    return figures()[check_choice("figure", name, figures())]


def label_of(name: str) -> str:
    """Return how a method is called in pictures and tables."""
    name = check_text("name", name)
    row = methods().get(name)
    return row.label if row and row.label else name


def build(config: Mapping[str, Any], data: Any = None) -> Run:
    """Build a run from its configuration; the command line, sweeps and notebooks all use this.

    Args:
        config: ``method`` and any of that method's options, such as
            ``{"method": "datadam", "data": "digits", "steps": 200}``. A recording's
            ``attrs["config"]`` is such a mapping, so a recording can be run again.
        data: the data set itself, where ``config["data"]`` is not the name of one.

    Returns:
        A ``Run`` at step 0.

    Raises:
        UnknownName: the method or the value of an option is not known.
        InvalidInput: ``config`` is no mapping, or an option is unknown or out of range.

    Example:
        >>> build({"method": "dm", "data": "digits", "preset": "lesson", "steps": 5})
        DistillRun(dm on digits, step 0 of 5)
    """
    config = _options("config", config)
    if "method" not in config:
        names = ", ".join(sorted(methods()))
        raise InvalidInput(f"config needs 'method', one of {names}; got {sorted(config)}")
    row = method(config["method"])
    return build_run(row, make_config(row, config), data)


def build_run(row: Method, config: Any, data: Any = None) -> Run:
    """Build the run of a method from an instance of its configuration."""
    run: Run = resolve(row.builder)(config, data)
    return run


def make_config(row: Method, options: Mapping[str, Any]) -> Any:
    """Return an instance of a method's configuration, in which presets are applied.

    Raises:
        InvalidInput: an option that the method does not have (the message lists those it has), or
            a value of another type.
    """
    from explore.core.config import type_name

    options = _options("options", options)
    config_class = resolve(row.config)
    settings = config_class.__dataclass_fields__
    if unknown := sorted(set(options) - set(settings)):
        names = ", ".join(sorted(settings))
        raise InvalidInput(
            f"{row.name} has no option {', '.join(map(repr, unknown))}; it has {names}"
        )
    values = {
        name: _typed(row, name, type_name(settings[name]), value) for name, value in options.items()
    }
    return getattr(config_class, "make", config_class)(**values)


def _options(name: str, values: Any) -> dict[str, Any]:
    """Return a mapping of options as a dictionary, with Python's own numbers and texts.

    Raises:
        InvalidInput: it is no mapping, or a key is no text.
    """
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        raise InvalidInput(
            f"{name} must be a mapping of options, such as {{'method': 'dm', 'steps': 200}}, "
            f"got {describe(values)}"
        )
    options = {str(key): to_python(value) for key, value in values.items()}
    return {
        key: os.fspath(value) if isinstance(value, os.PathLike) and key != "data" else value
        for key, value in options.items()
    }


def _typed(row: Method, name: str, kind: str, value: Any) -> Any:
    """Return a value as TOML and the command line mean it: "none" is None."""
    is_none = isinstance(value, str) and value == "none"
    if is_none and "None" in kind and "str" not in kind:
        return None
    if kind.startswith("int") and isinstance(value, bool | float):
        return check_whole_number(f"{row.name}: {name}", value)
    return value


def _load_entries(group: str) -> Iterator[Any]:
    for entry in entry_points(group=group):
        try:
            yield entry.load()
        except Exception as error:  # one broken package must not disable all others
            kind = "topic" if group == TOPICS_GROUP else "method"
            text = f"{kind} {entry.name!r} of {entry.value} cannot be loaded: {error}"
            warnings.warn(text, ExploreWarning, stacklevel=3)
