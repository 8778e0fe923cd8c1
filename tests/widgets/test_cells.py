"""Nothing is left of what a cell or a button replaced: no widget, no picture, no data."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bar_picture import Bar, source
from ipywidgets.widgets.widget import Widget, _instances

from explore.errors import InvalidInput
from explore.plotting.picture import Picture
from explore.widgets import cells
from explore.widgets.controls import Choice, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.live import Live


@pytest.fixture(autouse=True)
def _no_widgets() -> Iterator[None]:
    """Begin without what other tests have left."""
    Widget.close_all()
    cells._owners.clear()
    gc.collect()
    yield
    Widget.close_all()


def bar_explorer() -> Explorer:
    controls = {"step": Slider("step", [0, 1, 3]), "kind": Choice("kind", ["low", "tall"])}
    return Explorer(source, Bar, controls)


class Restarted(Live):
    """Creates another explorer with every setting."""

    def __init__(self) -> None:
        super().__init__({"number": Slider("number", list(range(50)))}, *[self._work] * 3)
        self._create_run()

    def _create_run(self) -> None:
        self.run = object()
        self.show(bar_explorer())

    _on_setting = _create_run

    def apply_settings(self) -> None:
        self._create_run()

    def _work(self, *_: Any) -> None:
        return None


def live_objects() -> tuple[int, int]:
    """Return the number of widgets and of pictures of this process."""
    gc.collect()
    return len(_instances), sum(issubclass(type(item), Picture) for item in gc.get_objects())


def test_ten_settings_leave_as_much_as_two() -> None:
    live = Restarted()
    live.settings.number = 1
    live.settings.number = 2
    before = live_objects()
    for number in range(3, 11):
        live.settings.number = number
    assert live_objects() == before


def test_an_explorer_that_is_closed_leaves_nothing() -> None:
    before = live_objects()
    explorer = bar_explorer()
    picture, data = weakref.ref(explorer.picture), weakref.ref(explorer.data)
    assert live_objects() > before
    explorer.close()
    explorer.close()
    assert live_objects() == before
    assert picture() is data() is None
    assert repr(explorer) == "a bar of height 0 <tall>"
    assert explorer._repr_mimebundle_() == {"text/plain": repr(explorer)}
    explorer.step = 3
    explorer.redraw()
    with pytest.raises(InvalidInput, match="this explorer is closed; run its cell again"):
        explorer.save("bar.png")


def test_a_live_cell_that_is_closed_leaves_nothing() -> None:
    before = live_objects()
    live = Restarted()
    live.close()
    assert live_objects() == before
    assert live.run is None
    assert repr(live).startswith("a bar")
    assert live._repr_mimebundle_() == {"text/plain": repr(live)}


def test_the_same_line_of_a_script_keeps_the_widgets_of_one_explorer() -> None:
    explorers = []
    counts = []
    for _ in range(4):
        explorers.append(bar_explorer())
        counts.append(live_objects()[0])
    assert len(set(counts)) == 1
    for explorer in explorers:
        explorer.step = 3
        assert explorer.alt == "a bar of height 3 <tall>", "nobody sees it, but it works"
        assert "image/png" in explorer._repr_mimebundle_()


class Shell:
    """The shell of a kernel that runs a cell."""

    cell, execution = "cell-1", "message-1"

    def get_parent(self) -> dict[str, Any]:
        return {"metadata": {"cellId": self.cell}, "header": {"msg_id": self.execution}}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    return shell


@pytest.mark.parametrize("create", [bar_explorer, Restarted])
def test_a_cell_that_runs_again_closes_what_it_made(
    create: Callable[[], Any], shell: Shell
) -> None:
    shell.execution = f"first {create}"
    first, beside = create(), create()
    alive = live_objects()
    assert "image/png" in first._repr_mimebundle_(), "one execution may make two"
    shell.cell = "cell-2"
    other = create()
    shell.cell, shell.execution = "cell-1", f"second {create}"
    third = create()
    assert [set(item._repr_mimebundle_()) == {"text/plain"} for item in (first, beside)] == [
        True
    ] * 2
    assert "image/png" in other._repr_mimebundle_()
    for number in range(3):
        shell.execution = f"again {number} {create}"
        third = create()
    assert "image/png" in third._repr_mimebundle_()
    assert live_objects() == alive, "one of each cell"
