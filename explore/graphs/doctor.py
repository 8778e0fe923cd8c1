"""The check of graphs for ``explore doctor``."""

from __future__ import annotations


def check() -> str:
    """Compare the GCN with PyTorch Geometric's; return one line, which names the sets at hand.

    Raises:
        ArithmeticError: the two differ.
    """
    import torch

    from explore.data import load_graph_set
    from explore.data.datasets.tu_graphs import present_sets
    from explore.data.pyg import import_pyg
    from explore.models import GCN, SparseGraphs

    graphs = load_graph_set("motifs", count=4)
    network = GCN(graphs.features.shape[1], 2, width=8, depth=1)
    layer = import_pyg("nn").GCNConv(graphs.features.shape[1], 8)
    with torch.no_grad():
        layer.lin.weight.copy_(network.weights[0].T)
        expected = layer(graphs.features, graphs.edges).relu()
        hidden = network.hidden(SparseGraphs(graphs))[0]
    if not torch.allclose(hidden, expected, atol=1e-5):
        raise ArithmeticError(f"the GCN is off by {float((hidden - expected).abs().max()):.2g}")
    return f"GCN agrees with PyTorch Geometric; sets: {', '.join([*present_sets(), 'motifs'])}"
