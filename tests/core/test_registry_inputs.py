"""Doors of the registry and of benchmarks: the right value or a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explore.core import registry
from explore.core.benchmark import Ratio, medians, time_rounds
from explore.core.registry import build
from explore.errors import ExploreError, InvalidInput, UnknownName


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "config must be a mapping of options, .* got None"),
        ("random", "config must be a mapping of options, .* got 'random'"),
        ([("method", "random")], "config must be a mapping of options"),
        ({3: "random"}, "config must be a mapping of options"),
        ({}, "config needs 'method'"),
        ({"method": ["random"]}, r"unknown method \['random'\]"),
        ({"method": {}}, "unknown method {}"),
        ({"method": None}, "unknown method None"),
        ({"method": np.arange(2)}, "unknown method array"),
        ({"method": "random", "seed": {}}, "seed must be a whole number"),
        ({"method": "random", "seed": float("nan")}, "seed must be a whole number, got nan"),
        ({"method": "random", "side": 1, "a": 2}, "random has no option 'a', 'side'; it has"),
    ],
)
def test_an_impossible_configuration_is_refused(config: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build(config)


@pytest.mark.parametrize("seed", [2, 2.0, np.int64(2), np.float32(2), np.array(2)], ids=repr)
def test_every_whole_number_is_the_same_option(seed: Any) -> None:
    config = build({"method": np.str_("random"), "data": "digits", "seed": seed}).config
    assert (config["method"], config["seed"], type(config["seed"])) == ("random", 2, int)


@pytest.mark.parametrize("name", [["evolution"], None, 3, {}], ids=repr)
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(UnknownName, match="unknown figure"):
        registry.figure(name)
    with pytest.raises(UnknownName, match="unknown method"):
        registry.method(name)


# ---- topics in files


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EXPLORE_TOPICS", "")
    registry.forget()
    yield
    registry.forget()


TOPIC = 'from explore.core.catalog import Topic\nTOPIC = Topic("{}")\n'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("odd_syntax.py", "TOPIC = (", "odd_syntax.py cannot be imported: SyntaxError"),
        ("odd_error.py", "1 / 0", "odd_error.py cannot be imported: ZeroDivisionError"),
        ("odd_need.py", "import no_such_package", "no module .*no_such_package"),
        ("odd_kind.py", "TOPIC = 'walks'", "must define TOPIC"),
        ("json.py", TOPIC.format("json"), "has the name of the module 'json'"),
        ("numpy.py", TOPIC.format("numpy"), "has the name of the module 'numpy'"),
        ("odd_null.py", "TOPIC = '\0'", "cannot be imported"),
    ],
)
def test_a_file_that_cannot_be_a_topic_is_refused(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    module = sys.modules.get(name.removesuffix(".py"))
    with pytest.raises(ExploreError, match=message):
        registry.add_topic(tmp_path / name)
    if "must define" not in message:
        assert sys.modules.get(name.removesuffix(".py")) is module, "modules stay as they were"


@pytest.mark.parametrize("source", ["", None, 3, ".relative", "a..b", "a\0.py"], ids=repr)
def test_what_is_no_module_is_refused(source: Any) -> None:
    with pytest.raises(ExploreError):
        registry.add_topic(source)


def test_a_second_file_of_the_same_name_replaces_the_first(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        path = tmp_path / folder / "odd_topic.py"
        path.parent.mkdir()
        path.write_text(TOPIC.format(folder))
        assert registry.add_topic(path).name == folder
    assert {"a", "b"} <= set(registry.topics())


# ---- benchmarks


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: time_rounds({}), "candidates must be functions by name"),
        (lambda: time_rounds([print]), "candidates must be functions by name"),  # type: ignore[arg-type]
        (lambda: time_rounds({"a": 3}), "candidate 'a' must be a function"),  # type: ignore[dict-item]
        (lambda: time_rounds({"a": int}, 0), "rounds must be a whole number of at least 1"),
        (lambda: time_rounds({"a": int}, pause=-1), "pause must be a number of at least 0"),
        (lambda: time_rounds({"a": int}, budget=float("nan")), "budget must be a number"),
        (lambda: medians({"a": []}), "seconds of 'a'"),
        (lambda: Ratio.of([1.0], [0.0]), "denominators must be above 0, got 0"),
        (lambda: Ratio.of([1.0, 2.0], [1.0]), "denominators must be"),
        (lambda: Ratio.of([], []), "numerators must not be empty"),
    ],
)
def test_impossible_measurements_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()
