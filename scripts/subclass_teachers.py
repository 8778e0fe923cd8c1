"""Print the soft label bits of teachers of several capacities on digits, and the gain of a student.

It takes some minutes.

python scripts/subclass_teachers.py
"""

from __future__ import annotations

import sys
from typing import Any

from explore import build
from explore.subclass import table

TEACHER_WIDTHS = (1, 2, 4, 16)


def main() -> None:
    sys.stdout.write(
        "| teacher's channels | its accuracy, % | soft bits, T = 1 | SKD − class labels, points |\n|---|---|---|---|\n"
    )
    for width in TEACHER_WIDTHS:
        config = {"data": "digits", "labels": [50], "widths": [16], "teacher_width": width}
        config |= {"method": "subclass-study", "methods": ["scratch", "skd"]}
        run: Any = build(config)
        while run.step < run.steps:
            run.advance()
        study = run.result()
        accuracy = 100 * float(study["teacher_accuracy"].mean())
        bits = float(study["teacher_bits"].mean())
        row = table(study).query("lesson == 'skd'").iloc[0]
        gain = f"{100 * row['minus scratch']:+.1f} ± {100 * row['±']:.1f}"
        sys.stdout.write(f"| {width} | {accuracy:.1f} | {bits:.2f} | {gain} |\n")


if __name__ == "__main__":
    main()
