"""Explorer, view and controls without a browser."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest
import traitlets
import xarray
from bar_picture import Bar, source

from explore.errors import InvalidInput, UnknownName
from explore.plotting.picture import Picture
from explore.widgets.controls import Button, Choice, MultiChoice, Slider
from explore.widgets.explorer import Explorer


@pytest.fixture
def explorer() -> Explorer:
    def last(explorer: Explorer) -> None:
        explorer.step = 4

    controls = {
        "step": Slider("step", range(5)),
        "kind": Choice("kind", ["low", "tall"]),
        "last": Button("Last", last),
    }
    return Explorer(source, Bar, controls, "bars")


def widgets_of(explorer: Explorer) -> list[Any]:
    return list(explorer.widget.children[0].children)


def test_every_control_has_a_label_and_sets_every_value(explorer: Explorer) -> None:
    for name, widget in zip(explorer.controls, widgets_of(explorer), strict=True):
        assert widget.description
        for value in getattr(explorer.controls[name], "values", []):
            widget.value = value
            assert explorer.state[name] == value


def test_moving_a_control_changes_picture_and_text(explorer: Explorer) -> None:
    before = explorer.view.png
    widgets_of(explorer)[0].value = 3
    assert explorer.alt == "a bar of height 3 <tall>"
    assert explorer.view.png != before


def test_setting_a_trait_moves_the_control(explorer: Explorer) -> None:
    explorer.kind = "tall"
    assert widgets_of(explorer)[1].value == "tall"


def test_a_saved_state_can_be_restored(explorer: Explorer) -> None:
    explorer.set(step=2, kind="tall")
    state, png = explorer.state, explorer.view.png
    explorer.set(step=0, kind="low")
    explorer.set(**state)
    assert (explorer.state, explorer.view.png) == (state, png)


def test_setting_several_values_computes_once() -> None:
    calls = []
    explorer = Explorer(
        lambda **s: calls.append(s) or source(**s),
        Bar,
        {"step": Slider("step", range(5)), "kind": Choice("kind", ["low", "tall"])},
    )
    calls.clear()
    explorer.set(step=3, kind="tall")
    assert calls == [{"step": 3, "kind": "tall"}]


def test_an_unknown_value_is_refused_and_the_error_lists_the_values(explorer: Explorer) -> None:
    with pytest.raises(traitlets.TraitError, match="step must be one of 0, 1, 2, 3, 4; got 9"):
        explorer.step = 9
    assert explorer.step == 0
    with pytest.raises(UnknownName, match="known: kind, step"):
        explorer.set(stepp=1)


def test_a_failed_set_changes_nothing_and_later_changes_redraw(explorer: Explorer) -> None:
    with pytest.raises(traitlets.TraitError):
        explorer.set(kind="tall", step=99)
    assert explorer.state == {"step": 0, "kind": "low"}
    explorer.step = 2
    assert "height 2" in explorer.alt


def test_a_button_acts(explorer: Explorer) -> None:
    widgets_of(explorer)[2].click()
    assert explorer.step == 4


def test_a_click_on_a_target_sets_its_state_and_ignores_unknown_names(explorer: Explorer) -> None:
    explorer.view.chosen = {"index": 0, "count": 1}
    assert explorer.step == 3
    explorer.view.chosen = {"index": 1, "count": 2}
    assert explorer.step == 1
    explorer.view.chosen = {"index": 7, "count": 3}
    assert explorer.step == 1


def test_a_control_can_get_other_values(explorer: Explorer) -> None:
    explorer.step = 4
    explorer.offer("step", range(9))
    assert explorer.step == 4
    explorer.offer("step", range(9), 7)
    assert "height 7" in explorer.alt
    explorer.controls["step"].offer(range(9), 6)
    assert "height 6" in explorer.alt
    explorer.step = 8
    assert widgets_of(explorer)[0].value == 8
    for name in ("last", "stepp"):
        with pytest.raises(UnknownName, match="known: kind, step"):
            explorer.offer(name, range(3))


def test_data_of_another_shape_need_a_new_picture() -> None:
    def growing_data(step: int) -> xarray.Dataset:
        return source(step, "low").assign(extra=("n", [0.0] * (1 + step // 3)))

    explorer = Explorer(growing_data, Bar, {"step": Slider("step", range(5))})
    first = explorer.picture
    explorer.step = 2
    assert explorer.picture is first
    explorer.step = 3
    assert explorer.picture is not first


def test_a_saved_notebook_holds_picture_and_text(explorer: Explorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "image/png",
        "text/plain",
    }
    assert bundle["text/plain"] == explorer.alt
    assert 'alt="a bar of height 0 &lt;tall&gt;"' in bundle["text/html"]
    assert repr(explorer) == explorer.alt


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "csv", "html"])
def test_every_format_can_be_saved(explorer: Explorer, tmp_path: Path, suffix: str) -> None:
    explorer.step = 2
    assert explorer.save(tmp_path / f"bar.{suffix}").stat().st_size > 5
    assert explorer.step == 2
    assert "height 2" in explorer.alt


def press(explorer: Explorer, **message: Any) -> None:
    """Send what a button under the picture sends."""
    explorer.view._handle_custom_msg(message, [])


@pytest.fixture
def downloads(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    sent: list[tuple[str, bytes]] = []
    monkeypatch.setattr(
        explorer.view, "send", lambda message, buffers: sent.append((message["name"], buffers[0]))
    )
    return sent


def test_save_sends_the_file_to_the_browser(
    explorer: Explorer, downloads: list[tuple[str, bytes]]
) -> None:
    press(explorer, do="save", format="csv")
    assert downloads == [("bars-step-0-kind-low.csv", b"height\n0.0\n")]
    assert "bars-step-0-kind-low.csv" in explorer.message
    press(explorer, do="save", format="pdf")
    assert downloads[1][1].startswith(b"%PDF")


def test_the_page_says_why_a_picture_was_not_saved(
    explorer: Explorer, downloads: list[tuple[str, bytes]]
) -> None:
    press(explorer, do="save", format="exe")
    assert "not saved" in explorer.message
    assert not downloads


def test_reset_goes_back_to_the_start(explorer: Explorer) -> None:
    explorer.set(step=3, kind="tall")
    press(explorer, do="reset")
    assert explorer.state == {"step": 0, "kind": "low"}


def test_the_copied_line_restores_the_state(explorer: Explorer) -> None:
    explorer.set(step=3, kind="tall")
    assert explorer.view.code == "explorer.set(step=3, kind='tall')"
    other = Explorer(
        source, Bar, {"step": Slider("step", range(5)), "kind": explorer.controls["kind"]}
    )
    assert eval(explorer.view.code, {"explorer": other}) is other
    assert other.view.png == explorer.view.png
    press(explorer, do="copied")
    assert "explorer.set" in explorer.message


def test_the_page_says_why_a_button_did_nothing(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise InvalidInput("the start is no longer offered")

    monkeypatch.setattr(explorer.actions, "reset", refuse)
    press(explorer, do="reset")
    assert explorer.message == "the start is no longer offered"


def test_a_message_of_another_kind_changes_nothing(explorer: Explorer) -> None:
    for message in ({"do": "walk"}, {}, {"do": None}):
        press(explorer, **message)
    explorer.view._handle_custom_msg("reset", [])
    assert explorer.state == {"step": 0, "kind": "low"}


def test_a_picture_at_rest_has_a_small_copy_for_the_saved_notebook(explorer: Explorer) -> None:
    assert explorer.view.still == b""
    press(explorer, do="rest")
    first = explorer.view.still
    assert first.startswith(b"\x89PNG")
    assert len(first) < len(explorer.view.png)
    explorer.step = 3
    assert explorer.view.still == b""
    press(explorer, do="rest")
    assert explorer.view.still != first


def test_a_dark_page_has_a_dark_picture_with_the_same_text(explorer: Explorer) -> None:
    from PIL import Image

    light, alt = explorer.view.png, explorer.alt
    explorer.view.dark = True
    corner = Image.open(io.BytesIO(explorer.view.png)).getpixel((1, 1))
    assert max(corner) < 40
    assert explorer.alt == alt
    explorer.step = 3
    explorer.view.dark = False
    assert explorer.view.png == Bar(source(3, "low")).png()
    explorer.step = 0
    assert explorer.view.png == light


def test_the_value_under_the_pointer_is_shown(explorer: Explorer) -> None:
    explorer.step = 3
    explorer.view.pointer = {"kind": "hover", "x": 0.21, "y": 1 - 0.2 - 0.7 * 3 / 20}
    assert explorer.view.hover == "x 0\ny 3"
    explorer.view.pointer = {"kind": "hover", "x": 0.01, "y": 0.01}
    assert explorer.view.hover == ""


def test_the_table_of_numbers_is_updated_with_the_state(explorer: Explorer) -> None:
    table = explorer.widget.children[3]
    assert table.value == ""
    press(explorer, do="numbers", show=True)
    explorer.step = 3
    assert "<td>3</td>" in table.value
    press(explorer, do="numbers", show=False)
    explorer.step = 4
    assert table.value == ""


def test_an_html_page_needs_a_slider(tmp_path: Path) -> None:
    explorer = Explorer(lambda: source(1, "low"), Bar, {})
    assert explorer.save(tmp_path / "bar.png").exists()
    with pytest.raises(InvalidInput, match="this explorer has no slider"):
        explorer.save(tmp_path / "bar.html")


def test_two_threads_may_redraw_at_once(explorer: Explorer) -> None:
    def move() -> None:
        for step in (1, 2, 3, 4, 0) * 4:
            explorer.set(step=step)

    threads = [threading.Thread(target=move) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    explorer.set(step=3)
    assert explorer.view.png == Bar(source(3, "low")).png()


@pytest.mark.parametrize(
    "name", ["data", "picture", "alt", "widget", "set", "observe", "offer", "lock"]
)
def test_a_control_cannot_have_the_name_of_an_attribute(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"cannot have the name '{name}'"):
        Explorer(source, Bar, {name: Slider("data", range(3))})


def test_every_attribute_of_an_explorer_is_a_reserved_name(explorer: Explorer) -> None:
    public = {name for name in vars(explorer) if not name.startswith("_")}
    assert public <= {*dir(Explorer), *Explorer.__annotations__}


class Draggable(Bar):
    """A bar whose top can be dragged up and down."""

    grabs = True

    def grab(self, data: xarray.Dataset, x: float, y: float) -> str | None:
        top = (0.5, float(data["height"]))
        return "top" if self.inches(self.figure.axes[0], top, x, y) < 0.3 else None

    def pull(self, data: xarray.Dataset, handle: str, x: float, y: float) -> dict[str, float]:
        return {"step": self.place(self.figure.axes[0], x, y)[1], "nothing": 1.0}


def position_of(explorer: Explorer, height: float) -> dict[str, float]:
    """Return the position of a height, in fractions of the picture."""
    left, top, _, _ = explorer.picture.box(
        explorer.picture.figure.axes[0], 0.5, height, 0.5, height
    )
    return {"x": left, "y": top}


def test_dragging_sets_the_nearest_value() -> None:
    explorer = Explorer(
        source,
        Draggable,
        {"step": Slider("step", range(5)), "kind": Choice("kind", ["low", "tall"])},
    )
    assert explorer.view.tracks
    explorer.view.pointer = {"kind": "down", **position_of(explorer, 0)}
    for height, step in ((0.4, 0), (0.6, 1), (2.9, 3), (19.0, 4), (-1.0, 0), (2.2, 2)):
        explorer.view.pointer = {"kind": "move", **position_of(explorer, height)}
        assert explorer.step == step
        assert explorer.alt == f"a bar of height {step} <tall>"
    explorer.view.pointer = {"kind": "up", **position_of(explorer, 4)}
    explorer.view.pointer = {"kind": "move", **position_of(explorer, 4)}
    assert explorer.step == 2, "the pointer was released"


def test_undo_goes_back_to_before_each_drag() -> None:
    explorer = Explorer(
        source, Draggable, {"step": Slider("step", range(5)), "kind": Choice("kind", ["low"])}
    )
    assert explorer.view.drags
    for start, end in ((0, 2), (2, 4)):
        explorer.view.pointer = {"kind": "down", **position_of(explorer, start)}
        explorer.view.pointer = {"kind": "move", **position_of(explorer, end)}
        explorer.view.pointer = {"kind": "up", **position_of(explorer, end)}
    assert explorer.step == 4
    for step in (2, 0, 0):
        press(explorer, do="undo")
        assert explorer.step == step


def test_a_pointer_beside_the_handle_changes_nothing() -> None:
    explorer = Explorer(
        source,
        Draggable,
        {"step": Slider("step", range(5)), "kind": Choice("kind", ["low", "tall"])},
    )
    before = explorer.view.png
    explorer.view.pointer = {"kind": "down", **position_of(explorer, 19)}
    explorer.view.pointer = {"kind": "move", **position_of(explorer, 3)}
    assert (explorer.step, explorer.view.png) == (0, before)


def test_pointer_events_are_reported_only_if_the_picture_can_be_dragged(explorer: Explorer) -> None:
    assert not explorer.view.tracks
    explorer.view.pointer = {"kind": "down", "x": 0.5, "y": 0.5}
    explorer.view.pointer = {"kind": "move", "x": 0.1, "y": 0.1}
    assert explorer.state == {"step": 0, "kind": "low"}


def test_quiet_contexts_can_be_nested(explorer: Explorer) -> None:
    drawn = explorer.view.png
    name, control = next(
        (name, control) for name, control in explorer.controls.items() if hasattr(control, "values")
    )
    other = next(value for value in control.values if value != getattr(explorer, name))  # type: ignore[union-attr]
    with explorer.quiet():
        with explorer.quiet():
            pass
        setattr(explorer, name, other)
        assert explorer.view.png == drawn, "the inner context does not end the outer one"
    explorer.redraw()
    assert explorer.view.png != drawn


# ---- lists with several selections, and points that are picked


def select_bars(step: int, marks: tuple[str, ...]) -> xarray.Dataset:
    return source(step=step + 2 * len(marks), kind="low")


@pytest.fixture
def selection() -> Explorer:
    controls = {
        "step": Slider("step", range(3)),
        "marks": MultiChoice("marks", ["a", "b", "c"], names={"a": "first"}),
    }
    return Explorer(select_bars, Bar, controls, "marks")


def test_a_list_with_several_selections_is_a_tuple_in_its_own_order(selection: Explorer) -> None:
    assert selection.state["marks"] == ()
    before = selection.view.png
    selection.set(marks=["c", "a"])
    assert selection.state["marks"] == ("a", "c")
    assert selection.view.png != before
    widget = widgets_of(selection)[1]
    assert widget.value == ("a", "c")
    assert [text for text, _ in widget.options] == ["first", "b", "c"]
    widget.value = ("b",)
    assert selection.state["marks"] == ("b",)
    selection.marks = "c"
    assert selection.state["marks"] == ("c",)
    selection.set(**selection.state)
    assert selection.state["marks"] == ("c",)


def test_a_selection_of_an_unknown_value_is_refused(selection: Explorer) -> None:
    with pytest.raises(traitlets.TraitError, match="marks must be some of 'a', 'b', 'c'; got 'd'"):
        selection.set(marks=["a", "d"])
    assert selection.state["marks"] == ()


class PickedBar(Bar):
    """A bar whose step is picked by the pointer; the left half has no part."""

    picks = True

    def pick(self, data: xarray.Dataset, x: float, y: float) -> dict[str, Any]:
        return {"step": round(4 * x), "colour": "red"} if x > 0.5 else {}


def test_a_pointer_picks_a_state_and_ignores_unknown_names() -> None:
    assert not Picture.picks
    controls = {"step": Slider("step", range(5)), "kind": Choice("kind", ["low", "tall"])}
    explorer = Explorer(source, PickedBar, controls)
    assert explorer.view.tracks
    explorer.view.pointer = {"kind": "down", "x": 0.75, "y": 0.1}
    assert explorer.step == 3
    explorer.view.pointer = {"kind": "up", "x": 0.75, "y": 0.1}
    explorer.view.pointer = {"kind": "down", "x": 0.2, "y": 0.1}
    assert explorer.step == 3, "nothing is at this place"
    explorer.view.pointer = {"kind": "move", "x": 1.0, "y": 0.1}
    assert explorer.step == 3, "a move picks nothing"


def test_equal_values_are_not_sent_to_the_front_end_again(explorer: Explorer) -> None:
    widget = widgets_of(explorer)[1]
    changes: list[Any] = []
    widget.observe(changes.append, ["options", "_options_labels"])
    explorer.offer("kind", ["low", "tall"], "tall")
    assert explorer.kind == "tall"
    assert changes == []
    explorer.offer("kind", ["low", "tall", "wide"], "low")
    assert changes
