"""The graph lab as a reader meets it: a guess, a step, and a graph edited by pointer and keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import SLIDER, open_notebook, run_all_cells, wait_for_new_alt

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

COUNT = "document.querySelectorAll('.explore-figure img').length"


def test_the_lab_runs_and_answers(page: Any, server: str, screenshots: Path) -> None:
    open_notebook(page, server, "bare_03_graph_attention.ipynb")
    run_all_cells(page)
    page.wait_for_function(f"{COUNT} >= 5", timeout=200_000)
    figures, pictures = page.locator(".explore-figure"), page.locator(".explore-figure img")
    # a guess reveals the changed edges
    pictures.nth(0).scroll_into_view_if_needed()
    before = pictures.nth(0).get_attribute("alt")
    assert "the real graph that it starts from" in before
    page.get_by_label("your prediction").first.select_option("none")
    assert "of the start" in wait_for_new_alt(page, 0, before)
    page.screenshot(path=screenshots / "03-guess.png")
    # the step slider by keyboard
    pictures.nth(1).scroll_into_view_if_needed()
    before = pictures.nth(1).get_attribute("alt")
    handle = page.locator(SLIDER).nth(0)
    handle.focus()
    handle.press("End")
    assert "step 300: of" in wait_for_new_alt(page, 1, before)
    page.screenshot(path=screenshots / "03-step.png")
    # another set of graphs
    pictures.nth(2).scroll_into_view_if_needed()
    before = pictures.nth(2).get_attribute("alt")
    page.get_by_label("graphs", exact=True).select_option("PROTEINS")
    assert wait_for_new_alt(page, 2, before).startswith("PROTEINS, 1 per class")
    page.screenshot(path=screenshots / "03-accuracies.png")
    # a node by pointer, another from the list, and an edge by a button that is pressed by key
    pictures.nth(3).scroll_into_view_if_needed()
    before = pictures.nth(3).get_attribute("alt")
    figures.nth(3).get_by_role("button", name="node 3", exact=True).first.click()
    after = wait_for_new_alt(page, 3, before)
    assert "Node 3 is selected." in after
    page.get_by_label("other node").select_option("12")
    page.get_by_role("button", name="Join or part", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img')[3].alt.includes('nodes 3 and 12')"
    )
    page.screenshot(path=screenshots / "03-edited.png")
    after = pictures.nth(3).get_attribute("alt")
    page.get_by_role("button", name="Undo", exact=True).focus()
    page.keyboard.press("Enter")
    assert "Last edit" not in wait_for_new_alt(page, 3, after)
    # two clicks join two nodes
    source = pictures.nth(3).get_attribute("src")
    page.get_by_label("a click on a node").select_option("joins it or parts it")
    # JupyterLab may send the messages of two widgets to two threads of the kernel.
    page.wait_for_function(
        "old => document.querySelectorAll('.explore-figure img')[3].src != old", arg=source
    )
    figures.nth(3).get_by_role("button", name="node 15", exact=True).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img')[3].alt.includes('nodes 3 and 15')"
    )
    page.screenshot(path=screenshots / "03-joined.png")
    pictures.nth(4).scroll_into_view_if_needed()
    assert "AUROC for the nodes of the motif" in pictures.nth(4).get_attribute("alt")
    page.screenshot(path=screenshots / "03-motif.png")
    assert page.outside == []
