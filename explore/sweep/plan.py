"""The tasks of a sweep: configurations from a file or a program, checked and named, and what is there of them already."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from explore.core import registry
from explore.core.config import UNIDENTIFYING
from explore.core.recording import has_ended, open_recording
from explore.errors import DataMissing, InvalidInput, RecordingDamaged

KEYS = {"to", "evaluate", "sweep"}
"""What a sweep's file may hold at its top."""


@dataclass(frozen=True)
class Task:
    """One configuration of a sweep, and what its files are called.

    Attributes:
        name: of its recording, ``NAME.zarr``: method, data and a hash of all that identifies the run.
        config: what ``explore.build`` takes, with the number of steps, where the method has one.
        evaluate: options of the evaluation of what it distils; None for none.
    """

    name: str
    config: Mapping[str, Any]
    evaluate: Mapping[str, Any] | None = None

    @property
    def scored(self) -> str:
        """Name of the evaluation's recording; the hash is of its options and of how far the run goes."""
        far = {"steps of the run": self.config["steps"]} if "steps" in self.config else {}
        return f"{self.name}-evaluated-{_hash({**(self.evaluate or {}), **far})}"


def read(
    path: str | os.PathLike[str],
) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str | None]:
    """The configurations, the evaluation and the folder in a sweep's TOML file.

    Each table ``[[sweep]]`` holds options of a run; its ``grid`` holds lists, of which every combination is run.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: it is no TOML, or not of this form.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "sweep.toml")
        >>> _ = path.write_text('''
        ... evaluate.networks = 2
        ... [[sweep]]
        ... data = "digits"
        ... grid.method = ["random", "herding"]
        ... grid.seed = [0, 1]
        ... ''')
        >>> configs, evaluation, to = read(path)
        >>> len(configs), configs[1]
        (4, {'data': 'digits', 'method': 'random', 'seed': 1})
    """
    table = toml(path)
    blocks = table.get("sweep")
    if unknown := sorted(set(table) - KEYS):
        raise InvalidInput(
            f"{path} has {', '.join(map(repr, unknown))}; a sweep's file has {', '.join(sorted(KEYS))}"
        )
    if (
        not isinstance(blocks, list)
        or not blocks
        or not all(isinstance(block, dict) for block in blocks)
    ):
        raise InvalidInput(
            f"{path} has no [[sweep]]: a table with the options of a run, and in grid the lists to combine"
        )
    configs: list[dict[str, Any]] = []
    for name, kind, what in (
        ("evaluate", dict, "a table of options"),
        ("to", str, "a folder or a URL"),
    ):
        if not isinstance(table.get(name, kind()), kind):
            raise InvalidInput(f"{path}: {name} must be {what}, got {table[name]!r}")
    for block in blocks:
        grid = block.pop("grid", {})
        if not isinstance(grid, dict):
            raise InvalidInput(
                f"grid must be a table of lists, such as grid.seed = [0, 1], got {grid!r}"
            )
        wrong = [
            name for name, values in grid.items() if not isinstance(values, list) or not values
        ]
        if wrong:
            raise InvalidInput(
                f"grid.{wrong[0]} must be a list with something in it, got {grid[wrong[0]]!r}"
            )
        configs += [
            {**block, **dict(zip(grid, values, strict=True))} for values in product(*grid.values())
        ]
    return configs, table.get("evaluate"), table.get("to")


def toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        DataMissing: there is no such file.
        InvalidInput: it is no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataMissing(f"{path} is not there; expected a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no TOML file: {error}") from error


def plan(
    configs: Sequence[Mapping[str, Any]], evaluate: Mapping[str, Any] | None = None
) -> list[Task]:
    """Configurations as tasks, checked; one that is given twice is taken once.

    Raises:
        InvalidInput: none, or one that its method cannot take; says which.
    """
    tasks: dict[str, Task] = {}
    for number, given in enumerate(configs):
        try:
            if "method" not in given:
                raise InvalidInput(f"it names no method, but only {', '.join(given) or 'nothing'}")
            row = registry.method(str(given["method"]))
            config = registry.make_config(row, given)
            scored = (
                None
                if evaluate is None or not row.product
                else {"seed": getattr(config, "seed", 0), **evaluate}
            )
            if scored is not None:
                registry.make_config(registry.method("evaluate"), {"method": "evaluate", **scored})
            whole = {
                f.name: getattr(config, f.name)
                for f in fields(config)
                if f.name not in UNIDENTIFYING
            }
            key = _hash(whole)
        except InvalidInput as error:
            raise InvalidInput(
                f"configuration {number + 1} of {len(configs)} ({short(given)}): {error}"
            ) from error
        data = whole.get("data", "")
        called = data.get("name", "data") if isinstance(data, Mapping) else str(data)
        name = re.sub(r"[^a-zA-Z0-9_.-]+", "_", f"{given['method']}-{called[:60]}-{key}")
        known, far = tasks.get(name), {"steps": config.steps} if hasattr(config, "steps") else {}
        if known is None or far.get("steps", 0) > known.config.get("steps", 0):
            tasks[name] = Task(name, {**given, **far}, scored)
    if not tasks:
        raise InvalidInput(
            "no configuration was given; give at least one, such as {'method': 'datadam', 'data': 'digits'}"
        )
    return list(tasks.values())


def outcome(task: Task, to: str) -> dict[str, Any] | None:
    """What is known of a task whose files are all there and whole to the end; None if something is to be done."""
    remote = "://" in to
    found: dict[str, Any] = {}
    row = registry.method(str(task.config["method"]))
    for name in (task.name, *([task.scored] if task.evaluate is not None else [])):
        try:
            recording = open_recording(f"{to}/{name}.zarr{'.zip' if remote else ''}")
        except (
            DataMissing,
            RecordingDamaged,
        ):  # a damaged one is said when it is opened to be gone on with
            return None
        wanted = task.config.get("steps", 0) if name == task.name else 0
        if not has_ended(recording) or int(recording["step"][-1]) < wanted:
            return None
        if name == task.name:
            found["seconds"] = float(recording.attrs.get("seconds", float("nan")))
        else:
            found["accuracy"] = float(recording["accuracy"].isel(step=-1).mean())
    if row.product and not _exists(f"{to}/{task.name}{row.product}"):
        return None
    return found


def place_of(to: str | os.PathLike[str]) -> str:
    """The folder, for workers that may stand elsewhere, or the URL."""
    return str(to).rstrip("/") if "://" in str(to) else str(Path(to).absolute())


def _exists(path: str) -> bool:
    if "://" not in path:
        return Path(path).is_file()
    import fsspec

    files, inside = fsspec.core.url_to_fs(path)
    return bool(files.exists(inside))


def _hash(value: Any) -> str:
    try:
        text = json.dumps(value, sort_keys=True, default=list)
    except TypeError as error:
        odd = [
            f"{name} is {type(v).__name__}"
            for name, v in value.items()
            if not isinstance(v, str | int | float | list | tuple)
        ]
        raise InvalidInput(
            f"{', '.join(odd)}: data and the like must be given by name, for other processes"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def short(config: Mapping[str, Any]) -> str:
    """A configuration in a few words, for progress and errors."""
    said = {
        name: value.get("name", "") if isinstance(value, Mapping) else value
        for name, value in config.items()
    }
    return " ".join(
        str(value) if name in ("method", "data") else f"{name}={value}"
        for name, value in said.items()
    )
