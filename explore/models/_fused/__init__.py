"""Blocks of a network as compiled kernels, for use where nothing observes their inside."""
