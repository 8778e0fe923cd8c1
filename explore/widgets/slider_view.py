"""SliderView: a slider over named positions, which screen readers can read, with Play."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets


class SliderView(anywidget.AnyWidget):
    """A slider over a list of values with texts; ``value`` is the selected one.

    The slider of ipywidgets has no name for a screen reader, which reads its index in place of its
    value.

    Traits:
        options: pairs of text and value; setting them selects the first.
        value: the selected value; one of those in ``options``.
        description: the text before the slider.
        plays: whether there is a Play button.
        texts, index: what the front end shows.

    Example:
        >>> slider = SliderView(options=[("0", 0), ("10", 10)], value=10, description="step")
        >>> slider.index, slider.texts
        (1, ['0', '10'])
    """

    _esm = Path(__file__).parent / "slider_view.js"
    _css = Path(__file__).parent / "slider_view.css"
    description = traitlets.Unicode("").tag(sync=True)
    texts: traitlets.List[str] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    plays = traitlets.Bool(False).tag(sync=True)
    value: Any = traitlets.Any()

    def __init__(self, options: list[tuple[str, Any]], value: Any, **traits: Any) -> None:
        self._options = list(options)
        texts = [text for text, _ in options]
        super().__init__(texts=texts, index=self._index_of(value), value=value, **traits)

    @property
    def options(self) -> list[tuple[str, Any]]:
        """The pairs of text and value."""
        return self._options

    @options.setter
    def options(self, options: list[tuple[str, Any]]) -> None:
        self._options = list(options)
        with self.hold_sync():
            self.texts = [text for text, _ in options]
            self.index = 0
            self.value = options[0][1]

    def _index_of(self, value: Any) -> int:
        return next(k for k, (_, option) in enumerate(self._options) if option == value)

    @traitlets.observe("index")
    def _on_index(self, change: Any) -> None:
        """Select the value; a late message of the front end may count in an older list."""
        index = min(max(change["new"], 0), len(self._options) - 1)
        self.value = self._options[index][1]

    @traitlets.observe("value")
    def _on_value(self, change: Any) -> None:
        self.index = self._index_of(change["new"])
