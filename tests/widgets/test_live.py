"""Live: settings, the job and the explorer of its run."""

from __future__ import annotations

from typing import Any

import pytest
import traitlets
from bar_picture import Bar, source

from explore.errors import InvalidInput
from explore.widgets.controls import Button, Choice, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.live import Live


class Counter(Live):
    """A run that counts to the setting ``limit``, shown as a bar."""

    def __init__(self) -> None:
        controls = {
            "limit": Slider("limit", [1, 3, 5], 3),
            "kind": Choice("kind", ["low", "tall"]),
            "fail": Button("Fail", self._fail, "Always fails"),
        }
        super().__init__(controls, self._count, self._create_run, self._refresh, "Count")
        self._create_run()

    def _create_run(self) -> None:
        if self.state == {"limit": 5, "kind": "tall"}:
            raise InvalidInput("five tall <bars> are too many")
        self.run = {"step": 0, **self.state}
        self.show(Explorer(lambda: source(self.run["step"], self.run["kind"]), Bar, {}))

    def _count(self, progress: Any, stop: Any) -> int:
        while self.run["step"] < self.run["limit"] and not stop():
            self.run["step"] += 1
            progress(self.run["step"], self.run["limit"], "")
        return self.run["step"]

    def _refresh(self) -> None:
        self.explorer.redraw()

    def _fail(self, live: Live) -> None:
        raise InvalidInput(f"no {live.state['kind']} bar")


def test_the_job_advances_the_run_and_the_explorer_shows_it() -> None:
    live = Counter()
    assert "height 0" in repr(live)
    assert live.job.start(inline=True).join() == 3
    assert "height 3" in repr(live)


def test_the_copied_line_of_every_run_names_its_explorer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(["lab.count()", "explorer"])  # The second explorer is made in a callback.
    monkeypatch.setattr("explore.widgets.actions._displayed_call", lambda: next(calls))
    live = Counter()
    assert live.explorer.view.code == "lab.count().explorer.set()"
    live.settings.kind = "tall"
    assert live.explorer.view.code == "lab.count().explorer.set()"


def test_a_setting_starts_a_new_run_with_its_explorer() -> None:
    live = Counter()
    live.job.start(inline=True)
    live.settings.kind = "tall"
    assert live.state == {"limit": 3, "kind": "tall"}
    assert live.run["step"] == 0
    assert live.widget.children[3].children == (live.explorer.widget,)
    assert live.job.start(inline=True).join() == 3
    assert "height 13" in repr(live)


def test_an_error_of_a_setting_is_shown_until_another_setting_works() -> None:
    live = Counter()
    live.settings.kind = "tall"
    run = live.run
    live.settings.limit = 5
    assert live.run is run
    assert live.message == "Nothing was changed. five tall &lt;bars&gt; are too many"
    live.settings.kind = "low"
    assert (live.message, live.run["limit"]) == ("", 5)


def test_an_error_of_a_button_is_shown() -> None:
    live = Counter()
    button = live.widget.children[0].children[2]
    assert (button.description, button.tooltip) == ("Fail", "Always fails")
    button.click()
    assert live.message == "no low bar"


def test_a_setting_takes_only_its_values() -> None:
    with pytest.raises(traitlets.TraitError, match="limit must be one of 1, 3, 5; got 4"):
        Counter().settings.limit = 4


def test_a_saved_notebook_holds_the_picture_and_its_text() -> None:
    bundle = Counter()._repr_mimebundle_()
    assert bundle["text/plain"] == "a bar of height 0 <tall>"
    assert "image/png" in bundle
    assert "application/vnd.jupyter.widget-view+json" in bundle
