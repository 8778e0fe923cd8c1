"""What a sweep is given: numbers of NumPy count as Python's, and the rest is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explore.errors import DataMissing, InvalidInput
from explore.sweep.plan import absolute_target, plan, read, read_toml
from explore.sweep.scheduler import run

RANDOM = {"method": "random", "data": "digits"}


def test_numbers_of_numpy_and_torch_name_the_same_task() -> None:
    values = (3, np.int64(3), np.array(3), torch.tensor(3), 3.0)
    tasks = plan([{**RANDOM, "seed": seed} for seed in values])
    assert len(tasks) == 1
    assert tasks[0].config["seed"] in values
    json.dumps(dict(tasks[0].config))
    assert len(plan([{**RANDOM, "seed": seed} for seed in np.arange(3)])) == 3


def test_options_of_the_evaluation_are_python_values() -> None:
    (task,) = plan([RANDOM], {"networks": np.int64(2), "seed": np.int64(1)})
    assert json.loads(json.dumps(dict(task.evaluate or {}))) == {"networks": 2, "seed": 1}


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    (task,) = plan([{**RANDOM, "data": {"name": "../../a b/$x", "options": {}}}])
    assert "/" not in task.name
    assert (Path("to") / task.name).parent == Path("to")


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], "no configuration was given"),
        ([3], "configuration 1 of 1 must be a mapping of options, got 3"),
        (["random"], "configuration 1 of 1 must be a mapping"),
        ("random", "configs must be a list"),
        (None, "configs must be a list, got None"),
        ([{}], "it has no 'method', only no options"),
        ([{3: 4}], "it has no 'method', only 3"),
        ([{"method": ["random"]}], r"unknown method \['random'\]"),
        ([{"method": None}], "unknown method None"),
        ([{**RANDOM, 3: 4}], "options must be a mapping of options"),
        ([{**RANDOM, "seed": [0, 1]}], "seed must be a whole number"),
        ([{**RANDOM, "seed": np.arange(2)}], "seed must be a whole number"),
        ([{**RANDOM, "data": Path("a")}], "data is PosixPath, which other processes cannot load"),
    ],
)
def test_an_impossible_configuration_is_refused(configs: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plan(configs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"workers": "2"}, "workers must be a whole number of at least 1, got '2'"),
        ({"threads": -1}, "threads must be a whole number of at least 1"),
        ({"retries": 1.5}, "retries must be a whole number of at least 0"),
        ({"progress": 3}, "progress must be a function"),
        ({"stop": True}, "stop must be a function"),
        ({"to": ""}, "to must be a path, got ''"),
        ({"to": 3}, "to must be a path, got 3"),
        ({"evaluate": ["networks"]}, "evaluate must be a mapping of options"),
    ],
)
def test_an_impossible_argument_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run([RANDOM], **options)


def test_a_single_configuration_counts_as_a_list_of_one() -> None:
    assert len(plan(RANDOM)) == 1  # type: ignore[arg-type]


def test_a_grid_without_end_is_refused_before_it_is_built(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    values = list(range(100))
    lines = [f"grid.{name} = {values}" for name in ("seed", "steps", "width", "batch", "depth")]
    path.write_text('[[sweep]]\nmethod = "dm"\n' + "\n".join(lines))
    with pytest.raises(InvalidInput, match="describes 10,000,000,000 runs or more"):
        read(path)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", InvalidInput, "path must be a path, got ''"),
        (None, InvalidInput, "path must be a path, got None"),
        ("none.toml", DataMissing, "none.toml does not exist"),
        (".", InvalidInput, "is a folder"),
    ],
)
def test_what_is_no_file_is_refused(path: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_toml(path)


def test_the_target_may_be_a_path_of_any_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    folder: Callable[[Any], str] = absolute_target
    assert folder("~/a") == folder(Path("~/a")) == folder(b"~/a") == "/home/someone/a"
    assert folder("s3://bucket/a/") == "s3://bucket/a"
