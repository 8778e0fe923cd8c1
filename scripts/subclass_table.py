"""Print the table of subclass distillation in docs/results.md from recordings of ``explore run subclass-study``.

python scripts/subclass_table.py --width 16 --labels 200 NAME=runs/study.zarr ...
"""

from __future__ import annotations

import sys
from typing import Annotated

import pandas
import typer

from explore import open_recording
from explore.core.tables import format_table
from explore.subclass import table


def main(
    studies: Annotated[list[str], typer.Argument(metavar="NAME=STUDY.zarr", help="Columns.")],
    labels: int = 200,
    width: int = 16,
    measure: str = "accuracy",
) -> None:
    """Print one column for each study."""
    columns: dict[str, dict[str, str]] = {}
    for study in studies:
        name, _, path = study.partition("=")
        rows = table(open_recording(path), measure)
        first = rows.iloc[0]
        for setting, value in (
            ("labels", labels),
            ("width", width),
            ("teacher_images", first["teacher_images"]),
            ("temperature", first["temperature"]),
        ):
            rows = rows[rows[setting] == value]
        columns[name] = {}
        for row in rows.to_dict("records"):
            keys = (measure, "std", "minus scratch", "±")
            mean, deviation, difference, half = (100 * row[key] for key in keys)
            text = f"{mean:.1f} ± {deviation:.1f}"
            if row["lesson"] != "scratch":
                text += f" ({difference:+.1f} ± {half:.1f})"
            columns[name][row["lesson"]] = text
    cells = pandas.DataFrame(columns).fillna("")
    cells.insert(0, "", cells.index)
    sys.stdout.write(format_table(cells))


if __name__ == "__main__":
    typer.run(main)
