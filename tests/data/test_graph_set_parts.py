"""The parts of a GraphSet, as arrays, lists and tensors of any type, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from explore.data import GraphSet
from explore.data.graph_conversion import degree_one_hot
from explore.errors import InvalidInput

PARTS: dict[str, Any] = {
    "features": torch.eye(5, 3),
    "edges": torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]]),
    "sizes": torch.tensor([3, 2]),
    "labels": torch.tensor([0, 1]),
    "class_names": ("a", "b"),
    "motif": torch.tensor([True, False, False, True, True]),
}


def made(**changes: Any) -> GraphSet:
    return GraphSet(**{**PARTS, **changes})


@pytest.mark.parametrize("convert", [lambda v: v.numpy(), lambda v: v.tolist()])
def test_arrays_and_lists_become_tensors(convert: Any) -> None:
    graphs = made(**{k: convert(v) for k, v in PARTS.items() if isinstance(v, torch.Tensor)})
    assert graphs.sha256 == made().sha256
    for name, value in PARTS.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(graphs, name), value)
            assert getattr(graphs, name).dtype == value.dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.bool])
def test_features_become_floats_of_32_bits(dtype: torch.dtype) -> None:
    assert made(features=PARTS["features"].to(dtype)).sha256 == made().sha256


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.uint16])
def test_numbers_become_int64(dtype: torch.dtype) -> None:
    names = ("edges", "sizes", "labels")
    graphs = made(**{name: PARTS[name].int().to(dtype) for name in names})
    assert graphs.sha256 == made().sha256


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": torch.eye(5, 3).to_sparse()}, "features must be a plain tensor"),
        ({"features": torch.eye(5, 3).double() * 1e300 + 1e300j}, "features must be real"),
        ({"features": np.full((5, 3), 1e300)}, "node 0 of graph 0 is NaN or infinite"),
        ({"features": np.ma.masked_array(np.eye(5, 3), np.eye(5, 3))}, "features is a masked"),
        ({"features": "text"}, "features must be an array of numbers"),
        ({"edges": PARTS["edges"].float()}, "edges must be whole numbers"),
        ({"edges": PARTS["edges"].T}, r"edges must be whole numbers \[2, E\]"),
        ({"edges": [[0, 2**40], [2**40, 0]]}, r"edges must join nodes 0..4, got 0..1099511627776"),
        ({"edges": [[0, 1], [0, 1]]}, "some edges join a node to itself"),
        ({"edges": [[0, 0, 1, 1], [1, 1, 0, 0]]}, "some edges are there twice"),
        ({"edges": [[0], [1]]}, "some edges have one direction only"),
        ({"sizes": torch.tensor([3.0, 2.0])}, "sizes must be whole numbers"),
        ({"sizes": [2**62, 2**62]}, "sizes must be at most"),
        ({"sizes": 5}, "sizes must be"),
        ({"labels": torch.tensor([0.0, 1.0])}, "labels must be whole numbers"),
        ({"labels": torch.tensor([False, True])}, "labels must be whole numbers"),
        ({"labels": torch.eye(2).long()}, "labels must be whole numbers"),
        ({"class_names": "ab"}, "class_names must be a list"),
        ({"class_names": [None, 1]}, "class_names must be a list"),
        ({"feature_names": 3}, "feature_names must be a list"),
        ({"name": ["graphs"]}, "name must be a text"),
        ({"options": [1]}, "options must be a mapping"),
        ({"options": {"a": object()}}, "options"),
        ({"motif": torch.ones(5)}, "motif must be true or false"),
        ({"degree_features": "no"}, "degree_features must be true or false"),
        ({"degree_features": True}, "degree_features need 31 features"),
    ],
)
def test_parts_that_cannot_be_used_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        made(**changes)


@pytest.mark.parametrize("indices", [0.5, [0.0], "0", None, [2], -3, [[0]], [True], torch.eye(2)])
def test_indices_that_are_none_are_refused(indices: Any) -> None:
    with pytest.raises(InvalidInput, match="indices"):
        made().subset(indices)


@pytest.mark.parametrize("graph", [2, -3, 0.5, "0", True, None])
def test_an_adjacency_is_that_of_a_graph(graph: Any) -> None:
    with pytest.raises(InvalidInput, match="graph must be a whole number"):
        made().adjacency(graph)


def test_a_device_is_checked() -> None:
    with pytest.raises(InvalidInput, match="device 'gpu' cannot be used"):
        made().to("gpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, None, [0], [2]), "edges must be a list"),
        (([3], None, [0], [2]), "the edges of graph 0 must be a list"),
        ((["01"], None, [0], [2]), "the edges of graph 0"),
        (([[(0, 1)]], None, [0], 2), "sizes must be a list"),
        (([[(0, 1)]], None, [0], [2**40]), "graph 0 has more than"),
        (([[(0, 1)]], None, [0], ["2"]), "size of graph 0"),
        (([[(0, 1)]], 3, [0]), "features must be a list"),
        (([[(0, 1)]], [np.ma.masked_array(np.eye(2), np.eye(2))], [0]), "masked array"),
        (([[(0, 1)]], [torch.eye(2).to("meta")], [0]), "device meta"),
        (([np.ma.masked_array([[0, 1]], [[0, 1]])], None, [0], [2]), "masked array"),
        (([[(0, 1)]], None, np.ma.masked_array([0], [1]), [2]), "masked array"),
        (([[(0, 1)]], None, [2**70], [2]), "labels must be whole numbers"),
    ],
)
def test_lists_of_edges_that_cannot_be_used(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        GraphSet.from_edges(*arguments)


def test_unknown_attributes_are_named() -> None:
    with pytest.raises(InvalidInput, match="no attribute 'nme'; it has class_names"):
        GraphSet.from_edges([[(0, 1)]], None, [0], [2], nme="mine")


@pytest.mark.parametrize(
    ("graphs", "words"),
    [
        (3, "graphs must be a list"),
        ([Data(edge_index="text", y=0, num_nodes=2)], "edge_index of graph 0"),
        ([Data(edge_index=torch.eye(2).to_sparse(), y=0, num_nodes=2)], "edge_index of graph 0"),
        ([Data(edge_index=torch.eye(2).long(), y=None, num_nodes=2)], "no label y"),
        ([Data(edge_index=torch.eye(2).long(), y=object(), num_nodes=2)], "label of graph 0"),
    ],
)
def test_graphs_of_pyg_that_cannot_be_used(graphs: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        GraphSet.from_pyg(graphs)


@pytest.mark.parametrize("degrees", [[-1], [0.5], torch.ones(2), [[1]], "1"])
def test_degrees_are_whole_numbers(degrees: Any) -> None:
    with pytest.raises(InvalidInput, match="degrees"):
        degree_one_hot(degrees)
