"""Subclass knowledge distillation: what a student learns from subclass logits, and how many bits a teacher's label has."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bits": ["count_bits", "label_bits"],
        "config": ["StudyConfig", "SubclassConfig"],
        "losses": [
            "auxiliary_loss",
            "class_distillation_loss",
            "class_logits",
            "class_probabilities",
            "prior_correction",
            "subclass_distillation_loss",
        ],
        "method": ["SubclassRun", "train"],
        "report": ["report"],
        "scores": ["table"],
        "study": ["StudyRun", "compare"],
    },
)
