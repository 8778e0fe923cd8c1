"""What every explorer has on the page: names for screen readers, keys, Play, buttons, a least size, and dark pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from .conftest import SLIDER, open_notebook, run_all_cells, wait_for_alt

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280), pytest.mark.slow]

CODE = """\
from explore.mixtures import lab
lab.by_hand()
--
from explore.distill import lab as attention
attention.one_run("digits")
"""


@pytest.fixture(scope="module")
def notebook(notebooks: Path) -> str:
    cells = [nbformat.v4.new_code_cell(code.strip()) for code in CODE.split("--\n")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(content, notebooks / "page.ipynb")
    return "page.ipynb"


@pytest.fixture
def figures(page: Any, server: str, notebook: str) -> Any:
    """Return the two explorers, running."""
    open_notebook(page, server, notebook)
    run_all_cells(page)
    page.wait_for_function(
        "document.querySelectorAll('.explore-figure img').length >= 2", timeout=90_000
    )
    page.wait_for_timeout(800)
    return page.locator(".explore-figure")


def test_sliders_have_names_and_values_and_obey_all_keys(page: Any, figures: Any) -> None:
    slider = page.get_by_role("slider", name="step", exact=True)
    values = []
    for key in ("End", "ArrowLeft", "Home", "ArrowRight", "PageUp", "PageDown"):
        slider.press(key)
        values.append(slider.get_attribute("aria-valuetext"))
    last, before, first, second, far, back = (int(text.replace(",", "")) for text in values)
    assert first == 0 < second < far < before < last
    assert back == second
    wait_for_alt(page, 1, f"at step {second}:")
    names = [figure.get_attribute("aria-label") for figure in page.locator(SLIDER).all()]
    assert all(names)


def test_play_moves_to_the_end_and_can_be_paused(page: Any, figures: Any) -> None:
    slider = page.get_by_role("slider", name="step", exact=True)
    slider.press("Home")
    row = page.locator(".explore-slider-row", has=slider)
    row.get_by_label("speed of Play").select_option("fast")
    row.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "([selector]) => [...document.querySelectorAll(selector)].some("
        "s => s.getAttribute('aria-label') === 'step' && Number(s.value) >= 3)",
        arg=[SLIDER],
    )
    row.get_by_role("button", name="Pause").click()
    stopped = slider.get_attribute("aria-valuetext")
    page.wait_for_timeout(500)
    assert slider.get_attribute("aria-valuetext") == stopped
    slider.press("End")
    row.get_by_role("button", name="Play").click()  # It begins again.
    page.wait_for_timeout(200)
    assert int(slider.evaluate("slider => slider.value")) < int(slider.get_attribute("max"))


def test_a_drag_can_be_undone_and_everything_reset(page: Any, figures: Any) -> None:
    picture = figures.nth(0).locator("img")
    start = picture.get_attribute("alt")
    page.get_by_role("slider", name="shift").press("ArrowRight")
    page.wait_for_function(
        "alt => document.querySelector('.explore-figure img').alt != alt", arg=start
    )
    figures.nth(0).get_by_role("button", name="Reset").click()
    wait_for_alt(page, 0, start)
    assert figures.nth(0).get_by_role("button", name="Undo").count() == 1
    assert figures.nth(1).get_by_role("button", name="Undo").count() == 0


def test_the_state_is_copied_and_the_picture_downloaded(page: Any, figures: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("slider", name="step", exact=True).press("Home")
    wait_for_alt(page, 1, "at step 0:")
    figures.nth(1).get_by_role("button", name="Copy state").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "attention.one_run(\"digits\").set(step=0, label='0')"
    page.get_by_text("copied: attention.one_run").wait_for()
    figures.nth(1).get_by_label("format of the saved picture").select_option("csv")
    with page.expect_download() as download:
        figures.nth(1).get_by_role("button", name="Save as").click()
    assert download.value.suggested_filename == "attention-step-0-label-0.csv"
    assert "," in Path(download.value.path()).read_text(encoding="utf-8")


def test_the_value_under_the_pointer_is_shown(page: Any, figures: Any) -> None:
    picture = figures.nth(1).locator("img")
    picture.evaluate("image => image.scrollIntoView({block: 'end'})")
    page.wait_for_timeout(300)
    box = picture.bounding_box()
    tip = figures.nth(1).locator(".explore-tip")
    for height in (0.7, 0.75, 0.8, 0.85, 0.9):
        for share in (0.4, 0.401):  # The first movement enters the picture.
            page.mouse.move(box["x"] + share * box["width"], box["y"] + height * box["height"])
            page.wait_for_timeout(300)
        if tip.is_visible():
            break
    assert "step" in tip.text_content()
    page.mouse.move(2, 2)
    page.wait_for_timeout(200)
    assert not tip.is_visible()


@pytest.mark.parametrize("width", [400, 1000, 1400])
def test_text_has_at_least_nine_pixels_at_every_width(
    page: Any, figures: Any, width: int, screenshots: Path
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.keyboard.press("Control+b")  # hides the list of files
    page.wait_for_timeout(500)
    figures.nth(1).scroll_into_view_if_needed()
    page.screenshot(path=screenshots / f"explorer-{width}.png")
    picture = figures.nth(1).locator("img")
    scale = picture.evaluate("image => image.getBoundingClientRect().width / image.naturalWidth")
    assert 9 <= scale * 9 * 100 / 72 <= 12.6
    inner, outer = figures.nth(1).evaluate("figure => [figure.scrollWidth, figure.clientWidth]")
    assert inner <= outer + 1, "the picture scrolls, not the page"


def test_a_dark_page_has_dark_pictures(page: Any, figures: Any, screenshots: Path) -> None:
    def corner() -> tuple[int, ...]:
        png = (
            figures.nth(1)
            .locator("img")
            .evaluate(
                "async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
            )
        )
        return Image.open(io.BytesIO(bytes(png))).convert("RGB").getpixel((1, 1))

    assert min(corner()) > 240
    for is_light, limits in (("false", (0, 60)), ("true", (240, 255))):
        # JupyterLab sets this attribute when its theme changes.
        page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", is_light)
        page.wait_for_timeout(1500)
        page.screenshot(path=screenshots / f"explorer-light-{is_light}.png")
        assert all(limits[0] <= part <= limits[1] for part in corner())


def test_each_description_is_said_once(page: Any, figures: Any) -> None:
    figure = figures.nth(1)
    alt = figure.locator("img").get_attribute("alt")
    page.wait_for_timeout(6000)  # The line that is spoken when a slider rests is gone by then.
    tree = figure.aria_snapshot()
    assert tree.count(alt[:60]) == 1
