"""Dataset distillation by attention matching: DM, DataDAM, channel-only matching and ATOM."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augment": ["augment", "draw_augmentation"],
        "evaluation.fair_comparison": ["compare", "starting_points"],
        "evaluation.config": ["EvaluationProtocol"],
        "baselines": ["CoresetRun"],
        "evaluation.run": ["EvaluationRun", "evaluate"],
        "matching_loss": ["attention_matching_loss"],
        "evaluation.results": ["compare_results"],
        "attention_matching": ["DistillRun"],
        "run": ["distill"],
        "trajectory_loss": ["common_pattern_dropout", "enhance_gradient"],
        "untrained": ["UntrainedRun"],
    },
)
