"""Benchmarks of mixture reduction."""
