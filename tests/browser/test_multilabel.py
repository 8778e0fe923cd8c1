"""The multi-label lab as a reader meets it: a guess, a filter of label sets, a click on a point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import open_notebook, run_all_cells, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

COUNT = "document.querySelectorAll('.explore-figure img').length"


def test_the_lab_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_05_multilabel_contrast.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 6", timeout=200_000)
    pictures = page.locator(".explore-figure img")
    # a guess reveals the arrows
    pictures.nth(0).scroll_into_view_if_needed()
    before = pictures.nth(0).get_attribute("alt")
    assert "pull hidden" in before
    page.get_by_label("your prediction").first.select_option("pushes it away")
    before = wait_for_new_alt(page, 0, before)
    assert "pull hidden" not in before
    page.screenshot(path=screenshots / "05-pulls.png")
    page.get_by_label("J is", exact=True).select_option("inside, as in the released code")
    assert wait_for_new_alt(page, 0, before).startswith("J inside")
    # labels are selected by keyboard
    pictures.nth(1).scroll_into_view_if_needed()
    before = pictures.nth(1).get_attribute("alt")
    page.get_by_label("labels", exact=True).select_option(["disc", "ring"])
    before = wait_for_new_alt(page, 1, before)
    assert "held-out samples have disc or ring" in before
    page.get_by_label("samples with", exact=True).select_option("exactly")
    before = wait_for_new_alt(page, 1, before)
    assert "have exactly disc and ring" in before
    page.screenshot(path=screenshots / "05-filter.png")
    # a click on a point of the plane makes it the anchor
    page.get_by_label("samples with", exact=True).select_option("any of them")
    before = wait_for_new_alt(page, 1, before)
    box = pictures.nth(1).bounding_box()
    for x, y in [(0.33, 0.5), (0.36, 0.48), (0.3, 0.55), (0.28, 0.6), (0.4, 0.52)]:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_timeout(400)
        after = pictures.nth(1).get_attribute("alt")
        if after != before:
            break
    assert "The anchor is sample" in after
    assert after.split("The anchor")[1] != before.split("The anchor")[1]
    page.screenshot(path=screenshots / "05-anchor.png")
    # the dial of the weight by key
    pictures.nth(4).scroll_into_view_if_needed()
    before = pictures.nth(4).get_attribute("alt")
    handle = page.get_by_role("slider", name="weight").first
    handle.focus()
    handle.press("End")
    wait_for_new_alt(page, 4, before)
    page.screenshot(path=screenshots / "05-weight.png")
    # another data set
    pictures.nth(5).scroll_into_view_if_needed()
    before = pictures.nth(5).get_attribute("alt")
    page.get_by_label("data", exact=True).select_option("yeast")
    assert wait_for_new_alt(page, 5, before).startswith("yeast")
    page.screenshot(path=screenshots / "05-losses.png")
    assert page.outside == []
