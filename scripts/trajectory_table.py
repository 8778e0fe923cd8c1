"""Print the table of trajectory matching in docs/results.md: accuracies on one data set.

python scripts/trajectory_table.py digits --seeds 8
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from explore import build
from explore.data import load
from explore.data.distilled_set import DistilledSet
from explore.distill import ExpertTrajectories

SETS: dict[str, dict[str, Any]] = {
    "digits": {"name": "digits", "options": {}},
    "scenes": {"name": "scenes", "options": {"size": 32, "count": 1000}},
    "easy scenes": {
        "name": "scenes",
        "options": {"size": 32, "count": 1000, "clutter": 0, "object_size": [0.3, 0.48]},
    },
    "imagenette": {"name": "imagenette", "options": {"size": 32, "count": 100}},
}
PARTS: dict[str, dict[str, Any]] = {
    "MTT": {"method": "mtt"},
    "DATM": {"method": "datm"},
    "dropout alone": {"method": "edf", "enhance": False},
    "enhancement alone": {"method": "edf", "drop_ratio": 0.0},
    "EDF": {"method": "edf"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "random": {"method": "random"},
    "class mean": {"method": "class-mean"},
    "DM": {"method": "dm", "preset": "lesson", "width": 16},
    "DataDAM": {"method": "datadam", "preset": "lesson", "width": 16},
}


def distilled_sets(
    data: dict[str, Any], count: int, seed: int, steps: int, options: dict[str, Any]
) -> Iterator[tuple[str, DistilledSet, float]]:
    """Yield the name, the set and the seconds of each method, all with one seed."""
    begin = time.perf_counter()
    experts_run: Any = build({"method": "experts", "data": data, "preset": "lesson", "seed": seed})
    experts = ExpertTrajectories.of(experts_run.run())
    print(f"seed {seed}: experts in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    shared = {"data": data, "images_per_class": count, "seed": seed}
    for name, changes in PARTS.items():
        begin = time.perf_counter()
        config = {**shared, "preset": "lesson", "experts": experts, "steps": steps, **options}
        run: Any = build({**config, **changes})
        if name == "DATM":
            yield "random, the same soft labels", DistilledSet.of(run), 0.0
        yield name, DistilledSet.of(run.run()), time.perf_counter() - begin
    for name, changes in OTHERS.items():
        if name == "class mean" and count > 1:
            continue
        begin = time.perf_counter()
        yield name, DistilledSet.of(build({**shared, **changes}).run()), time.perf_counter() - begin  # type: ignore[attr-defined]


def accuracy(distilled: DistilledSet, split: str, seed: int) -> float:
    """Return the mean accuracy in percent of three networks that were trained on a set."""
    run: Any = build(
        {
            "method": "evaluate",
            "distilled": distilled,
            "split": split,
            "networks": 3,
            "width": 16,
            "seed": seed,
        }
    )
    return 100 * float(run.run().result().accuracy.mean())


def main(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(SETS)}.")],
    seeds: Annotated[int, typer.Option(help="Seeds; each has its own experts.")] = 8,
    first: Annotated[int, typer.Option(help="The first seed.")] = 0,
    count: Annotated[int, typer.Option(help="Images per class.")] = 1,
    steps: Annotated[int, typer.Option(help="Steps of trajectory matching.")] = 100,
    split: Annotated[str, typer.Option(help="test, or val to choose settings.")] = "test",
    options: Annotated[str, typer.Option(help="Options of trajectory matching, as JSON.")] = "{}",
    json_file: Annotated[Path | None, typer.Option(help="Write the accuracies here.")] = None,
) -> None:
    """Distil by each method with some seeds, and print mean and standard error of the accuracy."""
    torch.set_num_threads(1)
    load(SETS[name]["name"], **SETS[name]["options"])  # fails early if the data are missing
    values: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in range(first, first + seeds):
        for method, distilled, taken in distilled_sets(
            SETS[name], count, seed, steps, json.loads(options)
        ):
            values.setdefault(method, []).append(accuracy(distilled, split, seed))
            seconds.setdefault(method, []).append(taken)
            print(f"seed {seed} {method:30} {values[method][-1]:5.1f}", file=sys.stderr)
        if json_file:
            json_file.write_text(json.dumps(values))
    print(f"{name}, {count} per class, {seeds} seeds, {split} %: mean ± standard error, seconds")
    for method, row in values.items():
        error = np.std(row, ddof=1) / len(row) ** 0.5 if len(row) > 1 else float("nan")
        print(
            f"  {method:30} {np.mean(row):5.1f} ± {error:.1f} {np.median(seconds[method]):6.0f} s"
        )


if __name__ == "__main__":
    typer.run(main)
