"""The lab of sparse convolution as a reader meets it: a value, a slider by keyboard, a layer, a channel, and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import SLIDER, open_notebook, run_all_cells, wait_for_alt, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

COUNT = "document.querySelectorAll('.explore-figure img').length"


def test_the_lab_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_07_nze_patterns.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 5", timeout=150_000)
    figures, pictures = page.locator(".explore-figure"), page.locator(".explore-figure img")
    # a value is clicked on the picture, and every copy lights up
    pictures.nth(0).scroll_into_view_if_needed()
    before = pictures.nth(0).get_attribute("alt")
    assert "No value is chosen yet" in before
    figures.nth(0).get_by_role("button", name="value 5 in row 2, column 4", exact=True).click()
    after = wait_for_new_alt(page, 0, before)
    assert "im2col 4 times, MEC twice, CSCC twice, CPO once, CPS once" in after
    page.screenshot(path=screenshots / "07-copies.png")
    # the same values shuffled: fewer of them by keyboard
    pictures.nth(1).scroll_into_view_if_needed()
    predictions = page.get_by_label("your prediction")
    predictions.nth(0).select_option("CPO stays, CPS grows by less than 10%")
    wait_for_alt(page, 1, "density 50.2%")
    handle = page.locator(SLIDER).nth(1)
    handle.focus()
    for _ in range(4):
        handle.press("ArrowRight")
    after = wait_for_alt(page, 1, "density 10.0%")
    assert "CPO: 40,230 bytes as they are, 40,230 shuffled (+0%)" in after
    page.screenshot(path=screenshots / "07-shuffled.png")
    # a convolution and a channel are chosen on the picture
    pictures.nth(2).scroll_into_view_if_needed()
    before = pictures.nth(2).get_attribute("alt")
    figures.nth(2).get_by_role("button", name="convolution 5, 14", exact=True).focus()
    page.keyboard.press("Enter")
    after = wait_for_new_alt(page, 2, before)
    assert "convolution 5 (14): map 32×16×16" in after
    figures.nth(2).get_by_role("button", name="channel 8", exact=True).click()
    assert "Channel 8:" in wait_for_new_alt(page, 2, after)
    page.screenshot(path=screenshots / "07-patterns.png")
    # published networks
    pictures.nth(3).scroll_into_view_if_needed()
    before = pictures.nth(3).get_attribute("alt")
    figures.nth(3).get_by_role("button", name="convolution 19, layer3.2.conv2", exact=True).click()
    assert "convolution 19 (layer3.2.conv2): map 64×8×8" in wait_for_new_alt(page, 3, before)
    page.screenshot(path=screenshots / "07-published.png")
    # time over density, measured on this machine
    pictures.nth(4).scroll_into_view_if_needed()
    predictions.nth(1).select_option("at 5%, not at 50%")
    wait_for_alt(page, 4, "measured on")
    page.get_by_role("button", name="Measure here", exact=True).click()
    wait_for_alt(page, 4, "measured here")
    page.screenshot(path=screenshots / "07-times.png")
    assert page.outside == []
