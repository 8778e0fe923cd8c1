"""The start of a condensation: real graphs of each class, or noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput
from explore.models.graph_batch import DenseGraphs

START_LOGIT = 5.0
"""The log-odds of an edge of the start, and minus those of a pair without an edge."""

NOISE_LIMIT = 10.0


@dataclass(frozen=True)
class InitialGraphs:
    """Where a condensation starts.

    Attributes:
        graphs: the real graphs that are the start, class by class; None for noise.
        dense: the same as a dense batch; for noise, all pairs are undecided.
        logits: ``[G, N, N]``, the log-odds of the edges.
        edge_share: the share of all pairs that are edges, at the start or, for noise, of all real
            graphs.
    """

    graphs: GraphSet | None
    dense: DenseGraphs
    logits: torch.Tensor
    edge_share: float


def check_class_sizes(source: GraphSet, per_class: int) -> None:
    """Check that every class has enough graphs.

    Raises:
        InvalidInput: one has not; the message names it.
    """
    for name, members in zip(source.class_names, source.members, strict=True):
        if len(members) < per_class:
            raise InvalidInput(
                f"class {name} has {len(members)} graphs, {per_class} of each class are asked; "
                "ask for fewer by graphs_per_class, or leave the class out"
            )


def draw_start(source: GraphSet, per_class: int, nodes: int, seed: int) -> np.ndarray:
    """Draw the real graphs of each class that a condensation starts from.

    Args:
        source: the real graphs.
        per_class: graphs of each class.
        nodes: the largest graph that is drawn; 0 for the rounded mean size. If a class has too few
            graphs of at most this size, the limit grows, for all classes, until it has enough.
        seed: of the draw.

    Returns:
        Indices, class by class.

    Raises:
        InvalidInput: a class with fewer graphs than asked.
    """
    check_class_sizes(source, per_class)
    generator = np.random.default_rng(seed)
    sizes = source.sizes.cpu().numpy()
    limit = nodes or round(float(sizes.mean()))
    limit = max(limit, *(np.sort(sizes[members])[per_class - 1] for members in source.members))
    return np.concatenate(
        [
            generator.choice(members[sizes[members] <= limit], per_class, replace=False)
            for members in source.members
        ]
    )


def initial_graphs(
    source: GraphSet, per_class: int, init: str, nodes: int, seed: int
) -> InitialGraphs:
    """Return the start of a condensation.

    Args:
        source: the real graphs.
        per_class: synthetic graphs of each class.
        init: "real", or "noise": features are normal, with the mean and the standard deviation of
            the real ones, and every edge has a random probability (our reading).
        nodes, seed: see ``draw_start``.

    Raises:
        InvalidInput: a class with fewer graphs than asked.
    """
    if init == "real":
        graphs = source.subset(draw_start(source, per_class, nodes, seed))
        dense = DenseGraphs.of(graphs)
        logits = START_LOGIT * (2 * dense.adjacency - 1)
        pairs = graphs.sizes * (graphs.sizes - 1)
        return InitialGraphs(
            graphs, dense, logits, graphs.edges.shape[1] / max(1, int(pairs.sum()))
        )
    check_class_sizes(source, per_class)
    count = per_class * len(source.class_names)
    size = nodes or round(float(source.sizes.double().mean()))
    generator = torch.Generator().manual_seed(seed)
    deviation = source.features.std(0).nan_to_num()
    normal = torch.randn(count, size, source.features.shape[1], generator=generator)
    features = source.features.mean(0) + deviation * normal
    uniform = torch.rand(count, size, size, generator=generator)
    dense = DenseGraphs(
        features, torch.zeros(count, size, size), torch.ones(count, size, dtype=torch.bool)
    )
    pairs = (source.sizes * (source.sizes - 1)).sum()
    return InitialGraphs(
        None,
        dense,
        torch.logit(uniform).clamp(-NOISE_LIMIT, NOISE_LIMIT),
        source.edges.shape[1] / max(1, int(pairs)),
    )
