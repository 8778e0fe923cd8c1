"""The tiles of the start page: one for each lab, with its question and its minutes."""

from __future__ import annotations

import html

from explore.core.registry import labs


class Tiles:
    """The question, the minutes and the link of every lab, for display in a notebook.

    Example:
        >>> print(Tiles())
        Should every pixel get the same gradient? (45 minutes, ...
    """

    def _repr_html_(self) -> str:
        style = (
            "border:1px solid #767676;border-radius:6px;padding:0.6em 1em;max-width:22em;"
            "text-decoration:none;color:inherit"
        )
        tiles = [
            f'<a href="{html.escape(lab.notebook)}" style="{style}">'
            f"<b>{html.escape(lab.question)}</b><br>{lab.minutes} min</a>"
            for lab in labs()
        ]
        return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(tiles)}</div>'

    def __repr__(self) -> str:
        return "\n".join(
            f"{lab.question} ({lab.minutes} minutes, {lab.notebook})" for lab in labs()
        )
