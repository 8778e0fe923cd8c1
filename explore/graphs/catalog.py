"""The catalog of the topic of graphs: its runs, figures and lab."""

from typing import Any

from explore.core.catalog import Figure, Lab, Method, Topic

RECORDED = ("gstam", "gstam-features", "doscond")
"""Condensations of motif graphs that ship."""

STUDIES = ("MUTAG", "PROTEINS", "motifs")
"""Data sets of the studies that ship."""

SMALL_MOTIFS = {"name": "motifs", "options": {"count": 16}}

TINY: dict[str, Any] = {
    "data": SMALL_MOTIFS,
    "preset": "lesson",
    "steps": 4,
    "width": 8,
    "batch": 6,
    "probes": 2,
    "probe_graphs": 4,
}


def _condensation(name: str, label: str, summary: str) -> Method:
    return Method(
        name,
        f"condense graphs: {summary}",
        builder="explore.graphs.condensation:build",
        config="explore.graphs.config:CondenseConfig",
        label=label,
        figures=("condensation",),
        bench="explore.graphs.bench.condensation:main",
        recordings=(f"data/motifs-{name}.zarr.zip",) if name in RECORDED else (),
        tiny=TINY,
        family="condense",
        product=".safetensors",
        follow_up="explore export {product} graphs.pt --format pyg",
    )


TOPIC = Topic(
    "graphs",
    methods=(
        _condensation("gstam", "GSTAM", "edges and features, by structural attention"),
        _condensation(
            "gstam-features",
            "GSTAM, features only",
            "features only, by structural attention; the edges of the start stay",
        ),
        _condensation(
            "gstam-edges",
            "GSTAM, edges only",
            "edges only, by structural attention; the features of the start stay",
        ),
        _condensation("doscond", "DosCond", "edges and features, by gradients of the loss"),
        Method(
            "graph-coreset",
            "select real graphs: random, herding or k-center",
            builder="explore.graphs.baselines:build",
            config="explore.graphs.config:GraphCoresetConfig",
            label="selected graphs",
            tiny={"data": SMALL_MOTIFS, "selection": "herding", "epochs": 2, "width": 4},
            length="epochs",
            product=".safetensors",
        ),
        Method(
            "graph-study",
            "networks trained on condensed and on real graphs, over repeated splits",
            builder="explore.graphs.study:build",
            config="explore.graphs.config:GraphStudyConfig",
            figures=("graph_accuracies",),
            recordings=tuple(f"data/graph-study-{name.lower()}.zarr.zip" for name in STUDIES),
            tiny={
                "data": SMALL_MOTIFS,
                "methods": ["whole", "unmodified", "gstam"],
                "splits": 2,
                "condense_steps": 2,
                "width": 4,
                "epochs": 2,
            },
            length="splits",
            table="explore.graphs.study_tables:tables",
        ),
        Method(
            "motif-study",
            "whether the attention of trained networks finds the motif, and whether they need it",
            builder="explore.graphs.motif_study:build",
            config="explore.graphs.config:MotifStudyConfig",
            figures=("motif_attention",),
            recordings=("data/motif-study.zarr.zip",),
            tiny={"data": SMALL_MOTIFS, "seeds": 2, "epochs": 2, "width": 4},
            length="seeds",
        ),
    ),
    figures=(
        Figure(
            "condensation",
            "explore.graphs.figures.condensation:Condensation",
            "explore.graphs.figures.condensation:condensation",
            panels=("graph", "edges", "curve"),
        ),
        Figure(
            "graph_accuracies",
            "explore.graphs.figures.accuracies:GraphAccuracies",
            "explore.graphs.figures.accuracies:graph_accuracies",
            "graphs_per_class",
            panels=("scores", "differences"),
        ),
        Figure(
            "motif_attention",
            "explore.graphs.figures.motif_attention:MotifAttention",
            "explore.graphs.figures.motif_attention:motif_attention",
            "layer",
            panels=("motif", "accuracy"),
        ),
        Figure(
            "edited_graph",
            "explore.graphs.figures.node_attention:NodeAttention",
            explorer="explore.graphs.lab:edit_graph",
            states=("graph", "network", "kind", "node", "partner", "click", "label"),
            panels=("layer-1", "layer-2", "layer-3"),
        ),
    ),
    labs=(
        Lab(
            "graphs",
            "03_graph_attention.ipynb",
            "Did condensation learn structure, or pick a good graph?",
            45,
        ),
    ),
    packages=("torch", "torch-geometric", "networkx"),
    checks={"graphs": "explore.graphs.doctor:check"},
)

METHOD_LABELS = {method.name: method.label for method in TOPIC.methods if method.label} | {
    "whole": "whole set",
    "unmodified": "the same real graphs",
    "random": "random",
    "herding": "herding",
    "kcenter": "k-center",
}
"""Names of methods and baselines in pictures and tables."""
