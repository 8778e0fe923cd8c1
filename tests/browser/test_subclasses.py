"""The labs on subclasses as a reader meets them: temperature by keyboard, a width and a digit by click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import SLIDER, open_notebook, run_all_cells, wait_for_alt, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

COUNT = "document.querySelectorAll('.explore-figure img').length"


def test_the_lab_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_04_subclass_students.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 4", timeout=150_000)
    figures, pictures = page.locator(".explore-figure"), page.locator(".explore-figure img")
    # the temperature by keyboard
    pictures.nth(0).scroll_into_view_if_needed()
    before = pictures.nth(0).get_attribute("alt")
    assert "at temperature 1 the teacher predicts 5" in before
    handle = page.locator(SLIDER).first
    handle.focus()
    for _ in range(4):
        handle.press("ArrowRight")
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img')[0].alt.includes('at temperature 4 ')"
    )
    page.screenshot(path=screenshots / "04-soft-label.png")
    # a prediction, then a width on the picture
    pictures.nth(1).scroll_into_view_if_needed()
    assert "94.4" not in pictures.nth(1).get_attribute("alt")
    page.get_by_label("your prediction").first.select_option("SKD at 16, others at 4")
    before = wait_for_alt(page, 1, "subclass distillation (SKD) 94.4")
    figures.nth(1).get_by_role("button", name="width 4", exact=True).click()
    assert "width 4" in wait_for_new_alt(page, 1, before)
    page.screenshot(path=screenshots / "04-widths.png")
    # train now
    pictures.nth(3).scroll_into_view_if_needed()
    assert "digits (shipped)" in pictures.nth(3).get_attribute("alt")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text("done after").wait_for(timeout=150_000)
    assert "on digits, 50 labelled images" in pictures.nth(3).get_attribute("alt")
    page.screenshot(path=screenshots / "04-live.png")
    assert page.outside == []


def test_the_lab_on_bits_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_08_label_bits.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 4", timeout=150_000)
    figures, pictures = page.locator(".explore-figure"), page.locator(".explore-figure img")
    # a prediction, then the bits
    pictures.nth(1).scroll_into_view_if_needed()
    page.get_by_label("your prediction").first.select_option("soft rises, mutual falls")
    wait_for_alt(page, 1, "soft 0.210, mutual 2.104")
    page.screenshot(path=screenshots / "08-bits.png")
    # a digit that stands out
    pictures.nth(2).scroll_into_view_if_needed()
    before = pictures.nth(2).get_attribute("alt")
    figures.nth(2).get_by_role("button", name="subclass 9", exact=True).click()
    assert "Subclass 9 stands out" in wait_for_new_alt(page, 2, before)
    page.screenshot(path=screenshots / "08-training.png")
    assert page.outside == []
