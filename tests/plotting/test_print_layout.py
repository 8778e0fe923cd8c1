"""Pictures for print: exact widths, one size of text, embedded fonts, panels, metadata."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas
import pytest
import xarray
from matplotlib.lines import Line2D
from picture_cases import PICTURES, case_of
from PIL import Image

from explore.errors import ExploreWarning, InvalidInput, UnknownName
from explore.plotting.figure_files import draw_figure, save_figure
from explore.plotting.frame import add_heading
from explore.plotting.picture import Picture
from explore.plotting.print_layout import MARGIN, PrintLayout, parse_width, print_picture
from explore.plotting.print_sizes import extent


class Walk(Picture):
    """A curve with a legend, a map with a colour bar, a heading, a hint and a ring."""

    size = (9.0, 4.0)
    title = "A walk"

    def build(self, data: xarray.Dataset) -> None:
        self._heading = add_heading(self, 0.95)
        self.furniture(self.figure.text(0.7, 0.95, "(click a place)"))
        axes = self.figure.add_axes((0.1, 0.15, 0.5, 0.7))
        axes.set(xlabel="step", ylabel="place", title="Where the walk is")
        axes.plot(data["place"].values, label="walk", lw=2.0)
        axes.plot(data["place"].values + 1, label="walk, one place higher", lw=2.0)
        axes.legend(loc="center")
        (ring,) = axes.plot([], [], "o", ms=14, mfc="none")
        self._ring = self.furniture(self.moving(ring))
        map_axes = self.figure.add_axes((0.7, 0.15, 0.2, 0.7))
        image = map_axes.imshow(np.arange(12).reshape(3, 4))
        bar_axes = self.figure.add_axes((0.92, 0.15, 0.02, 0.7))
        self.figure.colorbar(image, cax=bar_axes, label="height")
        self.panel("curve", axes)
        self.panel("map", map_axes, bar_axes)

    def show(self, data: xarray.Dataset) -> None:
        self._heading.set_text("The walk goes up and down, and this is a sentence.")
        self._ring.set_data([3], [data["place"].values[3]])

    def describe(self, data: xarray.Dataset) -> str:
        return f"A walk of {data.sizes['step']} steps, “there and back”."

    def table(self, data: xarray.Dataset) -> pandas.DataFrame:
        return pandas.DataFrame({"place": data["place"].values.astype(np.float32) / 3})


WALK = xarray.Dataset({"place": ("step", np.array([0, 1, 2, 1, 0, -1]))})


def printed(**layout: Any) -> Any:
    return print_picture(Walk, WALK, PrintLayout(**{"width": 7.0, "plain": True, **layout}))


def written(picture: Any, kind: Any = "pdf", **fields: Any) -> bytes:
    buffer = io.BytesIO()
    picture.write(buffer, kind, 300, fields)
    return buffer.getvalue()


def pdf_streams(content: bytes) -> bytes:
    """Return all streams of a PDF that can be decompressed."""
    found = []
    for match in re.finditer(rb"stream\n(.*?)endstream", content, re.DOTALL):
        try:
            found.append(zlib.decompress(match[1].strip(b"\n")))
        except zlib.error:
            continue
    return b"\n".join(found)


def words(picture: Any) -> set[str]:
    return {text.words for text in picture.texts}


# ---- sizes


@pytest.mark.parametrize(("text", "points"), [("3.3in", 237.6), ("84mm", 238.11), ("7in", 504)])
@pytest.mark.parametrize("panel", ["", "curve", "map"])
def test_a_pdf_is_exactly_as_wide_as_asked_for(text: str, points: float, panel: str) -> None:
    layout = PrintLayout(parse_width(text), 6, True, panel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExploreWarning)
        content = written(print_picture(Walk, WALK, layout))
    (box,) = re.findall(rb"/MediaBox \[ ([\d. ]+) \]", content)
    left, bottom, right, _ = map(float, box.split())
    assert (left, bottom) == (0, 0)
    assert right == pytest.approx(points, abs=0.01)


def test_a_png_has_300_pixels_an_inch_and_an_svg_its_points() -> None:
    assert Image.open(io.BytesIO(written(printed(width=3.3, panel="map"), "png"))).width == 990
    root = ElementTree.fromstring(written(printed(width=3.3, panel="map"), "svg"))
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(237.6, abs=0.01)


@pytest.mark.parametrize("size", [6, 8, 9.5])
@pytest.mark.parametrize("panel", ["", "curve", "map"])
def test_every_text_of_a_pdf_has_the_size_that_was_asked_for(size: float, panel: str) -> None:
    picture = printed(font_size=size, panel=panel)
    assert {text.size for text in picture.texts} == {size}
    sizes = re.findall(rb"/F\d+ ([\d.]+) Tf", pdf_streams(written(picture)))
    assert len(sizes) > 5
    assert {float(value) for value in sizes} == {size}


def test_lines_and_markers_are_in_proportion_to_the_text() -> None:
    def lines(size: float) -> list[Line2D]:
        return printed(font_size=size).picture.figure.axes[0].get_lines()

    for small, large in zip(lines(5), lines(10), strict=True):
        assert 2 * small.get_linewidth() == pytest.approx(large.get_linewidth())
        assert 2 * small.get_markersize() == pytest.approx(large.get_markersize())
    assert lines(10)[0].get_linewidth() == pytest.approx(2.0)


def test_fonts_are_embedded_as_truetype() -> None:
    content = written(printed())
    assert b"/FontFile2" in content
    assert b"/CIDFontType2" in content
    assert b"/Type3" not in content


def test_the_whole_picture_fills_the_width_and_no_strip_is_left_where_the_heading_was() -> None:
    picture = printed()
    drawn = extent(picture.picture)
    assert drawn.width == pytest.approx(7 - 2 * MARGIN, abs=0.03)
    assert picture.box.y1 - drawn.y1 == pytest.approx(MARGIN)
    assert picture.box.height < printed(plain=False).box.height - 0.1


# ---- what is drawn


def test_plain_leaves_out_what_only_a_screen_needs() -> None:
    heading, hint = "The walk goes up and down, and this is a sentence.", "(click a place)"
    assert {heading, hint} <= words(printed(plain=False))
    assert not {heading, hint} & words(printed())
    assert "Where the walk is" in words(printed())
    rings = [line for line in printed().picture.figure.axes[0].get_lines() if line.get_visible()]
    assert len(rings) == 2


def test_a_panel_is_drawn_alone_and_fills_the_file() -> None:
    curve, plan = printed(width=3.3, panel="curve"), printed(width=3.3, panel="map")
    assert {"step", "place", "Where the walk is", "walk"} <= words(curve)
    assert "height" not in words(curve)
    assert "height" in words(plan)
    assert "step" not in words(plan)
    for picture in (curve, plan):
        assert extent(picture.picture).width == pytest.approx(3.3 - 2 * MARGIN, abs=0.03)
        assert picture.problems == []


def test_a_legend_that_would_cover_a_curve_is_moved() -> None:
    (legend,) = [
        part
        for part in printed(width=3.3, panel="curve").picture.figure.axes[0].get_children()
        if type(part).__name__ == "Legend"
    ]
    axes = legend.axes
    box = legend.get_window_extent()
    inside = axes.get_window_extent().contains(*box.get_points().mean(axis=0))
    points = [line.get_transform().transform(line.get_xydata()) for line in axes.get_lines()[:2]]
    assert not (inside and any(box.count_contains(values) for values in points))


def test_a_map_keeps_its_proportions() -> None:
    box = printed(width=3.3, panel="map").picture.figure.axes[1].get_window_extent()
    assert box.height / box.width == pytest.approx(3 / 4)


def test_a_long_title_is_broken_into_lines() -> None:
    class Long(Walk):
        def build(self, data: xarray.Dataset) -> None:
            super().build(data)
            self.figure.axes[0].set_title("This title is much longer than a column is wide. " * 2)

    picture = print_picture(Long, WALK, PrintLayout(3.3, 8, True, "curve"))
    assert picture.problems == []
    assert sum("title" in text or "column" in text for text in words(picture)) >= 2


def test_numbers_under_an_axis_are_thinned_but_names_are_not() -> None:
    class Many(Walk):
        labels: Any = staticmethod(lambda k: f"{1000 + k}")

        def build(self, data: xarray.Dataset) -> None:
            super().build(data)
            self.figure.axes[0].set_xticks(range(20), [self.labels(k) for k in range(20)])

    class Named(Many):
        labels: Any = staticmethod(lambda k: f"class {k}")

    layout = PrintLayout(3.3, 8, True, "curve")
    drawn = words(print_picture(Many, WALK, layout))
    assert "1000" in drawn
    assert "1001" not in drawn
    with pytest.warns(ExploreWarning, match="'class 0' overlaps 'class 1' and"):
        print_picture(Named, WALK, layout)


def test_texts_that_do_not_fit_are_said_with_a_width_and_the_panels() -> None:
    class Crowded(Walk):
        def build(self, data: xarray.Dataset) -> None:
            super().build(data)
            for k in range(6):
                self.figure.text(0.1 + 0.1 * k, 0.02, f"number {k}")

    with pytest.warns(ExploreWarning) as record:
        print_picture(Crowded, WALK, PrintLayout(3.3, 8, True))
    text = str(record[0].message)
    assert re.match(r"texts do not fit at 3\.3 in: '.*' overlaps '.*' and \d+ more; print", text)
    assert "print one panel (curve, map) or use a width of" in text
    width = float(re.search(r"width of ([\d.]+) in", text)[1])  # type: ignore[index]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        print_picture(Crowded, WALK, PrintLayout(width, 8, True))


# ---- metadata


LAYOUT = PrintLayout(3.3, 8, True)
COMMAND = "explore figure detour --width 3.3in"


@pytest.mark.parametrize("layout", [None, PrintLayout(7, 8, True)])
@pytest.mark.parametrize("kind", ["pdf", "png", "svg"])
def test_files_name_their_content_data_and_command_and_are_reproducible(
    layout: PrintLayout | None, kind: str, tmp_path: Path
) -> None:
    command = "explore figure untrained --width 7in"
    first, second = (
        save_figure("untrained", None, {"network": 3}, tmp_path / f"{k}.{kind}", layout, command)
        for k in range(2)
    )
    assert first.read_bytes() == second.read_bytes()
    caption = draw_figure("untrained", None, {"network": 3}).caption
    content = first.read_bytes()
    origin = "untrained: data digits, seed 0"
    if kind == "png":
        fields = Image.open(io.BytesIO(content)).info
        assert fields["Description"] == caption
        assert fields["Source"] == command
        assert fields["Comment"] == origin
    elif kind == "svg":
        texts = [element.text for element in ElementTree.fromstring(content).iter()]
        assert {caption, command, origin} <= set(texts)
        assert b"<dc:date>" not in content
    else:
        assert b"/CreationDate" not in content
        assert f"/Keywords ({origin}; {command})".encode() in content
        assert b"/Subject (" + caption[:30].encode() in content


def test_characters_outside_of_latin_are_in_the_metadata_of_every_format() -> None:
    caption = Walk(WALK).describe(WALK)
    content = written(printed(), "png", Description=caption)
    assert Image.open(io.BytesIO(content)).info["Description"] == caption
    assert written(printed(), "pdf", Subject=caption)


def test_a_table_has_six_digits_and_no_rounding_errors(tmp_path: Path) -> None:
    path = save_figure("detour", None, {}, tmp_path / "a.csv")
    table = pandas.read_csv(path)
    for text in path.read_text(encoding="utf-8").replace("\n", ",").split(","):
        if re.fullmatch(r"-?[\d.]+(e-?\d+)?", text):
            assert len(re.sub(r"e.*|[-.]|^-?0\.0*", "", text)) <= 6
            assert not re.search(r"e-1\d", text)
    assert len(table) > 3


# ---- errors


@pytest.mark.parametrize("text", ["3.3", "wide", "-3in", "3.3 inches", "", "1e3in"])
def test_a_width_needs_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(InvalidInput, match="a number with a unit"):
        parse_width(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.5}, "width must be a number of at least 1 and of at most 20, got 0.5"),
        ({"width": 3.3, "font_size": 90}, "font_size must be a number of at least 4"),
        ({"width": "3.3in"}, "width must be a number"),
        ({"width": 3.3, "plain": 1}, "plain"),
        ({"width": 3.3, "panel": 3}, "panel"),
    ],
)
def test_an_impossible_layout_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        PrintLayout(**options)


def test_an_unknown_panel_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="unknown panel 'curves'; known: curve, map"):
        printed(panel="curves")

    class Bare(Walk):
        def panel(self, name: str, *axes: Any) -> None:
            """Name nothing."""

    with pytest.raises(InvalidInput, match="has no panels; print the whole picture"):
        print_picture(Bare, WALK, PrintLayout(3.3, panel="curve"))


@pytest.mark.parametrize("name", ["a.csv", "a.html"])
def test_a_layout_is_for_pictures_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="are for pdf, png, svg, got"):
        save_figure("detour", None, {}, tmp_path / name, LAYOUT)


# ---- all pictures


def one_case_of_each_class() -> list[Any]:
    first: dict[str, str] = {}
    for name, (picture_class, _) in PICTURES.items():
        first.setdefault(picture_class, name)
    return [pytest.param(name, marks=[pytest.mark.slow]) for name in first.values()]


WIDER = {"formats": 8.5, "nze": 8.5, "neighbours": 10}
"""Pictures with more texts than a page of seven inches has room for, and a width that suffices."""


@pytest.mark.parametrize("name", one_case_of_each_class())
def test_every_picture_fits_into_the_width_of_a_page(name: str) -> None:
    picture_class, states = case_of(name)
    width = WIDER.get(name, 7)
    picture = print_picture(picture_class, states[1], PrintLayout(width, 8, True))
    assert picture.box.width == pytest.approx(width)
    assert {text.size for text in picture.texts} == {8}
    assert picture.problems == []


@pytest.mark.parametrize("name", one_case_of_each_class())
def test_every_panel_can_be_printed_alone(name: str) -> None:
    picture_class, states = case_of(name)
    for panel in picture_class(states[1]).panels:
        assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", panel)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExploreWarning)  # Some tables need more than a column.
            picture = print_picture(picture_class, states[1], PrintLayout(3.3, 8, True, panel))
        assert {text.size for text in picture.texts} <= {8}
        assert extent(picture.picture).width < 3.3 or picture.problems
