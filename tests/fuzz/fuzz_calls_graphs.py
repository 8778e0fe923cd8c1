"""Valid calls of graph condensation and node attention."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import xarray
from fuzz_calls_data import motifs
from fuzz_calls_models import random
from fuzz_judge import Call

from explore.graphs import CondensedGraphs, condense, lab
from explore.models import GCN


def condensing(**options: Any) -> Any:
    return condense(motifs(), "gstam", **{"steps": 1, **options})


@cache
def condensed() -> CondensedGraphs:
    return CondensedGraphs.of(condensing().run())


def network() -> GCN:
    return GCN(motifs().features.shape[1], 2, width=4, depth=2).eval()


@cache
def recording() -> xarray.Dataset:
    return lab.recording_of("gstam")


CALLS = {
    "explore.graphs.condense": Call(
        lambda: {
            "graphs": motifs(),
            "method": "gstam",
            "graphs_per_class": 1,
            "steps": 1,
            "seed": 0,
            "device": "",
        },
        after=lambda run: run.run().result(),
        names={"graphs": "graph"},
        accepts={"steps: None": "the usual number, which takes long"},
    ),
    "explore.graphs.graph_scores": Call(
        lambda: {"network": network(), "graphs": motifs()}, names={"graphs": "graph"}
    ),
    "explore.graphs.node_attention": Call(
        lambda: {
            "model": network(),
            "graph": motifs().subset([0]),
            "kind": "energy",
            "target": 0,
            "power": 2.0,
        },
        names={"model": "network", "target": "class"},
    ),
    "explore.graphs.structural_attention": Call(
        lambda: {
            "hidden": random(2, 4, 3),
            "mask": torch.ones(2, 4, dtype=torch.bool),
            "power": 2.0,
        }
    ),
    "explore.graphs.table": Call(
        lambda: {"study": lab.study_of("MUTAG"), "measure": "balanced", "against": "unmodified"},
        names={"study": "recording", "against": "method"},
    ),
    "explore.graphs.train_network": Call(
        lambda: {
            "graphs": motifs(),
            "architecture": "gcn",
            "epochs": 1,
            "learning_rate": 0.005,
            "batch": 4,
            "seed": 0,
        },
        names={"graphs": "graph"},
    ),
    "explore.graphs.CondensedGraphs": Call(
        lambda: {"graphs": condensed().graphs, "provenance": {}},
        after=lambda graphs: graphs.graphs,
        names={"graphs": "graph"},
    ),
    "explore.graphs.CondensedGraphs.load": Call(
        lambda: {"self": CondensedGraphs, "path": str(condensed().save("g.safetensors"))},
        after=lambda graphs: graphs.graphs,
        names={"path": "file|recording|g.safetensors"},
    ),
    "explore.graphs.CondensedGraphs.of": Call(
        lambda: {"self": CondensedGraphs, "run": condensing().run()},
        after=lambda graphs: graphs.graphs,
    ),
    "explore.graphs.CondensedGraphs.save": Call(
        lambda: {"self": condensed(), "path": "g.safetensors"},
        after=str,
        names={"path": "safetensors"},
    ),
    "explore.graphs.CondensedGraphs.write_pyg": Call(
        lambda: {"self": condensed(), "path": "g.pt"},
        after=str,
        names={"path": ".pt file"},
        accepts={"path": "the name of a file"},
    ),
    # The lab.
    "explore.graphs.lab.compare_accuracies": Call(
        lambda: {"*studies": lab.study_of("MUTAG")}, after=str, names={"*studies": "recording"}
    ),
    "explore.graphs.lab.draw_scores": Call(
        lambda: {
            "graph": motifs().subset([0]),
            "scores": random(int(motifs().sizes[0])),
            "probabilities": None,
            "network": "scores",
            "measure": "scores",
        },
        after=str,
        accepts={"network": "any text", "measure": "any text"},
    ),
    "explore.graphs.lab.edit_graph": Call(
        lambda: {"graphs": motifs(), "network": network(), "seed": 0},
        after=str,
        names={"graphs": "graph", "network": "message passing"},
    ),
    "explore.graphs.lab.learnt_edges": Call(lambda: {"recording": recording()}, after=str),
    "explore.graphs.lab.motif_check": Call(
        lambda: {"study": lab.motif_study()}, after=str, names={"study": "recording"}
    ),
    "explore.graphs.lab.step_by_step": Call(
        lambda: {"*recordings": recording()}, after=str, names={"*recordings": "recording"}
    ),
    "explore.graphs.lab.recording_of": Call(lambda: {"method": "gstam"}, after=str),
    "explore.graphs.lab.study_of": Call(
        lambda: {"data": "MUTAG"}, after=str, names={"data": "data set"}
    ),
}
