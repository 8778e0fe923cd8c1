"""Valid calls of data sets, distilled sets and splits."""

from __future__ import annotations

from functools import cache
from typing import Any

import networkx
import torch
from fuzz_calls_models import images, random
from fuzz_judge import Call

from explore import build
from explore.data import (
    ZCA,
    DistilledSet,
    GraphSet,
    ImageSet,
    MultilabelSet,
    load,
    load_graph_set,
)

SIZE = {"size": 8, "margin": 0}


@cache
def digits() -> ImageSet:
    return load("digits", **SIZE).subset(range(60))


def pixels() -> torch.Tensor:
    return (images() * 100).byte()


def set_fields() -> dict[str, Any]:
    return {
        "name": "toy",
        "images": pixels(),
        "labels": torch.arange(6) % 3,
        "class_names": ["a", "b", "c"],
        "mean": [0.5],
        "std": [0.25],
        "options": {},
        "masks": torch.ones(6, 8, 8, dtype=torch.bool),
        "subclasses": torch.arange(6) % 3,
        "subclass_names": ["a", "b", "c"],
        "multi_hot": torch.nn.functional.one_hot(torch.arange(6) % 3).float(),
        "parents": [0, 1, 2],
        "agreement": torch.ones(6),
    }


def image_set() -> ImageSet:
    return ImageSet(**set_fields())


def distilled_fields() -> dict[str, Any]:
    return {
        "images": images(),
        "labels": torch.arange(6) % 3,
        "class_names": ["a", "b", "c"],
        "mean": [0.5],
        "std": [0.25],
        "zca": None,
        "learning_rate": 0.1,
        "provenance": {},
        "protocol": {},
    }


def distilled_set() -> DistilledSet:
    return DistilledSet(**distilled_fields())


def saved_set() -> str:
    return str(distilled_set().save("saved.safetensors"))


def zca() -> ZCA:
    return ZCA().fit(random(20, 1, 3, 3))


@cache
def motifs() -> GraphSet:
    return load_graph_set("motifs", count=6, types=3)


def graph_fields() -> dict[str, Any]:
    return {
        "edges": [[(0, 1), (1, 2)], [(0, 1)]],
        "features": [random(3, 2), random(2, 2)],
        "labels": [0, 1],
        "sizes": [3, 2],
    }


def many_labels() -> torch.Tensor:
    return torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]] * 3)


def multilabel_set() -> MultilabelSet:
    return MultilabelSet.from_tensors(random(12, 5), many_labels(), ["sea", "sky"])


INDICES = {"indices": "index|no graphs|no samples"}
LABELS = {"labels": "label", "label_names": "names", "inputs": "feature|sample", "parts": "part"}

SET_NAMES = {
    f"name: {value}": "any text"
    for value in ("text", "empty text", "digit text", "TeX", "NUL", "long text")
}
MASKS = {"labels: bool tensor": "0 and 1"}

CALLS = {
    "explore.data.load": Call(
        lambda: {"name": "digits", "split": "train"}, names={"name": "data set"}
    ),
    "explore.data.scenes": Call(
        lambda: {
            "split": "train",
            "size": 32,
            "count": 8,
            "objects": 1,
            "object_size": 0.3,
            "clutter": 2,
            "subclass": "texture",
            "difference": 1.0,
            "cooccurrence": 0.0,
            "seed": 0,
        },
        names={"object_size": "object size"},
    ),
    "explore.data.load_graph_set": Call(
        lambda: {"name": "motifs"}, names={"name": "data set|graph set|set of graphs"}
    ),
    "explore.data.load_graphs": Call(
        lambda: {"name": "motifs"}, after=len, names={"name": "data set|graph set|set of graphs"}
    ),
    "explore.data.load_multilabel": Call(
        lambda: {"name": "scenes", "split": "train"},
        after=lambda data: None,
        names={"name": "set"},
    ),
    "explore.data.resolve_multilabel": Call(
        lambda: {"data": (random(12, 5), many_labels())}, names={"data": "labels|inputs|set"}
    ),
    "explore.data.stratified_split": Call(
        lambda: {"labels": many_labels(), "shares": [0.5, 0.5], "seed": 0},
        names=LABELS,
        accepts=MASKS,
    ),
    "explore.data.stratification_report": Call(
        lambda: {
            "labels": many_labels(),
            "parts": [range(6), range(6, 12)],
            "label_names": ["sea", "sky"],
        },
        names={**LABELS, "parts": "part", "labels": "part"},
        accepts={"parts: dict": "indices by name", "parts: generator": "indices"},
    ),
    "explore.data.ImageSet": Call(
        set_fields,
        names={"parents": "class", "subclasses": "subclass", "agreement": "agreement"},
        accepts=SET_NAMES,
    ),
    "explore.data.ImageSet.batch": Call(
        lambda: {"self": image_set(), "indices": torch.tensor([0, 2])}, names=INDICES
    ),
    "explore.data.ImageSet.subset": Call(
        lambda: {"self": image_set(), "indices": torch.tensor([0, 2])}, names=INDICES
    ),
    "explore.data.ImageSet.grouped": Call(
        lambda: {"self": digits(), "parents": [0] * 5 + [1] * 5, "class_names": ["a", "b"]}
    ),
    "explore.data.ImageSet.to_display": Call(
        lambda: {"self": image_set(), "x": images()}, names={"x": "images"}
    ),
    "explore.data.DistilledSet": Call(distilled_fields),
    "explore.data.DistilledSet.import_": Call(
        lambda: {
            "self": DistilledSet,
            "images": images(),
            "labels": torch.arange(6) % 3,
            "space": "model",
            "class_names": ["a", "b", "c"],
            "mean": [0.5],
            "std": [0.25],
            "zca": None,
            "logits": False,
        }
    ),
    "explore.data.DistilledSet.load": Call(
        lambda: {"self": DistilledSet, "path": saved_set()}, names={"path": "file|recording"}
    ),
    "explore.data.DistilledSet.of": Call(
        lambda: {
            "self": DistilledSet,
            "result": build(
                {"method": "random", "data": {"name": "digits", "options": SIZE}}
            ).run(),
            "class_names": list("0123456789"),
        },
        names={"result": "run"},
    ),
    "explore.data.DistilledSet.save": Call(
        lambda: {"self": distilled_set(), "path": "a.safetensors"},
        after=str,
        names={"path": "safetensors"},
    ),
    "explore.data.DistilledSet.to_png": Call(
        lambda: {"self": distilled_set(), "folder": "png"},
        after=str,
        names={"folder": "png"},
        accepts={"folder": "the name of a folder"},
    ),
    "explore.data.DistilledSet.to_torch": Call(
        lambda: {"self": distilled_set(), "folder": "torch"},
        after=str,
        accepts={"folder": "the name of a folder"},
    ),
    "explore.data.ZCA": Call(
        lambda: {"epsilon": 0.1}, after=lambda white: white.fit(random(20, 1, 3, 3)).fitted()
    ),
    "explore.data.ZCA.fit": Call(
        lambda: {"self": ZCA(), "images": random(20, 1, 3, 3)}, after=lambda white: white.fitted()
    ),
    "explore.data.ZCA.__call__": Call(lambda: {"self": zca(), "images": random(4, 1, 3, 3)}),
    "explore.data.ZCA.undo": Call(lambda: {"self": zca(), "images": random(4, 1, 3, 3)}),
    "explore.data.ZCA.of": Call(
        lambda: {"self": ZCA, **zca().fitted(), "epsilon": 0.1},
        after=lambda white: white.fitted(),
        names={"forward": "matrix", "inverse": "matrix"},
    ),
    "explore.data.GraphSet": Call(
        lambda: {
            "features": random(5, 2),
            "edges": torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]]),
            "sizes": torch.tensor([3, 2]),
            "labels": torch.tensor([0, 1]),
            "class_names": ["a", "b"],
            "feature_names": ["x", "y"],
            "name": "toy",
            "options": {},
            "motif": None,
            "degree_features": False,
        },
        names={"sizes": "graph|nodes", "motif": "motif"},
        accepts=SET_NAMES,
    ),
    "explore.data.GraphSet.adjacency": Call(lambda: {"self": motifs(), "graph": 0}),
    "explore.data.GraphSet.from_edges": Call(
        lambda: {"self": GraphSet, **graph_fields()},
        names={
            "sizes": "nodes",
            "labels": "label",
            "edges": "edge|graph",
            "features": "feature|graph",
        },
    ),
    "explore.data.GraphSet.from_networkx": Call(
        lambda: {
            "self": GraphSet,
            "graphs": [networkx.path_graph(3), networkx.path_graph(4)],
            "labels": [0, 1],
        },
        names={"labels": "label", "graphs": "graph"},
    ),
    "explore.data.GraphSet.from_pyg": Call(
        lambda: {"self": GraphSet, "graphs": motifs().to_pyg()}, names={"graphs": "graph"}
    ),
    "explore.data.GraphSet.subset": Call(
        lambda: {"self": motifs(), "indices": torch.tensor([0, 2])}, names=INDICES
    ),
    "explore.data.GraphSet.to": Call(lambda: {"self": motifs(), "device": "cpu"}),
    "explore.data.MultilabelSet": Call(
        lambda: {
            "name": "toy",
            "inputs": random(12, 5),
            "labels": many_labels(),
            "label_names": ["sea", "sky"],
            "mean": [0.0] * 5,
            "std": [1.0] * 5,
            "mask": torch.ones(12, 2, dtype=torch.bool),
            "options": {},
            "feature_names": list("abcde"),
        },
        names=LABELS,
        accepts=SET_NAMES,
    ),
    "explore.data.MultilabelSet.from_images": Call(
        lambda: {"self": MultilabelSet, "image_set": image_set()}, names={"image_set": "ImageSet"}
    ),
    "explore.data.MultilabelSet.from_tensors": Call(
        lambda: {
            "self": MultilabelSet,
            "inputs": random(12, 5),
            "labels": many_labels(),
            "label_names": ["sea", "sky"],
            "mask": torch.ones(12, 2, dtype=torch.bool),
            "name": "toy",
        },
        names=LABELS,
        accepts=SET_NAMES,
    ),
    "explore.data.MultilabelSet.batch": Call(
        lambda: {"self": multilabel_set(), "indices": torch.tensor([0, 2])}, names=INDICES
    ),
    "explore.data.MultilabelSet.subset": Call(
        lambda: {"self": multilabel_set(), "indices": torch.tensor([0, 2])}, names=INDICES
    ),
    "explore.data.MultilabelSet.to": Call(lambda: {"self": multilabel_set(), "device": "cpu"}),
    "explore.data.MultilabelSet.to_display": Call(
        lambda: {"self": MultilabelSet.from_images(image_set()), "x": images()},
        names={"x": "images"},
    ),
}
