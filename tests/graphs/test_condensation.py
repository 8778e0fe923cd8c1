"""Test condensation: what each method learns, what its frames show, and that a resumed run gives the same bits."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from toys import bits, run_to_end, states_equal

from explore import build
from explore.core.runs import stream_seed
from explore.data import GraphSet, load_graph_set
from explore.errors import InvalidInput, RunDiverged, UnknownName
from explore.graphs import CondenseRun, condense, structural_attention
from explore.graphs.config import METHOD_OPTIONS
from explore.models import GCN, DenseGraphs, SparseGraphs

pytestmark = pytest.mark.usefixtures("_one_thread")

TINY: dict[str, Any] = {
    "preset": "lesson",
    "steps": 6,
    "width": 8,
    "batch": 5,
    "probes": 2,
    "probe_graphs": 3,
    "anneal": 3,
}
METHODS = list(METHOD_OPTIONS)


@pytest.fixture(scope="module")
def motifs() -> GraphSet:
    return load_graph_set("motifs", count=16)


def run_of(graphs: GraphSet, method: str = "gstam", **options: Any) -> CondenseRun:
    return condense(graphs, method, **{**TINY, **options})


def same(first: GraphSet, second: GraphSet) -> bool:
    return first.sha256 == second.sha256


# ---- what is learnt


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_what_it_says_and_nothing_else(method: str, motifs: GraphSet) -> None:
    run = run_of(motifs, method, edge_rate=3.0, feature_rate=0.1, graphs_per_class=2)
    start, logits, features = run.condensed(), run.logits.clone(), run.features.clone()
    run_to_end(run)
    learns_edges, learns_features = method != "gstam-features", method != "gstam-edges"
    assert torch.equal(run.logits, logits) is not learns_edges
    assert torch.equal(run.features, features) is not learns_features
    condensed = run.condensed()
    assert torch.equal(condensed.features, start.features) is not learns_features
    if not learns_edges:
        assert torch.equal(condensed.edges, start.edges)
    assert torch.equal(condensed.labels, torch.tensor([0, 0, 1, 1]))
    assert torch.equal(condensed.sizes, start.sizes)
    assert np.isfinite(run.loss)


def plain_distances(
    net: GCN, fake: DenseGraphs, real: SparseGraphs, label: int, method: str, run: CondenseRun
) -> torch.Tensor:
    """Return what the method compares, for one class, relative to the real graphs."""
    if method == "doscond":
        sides = []
        for batch, count in ((fake, len(fake.mask)), (real, len(real.graphs))):
            loss = cross_entropy(net(batch), torch.full((count,), label))
            parts = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
            sides.append(torch.cat([part.flatten() for part in parts]))
        return (sides[0] - sides[1]).square().sum() / sides[1].square().sum()
    maps, sums = [], []
    for batch, mask in ((fake, fake.mask), (real, None)):
        layers = net.hidden(batch)
        attention = [structural_attention(h, mask, run.options.power).flatten() for h in layers]
        maps.append(torch.cat(attention))
        pooled = net.embed(layers[-1], batch).sum(0)
        sums.append(pooled / pooled.abs().sum())
    distances = [(a - b).square().sum() / b.square().sum() for a, b in (maps, sums)]
    return distances[0] + run.options.embedding * distances[1]


@pytest.mark.parametrize("method", METHODS)
def test_three_steps_equal_plain_code(method: str, motifs: GraphSet) -> None:
    options = {"edge_rate": 0.5, "feature_rate": 0.05, "sparsity": 2.0, "graphs_per_class": 2}
    run = run_of(motifs, method, batch=8, seed=3, **options)
    logits, features = (x.detach().clone().requires_grad_() for x in (run.logits, run.features))
    node = torch.arange(run.mask.shape[1])
    pairs = run.mask[:, :, None] & run.mask[:, None, :] & (node[:, None] != node)
    learnt = {"gstam-features": (features,), "gstam-edges": (logits,)}.get(
        method, (logits, features)
    )
    optimizers = [torch.optim.Adam([x], 0.5 if x is logits else 0.05) for x in learnt]
    start = torch.sigmoid(1e3 * logits.detach())[pairs].mean()
    for step in range(3):
        net = GCN(31, 2, 8, seed=stream_seed(3, "networks", step))
        log_odds = (logits + logits.mT) / 2
        uniform = torch.rand(
            logits.shape, generator=torch.Generator().manual_seed(stream_seed(3, "edges", step))
        ).triu(1)
        noise = torch.logit((uniform + uniform.mT).clamp(1e-6, 1 - 1e-6))
        edges = torch.sigmoid((log_odds + noise) / max(0.01, 0.01 ** (step / 3))) * pairs
        if method == "gstam-features":
            edges = ((log_odds > 0) & pairs).float()
        loss = torch.zeros(())
        for label in (0, 1):
            part = slice(2 * label, 2 * label + 2)
            fake = DenseGraphs(features[part], edges[part], run.mask[part])
            real = SparseGraphs(motifs.subset(motifs.members[label]))
            loss = loss + plain_distances(net, fake, real, label, method, run)
        if method != "gstam-features":
            loss = loss + 2.0 * (torch.sigmoid(log_odds)[pairs].mean() - start).relu()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        run.advance()
        assert run.loss == pytest.approx(loss.item(), rel=1e-3)
    # Adam's first steps are nearly signs, so tiny gradients may differ; most values are equal.
    for ours, plain in ((run.logits, logits), (run.features, features)):
        close = torch.isclose(ours, plain, rtol=1e-3, atol=1e-3)
        assert close.float().mean() > 0.98


def test_padding_is_never_learnt(motifs: GraphSet) -> None:
    run = run_of(motifs, graphs_per_class=4, edge_rate=3.0, feature_rate=1.0)
    assert not run.mask.all(), "some graphs are smaller than the largest"
    run_to_end(run)
    assert run.features[~run.mask].count_nonzero() == 0
    inside = run.mask[:, :, None] & run.mask[:, None, :]
    assert torch.equal(run.logits[~inside], run.start.logits[~inside])
    condensed, result = run.condensed(), run.result()
    assert torch.equal(condensed.sizes, run.start.graphs.sizes)
    logits = result["logits"].values
    likely = logits + logits.swapaxes(1, 2) > 0
    for number in range(len(condensed)):
        size = int(condensed.sizes[number])
        assert result["alive"].values[number].sum() == size
        expected = likely[number, :size, :size] & ~np.eye(size, dtype=bool)
        assert np.array_equal(condensed.adjacency(number).numpy() > 0, expected)
        features = result["features"].values[number, :size]
        assert np.array_equal(condensed.subset([number]).features.numpy(), features)
    assert result["labels"].values.tolist() == condensed.labels.tolist()


def test_the_rates_fall_to_a_tenth_after_the_step_of_the_drop(motifs: GraphSet) -> None:
    run = run_of(motifs, steps=5, edge_rate=0.3, feature_rate=0.02, rate_drop=2)
    rates = []
    while run.step < run.steps:
        run.advance()
        rates.append([group["lr"] for group in run._optimizer.param_groups])
    assert rates == [[0.3, 0.02]] * 2 + [[pytest.approx(0.03), pytest.approx(0.002)]] * 3


# ---- runs


@pytest.mark.parametrize("method", METHODS)
def test_a_snapshot_changes_nothing_and_a_resumed_run_has_the_same_bits(
    method: str, motifs: GraphSet
) -> None:
    run = run_of(motifs, method, graphs_per_class=2)
    plain, shown = run_to_end(run), run_of(motifs, method, graphs_per_class=2)
    generator = torch.get_rng_state()
    while shown.step < shown.steps:
        before = shown.state()
        first, second = shown.snapshot(), shown.snapshot()
        assert bits(first) == bits(second)
        assert states_equal(shown.state(), before)
        shown.advance()
        if shown.step == 3:
            state = copy.deepcopy(shown.state())
    assert torch.equal(torch.get_rng_state(), generator)
    resumed = run_of(motifs, method, graphs_per_class=2)
    resumed.restore(state)
    untouched = copy.deepcopy(state)
    assert bits(run_to_end(resumed).snapshot()) == bits(plain.snapshot())
    assert states_equal(state, untouched), "a run does not write into the state that it restored"
    for other in (shown, resumed):
        assert states_equal(other.state(), plain.state())
        assert bits(other.result()) == bits(plain.result())
        assert same(other.condensed(), plain.condensed())
    assert not states_equal(
        run_to_end(run_of(motifs, method, graphs_per_class=2, seed=1)).state(), plain.state()
    )


def test_a_frame_shows_what_the_run_has(motifs: GraphSet) -> None:
    run = run_to_end(run_of(motifs, graphs_per_class=2, edge_rate=2.0))
    frame, condensed = run.snapshot(), run.condensed()
    edges, features = frame["edge_probability"].values, frame["feature_value"].values
    attention = frame["attention"].values
    np.testing.assert_allclose(attention.sum(-1), 1, rtol=1e-4)
    for number, size in enumerate(condensed.sizes.tolist()):
        adjacency = condensed.adjacency(number).numpy()
        assert np.array_equal(edges[number, :size, :size] > 0.5, adjacency > 0)
        assert not edges[number, size:].any()
        assert not attention[number, :, size:].any()
        assert np.array_equal(features[number, :size], condensed.subset([number]).features.numpy())
        start = run.start.graphs.adjacency(number).numpy()
        assert np.array_equal(frame["start_edge"].values[number, :size, :size], start > 0)
    assert frame["label"].values.tolist() == ["house", "house", "ring", "ring"]
    assert float(frame["temperature"]) == pytest.approx(0.01)


def test_graphs_without_an_edge_are_condensed_too(motifs: GraphSet) -> None:
    run = run_of(motifs, graphs_per_class=2)
    with torch.no_grad():
        run.logits.fill_(-1e4)
    condensed = run.condensed()
    assert condensed.edges.shape == (2, 0)
    assert condensed.sizes.tolist() == run.mask.sum(1).tolist()
    assert np.isfinite(run_to_end(run).snapshot()["distance"])
    assert len(condensed.to_pyg()) == 4
    assert condensed.subset([1]).edges.shape == (2, 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_diverges_says_so_and_stays(method: str, motifs: GraphSet) -> None:
    run = run_of(motifs, method)
    with torch.no_grad():
        run.features[0, 0] = float("inf")
    before = run.state()
    with pytest.raises(RunDiverged, match=r"the loss is nan at step 1; feature_rate 0.01 or power"):
        run.advance()
    assert states_equal(run.state(), before)


def test_odd_arguments_are_refused(motifs: GraphSet) -> None:
    with pytest.raises(UnknownName, match="unknown method 'gstan'"):
        condense(motifs, "gstan")
    with pytest.raises(
        InvalidInput, match="data must be the name of a graph set, a GraphSet, or a li"
    ):
        condense([])
    with pytest.raises(InvalidInput, match="pass data=graphs"):
        build({"method": "gstam", "data": {"name": "graphs"}})
