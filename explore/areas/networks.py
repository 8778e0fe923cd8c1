"""The small network through which areas are seen, where no trained one is named."""

from __future__ import annotations

import numpy as np
from torch import nn

from explore.core.runs import stream_seed
from explore.data.training_data import TrainingData
from explore.models._init import initialise
from explore.models.trained.scene_network import shallow_network
from explore.models.training import Fit


def train_small_network(
    data: TrainingData, rows: np.ndarray, *, width: int, epochs: int, seed: int
) -> nn.Module:
    """Train a small network on some images: batch norm and global average pooling.

    Such a network finds objects best (``scripts/train_area_networks.py`` prints how well). The maps
    of the distillation ConvNet, with instance norm and a flat head, miss most of them.

    Args:
        data: the images.
        rows: those to train on.
        width: channels of the first convolution.
        epochs: passes over the images, with Adam and a cosine schedule.
        seed: of weights and batches.
    """
    network = shallow_network(data.shape[0], data.classes, width)
    initialise(network, stream_seed(seed, "networks"))
    fit = Fit(
        network.to(data.device),
        data.batch(rows),
        data.labels[rows].to(data.device),
        epochs=epochs,
        optimizer="adam",
        learning_rate=3e-3,
        schedule="cosine",
        batch=64,
        seed=seed,
    )
    return fit.run().network.eval().requires_grad_(False)
