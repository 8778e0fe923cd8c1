"""Every picture of every topic: an update equals a new picture pixel for pixel; every format works."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.text import Text
from picture_cases import PICTURES, case_of
from PIL import Image

from explore.core.registry import figures
from explore.plotting.export import palette_png, save
from explore.plotting.picture import Picture

Case = tuple[type[Picture], list[xarray.Dataset]]


UNCHANGING = {
    "explore.distill.figures.gradient_costs:GradientCosts",
    "explore.mixtures.figures.cost:Costs",
}
"""Pictures of measured times, which have no states."""


def test_every_figure_of_the_registry_has_a_case() -> None:
    cases = {picture_class for picture_class, _ in PICTURES.values()} | UNCHANGING
    assert {row.picture for row in figures().values()} <= cases


def quick_cases() -> list[Any]:
    """Return the names of all cases; further cases of the same picture class are marked slow."""
    seen: set[str] = set()
    names = []
    for name, (picture_class, _) in PICTURES.items():
        marks = [pytest.mark.slow] if picture_class in seen else []
        names.append(pytest.param(name, marks=marks))
        seen.add(picture_class)
    return names


@pytest.fixture(params=quick_cases())
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def test_an_update_equals_a_new_picture_pixel_for_pixel(case: Case) -> None:
    picture_class, states = case
    picture = picture_class(states[0])
    picture.png()
    for data in [*states[1:], states[0]]:
        assert picture.fits(data)
        picture.update(data)
        assert picture.png() == picture_class(data).png()


def test_different_states_have_different_pictures_and_texts(case: Case) -> None:
    picture_class, states = case
    pictures = [picture_class(data) for data in states]
    assert len({picture.png() for picture in pictures}) == len(states)
    texts = [picture.describe(data) for picture, data in zip(pictures, states, strict=True)]
    assert len(set(texts)) == len(states)
    assert all(20 < len(text) < 600 and "nan" not in text for text in texts)


@pytest.mark.slow
def test_every_format_is_written_and_changes_nothing_on_the_screen(
    case: Case, tmp_path: Path
) -> None:
    picture_class, states = case
    picture = picture_class(states[1])
    png = picture.png()
    for suffix, start in {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "csv": b""}.items():
        content = save(picture, states[1], tmp_path / f"picture.{suffix}").read_bytes()
        assert len(content) > 20
        assert content.startswith(start)
        assert picture.png() == png


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["svg", "pdf"])  # which could contain dates and random names
def test_files_of_the_same_picture_are_equal(case: Case, suffix: str, tmp_path: Path) -> None:
    picture_class, states = case
    first, second = (
        save(picture_class(states[1]), states[1], tmp_path / f"{n}.{suffix}").read_bytes()
        for n in range(2)
    )
    assert first == second


def test_targets_lie_on_the_picture_and_have_a_label_and_a_state(case: Case) -> None:
    picture_class, states = case
    for target in picture_class(states[0]).targets(states[0]):
        assert -0.001 <= target.left < target.right <= 1.001
        assert -0.001 <= target.top < target.bottom <= 1.001
        assert target.label
        assert target.state


def test_all_text_has_at_least_nine_points(case: Case) -> None:
    picture_class, states = case
    texts = picture_class(states[0]).figure.findobj(Text)
    assert min(text.get_fontsize() for text in texts if text.get_text()) >= 9


def test_the_settings_of_the_reader_do_not_change(case: Case) -> None:
    picture_class, states = case
    settings = dict(mpl.rcParams)
    picture_class(states[0]).png()
    assert dict(mpl.rcParams) == settings


def test_the_settings_of_the_reader_do_not_change_when_two_threads_draw() -> None:
    picture_class, states = case_of("untrained")
    settings = dict(mpl.rcParams)

    def draw() -> None:
        for _ in range(8):
            picture_class(states[0]).png()

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert dict(mpl.rcParams) == settings


def test_a_png_with_a_palette_is_small_and_has_nearly_the_same_colours(case: Case) -> None:
    picture_class, states = case
    picture = picture_class(states[0])
    small, full = palette_png(picture), picture.png()
    assert len(small) < min(120_000, len(full))
    pixels = (
        np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int) for png in (small, full)
    )
    difference = abs(next(pixels) - next(pixels))
    assert np.quantile(difference, 0.999) <= 16
    assert difference.max() <= 48


def is_empty(artist: Any) -> bool:
    """Return whether an artist has nothing to draw in this state."""
    if not artist.get_visible():
        return True
    if isinstance(artist, Text):
        return not artist.get_text()
    if isinstance(artist, Line2D):
        return not np.isfinite(np.asarray(artist.get_ydata(), float)).any()
    return isinstance(artist, LineCollection) and not artist.get_segments()


@pytest.mark.slow
def test_files_contain_every_moving_artist(case: Case) -> None:
    """Without one of its moving artists, the file differs. Matplotlib omits animated texts."""
    picture_class, states = case
    picture = picture_class(states[1])

    def file() -> bytes:
        buffer = io.BytesIO()
        picture.write(buffer, "png", 60)
        return buffer.getvalue()

    complete = file()
    artists = picture.figure.findobj(lambda artist: artist.get_animated())
    for artist in artists:
        if is_empty(artist):
            continue
        artist.set_visible(False)
        assert file() != complete, artist
        artist.set_visible(True)
    assert artists == picture.figure.findobj(lambda artist: artist.get_animated())
