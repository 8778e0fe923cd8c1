"""The one table of methods and labs: strings only, resolved when they are used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from explore.errors import ExploreWarning, InvalidInput, UnknownName

if TYPE_CHECKING:
    from explore.core.runs import Run


@dataclass(frozen=True)
class Method:
    """One method: where its builder and config are, what shows it, what times it, what is shipped of it.

    ``builder`` is called as ``builder(config, data)`` with an instance of ``config`` and an optional
    data set; it returns a ``Run``. ``tiny`` are options for a run of seconds, for tests and demos.
    Methods of one ``family`` share their config; ``explore run FAMILY --method NAME`` runs them too.
    ``keep(run, recording)`` writes what the run was for into a file beside its recording, and returns its path.
    ``table(recordings)`` makes one table of the method's recordings.
    """

    name: str
    summary: str
    builder: str
    config: str
    figures: tuple[str, ...] = ()
    bench: str = ""
    recordings: tuple[str, ...] = ()
    tiny: Mapping[str, Any] = field(default_factory=dict)
    family: str = ""
    keep: str = ""
    table: str = ""


@dataclass(frozen=True)
class FigureEntry:
    """One figure: a picture class, the function that takes its data from recordings, the state its slider moves.

    The slider goes over ``positions``, or else over the recordings' coordinate of its name, or else over their steps.
    """

    name: str
    picture: str
    select: str
    slider: str = "step"
    positions: str = ""


@dataclass(frozen=True)
class Lab:
    """One lab: its notebook, the question it answers and the minutes it takes."""

    name: str
    notebook: str
    question: str
    minutes: int


def _distill(name: str, summary: str) -> Method:
    return Method(
        name,
        summary,
        builder="explore.distill.attention_matching:build",
        config="explore.distill.config:DistillConfig",
        figures=("evolution",),
        bench="explore.distill.bench.matching:main",
        recordings=(f"data/fashion-{name}.zarr.zip", f"data/digits-{name}.zarr.zip"),
        tiny={"data": "digits", "preset": "lesson", "steps": 6, "width": 8, "batch": 4},
        family="distill",
        keep="explore.data.distilled_set:save_beside",
    )


def _coreset(name: str, summary: str, **tiny: Any) -> Method:
    return Method(
        name,
        summary,
        builder="explore.distill.baselines:build",
        config="explore.distill.config:CoresetConfig",
        tiny={"data": "digits", **tiny},
        family="coreset",
        keep="explore.data.distilled_set:save_beside",
    )


QUICK_FEATURES = {"features": "network", "feature_epochs": 1, "width": 4}


def _reduce(
    name: str, summary: str, components: int = 6, recordings: tuple[str, ...] = ()
) -> Method:
    return Method(
        name,
        summary,
        builder="explore.mixtures.reduction.run:build",
        config="explore.mixtures.config:ReduceConfig",
        figures=("reduction",),
        bench="explore.mixtures.bench.reduction:main",
        recordings=tuple(f"data/{mixture}-{name}.zarr.zip" for mixture in recordings),
        tiny={
            "data": {"name": "random", "options": {"components": 10, "dimension": 2}},
            "components": components,
        },
        family="reduce",
    )


SMALL_DIGITS = {"name": "digits", "options": {"size": 8, "margin": 0}}


def _subclass(name: str, summary: str) -> Method:
    return Method(
        name,
        summary,
        builder="explore.subclass.run:build",
        config="explore.subclass.config:SubclassConfig",
        figures=("logits",),
        bench="explore.subclass.bench.training:main",
        recordings=(f"data/students-{name}.zarr.zip",),
        tiny={"data": SMALL_DIGITS, "labels": 40, "teacher_images": 120}
        | {"teacher_width": 4, "teacher_epochs": 2, "epochs": 3, "holdout": 20},
        family="subclass",
    )


BOTH, ONE = ("standard-1d", "mixture-of-digits"), ("standard-1d",)
"""Mixtures of which reductions ship."""

SURVEYS = ("resnet20", "resnet56", "squeezenet", "scenes-vgg", "scenes-residual", "scenes-smooth")
"""Networks whose densities ship."""

METHODS = {
    method.name: method
    for method in (
        _distill("dm", "distribution matching: only the mean embedding"),
        _distill("datadam", "spatial attention and the mean embedding"),
        _distill("channel", "channel attention and the mean embedding"),
        _distill("atom", "spatial and channel attention and the mean embedding"),
        Method(
            "untrained",
            "class-mean attention of networks that never learnt, one network a step",
            builder="explore.distill.untrained:build",
            config="explore.distill.config:UntrainedConfig",
            figures=("untrained",),
            recordings=("data/digits-untrained.zarr.zip",),
            tiny={"data": "digits", "steps": 2, "width": 8, "images": 100},
        ),
        _coreset("random", "real images chosen at random"),
        _coreset("herding", "real images whose mean follows the class mean", **QUICK_FEATURES),
        _coreset("kcenter", "real images that leave no other far away", **QUICK_FEATURES),
        _coreset("class-mean", "the mean image of each class"),
        Method(
            "evaluate",
            "networks trained from scratch on a distilled set and scored on test images",
            builder="explore.distill.evaluation.protocol:build",
            config="explore.distill.evaluation.config:EvaluateConfig",
            tiny={"distilled": {"method": "random", "data": SMALL_DIGITS}, "data": SMALL_DIGITS}
            | {"epochs": 2, "networks": 3, "width": 4},
            bench="explore.distill.bench.evaluation:main",
            table="explore.distill.evaluation.table:table",
        ),
        _reduce(
            "oggmr",
            "mixture reduction, greedy on the angle of the whole, then L-BFGS",
            recordings=BOTH,
        ),
        _reduce(
            "williams",
            "mixture reduction, greedy on the integrated squared error, with removals, then L-BFGS",
        ),
        _reduce(
            "ise-local", "mixture reduction by what a pair's merge changes in L2", recordings=ONE
        ),
        _reduce(
            "runnalls",
            "mixture reduction by an upper bound on what a merge costs in KL divergence",
            recordings=BOTH,
        ),
        _reduce(
            "salmond", "mixture reduction by the distance between means (joining)", recordings=ONE
        ),
        _reduce("west", "mixture reduction, lightest into nearest", recordings=ONE),
        _reduce(
            "cowa", "mixture reduction, lightest into nearest, weights chosen anew after each merge"
        ),
        _reduce("gmrc", "mixture reduction by clustering from Runnalls' start, then L-BFGS"),
        _reduce("prune", "mixture reduction by dropping the lightest", recordings=ONE),
        _reduce("brute", "mixture reduction by trying every partition", components=8),
        _subclass("skd", "a student learns from a teacher's subclass logits"),
        _subclass("kd", "a student learns from the same teacher's class logits"),
        _subclass("labels-only", "a student learns subclass labels, without a teacher"),
        _subclass("scratch", "a student learns class labels, without a teacher"),
        _subclass(
            "random-subclasses", "a student learns from a teacher of subclasses that mean nothing"
        ),
        _subclass(
            "found-subclasses", "a student learns from subclasses that the teacher found itself"
        ),
        Method(
            "subclass-study",
            "students of all those methods beside one another: widths, label counts, seeds",
            builder="explore.subclass.study:build",
            config="explore.subclass.config:StudyConfig",
            figures=("students",),
            bench="explore.subclass.bench.training:main",
            recordings=("data/digits-students.zarr.zip", "data/mnist-students.zarr.zip"),
            tiny={"data": SMALL_DIGITS, "labels": [30], "widths": [2, 4], "seeds": 2, "updates": 4}
            | {"teacher_width": 2, "teacher_updates": 4, "methods": ["scratch", "skd"]},
            table="explore.subclass.study_tables:tables",
        ),
        Method(
            "density",
            "how many values of a network's maps are not zero, and what each sparse format needs for them",
            builder="explore.sparseconv.networks.survey:build",
            config="explore.sparseconv.config:DensityConfig",
            figures=("density", "nze"),
            bench="explore.sparseconv.bench.layers:main",
            recordings=tuple(f"data/density-{network}.zarr.zip" for network in SURVEYS),
            tiny={
                "data": {"name": "scenes", "options": {"size": 64, "count": 10}},
                "images": 3,
                "maps": True,
            },
        ),
    )
}


def _figure(
    name: str, module: str, picture: str, slider: str = "step", positions: str = ""
) -> FigureEntry:
    """A figure whose function has its name."""
    return FigureEntry(name, f"{module}:{picture}", f"{module}:{name}", slider, positions)


HEATS = "explore.subclass.figures.style:HEATS"

FIGURES = {
    entry.name: entry
    for entry in (
        _figure("evolution", "explore.distill.figures.evolution", "Evolution"),
        _figure("untrained", "explore.distill.figures.untrained", "Untrained", slider="network"),
        _figure("reduction", "explore.mixtures.figures.paths", "Paths"),
        _figure("logits", "explore.subclass.figures.logits", "Logits"),
        _figure("softened", "explore.subclass.figures.softened", "Softened", "temperature", HEATS),
        _figure("students", "explore.subclass.figures.study", "Students", "width"),
        _figure("nze", "explore.sparseconv.figures.nonzero_maps", "NonzeroMaps"),
        _figure("density", "explore.sparseconv.figures.layer_density", "LayerDensity"),
        _figure("label_bits", "explore.subclass.figures.bits", "Bits", "temperature", HEATS),
    )
}

LABS = (
    Lab(
        "attention",
        "02_attention_matching.ipynb",
        "Why can networks that never learnt anything tell us what to draw?",
        25,
    ),
    Lab(
        "subclasses",
        "04_subclass_bits.ipynb",
        "Does a student gain from what the teacher knows inside a class, or just from more labels?",
        35,
    ),
    Lab("mixtures", "06_mixture_reduction.ipynb", "Which two do you merge next?", 35),
    Lab(
        "zeros", "07_nze_patterns.ipynb", "If most entries are zero, who stores them how often?", 30
    ),
)


def resolve(target: str) -> Any:
    """The object that ``"package.module:name"`` stands for."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def methods() -> dict[str, Method]:
    """All methods by name: ours and those of the entry-point group ``explore.methods``."""
    found = dict(METHODS)
    for entry in entry_points(group="explore.methods"):
        try:
            found[entry.name] = entry.load()
        except Exception as error:  # one broken package must not take ours down with it
            warnings.warn(
                f"method {entry.name!r} of {entry.value} cannot be loaded: {error}",
                ExploreWarning,
                stacklevel=2,
            )
    return found


def method(name: str) -> Method:
    """The row of one method.

    Raises:
        UnknownName: no such method; the message lists the known ones.
    """
    known = methods()
    if name not in known:
        raise UnknownName("method", name, known)
    return known[name]


def families() -> dict[str, dict[str, Method]]:
    """Methods that share a config, by the name of their family and their own."""
    found: dict[str, dict[str, Method]] = {}
    for row in methods().values():
        if row.family:
            found.setdefault(row.family, {})[row.name] = row
    return found


def figure(name: str) -> FigureEntry:
    """The row of one figure.

    Raises:
        UnknownName: no such figure; the message lists the known ones.
    """
    if name not in FIGURES:
        raise UnknownName("figure", name, FIGURES)
    return FIGURES[name]


def build(config: Mapping[str, Any], data: Any = None) -> Run:
    """A run from its configuration: what the command line, sweeps and notebooks all use.

    Args:
        config: ``method`` and any of that method's options, e.g.
            ``{"method": "datadam", "data": "digits", "steps": 200}``. A recording's
            ``attrs["config"]`` is such a mapping, so a recording can be run again.
        data: the data set itself, where ``config["data"]`` is not the name of one.

    Returns:
        A ``Run`` at step 0.

    Raises:
        UnknownName: the method or an option's value is not known.
        InvalidInput: an option is unknown or out of range.

    Example:
        >>> build({"method": "dm", "data": "digits", "preset": "lesson", "steps": 5})
        DistillRun(dm on digits, step 0 of 5)
    """
    if "method" not in config:
        raise InvalidInput(
            f"config needs 'method', one of {', '.join(sorted(methods()))}; got {sorted(config)}"
        )
    row = method(str(config["method"]))
    return resolve(row.builder)(make_config(row, config), data)


def make_config(row: Method, config: Mapping[str, Any]) -> Any:
    """An instance of the method's config dataclass (through its ``make``, if it has one, so that presets apply).

    Raises:
        InvalidInput: an option that the method does not have (the message lists those it has), or of another type.
    """
    kind = resolve(row.config)
    known = kind.__dataclass_fields__
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise InvalidInput(
            f"{row.name} has no option {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known))}"
        )
    config = {name: _typed(row, name, known[name].type, value) for name, value in config.items()}
    try:
        return getattr(kind, "make", kind)(**config)
    except TypeError as error:  # a text is compared with a number, say
        usual = {
            name: known[name].default
            for name in config
            if known[name].type != "Any" and known[name].default is not None
        }
        odd = {
            name
            for name, value in usual.items()
            if not isinstance(config[name], (type(value), int))
        } or set(config)
        given = ", ".join(f"{name}={config[name]!r}" for name in config if name in odd)
        raise InvalidInput(f"{row.name} cannot take {given}: {error}") from error


def _typed(row: Method, name: str, kind: str, value: Any) -> Any:
    """A value as its option has it: 1 for 1.0 where that may have decimals, so that both name the same run; "none" for None,
    which TOML has not."""
    if value == "none" and "None" in kind and "str" not in kind:
        return None
    if kind.startswith("float") and type(value) is int:
        return float(value)
    if kind.startswith("int") and isinstance(value, (bool, float)):
        raise InvalidInput(f"{row.name}: {name} must be a whole number, got {value!r}")
    return value
