"""The catalog of activation areas: its runs, figures and lab."""

from explore.core.catalog import Figure, Lab, Method, Topic

RECORDED_METHODS = ("dm", "datadam", "atom")
"""Distillations of Fashion-MNIST whose areas ship."""

COMPLEXITY_RECORDING = "data/complexity-imagenette.zarr.zip"

TOPIC = Topic(
    "areas",
    methods=(
        Method(
            "areas",
            "activation areas of synthetic images over a recorded distillation",
            builder="explore.areas.evolution:build",
            config="explore.areas.config:AreasConfig",
            figures=("areas",),
            bench="explore.areas.bench.maps:main",
            recordings=tuple(f"data/areas-fashion-{name}.zarr.zip" for name in RECORDED_METHODS),
            tiny={
                "recording": "digits-dm",
                "data": "digits",
                "epochs": 1,
                "width": 4,
                "images": 10,
                "reference": 3,
            },
            length="epochs",
        ),
        Method(
            "complexity",
            "complexity of each class of a data set, as Comp-DD defines it",
            builder="explore.areas.complexity:build",
            config="explore.areas.config:ComplexityConfig",
            figures=("complexity",),
            recordings=(COMPLEXITY_RECORDING,),
            tiny={
                "data": {"name": "scenes", "options": {"size": 64, "count": 10}},
                "network": "scenes-vgg",
                "batch": 4,
            },
            length="batch",
            table="explore.areas.complexity_table:table",
        ),
    ),
    figures=(
        Figure(
            "areas",
            "explore.areas.figures.area_curves:AreaCurves",
            "explore.areas.figures.area_curves:area_curves",
            panels=("images", "maps", "areas"),
        ),
        Figure(
            "complexity",
            "explore.areas.figures.class_complexity:ClassComplexity",
            "explore.areas.figures.class_complexity:class_complexity",
            panels=("complexity",),
        ),
        Figure(
            "object_areas",
            "explore.areas.figures.object_areas:ObjectAreas",
            explorer="explore.areas.lab:revealed_areas",
            slider="size",
            states=(
                *("prediction", "size", "cue", "clutter"),
                *("comparison", "kind", "layer", "image"),
            ),
            panels=("areas", "scene", "map", "mask"),
        ),
        Figure(
            "photographs",
            "explore.areas.figures.photograph_maps:PhotographMaps",
            explorer="explore.areas.lab:photograph_explorer",
            slider="photograph",
            states=("photograph", "kind", "layer"),
            panels=("photograph", "map", "overlay"),
        ),
    ),
    labs=(
        Lab(
            "areas",
            "01_activation_areas.ipynb",
            "Should every pixel get the same gradient?",
            45,
        ),
    ),
    packages=("torch", "torchvision"),
)
