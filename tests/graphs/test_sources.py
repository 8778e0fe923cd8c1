"""Test how methods get their graphs: by name, by a recording's description, or as graphs of other libraries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import networkx
import pytest
import torch

from explore.data import GraphSet, load_graph_set
from explore.errors import InvalidInput
from explore.graphs.sources import as_graph_set, resolve_graphs


def test_every_source_of_the_same_graphs_gives_the_same_set() -> None:
    graphs = load_graph_set("motifs", count=6)
    assert resolve_graphs(graphs) is graphs
    assert resolve_graphs(graphs.to_pyg()).sha256 == graphs.sha256
    described = graphs.describe()
    assert resolve_graphs(described).sha256 == graphs.sha256
    assert resolve_graphs({"name": "motifs", "options": {"count": 6}}).sha256 == graphs.sha256
    assert resolve_graphs("motifs").sha256 == load_graph_set("motifs").sha256


def test_a_single_graph_needs_no_label() -> None:
    ring = networkx.cycle_graph(4)
    (data,) = GraphSet.from_networkx([ring], [0]).to_pyg()
    sets = [as_graph_set(graph) for graph in (ring, data, [data])]
    del data.y
    sets.append(as_graph_set(data))
    assert len({graphs.sha256 for graphs in sets}) == 1
    ring.graph["y"] = 2
    assert as_graph_set(ring).labels.tolist() == [2]
    data.y = torch.tensor(2)
    assert as_graph_set(data).labels.tolist() == [2]
    del data.y
    for unlabelled in ([data, data], [networkx.cycle_graph(3)]):
        with pytest.raises(InvalidInput, match=r"graph 0 has no (label|attribute) y"):
            as_graph_set(unlabelled)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "graphs", "options": {}}, "a recording does not contain; pass data=graphs"),
        ([], "data must be the name of a graph set, a GraphSet, or a list of .* got list"),
        (None, "data must be the name of a graph set, .* got NoneType"),
        (torch.ones(3, 3), "got Tensor"),
        ([networkx.cycle_graph(3), SimpleNamespace(edge_index=1)], "got Graph, SimpleNamespace"),
        ([1, 2], "all graphs must be of one kind, .* got int"),
    ],
)
def test_anything_else_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        resolve_graphs(data)
