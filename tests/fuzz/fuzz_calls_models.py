"""Valid calls of attention maps, class activation maps, networks and coresets."""

from __future__ import annotations

from typing import Any

import torch
from fuzz_judge import Call

from explore.attention import ActivationMapper
from explore.data import load_graph_set
from explore.models import GCN, MLP, ConvNet, DenseGraphs, Fit, MLPs, Several


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return positive numbers around one."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) + 0.5


def network(seed: int = 0) -> ConvNet:
    return ConvNet(1, 3, 8, width=4, depth=2, seed=seed).eval()


def images() -> torch.Tensor:
    return random(6, 1, 8, 8)


def labels() -> torch.Tensor:
    return torch.arange(6) % 3


def maps() -> torch.Tensor:
    return random(6, 8, 8, seed=1) / 1.5


def masks() -> torch.Tensor:
    return maps() > 0.6


def curve() -> dict[str, Any]:
    return {
        "model": network(),
        "images": images(),
        "cam": maps(),
        "targets": labels(),
        "steps": 4,
        "baseline": torch.zeros(6, 1, 8, 8),
    }


def fit(**options: Any) -> Fit:
    return Fit(
        **{"network": network(), "images": images(), "labels": labels(), "epochs": 1, **options}
    )


def gcn() -> GCN:
    return GCN(3, 2, width=4, depth=2).eval()


def dense() -> DenseGraphs:
    return DenseGraphs(random(2, 4, 3), torch.ones(2, 4, 4) - torch.eye(4), torch.ones(2, 4).bool())


MEASURE = {
    "targets": "class",
    "cam": "map",
    "masks": "mask",
    "model": "network",
    "baseline": "images",
}
IMAGE_OVERFLOW = dict.fromkeys(
    ("images: times 1e30", "images: float64 times 1e200"),
    "a network overflows as those of PyTorch do",
)
CAM_NAN = {
    f"images: one {name}": "the map is zero, and a warning names it" for name in ("NaN", "Inf")
}
TARGETS = {**CAM_NAN, "targets: 0": "one class for all images", "layer: empty text": "the default"}
FORWARD = {"x": "images|features|input|sample"}
OVERFLOW = dict.fromkeys(
    ("x: times 1e30", "x: float64 times 1e200"), "a network overflows as those of PyTorch do"
)
SIZES = dict.fromkeys(
    ("channels", "classes", "width", "features", "inputs", "outputs", "depth", "size"),
    "weights|poolings",
)

CALLS = {
    "explore.attention.spatial_attention": Call(
        lambda: {"features": random(2, 3, 4, 4), "power": 4.0, "normalize": True}
    ),
    "explore.attention.channel_attention": Call(
        lambda: {"features": random(2, 3, 4, 4), "power": 4.0, "normalize": True}
    ),
    "explore.attention.activation_area": Call(
        lambda: {"cam": maps(), "threshold": 0.5}, names=MEASURE
    ),
    "explore.attention.deletion_curve": Call(curve, names=MEASURE, accepts=TARGETS),
    "explore.attention.insertion_curve": Call(curve, names=MEASURE, accepts=TARGETS),
    "explore.attention.gradcam": Call(
        lambda: {
            "model": network(),
            "images": images(),
            "targets": labels(),
            "layer": None,
            "size": 8,
            "kind": "gradcam",
            "normalize": True,
        },
        names={**MEASURE, "model": "network|layer"},
        accepts=TARGETS,
    ),
    "explore.attention.ActivationMapper": Call(
        lambda: {
            "model": network(),
            "layer": "blocks.1.conv",
            "kind": "gradcam",
            "copies": 2,
            "noise": 0.1,
            "seed": 0,
        },
        after=lambda mapper: mapper(images(), labels()),
        names={"model": "network|layer"},
        accepts=TARGETS,
    ),
    "explore.attention.ActivationMapper.__call__": Call(
        lambda: {
            "self": ActivationMapper(network()),
            "images": images(),
            "targets": labels(),
            "batch": 4,
            "normalize": True,
            "warn": False,
            "numbers": None,
        },
        names=MEASURE,
        accepts=IMAGE_OVERFLOW,
    ),
    "explore.attention.ActivationMapper.describe": Call(
        lambda: {"self": ActivationMapper(network()), "shape": (1, 8, 8)}
    ),
    "explore.attention.mass_inside": Call(lambda: {"cam": maps(), "masks": masks()}, names=MEASURE),
    "explore.attention.pointing_game": Call(
        lambda: {"cam": maps(), "masks": masks()}, names=MEASURE
    ),
    "explore.attention.overlap": Call(
        lambda: {"cam": maps(), "masks": masks(), "threshold": 0.5}, names=MEASURE
    ),
    "explore.attention.power_sums": Call(
        lambda: {
            "network": network(),
            "images": images(),
            "spatial": 4.0,
            "channel": 4.0,
            "dtype": torch.float32,
        },
        accepts=IMAGE_OVERFLOW,
    ),
    "explore.attention.randomization_check": Call(
        lambda: {
            "model": network(),
            "images": images(),
            "targets": labels(),
            "layer": "blocks.1.conv",
            "kind": "gradcam",
            "seed": 0,
        },
        names={**MEASURE, "model": "network|layer"},
        accepts=TARGETS,
    ),
    "explore.attention.randomized": Call(
        lambda: {"model": network(), "layers": ["classifier"], "seed": 0},
        names={"model": "network|layer"},
        accepts={f"layers: empty {kind}": "none" for kind in ("list", "array", "tensor")},
    ),
    "explore.attention.receptive_field": Call(
        lambda: {"model": network(), "layer": "blocks.0.conv", "shape": (1, 8, 8)},
        names={"model": "network|layer"},
        accepts=TARGETS,
    ),
    "explore.coresets.select": Call(
        lambda: {
            "features": random(9, 4),
            "labels": torch.arange(9) % 3,
            "method": "herding",
            "per_class": 2,
            "seed": 0,
        },
        names={"features": "labels"},
    ),
    "explore.models.ConvNet": Call(
        lambda: {
            "channels": 1,
            "classes": 3,
            "size": 8,
            "width": 4,
            "depth": 2,
            "norm": "instance",
            "activation": "relu",
            "pooling": "avg",
            "seed": 0,
        },
        names=SIZES,
    ),
    "explore.models.ConvNet.draw": Call(
        lambda: {"self": network(), "seed": 1}, after=lambda net: net
    ),
    "explore.models.ConvNet.embed": Call(
        lambda: {"self": network(), "x": images()}, names=FORWARD, accepts=OVERFLOW
    ),
    "explore.models.ConvNet.forward": Call(
        lambda: {"self": network(), "x": images()}, names=FORWARD, accepts=OVERFLOW
    ),
    "explore.models.ConvNet.taps": Call(
        lambda: {"self": network(), "x": images()}, names=FORWARD, accepts=OVERFLOW
    ),
    "explore.models.ConvNet.taps_and_embed": Call(
        lambda: {"self": network(), "x": images()}, names=FORWARD, accepts=OVERFLOW
    ),
    "explore.models.MLP": Call(
        lambda: {"inputs": 4, "width": 5, "outputs": 3, "seed": 0}, names=SIZES
    ),
    "explore.models.MLP.forward": Call(
        lambda: {"self": MLP(4, 5, 3), "x": random(2, 4)}, names=FORWARD, accepts=OVERFLOW
    ),
    "explore.models.MLPs": Call(
        lambda: {"inputs": 4, "width": 5, "outputs": 3, "seeds": [0, 1]},
        names={**SIZES, "seeds": "seed"},
        accepts={"seeds: generator": "numbers"},
    ),
    "explore.models.MLPs.forward": Call(
        lambda: {"self": MLPs(4, 5, 3, [0, 1]), "x": random(2, 1, 4)},
        names=FORWARD,
        accepts=OVERFLOW,
    ),
    "explore.models.Several": Call(lambda: {"networks": [network(0), network(1)]}),
    "explore.models.Several.forward": Call(
        lambda: {"self": Several([network(0), network(1)]), "x": images()[:, None]},
        names=FORWARD,
        accepts=OVERFLOW,
    ),
    "explore.models.GCN": Call(
        lambda: {
            "features": 3,
            "classes": 2,
            "width": 4,
            "depth": 2,
            "norm": "none",
            "pool": "mean",
            "seed": 0,
        },
        names=SIZES,
    ),
    "explore.models.GCN.draw_weights": Call(lambda: {"self": gcn(), "seed": 1}),
    "explore.models.GCN.forward": Call(lambda: {"self": gcn(), "graphs": dense()}),
    "explore.models.GCN.embed": Call(
        lambda: {"self": gcn(), "hidden": random(2, 4, 4), "graphs": dense()},
        skip={"hidden": "a layer of the network itself", "graphs": "see forward"},
    ),
    "explore.models.GCN.hidden": Call(lambda: {"self": gcn(), "graphs": dense()}),
    "explore.models.DenseGraphs": Call(
        lambda: {
            "features": random(2, 4, 3),
            "adjacency": torch.ones(2, 4, 4) - torch.eye(4),
            "mask": torch.ones(2, 4).bool(),
        },
        after=gcn(),
        accepts={"features: float64 times 1e200": "a network overflows as those of PyTorch do"},
    ),
    "explore.models.DenseGraphs.of": Call(
        lambda: {
            "self": DenseGraphs,
            "graphs": load_graph_set("motifs", count=4, types=3),
            "nodes": None,
        },
        after=lambda graphs: graphs.features,
    ),
    "explore.models.SparseGraphs": Call(
        lambda: {"graphs": load_graph_set("motifs", count=4, types=3)},
        after=lambda graphs: graphs.features,
    ),
    "explore.models.Fit": Call(
        lambda: {
            "network": network(),
            "images": images(),
            "labels": labels(),
            "loss": torch.nn.functional.cross_entropy,
            "epochs": 1,
            "learning_rate": 0.01,
            "schedule": "cosine",
            "optimizer": "sgd",
            "momentum": 0.9,
            "weight_decay": 0.0,
            "batch": 4,
            "seed": 0,
            "augment": None,
            "pool": None,
        },
        after=lambda run: run.run().network,
        names={"weight_decay": "loss is"},
    ),
    "explore.models.Taps": Call(
        lambda: {"model": network(), "layers": ["blocks.0.conv"], "inputs": False},
        after=lambda taps: None,
        names={"model": "network|layer", "layers": "module"},
        accepts={f"layers: empty {kind}": "none" for kind in ("list", "array", "tensor")},
    ),
    "explore.models.accuracy": Call(
        lambda: {"network": network(), "images": images(), "labels": labels(), "batch": 4}
    ),
    "explore.models.architecture": Call(
        lambda: {
            "name": "convnet",
            "channels": 1,
            "classes": 3,
            "size": 8,
            "width": 4,
            "norm": "instance",
            "seed": 0,
        },
        names={**SIZES, "name": "architecture"},
    ),
    "explore.models.logits_of": Call(
        lambda: {"network": network(), "images": images(), "batch": 4}
    ),
}
