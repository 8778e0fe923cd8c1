"""The networks whose maps are measured: a small one is trained, and any is checked."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
from torch import nn

from explore.core.runs import stream_seed
from explore.data.training_data import TrainingData
from explore.errors import InvalidInput
from explore.models._init import initialise
from explore.models.trained.scene_network import shallow_network
from explore.models.training import Fit


def train_small_network(
    data: TrainingData, rows: np.ndarray, *, width: int, epochs: int, seed: int
) -> nn.Module:
    """Train a small network on some images: batch norm and global average pooling.

    ``scripts/train_area_networks.py`` prints how well the maps of such networks agree with objects.

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


def count_classes(network: nn.Module, name: str, data: str, shape: tuple[int, ...]) -> int:
    """Return the number of logits of a network; it must take images of one shape.

    Args:
        network: in evaluation mode, on any device.
        name: of the network, for the message.
        data: name of the images, for the message.
        shape: of one image, ``(C, H, W)``.

    Raises:
        InvalidInput: the network does not take such images.
    """
    parameter = next(network.parameters(), torch.zeros(()))
    try:
        with torch.inference_mode():
            return int(network(torch.zeros(1, *shape, device=parameter.device)).shape[1])
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" …")
        raise InvalidInput(
            f"network {name!r} does not take the images of {data}, "
            f"{'×'.join(map(str, shape))}: {reason}; choose another network or size"
        ) from error
