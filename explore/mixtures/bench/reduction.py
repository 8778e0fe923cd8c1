"""Benchmark of mixture reduction: ``explore``, what can be installed instead, and plain NumPy."""

from __future__ import annotations

import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from typer import Option

from explore.core import benchmark
from explore.errors import DependencyMissing
from explore.mixtures.bench.reference import plain_greedy
from explore.mixtures.distances import pdf_angle
from explore.mixtures.examples import load_mixture
from explore.mixtures.figures.cost import Costs, costs, exponent
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.reduction.run import reduce
from explore.plotting.export import save

SIZES = (50, 100, 200, 400, 700, 1000)
"""Numbers of components before the reduction, for the growth of the cost."""

SCALED_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "oggmr": ("angle, all pairs against the whole", {"refine": "none"}),
    "ise-local": ("local ISE", {}),
    "runnalls": ("Runnalls", {}),
}
"""Labels and options of the methods whose growth is measured."""


def nrl_runnalls(f: GaussianMixture, components: int) -> GaussianMixture:
    """Reduce a mixture by Runnalls' algorithm of nrl-tracker (import name ``pytcl``).

    Raises:
        DependencyMissing: nrl-tracker is not installed.
    """
    try:
        from pytcl.clustering.gaussian_mixture import GaussianComponent, reduce_mixture_runnalls
    except ImportError as error:
        raise DependencyMissing("nrl-tracker is not installed; pip install nrl-tracker") from error
    terms = [
        GaussianComponent(float(w), m, c)
        for w, m, c in zip(f.weights, f.means, f.covariances, strict=True)
    ]
    reduced = reduce_mixture_runnalls(terms, components, weight_threshold=0.0).components
    return GaussianMixture(
        [c.weight for c in reduced],
        np.array([c.mean for c in reduced]),
        np.array([c.covariance for c in reduced]),
    )


def stone_soup(f: GaussianMixture, components: int, threshold: float = 4.0) -> GaussianMixture:
    """Reduce a mixture by Stone Soup.

    It prunes, merges within a Mahalanobis distance, and keeps at most so many components.

    Raises:
        DependencyMissing: Stone Soup is not installed.
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
    reducer = GaussianMixtureReducer(merge_threshold=threshold, max_number_components=components)
    reduced = reducer.reduce(states)
    return GaussianMixture(
        np.array([float(state.weight) for state in reduced]),
        np.array([np.asarray(state.mean, float).ravel() for state in reduced]),
        np.array([np.asarray(state.covar, float) for state in reduced]),
        normalize=True,
    )


def largest_difference(f: GaussianMixture, g: GaussianMixture) -> float:
    """Return the largest difference of any parameter, components sorted by first coordinate.

    It is infinite if the numbers of components differ.
    """
    if len(f) != len(g):
        return float("inf")
    order_f, order_g = (np.argsort(mixture.means[:, 0]) for mixture in (f, g))
    return max(
        float(np.abs(getattr(f, name)[order_f] - getattr(g, name)[order_g]).max())
        for name in ("weights", "means", "covariances")
    )


def measure_growth(sizes: Sequence[int]) -> dict[str, list[float]]:
    """Return the median seconds of each method of ``SCALED_METHODS`` at each size, by its label."""
    growth: dict[str, list[float]] = {}
    for method, (label, options) in SCALED_METHODS.items():
        growth[label] = []
        for size in sizes:
            mixture = load_mixture("random", components=size, dimension=2)
            candidate = partial(reduce, mixture, 20, method, **options)
            calls = 9 if size <= 200 or method != "oggmr" else 2  # OGGMR takes seconds there.
            (seconds,) = benchmark.time_rounds({"": candidate}, warmups=1, calls=calls).values()
            growth[label].append(statistics.median(seconds))
    return growth


def measure(rounds: int, sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Return all values of the benchmark."""
    sixty = load_mixture("random", components=60, dimension=2)
    two_hundred = load_mixture("random", components=200, dimension=2)
    thousand = load_mixture("random", components=1000, dimension=3)
    candidates: dict[str, Callable[[], GaussianMixture]] = {
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
        warnings.simplefilter("ignore")  # Other packages warn.
        reduced = {name: candidate() for name, candidate in candidates.items()}  # Not timed.
        seconds = benchmark.time_rounds(candidates, rounds)
    growth = measure_growth(sizes)
    return {
        "seconds": benchmark.medians(seconds),
        "all_seconds": seconds,
        "nrl_tracker_over_runnalls": benchmark.Ratio.of(
            seconds["nrl-tracker"], seconds["runnalls"]
        ),
        "plain_over_oggmr": benchmark.Ratio.of(seconds["plain"], seconds["oggmr 200"]),
        "closed_over_oggmr": benchmark.Ratio.of(seconds["closed"], seconds["oggmr 200"]),
        "difference_from_nrl_tracker": largest_difference(
            reduced["nrl-tracker"], reduced["runnalls"]
        ),
        "difference_from_plain": largest_difference(reduced["plain"], reduced["oggmr 200"]),
        "stone_soup_components": len(reduced["stone soup"]),
        "angle": {
            name: pdf_angle(sixty, reduced[name])
            for name in ("nrl-tracker", "stone soup", "runnalls", "oggmr 60")
        },
        "sizes": list(sizes),
        "growth": growth,
        "exponents": {
            label: exponent(np.array(sizes), np.array(times)) for label, times in growth.items()
        },
    }


@benchmark.command("mixtures")
def main(
    rounds: benchmark.Rounds = 5,
    figure: Annotated[
        Path | None,
        Option(metavar="FILE", help="Draw seconds over components: .png, .svg, .pdf or .csv."),
    ] = None,
    json_file: benchmark.JsonFile = None,
) -> None:
    """Time mixture reduction: explore, what can be installed instead, and plain NumPy."""
    values = measure(rounds)
    seconds, angle, sizes = values["seconds"], values["angle"], values["sizes"]
    candidates_60 = {
        "nrl-tracker": "nrl-tracker, Runnalls",
        "stone soup": f"Stone Soup (at most 10; leaves {values['stone_soup_components']})",
        "runnalls": "explore, Runnalls",
        "oggmr 60": "explore, greedy angle",
    }
    candidates_200 = {
        "plain": "plain NumPy, incremental",
        "closed": "the same with 2-D closed forms",
        "oggmr 200": "explore",
    }
    lines = [
        f"medians of {rounds} rounds, interleaved",
        "60 → 10 components in 2-D:",
        *(
            f"  {label:36} {seconds[name]:9.5f} s   angle {angle[name]:.4f}"
            for name, label in candidates_60.items()
        ),
        f"  nrl-tracker / explore, Runnalls: {values['nrl_tracker_over_runnalls']:.0f}",
        f"  same result: largest difference {values['difference_from_nrl_tracker']:.1e}",
        "200 → 10 components in 2-D, greedy on the angle:",
        *(f"  {label:36} {seconds[name]:9.5f} s" for name, label in candidates_200.items()),
        f"  plain / explore: {values['plain_over_oggmr']:.0f}",
        f"  closed forms / explore: {values['closed_over_oggmr']:.0f}",
        f"  same result: largest difference {values['difference_from_plain']:.1e}",
        f"1,000 → 20 components in 3-D, local ISE: {seconds['ise-local 1000']:.3f} s",
        "to 20 components in 2-D, seconds and the power of N that fits:",
        f"  {'N':36} {' '.join(f'{size:>8,}' for size in sizes)}",
    ]
    for label, times in values["growth"].items():
        cells = " ".join(f"{time:8.4f}" for time in times)
        lines.append(f"  {label:36} {cells}   N^{values['exponents'][label]:.1f}")
    benchmark.report(lines, values, json_file)
    if figure:
        data = costs(sizes, values["growth"])
        sys.stdout.write(f"wrote {save(Costs(data), data, figure)}\n")
