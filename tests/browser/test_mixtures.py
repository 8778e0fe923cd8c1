"""The mixture lab as a reader meets it: choosing a pair, stepping by keyboard, dragging a component by pointer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import SLIDER, open_notebook, run_all_cells, wait_for_alt, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

COUNT = "document.querySelectorAll('.explore-figure img').length"


def test_the_lab_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_06_mixture_reduction.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 7", timeout=150_000)
    figures, pictures = page.locator(".explore-figure"), page.locator(".explore-figure img")
    # a pair is chosen on the picture
    pictures.nth(0).scroll_into_view_if_needed()
    before = pictures.nth(0).get_attribute("alt")
    assert "No pair is chosen yet" in before
    figures.nth(0).get_by_role("button", name="merge 2 and 4", exact=True).click()
    after = wait_for_new_alt(page, 0, before)
    assert "your pair: 2 and 4" in after
    assert "Runnalls: 2 and 3, angle 0.2358" in after
    page.screenshot(path=screenshots / "06-pair.png")
    # the path by keyboard
    pictures.nth(1).scroll_into_view_if_needed()
    handle = page.locator(SLIDER).first
    handle.focus()
    for _ in range(3):
        handle.press("ArrowRight")
    wait_for_alt(page, 1, "3 components")
    page.screenshot(path=screenshots / "06-path.png")
    # a component dragged by its handle
    detour = pictures.nth(3)
    detour.scroll_into_view_if_needed()
    before = detour.get_attribute("alt")
    box = detour.bounding_box()
    assert "at 0.48" in before
    x, y = handle_at(box)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 2, steps=8)
    page.mouse.up()
    after = wait_for_new_alt(page, 3, before)
    assert "at 0.48" not in after
    assert "angle, rad 0," not in after
    page.screenshot(path=screenshots / "06-dragged.png")
    # and another one chosen by its dot: a click that does not move is no drag
    figures.nth(3).get_by_role("button", name="component 9", exact=True).click()
    assert wait_for_new_alt(page, 3, after).startswith("Component 9 of 10")
    assert page.outside == []


def handle_at(box: dict[str, float]) -> tuple[float, float]:
    """Return the position of the centre handle of the heaviest component on the page."""
    import numpy as np

    from explore.mixtures import lab

    explorer = lab.by_hand()
    picture, data = explorer.picture, explorer.data
    position = picture.handles(data)["centre"]
    fraction = picture.figure.transFigure.inverted().transform(
        picture.axes.transData.transform(position)
    )
    assert np.all((fraction > 0) & (fraction < 1))
    return box["x"] + fraction[0] * box["width"], box["y"] + (1 - fraction[1]) * box["height"]
