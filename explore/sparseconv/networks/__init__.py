"""Whole networks: densities of their maps, and conversion to sparse convolutions."""
