"""Times of single convolutions: PyTorch in both layouts and the sparse methods, at several
densities."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numba
import numpy as np
import torch

from explore._parallel.work_sharing import match_pytorch_threads
from explore.core import benchmark
from explore.core.environment import processor
from explore.errors import InvalidInput
from explore.sparseconv.bench.shapes import LAYER_LISTS, Shape
from explore.sparseconv.convolution import prepare
from explore.sparseconv.figures.time_by_density import DENSE_LAYOUTS

SPARSE_METHODS = ("bitmap", "im2col", "mec", "cpo", "cps")
CURVE_DENSITIES = (1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.05)
"""Densities of the lab's curve."""

LAB_ROUNDS = 5
"""Rounds of a measurement in the lab. The spread over them is drawn."""


def make_inputs(shape: Shape, density: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return weights ``[K, C, Kh, Kw]`` and a map ``[1, H, W, C]`` with zeros at random places."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(shape.filters, shape.channels, *shape.kernel)).astype(np.float32)
    x = rng.normal(size=(1, shape.side, shape.side, shape.channels))
    return weight, np.where(rng.random(x.shape) < density, x, 0).astype(np.float32)


def make_candidates(
    shape: Shape, density: float, layers: Mapping[str, Callable[..., Any]]
) -> dict[str, Callable[[], Any]]:
    """Return functions that convolve one map: PyTorch in both layouts, and the prepared layers."""
    weight, x = make_inputs(shape, density)
    channels_last = torch.from_numpy(x).permute(0, 3, 1, 2)
    channels_first, filters = channels_last.contiguous(), torch.from_numpy(weight)
    filters_last = filters.contiguous(memory_format=torch.channels_last)
    inputs = ((channels_first, filters), (channels_last, filters_last))
    dense = {
        name: partial(torch.conv2d, *tensors, None, shape.stride, shape.padding)
        for name, tensors in zip(DENSE_LAYOUTS, inputs, strict=True)
    }
    return dense | {name: partial(layer, channels_last) for name, layer in layers.items()}


def measure(
    shapes: Sequence[Shape],
    densities: Sequence[float],
    methods: Sequence[str],
    rounds: int,
    seconds: float,
    progress: Callable[[str], Any] = lambda text: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Return the median seconds of each candidate for each shape and density; compare the outputs.

    ``range`` holds the smallest and the largest median of a single round, for each candidate.

    The times include the encoding of the map. Each round measures everything, so that a slow moment
    of the machine does not affect one layer only.

    Args:
        shapes: the convolutions.
        densities: shares of the map that are not zero.
        methods: sparse methods, see ``prepare``.
        rounds: number of rounds.
        seconds: time for each candidate in all rounds, about.
        progress: function that prints a text.
        stop: function that returns whether to stop. Then rows are returned for what was measured.
    """
    times: dict[tuple[Shape, float], dict[str, list[float]]] = {}
    round_medians: dict[tuple[Shape, float], list[dict[str, float]]] = {}
    errors: dict[tuple[Shape, float], float] = {}
    for number in range(rounds):
        for shape in dict.fromkeys(shapes):
            weight, _ = make_inputs(shape, 1.0)
            geometry = (shape.stride, shape.padding)
            layers = {name: prepare(weight, None, *geometry, name) for name in methods}
            for density in densities:
                if stop():
                    break
                case = (shape, density)
                candidates = make_candidates(shape, density, layers)
                with torch.inference_mode():
                    if case not in times:
                        expected = candidates[DENSE_LAYOUTS[0]]()
                        differences = [(candidates[n]() - expected).abs().max() for n in methods]
                        errors[case] = float(max(differences) / expected.abs().max())
                        times[case] = {name: [] for name in candidates}
                    more = benchmark.time_rounds(
                        candidates, pause=benchmark.PAUSE, warmups=1, budget=seconds / rounds
                    )
                for name, values in more.items():
                    times[case][name] += values
                round_medians.setdefault(case, []).append(benchmark.medians(more))
                progress(
                    f"\rround {number + 1} of {rounds}: {shape.name}, density {density}" + " " * 10
                )
    progress("\n")
    return [
        {
            "shape": shape,
            "density": density,
            "apart": errors[shape, density],
            "seconds": benchmark.medians(seconds_by_name),
            "range": _ranges(round_medians[shape, density]),
        }
        for (shape, density), seconds_by_name in times.items()
    ]


def _ranges(medians: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the smallest and the largest median of a round for each candidate."""
    return {
        name: [min(m[name] for m in medians), max(m[name] for m in medians)] for name in medians[0]
    }


def measure_layer(
    layer: str,
    seconds: float,
    progress: Callable[[int, int, str], None] = lambda done, planned, text: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Measure one layer of the lists at the densities of the lab's curve.

    Args:
        layer: its name, see ``Shape``.
        seconds: time for all candidates, about.
        progress: called with the number of measurements that are done, their number, and a text.
        stop: function that returns whether to stop; what was measured is returned.

    Returns:
        Rows as in the file of ``explore bench sparseconv --json``, none if it was stopped before
        the first measurement; and the machine.

    Raises:
        InvalidInput: there is no such layer.
    """
    shapes = {shape.name: shape for shapes in LAYER_LISTS.values() for shape in shapes}
    if layer not in shapes:
        raise InvalidInput(f"no layer {layer!r}; the layers are {', '.join(shapes)}")
    threads = limit_threads()
    methods = [name for name in SPARSE_METHODS if name != "mec"]
    budget = seconds / len(CURVE_DENSITIES) / (len(methods) + len(DENSE_LAYOUTS))
    planned, steps = LAB_ROUNDS * len(CURVE_DENSITIES), itertools.count(1)
    progress(0, planned, "preparing the methods")
    rows = measure(
        [shapes[layer]],
        CURVE_DENSITIES,
        methods,
        LAB_ROUNDS,
        max(0.005, budget),
        lambda text: progress(next(steps), planned, text.strip()) if text.strip() else None,
        stop,
    )
    return [{**row, "layer": layer} for row in rows], {"machine": processor(), "threads": threads}


def limit_threads() -> int:
    """Let PyTorch and Numba compute with the same number of threads, and return it."""
    most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    torch.set_num_threads(min(torch.get_num_threads(), most))
    return match_pytorch_threads()
