"""Pictures of activation areas: on scenes, over a distillation, and by class."""
