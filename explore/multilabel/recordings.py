"""What the recordings of this topic hold; no torch is imported."""

from __future__ import annotations

from explore.core.schema import RecordingKind, Variable

TRAINING = RecordingKind(
    "a multi-label training (such as explore run kmcl)",
    {
        "embedding": Variable(("point", "axis"), "features of a sample, or its point z (probmcl)"),
        "probability": Variable(("point", "label"), "predicted probability of a label"),
        "component_mean": Variable(("point", "label", "axis"), "mean of the component of a label"),
        "component_variance": Variable(
            ("point", "label", "axis"), "variance of the component of a label"
        ),
        "component_weight": Variable(("point", "label"), "weight of the component of a label"),
        "uncertainty": Variable(("uncertainty_kind", "point"), "uncertainty of a sample's mixture"),
        "mean_average_precision": Variable((), "mAP on the held-out samples"),
        "loss": Variable((), "mean loss of the last epoch"),
        "term": Variable(("term_name",), "term of the loss in the last batch"),
    },
    {
        "label": Variable(("label",), "", ""),
        "present": Variable(("point", "label"), "whether a sample has a label"),
        "known": Variable(("point", "label"), "whether it is known if a sample has a label"),
        "thumbnail": Variable(("point", "y", "x", "rgb"), "the sample", ""),
        "term_name": Variable(("term_name",), "", ""),
        "uncertainty_kind": Variable(("uncertainty_kind",), "", ""),
    },
)

TERM_NAMES = ("classification", "reconstruction", "likelihood", "contrast")
"""The terms of all losses; those that a method does not have are NaN."""

UNCERTAINTY_NAMES = ("aleatoric", "epistemic", "total", "entropy", "log_volume")

MEASURE_NAMES = ("mAP", "CF1", "OF1")

STUDY = RecordingKind(
    "a study of multi-label losses (explore run multilabel-study)",
    {
        "score": Variable(("measure", "training_loss", "run"), "score on the scored samples"),
        "validation": Variable(
            ("training_loss", "rate", "weight", "tuning_run"), "mAP on the validation samples"
        ),
        "chosen_rate": Variable(("training_loss",), "learning rate with the best validation mAP"),
        "chosen_weight": Variable(
            ("training_loss",), "factor of the contrast's weight with the best validation mAP"
        ),
    },
    {
        "measure": Variable(("measure",), "", ""),
        "training_loss": Variable(("training_loss",), "", ""),
        "run": Variable(("run",), "", ""),
        "rate": Variable(("rate",), "", ""),
        "weight": Variable(("weight",), "", ""),
        "tuning_run": Variable(("tuning_run",), "", ""),
    },
)

BASELINE = "bce"
"""The loss with which the others are compared."""

WEIGHT_TERMS = ("classification", "reconstruction", "contrast")

WEIGHT_STUDY = RecordingKind(
    "a study of the contrast's weight (explore run contrast-weights)",
    {
        "held_out_map": Variable(("weight", "run"), "mAP on the held-out samples"),
        "gradient_share": Variable(
            ("weight_term", "weight", "run"),
            "share of the gradient norm of the encoder's weights after the first epoch",
        ),
        "prediction_spread": Variable(
            ("weight", "run"), "standard deviation of a label's probability over samples"
        ),
    },
    {
        "weight": Variable(("weight",), "", ""),
        "run": Variable(("run",), "", ""),
        "weight_term": Variable(("weight_term",), "", ""),
    },
)
