"""The mixture lab: one function a notebook cell, each returning something that shows itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import InvalidInput, UnknownName
from explore.mixtures.config import PHASES, ReduceConfig
from explore.mixtures.distances import KINDS, inner_log, kl_divergence, overlap
from explore.mixtures.error_metrics import Yardstick
from explore.mixtures.examples import load_mixture
from explore.mixtures.figures.decision import Decision, decision
from explore.mixtures.figures.density import NAMES
from explore.mixtures.figures.drag import Bent, bend, bent
from explore.mixtures.figures.lessons import Blindness, Detours, blindness, detours
from explore.mixtures.figures.paths import MEASURES, Paths, reduction
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.pair_costs import best_pair, merged_pair, score_pairs
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer

if TYPE_CHECKING:
    import xarray

UNDECIDED = "choose …"
SHIPPED = {"standard-1d": "standard-1d", "digits": "mixture-of-digits"}
"""Mixtures of which recordings ship, and how their files begin."""

METHODS = {
    "standard-1d": ("runnalls", "oggmr", "ise-local", "salmond", "west", "prune"),
    "digits": ("runnalls", "oggmr"),
}
"""Of which methods; each greedy, down to one component."""

GREEDY = {**NAMES, "oggmr": "angle, greedy"}


def which_two(components: int = 6) -> Explorer:
    """The standard 1-D mixture on Runnalls' way down: choose the next pair, then see what Runnalls and the angle choose.

    Args:
        components: how many are left when you are asked, 3 to 9.
    """
    if not 3 <= components <= 9:
        raise InvalidInput(f"components must be 3 to 9, got {components}")
    original = now = load_mixture("standard-1d")
    while len(now) > components:
        now = merged_pair(now, *best_pair(score_pairs(now, "runnalls")))
    order = np.argsort(now.means[:, 0])  # so that numbers rise from left to right
    now = GaussianMixture.trusted(now.weights[order], now.means[order], now.covariances[order])
    yardstick = Yardstick(original)
    before = yardstick.measure(now)
    answers = [
        best_pair(score_pairs(now, "runnalls")),
        best_pair(score_pairs(now, "angle", original)),
    ]

    @cache
    def after(i: int, j: int) -> tuple[GaussianMixture, dict[str, float]]:
        mixture = merged_pair(now, i, j)
        return mixture, yardstick.measure(mixture)

    def source(pair: str) -> xarray.Dataset:
        if pair == UNDECIDED:
            return decision(original, now, [None] * 3, [None] * 3, [None] * 3, before)
        i, j = (int(word) - 1 for word in pair.split(" and "))
        pairs = [(i, j), *answers]
        found = [after(*pair) for pair in pairs]
        return decision(
            original,
            now,
            pairs,
            [mixture for mixture, _ in found],
            [measured for _, measured in found],
            before,
        )

    names = [f"{i} and {j}" for i in range(1, components) for j in range(i + 1, components + 1)]
    return Explorer(source, Decision, {"pair": Choice("merge", [UNDECIDED, *names])}, "which-two")


def side_by_side(
    data: str = "standard-1d", left: str = "runnalls", right: str = "oggmr"
) -> Explorer:
    """Two recorded reductions of one mixture to a single component, merge by merge; from the shipped recordings.

    Args:
        data: "standard-1d" or "digits" (60 components fitted to handwritten digits in two principal components).
        left, right: one of ``METHODS``; "oggmr" is the greedy part of it.
    """
    if data not in SHIPPED:
        raise UnknownName("recorded mixture", data, SHIPPED)

    @cache
    def read(method: str) -> xarray.Dataset:
        return open_recording(shipped(f"data/{SHIPPED[data]}-{method}.zarr.zip")).load()

    def source(left: str, right: str, **state: Any) -> xarray.Dataset:
        return reduction([read(left), read(right)], **state)

    known = METHODS[data]
    more: dict[str, Control] = {
        "left": Choice("left", known, left, GREEDY),
        "right": Choice("right", known, right, GREEDY),
    }
    return _paths(source, read(left), f"mixture-{data}", more)


def reductions(
    mixture: GaussianMixture | str,
    components: int = 1,
    methods: Sequence[str] = ("runnalls", "oggmr"),
    **options: Any,
) -> Explorer:
    """Reduce a mixture now by up to three methods, then go through their steps; any mixture, yours too.

    Args:
        mixture: a ``GaussianMixture`` (``GaussianMixture.from_sklearn(model)``), or the name of one.
        components: where to end.
        methods: up to three names.
        **options: of ``ReduceConfig``, for all of them; ``refine`` is "none" if left out.
    """
    if not 1 <= len(methods) <= 3:
        raise InvalidInput(f"give one to three methods, got {list(methods)}")
    given = load_mixture(mixture) if isinstance(mixture, str) else mixture
    runs = [
        followed(given, components, method, **{"refine": "none", **options}) for method in methods
    ]
    longest = max(runs, key=lambda run: run.sizes["step"])
    return _paths(lambda **state: reduction(runs, **state), longest, "reductions", {})


def followed(
    mixture: GaussianMixture, components: int, method: str, **options: Any
) -> xarray.Dataset:
    """Every step of a reduction, as ``record`` would record it, but in memory."""
    import xarray

    from explore.mixtures.reduction.run import ReduceRun

    run = ReduceRun(ReduceConfig.make(method=method, components=components, **options), mixture)
    frames, steps = [run.snapshot()], [0]
    while run.step < run.steps:
        run.advance()
        if run.step % run.every == 0 or run.step >= run.steps:
            frames.append(run.snapshot())
            steps.append(run.step)
    evolving = [frame[list(frame.data_vars)].reset_coords(drop=True) for frame in frames]
    joined = xarray.concat(evolving, "step").assign_coords(step=steps)
    return joined.assign_coords(dict(frames[0].coords)).assign_attrs(
        name=run.name, config=run.config
    )


def _paths(
    source: Any, longest: xarray.Dataset, name: str, more: Mapping[str, Control]
) -> Explorer:
    steps = longest.step.values.tolist()
    refined = longest["phase"].values[-1] >= PHASES.index("choosing weights")
    middle = steps[-1 if refined else int(np.argmin(np.abs(longest["components"].values - 5)))]
    controls: dict[str, Control] = {
        "step": Slider("step", steps, start=middle),
        "measure": Choice("draw", list(MEASURES), names=MEASURES),
        **more,
    }
    return Explorer(source, Paths, controls, name)


def by_hand(mixture: GaussianMixture | str = "standard-1d") -> Explorer:
    """Move, widen and weigh the components of a mixture, by its handles or by sliders; every distance answers.

    Args:
        mixture: in one or two dimensions, at least two components; or the name of one.
    """
    original = load_mixture(mixture) if isinstance(mixture, str) else mixture
    n, d = original.means.shape
    if d > 2 or n < 2:
        raise InvalidInput(
            f"expected two or more components in one or two dimensions, got {original}"
        )
    shifts, widths, weights = np.zeros((n, d)), np.ones(n), np.ones(n)
    own, yardstick = inner_log(original, original), Yardstick(original, draws=2_000)
    last = 0

    def source(component: int, width: float, weight: float, **shift: float) -> xarray.Dataset:
        nonlocal last
        k = component - 1
        if k == last:  # else the sliders still stand where the component before had them
            shifts[k], widths[k], weights[k] = list(shift.values()), width, weight
        last = k
        now = bend(original, shifts, widths, weights)
        products = overlap(original, now, own)
        distances = {kind: measure(original, now, products) for kind, measure in KINDS.items()}
        distances["kl"] = yardstick.divergence(now)[0]
        return bent(original, shifts, widths, weights, k, distances)

    reach = np.ptp(original.means, axis=0) + np.sqrt(np.diagonal(original.covariance))
    names = ("shift",) if d == 1 else ("shift_x", "shift_y")
    far = {
        name: np.round(np.linspace(-most, most, 201), 4) + 0.0
        for name, most in zip(names, reach, strict=True)
    }
    factors = np.round(np.geomspace(0.2, 5, 81), 4).tolist()
    controls: dict[str, Control] = {
        "component": Choice(
            "component", list(range(1, n + 1)), start=int(np.argmax(original.weights)) + 1
        ),
        **{
            name: Slider(name.replace("_", " "), values.tolist(), start=0.0)
            for name, values in far.items()
        },
        "width": Slider("width ×", factors, start=1.0),
        "weight": Slider("weight ×", [0.0, *factors], start=1.0),
    }
    last = int(np.argmax(original.weights))
    explorer = Explorer(source, Bent, controls, "by-hand")

    def follow(change: Any) -> None:
        k = change["new"] - 1
        state = {
            **dict(zip(names, shifts[k].tolist(), strict=True)),
            "width": float(widths[k]),
            "weight": float(weights[k]),
        }
        with explorer.quiet():
            for name, value in state.items():
                setattr(explorer, name, value)

    explorer.observe(follow, "component")
    return explorer


def blind() -> Explorer:
    """A wide component with 30 % of the mass is dropped: the wider it is, the less the angle sees of it. In 3-D."""
    lost, width, away = 0.3, float(np.sqrt(0.1)), 3.0
    spreads = np.array([1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    alone = GaussianMixture([1.0], np.zeros((1, 3)), [width**2])
    found: dict[str, list[float]] = {"angle": [], "kl": [], "reverse": []}
    for spread in spreads:
        whole = GaussianMixture(
            [1 - lost, lost], [[0.0, 0.0, 0.0], [away, 0.0, 0.0]], [width**2, spread**2]
        )
        found["angle"].append(np.degrees(KINDS["angle"](whole, alone, overlap(whole, alone))))
        found["kl"].append(kl_divergence(whole, alone)[0])
        found["reverse"].append(kl_divergence(alone, whole)[0])
    curves = {name: np.array(values) for name, values in found.items()}

    def source(spread: float) -> xarray.Dataset:
        return blindness(spreads, **curves, lost=lost, width=width, away=away, chosen=spread)

    return Explorer(
        source,
        Blindness,
        {"spread": Slider("its standard deviation", spreads.tolist(), start=3.0)},
        "blind",
    )


def detour(a: GaussianMixture | None = None, c: GaussianMixture | None = None) -> Explorer:
    """Is the way from A to C ever shorter over B, a mixture of the two? By six distances.

    Args:
        a, c: the ends; two Gaussians three standard deviations apart if left out.
    """
    a = GaussianMixture([1.0], [0.0], [1.0]) if a is None else a
    c = GaussianMixture([1.0], [3.0], [1.0]) if c is None else c

    def lengths(f: GaussianMixture, g: GaussianMixture) -> dict[str, float]:
        products = overlap(f, g)
        found = {kind: measure(f, g, products) for kind, measure in KINDS.items()}
        return {**found, "root ise": found["ise"] ** 0.5, "kl": kl_divergence(f, g)[0]}

    def source(share: float) -> xarray.Dataset:
        b = GaussianMixture(
            np.concatenate([(1 - share) * a.weights, share * c.weights]),
            np.vstack([a.means, c.means]),
            np.vstack([a.covariances, c.covariances]),
        )
        return detours(lengths(a, b), lengths(b, c), lengths(a, c), share)

    shares = np.round(np.linspace(0.05, 0.95, 19), 2).tolist()
    return Explorer(
        source, Detours, {"share": Slider("share of C in B", shares, start=0.5)}, "detour"
    )
