"""Benchmark of sparse convolution: PyTorch's dense one, im2col, MEC, CPO and CPS beside the bitmap engine, layer by layer."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numba import types

from explore._parallel.intrinsics import pointer, take
from explore._parallel.openmp import Pace
from explore._parallel.work_sharing import helpers, join
from explore.core.environment import processor
from explore.errors import InvalidInput
from explore.plotting.export import save
from explore.sparseconv._engine.simd import LANES, burn
from explore.sparseconv.bench.networks import PAUSE, report
from explore.sparseconv.convolution import prepare
from explore.sparseconv.figures.speedup_by_density import SpeedupByDensity, speedup_by_density
from explore.sparseconv.figures.time_by_density import DENSE_LAYOUTS


class Shape(NamedTuple):
    """A convolution of a known network: where it is from, channels, filters, side of the map, kernel, stride, padding."""

    source: str
    channels: int
    filters: int
    side: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """Short, for a table."""
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return (
            f"{self.side}² {self.channels}→{self.filters} {self.kernel[0]}×{self.kernel[1]}{stride}"
        )

    @property
    def plain(self) -> bool:
        """3×3 at stride 1."""
        return self.kernel == (3, 3) and self.stride == 1

    @property
    def outputs(self) -> int:
        """Pixels of the output."""
        sides = [
            (self.side + 2 * p - k) // self.stride + 1
            for k, p in zip(self.kernel, self.padding, strict=True)
        ]
        return sides[0] * sides[1]

    @property
    def operations(self) -> int:
        """Floating-point operations of the dense convolution: two for each multiply-add."""
        return 2 * self.channels * self.filters * self.kernel[0] * self.kernel[1] * self.outputs


SQUARE, SAME, FIVE, WIDE, TALL = (3, 3), (1, 1), (5, 5), (1, 7), (7, 1)
INCEPTION = [
    *[Shape("Inception-v3", c, k, side, SQUARE) for c, k, side in ((32, 32, 149), (80, 192, 73))],
    *[
        Shape("Inception-v3", c, k, s, SQUARE, 1, SAME)
        for c, k, s in ((32, 64, 147), (64, 96, 35), (96, 96, 35), (448, 384, 8))
    ],
    Shape("Inception-v3", 48, 64, 35, FIVE, 1, (2, 2)),
    *[
        Shape("Inception-v3", c, k, s, SQUARE, 2)
        for c, k, s in ((288, 384, 35), (96, 96, 35), (192, 320, 17), (192, 192, 17))
    ],
    *[
        Shape("Inception-v3", c, k, 17, WIDE, 1, (0, 3))
        for c, k in ((128, 128), (160, 160), (192, 192))
    ],
    *[Shape("Inception-v3", c, k, 17, TALL, 1, (3, 0)) for c, k in ((128, 192), (192, 192))],
    Shape("Inception-v3", 384, 384, 8, (1, 3), 1, (0, 1)),
    Shape("Inception-v3", 384, 384, 8, (3, 1), 1, (1, 0)),
]
VGG = [
    Shape("VGG-16", c, c, s, SQUARE, 1, SAME)
    for c, s in ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))
]
RESNET = [
    Shape("ResNet-18", c, c, s, SQUARE, 1, SAME)
    for c, s in ((64, 56), (128, 28), (256, 14), (512, 7))
]
RESNET += [
    Shape("ResNet-18", c, 2 * c, s, SQUARE, 2, SAME) for c, s in ((64, 56), (128, 28), (256, 14))
]
LISTS = {"vgg": VGG, "resnet": RESNET, "inception": INCEPTION}

DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05)
CURVE = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05)
"""Densities of the lab's curve."""
METHODS = ("bitmap", "im2col", "mec", "cpo", "cps")


def inputs(shape: Shape, density: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``[K, C, Kh, Kw]`` and a map ``[1, H, W, C]`` with zeros at random places."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(shape.filters, shape.channels, *shape.kernel)).astype(np.float32)
    x = rng.normal(size=(1, shape.side, shape.side, shape.channels))
    return weight, np.where(rng.random(x.shape) < density, x, 0).astype(np.float32)


def taken(forms: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Seconds of some calls of each form, one form after another, after two uncounted calls.

    Before each form there is a pause: threads of PyTorch's OpenMP library spin for some milliseconds after their work, and
    would take cores from whoever comes next.
    """
    found: dict[str, list[float]] = {}
    for name, form in forms.items():
        sleep(PAUSE)
        form()
        begin = perf_counter()
        form()
        calls = 1 + min(20, int(seconds / max(1e-6, perf_counter() - begin)))
        found[name] = []
        for _ in range(calls):
            begin = perf_counter()
            form()
            found[name].append(perf_counter() - begin)
    return found


def measure(
    shapes: Iterable[Shape],
    densities: Iterable[float],
    methods: Iterable[str],
    rounds: int,
    seconds: float,
    say: Callable[[str], Any] = lambda text: None,
) -> list[dict[str, Any]]:
    """Median seconds of each form for each shape and density, packing of the map included; all outputs are compared.

    Each round goes through everything: a machine may be slower for some seconds, and that is not to hit one layer alone.
    """
    densities = list(densities)
    found: dict[Shape, list[dict[str, list[float]]]] = {shape: [] for shape in shapes}
    apart: dict[tuple[Shape, float], float] = {}
    for turn in range(rounds):
        for shape, rows in found.items():
            layers: dict[str, Any] = {}
            for place, density in enumerate(densities):
                weight, x = inputs(shape, density)
                sizes: dict[str, Any] = {"stride": shape.stride, "padding": shape.padding}
                layers = layers or {name: prepare(weight, method=name, **sizes) for name in methods}
                last = torch.from_numpy(x).permute(0, 3, 1, 2)  # channels last
                first, filters = last.contiguous(), torch.from_numpy(weight)
                turned = filters.contiguous(memory_format=torch.channels_last)
                plan = (shape.stride, shape.padding)
                forms: dict[str, Callable[[], Any]] = {
                    DENSE_LAYOUTS[0]: partial(torch.conv2d, first, filters, None, *plan),
                    DENSE_LAYOUTS[1]: partial(torch.conv2d, last, turned, None, *plan),
                    **{name: partial(layer, last) for name, layer in layers.items()},
                }
                with torch.inference_mode():
                    if not turn:
                        wanted = forms[DENSE_LAYOUTS[0]]()
                        largest = max(
                            float((forms[name]() - wanted).abs().max()) for name in layers
                        )
                        apart[shape, density] = largest / float(wanted.abs().max())
                        rows.append({name: [] for name in forms})
                    for name, times in taken(forms, seconds / rounds).items():
                        rows[place][name] += times
                say(f"\rround {turn + 1} of {rounds}: {shape.name}, density {density}          ")
    say("\n")
    return [
        {"shape": shape, "density": density, "apart": apart[shape, density]}
        | {"seconds": {name: statistics.median(times) for name, times in row.items()}}
        for shape, rows in found.items()
        for density, row in zip(densities, rows, strict=True)
    ]


def peak(threads: int, rounds: int = 10) -> float:
    """Fused multiply-adds in registers, nothing else, on all threads: floating-point operations a second."""
    steps, out = 3_000_000, np.zeros(threads * LANES, np.float32)
    best = math.inf
    for _ in range(rounds):
        sleep(PAUSE)  # after it a thread wakes on a core that is free
        job = np.array([0, threads, steps, out.ctypes.data], np.uint64)
        begin = perf_counter()
        join(threads, _burning(), job.ctypes.data, Pace())
        best = min(best, perf_counter() - begin)
    return threads * steps * 2 * LANES * 12 / best


@cache
def _burning() -> int:
    """The address of what burns once for each thread, whoever comes: job = [next, threads, steps, place of an output]."""

    @numba.cfunc(types.void(types.uintp, types.uintp))
    def run(job, number):  # type: ignore[no-untyped-def]
        told = numba.carray(pointer(job, np.empty(0, np.uint64)), 4)
        out = numba.carray(pointer(told[3], np.empty(0, np.float32)), told[1] * np.uint64(LANES))
        while True:
            worker = take(told, np.uintp(0), np.uintp(1))
            if worker >= told[1]:
                break
            burn(out, worker * np.uintp(LANES), told[2])

    return int(run.address)  # type: ignore[arg-type]


def here(layer: str, seconds: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One layer of the lists on this machine, in about so many seconds: rows as in the file, and where they are from.

    Raises:
        InvalidInput: no such layer.
    """
    shapes = {shape.name: shape for shapes in LISTS.values() for shape in shapes}
    if layer not in shapes:
        raise InvalidInput(f"no layer {layer!r}; there are {', '.join(shapes)}")
    threads, methods = same_threads(), [name for name in METHODS if name != "mec"]
    each = seconds / len(CURVE) / (len(methods) + len(DENSE_LAYOUTS))
    rows = measure([shapes[layer]], CURVE, methods, 2, max(0.005, each / 2))
    return [{**row, "layer": layer} for row in rows], {"machine": processor(), "threads": threads}


def same_threads() -> int:
    """As many threads for both: PyTorch's present number, or what Numba may have at most."""
    threads = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(threads)
    torch.set_num_threads(
        threads
    )  # numba's first call sets the OpenMP library that both use to all cores
    return threads


def best_dense(seconds: Mapping[str, float]) -> float:
    """Of PyTorch's two layouts."""
    return min(seconds[name] for name in DENSE_LAYOUTS)


def geometric(rows: list[dict[str, Any]], method: str, density: float, plain: bool) -> float:
    """Mean ratio of the best dense layout to a method."""
    ratios = [
        best_dense(row["seconds"]) / row["seconds"][method]
        for row in rows
        if row["density"] == density and (row["shape"].plain or not plain)
    ]
    return statistics.geometric_mean(ratios) if ratios else math.nan


def table(rows: list[dict[str, Any]], methods: list[str], top: float) -> str:
    """Milliseconds of each form, and how much faster than the best dense layout the first method is."""
    lines = [f"  {'layer':27}{'density':>8}{'torch':>9}{'ch. last':>9}" + "".join(f"{name:>9}" for name in methods)
             + f"{'ratio':>8}{'of peak':>9}"]  # fmt: skip
    for row in rows:
        seconds, shape = row["seconds"], row["shape"]
        ours = seconds[methods[0]]
        share = shape.operations * row["density"] / ours / top
        lines.append(
            f"  {shape.name:27}{row['density']:>8}"
            + "".join(f"{1e3 * seconds[name]:9.3f}" for name in (*DENSE_LAYOUTS, *methods))
            + f"{best_dense(seconds) / ours:8.2f}{share:9.0%}"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """``explore bench sparseconv``."""
    parser = argparse.ArgumentParser(prog="explore bench sparseconv", description=__doc__)
    parser.add_argument(
        "--layers", default="vgg,resnet,inception", help=f"of {', '.join(LISTS)} [default: all]"
    )
    parser.add_argument(
        "--densities", default=",".join(map(str, DENSITIES)), help="[default: %(default)s]"
    )
    parser.add_argument(
        "--methods",
        default=",".join(METHODS),
        help="beside torch; the first is the one of the ratios",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="of all forms in turn [default: %(default)s]"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.1, help="for each form, about [default: %(default)s]"
    )
    parser.add_argument(
        "--networks", default="", help="time whole networks instead, such as scenes-vgg,squeezenet"
    )
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument(
        "--figure", type=Path, help="draw the ratios over density: a .png, .svg, .pdf or .csv"
    )
    given = parser.parse_args(arguments)
    shapes = [shape for name in given.layers.split(",") for shape in LISTS[name]]
    densities, methods = [float(d) for d in given.densities.split(",")], given.methods.split(",")
    threads = same_threads()
    if given.networks:
        found = report(given.networks.split(","))
        if given.json:
            given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    rows = measure(shapes, densities, methods, given.rounds, given.seconds, sys.stderr.write)
    top = peak(threads)
    out = sys.stdout
    out.write(
        f"batch 1, {threads} threads each ({helpers()} help ours); medians of {given.rounds} rounds, interleaved; milliseconds, "
        "packing included\n"
    )
    out.write(
        f"multiply-adds alone reach {top / 1e9:.0f} GF/s; largest difference {max(row['apart'] for row in rows):.0e}\n"
    )
    out.write(table(rows, methods, top) + "\n")
    out.write(f"geometric means of the best dense layout / {methods[0]}:\n")
    out.write("  " + " " * 27 + "".join(f"  d = {d:<6}" for d in densities) + "\n")
    for plain, name in ((True, "3×3, stride 1"), (False, "every layer")):
        out.write(
            f"  {name:27}"
            + "".join(f"  {geometric(rows, methods[0], d, plain):<10.2f}" for d in densities)
            + "\n"
        )
    kept = [{**row, "layer": row["shape"].name, "shape": row["shape"]._asdict()} for row in rows]
    about = {"threads": threads, "peak": top, "machine": processor()}
    if given.figure:
        data = speedup_by_density(kept, about, methods[0])
        save(SpeedupByDensity(data), data, given.figure)
    if given.json:
        given.json.write_text(
            json.dumps({"about": about, "rows": kept}, indent=1) + "\n", encoding="utf-8"
        )
