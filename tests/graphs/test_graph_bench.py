"""The benchmark of condensation: both forms compute one loss, and the command prints its lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from explore.graphs.adjacency import sample_edges, valid_pairs
from explore.graphs.bench.condensation import (
    MUTAG_NODES,
    ReferenceStep,
    create_run,
    generate_graphs,
    main,
)
from explore.graphs.matching import attention_loss, dense_maps, sparse_maps
from explore.models import DenseGraphs


@pytest.mark.parametrize("graphs_per_class", [1, 3])
def test_the_reference_has_the_loss_of_the_run(graphs_per_class: int) -> None:
    run = create_run(12, MUTAG_NODES, 16, graphs_per_class)
    generator = torch.Generator().manual_seed(1)
    edges = sample_edges(run.logits.detach(), 1.0, valid_pairs(run.mask), generator)
    network = run._network.draw_weights(5)
    batch = run._real.merged(0)
    real = sparse_maps(network, batch, run._real.counts, run.options.power)
    synthetic = DenseGraphs(run.features.detach(), edges, run.mask)
    expected = attention_loss(
        dense_maps(network, synthetic, 2, run.options.power), real, run.options.embedding
    )
    loss = ReferenceStep(run).loss(network, edges).detach()
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_a_step_of_the_reference_moves_its_own_graphs_only() -> None:
    run = create_run(8, MUTAG_NODES, 8)
    before = run.features.detach().clone()
    step = ReferenceStep(run)
    losses = [step() for _ in range(3)]
    assert all(loss > 0 for loss in losses)
    assert len(set(losses)) == 3
    assert torch.equal(run.features.detach(), before)


def test_the_generated_graphs_have_the_sizes_of_mutag() -> None:
    graphs = generate_graphs(50, MUTAG_NODES)
    assert len(graphs) == 100
    assert (int(graphs.sizes.min()), int(graphs.sizes.max())) == MUTAG_NODES
    assert graphs.edges.shape[1] // 2 == int((graphs.sizes + 1).sum())


@pytest.mark.slow
def test_the_command_prints_the_ratio_and_the_exponents(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "graphs.json"
    main(["--per-class", "6", "--width", "8", "--rounds", "1", "--json", str(file)])
    text = capsys.readouterr().out
    assert "reference / explore: " in text
    assert text.count("fitted exponent") == 2
    assert json.loads(file.read_text())["ratio"]
