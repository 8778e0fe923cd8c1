"""Subclass knowledge distillation: losses, trainings, studies and label bits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "label_information": ["count_bits", "label_bits"],
        "config": ["StudyConfig", "SubclassConfig"],
        "losses": [
            "auxiliary_loss",
            "class_distillation_loss",
            "class_logits",
            "class_probabilities",
            "prior_correction",
            "subclass_distillation_loss",
        ],
        "run": ["SubclassRun"],
        "training": ["train"],
        "classification_metrics": ["report"],
        "study_tables": ["table"],
        "teacher_file": ["Teacher"],
        "study": ["StudyRun", "compare"],
    },
)
