"""Options of condensation, of selected graphs and of studies; no torch is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from explore.core.config import BaseConfig, device_option, option, seed_option
from explore.core.validation import check_choice, check_different, check_whole_number

METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "gstam": {},
    "gstam-features": {"learn": "features"},
    "gstam-edges": {"learn": "edges"},
    "doscond": {"match": "gradients"},
}
"""What each method changes in the options of GSTAM."""

MOST_RATE = 1e30
"""Rates up to this are numbers of float32."""

MOST_STEPS = 10**9
"""Months of computation."""

LEARN_CHOICES = ("both", "features", "edges")
MATCH_CHOICES = ("attention", "gradients")
SELECTIONS = ("random", "herding", "kcenter")
NODE_ATTENTION_KINDS = ("energy", "gradcam")
ARCHITECTURES = ("gcn", "gin", "gat")

RELEASED: dict[str, dict[str, dict[int, dict[str, Any]]]] = {
    # Learning rates of edges and of features, weight of the embedding term and power, by the number
    # of graphs per class, as in the scripts of GSTAM's released code; DosCond's in its own.
    "attention": {
        "MUTAG": {
            1: {"edge_rate": 0.1, "feature_rate": 0.005, "embedding": 0.2, "power": 2.0},
            10: {"edge_rate": 0.1, "feature_rate": 0.01, "embedding": 0.1, "power": 3.0},
            20: {"edge_rate": 0.2, "feature_rate": 0.005, "embedding": 0.1, "power": 4.0},
        },
        "NCI1": {
            1: {"edge_rate": 0.01, "feature_rate": 0.01, "power": 3.0},
            10: {"edge_rate": 1.0, "feature_rate": 0.005, "power": 4.0},
            50: {"edge_rate": 1.0, "feature_rate": 0.005, "power": 2.0},
        },
        "DD": {
            1: {"edge_rate": 2.0, "feature_rate": 0.01, "power": 1.0},
            10: {"edge_rate": 2.0, "feature_rate": 0.05, "power": 1.0},
            50: {"edge_rate": 2.0, "feature_rate": 0.1, "power": 1.0},
        },
    },
    "gradients": {
        "MUTAG": {1: {"edge_rate": 0.1, "feature_rate": 0.01}},
        "NCI1": {1: {"edge_rate": 1.0, "feature_rate": 0.01}},
        "DD": {1: {"edge_rate": 2.0, "feature_rate": 0.01}},
    },
}

PRESETS: dict[str, dict[str, Any]] = {
    "code": {},
    # A few hundred steps from which a network learns more than from the start. Chosen on motif
    # graphs of seed 0; with larger rates of the features it learns less.
    "lesson": {
        "steps": 300,
        "width": 64,
        "power": 1.0,
        "embedding": 1.0,
        "edge_rate": 0.1,
        "feature_rate": 0.01,
        "anneal": 100,
        "rate_drop": 120,
    },
}


@dataclass(frozen=True, kw_only=True)
class CondenseConfig(BaseConfig):
    """Options of a condensation; ``CondenseConfig.make`` applies a preset.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("gstam", "one of " + ", ".join(METHOD_OPTIONS), choices=METHOD_OPTIONS)
    data: Any = option("motifs", "name of the graph set, such as motifs or MUTAG")
    graphs_per_class: int = option(1, "synthetic graphs of each class", at_least=1)
    steps: int = option(1000, "steps to run in all", at_least=1, at_most=MOST_STEPS)
    seed: int = seed_option()
    preset: str = option(
        "code",
        "code (the settings of released scripts for this data set and size) or lesson (seconds on "
        "a laptop)",
        choices=PRESETS,
    )
    learn: str = option(
        "both",
        "both, features (the edges of the start stay) or edges (the features of the start stay)",
        choices=LEARN_CHOICES,
    )
    match: str = option(
        "attention",
        "what is matched under a random network: structural attention, or gradients of the loss",
        choices=MATCH_CHOICES,
    )
    power: float = option(2.0, "power of the structural attention", above=0)
    embedding: float = option(0.1, "weight λ of the mean-embedding term", at_least=0)
    sparsity: float = option(
        0.1, "weight β of the penalty on more edges than at the start", at_least=0
    )
    edge_rate: float = option(
        0.1, "learning rate of the edges' logits (Adam)", above=0, at_most=MOST_RATE
    )
    feature_rate: float = option(
        0.01, "learning rate of the features (Adam)", above=0, at_most=MOST_RATE
    )
    rate_drop: int = option(
        400, "steps after which both learning rates are divided by 10", at_least=0
    )
    anneal: int = option(
        200, "steps in which the temperature of the edges falls from 1 to 0.01", at_least=1
    )
    batch: int = option(
        256, "real graphs of each class in a step; a smaller class gives all it has", at_least=1
    )
    init: str = option(
        "real", "how synthetic graphs start: real or noise", choices=("real", "noise")
    )
    nodes: int = option(
        0, "nodes of a synthetic graph at most; 0 for the mean of the real graphs", at_least=0
    )
    width: int = option(128, "channels of the networks", at_least=1)
    depth: int = option(3, "layers of the networks", at_least=1)
    pool: str = option("mean", "mean or sum over the nodes", choices=("mean", "sum"))
    probes: int = option(3, "probe networks that measure every frame", at_least=1)
    probe_graphs: int = option(
        64, "real graphs of each class to which every frame is compared", at_least=1
    )
    device: str = device_option()

    @classmethod
    def make(cls, **values: Any) -> Self:
        """Return a config with the preset, changed by the method and by ``values``."""
        method = check_choice("method", values.get("method", "gstam"), METHOD_OPTIONS)
        preset = check_choice("preset", values.get("preset", "code"), PRESETS)
        options = {**PRESETS[preset], **METHOD_OPTIONS[method]}
        count = check_whole_number(
            "graphs_per_class", values.get("graphs_per_class", 1), at_least=1
        )
        if preset == "code":
            data = values.get("data", "motifs")
            name = data.get("name") if isinstance(data, Mapping) else getattr(data, "name", data)
            sizes = RELEASED[options.get("match", "attention")].get(str(name), {})
            smaller = [size for size in sizes if size <= count]
            options |= sizes[max(smaller)] if smaller else {}
        return cls(**{**options, **values})


@dataclass(frozen=True, kw_only=True)
class GraphCoresetConfig(BaseConfig):
    """Options of a selection of real graphs.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("graph-coreset", "graph-coreset", choices=("graph-coreset",))
    data: Any = option("motifs", "name of the graph set, such as motifs or MUTAG")
    graphs_per_class: int = option(1, "graphs of each class", at_least=1)
    selection: str = option("random", "random, herding or kcenter", choices=SELECTIONS)
    seed: int = seed_option("of the random selection and of the network for embeddings")
    epochs: int = option(
        100, "epochs in which the network for embeddings is trained first", at_least=1
    )
    width: int = option(64, "channels of the network for embeddings", at_least=1)
    device: str = device_option()


STUDY_METHODS = ("whole", "unmodified", *SELECTIONS, *METHOD_OPTIONS)
"""What a study can compare: condensations, and real graphs that are not changed."""


@dataclass(frozen=True, kw_only=True)
class GraphStudyConfig(BaseConfig):
    """Options of a study, which compares methods over repeated stratified splits.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("graph-study", "graph-study", choices=("graph-study",))
    data: Any = option("motifs", "name of the graph set, such as motifs or MUTAG")
    methods: Sequence[str] = option(
        STUDY_METHODS, "methods to compare: some of " + ", ".join(STUDY_METHODS)
    )
    graphs_per_class: Sequence[int] = option((1,), "numbers of synthetic graphs of each class")
    splits: int = option(10, "random stratified splits", at_least=1)
    test_share: float = option(0.2, "share of the graphs that is the test part", above=0, below=1)
    seed: int = seed_option("of the first split; split k has the seed + k")
    preset: str = option("lesson", "of the condensations: code or lesson", choices=PRESETS)
    condense_steps: int = option(300, "steps of a condensation", at_least=1)
    architecture: str = option(
        "gcn", "network that is trained on the graphs: gcn, gin or gat", choices=ARCHITECTURES
    )
    networks: int = option(3, "networks that are trained on each set of graphs", at_least=1)
    epochs: int = option(100, "epochs of each network", at_least=1)
    learning_rate: float = option(
        0.005, "of the networks' Adam, divided by 10 at half", above=0, at_most=MOST_RATE
    )
    batch: int = option(128, "graphs in a step of a network", at_least=1)
    width: int = option(64, "channels of the networks", at_least=1)
    norm: str = option("none", "norm of the gcn: none or batch", choices=("none", "batch"))
    pool: str = option("mean", "mean or sum over the nodes", choices=("mean", "sum"))
    epoch: str = option(
        "last",
        "which epoch is scored: last, or the best on a real validation part (which condensed sets "
        "are not supposed to need)",
        choices=("last", "validation"),
    )
    device: str = device_option()

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = check_different("graphs_per_class", self.graphs_per_class)
        sizes = [check_whole_number("graphs_per_class", size, at_least=1) for size in sizes]
        object.__setattr__(self, "graphs_per_class", sizes)
        methods = check_different("methods", self.methods)
        methods = [check_choice("method", name, STUDY_METHODS) for name in methods]
        object.__setattr__(self, "methods", methods)


@dataclass(frozen=True, kw_only=True)
class MotifStudyConfig(BaseConfig):
    """Options of a study of node attention on graphs whose motif is known.

    Raises:
        InvalidInput, UnknownName: an option is out of range; the message names it.
    """

    method: str = option("motif-study", "motif-study", choices=("motif-study",))
    data: Any = option("motifs", "name of a graph set with known motifs")
    seeds: int = option(5, "networks, each with its own split", at_least=1)
    seed: int = seed_option("of the first network; network k has the seed + k")
    test_share: float = option(0.25, "share of the graphs that is the test part", above=0, below=1)
    epochs: int = option(100, "epochs of each network", at_least=1)
    learning_rate: float = option(
        0.005, "of Adam, divided by 10 at half", above=0, at_most=MOST_RATE
    )
    batch: int = option(64, "graphs in a step", at_least=1)
    width: int = option(64, "channels of the networks", at_least=1)
    depth: int = option(3, "layers of the networks", at_least=1)
    norm: str = option("batch", "norm of the gcn: none or batch", choices=("none", "batch"))
