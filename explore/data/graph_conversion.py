"""Make a GraphSet of lists of edges, of PyTorch Geometric's graphs or of networkx graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from explore.core.tensor_validation import as_tensor, check_tensor
from explore.core.validation import check_items
from explore.data.graph_input import (
    check_rows,
    edge_pairs,
    feature_tables,
    graph_label,
    graph_sizes,
    label_tensor,
    stack_rows,
)
from explore.data.pyg import import_pyg
from explore.errors import ExploreWarning, InvalidInput

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data

MAX_DEGREE = 30
"""Degrees above are counted as this one in features."""

ATTRIBUTES = ("class_names", "feature_names", "name", "options", "motif", "degree_features")
"""What can be given besides edges, features, labels and sizes."""

S = TypeVar("S")
"""The class of the set, which imports this module."""


def graph_set(
    kind: Callable[..., S],
    edges: Any,
    features: Any,
    labels: Any,
    sizes: Any = None,
    **others: Any,
) -> S:
    """Make a set of one list of edges for each graph.

    Args:
        kind: the class of the set, ``GraphSet``.
        edges: for each graph, pairs of node numbers, each pair once or in both directions.
        features: for each graph ``[n, F]``; by default the degrees, as ``degree_one_hot``.
        labels: integers ``[G]``.
        sizes: number of nodes of each graph; by default that of ``features``.
        **others: attributes of the set.

    Raises:
        InvalidInput: see ``GraphSet``.

    Warns:
        ExploreWarning: loops or repeated edges were removed.
    """
    edges = check_items("edges", edges)
    return _assemble(kind, edges, features, labels, sizes, [False] * len(edges), others)


def from_pyg(kind: Callable[..., S], graphs: Iterable[Data], **others: Any) -> S:
    """Make a set of PyTorch Geometric's graphs; see ``GraphSet.from_pyg``."""
    data_class = import_pyg("data").Data
    edges, features, labels, sizes = [], [], [], []
    for number, graph in enumerate(check_items("graphs", graphs)):
        if not isinstance(graph, data_class):
            raise InvalidInput(
                f"graph {number} is of {type(graph).__name__}; give a list of PyTorch Geometric's "
                "Data, each one graph"
            )
        if graph.edge_index is None:
            raise InvalidInput(f"graph {number} has no edge_index; give it, with shape [2, E]")
        edge_index = as_tensor(f"edge_index of graph {number}", graph.edge_index)
        if edge_index.ndim != 2 or len(edge_index) != 2:
            raise InvalidInput(
                f"edge_index of graph {number} must be [2, E], got {list(edge_index.shape)}"
            )
        if graph.y is None:
            raise InvalidInput(f"graph {number} has no label y; give one whole number")
        edges.append(edge_index.T)
        features.append(graph.x)
        labels.append(graph_label(number, graph.y))
        sizes.append(graph.num_nodes)
    return _assemble(kind, edges, features, labels, sizes, [True] * len(edges), others)


def from_networkx(
    kind: Callable[..., S],
    graphs: Iterable[networkx.Graph],
    labels: Any,
    **others: Any,
) -> S:
    """Make a set of networkx graphs; see ``GraphSet.from_networkx``."""
    import networkx

    edges: list[Any] = []
    features, sizes, attributes, directed = [], [], [], []
    for number, graph in enumerate(check_items("graphs", graphs)):
        if not isinstance(graph, networkx.Graph):
            raise InvalidInput(
                f"graph {number} is of {type(graph).__name__}; give a list of networkx graphs"
            )
        order = {node: k for k, node in enumerate(graph)}
        edges.append([(order[u], order[v]) for u, v in graph.edges()])
        sizes.append(len(order))
        directed.append(graph.is_directed())
        attributes.append(graph.graph.get("y"))
        rows = [graph.nodes[node].get("x") for node in graph]
        if any(row is None for row in rows) and any(row is not None for row in rows):
            raise InvalidInput(
                f"some nodes of graph {number} have no attribute x; give all or none"
            )
        features.append(None if not rows or rows[0] is None else stack_rows(number, rows))
    if labels is None:
        for number, value in enumerate(attributes):
            if value is None:
                raise InvalidInput(f"graph {number} has no attribute y; give it, or labels=")
        labels = [graph_label(number, value) for number, value in enumerate(attributes)]
    return _assemble(kind, edges, features, labels, sizes, directed, others)


def degree_one_hot(degrees: Any) -> torch.Tensor:
    """Return one feature for each degree from 0 to ``MAX_DEGREE``, float32 ``[n, 31]``.

    Raises:
        InvalidInput: degrees that are no whole numbers ``[n]`` of at least 0.
    """
    clipped = check_tensor("degrees", degrees, ("n",), kind="integer", empty=True)
    clipped = clipped.clamp(max=MAX_DEGREE)
    if clipped.numel() and int(clipped.min()) < 0:
        raise InvalidInput(f"degrees must be at least 0, got {int(clipped.min())}")
    return torch.nn.functional.one_hot(clipped, MAX_DEGREE + 1).float()


def degree_names() -> list[str]:
    """Return the names of the features of ``degree_one_hot``."""
    return [f"degree {k}" for k in range(MAX_DEGREE)] + [f"degree {MAX_DEGREE} or more"]


def _assemble(
    kind: Callable[..., S],
    edges: Sequence[Any],
    features: Sequence[Any] | None,
    labels: Any,
    sizes: Any,
    directed: Sequence[bool],
    others: dict[str, Any],
) -> S:
    """Make a set; ``directed`` graphs are those that should hold each edge in both directions."""
    unknown = sorted(set(others) - set(ATTRIBUTES))
    if unknown:
        raise InvalidInput(
            f"a set of graphs has no attribute {unknown[0]!r}; it has {', '.join(ATTRIBUTES)}"
        )
    count = len(edges)
    if not count:
        raise InvalidInput("got no graphs; give one or more")
    sizes = None if sizes is None else graph_sizes(sizes, count)
    tables = None if features is None else feature_tables(features, count)
    sizes = check_rows(sizes, tables)
    pairs = [edge_pairs(k, graph, sizes[k]) for k, graph in enumerate(edges)]
    labels = label_tensor(labels, count)
    if not any((graph[0] != graph[1]).any() for graph in pairs):
        raise InvalidInput("no graph has an edge; there is no structure to see or to learn")
    clean = [_clean(graph) for graph in pairs]
    _warn_about(
        [loops for _, loops, _ in clean],
        [repeated for _, _, repeated in clean],
        [directed[k] and _is_directed(graph) for k, graph in enumerate(pairs)],
    )
    starts = np.cumsum([0, *sizes])
    all_edges = torch.from_numpy(
        np.concatenate(
            [graph + start for (graph, _, _), start in zip(clean, starts[:-1], strict=True)], 1
        )
    )
    if tables is None:
        table = degree_one_hot(torch.bincount(all_edges[0], minlength=int(starts[-1])))
        others.setdefault("feature_names", degree_names())
    else:
        table = torch.cat(tables)
        others.setdefault("feature_names", [str(k) for k in range(table.shape[1])])
    others.setdefault("degree_features", tables is None)
    others.setdefault("class_names", [str(k) for k in range(int(labels.max()) + 1)])
    return kind(table, all_edges, torch.tensor(sizes), labels, **others)


def _clean(edges: np.ndarray) -> tuple[np.ndarray, bool, bool]:
    """Return the edges in both directions, sorted, and whether it had loops or repeated edges."""
    loops = edges[0] == edges[1]
    rest = edges[:, ~loops]
    repeated = np.unique(rest, axis=1).shape[1] < rest.shape[1]
    both = np.concatenate([rest, rest[::-1]], 1)
    return np.unique(both, axis=1).reshape(2, -1), bool(loops.any()), repeated


def _is_directed(edges: np.ndarray) -> bool:
    """Return whether some edges have only one direction."""
    pairs = set(zip(*edges.tolist(), strict=True))
    return any((v, u) not in pairs for u, v in pairs)


def _warn_about(loops: list[bool], repeated: list[bool], directed: list[bool]) -> None:
    """Warn the caller of GraphSet's constructors about what was changed."""
    count = len(loops)
    texts = []
    if any(loops):
        texts.append(
            f"removed the loops of {sum(loops)} of {count} graphs, as a graph convolution adds one "
            "loop to every node"
        )
    if any(repeated):
        texts.append(f"removed the repeated edges of {sum(repeated)} of {count} graphs")
    if any(directed):
        texts.append(
            f"the directed edges of {sum(directed)} of {count} graphs now go both ways, as all "
            "edges are undirected"
        )
    if texts:
        warnings.warn("; ".join(texts), ExploreWarning, stacklevel=5)
