"""The mixture lab: one function for each notebook cell; each returns an explorer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from explore.core.frame_steps import FrameSteps
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.validation import check_choice, check_names, check_whole_number, describe
from explore.errors import InvalidInput
from explore.mixtures.catalog import METHOD_LABELS
from explore.mixtures.config import PHASES, ReduceConfig
from explore.mixtures.distances import CLOSED_FORM_DISTANCES, pdf_angle
from explore.mixtures.divergence import kl_divergence
from explore.mixtures.error_metrics import Yardstick
from explore.mixtures.examples import load_mixture
from explore.mixtures.figures.decision import CHOOSERS, Decision, decision
from explore.mixtures.figures.dropped_component import DroppedComponent, dropped_component
from explore.mixtures.figures.editor import MixtureEditor, edit_components, editor_data
from explore.mixtures.figures.path_data import MEASURE_LABELS, reduction
from explore.mixtures.figures.paths import Paths
from explore.mixtures.figures.triangle_inequality import (
    TriangleInequality,
    shorter_ways,
    triangle_inequality,
)
from explore.mixtures.inner_products import inner_log, inner_products
from explore.mixtures.mixture import GaussianMixture
from explore.mixtures.pair_costs import best_pair, merged_pair, score_pairs
from explore.widgets.controls import Choice, Control, Slider
from explore.widgets.explorer import Explorer
from explore.widgets.prediction import Prediction

if TYPE_CHECKING:
    import xarray

NO_PAIR = "choose …"

RECORDED_MIXTURES = {"standard-1d": "standard-1d", "digits": "mixture-of-digits"}
"""Mixtures with shipped recordings, and how the names of their files begin."""

RECORDED_METHODS = {
    "standard-1d": ("runnalls", "oggmr", "ise-local", "salmond", "west", "prune"),
    "digits": ("runnalls", "oggmr"),
}
"""The methods of the shipped recordings; all are greedy, down to one component."""

FIRST_COMPONENTS = 6
"""Components at which recorded paths open: the next merge is the one of ``which_two``."""

GREEDY_LABELS = {**METHOD_LABELS, "oggmr": "angle, greedy"}


def which_two(components: int = 6) -> Explorer:
    """Choose the next pair of a mixture, then compare with the choices of Runnalls and the angle.

    Args:
        components: how many components Runnalls' method leaves before you choose, 3 to 9.
    """
    components = check_whole_number("components", components, at_least=3, at_most=9)
    original = present = load_mixture("standard-1d")
    while len(present) > components:
        present = merged_pair(present, *best_pair(score_pairs(present, "runnalls")))
    order = np.argsort(present.means[:, 0])  # Numbers then increase from left to right.
    present = GaussianMixture._unchecked(
        present.weights[order], present.means[order], present.covariances[order]
    )
    yardstick = Yardstick(original)
    errors_before = yardstick.measure(present)
    answers = [
        best_pair(score_pairs(present, "runnalls")),
        best_pair(score_pairs(present, "angle", original)),
    ]

    @cache
    def merge(i: int, j: int) -> tuple[GaussianMixture, dict[str, float]]:
        mixture = merged_pair(present, i, j)
        return mixture, yardstick.measure(mixture)

    def source(pair: str) -> xarray.Dataset:
        hidden = [None] * len(CHOOSERS)
        if pair == NO_PAIR:
            return decision(original, present, hidden, hidden, hidden, errors_before)
        i, j = (int(word) - 1 for word in pair.split(" and "))
        pairs = [(i, j), *answers]
        mixtures, errors = zip(*(merge(*pair) for pair in pairs), strict=True)
        return decision(original, present, pairs, mixtures, errors, errors_before)

    pairs = [f"{i} and {j}" for i in range(1, components) for j in range(i + 1, components + 1)]
    return Explorer(source, Decision, {"pair": Choice("merge", [NO_PAIR, *pairs])}, "which-two")


def side_by_side(
    data: str = "standard-1d", left: str = "runnalls", right: str = "oggmr"
) -> Explorer:
    """Compare two recorded reductions of one mixture to a single component, merge by merge.

    Args:
        data: "standard-1d", or "digits" (60 components, fitted to handwritten digits).
        left, right: one of ``RECORDED_METHODS``; "oggmr" is its greedy part.

    Raises:
        UnknownName: another mixture or method.
    """
    check_choice("recorded mixture", data, RECORDED_MIXTURES)
    for name, method in (("left", left), ("right", right)):
        check_choice(name, method, RECORDED_METHODS[data])

    @cache
    def read(method: str) -> xarray.Dataset:
        return open_recording(shipped(f"data/{RECORDED_MIXTURES[data]}-{method}.zarr.zip")).load()

    def source(left: str, right: str, **state: Any) -> xarray.Dataset:
        return reduction([read(left), read(right)], **state)

    methods = RECORDED_METHODS[data]
    controls: dict[str, Control] = {
        "left": Choice("left", methods, left, GREEDY_LABELS),
        "right": Choice("right", methods, right, GREEDY_LABELS),
    }
    return _paths_explorer(source, read(left), f"mixture-{data}", controls)


def reductions(
    mixture: GaussianMixture | str,
    components: int = 1,
    methods: Sequence[str] = ("runnalls", "oggmr"),
    **options: Any,
) -> Explorer:
    """Reduce any mixture by up to three methods, then go through their steps.

    Args:
        mixture: a ``GaussianMixture`` (see ``GaussianMixture.from_sklearn``), or the name of one.
        components: where to end.
        methods: up to three names.
        **options: of ``ReduceConfig``, for all methods; ``refine`` is "none" by default.
    """
    methods = check_names("methods", [methods] if isinstance(methods, str) else methods)
    if not 1 <= len(methods) <= 3:
        raise InvalidInput(f"give one to three methods, got {list(methods)}")
    original = _mixture("mixture", mixture)
    options = {"refine": "none", **options}
    runs = [record_in_memory(original, components, method, **options) for method in methods]
    longest = max(runs, key=lambda run: run.sizes["step"])
    return _paths_explorer(lambda **state: reduction(runs, **state), longest, "reductions", {})


def record_in_memory(
    mixture: GaussianMixture, components: int, method: str, **options: Any
) -> xarray.Dataset:
    """Return the recording of a reduction as ``record`` would write it, without a file."""
    import xarray

    from explore.mixtures.reduction.run import ReduceRun

    run = ReduceRun(ReduceConfig.make(method=method, components=components, **options), mixture)
    frame_steps, frames = FrameSteps(run.every), {0: run.snapshot()}
    while run.step < run.steps:
        run.advance()
        if run.step in frame_steps or run.step >= run.steps:
            frames[run.step] = run.snapshot()
    variables = [frame[list(frame.data_vars)].reset_coords(drop=True) for frame in frames.values()]
    recording = xarray.concat(variables, "step").assign_coords(step=list(frames))
    coords = dict(frames[0].coords)
    return recording.assign_coords(coords).assign_attrs(name=run.name, config=run.config)


def _paths_explorer(
    source: Callable[..., xarray.Dataset],
    longest: xarray.Dataset,
    name: str,
    controls: Mapping[str, Control],
) -> Explorer:
    """Return an explorer whose slider counts components, then names the phases after the merges."""
    counts, phases, steps = (longest[k].values.tolist() for k in ("components", "phase", "step"))
    positions: dict[int | str, int] = {}
    for count, phase, step in zip(counts, phases, steps, strict=True):
        is_merge = phase <= PHASES.index("merging")
        positions.setdefault(count if is_merge else f"{count}, after {PHASES[phase]}", step)
    merged = [position for position in positions if isinstance(position, int)]
    # A refined path opens before its refinement, others where the methods begin to differ.
    start = merged[-1] if len(merged) < len(positions) else min(merged, key=_distance_from_start)

    def at_position(components: int | str, **state: Any) -> xarray.Dataset:
        if isinstance(components, int):
            return source(components=components, **state)
        return source(step=positions[components], **state)

    path_controls: dict[str, Control] = {
        "components": Slider("components left", list(positions), start=start),
        "measure": Choice("draw", list(MEASURE_LABELS), names=MEASURE_LABELS),
    }
    return Explorer(at_position, Paths, {**path_controls, **controls}, name)


def _distance_from_start(components: int) -> int:
    return abs(components - FIRST_COMPONENTS)


def by_hand(mixture: GaussianMixture | str = "standard-1d") -> Explorer:
    """Move, widen and reweight the components of a mixture, by handles or by sliders.

    Args:
        mixture: in one or two dimensions, at least two components; or the name of one.
    """
    original = _mixture("mixture", mixture)
    n, d = original.means.shape
    if d > 2 or n < 2:
        raise InvalidInput(
            f"expected two or more components in one or two dimensions, got {original}"
        )
    shifts, widths, weights = np.zeros((n, d)), np.ones(n), np.ones(n)
    norm, yardstick = inner_log(original, original), Yardstick(original, draws=2_000)
    previous = heaviest = int(np.argmax(original.weights))

    def source(component: int, width: float, weight: float, **shift: float) -> xarray.Dataset:
        nonlocal previous
        k = component - 1
        if k == previous:  # Otherwise the sliders still have the values of the previous component.
            shifts[k], widths[k], weights[k] = list(shift.values()), width, weight
        previous = k
        edited = edit_components(original, shifts, widths, weights)
        distances = _distances(original, edited, norm)
        distances["kl"] = yardstick.divergence(edited)[0]
        return editor_data(original, shifts, widths, weights, k, distances)

    ranges = np.ptp(original.means, axis=0) + np.sqrt(np.diagonal(original.covariance))
    names = ("shift",) if d == 1 else ("shift_x", "shift_y")
    factors = np.round(np.geomspace(0.2, 5, 81), 4).tolist()
    controls: dict[str, Control] = {
        "component": Choice("component", list(range(1, n + 1)), start=heaviest + 1)
    }
    for name, limit in zip(names, ranges, strict=True):
        values = np.round(np.linspace(-limit, limit, 201), 4) + 0.0
        controls[name] = Slider(name.replace("_", " "), values.tolist(), start=0.0)
    controls["width"] = Slider("width ×", factors, start=1.0)
    controls["weight"] = Slider("weight ×", [0.0, *factors], start=1.0)
    explorer = Explorer(source, MixtureEditor, controls, "by-hand")

    def set_sliders(change: Any) -> None:
        nonlocal previous
        previous = k = change["new"] - 1  # From now on the sliders are those of this component.
        with explorer.quiet():
            for name, value in zip(names, shifts[k].tolist(), strict=True):
                setattr(explorer, name, value)
            explorer.set_trait("width", float(widths[k]))
            explorer.set_trait("weight", float(weights[k]))

    explorer.observe(set_sliders, "component")

    def clear() -> None:
        shifts[:], widths[:], weights[:] = 0.0, 1.0, 1.0
        set_sliders({"new": explorer.state["component"]})

    explorer.actions.clear = clear
    return explorer


def blind() -> Explorer:
    """Drop a component with 30 % of the mass: the wider it is, the less the angle changes."""
    weight, width, shift = 0.3, float(np.sqrt(0.1)), 3.0
    spreads = np.array([1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0])
    remaining = GaussianMixture([1.0], np.zeros((1, 3)), [width**2])
    means = [[0.0, 0.0, 0.0], [shift, 0.0, 0.0]]
    full = [
        GaussianMixture([1 - weight, weight], means, [width**2, spread**2]) for spread in spreads
    ]
    angle = np.array([np.degrees(pdf_angle(f, remaining)) for f in full])
    kl = np.array([kl_divergence(f, remaining)[0] for f in full])
    reverse = np.array([kl_divergence(remaining, f)[0] for f in full])

    def source(spread: float) -> xarray.Dataset:
        return dropped_component(spreads, angle, kl, reverse, weight, width, shift, spread)

    slider = Slider("its standard deviation", spreads.tolist())
    return Explorer(source, DroppedComponent, {"spread": slider}, "blind")


def detour(a: GaussianMixture | None = None, c: GaussianMixture | None = None) -> Explorer:
    """Compare the way from A to C with the way over B, a mixture of the two, by six distances.

    Of the ends that are the default, the reader first predicts by which the way is shorter.

    Args:
        a, c: the ends; by default two Gaussians three standard deviations apart.
    """
    is_lesson = a is None and c is None
    a = GaussianMixture([1.0], [0.0], [1.0]) if a is None else _mixture("a", a)
    c = GaussianMixture([1.0], [3.0], [1.0]) if c is None else _mixture("c", c)
    if a.dimension != c.dimension:
        raise InvalidInput(
            f"a and c must have equally many dimensions, got {a.dimension} and {c.dimension}"
        )

    def lengths(f: GaussianMixture, g: GaussianMixture) -> dict[str, float]:
        distances = _distances(f, g)
        return {**distances, "root ise": distances["ise"] ** 0.5, "kl": kl_divergence(f, g)[0]}

    def source(share: float) -> xarray.Dataset:
        b = GaussianMixture(
            np.concatenate([(1 - share) * a.weights, share * c.weights]),
            np.vstack([a.means, c.means]),
            np.vstack([a.covariances, c.covariances]),
        )
        return triangle_inequality(lengths(a, b), lengths(b, c), lengths(a, c), share)

    shares = np.round(np.linspace(0.05, 0.95, 19), 2).tolist()
    slider = Slider("share of C in B", shares, start=0.5)
    prediction = Prediction(
        "By which distances is the way over B shorter than the direct way from A to C?",
        [
            "by none of them",
            "by ISE alone",
            "by ISE, Cauchy–Schwarz and KL divergence",
            "by all but the angle",
        ],
        lambda data: f"by {', '.join(shorter_ways(data)) or 'none of them'}",
    )
    covered = prediction if is_lesson else None
    return Explorer(source, TriangleInequality, {"share": slider}, "detour", covered)


def _mixture(name: str, mixture: Any) -> GaussianMixture:
    """Return a mixture, or the one of a name.

    Raises:
        InvalidInput: it is something else.
    """
    mixture = load_mixture(mixture) if isinstance(mixture, str) else mixture
    if not isinstance(mixture, GaussianMixture):
        raise InvalidInput(
            f"{name} must be a GaussianMixture or the name of one, got {describe(mixture)}"
        )
    return mixture


def _distances(
    f: GaussianMixture, g: GaussianMixture, norm: float | None = None
) -> dict[str, float]:
    """Compute all distances in closed form; ``norm`` is ``inner_log(f, f)``, if computed."""
    products = inner_products(f, g, norm)
    return {kind: measure(f, g, products) for kind, measure in CLOSED_FORM_DISTANCES.items()}
