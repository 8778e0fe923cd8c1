"""Compiled kernels for pairs of components."""
