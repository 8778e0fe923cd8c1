"""Print the table of subclass distillation in docs/results.md from recordings of ``explore run subclass-study``.

python scripts/subclass_table.py --width 16 --labels 200 NAME=runs/study.zarr ...
"""

from __future__ import annotations

import argparse
import sys

from explore import open_recording
from explore.subclass import table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", metavar="NAME=STUDY.zarr", help="one column each")
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--measure", default="accuracy")
    given = parser.parse_args()
    columns: dict[str, dict[str, str]] = {}
    for study in given.studies:
        name, _, path = study.partition("=")
        rows = table(open_recording(path), given.measure)
        first = rows["teacher_images"].iloc[0], rows["temperature"].iloc[0]
        rows = rows[(rows["labels"] == given.labels) & (rows["width"] == given.width)]
        rows = rows[(rows["teacher_images"] == first[0]) & (rows["temperature"] == first[1])]
        columns[name] = {}
        for row in rows.to_dict("records"):
            mean, deviation, difference, half = (
                100 * row[key] for key in (given.measure, "std", "minus scratch", "±")
            )
            beside = "" if row["lesson"] == "scratch" else f" ({difference:+.1f} ± {half:.1f})"
            columns[name][row["lesson"]] = f"{mean:.1f} ± {deviation:.1f}{beside}"
    lessons = list(dict.fromkeys(lesson for column in columns.values() for lesson in column))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {lesson} | " + " | ".join(column.get(lesson, "") for column in columns.values()) + " |"
        for lesson in lessons
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
