"""Teachers of several capacities on digits: their soft label bits, and what a student gains from them. Minutes.

python scripts/subclass_teachers.py
"""

from __future__ import annotations

import sys
from typing import Any

from explore import build
from explore.subclass import table

WIDTHS = (1, 2, 4, 16)


def main() -> None:
    sys.stdout.write(
        "| teacher's channels | its accuracy, % | soft bits, T = 1 | SKD − class labels, points |\n|---|---|---|---|\n"
    )
    for width in WIDTHS:
        config = {
            "data": "digits",
            "labels": [50],
            "widths": [16],
            "methods": ["scratch", "skd"],
            "teacher_width": width,
        }
        run: Any = build({"method": "subclass-study", **config})
        while run.step < run.steps:
            run.advance()
        study = run.result()
        accuracy, bits = (
            100 * float(study["teacher_accuracy"].mean()),
            float(study["teacher_bits"].mean()),
        )
        row = table(study).query("lesson == 'skd'").iloc[0]
        gain = f"{100 * row['minus scratch']:+.1f} ± {100 * row['±']:.1f}"
        sys.stdout.write(f"| {width} | {accuracy:.1f} | {bits:.2f} | {gain} |\n")


if __name__ == "__main__":
    main()
