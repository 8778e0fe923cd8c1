"""Benchmarks of subclass distillation."""
