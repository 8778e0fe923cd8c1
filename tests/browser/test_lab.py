"""The first lab as a reader meets it: in JupyterLab, in Chromium, by keyboard, without the net."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, SLIDER, TOKEN, open_notebook, run_all_cells

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280)]


def test_the_lab_runs_and_answers_to_the_keyboard(
    page: Any, server: str, screenshots: Path
) -> None:
    open_notebook(page, server, "bare_02_attention_matching.ipynb")
    run_all_cells(page)
    pictures = page.locator(".explore-figure img")
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img').length >= 3", timeout=90_000
    )
    # first explorer: the power slider by keyboard
    first = pictures.nth(0)
    first.scroll_into_view_if_needed()
    before = first.get_attribute("alt"), first.get_attribute("src")
    handle = page.locator(SLIDER).first
    handle.focus()
    handle.press("ArrowRight")
    page.wait_for_function(
        "alt => document.querySelectorAll('.explore-figure img')[0].alt != alt", arg=before[0]
    )
    assert "power 2" in first.get_attribute("alt")
    assert first.get_attribute("src") != before[1]
    page.screenshot(path=screenshots / "02-untrained.png")
    # second: the step slider by keyboard, and a class by its picture
    second = pictures.nth(1)
    second.scroll_into_view_if_needed()
    before = second.get_attribute("alt"), second.get_attribute("src")
    handle = page.locator(SLIDER).nth(2)
    handle.focus()
    for _ in range(5):
        handle.press("ArrowLeft")
    page.wait_for_function(
        "alt => document.querySelectorAll('.explore-figure img')[1].alt != alt", arg=before[0]
    )
    page.wait_for_timeout(300)
    page.screenshot(path=screenshots / "02-side-by-side.png")
    assert second.get_attribute("src") != before[1]
    page.locator(".explore-figure").nth(1).get_by_role("button", name="class Sneaker").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelectorAll('.explore-figure img')[1].alt.startsWith('Class Sneaker')"
    )
    # third: start, stop
    start = page.get_by_role("button", name="Start", exact=True)
    start.scroll_into_view_if_needed()
    third = pictures.nth(2)
    still = third.get_attribute("alt")
    start.click()
    page.wait_for_function(
        "alt => document.querySelectorAll('.explore-figure img')[2].alt != alt",
        arg=still,
        timeout=60_000,
    )
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.get_by_text(re.compile("(stopped|done) after")).wait_for(timeout=30_000)
    third.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    page.screenshot(path=screenshots / "02-live.png")
    assert page.outside == []


@pytest.mark.slow
def test_the_start_page_shows_a_picture_and_the_labs(
    page: Any, server: str, screenshots: Path
) -> None:
    open_notebook(page, server, "bare_00_start.ipynb")
    run_all_cells(page)
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img').length >= 1", timeout=60_000
    )
    page.get_by_text("25 min").wait_for(timeout=20_000)
    page.wait_for_timeout(500)
    page.screenshot(path=screenshots / "00-start.png")
    assert page.outside == []


@pytest.mark.slow
def test_the_committed_notebook_shows_its_pictures_without_a_kernel(
    page: Any, server: str, screenshots: Path
) -> None:
    page.goto(f"{server}/lab/tree/02_attention_matching.ipynb?token={TOKEN}&reset")
    images = page.locator(".jp-OutputArea-output img[alt]")
    page.wait_for_function(
        "document.querySelectorAll('.jp-OutputArea-output img[alt]').length >= 1", timeout=60_000
    )
    assert "Untrained network" in images.first.get_attribute("alt")
    assert (
        page.evaluate("document.querySelector('.jp-OutputArea-output img[alt]').naturalWidth") > 600
    )
    assert not page.get_by_text("Error displaying widget").count()
    page.screenshot(path=screenshots / "02-saved.png")
    assert page.outside == []


@pytest.mark.slow
def test_the_offline_page_works_from_a_file(page: Any, tmp_path: Path, screenshots: Path) -> None:
    out = tmp_path / "page.html"
    recordings = [
        option
        for method in ("datadam", "dm")
        for option in ("--recording", str(ROOT / f"data/fashion-{method}.zarr.zip"))
    ]
    command = [
        sys.executable,
        "-m",
        "explore",
        "figure",
        "evolution",
        *recordings,
        "--out",
        str(out),
    ]
    subprocess.run(
        command, check=True, capture_output=True, env={"PYTHONPATH": str(ROOT), "PATH": ""}
    )
    assert out.stat().st_size <= 5_000_000
    page.goto(out.as_uri())
    picture = page.locator("#picture")
    before = picture.get_attribute("alt"), picture.get_attribute("src")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowLeft")
    assert picture.get_attribute("alt") != before[0]
    assert picture.get_attribute("src") != before[1]
    page.screenshot(path=screenshots / "offline.png")
    assert page.outside == []
