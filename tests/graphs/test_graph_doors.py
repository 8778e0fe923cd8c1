"""What graph functions are given: every input is right or refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from torch import nn

from explore.data import GraphSet, load_graph_set
from explore.errors import InvalidInput, RunDiverged, UnknownName
from explore.graphs import (
    CondensedGraphs,
    condense,
    graph_scores,
    node_attention,
    structural_attention,
    train_network,
)
from explore.graphs.adjacency import temperature_at
from explore.graphs.config import CondenseConfig, GraphStudyConfig
from explore.graphs.editing import GraphEditor
from explore.graphs.figures.layout import layout, place_node
from explore.graphs.initial_graphs import initial_graphs
from explore.graphs.matching import attention_loss, dense_maps, sparse_maps
from explore.graphs.motif_study import MotifStudyRun, motif_auroc
from explore.graphs.powers import safe_scale, unit_sum
from explore.graphs.scores import area_under_curve
from explore.graphs.sources import resolve_graphs
from explore.graphs.training import create_network, embeddings, predict
from explore.models import GCN, SparseGraphs

GRAPHS = load_graph_set("motifs", count=6)
NETWORK = GCN(31, 2, width=4)
HIDDEN = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))


class Returns(nn.Module):
    """A network whose logits are changed."""

    def __init__(self, change: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.network, self.change = GCN(31, 2, width=4), change

    def forward(self, graphs: Any) -> Any:
        """Return the changed logits."""
        return self.change(self.network(graphs))


# ---- attention at any scale


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0, 4.0, 7.5, 100.0])
@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e-6, 1e-3, 1.0, 1e3, 1e20, 1e37])
def test_structural_attention_is_unit_at_any_scale(power: float, scale: float) -> None:
    attention = structural_attention(HIDDEN * scale, power=power)
    expected = structural_attention(HIDDEN.double(), power=power).float()
    torch.testing.assert_close(attention, expected, rtol=1e-3, atol=1e-5)
    assert float(attention.abs().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_ordinary_values_keep_their_bits(power: float) -> None:
    values = HIDDEN + 0.5
    powers = values if power == 1 else values * values if power == 2 else (values**2) ** 2
    product = powers.T @ powers
    assert torch.equal(
        structural_attention(values, power=power), product / (product.abs().sum() + 1e-12)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_are_computed_in_float32(dtype: torch.dtype) -> None:
    hidden = (HIDDEN * 200).to(dtype)
    attention = structural_attention(hidden, power=4.0)
    assert attention.dtype == dtype
    torch.testing.assert_close(
        attention.float(), structural_attention(hidden.float(), power=4.0), rtol=1e-2, atol=1e-3
    )
    assert not structural_attention(torch.zeros(2, 3, dtype=dtype)).any()


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e20, 1e30])
@pytest.mark.parametrize("kind", ["energy", "gradcam"])
def test_node_attention_ranks_nodes_at_any_scale(scale: float, kind: str) -> None:
    graphs = GraphSet.from_edges(
        [[(0, 1), (1, 2), (2, 3)]], [np.array([[1.0], [2.0], [3.0], [9.0]])], [0]
    )
    scaled = GraphSet.from_edges(
        [[(0, 1), (1, 2), (2, 3)]], [np.array([[1.0], [2.0], [3.0], [9.0]]) * scale], [0]
    )
    network = GCN(1, 2, width=4, depth=2)
    for row, right in zip(
        node_attention(network, scaled, kind), node_attention(network, graphs, kind), strict=True
    ):
        if right.any():
            torch.testing.assert_close(row / row.max(), right / right.max(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
def test_maps_do_not_depend_on_the_scale_of_features(scale: float) -> None:
    network = GCN(31, 2, width=4, depth=2)
    scaled = GraphSet(
        GRAPHS.features * scale, GRAPHS.edges, GRAPHS.sizes, GRAPHS.labels, GRAPHS.class_names
    )
    right, maps = (
        sparse_maps(network, SparseGraphs(g.subset([0, 2, 4, 1, 3, 5])), [3, 3], 2.0)
        for g in (GRAPHS, scaled)
    )
    torch.testing.assert_close(maps.attention, right.attention, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(maps.embedding, right.embedding, rtol=1e-3, atol=1e-6)
    start = initial_graphs(scaled, 1, "real", 0, 0).dense
    assert torch.isfinite(attention_loss(dense_maps(network, start, 2, 2.0), maps, 0.1))


def test_zeros_stay_zeros_and_one_factor_is_shared() -> None:
    assert not safe_scale(torch.zeros(2, 3), 2.0).any()
    assert not unit_sum(torch.zeros(2, 3), (-1,), 1e-12).any()
    values = torch.tensor([[4e-30, 2e-30], [1.0, 0.5]])
    assert safe_scale(values, 2.0).tolist() == values.tolist()
    assert safe_scale(values, 2.0, (-1,)).tolist() == [[1.0, 0.5], [1.0, 0.5]]


# ---- odd arguments


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("hidden", lambda: structural_attention([[1, 2], [3, None]])),
        ("hidden", lambda: structural_attention(torch.ones(2, 3, dtype=torch.uint8))),
        ("hidden", lambda: structural_attention(HIDDEN * float("nan"))),
        ("hidden", lambda: structural_attention(np.ma.masked_array([[1.0, 2.0]], [[0, 1]]))),
        ("power", lambda: structural_attention(HIDDEN, power="2")),
        ("mask", lambda: structural_attention(HIDDEN, np.ones(6))),
        ("model", lambda: node_attention(GCN, GRAPHS)),
        ("kind", lambda: node_attention(NETWORK, GRAPHS, ["energy"])),
        ("target", lambda: node_attention(NETWORK, GRAPHS, "gradcam", 0.5)),
        ("must have 4 features|cannot take", lambda: node_attention(GCN(4, 2), GRAPHS)),
        ("network", lambda: graph_scores("gcn", GRAPHS)),
        ("data", lambda: graph_scores(NETWORK, 3)),
        ("must have 4 features|cannot take", lambda: graph_scores(GCN(4, 2), GRAPHS)),
        (r"must return logits \[6, n\], got", lambda: predict(Returns(lambda z: (z, z)), GRAPHS)),
        (r"must return logits", lambda: predict(Returns(lambda z: {"logits": z}), GRAPHS)),
        (r"must return logits", lambda: predict(Returns(lambda z: z[0]), GRAPHS)),
        ("no methods hidden", lambda: embeddings(Returns(lambda z: z), GRAPHS)),
        ("architecture", lambda: train_network(GRAPHS, ["gcn"])),
        ("epochs", lambda: train_network(GRAPHS, epochs="3")),
        ("epochs", lambda: train_network(GRAPHS, epochs=0)),
        ("learning_rate", lambda: train_network(GRAPHS, learning_rate=float("nan"))),
        ("learning_rate", lambda: train_network(GRAPHS, learning_rate=1e300)),
        ("batch", lambda: train_network(GRAPHS, batch=0.5)),
        ("seed", lambda: train_network(GRAPHS, seed=-1)),
        ("no option 'widht'", lambda: train_network(GRAPHS, widht=4)),
        ("data", lambda: create_network("gcn", None)),
        ("method", lambda: condense(GRAPHS, ["gstam"])),
        ("steps", lambda: condense(GRAPHS, steps="4")),
        ("edge_rate", lambda: condense(GRAPHS, edge_rate=1e300)),
        ("device", lambda: condense(GRAPHS, device="gpu")),
        ("graphs", lambda: CondensedGraphs([GRAPHS])),
        ("provenance", lambda: CondensedGraphs(GRAPHS, {"a": object()})),
        ("path", lambda: CondensedGraphs(GRAPHS).save("")),
        ("path", lambda: CondensedGraphs(GRAPHS).write_pyg(3)),
        ("path", lambda: CondensedGraphs.load("\0")),
        ("step", lambda: temperature_at(-1, 10)),
        ("anneal", lambda: temperature_at(1, 0)),
        ("index", lambda: GraphEditor(GRAPHS, 6, 1, layout, place_node)),
        ("spare", lambda: GraphEditor(GRAPHS, 0, 2**40, layout, place_node)),
        ("arrange", lambda: GraphEditor(GRAPHS, 0, 1, None, place_node)),
        ("truth", lambda: area_under_curve([0.1, 0.2], [0, 1])),
        ("scores", lambda: area_under_curve([0.1, float("nan")], [True, False])),
        ("scores", lambda: motif_auroc(torch.rand(3), GRAPHS)),
        ("name", lambda: resolve_graphs({"options": {}})),
        ("options", lambda: resolve_graphs({"name": "motifs", "options": [1]})),
        ("graphs_per_class", lambda: CondenseConfig.make(graphs_per_class="1")),
        ("methods", lambda: GraphStudyConfig(methods="whole")),
    ],
)
def test_odd_arguments_are_named(words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=words):
        call()


@pytest.mark.parametrize("node", [0.5, "0", None, True, [0], -1, 10**30])
def test_an_editor_has_only_its_nodes(node: Any) -> None:
    editor = GraphEditor(GRAPHS, 0, 1, layout, place_node)
    for call in (editor.add_node, editor.remove_node, lambda n: editor.toggle_edge(0, n)):
        with pytest.raises(InvalidInput, match="there is no node"):
            call(node)
    assert editor.toggle_edge(np.int64(0), torch.tensor(1)).endswith("nodes 0 and 1")


def test_no_description_starts_a_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("EXPLORE_DATA", str(tmp_path))
    with pytest.raises(UnknownName, match="unknown graph set 'TINY'"):
        resolve_graphs({"name": "TINY", "options": {"download": True}})


# ---- networks that diverge


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_rate_that_is_too_large_is_named(epochs: int) -> None:
    def train_and_score() -> None:
        network = train_network(GRAPHS, epochs=epochs, learning_rate=1e30, width=4)
        graph_scores(network, GRAPHS)

    with pytest.raises(RunDiverged, match=r"learning.rate"):
        train_and_score()


def test_a_network_of_nan_is_not_scored() -> None:
    network = GCN(31, 2, width=4)
    with torch.no_grad():
        network.weights[0].fill_(float("nan"))
    for call in (predict, graph_scores, embeddings):
        with pytest.raises(RunDiverged, match="GCN are NaN or infinite"):
            call(network, GRAPHS)
    for kind in ("energy", "gradcam"):
        with pytest.raises(InvalidInput, match="NaN"):
            node_attention(network, GRAPHS, kind)


def test_a_condensation_that_diverges_keeps_its_last_values() -> None:
    run = condense(GRAPHS, "doscond", preset="lesson", steps=3, width=4, feature_rate=1e30)
    run.advance()
    before = run.features.detach().clone()
    with pytest.raises(RunDiverged, match="feature_rate 1e"):
        run.advance()
    assert torch.equal(run.features.detach(), before)
    assert run.features.isfinite().all()
    assert run.step == 1


def test_a_last_batch_of_one_node_can_be_learnt() -> None:
    graphs = GraphSet.from_networkx(
        [networkx.path_graph(2), networkx.path_graph(3), networkx.empty_graph(1)], [0, 1, 0]
    )
    network = train_network(graphs, epochs=3, batch=1, norm="batch", width=4)
    assert predict(network, graphs).isfinite().all()


def test_features_of_float64_are_learnt_too() -> None:
    double = GraphSet(
        GRAPHS.features.double(), GRAPHS.edges, GRAPHS.sizes, GRAPHS.labels, GRAPHS.class_names
    )
    expected = predict(train_network(GRAPHS, epochs=2, width=4), GRAPHS)
    assert torch.equal(predict(train_network(double, epochs=2, width=4), double), expected)
    assert condense(double, preset="lesson", steps=1, width=4).run().step == 1


def test_a_study_needs_graphs_to_learn_from() -> None:
    from explore.graphs.config import MotifStudyConfig

    run = MotifStudyRun(MotifStudyConfig(test_share=0.99, epochs=1), GRAPHS)
    with pytest.raises(InvalidInput, match=r"test_share 0.99 of 6 graphs leaves none"):
        run.advance()
