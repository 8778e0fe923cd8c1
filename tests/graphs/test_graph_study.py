"""Test studies of condensation: splits, equal starts, scores against plain training and scikit-learn."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import networkx
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from torch import nn
from toys import bits, run_to_end, states_equal

from explore.core.runs import stream_seed
from explore.data import GraphSet, load_graph_set
from explore.data.coresets import select
from explore.errors import InvalidInput
from explore.graphs import graph_scores, study as study_module, train_network
from explore.graphs.config import STUDY_METHODS, GraphStudyConfig
from explore.graphs.study import GraphStudyRun
from explore.graphs.training import create_network, embeddings, predict

pytestmark = pytest.mark.usefixtures("_one_thread")

TINY: dict[str, Any] = {"splits": 2, "condense_steps": 2, "width": 4, "epochs": 4, "networks": 2}


@pytest.fixture(scope="module")
def motifs() -> GraphSet:
    return load_graph_set("motifs", count=24)


def study_of(graphs: GraphSet, **options: Any) -> GraphStudyRun:
    return GraphStudyRun(GraphStudyConfig(**{**TINY, **options}), graphs)


def rings(count: int = 30) -> GraphSet:
    """Return rings of different sizes, a third of them of the second class."""
    graphs = [networkx.cycle_graph(3 + number) for number in range(count)]
    return GraphSet.from_networkx(graphs, [int(number % 3 == 0) for number in range(count)])


def weights_of(network: nn.Module) -> str:
    arrays = [value.numpy().tobytes() for value in network.state_dict().values()]
    return hashlib.sha256(b"".join(arrays)).hexdigest()


# ---- splits


@pytest.mark.parametrize("epoch", ["last", "validation"])
def test_splits_are_stratified_and_disjoint(epoch: str) -> None:
    graphs = rings()
    run = study_of(graphs, splits=5, epoch=epoch, test_share=0.2)
    tests = []
    for split in range(5):
        parts = [part for part in run._parts(split) if part is not None]
        sizes = [part.sizes.tolist() for part in parts]
        assert sorted(np.concatenate(sizes).tolist()) == graphs.sizes.tolist()
        expected = [24, 6] if epoch == "last" else [21, 6, 3]
        assert [len(part) for part in parts] == expected
        for part in parts:  # A third of every part is of the second class.
            assert float(part.labels.sum()) == pytest.approx(len(part) / 3, abs=0.5)
        tests.append(tuple(sizes[1]))
        again = study_of(graphs, epoch=epoch)._parts(split)
        assert [part.sha256 for part in again if part is not None] == [p.sha256 for p in parts]
        other = study_of(graphs, epoch="last", seed=split)._parts(0)
        assert other[1].sizes.tolist() == sizes[1], "split k has the seed + k"
    assert len(set(tests)) == 5


def test_all_methods_of_a_split_have_the_same_parts_starts_and_weights(
    motifs: GraphSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: dict[int, set[str]] = {0: set(), 1: set()}
    starts: dict[tuple[int, int], set[str]] = {}
    weights: list[str] = []
    tests: list[str] = []
    create_run, fit, score = (
        study_module.CondenseRun,
        study_module.fit_network,
        study_module.graph_scores,
    )
    run = study_of(motifs, graphs_per_class=(1, 3), methods=STUDY_METHODS, seed=7)
    graphs_of = run._graphs

    def condense(config: Any, train: GraphSet) -> Any:
        created = create_run(config, train)
        starts.setdefault((config.seed - 7, config.graphs_per_class), set()).add(
            created.condensed().sha256
        )
        return created

    def choose(name: str, train: GraphSet, count: int, split: int) -> GraphSet:
        parts[split].add(train.sha256)
        chosen = graphs_of(name, train, count, split)
        if name == "unmodified":
            starts.setdefault((split, count), set()).add(chosen.sha256)
        if name != "whole":
            assert np.bincount(chosen.labels).tolist() == [count, count]
        return chosen

    def fit_and_note(network: nn.Module, *others: Any) -> Any:
        weights.append(weights_of(network))
        return fit(network, *others)

    def score_and_note(network: nn.Module, graphs: GraphSet) -> dict[str, float]:
        tests.append(graphs.sha256)
        return score(network, graphs)

    monkeypatch.setattr(study_module, "CondenseRun", condense)
    monkeypatch.setattr(study_module, "fit_network", fit_and_note)
    monkeypatch.setattr(study_module, "graph_scores", score_and_note)
    monkeypatch.setattr(run, "_graphs", choose)
    run_to_end(run)
    for split in (0, 1):
        train, test, _ = run._parts(split)
        assert parts[split] == {train.sha256}
        per_split = len(tests) // 2
        assert set(tests[split * per_split : (split + 1) * per_split]) == {test.sha256}
    assert set(starts) == {(split, count) for split in (0, 1) for count in (1, 3)}
    assert all(len(hashes) == 1 for hashes in starts.values()), "one start for all methods"
    assert len(set(weights)) == 2 * 2 + 2, "networks of two splits, and those of embeddings"
    assert np.isfinite(run.snapshot()["graph_score"]).all()


# ---- scores


@pytest.mark.parametrize("architecture", ["gcn", "gin", "gat"])
def test_the_scores_are_those_of_plain_training(architecture: str, motifs: GraphSet) -> None:
    options = {"architecture": architecture, "epochs": 6, "learning_rate": 0.02, "pool": "sum"}
    run = study_of(motifs, methods=("herding", "whole", "random"), graphs_per_class=(2,), **options)
    scores = run_to_end(run).snapshot()["graph_score"]
    for split in (0, 1):
        train, test, _ = run._parts(split)
        seed = stream_seed(split, "features")
        net = create_network("gcn", train, width=4, pool="sum", seed=seed)
        run._fit(net, train, split)(6)
        sets = {
            "whole": train,
            "herding": train.subset(select(embeddings(net, train), train.labels, "herding", 2)),
            "random": train.subset(
                select(
                    torch.zeros(len(train), 1),
                    train.labels,
                    "random",
                    2,
                    stream_seed(split, "selection"),
                )
            ),
        }
        for name, graphs in sets.items():
            for number in (0, 1):
                network = train_network(
                    graphs,
                    architecture,
                    epochs=6,
                    learning_rate=0.02,
                    seed=stream_seed(split, "networks", number),
                    width=4,
                    pool="sum",
                )
                predicted = predict(network, test).argmax(1)
                row = scores.sel(training_set=name, split=split, network=number, graphs_per_class=2)
                expected = accuracy_score(test.labels, predicted)
                assert float(row.sel(measure="accuracy")) == pytest.approx(expected)
                expected = balanced_accuracy_score(test.labels, predicted)
                assert float(row.sel(measure="balanced")) == pytest.approx(expected)


class Constant(nn.Module):
    """A network with fixed logits."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, graphs: Any) -> torch.Tensor:
        return self.logits


@pytest.mark.parametrize("seed", range(5))
def test_balanced_accuracy_is_that_of_scikit_learn(seed: int) -> None:
    graphs = replace(rings(), class_names=("a", "b", "c", "missing"))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (30,), generator=generator)
    graphs = replace(graphs, labels=labels)
    logits = torch.randn(30, 3, generator=generator)
    scores = graph_scores(Constant(logits), graphs)
    predicted = logits.argmax(1)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert scores["balanced"] == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_one_class_for_all_has_a_balanced_accuracy_of_one_half() -> None:
    logits = torch.tensor([[1.0, 0.0]]).expand(30, 2)
    scores = graph_scores(Constant(logits), rings())
    assert scores == {"accuracy": pytest.approx(2 / 3), "balanced": pytest.approx(0.5)}


@pytest.mark.parametrize("epoch", ["last", "validation"])
def test_training_never_looks_at_test_graphs(
    epoch: str, motifs: GraphSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        "methods": ("whole", "kcenter", "gstam"),
        "epoch": epoch,
        "epochs": 45,
        "learning_rate": 0.03,
        "width": 16,
        "pool": "sum",
        "splits": 1,
    }
    score = study_module.graph_scores

    def trained(graphs: GraphSet) -> tuple[list[str], list[float], list[str]]:
        """Return the weights that are scored on test graphs, and scores and weights on others."""
        run = study_of(graphs, **options)
        _, test, validation = run._parts(0)
        final, scores, weights = [], [], []

        def note(network: nn.Module, part: GraphSet) -> dict[str, float]:
            result = score(network, part)
            if validation is not None and part.sha256 == validation.sha256:
                scores.append(result["balanced"])
                weights.append(weights_of(network))
            else:
                assert part.sha256 == test.sha256
                final.append(weights_of(network))
            return result

        monkeypatch.setattr(study_module, "graph_scores", note)
        run_to_end(run)
        return final, scores, weights

    first, scores, weights = trained(motifs)
    assert len(first) == 6
    assert len(scores) == (30 if epoch == "validation" else 0)
    if scores:  # The first of the best epochs 10, 20, 30, 40 and 45 is scored on test graphs.
        best = np.reshape(scores, (6, 5)).argmax(1)
        assert [weights[5 * k + epochs] for k, epochs in enumerate(best)] == first
        assert len(set(best)) > 1
    _, test, _ = study_of(motifs, **options)._parts(0)
    features = motifs.features.clone()
    for number in range(len(motifs)):
        if motifs.subset([number]).sha256 in {test.subset([k]).sha256 for k in range(len(test))}:
            features[motifs.graph_of_node == number] = 5.0
    changed = replace(motifs, features=features)
    assert changed.sha256 != motifs.sha256
    assert trained(changed)[0] == first


def test_a_resumed_study_has_the_same_scores(motifs: GraphSet) -> None:
    options = {"methods": ("whole", "herding", "doscond"), "graphs_per_class": (1, 2)}
    plain = run_to_end(study_of(motifs, **options)).snapshot()
    for step in (1, 2, 5, 7):
        first, second = study_of(motifs, **options), study_of(motifs, **options)
        run_to_end(first, step)
        partial = first.snapshot()
        state = first.state()
        second.restore(state)
        assert second.step == step
        assert bits(second.snapshot()) == bits(partial)
        resumed = run_to_end(second).snapshot()
        assert bits(resumed) == bits(plain)
        assert bits(first.snapshot()) == bits(partial)
        assert states_equal(state, first.state()), "a run writes into no state that it restored"
    whole = plain["graph_score"].sel(training_set="whole")
    assert whole.isel(graphs_per_class=0).equals(
        whole.isel(graphs_per_class=1).assign_coords(graphs_per_class=1)
    )


def test_sets_that_are_too_small_are_refused(motifs: GraphSet) -> None:
    with pytest.raises(InvalidInput, match="class house has 10 graphs, 11 of each class are asked"):
        study_of(motifs, graphs_per_class=(1, 11))
    with pytest.raises(InvalidInput, match="class 1 has 1 graphs, 2 of each class are asked"):
        study_of(rings(3))
    with pytest.raises(InvalidInput, match=r"cannot be divided with the share 0.01: .* use more"):
        study_of(motifs, test_share=0.01)
