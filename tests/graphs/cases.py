"""What is special about graphs in the tests of all topics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import xarray

from explore.data import load_graph_set
from explore.graphs import lab
from explore.graphs.catalog import TOPIC
from explore.graphs.edited_graph import Editing, networks_for
from explore.graphs.figures.accuracies import graph_accuracies
from explore.graphs.figures.condensation import condensation
from explore.graphs.figures.motif_attention import motif_attention

LOADERS = {method.name: load_graph_set for method in TOPIC.methods}


@cache
def small_networks() -> Any:
    graphs = load_graph_set("motifs", count=12, types=3)
    return graphs, networks_for(graphs, None, 0)


def small_editing() -> Editing:
    """Return an editor on few graphs, with networks that are trained only once."""
    return Editing(*small_networks())


def edited_states() -> list[xarray.Dataset]:
    editing = small_editing()
    explorer, states = editing.explorer, []
    states.append(explorer.data)
    edges = explorer.data["edge"].values
    for partner in (int(edges[3].argmin()), int(edges[3].argmax())):  # one new edge, one removed
        explorer.set(node=3, partner=partner)
        editing._join(None)
    explorer.set(partner=7)
    states.append(explorer.data)
    explorer.set(network="untrained", kind="energy", click="joins")
    editing._add(None)
    states.append(explorer.data)
    explorer.set(graph=3, node=1)
    editing._remove(None)
    states.append(explorer.data)
    return states


def condensation_states() -> list[xarray.Dataset]:
    runs = [lab.recording_of(name) for name in ("gstam", "doscond")]
    states: list[dict[str, Any]] = [
        {},
        {"step": 3, "method": "doscond"},
        {"step": 40},
        {"hidden": True},
    ]
    datasets = [condensation(runs, graph=1, **state) for state in states]
    # Both kinds of changed edges are visible in the second one.
    edges, start = datasets[1]["edge"].values.copy(), datasets[1]["start_edge"].values
    alive = np.isfinite(datasets[1]["position"].values[:, 0])
    removed, added = np.argwhere(start)[0], np.argwhere(~start & alive & alive[:, None])[3]
    for (i, j), present in ((removed, False), (added, True)):
        edges[i, j] = edges[j, i] = present
    datasets[1]["edge"] = ("node", "neighbour"), edges
    return datasets


PICTURES: dict[str, tuple[str, Callable[[], list[xarray.Dataset]]]] = {
    "edited graph": ("explore.graphs.figures.node_attention:NodeAttention", edited_states),
    "condensation": ("explore.graphs.figures.condensation:Condensation", condensation_states),
    "graph_accuracies": (
        "explore.graphs.figures.accuracies:GraphAccuracies",
        lambda: (
            [graph_accuracies(lab.study_of("MUTAG"), size) for size in (1, 10)]
            + [graph_accuracies(lab.study_of("motifs"), 10)]
        ),
    ),
    "motif_attention": (
        "explore.graphs.figures.motif_attention:MotifAttention",
        lambda: [motif_attention(lab.motif_study(), layer) for layer in (3, 1, 2)],
    ),
}
