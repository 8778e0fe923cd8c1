"""The catalog of dataset distillation: its methods, figures, labs and benchmarks."""

from typing import Any

from explore.core.catalog import Figure, Lab, Method, Topic

RECORDED_SETS = {"fashion-mnist": "fashion", "digits": "digits"}
"""Data sets of the shipped recordings, and the names under which their files begin."""


RECORDED_TRAJECTORIES = ("edf", "mtt")
"""Methods of trajectory matching with a shipped recording, on scenes."""

QUICK_FEATURES = {"features": "network", "feature_epochs": 1, "width": 4}
QUICK_EXPERTS = {
    "preset": "lesson",
    "count": 2,
    "epochs": 3,
    "width": 8,
    "depth": 2,
    "learning_rate": 0.2,
    "batch": 32,
}
SMALL_DIGITS = {"name": "digits", "options": {"size": 8, "margin": 0}}
SCORE_COMMAND = "explore run evaluate --distilled {product}"


def _matching(name: str, label: str, summary: str) -> Method:
    return Method(
        name,
        summary,
        builder="explore.distill.attention_matching:build",
        config="explore.distill.config:DistillConfig",
        label=label,
        figures=("evolution",),
        bench="explore.distill.bench.matching:main",
        recordings=tuple(f"data/{prefix}-{name}.zarr.zip" for prefix in RECORDED_SETS.values()),
        tiny={"data": "digits", "preset": "lesson", "steps": 6, "width": 8, "batch": 4},
        family="distill",
        product=".safetensors",
        follow_up=SCORE_COMMAND,
    )


def _trajectories(name: str, label: str, summary: str) -> Method:
    return Method(
        name,
        summary,
        builder="explore.distill.trajectories.matching:build",
        config="explore.distill.trajectories.config:TrajectoryConfig",
        label=label,
        figures=("edf",),
        bench="explore.distill.bench.trajectories:main",
        recordings=(f"data/scenes-{name}.zarr.zip",) if name in RECORDED_TRAJECTORIES else (),
        tiny={
            "data": SMALL_DIGITS,
            "experts": QUICK_EXPERTS,
            "preset": "lesson",
            "steps": 4,
            "student_steps": 2,
            "expert_epochs": 1,
            "window_stop": 2,
            "window_last": 2,
            "refresh": 2,
            "cam_epochs": 1,
            "cam_width": 4,
        },
        family="distill",
        product=".safetensors",
        follow_up=SCORE_COMMAND,
    )


def _coreset(name: str, summary: str, **tiny: Any) -> Method:
    return Method(
        name,
        summary,
        builder="explore.distill.baselines:build",
        config="explore.distill.config:CoresetConfig",
        tiny={"data": "digits", **tiny},
        length="images_per_class",
        family="coreset",
        product=".safetensors",
        follow_up=SCORE_COMMAND,
    )


TOPIC = Topic(
    "distill",
    methods=(
        _matching("dm", "DM", "distribution matching: the mean embedding alone"),
        _matching("datadam", "DataDAM", "spatial attention and the mean embedding"),
        _matching("channel", "channel only", "channel attention and the mean embedding"),
        _matching("atom", "ATOM", "spatial and channel attention and the mean embedding"),
        _trajectories("mtt", "MTT", "the trajectories of experts"),
        _trajectories("datm", "DATM", "trajectories, first their early part, and soft labels"),
        _trajectories("edf", "EDF", "as DATM, without common patterns, in discriminative areas"),
        Method(
            "experts",
            "the trajectories of networks on real images, which mtt, datm and edf need",
            builder="explore.distill.trajectories.experts:build",
            config="explore.distill.trajectories.config:ExpertsConfig",
            tiny={"data": SMALL_DIGITS, **QUICK_EXPERTS},
            length="epochs",
            product=".safetensors",
            follow_up="explore run distill --method mtt --experts {product}",
        ),
        Method(
            "untrained",
            "class-mean attention of untrained networks, one network a step",
            builder="explore.distill.untrained:build",
            config="explore.distill.config:UntrainedConfig",
            figures=("untrained",),
            recordings=("data/digits-untrained.zarr.zip",),
            tiny={"data": "digits", "steps": 2, "width": 8, "images": 100},
        ),
        _coreset("random", "real images selected at random"),
        _coreset("herding", "real images whose mean follows the class mean", **QUICK_FEATURES),
        _coreset("kcenter", "real images that leave no other image far away", **QUICK_FEATURES),
        _coreset("class-mean", "the mean image of each class"),
        Method(
            "evaluate",
            "networks trained from scratch on a distilled set and scored on test images",
            builder="explore.distill.evaluation.run:build",
            config="explore.distill.evaluation.config:EvaluateConfig",
            tiny={
                "distilled": {"method": "random", "data": SMALL_DIGITS},
                "data": SMALL_DIGITS,
                "epochs": 2,
                "networks": 3,
                "width": 4,
            },
            length="networks",
            figures=("accuracies",),
            bench="explore.distill.bench.evaluation:main",
            table="explore.distill.evaluation.table:table",
        ),
    ),
    figures=(
        Figure(
            "evolution",
            "explore.distill.figures.evolution:Evolution",
            "explore.distill.figures.evolution:evolution",
            recordings=("data/fashion-datadam.zarr.zip", "data/fashion-dm.zarr.zip"),
            panels=(
                *(
                    f"{panel}-{side}"
                    for side in ("left", "right")
                    for panel in ("images", "real-1", "synthetic-1", "real-2", "synthetic-2")
                ),
                "curve",
            ),
        ),
        Figure(
            "edf",
            "explore.distill.figures.trajectory_matching:TrajectoryMatching",
            "explore.distill.figures.trajectory_matching:trajectory_matching",
            recordings=tuple(f"data/scenes-{name}.zarr.zip" for name in RECORDED_TRAJECTORIES),
            panels=(
                *(
                    f"{panel}-{side}"
                    for side in (1, 2)
                    for panel in ("images", "image", "map", "multiplier", "gradient")
                ),
                "areas",
                "dropped",
            ),
        ),
        Figure(
            "enhanced_step",
            "explore.distill.figures.enhanced_step:EnhancedStep",
            explorer="explore.distill.trajectories.lab:one_step",
            slider="beta",
            states=("beta", "threshold", "label", "step"),
            panels=("image", "map", "multiplier", "without", "with", "difference"),
        ),
        Figure(
            "untrained",
            "explore.distill.figures.untrained:Untrained",
            "explore.distill.figures.untrained:untrained",
            slider="network",
            panels=("mean-maps", "image", "map", "accuracy"),
        ),
        Figure(
            "accuracies",
            "explore.distill.figures.accuracies:Accuracies",
            "explore.distill.figures.accuracies:accuracies",
            panels=("accuracy",),
        ),
        Figure(
            "gradient_costs",
            "explore.distill.figures.gradient_costs:GradientCosts",
            "explore.distill.figures.measured_gradients:measured_gradients",
            panels=("seconds", "memory", "deviation"),
        ),
    ),
    benchmarks={"trajectories": "explore.distill.bench.trajectories:main"},
    labs=(
        Lab(
            "attention",
            "02_attention_matching.ipynb",
            "Why can networks that never learnt anything tell us what to draw?",
            30,
        ),
    ),
)

METHOD_LABELS = {method.name: method.label for method in TOPIC.methods if method.label}
"""The names of methods in pictures and tables."""

ATTENTION_METHODS = ("dm", "datadam", "channel", "atom")
DISTILLATION_METHODS = tuple(method.name for method in TOPIC.methods if method.family == "distill")
BASELINES = tuple(method.name for method in TOPIC.methods if method.family == "coreset")
