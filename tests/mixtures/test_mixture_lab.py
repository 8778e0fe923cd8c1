"""Test the explorers of the mixture lab: controls, targets and handles, and the facts that the notebook states."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explorers import check_controls, check_size, check_targets, explorer_names, reveal
from text_boxes import drawn_texts

from explore.errors import InvalidInput, UnknownName
from explore.mixtures import GaussianMixture, lab, load_mixture, pdf_angle
from explore.mixtures.config import PHASES
from explore.mixtures.figures.editor import edit_components
from explore.mixtures.figures.path_data import reduction
from explore.mixtures.figures.paths import Paths
from explore.plotting.figure_files import save_figure
from explore.plotting.figure_source import figure_source
from explore.widgets.explorer import Explorer

EXPLORERS: dict[str, Callable[[], Explorer]] = {
    "which two": lab.which_two,
    "side by side": lab.side_by_side,
    "digits": lambda: lab.side_by_side("digits"),
    "refined": lambda: lab.reductions("standard-1d", 5, refine="full"),
    "three": lambda: lab.reductions("bivariate", 1, ("west", "runnalls", "oggmr")),
    "four dimensions": lambda: lab.reductions(load_mixture("random")),
    "by hand": lab.by_hand,
    "by hand in 2-D": lambda: lab.by_hand("bivariate"),
    "blind": lab.blind,
    "detour": lab.detour,
}


@pytest.fixture(
    params=explorer_names(EXPLORERS, ("digits", "by hand in 2-D", "refined")), scope="module"
)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    """Build each explorer once; the tests below only change its state."""
    return EXPLORERS[request.param]()


def test_every_control_changes_the_picture(explorer: Explorer) -> None:
    check_controls(explorer)


def test_every_target_sets_a_control(explorer: Explorer) -> None:
    check_targets(explorer)


def test_saved_pictures_are_small(explorer: Explorer) -> None:
    check_size(explorer)


def test_answers_are_hidden_until_a_pair_is_selected() -> None:
    explorer = lab.which_two()
    assert "Runnalls" not in explorer.alt
    assert explorer.picture.table(explorer.data).empty
    explorer.pair = "1 and 2"
    assert [list(row[:2]) for row in explorer.picture.table(explorer.data).values] == [
        ["your pair", "1 and 2"],
        ["Runnalls", "2 and 3"],
        ["angle", "2 and 4"],
    ]


def test_runnalls_loses_more_than_the_angle_from_six_to_five() -> None:
    explorer = lab.which_two()
    explorer.pair = "1 and 2"
    data = explorer.data
    assert data["angle_before"].values == pytest.approx(0.050, abs=5e-4)
    assert data["angle"].values[1:] == pytest.approx([0.236, 0.076], abs=5e-4)
    assert data["peaks_before"].values == 5
    assert data["peaks"].values[1:].tolist() == [3, 4]


def test_shipped_recordings_contain_the_reference_values() -> None:
    explorer = lab.side_by_side()
    explorer.components = 2
    assert explorer.data["angle"].values == pytest.approx([0.31943, 0.37425], abs=6e-6)
    assert explorer.data["components"].values.tolist() == [2, 2]
    explorer.set(components=5, left="prune", right="west")
    assert explorer.data["angle"].values == pytest.approx([0.250691, 0.181702], abs=6e-7)
    assert explorer.data["kl"].values == pytest.approx([0.3097, 0.0385], abs=6e-5)


def test_the_slider_counts_the_components_that_are_left() -> None:
    explorer = lab.side_by_side()
    assert explorer.controls["components"].values == [*range(10, 0, -1)]
    for count in (10, 6, 4, 1):
        explorer.components = count
        assert explorer.data["components"].values.tolist() == [count, count]
    assert "Runnalls, 1 component: " in explorer.alt
    assert "1 of 5 peaks" in explorer.alt
    refined = lab.reductions("standard-1d", 5, refine="full")
    last = ["5, after choosing weights", "5, after L-BFGS"]
    assert refined.controls["components"].values == [*range(10, 4, -1), *last]
    assert refined.components == 5
    for position, phase in zip(last, ("choosing weights", "L-BFGS"), strict=True):
        refined.components = position
        assert PHASES[int(refined.data["phase"][0])] == phase


def test_a_figure_of_a_reduction_has_a_slider_over_components() -> None:
    source = figure_source("reduction")
    assert source.slider == "components"
    assert list(source.positions()) == [*range(10, 0, -1)]
    assert source.data({"components": 4})["components"].values.tolist() == [4, 4]
    assert source.data({"step": 5})["components"].values.tolist() == [5, 5]
    assert source.data({})["components"].values.tolist() == [5, 5]
    assert source.data({"step": 9})["components"].values.tolist() == [1, 1]
    bivariate = lab.record_in_memory(load_mixture("bivariate"), 1, "west")
    assert reduction([bivariate])["components"].values.tolist() == [2]
    ends_with_three = lab.record_in_memory(load_mixture("standard-1d"), 3, "west")
    assert reduction([ends_with_three])["components"].values.tolist() == [3]


def test_a_page_opens_at_the_components_of_its_state(tmp_path: Path) -> None:
    for state, start in (({"components": 5}, 5), ({"step": 5}, 9), ({}, 9)):
        page = save_figure("reduction", None, state, tmp_path / "page.html").read_text("utf-8")
        assert f'max="9" value="{start}"' in page
        assert '["10", ' in page


def test_frames_that_were_not_recorded_are_said() -> None:
    whole = lab.record_in_memory(load_mixture("standard-1d"), 1, "runnalls")
    thinned = whole.isel(step=[0, 2, 7, 9])
    data = reduction([thinned], step=3)
    assert Paths(data).describe(data).count("Step 3 was not recorded; the nearest one is 2.") == 1
    data = reduction([thinned], components=4)
    assert data["components"].values.tolist() == [3]
    sentence = "No frame with 4 components was recorded; the nearest one has 3."
    assert sentence in {text.words for text in drawn_texts(Paths(data))}
    with pytest.raises(InvalidInput, match="a step or a number of components, not both"):
        reduction([thinned], step=3, components=4)


def test_a_measure_that_stays_zero_is_said() -> None:
    explorer = lab.side_by_side()
    explorer.measure = "covariance_error"
    words = " ".join(text.words for text in drawn_texts(explorer.picture))
    assert "0 throughout: every merge keeps the covariance of the whole" in words
    explorer.measure = "angle"
    assert "0 throughout" not in " ".join(t.words for t in drawn_texts(explorer.picture))


def test_who_chose_as_the_reader_did_is_said() -> None:
    explorer = lab.which_two()
    for pair, words in (("2 and 4", "You chose as the angle did."), ("1 and 6", " peaks.")):
        explorer.pair = pair
        assert explorer.alt.endswith(words)
    explorer.pair = "2 and 3"
    assert "You chose as Runnalls did." in {t.words for t in drawn_texts(explorer.picture)}


def test_reset_brings_back_every_component() -> None:
    explorer = lab.by_hand()
    start = explorer.alt
    explorer.set(component=6)
    explorer.set(shift=0.3047, width=explorer.controls["width"].values[60])
    explorer.set(component=3)
    assert "angle, rad 0," not in explorer.alt
    explorer.actions.reset()
    assert explorer.alt == start
    explorer.set(component=6)
    assert (explorer.state["shift"], explorer.state["width"]) == (0.0, 1.0)


def test_angles_that_are_only_rounding_are_zero() -> None:
    explorer = lab.by_hand("bivariate")
    assert 0 < float(explorer.data["angle"]) < 1e-7
    assert "angle, rad 0, chord 0," in explorer.alt
    assert explorer.picture.table(explorer.data)["value"].tolist()[:2] == [0, 0]
    path = lab.reductions("bivariate")
    path.components = 3
    assert "angle 0," in path.alt
    assert path.picture.table(path.data)["angle, rad"].iloc[0] == 0


def test_a_straight_drag_keeps_the_weight() -> None:
    explorer = lab.by_hand()
    explorer.view.pointer = {"kind": "down", **point(explorer, "centre")}
    explorer.view.pointer = {"kind": "move", **point(explorer, "centre", (0.3, 0.01))}
    assert explorer.weight == 1.0
    assert "moved by 0.3" in explorer.alt


def test_refinement_lowers_the_angle_and_doubles_the_divergence() -> None:
    data = lab.record_in_memory(load_mixture("standard-1d"), 5, "oggmr", refine="full")
    merged, refined = data["components"].values.tolist().index(5), -1
    assert data["angle"].values[merged] == pytest.approx(0.0759, abs=5e-5)
    assert data["angle"].values[refined] <= 0.0183
    assert data["kl"].values[[merged, refined]] == pytest.approx([0.0059, 0.0117], abs=6e-5)
    assert (
        data["covariance_error"].values[merged] < 1e-12 < data["covariance_error"].values[refined]
    )


def test_sliders_edit_the_selected_component() -> None:
    original = load_mixture("standard-1d")
    explorer = lab.by_hand()
    explorer.set(component=6, shift=explorer.controls["shift"].values[120])  # type: ignore[union-attr]
    explorer.set(
        width=2.0
        if 2.0 in explorer.controls["width"].values
        else explorer.controls["width"].values[60]
    )  # type: ignore[union-attr]
    explorer.weight = 0.0
    shifts, widths, weights = np.zeros((10, 1)), np.ones(10), np.ones(10)
    shifts[5], widths[5], weights[5] = explorer.shift, explorer.width, 0
    expected = edit_components(original, shifts, widths, weights)
    assert float(explorer.data["angle"]) == pytest.approx(pdf_angle(original, expected), rel=1e-12)
    assert explorer.data["weight"].values[5] == 0


def test_edits_of_other_components_are_kept() -> None:
    explorer = lab.by_hand()
    explorer.set(component=1, width=explorer.controls["width"].values[70])  # type: ignore[union-attr]
    angle = float(explorer.data["angle"])
    explorer.component = 2
    assert (explorer.shift, explorer.width, explorer.weight) == (0.0, 1.0, 1.0)
    assert float(explorer.data["angle"]) == angle
    explorer.component = 1
    assert explorer.width == explorer.controls["width"].values[70]  # type: ignore[union-attr]
    assert float(explorer.data["angle"]) == angle


def point(explorer: Explorer, handle: str, by: tuple[float, float] = (0, 0)) -> dict[str, Any]:
    """Return the position of a handle, moved ``by`` in data coordinates, in fractions of the picture."""
    x, y = explorer.picture.handles(explorer.data)[handle]
    left, top, _, _ = explorer.picture.box(
        explorer.picture.axes, x + by[0], y + by[1], x + by[0], y + by[1]
    )
    return {"x": left, "y": top}


@pytest.mark.parametrize("name", ["standard-1d", "bivariate"])
def test_the_centre_handle_follows_the_pointer(name: str) -> None:
    explorer = lab.by_hand(name)
    k = explorer.component - 1
    before = explorer.data["mean"].values[k].copy()
    explorer.view.pointer = {"kind": "down", **point(explorer, "centre")}
    explorer.view.pointer = {"kind": "move", **point(explorer, "centre", (0.3, 0.0))}
    moved = explorer.data["mean"].values[k] - before
    assert moved[0] == pytest.approx(0.3, abs=0.02)
    assert np.abs(moved[1:]).max(initial=0) < 0.02


def test_the_height_of_the_centre_handle_is_the_weight_in_1d() -> None:
    explorer = lab.by_hand()
    k = explorer.component - 1
    target = 0.4
    height = explorer.picture.handles(explorer.data)["centre"][1]
    explorer.view.pointer = {"kind": "down", **point(explorer, "centre")}
    explorer.view.pointer = {"kind": "move", **point(explorer, "centre", (0, target - height))}
    assert explorer.picture.handles(explorer.data)["centre"][1] == pytest.approx(target, rel=0.05)
    assert explorer.data["mean"].values[k] == pytest.approx(
        load_mixture("standard-1d").means[k], abs=0.02
    )


@pytest.mark.parametrize("name", ["standard-1d", "bivariate"])
def test_the_rim_handle_changes_the_width(name: str) -> None:
    explorer = lab.by_hand(name)
    k = explorer.component - 1
    centre, rim = (
        np.array(explorer.picture.handles(explorer.data)[handle]) for handle in ("centre", "rim")
    )
    out = (rim - centre) if name == "bivariate" else np.array([rim[0] - centre[0], 0.0])
    explorer.view.pointer = {"kind": "down", **point(explorer, "rim")}
    explorer.view.pointer = {"kind": "move", **point(explorer, "rim", (out[0], out[1]))}
    assert explorer.data["width"].values[k] == pytest.approx(2, rel=0.03)
    explorer.view.pointer = {"kind": "move", **point(explorer, "rim")}
    assert explorer.data["width"].values[k] == pytest.approx(2, rel=0.05), (
        "pulling to where it is changes nothing"
    )


def test_the_angle_hardly_changes_with_a_wide_component() -> None:
    table = lab.blind().picture.table(lab.blind().data).set_index("standard deviation")
    assert table["angle, degrees"].loc[[1, 3, 10]].values == pytest.approx(
        [4.36, 0.84, 0.14], abs=0.005
    )
    assert table["angle, degrees"].loc[100] == pytest.approx(0.004, abs=5e-4)
    assert (np.diff(table["KL(f‖g), nat"]) > 0).all()
    assert table["KL(g‖f), nat"].values == pytest.approx(-np.log(0.7), abs=0.013)


def test_detours_are_shorter_only_by_distances_that_are_not_metrics() -> None:
    explorer = reveal(lab.detour())
    for share in explorer.controls["share"].values:  # type: ignore[union-attr]
        explorer.share = share
        table = explorer.picture.table(explorer.data).set_index("distance")
        way = (table["A – B"] + table["B – C"]) / table["A – C"]
        assert (way[["angle", "chord", "√ISE"]] >= 1 - 1e-9).all()
        assert (way[["ISE", "Cauchy–Schwarz", "KL divergence"]] < 1).all()
        assert way[["angle", "√ISE"]].values == pytest.approx([1, 1])
        assert table["way over B / direct way"].values == pytest.approx(way.values)
        assert "shows: by ISE, Cauchy–Schwarz, KL divergence." in explorer.view.note


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: lab.which_two(2), "of at least 3 and at most 9, got 2"),
        (lambda: lab.side_by_side("claw"), "unknown recorded mixture 'claw'"),
        (lambda: lab.by_hand(load_mixture("random")), "one or two dimensions"),
        (lambda: lab.by_hand(GaussianMixture([1.0], [0.0], [1.0])), "two or more components"),
        (lambda: lab.reductions("claw", methods=()), "one to three methods"),
        (lambda: lab.reductions("claw", methods=("runalls",)), "Did you mean 'runnalls'"),
        (lambda: lab.reductions("claw", 7), "at most 6"),
        (lambda: lab.detour(load_mixture("claw"), load_mixture("claw")), "no way between them"),
    ],
)
def test_invalid_requests_are_rejected(call: Callable[[], Any], match: str) -> None:
    with pytest.raises((InvalidInput, UnknownName), match=match):
        call()


def test_the_first_pictures_need_neither_torch_nor_numba() -> None:
    code = (
        "import sys; sys.modules.update(torch=None, numba=None);"
        "from explore.mixtures import lab; e = lab.which_two(); e.pair = '1 and 2'; lab.side_by_side().components = 7; lab.by_hand()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
