"""Figures of recordings as files, and offline HTML pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from picture_cases import case_of

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import InvalidInput, UnknownName
from explore.plotting.export import save, select_evenly, write_html
from explore.plotting.figure_files import save_figure


def test_unknown_formats_and_states_are_named(tmp_path: Path) -> None:
    picture_class, (data, *_) = case_of("untrained")
    with pytest.raises(UnknownName, match="known: csv, html, pdf, png, svg"):
        save(picture_class(data), data, tmp_path / "a.jpg")
    recording = open_recording(shipped("data/digits-dm.zarr.zip"))
    with pytest.raises(InvalidInput, match="has no state 'foo'; it has step, label, by"):
        save_figure("evolution", [recording], {"foo": 1}, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "file", "label", "positions"),
    [
        ("softened", "students-skd", "temperature", 17),
        ("label_bits", "students-skd", "temperature", 17),
        ("students", "digits-students", "width", 6),
    ],
)
def test_the_slider_of_a_page_is_the_slider_of_the_figure(
    name: str, file: str, label: str, positions: int, tmp_path: Path
) -> None:
    recording = open_recording(shipped(f"data/{file}.zarr.zip"))
    page = save_figure(name, [recording], {}, tmp_path / "page.html").read_text()
    assert f'max="{positions - 1}"' in page
    assert label in page


def test_an_offline_page_contains_every_frame_and_loads_nothing(tmp_path: Path) -> None:
    recording = open_recording(shipped("data/digits-dm.zarr.zip"))
    page = save_figure("evolution", [recording], {"label": "4"}, tmp_path / "page.html").read_text()
    assert page.count("Class 4 of digits. DM at step") == recording.sizes["step"]
    assert not re.search(r"(src|href)=.(https?:)?//|import |fetch\(", page)
    assert len(page) < 5_000_000


@pytest.mark.parametrize("count", [0, 61])
def test_a_page_of_no_or_too_many_positions_is_refused(tmp_path: Path, count: int) -> None:
    picture_class, (data, *_) = case_of("untrained")
    with pytest.raises(InvalidInput, match=f"1 to 60 positions, got {count}"):
        write_html(tmp_path / "page.html", picture_class(data), "x", range(count), lambda _: data)


def test_a_page_escapes_markup_in_names(tmp_path: Path) -> None:
    picture_class, (data, *_) = case_of("accuracies")
    data = data.assign_coords(set=["</script><b>", "b"])
    path = tmp_path / "page.html"
    page = write_html(path, picture_class(data), "<s>", [1], lambda _: data).read_text()
    assert page.count("</script>") == 1
    assert "<s>" not in page


def test_evenly_selected_values_include_both_ends() -> None:
    assert select_evenly(list(range(1000)), 60)[::59] == [0, 999]
    assert select_evenly([1, 2], 60) == [1, 2]
