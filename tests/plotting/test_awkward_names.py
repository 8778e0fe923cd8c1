"""Names of classes and methods are drawn and written letter by letter, whatever they hold."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from matplotlib.figure import Figure

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import InvalidInput
from explore.plotting.export import script_json
from explore.plotting.figure_files import save_figure
from explore.plotting.texts import (
    PowerFormatter,
    clean_text,
    clean_texts,
    label_powers,
    lacks_glyphs,
    text_marker,
)

AWKWARD = ("$\\frac{$", "US$ and A$", "a$_b$", "a_b^2", "\\alpha{", "%s {0}", "<b>&\"'")


@pytest.fixture(scope="module")
def recording() -> xarray.Dataset:
    return open_recording(shipped("data/digits-dm.zarr.zip")).load().isel(step=slice(0, 3))


def with_class(recording: xarray.Dataset, name: str) -> xarray.Dataset:
    names = [name, *map(str, range(1, 10))]
    return recording.assign_coords(label=("label", np.array(names, object)))


def with_method(recording: xarray.Dataset, name: str) -> xarray.Dataset:
    return recording.assign_attrs(config={**recording.attrs["config"], "method": name})


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_is_drawn_as_it_is(name: str, recording: xarray.Dataset, tmp_path: Path) -> None:
    data = with_method(with_class(recording, name), name)
    text = save_figure("evolution", [data], {"label": name}, tmp_path / "a.svg").read_text("utf-8")
    drawn = html.unescape(text)
    assert drawn.count(name[:10]) >= 2, "the class above its image, the method above the mosaic"


@pytest.mark.parametrize("name", ["🐶", "日本", "a\tb", "a\x07b", "", " ", "a\nb"], ids=repr)
@pytest.mark.parametrize("kind", ["png", "svg", "html"])
def test_characters_that_the_font_lacks_are_no_error(
    name: str, kind: str, recording: xarray.Dataset, tmp_path: Path
) -> None:
    data = with_class(recording, name).isel(step=slice(0, 2))
    assert save_figure("evolution", [data], {"label": name}, tmp_path / f"a.{kind}").stat().st_size


def test_half_a_character_in_a_configuration_is_refused(
    recording: xarray.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="the configuration of the recording cannot be shown"):
        save_figure("evolution", [with_method(recording, "\ud800")], {}, tmp_path / "a.svg")


@pytest.mark.parametrize(
    "name", ["<!--<script>", "</script><b>", "%LAST%", "a\u2028b\u2029c", "\\u003c", "&lt;"]
)
def test_no_name_ends_or_opens_the_script_of_a_page(
    name: str, recording: xarray.Dataset, tmp_path: Path
) -> None:
    data = with_class(recording, name)
    page = save_figure("evolution", [data], {"label": name}, tmp_path / "a.html").read_text("utf-8")
    (line,) = re.findall(r"const frames = (.*), least = ", page)
    assert not set("<>&\u2028\u2029") & set(line)
    frames: list[list[str]] = json.loads(line)
    assert len(frames) == 3
    assert all(f"Class {name} of digits" in alt for _, _, alt in frames)
    assert page.count("<script") == page.count("</script>") == 1


def test_script_json_is_the_same_json() -> None:
    values: list[Any] = ["</script>", 1, None, "a\u2028", "ü\\u003c"]
    assert json.loads(script_json(values)) == values


@pytest.mark.parametrize("name", ['=HYPERLINK("http://a","x")', "+1+1", "-1+1", "@SUM(A1)", "\t=1"])
def test_a_name_is_no_formula_of_a_spreadsheet(
    name: str, recording: xarray.Dataset, tmp_path: Path
) -> None:
    path = save_figure("evolution", [with_method(recording, name)], {}, tmp_path / "a.csv")
    rows = path.read_text("utf-8").splitlines()[1:]
    assert rows
    assert all(row.lstrip('"')[0] == "'" for row in rows if not name.startswith("\t"))
    assert not any(row.lstrip('"').startswith(("=", "+", "-", "@", "\t")) for row in rows)


# ---- the parts


def test_powers_are_plain_text_in_place_of_tex() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="symlog", xlim=(1e-3, 1e3), ylim=(-100, 100))
    label_powers(figure)
    assert [axes.xaxis.get_major_formatter()(x) for x in (1e-3, 1.0, 100.0)] == [
        "10⁻³",
        "10⁰",
        "10²",
    ]
    y = axes.yaxis.get_major_formatter()
    assert [y(x) for x in (-100.0, 0.0, 10.0)] == ["−10²", "0", "10¹"]
    axes.set_xscale("log", base=2)
    label_powers(figure)
    assert axes.xaxis.get_major_formatter()(8.0) == "2³"
    assert PowerFormatter(labelOnlyBase=True)(2.0) == ""


def test_markers_have_the_form_of_their_text() -> None:
    wide, narrow = text_marker("M"), text_marker("l")
    assert np.ptp(wide.vertices[:, 0]) > np.ptp(narrow.vertices[:, 0])
    np.testing.assert_allclose(wide.vertices.max(0), -wide.vertices.min(0))
    assert len(text_marker(" ").vertices) == len(text_marker("").vertices) > 0


def test_texts_are_cleaned_where_they_have_to_be() -> None:
    names = np.array(["a\x07", "b"], object)
    data = xarray.Dataset({"x": ("n", names)}, {"n": names}, {"title": "\ud800!", "count": 3})
    cleaned = clean_texts(data)
    assert cleaned.n.values.tolist() == cleaned.x.values.tolist() == ["a\ufffd", "b"]
    assert cleaned.attrs == {"title": "\ufffd!", "count": 3}
    plain = data.isel(n=[1]).assign_attrs(title="US$ é 日")
    assert clean_texts(plain) is plain
    assert clean_text("line\nfeed") == "line\nfeed"
    assert lacks_glyphs(plain)
    assert not lacks_glyphs(plain.assign_attrs(title="µ₂ é\n"))
