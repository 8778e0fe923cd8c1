"""The lab of activation areas as a reader meets it: a prediction, a dot, dials, frames by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import open_notebook, run_all_cells, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

COUNT = "document.querySelectorAll('.explore-figure img').length"


def test_the_lab_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_01_activation_areas.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 5", timeout=150_000)
    page.get_by_text("conv.bias    100% dropped").wait_for(timeout=150_000)  # of the last cell
    figures, pictures = page.locator(".explore-figure"), page.locator(".explore-figure img")
    # the maps are hidden until a prediction is chosen
    pictures.nth(0).scroll_into_view_if_needed()
    before = pictures.nth(0).get_attribute("alt")
    assert "hidden until a prediction is chosen" in before
    menus = page.locator(".widget-dropdown select")
    menus.nth(0).select_option(label="less than the object")
    after = wait_for_new_alt(page, 0, before)
    assert "Mean of all 80 scenes" in after
    page.screenshot(path=screenshots / "01-prediction.png")
    # a dot is clicked
    figures.nth(0).get_by_role("button", name="scene 12", exact=True).focus()
    page.keyboard.press("Enter")
    before, after = after, wait_for_new_alt(page, 0, after)
    assert "Scene 12:" in after
    # another cue: the same scenes, another question
    menus.nth(1).select_option(label="texture (plain or striped?)")
    after = wait_for_new_alt(page, 0, after)
    assert "plain" in after or "striped" in after
    menus.nth(2).select_option(label="with the weights shuffled")
    after = wait_for_new_alt(page, 0, after)
    assert after.startswith("Grad-CAM with the weights shuffled")
    page.screenshot(path=screenshots / "01-shuffled.png")
    # the areas of a distillation: to the first frame by keyboard
    pictures.nth(1).scroll_into_view_if_needed()
    before = pictures.nth(1).get_attribute("alt")
    assert "at step 0" in before
    figures.nth(1).get_by_role("button", name="class Coat", exact=True).first.click()
    after = wait_for_new_alt(page, 1, before)
    assert "Class Coat: area" in after
    page.screenshot(path=screenshots / "01-frames.png")
    # complexity, all batches measured; before it are photographs, if there are any
    complexity = page.locator(".explore-figure img[alt*='Mean over 10 classes']")
    complexity.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "01-complexity.png")
    # part 2: β of one step, then the recorded runs of EDF and MTT by keyboard
    count = pictures.count()
    step, runs = count - 2, count - 1
    pictures.nth(step).scroll_into_view_if_needed()
    before = pictures.nth(step).get_attribute("alt")
    assert "With β = 1" in before
    menus.filter(has_text="mean0.20.50.8").select_option(label="0.8")
    after = wait_for_new_alt(page, step, before)
    assert "the level 0.8" in after
    page.screenshot(path=screenshots / "01-step.png")
    pictures.nth(runs).scroll_into_view_if_needed()
    before = pictures.nth(runs).get_attribute("alt")
    assert "EDF at step 0" in before
    assert "MTT at step 0" in before
    figures.nth(runs).get_by_role("button", name="class ring", exact=True).first.click()
    after = wait_for_new_alt(page, runs, before)
    assert after.startswith("Class ring of scenes")
    page.screenshot(path=screenshots / "01-runs.png")
    assert page.outside == []
