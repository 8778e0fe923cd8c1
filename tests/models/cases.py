"""The supervised training run for the contract tests."""

from __future__ import annotations

from typing import Any

import torch

from explore.models import ConvNet, Fit


def make_fit(**options: Any) -> Fit:
    """Return a tiny training."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.randn(40, 1, 8, 8, generator=generator), torch.arange(40) % 3
    options = {"epochs": 4, "batch": 16, "learning_rate": 0.1, **options}
    return Fit(ConvNet(1, 3, 8, width=4, seed=0), images, labels, **options)


RUNS = {"fit": make_fit}
