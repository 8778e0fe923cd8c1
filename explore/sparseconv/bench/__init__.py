"""Benchmarks of sparse convolutions."""
