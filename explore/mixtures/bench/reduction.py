"""Benchmark of mixture reduction beside what can be installed instead, interleaved in one run."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from explore.errors import DependencyMissing
from explore.mixtures.bench.reference import plain_greedy
from explore.mixtures.distances import pdf_angle
from explore.mixtures.examples import load_mixture
from explore.mixtures.figures.cost import Costs, costs, exponent
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.run import reduce

SIZES = (50, 100, 200, 400, 700, 1000)


RATIOS = (("nrl_tracker", "runnalls"), ("plain", "oggmr"), ("closed", "oggmr"))


def nrl_runnalls(f: GaussianMixture, components: int) -> GaussianMixture:
    """Runnalls' algorithm of nrl-tracker (import name ``pytcl``).

    Raises:
        DependencyMissing: it is not installed.
    """
    try:
        from pytcl.clustering.gaussian_mixture import GaussianComponent, reduce_mixture_runnalls
    except ImportError as error:
        raise DependencyMissing("nrl-tracker is not installed; pip install nrl-tracker") from error
    parts = [
        GaussianComponent(float(w), m, c)
        for w, m, c in zip(f.weights, f.means, f.covariances, strict=True)
    ]
    found = reduce_mixture_runnalls(parts, components, weight_threshold=0.0).components
    return GaussianMixture(
        [c.weight for c in found],
        np.array([c.mean for c in found]),
        np.array([c.covariance for c in found]),
    )


def stone_soup(f: GaussianMixture, components: int, threshold: float = 4.0) -> GaussianMixture:
    """Stone Soup's reducer: prunes, merges within a Mahalanobis distance, truncates to the number of components.

    Raises:
        DependencyMissing: it is not installed.
    """
    try:
        from stonesoup.mixturereducer.gaussianmixture import GaussianMixtureReducer
        from stonesoup.types.state import WeightedGaussianState
    except ImportError as error:
        raise DependencyMissing("Stone Soup is not installed; pip install stonesoup") from error
    states = [
        WeightedGaussianState(m[:, None], c, weight=float(w))
        for w, m, c in zip(f.weights, f.means, f.covariances, strict=True)
    ]
    found = GaussianMixtureReducer(
        merge_threshold=threshold, max_number_components=components
    ).reduce(states)
    weights = np.array([float(state.weight) for state in found])
    means = np.array([np.asarray(state.mean, float).ravel() for state in found])
    return GaussianMixture(
        weights,
        means,
        np.array([np.asarray(state.covar, float) for state in found]),
        normalize=True,
    )


def interleaved(
    forms: dict[str, Callable[[], Any]], rounds: int
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Results and seconds of each form, one after another, ``rounds`` times after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    results = {}
    for turn in range(rounds + 1):
        for name, form in forms.items():
            began = time.perf_counter()
            results[name] = form()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return results, seconds


def same(one: GaussianMixture, other: GaussianMixture) -> float:
    """Largest difference of any parameter, components in the order of their first coordinate."""
    if len(one) != len(other):
        return float("inf")
    orders = [np.argsort(mixture.means[:, 0]) for mixture in (one, other)]
    return max(
        float(np.abs(getattr(one, name)[orders[0]] - getattr(other, name)[orders[1]]).max())
        for name in ("weights", "means", "covariances")
    )


def measure(rounds: int, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Every figure of the benchmark."""
    sixty = load_mixture("random", components=60, dimension=2)
    two_hundred = load_mixture("random", components=200, dimension=2)
    thousand = load_mixture("random", components=1000, dimension=3)
    forms: dict[str, Callable[[], Any]] = {
        "nrl-tracker": lambda: nrl_runnalls(sixty, 10),
        "stone soup": lambda: stone_soup(sixty, 10),
        "runnalls": lambda: reduce(sixty, 10, "runnalls").mixture,
        "oggmr 60": lambda: reduce(sixty, 10, "oggmr", refine="none").mixture,
        "plain": lambda: plain_greedy(two_hundred, 10)[0],
        "closed": lambda: plain_greedy(two_hundred, 10, closed=True)[0],
        "oggmr 200": lambda: reduce(two_hundred, 10, "oggmr", refine="none").mixture,
        "ise-local 1000": lambda: reduce(thousand, 20, "ise-local").mixture,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages
        results, seconds = interleaved(forms, rounds)
    medians = {name: statistics.median(times) for name, times in seconds.items()}

    def ratio(slow: str, fast: str) -> list[float]:
        each = sorted(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))
        return [statistics.median(each), each[0], each[-1]]

    methods: dict[str, tuple[str, dict[str, Any]]] = {
        "oggmr": ("angle, all pairs against the whole", {"refine": "none"}),
        "ise-local": ("local ISE", {}),
        "runnalls": ("Runnalls", {}),
    }
    growth: dict[str, list[float]] = {}
    for method, (label, options) in methods.items():
        growth[label] = []
        for n in sizes:
            mixture = load_mixture("random", components=n, dimension=2)
            form = partial(reduce, mixture, 20, method, **options)
            found = interleaved(
                {"": form}, 9 if n <= 200 or method != "oggmr" else 2
            )  # that one takes seconds
            growth[label].append(statistics.median(found[1][""]))
    return {
        "seconds": medians,
        "all_seconds": seconds,
        "nrl_tracker_over_runnalls": ratio("nrl-tracker", "runnalls"),
        "plain_over_oggmr": ratio("plain", "oggmr 200"),
        "closed_over_oggmr": ratio("closed", "oggmr 200"),
        "difference_from_nrl_tracker": same(results["nrl-tracker"], results["runnalls"]),
        "difference_from_plain": same(results["plain"], results["oggmr 200"]),
        "stone_soup_components": len(results["stone soup"]),
        "angle": {
            name: pdf_angle(sixty, results[name])
            for name in ("nrl-tracker", "stone soup", "runnalls", "oggmr 60")
        },
        "sizes": list(sizes),
        "growth": growth,
        "exponents": {
            name: exponent(np.array(sizes), np.array(times)) for name, times in growth.items()
        },
    }


def main(arguments: list[str]) -> None:
    """``explore bench mixtures``."""
    parser = argparse.ArgumentParser(prog="explore bench mixtures", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    parser.add_argument(
        "--figure",
        type=Path,
        help="draw seconds against components into this file (.png, .svg, .pdf, .csv)",
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    given = parser.parse_args(arguments)
    found = measure(given.rounds)
    seconds, angle = found["seconds"], found["angle"]
    nrl, plain, closed = (found[f"{name}_over_{ours}"] for name, ours in RATIOS)
    rows = [
        ("nrl-tracker, Runnalls", "nrl-tracker", "nrl-tracker"),
        (
            f"Stone Soup (at most 10; leaves {found['stone_soup_components']})",
            "stone soup",
            "stone soup",
        ),
        ("explore, Runnalls", "runnalls", "runnalls"),
        ("explore, greedy angle", "oggmr 60", "oggmr 60"),
    ]
    lines = [f"medians of {given.rounds} rounds, interleaved", "60 → 10 components in 2-D:"]
    lines += [
        f"  {label:36} {seconds[name]:9.5f} s   angle {angle[which]:.4f}"
        for label, name, which in rows
    ]
    lines += [
        f"  nrl-tracker / explore, Runnalls: {nrl[0]:.0f} (from {nrl[1]:.0f} to {nrl[2]:.0f}, round by round)",
        f"  same result: largest difference {found['difference_from_nrl_tracker']:.1e}",
        "200 → 10 components in 2-D, greedy on the angle:",
        f"  {'plain NumPy, incremental':36} {seconds['plain']:9.5f} s",
        f"  {'the same with 2-D closed forms':36} {seconds['closed']:9.5f} s",
        f"  {'explore':36} {seconds['oggmr 200']:9.5f} s",
        f"  plain / explore: {plain[0]:.0f} (from {plain[1]:.0f} to {plain[2]:.0f}, round by round)",
        f"  closed forms / explore: {closed[0]:.0f} (from {closed[1]:.0f} to {closed[2]:.0f})",
        f"  same result: largest difference {found['difference_from_plain']:.1e}",
        f"1,000 → 20 components in 3-D, local ISE: {seconds['ise-local 1000']:.3f} s",
        "to 20 components in 2-D, seconds and the power of N that fits:",
        f"  {'N':36} {' '.join(f'{n:>8,}' for n in found['sizes'])}",
    ]
    for label, times in found["growth"].items():
        lines.append(
            f"  {label:36} {' '.join(f'{t:8.4f}' for t in times)}   N^{found['exponents'][label]:.1f}"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    if given.figure:
        from explore.plotting.export import save

        data = costs(found["sizes"], found["growth"])
        sys.stdout.write(f"wrote {save(Costs(data), data, given.figure)}\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
