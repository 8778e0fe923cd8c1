"""Motif graphs: random sparse graphs that contain one of two motifs, whose nodes are known."""

from __future__ import annotations

from dataclasses import replace

import networkx
import numpy as np
import torch

from explore.core.validation import check_seed, check_whole_number
from explore.data.graph_set import GraphSet

CLASS_NAMES = ("house", "ring")
MOTIF_NODES = 5
RING = tuple((k, (k + 1) % MOTIF_NODES) for k in range(MOTIF_NODES))
HOUSE = (*RING, (1, 4))
MOTIFS = {"house": HOUSE, "ring": RING}
TYPE_NAMES = ("A", "B", "C", "D", "E", "F")
MOST_GRAPHS = 100_000

BASE_NODES = (12, 20)
"""The smallest and the largest base graph."""

BASE_CYCLES = {"house": 4, "ring": 5}
"""Edges beyond a tree in the base graph; one more beside the motif with one edge less."""


def motif_graphs(*, count: int = 300, seed: int = 0, types: int = 0) -> GraphSet:
    """Generate graphs in which five nodes decide the class: a house, or a ring.

    A house is a ring of five nodes with a chord. It is attached by one edge to a random tree of 12
    to 20 nodes, which has four or five more edges, so that it contains cycles of its own, none of
    them a triangle. Graphs of both classes have as many edges, and neither the degree of a node nor
    its core number tells whether it belongs to the motif. The features are the degrees. Graphs of
    the two classes alternate, and a smaller set is the beginning of a larger one.

    Args:
        count: number of graphs, 2 to 100,000.
        seed: of all graphs.
        types: number of node types, up to 6, which are drawn without regard to the class and are
            further features; 0 for none. A network must learn that they say nothing.

    Returns:
        A ``GraphSet`` with ``motif``, the nodes of the houses and rings.

    Raises:
        InvalidInput: an argument is out of range.

    Source: our design, after the motif graphs of Ying et al., GNNExplainer (arXiv 1903.03894), with
    cycles in the base.

    Example:
        >>> graphs = motif_graphs(count=4)
        >>> graphs.class_names, graphs.labels.tolist(), int(graphs.motif.sum())
        (('house', 'ring'), [0, 1, 0, 1], 20)
    """
    count = check_whole_number("count", count, at_least=2, at_most=MOST_GRAPHS)
    seed = check_seed(seed)
    types = check_whole_number("types", types, at_least=0, at_most=len(TYPE_NAMES))
    edges, sizes, motif = [], [], []
    for number in range(count):
        graph = _motif_graph(
            CLASS_NAMES[number % 2], np.random.default_rng(np.random.SeedSequence((seed, number)))
        )
        edges.append(list(graph.edges))
        sizes.append(len(graph))
        motif += [graph.nodes[node]["motif"] for node in range(len(graph))]
    graphs = GraphSet.from_edges(
        edges,
        None,
        [number % 2 for number in range(count)],
        sizes,
        class_names=CLASS_NAMES,
        name="motifs",
        options={"count": count, "seed": seed},
        motif=torch.tensor(motif),
    )
    return _with_types(graphs, types, seed) if types else graphs


def _with_types(graphs: GraphSet, types: int, seed: int) -> GraphSet:
    """Return the graphs with a random type for each node, as further features."""
    drawn = [
        np.random.default_rng(np.random.SeedSequence((seed, number, 1))).integers(types, size=size)
        for number, size in enumerate(graphs.sizes.tolist())
    ]
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(np.concatenate(drawn)), types)
    return replace(
        graphs,
        features=torch.cat([graphs.features, one_hot.float()], 1),
        feature_names=[*graphs.feature_names, *TYPE_NAMES[:types]],
        options={**graphs.options, "types": types},
    )


def _motif_graph(name: str, generator: np.random.Generator) -> networkx.Graph:
    """Return one graph, whose nodes have the attribute "motif", in a random order."""
    size = int(generator.integers(BASE_NODES[0], BASE_NODES[1] + 1))
    graph = networkx.Graph()
    graph.add_edges_from((node, int(generator.integers(node))) for node in range(1, size))
    missing = BASE_CYCLES[name]
    while missing:
        u, v = generator.choice(size, 2, replace=False).tolist()
        if not graph.has_edge(u, v) and not set(graph[u]) & set(graph[v]):  # no triangle
            graph.add_edge(u, v)
            missing -= 1
    graph.add_edges_from((size + u, size + v) for u, v in MOTIFS[name])
    graph.add_edge(size + int(generator.integers(MOTIF_NODES)), int(generator.integers(size)))
    order = generator.permutation(len(graph)).tolist()
    shuffled = networkx.Graph()
    shuffled.add_nodes_from(range(len(graph)))
    shuffled.add_edges_from((order[u], order[v]) for u, v in graph.edges)
    for node, place in enumerate(order):
        shuffled.nodes[place]["motif"] = node >= size
    return shuffled
