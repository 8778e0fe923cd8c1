"""Test where a condensation starts, against the real graphs, and its batches of real graphs."""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np
import pytest
import torch
from toys import run_to_end

from explore.core.runs import stream_seed
from explore.data import GraphSet, load_graph_set
from explore.errors import InvalidInput
from explore.graphs import CondenseRun, condense
from explore.graphs.config import METHOD_OPTIONS
from explore.graphs.initial_graphs import START_LOGIT, draw_start, initial_graphs
from explore.graphs.real_batches import RealBatches

pytestmark = pytest.mark.usefixtures("_one_thread")

TINY: dict[str, Any] = {"preset": "lesson", "steps": 3, "width": 8, "batch": 5}
METHODS = list(METHOD_OPTIONS)


@pytest.fixture(scope="module")
def motifs() -> GraphSet:
    return load_graph_set("motifs", count=16)


def run_of(graphs: GraphSet, method: str = "gstam", **options: Any) -> CondenseRun:
    return condense(graphs, method, **{**TINY, **options})


def sized(sizes: list[int], labels: list[int]) -> GraphSet:
    """Return rings of these sizes."""
    rings = [networkx.cycle_graph(size) for size in sizes]
    return GraphSet.from_networkx(rings, labels)


def is_member(part: GraphSet, number: int, whole: GraphSet) -> bool:
    """Return whether a graph of a set is one of another set, with its label."""
    graph = part.subset([number])
    others = (whole.subset([k]) for k in range(len(whole)))
    return any(
        torch.equal(graph.labels, other.labels)
        and torch.equal(graph.edges, other.edges)
        and graph.features.shape == other.features.shape
        and torch.equal(graph.features, other.features)
        for other in others
    )


def same(first: GraphSet, second: GraphSet) -> bool:
    return first.sha256 == second.sha256


# ---- the start


@pytest.mark.parametrize("method", METHODS)
def test_the_start_is_real_graphs_of_each_class_and_the_same_for_all_methods(
    method: str, motifs: GraphSet
) -> None:
    run = run_of(motifs, method, graphs_per_class=3, seed=4)
    expected = motifs.subset(draw_start(motifs, 3, 0, stream_seed(4, "init")))
    start = run.condensed()
    assert same(start, expected)
    assert same(run.start.graphs, expected)
    assert start.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert all(is_member(start, number, motifs) for number in range(6))
    assert run.logits.unique().tolist() == [-START_LOGIT, START_LOGIT]
    edges = sum(float(start.adjacency(number).sum()) for number in range(6))
    pairs = sum(size * (size - 1) for size in start.sizes.tolist())
    assert run.start.edge_share == pytest.approx(edges / pairs)
    assert not same(start, run_of(motifs, method, graphs_per_class=3, seed=5).condensed())


def test_small_graphs_are_preferred() -> None:
    graphs = sized([3, 4, 9, 12, 3, 5, 8, 12], [0, 0, 0, 0, 1, 1, 1, 1])
    for seed in range(20):  # The mean is 7.
        rows = draw_start(graphs, 2, 0, seed)
        assert sorted(rows.tolist()) == [0, 1, 4, 5]
        assert len(set(draw_start(graphs, 4, 0, seed).tolist())) == 8
    assert graphs.sizes[draw_start(graphs, 1, 3, 0)].tolist() == [3, 3]


def test_a_class_of_large_graphs_gives_its_smallest() -> None:
    graphs = sized([3, 3, 3, 3, 20, 30, 40], [0, 0, 0, 0, 1, 1, 1])
    for seed in range(10):
        assert graphs.sizes[draw_start(graphs, 1, 0, seed)].tolist() == [3, 20]
        assert sorted(graphs.sizes[draw_start(graphs, 2, 0, seed)].tolist()) == [3, 3, 20, 30]
    run = run_to_end(run_of(graphs, graphs_per_class=2))
    assert run.condensed().sizes.tolist()[:2] == [3, 3]


def test_a_class_with_fewer_graphs_is_named(motifs: GraphSet) -> None:
    with pytest.raises(InvalidInput, match="class house has 8 graphs, 9 of each class are asked"):
        run_of(motifs, graphs_per_class=9)
    with pytest.raises(InvalidInput, match="class house has 8 graphs, 9"):
        run_of(motifs, graphs_per_class=9, init="noise")
    empty = GraphSet.from_edges([[(0, 1)]], None, [0], [2], class_names=("a", "b"))
    with pytest.raises(InvalidInput, match="class b has 0 graphs, 1 of each class"):
        run_of(empty)
    assert len(run_to_end(run_of(motifs, graphs_per_class=8)).condensed()) == 16


def test_noise_has_the_moments_of_the_real_features(motifs: GraphSet) -> None:
    many = load_graph_set("motifs", count=200)
    start = initial_graphs(many, 100, "noise", 10, 0)
    assert start.graphs is None
    assert start.dense.mask.all()
    rows = start.dense.features.flatten(0, 1)
    error = many.features.std(0) / len(rows) ** 0.5
    assert ((rows.mean(0) - many.features.mean(0)).abs() <= 4.5 * error + 1e-7).all()
    torch.testing.assert_close(rows.std(0), many.features.std(0), rtol=0.1, atol=1e-6)
    probability = torch.sigmoid(start.logits)
    assert float(probability.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(probability.std()) == pytest.approx(1 / 12**0.5, abs=0.01)
    assert start.logits.abs().max() <= 10
    assert start.edge_share == pytest.approx(
        sum(float(many.adjacency(k).sum()) for k in range(200))
        / sum(n * (n - 1) for n in many.sizes.tolist())
    )
    run = run_of(motifs, init="noise", graphs_per_class=2)
    assert run.mask.shape[1] == round(float(motifs.sizes.double().mean()))
    assert np.isfinite(run_to_end(run).loss)
    assert len(run.condensed()) == 4


# ---- batches


def test_whole_classes_are_one_batch_that_is_used_again(motifs: GraphSet) -> None:
    batches = RealBatches(motifs, 8, seed=0)
    assert batches.counts == [8, 8]
    assert batches.merged(0) is batches.merged(7)
    assert batches.by_class(0)[0] is batches.by_class(7)[0]
    expected = motifs.subset(np.concatenate(motifs.members))
    assert same(batches.merged(3).graphs, expected)
    for label, batch in enumerate(batches.by_class(3)):
        assert same(batch.graphs, motifs.subset(motifs.members[label]))


def test_drawn_batches_depend_on_seed_and_step_alone() -> None:
    graphs = sized(list(range(3, 15)), [0] * 3 + [1] * 9)
    first, second = RealBatches(graphs, 5, seed=1), RealBatches(graphs, 5, seed=1)
    assert first.counts == [3, 5]
    draws = []
    for step in (4, 0, 2):
        merged = first.merged(step).graphs
        draws.append(merged.sizes.tolist())
        assert merged.labels.tolist() == [0] * 3 + [1] * 5
        assert len(set(draws[-1])) == 8, "no graph twice"
        assert same(merged, second.merged(step).graphs)
        sizes = [batch.graphs.sizes for batch in second.by_class(step)]
        assert torch.cat(sizes).tolist() == draws[-1]
    assert len({tuple(draw) for draw in draws}) == 3
    assert RealBatches(graphs, 5, seed=2).merged(4).graphs.sizes.tolist() != draws[0]
