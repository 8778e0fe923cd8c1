"""Test condensed graphs as files, for explore and for PyTorch Geometric, and selections of real graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch_geometric.loader import DataLoader
from toys import bits, run_to_end, states_equal

from explore import build, record
from explore.core.runs import stream_seed
from explore.data import DistilledSet, GraphSet, load_graph_set
from explore.data.coresets import select
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, UnknownName
from explore.graphs import CondensedGraphs, condense, train_network
from explore.graphs.training import embeddings

pytestmark = pytest.mark.usefixtures("_one_thread")

DATA = {"name": "motifs", "options": {"count": 16}}
TINY: dict[str, Any] = {"preset": "lesson", "steps": 3, "width": 8, "edge_rate": 3.0}
EDGELESS = "edgeless"


@pytest.fixture(scope="module")
def motifs() -> GraphSet:
    return load_graph_set("motifs", count=16)


def condensed_graphs(motifs: GraphSet, edges: str = "") -> CondensedGraphs:
    run = run_to_end(condense(motifs, graphs_per_class=2, **TINY))
    if edges == EDGELESS:
        with torch.no_grad():
            run.logits.fill_(-100)
    return CondensedGraphs.of(run)


def assert_same(first: GraphSet, second: GraphSet) -> None:
    for name in ("features", "edges", "sizes", "labels"):
        a, b = getattr(first, name), getattr(second, name)
        assert a.dtype == b.dtype
        assert torch.equal(a, b), name
    for name in ("class_names", "feature_names", "name", "options", "degree_features"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a if isinstance(a, str | bool | dict) else list(a)) == (
            b if isinstance(b, str | bool | dict) else list(b)
        )


# ---- files


@pytest.mark.parametrize("edges", ["", EDGELESS])
def test_a_file_gives_the_same_graphs_back(edges: str, motifs: GraphSet, tmp_path: Path) -> None:
    condensed = condensed_graphs(motifs, edges)
    path = condensed.save(tmp_path / "folder" / "set.safetensors")
    loaded = CondensedGraphs.load(path)
    assert_same(loaded.graphs, condensed.graphs)
    assert loaded.provenance == condensed.provenance
    assert loaded.provenance["step"] == 3
    assert loaded.provenance["config"]["method"] == "gstam"
    assert loaded.sha256 == condensed.sha256
    assert len(loaded) == 4
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_a_set_of_real_graphs_survives_with_its_names(motifs: GraphSet, tmp_path: Path) -> None:
    loaded = CondensedGraphs.load(CondensedGraphs(motifs).save(tmp_path / "all.safetensors"))
    assert_same(loaded.graphs, motifs)
    assert loaded.provenance == {}


@pytest.mark.parametrize("edges", ["", EDGELESS])
def test_pytorch_geometric_reads_its_file(edges: str, motifs: GraphSet, tmp_path: Path) -> None:
    condensed = condensed_graphs(motifs, edges)
    graphs = torch.load(condensed.write_pyg(tmp_path / "new" / "set.pt"), weights_only=True)
    assert len(graphs) == 4
    for number, graph in enumerate(graphs):
        part = condensed.graphs.subset([number])
        assert torch.equal(graph.x, part.features)
        assert torch.equal(graph.edge_index, part.edges)
        assert graph.y.tolist() == part.labels.tolist()
        assert graph.is_undirected()
        assert graph.num_nodes == int(part.sizes[0])
    (batch,) = DataLoader(graphs, batch_size=4)
    assert torch.equal(batch.edge_index, condensed.graphs.edges)
    assert torch.equal(batch.batch, condensed.graphs.graph_of_node)
    with pytest.raises(InvalidInput, match=r"written as a .pt file, got"):
        condensed.write_pyg(tmp_path / "set.safetensors")


def test_damage_is_reported(motifs: GraphSet, tmp_path: Path) -> None:
    path = condensed_graphs(motifs).save(tmp_path / "set.safetensors")
    content = path.read_bytes()
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for size in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(RecordingDamaged, match="cannot be read"):
            CondensedGraphs.load(path)
    for name in tensors:
        changed = {k: value.clone() for k, value in tensors.items()}
        changed[name].view(-1)[-1] += 1
        save_file(changed, path, metadata)
        with pytest.raises(RecordingDamaged, match="cannot be read"):
            CondensedGraphs.load(path)
        save_file({k: value for k, value in tensors.items() if k != name}, path, metadata)
        with pytest.raises(RecordingDamaged, match="cannot be read"):
            CondensedGraphs.load(path)
    header = json.loads(metadata["explore"])
    header["graphs"]["class_names"] = ["ring", "house"]
    save_file(tensors, path, {"explore": json.dumps(header)})
    with pytest.raises(RecordingDamaged, match="header"):
        CondensedGraphs.load(path)


def test_other_files_are_refused(motifs: GraphSet, tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    with pytest.raises(DataMissing, match=r"does not exist; CondensedGraphs.save writes such"):
        CondensedGraphs.load(path)
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(InvalidInput, match=r"was not written by CondensedGraphs.save .*weight"):
        CondensedGraphs.load(path)
    run = run_to_end(build({"method": "random", "data": {"name": "digits", "options": {}}}))
    DistilledSet.of(run).save(path)
    with pytest.raises(InvalidInput, match=r"holds .*images.*, no graphs; save one with"):
        CondensedGraphs.load(path)
    CondensedGraphs(motifs).save(path)
    with pytest.raises(InvalidInput):
        DistilledSet.load(path)
    for odd in ("set.pt", "set"):
        with pytest.raises(InvalidInput, match=r"is a .safetensors file, got"):
            CondensedGraphs(motifs).save(tmp_path / odd)
    with pytest.raises(InvalidInput, match="expected a run that condenses or selects graphs, got"):
        CondensedGraphs.of(run)


def test_a_recording_has_the_graphs_beside_it(tmp_path: Path) -> None:
    for options in ({"method": "gstam", **TINY}, {"method": "graph-coreset"}):
        run = build({**options, "data": DATA})
        path = tmp_path / f"{run.name}.zarr"
        record(run, path)
        assert_same(CondensedGraphs.load(path).graphs, run.condensed())
        assert_same(CondensedGraphs.load(path.with_suffix(".safetensors")).graphs, run.condensed())


def test_condensed_graphs_train_every_network(motifs: GraphSet) -> None:
    for edges in ("", EDGELESS):
        condensed = condensed_graphs(motifs, edges).graphs
        for architecture in ("gcn", "gin", "gat"):
            net = train_network(condensed, architecture, epochs=2, width=4)
            assert all(parameter.isfinite().all() for parameter in net.parameters())


# ---- selections


def coreset(**options: Any) -> Any:
    return build(
        {"method": "graph-coreset", "data": DATA, "epochs": 4, "width": 8, "graphs_per_class": 3}
        | options
    )


@pytest.mark.parametrize("selection", ["herding", "kcenter"])
@pytest.mark.parametrize("seed", [0, 2])
def test_a_run_selects_what_select_does_on_its_embeddings(
    selection: str, seed: int, motifs: GraphSet
) -> None:
    run = run_to_end(coreset(selection=selection, seed=seed))
    weights = stream_seed(seed, "networks")
    net = train_network_of(motifs, weights, seed)
    expected = select(embeddings(net, motifs), motifs.labels, selection, 3)
    assert run.indices().tolist() == expected.tolist()
    assert_same(run.condensed(), motifs.subset(expected))
    frame = run.snapshot()
    assert frame["selected"].values.tolist() == expected.tolist()
    assert frame["label"].values.tolist() == ["house"] * 3 + ["ring"] * 3


def train_network_of(graphs: GraphSet, weights: int, seed: int) -> torch.nn.Module:
    """Return the network for embeddings, trained by plain code."""
    from explore.models import GCN, SparseGraphs

    net = GCN(31, 2, 8, seed=weights)
    optimizer = torch.optim.Adam(net.parameters(), 0.005, fused=True)
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = 0.0005 if epoch >= 3 else 0.005
        generator = torch.Generator().manual_seed(stream_seed(seed, "batches", epoch))
        order = torch.randperm(16, generator=generator)
        logits = net(SparseGraphs(graphs))[order]
        loss = torch.nn.functional.cross_entropy(logits, graphs.labels[order])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def test_a_random_selection_needs_no_network(motifs: GraphSet) -> None:
    run = coreset(selection="random", seed=3)
    assert run.steps == 1
    expected = select(torch.zeros(16, 1), motifs.labels, "random", 3, stream_seed(3, "selection"))
    assert run.indices().tolist() == expected.tolist()
    assert run_to_end(run).indices().tolist() == expected.tolist()
    assert coreset(selection="random", seed=4).indices().tolist() != expected.tolist()


@pytest.mark.parametrize("selection", ["random", "herding"])
def test_a_resumed_selection_is_the_same(selection: str) -> None:
    plain, shown, resumed, ended = (coreset(selection=selection) for _ in range(4))
    while shown.step < shown.steps:
        shown.snapshot()
        state = shown.state()
        shown.advance()
    resumed.restore(state)
    ended.restore(shown.state())
    for run in (run_to_end(plain), run_to_end(resumed), ended):
        assert states_equal(run.state(), shown.state())
        assert bits(run.snapshot()) == bits(shown.snapshot())


def test_odd_selections_are_refused() -> None:
    with pytest.raises(InvalidInput, match="class house has 8 graphs, 9 of each class are asked"):
        coreset(graphs_per_class=9)
    with pytest.raises(UnknownName, match="unknown selection 'best'"):
        coreset(selection="best")


def test_selected_graphs_come_back_with_their_motif(motifs: GraphSet, tmp_path: Path) -> None:
    path = CondensedGraphs(motifs.subset([1, 4])).save(tmp_path / "selected.safetensors")
    motif = CondensedGraphs.load(path).graphs.motif
    assert motif is not None
    assert torch.equal(motif, motifs.subset([1, 4]).motif)  # type: ignore[arg-type]
