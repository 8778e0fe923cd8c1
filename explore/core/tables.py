"""Tables of recordings, as Markdown, LaTeX or CSV."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explore.core.recording import open_recording
from explore.core.registry import methods, resolve
from explore.core.validation import (
    check_choice,
    check_flag,
    check_items,
    check_path,
    check_text,
    check_whole_number,
    describe,
)
from explore.errors import InvalidInput, RecordingFailed

if TYPE_CHECKING:
    import pandas

TABLE_FORMATS = ("md", "latex", "csv")
PERCENT_COLUMNS = ("accuracy", "f1", "macro_f1", "auc")
"""Columns in percent, together with their spreads and differences; a table names others in its
attribute ``percent``."""

SPREAD_COLUMNS = ("std", "±")
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
LATEX_RULES = [
    {"selector": f"{place}rule", "props": ":hline"} for place in ("top", "mid", "bottom")
]


def build_table(
    paths: Sequence[str | os.PathLike[str]], against: str = "", unlike: bool = False
) -> pandas.DataFrame:
    """Make one table of the recordings among ``paths``.

    Other files are ignored, so ``runs/*`` works.

    Args:
        paths: recordings: folders ``.zarr``, files ``.zarr.zip`` or URLs of either; one or several.
        against: the name in the table that the others are compared with.
        unlike: allow recordings with different protocols or test images.

    Raises:
        InvalidInput: no recording of a method that has a table, or recordings for two different
            tables.
        DataMissing, RecordingDamaged: see ``open_recording``.
    """
    from explore.core._checked_store import location

    single = isinstance(paths, str | bytes | os.PathLike)
    places = [location("paths", p) for p in ([paths] if single else check_items("paths", paths))]
    against, unlike = check_text("against", against), check_flag("unlike", unlike)
    suffixes = (".zarr", ".zarr.zip")
    recordings = [open_recording(p) for p in places if p.rstrip("/\\").endswith(suffixes)]
    table_functions = {name: method.table for name, method in methods().items() if method.table}
    names = list(dict.fromkeys(str(recording.attrs.get("name")) for recording in recordings))
    tabulated = [name for name in names if name in table_functions]
    if not tabulated:
        content = f"there is no recording (.zarr, .zarr.zip) among {len(places)} paths"
        if recordings:
            content = f"got {len(recordings)} recordings of {', '.join(names)}"
        raise InvalidInput(
            f"{content}; a table needs recordings of {' or '.join(table_functions)}: "
            "score a distilled set by explore run evaluate --distilled FILE"
        )
    functions = {table_functions[name] for name in tabulated}
    if len(functions) > 1:
        raise InvalidInput(
            f"recordings of {', '.join(tabulated)} do not fit into one table; give one kind only"
        )
    return resolve(functions.pop())(recordings, against=against, unlike=unlike)


def format_table(table: pandas.DataFrame, form: str = "md") -> str:
    """Return a table as text, with its notes below.

    In "md" and "latex", spreads follow their means in the same cell, and shares are in percent.
    Texts stay texts: HTML and links in Markdown, commands in LaTeX and formulas in CSV are escaped.

    Raises:
        UnknownName: the format is not "md", "latex" or "csv".
        InvalidInput: ``table`` is no ``pandas.DataFrame``.

    Example:
        >>> import pandas
        >>> table = pandas.DataFrame({"method": ["dm"], "accuracy": [0.5], "std": [0.012]})
        >>> print(format_table(table))
        | method | accuracy, % |
        |---|---|
        | dm | 50.0 ± 1.2 |
        <BLANKLINE>
    """
    form = check_choice("table format", form, TABLE_FORMATS)
    _check_table(table)
    if form == "csv":
        return str(csv_safe(table).to_csv(index=False))
    cells = _merge_spreads(table)
    notes = [" ".join(str(note).splitlines()) for note in table.attrs.get("notes", [])]
    if form == "md":  # DataFrame.to_markdown would need another package.
        escaped = [[_escape_markdown(text) for text in row] for row in (cells, *cells.to_numpy())]
        notes = [_escape_html(note) for note in notes]
        head, *rows = (f"| {' | '.join(row)} |" for row in escaped)
        lines = [head, "|---" * cells.shape[1] + "|", *rows, *(f"\n{note}" for note in notes)]
        return "\n".join(lines) + "\n"
    style = (
        cells.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    )
    latex: str = style.set_table_styles(LATEX_RULES).to_latex(column_format="l" * cells.shape[1])
    latex = latex.replace("±", r"$\pm$").replace("−", "$-$")
    return latex + "".join(f"% {note}\n" for note in notes)


def csv_safe(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return a table whose texts no spreadsheet takes for formulas.

    An apostrophe is put before texts that begin with ``=``, ``+``, ``-``, ``@``, a tab or a line
    break and are no numbers. Spreadsheets do not show it. Line breaks are those of Unix.

    Raises:
        InvalidInput: ``table`` is no ``pandas.DataFrame``.

    Example:
        >>> import pandas
        >>> table = pandas.DataFrame({"method": ["dm", "=1+2", "-0.5"], "loss": [1.0, -1.0, 0.0]})
        >>> csv_safe(table)["method"].tolist()
        ['dm', "'=1+2", '-0.5']

    Source: OWASP, CSV injection, https://owasp.org/www-community/attacks/CSV_Injection.
    """
    _check_table(table)
    safe = table.copy()
    for position in range(safe.shape[1]):  # Two columns may have one name.
        column = safe.iloc[:, position]
        texts = [_quote_formula(value) for value in column.tolist()]
        if any(text is not value for text, value in zip(texts, column.tolist(), strict=True)):
            safe.isetitem(position, texts)
    safe.columns = [_quote_formula(name) for name in safe.columns]
    return safe


def round_numbers(table: pandas.DataFrame, digits: int = 6) -> pandas.DataFrame:
    """Return a table whose numbers have at most six significant digits, without rounding errors.

    Sums that should be zero leave errors such as 2.8e-17. A number below 1e-16, or below 1e-14 of
    the largest number of its column, is therefore written as zero.

    Args:
        table: to round.
        digits: significant digits, 1 to 17.

    Raises:
        InvalidInput: ``table`` is no ``pandas.DataFrame``, or the digits are out of range.

    Example:
        >>> import pandas
        >>> table = pandas.DataFrame({"accuracy": [0.7950000166893005, 2.8e-17], "step": [1, 2]})
        >>> round_numbers(table).values.tolist()
        [[0.795, 1.0], [0.0, 2.0]]
    """
    _check_table(table)
    digits = check_whole_number("digits", digits, at_least=1, at_most=17)
    rounded = table.copy()
    for position in range(rounded.shape[1]):  # Two columns may have one name.
        values = rounded.iloc[:, position].tolist()
        numbers = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v)]
        least = max(1e-16, 1e-14 * max(numbers, default=0.0))
        if numbers:
            rounded.isetitem(position, [_rounded(value, digits, least) for value in values])
    return rounded


def _rounded(value: Any, digits: int, least: float) -> Any:
    """Return a float with few digits, zero if it is small, and other values unchanged."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return float(f"{value:.{digits}g}") if abs(value) >= least else 0.0


def write_text(text: str, out: str | os.PathLike[str]) -> Path:
    """Write a text to a file, create its folder if needed, and return its path.

    Raises:
        InvalidInput: ``text`` is no text, or ``out`` is no path.
        RecordingFailed: the file cannot be written.
    """
    out = check_path("out", out)
    content = check_text("text", text).encode("utf-8", "replace")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(content)
    except OSError as error:
        raise RecordingFailed(
            f"{out} could not be written: {error.strerror or error}; choose another file"
        ) from error
    return out


def _check_table(table: Any) -> None:
    import pandas

    if not isinstance(table, pandas.DataFrame):
        raise InvalidInput(f"table must be a pandas.DataFrame, got {describe(table)}")


def _quote_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = re.sub(r"\r\n?", "\n", value)  # Python's csv does not quote a carriage return.
    if not value.startswith(FORMULA_STARTS):
        return value if text == value else text
    try:
        float(value)
    except ValueError:
        return f"'{text}"
    return value


def _escape_html(text: str) -> str:
    """Return a text in which no tag or entity begins."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return text.replace("<", "&lt;").replace(">", "&gt;")


def _escape_markdown(text: str) -> str:
    """Return the text of a cell without columns, tags, links or code of its own."""
    return re.sub(r"[\\|`]|\](?=\()", r"\\\g<0>", _escape_html(text))


def _merge_spreads(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return the cells as texts, each spread in one cell with the mean before it."""
    import pandas

    columns: dict[str, list[str]] = {}
    names = [str(name) for name in table.columns]
    for name, following in zip(names, [*names[1:], ""], strict=True):
        if name in SPREAD_COLUMNS:
            continue
        signed = name.startswith("minus ")
        percent = signed or name in (*PERCENT_COLUMNS, *table.attrs.get("percent", ()))
        spreads = table[following] if following in SPREAD_COLUMNS else [float("nan")] * len(table)
        columns[name.replace("_", " ") + ", %" * percent] = [
            _cell(value, spread, percent, signed)
            for value, spread in zip(table[name], spreads, strict=True)
        ]
    return pandas.DataFrame(columns, dtype=object)


def _cell(value: Any, spread: Any, percent: bool, signed: bool) -> str:
    if not isinstance(value, float):
        return "" if value is None else " ".join(str(value).splitlines())
    if value != value:
        return ""
    if percent:
        texts = [f"{100 * value:{'+' * signed}.1f}".replace("-", "−"), f"{100 * spread:.1f}"]
    else:
        texts = [f"{v:.3g}" if abs(v) < 100 else f"{v:,.0f}" for v in (value, spread)]
    return texts[0] if spread != spread else " ± ".join(texts)
