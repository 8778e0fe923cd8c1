"""Compiled encoders and products of the formats."""
