"""What the recordings of this topic hold; no torch is imported."""

from __future__ import annotations

from explore.core.schema import RecordingKind, Variable

_CLASS = Variable(("label",), "", "")

ATTENTION_MATCHING = RecordingKind(
    "an attention-matching run",
    {
        "attention_distance": Variable(
            ("label", "block"), "squared distance of mean spatial attention"
        ),
        "channel_distance": Variable(
            ("label", "block"), "squared distance of mean channel attention"
        ),
        "embedding_distance": Variable(("label",), "squared distance of mean embeddings"),
        "image": Variable(("label", "copy", "y", "x", "rgb"), "synthetic image", "display"),
        "loss": Variable((), "loss of the last step, under that step's network"),
        "attention_{block}": Variable(
            ("label", "y_{block}", "x_{block}"),
            "synthetic spatial attention of block {block}, unit norm, mean over images",
        ),
        "channel_{block}": Variable(
            ("label", "c_{block}"),
            "synthetic channel attention of block {block} of the first probe network, unit norm",
        ),
    },
    {
        "label": _CLASS,
        "block": Variable(("block",), "", ""),
        "real_attention_{block}": Variable(
            ("label", "y_{block}", "x_{block}"),
            "real spatial attention of block {block}, unit norm, mean over images",
        ),
        "real_channel_{block}": Variable(
            ("label", "c_{block}"),
            "real channel attention of block {block} of the first probe network, unit norm",
        ),
    },
)

EXPERTS = RecordingKind(
    "a training of experts",
    {
        "movement": Variable(("expert", "epoch"), "distance of the parameters in an epoch"),
        "loss": Variable(("expert", "epoch"), "mean loss of an epoch"),
    },
    {"expert": Variable(("expert",), "", ""), "epoch": Variable(("epoch",), "", "")},
)

TRAJECTORY_MATCHING = RecordingKind(
    "a trajectory-matching run",
    {
        "dropped": Variable(("parameter",), "whether the last step dropped a parameter"),
        "image": Variable(("label", "copy", "y", "x", "rgb"), "synthetic image", "display"),
        "map": Variable(("label", "copy", "y", "x"), "class activation map of the image"),
        "area": Variable(("label", "copy"), "share of the map above 0.5"),
        "multiplier": Variable(
            ("label", "copy", "y", "x"), "factor of the gradient in the last step"
        ),
        "gradient": Variable(
            ("label", "copy", "channel", "y", "x"), "gradient of the image, multiplied, last step"
        ),
        "soft_label": Variable(("label", "copy", "class"), "probability of each class"),
        "dropped_share": Variable(("layer",), "share of a layer's parameters that was dropped"),
        "learning_rate": Variable((), "learning rate of the student"),
        "loss": Variable((), "loss of the last step"),
        "start_epoch": Variable((), "epoch of the expert from which the last student started"),
        "skipped": Variable((), "steps so far whose loss was above the gate"),
    },
    {
        "label": _CLASS,
        "layer": Variable(("layer",), "", ""),
        "size": Variable(("layer",), "number of parameters of a layer"),
        "real_area": Variable(("label",), "mean area of real images"),
    },
)

UNTRAINED = RecordingKind(
    'the method "untrained"',
    {
        "example_attention_{block}": Variable(
            ("power", "label", "y_{block}", "x_{block}"),
            "spatial attention of block {block}, unit norm, one image",
        ),
        "attention_{block}": Variable(
            ("power", "label", "y_{block}", "x_{block}"),
            "spatial attention of block {block}, unit norm, mean over images",
        ),
        "accuracy": Variable(("power", "block"), "accuracy of the nearest class-mean map"),
    },
    {
        "power": Variable(("power",), "", ""),
        "block": Variable(("block",), "", ""),
        "label": _CLASS,
        "example": Variable(("label", "y", "x", "rgb"), "one image of each class", ""),
    },
)

CORESET = RecordingKind(
    "a coreset",
    {
        "chosen": Variable(("image",), "number of the image in the data"),
        "images": Variable(("image", "y", "x", "channel"), "chosen image"),
    },
    {
        "image": Variable(("image",), "", ""),
        "label": Variable(("image",), "", ""),
    },
)

EVALUATION = RecordingKind(
    "an evaluation",
    {"accuracy": Variable(("architecture", "network"), "test accuracy")},
    {"architecture": Variable(("architecture",), "", "")},
)
