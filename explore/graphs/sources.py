"""Resolve the graphs that a method is given: the name of a set, a set, or a list of graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from explore.core.validation import check_text
from explore.data import load_graph_set
from explore.data._resolve import loader_options
from explore.data.graph_set import GraphSet
from explore.errors import InvalidInput

OWN_GRAPHS = "graphs"
"""The name of sets that no loader can make again."""


def resolve_graphs(data: Any) -> GraphSet:
    """Return the set of a name, of a description in a recording, or of graphs.

    Args:
        data: the name of a set, ``{"name": ..., "options": ...}``, a ``GraphSet``, a list of graphs
            of PyTorch Geometric or networkx.

    Raises:
        InvalidInput: anything else, or the description of a run that was made from your own graphs.
        DataMissing: see ``explore.data.load_graph_set``.
    """
    if isinstance(data, str):
        return load_graph_set(data)
    if isinstance(data, Mapping):
        name = check_text("the name of a graph set", data.get("name"))
        if name == OWN_GRAPHS:
            raise InvalidInput(
                "this run was made from graphs that a recording does not contain; pass data=graphs"
            )
        described = data.get("options")
        options = loader_options({} if described is None else described)
        if "name" in options:
            raise InvalidInput(f"{name} has no option 'name'")
        return load_graph_set(name, **options)
    return in_type(as_graph_set(data), torch.float32)


def in_type(graphs: GraphSet, dtype: torch.dtype) -> GraphSet:
    """Return graphs whose features have a type of floats.

    Raises:
        InvalidInput: the type cannot hold a feature.
    """
    if graphs.features.dtype == dtype:
        return graphs
    return replace(graphs, features=graphs.features.to(dtype))


def as_graph_set(graphs: Any) -> GraphSet:
    """Return a set of a ``GraphSet``, of one graph, or of a list of graphs.

    A single graph without a label gets the label 0.

    Raises:
        InvalidInput: none of these, or graphs that ``GraphSet`` refuses.
    """
    if isinstance(graphs, GraphSet):
        return graphs
    single = hasattr(graphs, "edge_index") or hasattr(graphs, "adj")
    if single:
        graphs = [graphs]
    if not isinstance(graphs, Sequence) or not len(graphs):
        raise InvalidInput(
            "data must be the name of a graph set, a GraphSet, or a list of PyTorch Geometric's or "
            f"networkx graphs, got {type(graphs).__name__}"
        )
    if all(hasattr(graph, "edge_index") for graph in graphs):
        if single and getattr(graphs[0], "y", None) is None:
            graphs = [graphs[0].clone()]
            graphs[0].y = torch.tensor([0])
        return GraphSet.from_pyg(list(graphs))
    if all(hasattr(graph, "adj") for graph in graphs):
        labels = [0] if single and "y" not in graphs[0].graph else None
        return GraphSet.from_networkx(list(graphs), labels)
    raise InvalidInput(
        "all graphs must be of one kind, PyTorch Geometric's Data or networkx graphs; got "
        f"{', '.join(sorted({type(graph).__name__ for graph in graphs}))}"
    )
