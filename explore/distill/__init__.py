"""Dataset distillation: by attention matching (DM, DataDAM, ATOM), and by trajectories of experts
(MTT, DATM, EDF)."""

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
        "trajectories.expert_trajectories": ["ExpertTrajectories"],
        "trajectories.experts": ["ExpertsRun"],
        "trajectories.loss": ["common_pattern_dropout", "enhance_gradient"],
        "trajectories.matching": ["TrajectoryRun"],
        "untrained": ["UntrainedRun"],
    },
)
