"""What the topic of Gaussian mixtures offers."""

from explore.core.catalog import Figure, Lab, Method, Topic


def _reduction(
    name: str, label: str, summary: str, components: int = 6, shipped: tuple[str, ...] = ()
) -> Method:
    return Method(
        name,
        f"mixture reduction {summary}",
        builder="explore.mixtures.reduction.run:build",
        config="explore.mixtures.config:ReduceConfig",
        label=label,
        figures=("reduction",),
        bench="explore.mixtures.bench.reduction:main",
        recordings=tuple(f"data/{mixture}-{name}.zarr.zip" for mixture in shipped),
        tiny={
            "data": {"name": "random", "options": {"components": 10, "dimension": 2}},
            "components": components,
        },
        length="components",
        family="reduce",
    )


STANDARD, STANDARD_AND_DIGITS = ("standard-1d",), ("standard-1d", "mixture-of-digits")
"""Mixtures of which recordings ship."""

TOPIC = Topic(
    "mixtures",
    methods=(
        _reduction(
            "oggmr",
            "OGGMR",
            "by the angle to the whole mixture, greedy, then L-BFGS",
            shipped=STANDARD_AND_DIGITS,
        ),
        _reduction(
            "williams",
            "Williams (ISE)",
            "by the integrated squared error, greedy, with removals, then L-BFGS",
        ),
        _reduction(
            "ise-local",
            "local ISE",
            "by the change in L2 that a pair's merge makes",
            shipped=STANDARD,
        ),
        _reduction(
            "runnalls",
            "Runnalls",
            "by an upper bound on the KL divergence that a merge costs",
            shipped=STANDARD_AND_DIGITS,
        ),
        _reduction(
            "salmond", "Salmond", "by the distance between means (joining)", shipped=STANDARD
        ),
        _reduction("west", "West", "of the lightest component into the nearest", shipped=STANDARD),
        _reduction(
            "cowa",
            "COWA",
            "of the lightest component into the nearest, with new weights after each merge",
        ),
        _reduction("gmrc", "GMRC", "by clustering from Runnalls' start, then L-BFGS"),
        _reduction("prune", "pruning", "by dropping the lightest components", shipped=STANDARD),
        _reduction("brute", "brute force", "by trying every partition", components=8),
    ),
    figures=(
        Figure(
            "reduction",
            "explore.mixtures.figures.paths:Paths",
            "explore.mixtures.figures.path_data:reduction",
            slider="components",
            positions="explore.mixtures.figures.path_data:component_counts",
            recordings=("data/standard-1d-runnalls.zarr.zip", "data/standard-1d-oggmr.zarr.zip"),
            panels=("density-1", "density-2", "path"),
        ),
        Figure(
            "which_two",
            "explore.mixtures.figures.decision:Decision",
            explorer="explore.mixtures.lab:which_two",
            slider="pair",
            states=("pair",),
            panels=("mixture", "after", "pairs"),
        ),
        Figure(
            "edited_mixture",
            "explore.mixtures.figures.editor:MixtureEditor",
            explorer="explore.mixtures.lab:by_hand",
            slider="width",
            states=("component", "shift", "width", "weight"),
            panels=("density",),
        ),
        Figure(
            "dropped_component",
            "explore.mixtures.figures.dropped_component:DroppedComponent",
            explorer="explore.mixtures.lab:blind",
            slider="spread",
            states=("spread",),
            panels=("densities", "distances"),
        ),
        Figure(
            "detour",
            "explore.mixtures.figures.triangle_inequality:TriangleInequality",
            explorer="explore.mixtures.lab:detour",
            slider="share",
            states=("share",),
            panels=("lengths",),
        ),
        Figure(
            "mixture_costs",
            "explore.mixtures.figures.cost:Costs",
            "explore.mixtures.figures.measured_costs:measured_costs",
            panels=("seconds",),
        ),
    ),
    labs=(Lab("mixtures", "06_mixture_reduction.ipynb", "Which two do you merge next?", 40),),
)

METHOD_LABELS = {method.name: method.label for method in TOPIC.methods}
"""How methods are called in pictures and tables."""
