"""``explore figure``: names of all pictures, lists, captions, layouts for print, errors in words."""

from __future__ import annotations

import io
import shlex
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image
from toys import ROOT
from typer.testing import CliRunner

from explore.cli import main as cli
from explore.core import registry
from explore.core.catalog import Figure
from explore.core.registry import resolve
from explore.core.resources import shipped
from explore.errors import DataMissing, InvalidInput
from explore.plotting.figure_source import (
    default_recordings,
    figure_source,
    needs_recordings,
    state_names,
)
from explore.plotting.picture import Picture

RECORDING = str(shipped("data/digits-dm.zarr.zip"))


def picture_classes() -> dict[str, type[Picture]]:
    """Return all picture classes of the topics by module and name."""
    found = {}
    for path in sorted((ROOT / "explore").glob("*/figures/*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for key, value in vars(import_module(name)).items():
            own = isinstance(value, type) and value.__module__ == name
            if own and issubclass(value, Picture) and not key.startswith("_"):
                found[f"{name}:{key}"] = value
    return found


def drawable(row: Figure) -> bool:
    """Return whether a figure can be drawn with what ships."""
    return not needs_recordings(row) or bool(default_recordings(row))


def figure(*arguments: str) -> str:
    outcome = CliRunner().invoke(cli.app, ["figure", *arguments])
    assert outcome.exit_code == 0, outcome.output or outcome.exception
    return outcome.output


def opened(path: str) -> Image.Image:
    return Image.open(io.BytesIO(Path(path).read_bytes()))


@pytest.fixture(autouse=True)
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_picture_class_has_a_name_on_the_command_line() -> None:
    named = {row.picture for row in registry.figures().values()}
    assert sorted(set(picture_classes()) - named) == []


@pytest.mark.slow
@pytest.mark.parametrize("row", registry.figures().values(), ids=lambda row: row.name)
def test_a_row_names_the_states_and_panels_that_the_figure_has(row: Figure) -> None:
    if not drawable(row):
        pytest.skip("none of its recordings ships")
    source = figure_source(row.name)
    assert source.states == state_names(row)
    assert source.picture_class(source.data({})).panels == row.panels


def test_a_list_shows_every_figure_with_its_states_and_panels() -> None:
    lines = figure("--list").splitlines()
    for row in registry.figures().values():
        index = lines.index(f"{row.name}: {resolve(row.picture).title}")
        states = ", ".join(state_names(row)) or "none"
        assert lines[index + 1] == f"  states: {states}"
        if row.panels:
            assert lines[index + 2] == f"  panels: {', '.join(row.panels)}"
    assert figure("detour", "--list").splitlines()[:2] == [
        "detour: Is the way over B ever shorter?",
        "  states: share",
    ]


def test_the_states_of_a_figure_of_an_explorer_are_those_of_its_controls(cwd: Path) -> None:
    text = figure("detour", "--state", "share=0.3", "--caption", "--out", "a.csv")
    assert text.startswith("wrote a.csv\nB is 70% A and 30% C.")
    for message, state in (
        ("figure detour has no state 'step'; it has share", {"step": 3}),
        ("share must be one of 0.05, 0.1, 0.15,", {"share": 0.31}),
    ):
        with pytest.raises(InvalidInput, match=message):
            figure_source("detour").data(state)


def test_a_figure_of_an_explorer_has_a_page_over_all_values_of_its_control(cwd: Path) -> None:
    figure("detour", "--html")
    page = Path("detour.html").read_text(encoding="utf-8")
    assert page.count("B is ") == 19
    assert page.count("B is 95% A and 5% C.") == 1


def test_recordings_are_for_figures_of_recordings() -> None:
    with pytest.raises(InvalidInput, match="figure detour shows no recordings; leave them out"):
        figure_source("detour", [object()])


def test_a_figure_without_a_recording_that_ships_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Figure("walk", registry.figure("reduction").picture, registry.figure("reduction").select)
    monkeypatch.setattr(registry, "figure", lambda name: row)
    with pytest.raises(InvalidInput, match="walk needs a recording, and none of it ships: explore"):
        figure_source("walk")


def test_a_figure_of_measured_numbers_reads_the_file_of_a_benchmark(cwd: Path) -> None:
    numbers = shipped("data/mixture-costs.json").read_text(encoding="utf-8")
    Path("times.json").write_text(numbers.replace("4.4278", "8.8"), encoding="utf-8")
    text = figure("mixture_costs", "--state", "times=times.json", "--caption", "--out", "a.csv")
    assert "8.8 s at 1,000" in text
    source = figure_source("mixture_costs")
    with pytest.raises(
        DataMissing, match=r"there is no file none\.json; write it by explore bench"
    ):
        source.data({"times": "none.json"})
    Path("bad.json").write_text("[", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"bad\.json holds no JSON"):
        source.data({"times": "bad.json"})
    Path("other.json").write_text('{"steps": 3}', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"other\.json lacks sizes, growth; it is of another"):
        source.data({"times": "other.json"})
    with pytest.raises(InvalidInput, match="figure mixture_costs has no slider"):
        source.positions()


@pytest.mark.parametrize("panel", [[], ["--panel", "curve", "--width", "84mm"]], ids=str)
def test_the_command_in_a_file_makes_the_same_file_again(panel: list[str], cwd: Path) -> None:
    options = ["--state", 'label="4"', "--step", "3", "--font-size", "6", "--plain", *panel]
    text = figure("evolution", "--recording", RECORDING, *options, "--out", "a.png")
    assert text == "wrote a.png\n"
    command = shlex.split(str(opened("a.png").info["Source"]))
    assert command[:3] == ["explore", "figure", "evolution"]
    figure(*command[2:], "--out", "b.png")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "inches"),
    [
        (["--plain"], 7),
        (["--font-size", "9"], 7),
        (["--panel", "lengths"], 3.3),
        (["--panel", "lengths", "--width", "4in"], 4),
        ([], 9.6),
    ],
)
def test_the_default_width_is_a_page_or_a_column(
    options: list[str], inches: float, cwd: Path
) -> None:
    figure("detour", *options, "--out", "a.png")
    assert opened("a.png").width == round(300 * inches)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "figure needs the name of a figure; explore figure --list shows them"),
        (["detour", "--width", "3.3"], "width must be a number with a unit (in, mm, cm or pt)"),
        (["detour", "--width", "90in"], "width must be a number of at least 1 and of at most 20"),
        (["detour", "--panel", "left"], "unknown panel 'left'; known: lengths."),
        (["detour", "--plain", "--out", "a.csv"], "are for pdf, png, svg, got a.csv"),
        (["detour", "--plain", "--html"], "are for pdf, png, svg, got detour.html"),
        (["detours"], "unknown figure 'detours'"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], message: str, cwd: Path) -> None:
    outcome = CliRunner().invoke(cli.app, ["figure", *arguments])
    assert outcome.exit_code != 0
    assert message in str(outcome.exception)
    assert not list(cwd.iterdir())


def test_the_page_of_figures_lists_every_figure_with_its_states_and_panels() -> None:
    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in page.split("\n### ")[1:])
    assert set(sections) == set(registry.figures())
    for name, row in registry.figures().items():
        for state in (*state_names(row), *row.panels):
            assert f"`{state}`" in sections[name], f"run scripts/figure_thumbnails.py: {name}"
    pictures = list((ROOT / "docs" / "figures").glob("*.png"))
    assert {path.stem for path in pictures} <= set(sections)
    assert sum(path.stat().st_size for path in pictures) < 300_000
