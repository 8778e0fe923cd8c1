"""Scores of distilled sets: networks trained from scratch under one protocol, tables and baselines."""
