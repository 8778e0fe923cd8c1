"""Dataset distillation by matching what networks attend to: DM, DataDAM, channel-only and ATOM as one loss with switches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augment": ["augment", "draw_augmentation"],
        "compare": ["compare", "starting_points"],
        "config_evaluation": ["EvaluationProtocol"],
        "coreset": ["CoresetRun"],
        "evaluation": ["EvaluationRun", "evaluate"],
        "matching": ["attention_matching_loss"],
        "tables": ["compare_results"],
        "method": ["DistillRun", "distill"],
        "untrained": ["UntrainedRun"],
    },
)
