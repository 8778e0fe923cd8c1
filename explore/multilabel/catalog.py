"""The catalog of the topic of multi-label contrastive learning."""

from typing import Any

from explore.core.catalog import Figure, Lab, Method, Topic

RECORDED = ("kmcl", "asl", "probmcl")
"""Trainings on scenes that ship."""

TIMED = ("kmcl", "kmcl-constant", "probmcl")
"""Losses that the benchmark times."""

STUDIES = ("scenes", "emotions", "yeast")
"""Data sets of the studies that ship."""

SMALL_SCENES: dict[str, Any] = {"name": "scenes", "options": {"count": 40, "objects": [1, 3]}}

FIGURES_OF = {"kmcl": ("anchor_pulls",), "probmcl": ("label_uncertainty",)}
"""Figures of single losses, beside the embedding of all."""

BENCHMARK = "explore.multilabel.bench.losses:main"

TINY: dict[str, Any] = {
    "data": SMALL_SCENES,
    "epochs": 2,
    "classifier_epochs": 2,
    "batch": 16,
    "features": 8,
    "width": 2,
    "latent": 2,
    "holdout": 8,
}


def _training(name: str, label: str, summary: str) -> Method:
    return Method(
        name,
        f"a multi-label classifier learns with {summary}",
        builder="explore.multilabel.run:build",
        config="explore.multilabel.config:MultilabelConfig",
        label=label,
        figures=("label_embedding", *FIGURES_OF.get(name, ())),
        recordings=(f"data/scenes-{name}.zarr.zip",) if name in RECORDED else (),
        tiny=TINY,
        length="epochs",
        family="multilabel",
        bench=BENCHMARK if name in TIMED else "",
    )


TOPIC = Topic(
    "multilabel",
    methods=(
        _training("kmcl", "KMCL", "kernel mixtures, one component a label"),
        _training("kmcl-constant", "KMCL, J constant", "KMCL without overlap (J = 1)"),
        _training("probmcl", "ProbMCL-style", "Gaussian mixtures in two stages (our reading)"),
        _training("bce", "BCE", "binary cross entropy"),
        _training("focal", "focal", "the focal loss"),
        _training("asl", "ASL", "the asymmetric loss"),
        _training("multisupcon", "MultiSupCon", "BCE and a contrast weighted by label overlap"),
        _training("mulsupcon", "MulSupCon", "BCE and a contrast for each label of an anchor"),
        Method(
            "multilabel-study",
            "losses compared over seeds, with rates and weights chosen on validation samples",
            builder="explore.multilabel.study:build",
            config="explore.multilabel.config:MultilabelStudyConfig",
            figures=("training_losses",),
            recordings=tuple(f"data/multilabel-study-{name}.zarr.zip" for name in STUDIES),
            tiny={
                **{k: v for k, v in TINY.items() if k != "holdout"},
                "methods": ["bce", "kmcl"],
                "rates": [0.003],
                "weights": [1.0],
                "tuning_seeds": 1,
                "seeds": 2,
            },
            length="seeds",
            table="explore.multilabel.study_tables:tables",
        ),
        Method(
            "contrast-weights",
            "KMCL with different weights of contrast and reconstruction",
            builder="explore.multilabel.weight_study:build",
            config="explore.multilabel.config:WeightStudyConfig",
            figures=("contrast_weight",),
            recordings=("data/contrast-weights.zarr.zip",),
            tiny={
                **{k: v for k, v in TINY.items() if k != "holdout"},
                "weights": [0.01, 1.0],
                "seeds": 1,
            },
            length="seeds",
        ),
    ),
    figures=(
        Figure(
            "anchor_pulls",
            "explore.multilabel.figures.anchor_pulls:AnchorPulls",
            "explore.multilabel.figures.anchor_pulls:anchor_pulls",
        ),
        Figure(
            "label_embedding",
            "explore.multilabel.figures.embedding:Embedding",
            "explore.multilabel.figures.embedding_data:embedding",
            panels=("embedding",),
        ),
        Figure(
            "label_similarity",
            "explore.multilabel.figures.similarity:SimilarityByOverlap",
            "explore.multilabel.figures.similarity:similarity_by_overlap",
            recordings=tuple(f"data/scenes-{name}.zarr.zip" for name in RECORDED),
            panels=("kmcl", "asl", "probmcl-style"),
        ),
        Figure(
            "training_losses",
            "explore.multilabel.figures.losses:TrainingLosses",
            "explore.multilabel.figures.losses:training_losses",
            "measure",
            panels=("scores", "differences"),
        ),
        Figure(
            "contrast_weight",
            "explore.multilabel.figures.contrast_weight:ContrastWeight",
            "explore.multilabel.figures.contrast_weight:contrast_weight",
            "weight",
            panels=("score", "spread", "gradient"),
        ),
        Figure(
            "label_uncertainty",
            "explore.multilabel.figures.uncertainty:UncertaintyByCount",
            "explore.multilabel.figures.uncertainty:uncertainty_by_count",
            panels=("uncertainty",),
        ),
    ),
    labs=(
        Lab(
            "multilabel",
            "05_multilabel_contrast.ipynb",
            "How much should two images attract that share one label of five?",
            45,
        ),
    ),
    packages=("torch",),
)

METHOD_LABELS = {method.name: method.label for method in TOPIC.methods if method.label}
"""Names of the losses in pictures and tables."""
