"""Trained networks by name: the table, their architectures, and the loading of weights."""
