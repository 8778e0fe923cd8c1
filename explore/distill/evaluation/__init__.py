"""Evaluations of distilled sets: training and testing networks, comparisons and tables."""
