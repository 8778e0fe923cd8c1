"""Dark pictures: light lines on a dark ground, with the same contrast, and images as they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from PIL import Image

from explore.plotting.dark import Canvas, dark_colour, dark_diagram
from explore.plotting.picture import Picture
from explore.plotting.style import PALETTE


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the contrast of two colours by WCAG 2.1."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def rgb(text: str) -> tuple[float, ...]:
    return tuple(int(text[k : k + 2], 16) / 255 for k in (1, 3, 5))


@pytest.mark.parametrize("name", PALETTE)
def test_every_colour_can_be_read_on_the_dark_ground(name: str) -> None:
    assert contrast(dark_colour(rgb(PALETTE[name])), dark_colour((1.0, 1.0, 1.0))) >= 4.5


def test_the_hue_stays_and_so_does_transparency() -> None:
    assert dark_colour((0.0, 0.0, 0.0, 0.25)) == pytest.approx((0.93, 0.93, 0.93, 0.25))
    red, green, blue = dark_colour((0.5, 0.0, 0.0))
    assert red > green == blue


def drawn(dark: bool, *artists: object, lines: bool = False) -> np.ndarray:
    """Return the pixels of a figure of one inch with some artists."""
    figure = Figure(figsize=(1, 1), dpi=100)
    canvas = Canvas(figure)
    canvas.dark = dark
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    for artist in artists:
        axes.add_artist(artist)
    if lines:
        axes.plot([0, 1], [0.5, 0.5], "k-", lw=10)
        axes.plot([0.5], [0.9], "ks", ms=12)
        axes.text(0.1, 0.1, "M", fontsize=30, color="black")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def test_lines_markers_and_texts_are_light_on_dark() -> None:
    pixels = drawn(True, lines=True)
    for row, column in ((50, 25), (10, 50)):
        assert pixels[row, column].min() > 220
    assert pixels[25, 10].max() < 40
    assert pixels[60:, :40].max() > 200, "the text"


def test_collections_are_dark_too() -> None:
    import matplotlib.path as paths

    square = paths.Path([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    dots = PathCollection([square], [1600], offsets=[(0.25, 0.5), (0.75, 0.5)], fc=["k", "w"])
    lines = LineCollection([[(0, 0.95), (1, 0.95)]], colors="black", linewidths=5)
    for artist in (dots, lines):
        figure_pixels = drawn(True, artist)
        assert figure_pixels.max() > 220
        assert figure_pixels[99, 99].max() < 60


def test_photographs_stay_and_diagrams_change() -> None:
    photograph = np.random.default_rng(0).integers(0, 256, (40, 40, 4), np.uint8)
    assert dark_diagram(photograph) is photograph
    diagram = np.full((40, 40, 4), 255, np.uint8)
    diagram[:20, :, :3] = 0
    dark = dark_diagram(diagram)
    assert dark[30, 0].tolist() == [23, 23, 23, 255]
    assert dark[0, 0].tolist() == [237, 237, 237, 255]
    assert diagram[30, 0, 0] == 255


def test_light_and_dark_do_not_disturb_each_other(any_picture: Picture) -> None:
    light = any_picture.png()
    dark = any_picture.png(dark=True)
    assert any_picture.png() == light
    assert any_picture.png(dark=True) == dark
    sizes = {Image.open(io.BytesIO(png)).size for png in (light, dark)}
    assert len(sizes) == 1


@pytest.fixture(params=["evolution", "reduction", "students"])
def any_picture(request: pytest.FixtureRequest) -> Picture:
    from picture_cases import PICTURES, case_of

    name = request.param
    assert name in PICTURES, f"one of {', '.join(PICTURES)}"
    picture_class, states = case_of(name)
    return picture_class(states[0])
