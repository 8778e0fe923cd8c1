"""Valid calls of contrastive losses for several labels."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import xarray
from fuzz_calls_data import many_labels, multilabel_set
from fuzz_calls_models import random
from fuzz_judge import Call

from explore.multilabel import (
    DensityMixture,
    KernelMixture,
    KernelMixtureHead,
    MixtureDensityHead,
    lab,
    train,
)

SMALL = {
    "epochs": 1,
    "classifier_epochs": 1,
    "batch": 8,
    "features": 4,
    "width": 2,
    "latent": 2,
}


def kernels() -> KernelMixture:
    return KernelMixtureHead(5, 2, latent=3)(random(12, 5))


def density() -> DensityMixture:
    return MixtureDensityHead(5, 2, hidden=4, trunk=3, latent=2)(random(12, 5))


def scores() -> torch.Tensor:
    return torch.rand(12, 2, generator=torch.Generator().manual_seed(3))


def logits() -> torch.Tensor:
    return random(12, 2, seed=4) - 1


def mask() -> torch.Tensor:
    return torch.ones(12, 2, dtype=torch.bool)


@cache
def recording() -> xarray.Dataset:
    return lab.recording_of("kmcl").load()


def small_run(data: Any, **options: Any) -> Any:
    return train(data, "bce", **SMALL, **options)


NAMES_OF = {
    "labels": "label|mask|views",
    "classification_weight": "weights",
    "reconstruction_weight": "weights",
    "contrast_weight": "weights",
    "mixture": "mixture|means|variances|features|logits",
    "mask": "mask|labels",
    "gamma_neg": "gamma",
    "gamma_pos": "gamma",
}

EMPTY_LABELS = {"labels: zeros": "NaN for labels without a positive, as documented"}
MASKS = {"labels: bool tensor": "0 and 1"}

CALLS = {
    "explore.multilabel.asymmetric_loss": Call(
        lambda: {
            "logits": logits(),
            "labels": many_labels(),
            "gamma_neg": 4.0,
            "gamma_pos": 0.0,
            "clip": 0.05,
            "reduction": "mean",
            "mask": mask(),
            "focus_gradient": False,
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.focal_loss": Call(
        lambda: {
            "logits": logits(),
            "labels": many_labels(),
            "gamma": 2.0,
            "reduction": "mean",
            "mask": mask(),
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.average_precision": Call(
        lambda: {"scores": scores(), "labels": many_labels(), "mask": mask()},
        names=NAMES_OF,
        accepts=EMPTY_LABELS,
    ),
    "explore.multilabel.choose_threshold": Call(
        lambda: {
            "scores": scores(),
            "labels": many_labels(),
            "kind": "global",
            "measure": "OF1",
            "mask": mask(),
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.multilabel_report": Call(
        lambda: {
            "scores": scores(),
            "labels": many_labels(),
            "threshold": 0.5,
            "top_k": 1,
            "mask": mask(),
            "legacy": False,
        },
        names=NAMES_OF,
        accepts=EMPTY_LABELS,
    ),
    "explore.multilabel.component_similarity": Call(
        lambda: {"means": random(4, 3, 2), "variances": random(4, 3, 2), "axes": 1, "chunk": 2}
    ),
    "explore.multilabel.kernel_contrast": Call(
        lambda: {
            "mixture": kernels(),
            "labels": many_labels(),
            "temperature": 0.17,
            "correlation": "outside",
            "alpha": None,
            "overlap": "jaccard",
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.kernel_exponents": Call(lambda: {"mixture": kernels()}, names=NAMES_OF),
    "explore.multilabel.kernel_reconstruction": Call(
        lambda: {"mixture": kernels(), "labels": many_labels(), "mask": mask()}, names=NAMES_OF
    ),
    "explore.multilabel.kmcl_loss": Call(
        lambda: {
            "mixture": kernels(),
            "labels": many_labels(),
            "temperature": 0.17,
            "correlation": "outside",
            "alpha": None,
            "overlap": "jaccard",
            "classification_weight": 1.0,
            "reconstruction_weight": 0.1,
            "contrast_weight": 0.1,
            "gamma_neg": 4.0,
            "gamma_pos": 0.0,
            "clip": 0.05,
            "mask": mask(),
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.label_overlap": Call(
        lambda: {"labels": many_labels(), "kind": "jaccard", "empty_match": False},
        names=NAMES_OF,
        accepts=MASKS,
    ),
    "explore.multilabel.positive_pairs": Call(
        lambda: {"labels": many_labels(), "alpha": 0.5, "kind": "jaccard"},
        names=NAMES_OF,
        accepts=MASKS,
    ),
    "explore.multilabel.log_mixture_similarity": Call(
        lambda: {"mixture": density(), "kind": "product"}, names=NAMES_OF
    ),
    "explore.multilabel.mixture_similarity": Call(
        lambda: {"mixture": density(), "kind": "product"}, names=NAMES_OF
    ),
    "explore.multilabel.mixture_uncertainty": Call(lambda: {"mixture": density()}, names=NAMES_OF),
    "explore.multilabel.mulsupcon_loss": Call(
        lambda: {"features": random(12, 5), "labels": many_labels(), "temperature": 0.1},
        names=NAMES_OF,
    ),
    "explore.multilabel.multisupcon_loss": Call(
        lambda: {
            "features": random(12, 5),
            "labels": many_labels(),
            "temperature": 0.1,
            "alpha": 0.3,
            "overlap": "jaccard",
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.pair_contrast": Call(
        lambda: {
            "logits": random(6, 6),
            "positives": torch.ones(6, 6).bool() & ~torch.eye(6).bool(),
            "weights": random(6, 6),
        },
        names={"positives": "positive|pairs"},
    ),
    "explore.multilabel.probmcl_loss": Call(
        lambda: {
            "mixture": density(),
            "labels": many_labels(),
            "alpha": 0.5,
            "overlap": "jaccard",
            "temperature": 0.1,
            "similarity": "matched",
            "scale": "linear",
            "contrast_weight": 1.0,
            "likelihood": "posterior",
            "pair_weights": False,
            "views": 1,
        },
        names=NAMES_OF,
    ),
    "explore.multilabel.KernelMixtureHead": Call(
        lambda: {
            "inputs": 5,
            "classes": 2,
            "covariance": "isotropic",
            "latent": 3,
            "variance_floor": 0.01,
            "seed": 0,
        }
    ),
    "explore.multilabel.KernelMixtureHead.forward": Call(
        lambda: {"self": KernelMixtureHead(5, 2, latent=3), "features": random(12, 5)}
    ),
    "explore.multilabel.MixtureDensityHead": Call(
        lambda: {
            "inputs": 5,
            "classes": 2,
            "hidden": 4,
            "trunk": 3,
            "latent": 2,
            "covariance": "isotropic",
            "variance_floor": 0.01,
            "seed": 0,
        }
    ),
    "explore.multilabel.MixtureDensityHead.forward": Call(
        lambda: {
            "self": MixtureDensityHead(5, 2, hidden=4, trunk=3, latent=2),
            "features": random(12, 5),
        }
    ),
    "explore.multilabel.MultilabelRun.predict": Call(
        lambda: {"self": small_run(multilabel_set()).run(), "inputs": random(4, 5)},
        names={"inputs": "samples"},
    ),
    "explore.multilabel.points_table": Call(lambda: {"recording": recording(), "step": 3}),
    "explore.multilabel.table": Call(
        lambda: {"study": lab.study_of("emotions"), "measure": "mAP", "against": "bce"},
        names={"study": "recording", "against": "method"},
    ),
    "explore.multilabel.train": Call(
        lambda: {"data": multilabel_set(), "method": "bce", "encoder": None, "device": "", **SMALL},
        after=lambda run: run.run().predict(random(4, 5)),
        names={"data": "labels|inputs|set"},
    ),
    # The lab.
    "explore.multilabel.lab.who_pulls": Call(lambda: {"recording": recording()}, after=str),
    "explore.multilabel.lab.compare_uncertainty": Call(
        lambda: {"recording": lab.recording_of("probmcl")}, after=str
    ),
    **{
        f"explore.multilabel.lab.{name}": Call(
            lambda: {"*recordings": recording()}, after=str, names={"*recordings": "recording"}
        )
        for name in ("compare_similarity", "see_embedding")
    },
    "explore.multilabel.lab.turn_weight": Call(
        lambda: {"study": lab.weight_study()}, after=str, names={"study": "recording"}
    ),
    "explore.multilabel.lab.compare_losses": Call(
        lambda: {"*studies": lab.study_of("emotions")}, after=str, names={"*studies": "recording"}
    ),
    "explore.multilabel.lab.recording_of": Call(lambda: {"method": "kmcl"}, after=str),
    "explore.multilabel.lab.study_of": Call(
        lambda: {"data": "emotions"}, after=str, names={"data": "data set"}
    ),
}
