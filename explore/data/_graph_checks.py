"""Checks of the parts of a set of graphs; messages name the graph and the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from explore.core.tensor_validation import as_tensor, check_tensor
from explore.core.validation import check_flag, check_names, check_text, describe
from explore.data._json_values import check_json
from explore.errors import InvalidInput

MOST_NODES = 2**31
"""Nodes of all graphs together; their pairs have numbers that int64 holds."""

DEGREE_COLUMNS = 31
"""Features of ``degree_one_hot``."""


def check_graph_set(graphs: Any) -> dict[str, Any]:
    """Return all attributes of a set in their own types.

    Raises:
        InvalidInput: see ``GraphSet``.
    """
    sizes = check_tensor("sizes", graphs.sizes, ("G",), kind="integer", empty=True)
    if not len(sizes):
        raise InvalidInput("the set has no graphs; give one or more")
    if int(sizes.min()) < 1:
        raise InvalidInput(f"graph {int(sizes.argmin())} has no nodes; leave it out")
    if int(sizes.max()) > MOST_NODES or int(sizes.sum()) > MOST_NODES:
        raise InvalidInput(
            f"sizes must be at most {MOST_NODES} nodes in all, got {describe(sizes)}"
        )
    features = _check_features(graphs.features, sizes)
    feature_names = _check_names("feature_names", graphs.feature_names)
    if feature_names and len(feature_names) != features.shape[1]:
        raise InvalidInput(
            f"got {len(feature_names)} feature names for {features.shape[1]} features"
        )
    degree_features = check_flag("degree_features", graphs.degree_features)
    if degree_features and features.shape[1] < DEGREE_COLUMNS:
        raise InvalidInput(
            f"degree_features need {DEGREE_COLUMNS} features or more, as degree_one_hot makes "
            f"them, got {features.shape[1]}"
        )
    class_names = _check_names("class_names", graphs.class_names)
    checked = {
        "features": features,
        "edges": _check_edges(graphs.edges, sizes),
        "sizes": sizes,
        "labels": _check_labels(graphs.labels, len(sizes), len(class_names)),
        "class_names": class_names,
        "feature_names": feature_names,
        "name": check_text("name", graphs.name),
        "options": check_json("options", graphs.options),
        "motif": _check_motif(graphs.motif, len(features)),
        "degree_features": degree_features,
    }
    return {
        name: value.to(features.device) if isinstance(value, torch.Tensor) else value
        for name, value in checked.items()
    }


def _check_names(name: str, values: Any) -> Sequence[str]:
    """Return names; lists stay lists."""
    names = check_names(name, values)
    return list(names) if isinstance(values, list) else names


def _check_features(values: Any, sizes: torch.Tensor) -> torch.Tensor:
    table, nodes = as_tensor("features", values), int(sizes.sum())
    if table.ndim != 2 or len(table) != nodes or not table.shape[1]:
        raise InvalidInput(
            f"features must be [{nodes}, F], one row for each node, got {list(table.shape)}"
        )
    is_double = isinstance(values, torch.Tensor) and table.dtype == torch.float64
    dtype = torch.float64 if is_double else torch.float32
    features = check_tensor("features", table, (nodes, "F"), kind="number", dtype=dtype)
    finite = torch.isfinite(features.detach()).all(1)
    if not bool(finite.all()):
        node = int((~finite).nonzero()[0])
        ends = sizes.cumsum(0)
        graph = int(torch.searchsorted(ends, torch.tensor(node, device=ends.device), right=True))
        number = node - int(ends[graph] - sizes[graph])
        raise InvalidInput(
            f"a feature of node {number} of graph {graph} is NaN or infinite; replace it by a "
            "number"
        )
    return features


def _check_labels(values: Any, count: int, classes: int) -> torch.Tensor:
    labels = check_tensor("labels", values, ("G",), kind="integer", empty=True)
    if len(labels) != count:
        raise InvalidInput(f"got {len(labels)} labels for {count} graphs")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            f"labels must be 0..{classes - 1}, as there are {classes} class names; got "
            f"{low}..{high}"
        )
    return labels


def _check_edges(values: Any, sizes: torch.Tensor) -> torch.Tensor:
    nodes = int(sizes.sum())
    edges = check_tensor("edges", values, (2, "E"), kind="integer", empty=True).to(sizes.device)
    if not edges.numel():
        return edges
    low, high = int(edges.min()), int(edges.max())
    if low < 0 or high >= nodes:
        raise InvalidInput(f"edges must join nodes 0..{nodes - 1}, got {low}..{high}")
    first, second = edges
    graph = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    if bool((first.diff() < 0).any() | (graph[first] != graph[second]).any()):
        raise InvalidInput(
            "edges must join nodes of the same graph, in ascending order of the first node; "
            "GraphSet.from_edges sorts them"
        )
    forward = (first * nodes + second).sort().values
    backward = (second * nodes + first).sort().values
    problem = ""
    if bool((first == second).any()):
        problem = "join a node to itself"
    elif bool((forward.diff() == 0).any()):
        problem = "are there twice"
    elif not torch.equal(forward, backward):
        problem = "have one direction only"
    if problem:
        raise InvalidInput(
            f"some edges {problem}; GraphSet.from_edges removes loops and repeated edges and adds "
            "the other directions"
        )
    return edges


def _check_motif(values: Any, nodes: int) -> torch.Tensor | None:
    if values is None:
        return None
    motif = as_tensor("motif", values)
    if motif.shape != (nodes,):
        raise InvalidInput(
            f"motif must be [{nodes}], one value for each node, got {list(motif.shape)}"
        )
    return check_tensor("motif", motif, (nodes,), kind="flag")
