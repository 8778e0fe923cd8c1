"""What a notebook cell showed is closed when the cell runs again.

ipywidgets refers to every widget until it is closed, and so to all that its callbacks refer to. A
cell that runs again would leave its widgets, its picture and its recordings in memory. A cell is
known by its identifier, or else by the place in the code that made the explorer.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, Protocol

import ipywidgets


class Owner(Protocol):
    """What a cell shows: an explorer, or one with a job."""

    widget: ipywidgets.Widget

    def close(self) -> None:
        """Close all widgets and release the data."""


_owners: dict[Hashable, list[tuple[weakref.ref[Any], Hashable]]] = {}
"""By cell: what it shows, and the execution of the cell that made it."""


def claim_cell(owner: Owner) -> None:
    """Close what an earlier execution of the present cell made, as ``owner`` takes its place.

    In a script, without a kernel, only the widgets of the earlier ones from the same line are
    closed, as nobody looks at them; the explorers can still be used.
    """
    cell, execution = _present_cell()
    others = [(reference, mark) for reference, mark in _owners.pop(cell, []) if reference()]
    _owners[cell] = [(weakref.ref(owner), execution)]
    for reference, mark in others:
        earlier = reference()
        if mark == execution and execution is not None:
            _owners[cell].append((reference, mark))
        elif earlier is not None and execution is None:
            close_widgets(earlier.widget)
        elif earlier is not None:
            earlier.close()


def disown_cell(owner: Owner) -> None:
    """Leave it to another owner to close this one: to the ``Live`` that shows an explorer."""
    for cell, listed in list(_owners.items()):
        _owners[cell] = [entry for entry in listed if entry[0]() not in (owner, None)]
        if not _owners[cell]:
            del _owners[cell]


def close_widgets(widget: ipywidgets.Widget) -> None:
    """Close a widget and all widgets in it, with their layouts and styles."""
    for part in list(_parts(widget, set())):
        part.close()


def _parts(widget: ipywidgets.Widget, visited: set[int]) -> Iterator[ipywidgets.Widget]:
    """Yield a widget and all that it refers to."""
    if id(widget) in visited:
        return
    visited.add(id(widget))
    yield widget
    for name in widget.keys:
        value = getattr(widget, name, None)
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, ipywidgets.Widget):
                yield from _parts(part, visited)


def _present_cell() -> tuple[Hashable, Hashable]:
    """Return the cell that runs now and its execution; without a kernel, a line and None."""
    parent: Any = {}
    if "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = (parent.get("metadata") or {}).get("cellId")
    execution = (parent.get("header") or {}).get("msg_id")
    return cell or _calling_line(), execution


def _calling_line() -> Hashable:
    """Return file and line of the code that called this package."""
    frame = sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "explore":
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
