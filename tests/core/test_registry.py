"""The registry merges the catalogs of topics, builds runs and refuses unknown names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from toys import CountingRun, assert_shows, frames

from explore import record
from explore.core import registry
from explore.core.registry import Lab, Method, Topic, build, resolve
from explore.errors import ExploreError, ExploreWarning, InvalidInput, UnknownName


def test_floats_may_be_written_as_integers_and_whole_numbers_as_floats() -> None:
    tiny = registry.method("dm").tiny
    integers, reals = (
        build({**tiny, "method": "dm", "learning_rate": rate}).config for rate in (1, 1.0)
    )
    assert json.dumps(integers) == json.dumps(reals)
    assert build({**tiny, "method": "dm", "steps": 2.0}).steps == 2
    for value in (2.5, True):
        with pytest.raises(InvalidInput, match=f"dm: steps must be a whole number, got {value}"):
            build({**tiny, "method": "dm", "steps": value})


@pytest.mark.parametrize("name", registry.figures())
def test_the_functions_of_every_figure_exist(name: str) -> None:
    assert registry.figure(name).name == name
    row = registry.figure(name)
    assert callable(resolve(row.picture))
    assert callable(resolve(row.select or row.explorer))
    assert bool(row.select) != bool(row.explorer)


@pytest.mark.parametrize("lab", registry.labs(), ids=lambda lab: lab.name)
def test_every_lab_has_a_question_and_a_duration(lab: registry.Lab) -> None:
    assert lab.question.endswith("?")
    assert lab.notebook.endswith(".ipynb")
    assert 5 <= lab.minutes <= 90


def test_an_unknown_method_is_refused_with_the_known_ones_and_a_hint() -> None:
    with pytest.raises(UnknownName) as caught:
        build({"method": "datadm"})
    assert (
        str(caught.value)
        == f"unknown method 'datadm'; known: {', '.join(sorted(registry.methods()))}. Did you mean 'datadam'?"
    )
    assert isinstance(caught.value, ExploreError | ValueError)
    assert isinstance(caught.value, LookupError)


def test_a_config_without_a_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        InvalidInput, match=r"config needs 'method', one of .*datadam.*; got \['seed'\]"
    ):
        build({"seed": 3})


def test_an_unknown_figure_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownName,
        match=r"unknown figure 'evolutions'; known: .*\bevolution\b.*Did you mean 'evolution'",
    ):
        registry.figure("evolutions")
    assert registry.figure("evolution") is registry.figures()["evolution"]


@dataclass(frozen=True)
class CountingConfig:
    method: str = "counting"
    steps: int = 10
    seed: int = 0


def build_counting(config: CountingConfig, data: Any) -> CountingRun:
    return CountingRun(config.steps, config.seed)


COUNTING = Method(
    "counting", "counts", "test_registry:build_counting", "test_registry:CountingConfig"
)


@pytest.fixture
def _fresh() -> Iterator[None]:
    """Read entry points again before and after a test that changes them."""
    registry.forget()
    yield
    registry.forget()


class Entry:
    """An entry point whose object is given, or fails to load."""

    value = "somewhere:else"

    def __init__(self, name: str, target: Any) -> None:
        self.name, self.target = name, target

    def load(self) -> Any:
        if isinstance(self.target, Exception):
            raise self.target
        return self.target


def replace_entries(monkeypatch: pytest.MonkeyPatch, **groups: list[Entry]) -> None:
    entries = registry.entry_points
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group: [*entries(group=group), *groups.get(group.rpartition(".")[2], [])],
    )


@pytest.mark.usefixtures("_fresh")
def test_a_package_adds_a_method_through_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(registry.methods())
    registry.forget()
    replace_entries(monkeypatch, methods=[Entry("counting", COUNTING)])
    assert list(registry.methods()) == [*names, "counting"]
    run = build({"method": "counting", "steps": 3, "seed": 5})
    assert_shows(record(run, every=1), frames(CountingRun(3, 5)))
    with pytest.raises(
        InvalidInput, match="counting has no option 'side'; it has method, seed, steps"
    ):
        build({"method": "counting", "side": 3})


@pytest.mark.usefixtures("_fresh")
def test_a_package_adds_a_topic_through_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab("counts", "99_counts.ipynb", "How many?", 5)
    topic = Topic("counts", methods=(COUNTING,), labs=(lab,))
    replace_entries(monkeypatch, topics=[Entry("counts", topic)])
    assert registry.method("counting") is COUNTING
    assert registry.labs()[-1] is lab


@pytest.mark.usefixtures("_fresh")
def test_a_broken_topic_gives_a_warning_and_the_others_remain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replace_entries(monkeypatch, topics=[Entry("broken", ImportError("no such package"))])
    with pytest.warns(ExploreWarning, match="topic 'broken' of somewhere:else cannot be loaded"):
        names = set(registry.topics())
    assert {"distill", "mixtures"} <= names


METHOD_FILE = """
from explore.core.catalog import Method
from test_registry import CountingConfig, build_counting

METHOD = Method("counting", "counts", "my_method:build_counting", "my_method:CountingConfig")
"""


@pytest.mark.usefixtures("_fresh")
def test_a_file_adds_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my_method.py"
    path.write_text(METHOD_FILE)
    monkeypatch.setenv("EXPLORE_TOPICS", "")
    assert registry.add_topic(str(path)).methods[0].name == "counting"
    assert build({"method": "counting", "steps": 3}).steps == 3
    assert registry.os.environ["EXPLORE_TOPICS"] == str(path), "processes started later find it too"


@pytest.mark.parametrize(
    ("source", "text", "message"),
    [
        ("nowhere.py", None, "is not there; expected a Python file that defines TOPIC or METHOD"),
        ("empty_topic.py", "x = 1", "must define TOPIC .* or METHOD"),
        ("no_such_module", None, "there is no module 'no_such_module'"),
    ],
)
def test_a_file_without_a_method_is_refused(
    source: str, text: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / source
    if text is not None:
        path.write_text(text)
    with pytest.raises(ExploreError, match=message):
        registry.load_topic(str(path) if source.endswith(".py") else source)
