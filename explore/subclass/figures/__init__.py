"""Pictures of subclass distillation."""
