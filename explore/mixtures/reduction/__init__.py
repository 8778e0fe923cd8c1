"""Mixture reduction: ten methods, each a sequence of stages."""
