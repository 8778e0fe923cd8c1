"""Colours stand out on white and from one another; text is large enough."""

from itertools import combinations

from matplotlib.colors import to_rgb

from explore.plotting.style import (
    CELL_GREY,
    FRAME_GREY,
    LABEL_GREY,
    MARKERS,
    PALETTE,
    SEQUENTIAL,
    STYLE,
    TEXT_PALETTE,
    text_colour,
)


def luminance(colour: str) -> float:
    """Return the relative luminance that WCAG 2.2 defines."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_every_colour_has_the_contrast_that_graphics_need() -> None:
    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in PALETTE.values())


def test_text_has_the_contrast_that_reading_needs_on_white_and_on_cells() -> None:
    cell = luminance(CELL_GREY) + 0.05
    for colour in (*TEXT_PALETTE.values(), FRAME_GREY, LABEL_GREY):
        assert min(1.05, cell) / (luminance(colour) + 0.05) >= 4.5, colour
    assert list(map(text_colour, PALETTE.values())) == list(TEXT_PALETTE.values())


def test_no_two_colours_share_a_marker() -> None:
    assert len(set(MARKERS.values())) == len(MARKERS)
    assert all(a != b for a, b in combinations(PALETTE.values(), 2))


def test_text_is_at_least_nine_points() -> None:
    assert all(value >= 9 for name, value in STYLE.items() if name.endswith("size"))


def test_maps_are_never_jet() -> None:
    assert SEQUENTIAL in ("viridis", "cividis")
