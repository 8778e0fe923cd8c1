"""A notebook that a reader has worked in is saved and opened again without a kernel: every picture is there, as left."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from .conftest import SLIDER, STOP_ALL_KERNELS, TOKEN, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280), pytest.mark.slow]

CELLS = """\
from explore.distill import lab
lab.side_by_side()
--
from explore.mixtures import lab as mixtures
mixtures.which_two()
--
lab.live(steps=20, width=8, batch=4)
--
from bar_picture import Bar, source
from explore.widgets import Choice, Explorer, Prediction, Slider
controls = {"step": Slider("step", [0, 1, 3]), "kind": Choice("kind", ["low", "tall"])}
Explorer(source, Bar, controls, "bars", Prediction("How high is the bar?", ["1", "3"], "3"))
"""
"""A picture with a slider, one with a choice, one of a job, and one that is predicted first."""

FRONT_ENDS = {
    "explore lab": ("server", "lab/tree"),
    "jupyter lab": ("plain_server", "lab/tree"),
    "notebook 7": ("plain_server", "notebooks"),
}
MOST_BYTES = 1_500_000


@pytest.fixture(params=FRONT_ENDS)
def worked(
    request: pytest.FixtureRequest, page: Any, notebooks: Path, screenshots: Path
) -> tuple[Any, str, Path, list[str]]:
    """Work in a notebook: move a slider, choose, predict; save it, and end its kernel.

    Returns:
        The page, the address of the notebook, its file, and the texts of its pictures when it was
        saved.
    """
    name = request.param.replace(" ", "-")
    fixture, folder = FRONT_ENDS[request.param]
    server = request.getfixturevalue(fixture)
    file = notebooks / f"worked-{name}.ipynb"
    setup = f"import sys; sys.path += {[str(Path(__file__).parents[1] / 'widgets')]}"
    cells = [setup, *CELLS.split("--\n")]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    nbformat.write(notebook, file)
    address = f"{server}/{folder}/{file.name}?token={TOKEN}"
    page.goto(address + ("&reset" if folder == "lab/tree" else ""))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img').length >= 4", timeout=120_000
    )
    pictures = page.locator(".explore-figure img")
    before = pictures.nth(0).get_attribute("alt")
    slider = page.locator(SLIDER).first
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    wait_for_new_alt(page, 0, before)
    before = pictures.nth(1).get_attribute("alt")
    page.get_by_label("merge").first.select_option(index=2)
    wait_for_new_alt(page, 1, before)
    before = pictures.nth(3).get_attribute("alt")
    assert "covered" in before
    page.get_by_label("your prediction").select_option("1")
    wait_for_new_alt(page, 3, before)
    page.wait_for_timeout(1000)
    alts = [pictures.nth(k).get_attribute("alt") for k in range(4)]
    page.screenshot(path=screenshots / f"worked-{name}.png")
    written = file.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    for _ in range(50):
        page.wait_for_timeout(100)
        if file.stat().st_mtime_ns != written:
            break
    page.wait_for_timeout(500)
    page.evaluate(STOP_ALL_KERNELS, TOKEN)
    page.goto("about:blank")
    return page, address, file, alts


def test_every_picture_is_there_as_it_was_left(
    worked: tuple[Any, str, Path, list[str]], screenshots: Path
) -> None:
    page, address, file, alts = worked
    content = file.read_text(encoding="utf-8")
    assert len(content) < MOST_BYTES
    assert "widget-view+json" not in content
    assert "widgets" not in json.loads(content)["metadata"]
    page.goto(address + ("&reset" if "/lab/" in address else ""))
    images = page.locator(".jp-OutputArea-output img[alt]")
    page.wait_for_function(
        "document.querySelectorAll('.jp-OutputArea-output img[alt]').length >= 4", timeout=60_000
    )
    page.wait_for_timeout(1000)
    page.screenshot(path=screenshots / f"reopened-{file.stem}.png")
    assert [images.nth(k).get_attribute("alt") for k in range(4)] == alts
    assert all(images.nth(k).evaluate("image => image.naturalWidth") > 150 for k in range(4))
    assert page.get_by_text("Still picture, not running").count() == 4
    assert page.get_by_text("You predicted: 1. The picture shows: 3.").count() == 1
    assert not page.get_by_text("Error displaying widget").count()
    check_other_readers(file, alts)


def check_other_readers(file: Path, alts: list[str]) -> None:
    """Check what nbconvert makes of the file, and that readers without scripts can show it."""
    page, _ = HTMLExporter().from_filename(os.fspath(file))
    assert "widget-view" not in page
    shown = re.findall(r'<img alt="([^"]*)"', page)
    import html

    assert [html.unescape(alt) for alt in shown] == alts
    for cell in nbformat.read(file, as_version=4).cells[1:]:
        (output,) = cell.outputs
        assert set(output.data) == {"text/html", "image/png", "text/plain"}
        assert "<script" not in output.data["text/html"]
