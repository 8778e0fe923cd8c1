"""Benchmark of sparse convolution, layer by layer: PyTorch, im2col, MEC, CPO, CPS and the bitmap
engine."""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from explore._parallel.work_sharing import helper_threads
from explore.core import benchmark
from explore.core.environment import processor
from explore.errors import UnknownName
from explore.plotting.export import save
from explore.sparseconv.bench import networks as network_benchmark
from explore.sparseconv.bench.peak import peak
from explore.sparseconv.bench.shapes import LAYER_LISTS
from explore.sparseconv.bench.timing import SPARSE_METHODS, limit_threads, measure
from explore.sparseconv.figures.speedup_by_density import SpeedupByDensity, speedup_by_density
from explore.sparseconv.figures.time_by_density import DENSE_LAYOUTS, best_dense


def mean_ratio(
    rows: list[dict[str, Any]], method: str, density: float, only_3x3: bool = False
) -> float:
    """Return the geometric mean over layers of the best dense layout's seconds / the method's."""
    ratios = [
        best_dense(row["seconds"]) / row["seconds"][method]
        for row in rows
        if row["density"] == density and (row["shape"].is_3x3 or not only_3x3)
    ]
    return statistics.geometric_mean(ratios) if ratios else math.nan


def layer_table(rows: list[dict[str, Any]], methods: list[str], top: float) -> list[str]:
    """Return the lines of a table: milliseconds, and ratio and share of the peak of the first
    method."""
    columns = "".join(f"{name:>9}" for name in ("torch", "ch. last", *methods))
    lines = [f"  {'layer':27}{'density':>8}{columns}{'ratio':>8}{'of peak':>9}"]
    for row in rows:
        seconds, shape, density = row["seconds"], row["shape"], row["density"]
        columns = "".join(f"{1e3 * seconds[name]:9.3f}" for name in (*DENSE_LAYOUTS, *methods))
        ratio = best_dense(seconds) / seconds[methods[0]]
        share = shape.operations * density / seconds[methods[0]] / top
        lines.append(f"  {shape.name:27}{density:>8}{columns}{ratio:8.2f}{share:9.0%}")
    return lines


@benchmark.command("sparseconv")
def main(
    layers: Annotated[
        str, Option(metavar="NAMES", help="Lists of layers, separated by commas.")
    ] = ",".join(LAYER_LISTS),
    densities: Annotated[
        str, Option(metavar="NUMBERS", help="Shares of values that are not zero.")
    ] = "0.5,0.3,0.2,0.1,0.05",
    methods: Annotated[
        str, Option(metavar="NAMES", help="Sparse methods; ratios are those of the first.")
    ] = ",".join(SPARSE_METHODS),
    rounds: benchmark.Rounds = 5,
    seconds: Annotated[float, Option(help="Time for each candidate, about.")] = 0.1,
    networks: Annotated[
        str, Option(metavar="NAMES", help="Time whole networks instead, such as scenes-vgg.")
    ] = "",
    json_file: benchmark.JsonFile = None,
    figure: Annotated[
        Path | None,
        Option(metavar="FILE", help="Draw the ratios over density: .png, .svg, .pdf or .csv."),
    ] = None,
) -> None:
    """Time sparse convolution by layer: PyTorch, im2col, MEC, CPO, CPS and the bitmap engine."""
    threads = limit_threads()
    if networks:
        results = network_benchmark.report(networks.split(","))
        if json_file:
            json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        return
    if unknown := set(layers.split(",")) - set(LAYER_LISTS):
        raise UnknownName("list of layers", min(unknown), LAYER_LISTS)
    shapes = [shape for name in layers.split(",") for shape in LAYER_LISTS[name]]
    numbers, names = [float(text) for text in densities.split(",")], methods.split(",")
    rows = measure(shapes, numbers, names, rounds, seconds, sys.stderr.write)
    top = peak(threads)
    lines = [
        f"batch 1, {threads} threads each ({helper_threads()} help ours); "
        f"medians of {rounds} rounds, interleaved; milliseconds, packing included",
        f"multiply-adds alone reach {top / 1e9:.0f} GF/s; "
        f"largest difference {max(row['apart'] for row in rows):.0e}",
        *layer_table(rows, names, top),
        f"geometric means of the best dense layout / {names[0]}:",
        "  " + " " * 27 + "".join(f"  d = {density:<6}" for density in numbers),
    ]
    for only_3x3, label in ((True, "3×3, stride 1"), (False, "every layer")):
        means = (f"  {mean_ratio(rows, names[0], d, only_3x3):<10.2f}" for d in numbers)
        lines.append(f"  {label:27}{''.join(means)}")
    records = [{**row, "layer": row["shape"].name, "shape": row["shape"]._asdict()} for row in rows]
    about = {"threads": threads, "peak": top, "machine": processor()}
    if figure:
        data = speedup_by_density(records, about, names[0])
        save(SpeedupByDensity(data), data, figure)
    benchmark.report(lines, {"about": about, "rows": records}, json_file)
