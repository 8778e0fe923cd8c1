"""Plan a sweep: read, validate and name its configurations, and look up existing results."""

from __future__ import annotations

import codecs
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
from explore.core.validation import check_items, check_path, describe, to_python
from explore.errors import DataMissing, InvalidInput, RecordingDamaged

FILE_KEYS = {"to", "evaluate", "sweep"}
"""The keys that a sweep's file may have at its top level."""

MAX_RUNS = 100_000
"""More runs than this in one grid are a slip."""

MAX_TOML_BYTES = 16 << 20


@dataclass(frozen=True)
class Task:
    """One configuration of a sweep and the names of its files.

    Attributes:
        name: name of its recording, ``NAME.zarr``: the method, the data and a hash of all options
            that identify the run.
        config: what ``explore.build`` accepts, with the number of steps if the method has one.
        evaluate: options for the evaluation of the distilled set; None for no evaluation.
    """

    name: str
    config: Mapping[str, Any]
    evaluate: Mapping[str, Any] | None = None

    @property
    def evaluation_name(self) -> str:
        """Name of the evaluation's recording, with a hash of its options and of the run's steps."""
        steps = {"steps of the run": self.config["steps"]} if "steps" in self.config else {}
        return f"{self.name}-evaluated-{_hash({**(self.evaluate or {}), **steps})}"


def read(
    path: str | os.PathLike[str],
) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str | None]:
    """Return the configurations, the evaluation and the folder in a sweep's TOML file.

    Each table ``[[sweep]]`` holds options of a run. Its ``grid`` holds lists of values; every
    combination of them becomes a run.

    Raises:
        DataMissing: the file does not exist.
        InvalidInput: the file is not TOML, or does not have this form.

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
    table = read_toml(path)
    if unknown := sorted(set(table) - FILE_KEYS):
        raise InvalidInput(
            f"{path} has the unknown key {', '.join(map(repr, unknown))}; "
            f"a sweep's file may have {', '.join(sorted(FILE_KEYS))}"
        )
    blocks = table.get("sweep")
    if not (isinstance(blocks, list) and blocks and all(isinstance(b, dict) for b in blocks)):
        raise InvalidInput(
            f"{path} has no [[sweep]]. Add a table [[sweep]] with the options of a run; "
            "lists of values go into its grid"
        )
    for name, kind, expected in (
        ("evaluate", dict, "a table of options"),
        ("to", str, "a folder or a URL"),
    ):
        if not isinstance(table.get(name, kind()), kind):
            raise InvalidInput(f"{path}: {name} must be {expected}, got {table[name]!r}")
    configs: list[dict[str, Any]] = []
    for block in blocks:
        grid = block.pop("grid", {})
        if not isinstance(grid, dict):
            example = "grid.seed = [0, 1]"
            raise InvalidInput(f"grid must be a table of lists, such as {example}, got {grid!r}")
        count = 1
        for name, values in grid.items():
            if not isinstance(values, list) or not values:
                raise InvalidInput(
                    f"grid.{name} must be a list of one or more values, got {values!r}"
                )
            count *= len(values)
        if len(configs) + count > MAX_RUNS:
            raise InvalidInput(
                f"{path} describes {len(configs) + count:,} runs or more, and the most are "
                f"{MAX_RUNS:,}; shorten the lists in grid"
            )
        combinations = product(*grid.values())
        configs += [{**block, **dict(zip(grid, values, strict=True))} for values in combinations]
    return configs, table.get("evaluate"), table.get("to")


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a TOML file as a dictionary; the mark that editors of Windows put first is skipped.

    Raises:
        DataMissing: the file does not exist.
        InvalidInput: it is not a TOML file, is not UTF-8, or is nested too deeply or too large.
    """
    file = check_path("path", path)
    try:
        size = file.stat().st_size
        if file.is_dir() or size > MAX_TOML_BYTES:
            what = "is a folder" if file.is_dir() else f"has {size / 1e6:.0f} MB"
            raise InvalidInput(f"{file} {what}; expected a TOML file of a few lines")
        content = file.read_bytes()
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InvalidInput(f"{file} is saved as UTF-16; save it as UTF-8")
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise DataMissing(f"{file} does not exist; expected a TOML file") from error
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not saved as UTF-8: {error}") from error
    except InvalidInput:
        raise
    except ValueError as error:  # also a number with too many digits
        raise InvalidInput(f"{file} is not a TOML file: {error}") from error
    except RecursionError as error:
        raise InvalidInput(f"{file} is nested too deeply for the options of a run") from error


def plan(
    configs: Sequence[Mapping[str, Any]], evaluate: Mapping[str, Any] | None = None
) -> list[Task]:
    """Validate configurations and return them as tasks; equal configurations become one task.

    Raises:
        InvalidInput: there is no configuration, or one has an option that its method does not
            accept. The message says which.
    """
    configs = check_items("configs", [configs] if isinstance(configs, Mapping) else configs)
    if evaluate is not None and not isinstance(evaluate, Mapping):
        raise InvalidInput(f"evaluate must be a mapping of options, got {describe(evaluate)}")
    tasks: dict[str, Task] = {}
    for number, options in enumerate(configs, 1):
        if not isinstance(options, Mapping):
            raise InvalidInput(
                f"configuration {number} of {len(configs)} must be a mapping of options, "
                f"got {describe(options)}"
            )
        try:
            task = _make_task(options, evaluate)
        except InvalidInput as error:
            label = config_label(options)
            raise InvalidInput(
                f"configuration {number} of {len(configs)} ({label}): {error}"
            ) from error
        earlier = tasks.get(task.name)
        if earlier is None or task.config.get("steps", 0) > earlier.config.get("steps", 0):
            tasks[task.name] = task
    if not tasks:
        example = {"method": "datadam", "data": "digits"}
        raise InvalidInput(f"no configuration was given; give at least one, such as {example}")
    if evaluations := [task.evaluate for task in tasks.values() if task.evaluate is not None]:
        options = {"method": "evaluate", **evaluations[0]}  # They differ in their seeds only.
        registry.make_config(registry.method("evaluate"), options)
    return list(tasks.values())


def _make_task(options: Mapping[str, Any], evaluate: Mapping[str, Any] | None) -> Task:
    if "method" not in options:
        names = ", ".join(map(str, options))
        raise InvalidInput(f"it has no 'method', only {names or 'no options'}")
    row = registry.method(options["method"])
    options = {
        name: _storable(value) if name != "data" or isinstance(value, Mapping) else value
        for name, value in options.items()
    }
    config = registry.make_config(row, options)
    identifying = [field.name for field in fields(config) if field.name not in UNIDENTIFYING]
    identity = {name: getattr(config, name) for name in identifying}
    data = identity.get("data", "")
    data_name = data.get("name", "data") if isinstance(data, Mapping) else str(data)
    name = f"{options['method']}-{data_name[:60]}-{_hash(identity)}"
    steps = {"steps": config.steps} if hasattr(config, "steps") else {}
    scored = evaluate is not None and bool(row.product)
    return Task(
        re.sub(r"[^a-zA-Z0-9_.-]+", "_", name),
        {**options, **steps},
        {"seed": getattr(config, "seed", 0), **_storable(evaluate or {})} if scored else None,
    )


def _storable(value: Any) -> Any:
    """Return a value as JSON holds it: numbers of Python, lists, and paths as texts."""
    value = to_python(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {name: _storable(item) for name, item in value.items()}
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        return value.tolist()
    return [_storable(item) for item in value] if isinstance(value, list | tuple) else value


def outcome(task: Task, to: str) -> dict[str, Any] | None:
    """Return ``seconds`` and ``accuracy`` of a task; None if one of its files is missing or
    incomplete."""
    suffix = ".zarr.zip" if "://" in to else ".zarr"
    values: dict[str, Any] = {}
    for name in (task.name, *([task.evaluation_name] if task.evaluate is not None else [])):
        try:
            recording = open_recording(f"{to}/{name}{suffix}")
        except (DataMissing, RecordingDamaged):  # Resuming a damaged recording says what is wrong.
            return None
        steps = task.config.get("steps", 0) if name == task.name else 0
        if not has_ended(recording) or int(recording["step"][-1]) < steps:
            return None
        if name == task.name:
            values["seconds"] = float(recording.attrs.get("seconds", float("nan")))
        else:
            values["accuracy"] = float(recording["accuracy"].isel(step=-1).mean())
    row = registry.method(str(task.config["method"]))
    if row.product and not _exists(f"{to}/{task.name}{row.product}"):
        return None
    return values


def absolute_target(to: str | os.PathLike[str]) -> str:
    """Return the absolute path of a folder, as workers may have another working folder; a URL as it
    is.

    Raises:
        InvalidInput: it is no path.
    """
    if isinstance(to, str) and "://" in to:
        return to.rstrip("/")
    return str(check_path("to", to).absolute())


def _exists(path: str) -> bool:
    if "://" not in path:
        return Path(path).is_file()
    import fsspec

    filesystem, name = fsspec.core.url_to_fs(path)
    return bool(filesystem.exists(name))


def _hash(options: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(options, sort_keys=True, default=list)
    except TypeError as error:
        kinds = str | int | float | list | tuple
        unusable = [
            f"{name} is {type(value).__name__}"
            for name, value in options.items()
            if not isinstance(value, kinds)
        ]
        raise InvalidInput(
            f"{', '.join(unusable)}, which other processes cannot load; "
            "give a name, such as data='digits'"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def config_label(config: Mapping[str, Any]) -> str:
    """Return a configuration as a short text for progress and errors: ``"dm digits seed=3"``."""
    texts = []
    for name, value in config.items():
        text = value.get("name", "") if isinstance(value, Mapping) else value
        texts.append(str(text) if name in ("method", "data") else f"{name}={text}")
    return " ".join(texts)
