"""Graphs: condensation by structural attention, attention of nodes, and what condensing gains."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["lab"],
    submod_attrs={
        "attention": ["node_attention", "structural_attention"],
        "condensation": ["CondenseRun", "condense"],
        "condensed_graphs": ["CondensedGraphs"],
        "training": ["graph_scores", "train_network"],
        "study_tables": ["table"],
    },
)
