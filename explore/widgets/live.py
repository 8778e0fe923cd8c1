"""Live: settings, a job that computes with them, and an explorer that shows the results so far."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets
import traitlets

from explore.errors import ExploreError
from explore.widgets.cells import claim_cell, close_widgets, disown_cell
from explore.widgets.controls import Button, Control
from explore.widgets.explorer import Explorer
from explore.widgets.job import Job, Work


class Live:
    """A job with settings and with an explorer of its run.

    Args:
        controls: setting → ``Choice`` or ``Slider``, or a ``Button``, in the order of the page.
        work: ``work(progress, stop)``, as for ``Job``.
        on_setting: called when a setting has changed.
        refresh: called after progress and at the end, in the thread of the job.
        label: the text on the Start button.
        unit, can_start: see ``Job``.

    Attributes:
        settings: the values of the settings, as traits.
        run: the present run; None before the first one.
        job: the job; it has the Start and Stop buttons.
        explorer: what shows the run (see ``show``).
        widget: all of this for a page.
    """

    explorer: Explorer

    def __init__(
        self,
        controls: Mapping[str, Control],
        work: Work,
        on_setting: Callable[[], None],
        refresh: Callable[[], None],
        label: str = "Start",
        unit: str = "",
        can_start: Callable[[], bool] | None = None,
    ) -> None:
        self.run: Any = None
        self.job = Job(work, label, refresh, unit=unit, can_start=can_start)
        self.settings: Any = traitlets.HasTraits()
        self._on_setting = on_setting
        self._message, self._explorer_box = ipywidgets.HTML(), ipywidgets.VBox()
        row = []
        for name, control in controls.items():
            if isinstance(control, Button):
                row.append(control.link(self, self.say))
                continue
            self.settings.add_traits(**{name: control.trait()})
            row.append(control.link(self.settings, name))
            self.settings.observe(lambda _: self.apply_settings(), name)
        self.widget = ipywidgets.VBox(
            [
                ipywidgets.HBox(row, layout={"flex_flow": "row wrap"}),
                self._message,
                self.job.widget,
                self._explorer_box,
            ]
        )

    @property
    def state(self) -> dict[str, Any]:
        """The values of the settings."""
        return {name: getattr(self.settings, name) for name in self.settings.trait_names()}

    @property
    def message(self) -> str:
        """The line of text above the job."""
        return str(self._message.value)

    def say(self, text: str) -> None:
        """Show a line of text above the job."""
        self._message.value = html.escape(text)

    def show(self, explorer: Explorer) -> None:
        """Show this explorer in place of the one before, which is closed."""
        before = getattr(self, "explorer", None)
        disown_cell(explorer)
        if before is None:
            claim_cell(self)
        self.explorer = explorer
        explorer.view.belongs_to(self.widget)
        if before is None:  # Later explorers are made in callbacks, which have no cell.
            self._call = f"{explorer.actions.call}.explorer"
        explorer.actions.call = self._call
        explorer.view.code = explorer.actions.code()
        self._explorer_box.children = [explorer.widget]
        if before is not None and before is not explorer:
            before.close()

    def close(self) -> None:
        """Stop the job, close all widgets, and release the run and what shows it."""
        self.job.stop()
        self.explorer.close()
        self.settings.unobserve_all()
        close_widgets(self.widget)
        self.run = None
        disown_cell(self)

    def apply_settings(self) -> None:
        """Call ``on_setting`` and show its error, because front ends do not show exceptions."""
        self.say("")
        try:
            self._on_setting()
        except ExploreError as error:
            self.say(f"Nothing was changed. {error}")
        self.job.update_start()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widget for a front end, and the explorer's picture for everything else."""
        live = self.widget._repr_mimebundle_  # None after the widget was closed
        return {
            **self.explorer._repr_mimebundle_(**options),
            **(live(**options) if live else {}),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        return self.explorer.alt
