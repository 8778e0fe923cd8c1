"""Train the three small networks of the sparse-convolution lab on scenes of 64×64, and save them as float16.

It took twelve minutes on two busy cores.

python scripts/train_scene_networks.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from explore.data import load
from explore.models import Fit, accuracy
from explore.models._init import initialise
from explore.models.trained.network_table import NETWORKS

NETWORK_NAMES = ("scenes-vgg", "scenes-smooth", "scenes-residual")


def main(folder: str) -> None:
    train, val = load("scenes", size=64, count=6000), load("scenes", "val", size=64)
    for name in NETWORK_NAMES:
        network = NETWORKS[name].build()
        initialise(network, 0)
        fit = Fit(
            network,
            train.batch(),
            train.labels,
            epochs=12,
            batch=50,
            optimizer="adam",
            learning_rate=2e-3,
            schedule="cosine",
        )
        for _ in range(fit.steps):
            fit.advance()
            sys.stderr.write(f"{name}, epoch {fit.step}: loss {fit.loss:.3f}\n")
        network.eval()
        weights = {
            key: value.half() if value.is_floating_point() else value
            for key, value in network.state_dict().items()
        }
        score = f"{accuracy(network, val.batch(), val.labels):.3f}"
        save_file(weights, Path(folder) / f"{name}.safetensors", {"accuracy on val": score})
        sys.stdout.write(f"{name}: accuracy {score} on val\n")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main(*sys.argv[1:])
