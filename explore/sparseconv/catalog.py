"""What the topic of sparse-activation convolution offers."""

from explore.core.catalog import Figure, Lab, Method, Topic

MAPPED_NETWORKS = ("scenes-vgg", "scenes-residual", "scenes-smooth")
"""Networks of which the shipped survey holds maps."""

SURVEYED_NETWORKS = ("resnet20", "resnet56", "squeezenet", *MAPPED_NETWORKS)
"""Networks of which a density survey ships."""

TOPIC = Topic(
    "sparseconv",
    methods=(
        Method(
            "density",
            "how many values of a network's maps are not zero, and the size of each sparse format",
            builder="explore.sparseconv.networks.survey:build",
            config="explore.sparseconv.config:DensityConfig",
            figures=("density", "nze"),
            bench="explore.sparseconv.bench.layers:main",
            recordings=tuple(f"data/density-{network}.zarr.zip" for network in SURVEYED_NETWORKS),
            tiny={
                "data": {"name": "scenes", "options": {"size": 64, "count": 10}},
                "images": 3,
                "maps": True,
            },
            length="images",
        ),
    ),
    figures=(
        Figure(
            "nze",
            "explore.sparseconv.figures.nonzero_maps:NonzeroMaps",
            "explore.sparseconv.figures.nonzero_maps:nze",
            recordings=(f"data/density-{MAPPED_NETWORKS[0]}.zarr.zip",),
            panels=("channels", "channel", "density", "size"),
        ),
        Figure(
            "density",
            "explore.sparseconv.figures.layer_density:LayerDensity",
            "explore.sparseconv.figures.layer_density:density",
            panels=("density", "size"),
        ),
        Figure(
            "copies",
            "explore.sparseconv.figures.format_diagram:FormatDiagram",
            explorer="explore.sparseconv.lab:copies",
            slider="stride",
            states=("value", "stride"),
        ),
        Figure(
            "neighbours",
            "explore.sparseconv.figures.shuffling_cost:ShufflingCost",
            explorer="explore.sparseconv.lab:neighbour_values",
            slider="kept",
            states=("layer", "kept", "channel"),
            panels=("map-as-they-are", "map-shuffled", "sets", "curve"),
        ),
        Figure(
            "times",
            "explore.sparseconv.figures.time_by_density:TimeByDensity",
            "explore.sparseconv.figures.measured_times:measured_times",
            panels=("time",),
        ),
        Figure(
            "speedups",
            "explore.sparseconv.figures.speedup_by_density:SpeedupByDensity",
            "explore.sparseconv.figures.measured_times:measured_speedups",
            panels=("speedup",),
        ),
    ),
    labs=(
        Lab(
            "zeros",
            "07_nze_patterns.ipynb",
            "If most entries are zero, how often is each of the others stored?",
            35,
        ),
    ),
    packages=("numba",),
    checks={"sparse conv": "explore.sparseconv.doctor:check"},
)
