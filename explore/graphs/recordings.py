"""What the recordings of this topic hold; no torch is imported."""

from __future__ import annotations

from explore.core.schema import RecordingKind, Variable

CONDENSATION = RecordingKind(
    "a condensation of graphs (such as explore run gstam)",
    {
        "edge_probability": Variable(
            ("graph", "node", "neighbour"), "probability of an edge between two nodes"
        ),
        "feature_value": Variable(("graph", "node", "feature"), "feature of a node"),
        "attention": Variable(
            ("graph", "layer", "node"),
            "energy of a node under the first probe network, sum 1 in each graph and layer",
        ),
        "distance": Variable((), "loss to the real graphs under the probe networks"),
        "loss": Variable((), "loss of the last step, under that step's network"),
        "temperature": Variable((), "temperature of the edges"),
    },
    {
        "label": Variable(("graph",), "", ""),
        "alive": Variable(("graph", "node"), "whether the node exists"),
        "start_edge": Variable(
            ("graph", "node", "neighbour"), "whether the start has an edge between two nodes"
        ),
        "start_feature": Variable(("graph", "node", "feature"), "feature of a node at the start"),
        "feature": Variable(("feature",), "", ""),
    },
)

GRAPH_CORESET = RecordingKind(
    "a selection of graphs",
    {"selected": Variable(("graph",), "number of the selected graph in the set")},
    {"label": Variable(("graph",), "", "")},
)

SCORE_DIMS = ("measure", "graphs_per_class", "training_set", "split", "network")

STUDY = RecordingKind(
    "a study of condensed graphs (explore run graph-study)",
    {
        "graph_score": Variable(SCORE_DIMS, "score on the test graphs"),
    },
    {
        "measure": Variable(("measure",), "", ""),
        "graphs_per_class": Variable(("graphs_per_class",), "", ""),
        "training_set": Variable(("training_set",), "", ""),
        "split": Variable(("split",), "", ""),
        "network": Variable(("network",), "", ""),
    },
)

BASELINE = "unmodified"
"""What other training sets are compared with: the real graphs from which condensations start."""

MEASURE_LABELS = {"accuracy": "accuracy", "balanced": "balanced accuracy"}

SCORERS = (
    "trained gradcam",
    "trained energy",
    "untrained gradcam",
    "untrained energy",
    "degree",
    "core number",
)
"""What can point at the nodes of a motif; the last two know no network."""

MOTIF_CONDITIONS = ("whole graphs", "without motif edges", "without as many other edges")

MOTIF_STUDY = RecordingKind(
    "a study of attention and motifs (explore run motif-study)",
    {
        "auroc": Variable(("scorer", "layer", "run"), "area under the ROC curve for motif nodes"),
        "accuracy": Variable(("condition", "run"), "accuracy on the test graphs"),
    },
    {
        "scorer": Variable(("scorer",), "", ""),
        "layer": Variable(("layer",), "", ""),
        "condition": Variable(("condition",), "", ""),
        "run": Variable(("run",), "", ""),
    },
)
