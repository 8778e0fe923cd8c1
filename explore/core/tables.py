"""Tables of recordings, as Markdown, LaTeX or CSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.core.recording import open_recording
from explore.core.registry import methods, resolve
from explore.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    import pandas

FORMATS = ("md", "latex", "csv")
SHARES = ("accuracy", "f1", "macro_f1", "auc")
"""Columns that are shown in percent, with what belongs to them."""


def table_of(
    paths: Sequence[str | os.PathLike[str]], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """One table of what the recordings among ``paths`` say; other files are passed over, so that ``runs/*`` will do.

    Args:
        paths: recordings: folders ``.zarr``, files ``.zarr.zip`` or URLs of either.
        against: what the others are compared with, by a name that the table knows.
        unlike: allow what was not measured alike in one table.

    Raises:
        InvalidInput: no recording of a method that has a table, or recordings of two kinds of them.
        DataMissing, RecordingDamaged: see ``open_recording``.
    """
    found = [
        open_recording(path)
        for path in paths
        if str(path).rstrip("/\\").endswith((".zarr", ".zarr.zip"))
    ]
    known = methods()
    makers = {name: row.table for name, row in known.items() if row.table}
    names = list(dict.fromkeys(str(r.attrs.get("name")) for r in found))
    tabled = list(dict.fromkeys(makers[name] for name in names if name in makers))
    if not tabled:
        none = f"no recording (.zarr, .zarr.zip) among {len(paths)} paths"
        what = f"{len(found)} recordings of {', '.join(names)}" if found else none
        raise InvalidInput(
            f"{what}; a table is made of {' or '.join(makers)}: score a set by explore run evaluate --distilled FILE"
        )
    if len(tabled) > 1:
        raise InvalidInput(
            f"recordings of {', '.join(n for n in names if n in makers)} do not go into one table; give one kind"
        )
    return resolve(tabled[0])(found, against=against, unlike=unlike)


def formatted(table: pandas.DataFrame, form: str = "md") -> str:
    """A table as text; notes below it. In "md" and "latex" spreads stand behind their means, and shares are in percent.

    Raises:
        UnknownName: another form than "md", "latex" or "csv".

    Example:
        >>> import pandas
        >>> print(formatted(pandas.DataFrame({"method": ["dm"], "accuracy": [0.5], "std": [0.012]})))
        | method | accuracy, % |
        |---|---|
        | dm | 50.0 ± 1.2 |
        <BLANKLINE>
    """
    if form not in FORMATS:
        raise UnknownName("form of a table", form, FORMATS)
    if form == "csv":
        return table.to_csv(index=False)
    heads, columns = _merged(table)
    rows = list(zip(*columns, strict=True))
    notes = table.attrs.get("notes", [])
    if form == "md":
        head, *lines = (f"| {' | '.join(map(_md, line))} |" for line in (heads, *rows))
        return (
            "\n".join([head, "|---" * len(heads) + "|", *lines])
            + "\n"
            + "".join(f"\n{note}\n" for note in notes)
        )
    body = [" & ".join(map(_tex, line)) + r" \\" for line in (heads, *rows)]
    made = [
        rf"\begin{{tabular}}{{{'l' * len(heads)}}}",
        r"\hline",
        body[0],
        r"\hline",
        *body[1:],
        r"\hline",
        r"\end{tabular}",
    ]
    return "\n".join([*made, *(f"% {note}" for note in notes)]) + "\n"


def write(text: str, out: str | os.PathLike[str]) -> Path:
    """The text in a file, whose folder is made."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return out


def _merged(table: pandas.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and cells, with each spread (``std``, ``±``) behind the mean before it."""
    heads: list[str] = []
    columns: list[list[str]] = []
    names = [str(name) for name in table.columns]
    for name, following in zip(names, [*names[1:], ""], strict=True):
        if name in ("std", "±"):
            continue
        share = name in SHARES or name.startswith("minus ")
        behind = table[following] if following in ("std", "±") else [float("nan")] * len(table)
        heads.append(f"{name.replace('_', ' ')}, %" if share else name.replace("_", " "))
        columns.append(
            [
                _cell(a, b, share, name.startswith("minus "))
                for a, b in zip(table[name], behind, strict=True)
            ]
        )
    return heads, columns


def _cell(value: Any, spread: Any, share: bool, signed: bool) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if value != value:
        return ""
    if not share:
        shown, behind = (f"{v:.3g}" if abs(v) < 100 else f"{v:,.0f}" for v in (value, spread))
        return f"{shown} ± {behind}" if spread == spread else shown
    form = "+.1f" if signed else ".1f"
    return f"{100 * value:{form}}".replace("-", "−") + (
        f" ± {100 * spread:.1f}" if spread == spread else ""
    )


def _md(text: str) -> str:
    return " ".join(text.replace("|", r"\|").splitlines())


TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "\n": " ",
}
TEX |= {plain: f"\\{plain}" for plain in "%_&#${}"}


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)
