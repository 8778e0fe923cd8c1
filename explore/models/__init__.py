"""Networks, what can be seen inside them, and the one supervised training run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "architectures": ["ARCHITECTURES", "architecture"],
        "convnet": ["ConvNet"],
        "gcn": ["GCN"],
        "graph_batch": ["DenseGraphs", "SparseGraphs"],
        "scoring": ["accuracy", "logits_of"],
        "training": ["Fit"],
        "mlp": ["MLP", "MLPs", "Several"],
        "taps": ["Taps"],
    },
)
