"""Distillation by matching the trajectories of experts: MTT, DATM and EDF."""
