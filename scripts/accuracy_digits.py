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

SEED_COUNT, NETWORKS_PER_SET = 3, 5


def main() -> None:
    train, test = load("digits"), load("digits", "test")
    accuracies: dict[str, list[np.ndarray]] = {}
    for seed in range(SEED_COUNT):
        sets: dict[str, Any] = dict(starting_points(train, seed=seed))
        for method in ("dm", "datadam", "channel", "atom"):
            run: Any = build({"method": method, "data": "digits", "preset": "lesson", "seed": seed})
            while run.step < run.steps:
                run.advance()
            sets[method] = DistilledSet.of(run)
        comparison = compare(sets, test, EvaluationProtocol(networks=NETWORKS_PER_SET, seed=seed))
        for name, values in zip(comparison.set.values, comparison.accuracy.values, strict=True):
            accuracies.setdefault(str(name), []).append(values)
    sys.stdout.write("| set | test accuracy, % |\n|---|---|\n")
    for name, values in accuracies.items():
        percent = 100 * np.concatenate(values)
        sys.stdout.write(f"| {name} | {percent.mean():.1f} ± {percent.std(ddof=1):.1f} |\n")


if __name__ == "__main__":
    main()
