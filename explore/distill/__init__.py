"""Dataset distillation by matching what networks attend to: DM, DataDAM, channel-only and ATOM as one loss with switches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augment": ["augment", "draw_augmentation"],
        "evaluation.fair_comparison": ["compare", "starting_points"],
        "evaluation.config": ["EvaluationProtocol"],
        "baselines": ["CoresetRun"],
        "evaluation.protocol": ["EvaluationRun", "evaluate"],
        "matching": ["attention_matching_loss"],
        "evaluation.table": ["compare_results"],
        "attention_matching": ["DistillRun", "distill"],
        "untrained": ["UntrainedRun"],
    },
)
