"""Print the digits table of docs/results.md: one image per class, three runs of each method, five networks. Four minutes.

python scripts/accuracy_digits.py
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from explore import build
from explore.data import DistilledSet, load
from explore.distill import EvaluationProtocol
from explore.distill.evaluation.fair_comparison import compare, starting_points

SEEDS, NETWORKS = 3, 5


def main() -> None:
    train, test = load("digits"), load("digits", "test")
    rows: dict[str, list[np.ndarray]] = {}
    for seed in range(SEEDS):
        sets: dict[str, Any] = dict(starting_points(train, seed=seed))
        for method in ("dm", "datadam", "channel", "atom"):
            run: Any = build({"method": method, "data": "digits", "preset": "lesson", "seed": seed})
            while run.step < run.steps:
                run.advance()
            sets[method] = DistilledSet.of(run)
        found = compare(sets, test, EvaluationProtocol(networks=NETWORKS, seed=seed))
        for name, values in zip(found.set.values, found.accuracy.values, strict=True):
            rows.setdefault(str(name), []).append(values)
    sys.stdout.write("| set | test accuracy, % |\n|---|---|\n")
    for name, values in rows.items():
        every = 100 * np.concatenate(values)
        sys.stdout.write(f"| {name} | {every.mean():.1f} ± {every.std(ddof=1):.1f} |\n")


if __name__ == "__main__":
    main()
