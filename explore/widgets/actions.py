"""What the buttons under a picture do: reset, undo, copy the state, and save the picture."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explore.errors import ExploreError, InvalidInput
from explore.plotting.export import palette_png, select_evenly, write_html
from explore.widgets.controls import Slider
from explore.widgets.prediction import Cover

MOST_UNDONE = 50
"""Drags that can be undone."""


class Actions:
    """Answers the messages of the buttons under the picture of one explorer.

    Args:
        explorer: an ``Explorer``, which imports this module.

    Attributes:
        call: the code that returns the explorer.
        clear: sets back what an explorer stores beside its controls, before they are reset.
    """

    clear: Callable[[], None] | None = None

    def __init__(self, explorer: Any) -> None:
        self.explorer = explorer
        self.start = explorer.state
        self.history: list[dict[str, Any]] = []
        self.call = _displayed_call()

    def answer(self, message: Any) -> None:
        """Do what a message ``{"do": …}`` of the front end asks for, and show an error's text."""
        try:
            self._act(message)
        except ExploreError as error:  # The front end does not show exceptions of callbacks.
            self.explorer.say(str(error))

    def _act(self, message: Any) -> None:
        actions = {
            "reset": self.reset,
            "undo": self.undo,
            "copied": lambda: self.explorer.say(f"copied: {self.code()}"),
            "rest": self.keep_still,
        }
        name = message.get("do") if isinstance(message, dict) else None
        if name in actions:
            actions[name]()
        elif name == "numbers":
            self.explorer.show_numbers(bool(message.get("show")))
        elif name == "save":
            self.download(str(message.get("format")))

    def reset(self) -> None:
        """Set all controls to their start; a prediction stays, as the answer has been shown."""
        controls = self.explorer.controls
        if self.clear is not None:
            self.clear()
            self.explorer.redraw()
        self.explorer.set(
            **{
                name: controls[name].nearest(value)
                for name, value in self.start.items()
                if not getattr(controls[name], "is_prediction", False)
            }
        )

    def remember(self) -> None:
        """Remember the present state, to which ``undo`` goes back."""
        self.history = [*self.history[-MOST_UNDONE + 1 :], self.explorer.state]

    def undo(self) -> None:
        """Go back to the state before the last drag."""
        while self.history:
            state = self.history.pop()
            if state != self.explorer.state:
                self.explorer.set(**state)
                return

    def code(self) -> str:
        """Return a line of code that shows the present state again."""
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.explorer.state.items())
        return f"{self.call}.set({arguments})"

    def keep_still(self) -> None:
        """Make the small picture of the present state that a saved notebook keeps."""
        explorer = self.explorer
        with explorer.lock:
            if not explorer.closed and not explorer.view.still:
                explorer.view.still = palette_png(explorer.picture)

    def write_page(self, path: Path) -> Path:
        """Write an offline page with the first slider.

        Raises:
            InvalidInput: there is no slider, or the picture is covered until it is predicted.
        """
        explorer = self.explorer
        if isinstance(explorer.picture, Cover):
            raise InvalidInput("the picture is covered: choose your prediction first")
        sliders = {k: c for k, c in explorer.controls.items() if isinstance(c, Slider)}
        if not sliders:
            raise InvalidInput(
                "an HTML page needs a slider, and this explorer has no slider; "
                "save it as .png, .svg or .pdf"
            )
        key, slider = next(iter(sliders.items()))
        values = select_evenly(slider.values)
        before = slider.values[: slider.values.index(explorer.state[key]) + 1]
        return write_html(
            path,
            type(explorer.picture)(explorer.data),
            slider.label,
            values,
            lambda value: explorer.data_at(**{key: value}),
            start=[value for value in before if value in values][-1],
        )

    def download(self, kind: str) -> None:
        """Let the browser save the picture of the present state."""
        import tempfile

        explorer = self.explorer
        text = "-".join(f"{key}-{value}" for key, value in explorer.state.items())
        safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in f"{explorer.name}-{text}")
        try:
            with tempfile.TemporaryDirectory(prefix="explore-") as folder:
                path = explorer.save(Path(folder, f"{safe[:120]}.{kind}"))
                explorer.view.download(path.name, path.read_bytes())
            explorer.say(f"saved as {path.name}, in the downloads of the browser")
        except (OSError, ExploreError) as error:
            explorer.say(f"not saved: {error}")


def _displayed_call() -> str:
    """Return the code of what the present cell shows, such as "lab.copies()"; else "explorer"."""
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    code = (parent.get("content") or {}).get("code", "")
    try:
        last = ast.parse(code).body[-1]
    except (SyntaxError, IndexError, ValueError):
        return "explorer"
    shown = last.value if isinstance(last, ast.Expr) else None
    if isinstance(shown, ast.Call | ast.Name | ast.Attribute):
        return " ".join((ast.get_source_segment(code, shown) or "explorer").split())
    return "explorer"
