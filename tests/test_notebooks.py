"""The committed notebooks are executed, small and short; their pictures have texts."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from explore.core.registry import labs

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_is_a_notebook_for_every_lab_and_a_start() -> None:
    assert {path.name for path in NOTEBOOKS} == {
        "00_start.ipynb",
        *(lab.notebook for lab in labs()),
    }


def test_a_notebook_begins_with_its_title_and_the_command_that_starts_it(path: Path) -> None:
    title, _, start, *_ = nbformat.read(path, as_version=4).cells[0].source.splitlines()
    assert title.startswith("# ")
    seconds = re.fullmatch(
        r"\*Run ▸ Run All Cells brings the pictures to life \(about (\d+) seconds\)\.\*", start
    )
    assert seconds
    assert int(seconds.group(1)) <= 30


def test_the_text_of_a_notebook_needs_no_file_of_the_repository(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert not re.findall(r"README|scripts/|explore/\w+/", text)
    assert [link for link in re.findall(r"\]\(([^)]+)\)", text) if "https://" not in link] == []


def text_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


LABS = [path for path in NOTEBOOKS if path.name != "00_start.ipynb"]


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_lab_has_goals_symbols_exercises_and_room_for_answers(path: Path) -> None:
    text = text_of(path)
    for part in (
        "**You will learn**",
        "**You should know**",
        "<details><summary>Symbols",
        "## Exercises",
        "<details><summary>Hints</summary>",
        "<details><summary>Answers</summary>",
        "**To hand in**",
        "## Your answers\n\n*Name:*",
        "## What to take home",
        "https://arxiv.org/abs/",
    ):
        assert part in text, part


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_every_exercise_has_a_hint_and_an_answer(path: Path) -> None:
    text = text_of(path)
    exercises, _, rest = text[text.index("## Exercises") :].partition("**To hand in**")
    body, _, boxes = exercises.partition("<details><summary>Hints</summary>")
    hints, _, answers = boxes.partition("<details><summary>Answers</summary>")
    numbers = re.findall(r"^(\d+)\. ", body, re.MULTILINE)
    assert len(numbers) >= 3
    assert numbers == [str(n + 1) for n in range(len(numbers))]
    explained = " ".join(re.findall(r"(?:^|\s)([\d and]+):", hints))
    assert set(numbers) - set(re.findall(r"\d+", explained)) == set(), "no hint"
    assert set(numbers) - set(re.findall(r"^(\d+): ", answers, re.MULTILINE)) == set(), "no answer"
    assert rest


def test_details_of_a_notebook_are_closed(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            assert cell.source.count("<details") == cell.source.count("</details>")


def test_the_code_of_a_notebook_needs_no_sideways_scrolling(path: Path) -> None:
    lines = [line for cell in code_cells(path) for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 88] == []


def test_the_text_of_a_notebook_has_few_semicolons(path: Path) -> None:
    prose = re.sub(r"\$[^$]*\$|`[^`]*`", "", text_of(path))
    assert prose.count(";") <= 6


def test_the_start_page_orders_all_labs() -> None:
    text = text_of(FOLDER / "00_start.ipynb")
    for lab in labs():
        assert f"| {lab.notebook[:2]} " in text


def test_a_notebook_is_saved_executed_without_an_error(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [
        output for cell in cells for output in cell.outputs if output.output_type == "error"
    ]


def test_a_notebook_is_small(path: Path) -> None:
    assert path.stat().st_size <= 1_000_000


def test_a_notebook_defines_no_function_or_class(path: Path) -> None:
    assert not [
        cell.source
        for cell in code_cells(path)
        if re.search(r"^\s*(def|class)\s", cell.source, re.MULTILINE)
    ]


def test_no_widget_is_saved(path: Path) -> None:
    assert "widgets" not in nbformat.read(path, as_version=4).metadata
    kinds = {
        kind
        for cell in code_cells(path)
        for output in cell.outputs
        for kind in output.get("data", {})
    }
    assert not any("widget" in kind for kind in kinds)


def test_every_picture_has_its_text(path: Path) -> None:
    pictures = [
        output.data
        for cell in code_cells(path)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures
    for data in pictures:
        alt = re.search(r'<img alt="([^"]{20,})"', data["text/html"])
        assert alt
        assert alt.group(1)[:20] in data["text/plain"]


def test_no_path_of_a_machine_is_saved(path: Path) -> None:
    assert not re.search(r"/(home|root|Users|tmp)/", path.read_text())
