"""Train a VGG-11 with batch norms on Fashion-MNIST, for the benchmark of whole networks.

Its accuracy on val is 90 % after ten minutes on one core.

python scripts/train_vgg.py FOLDER      # then move the file to weights/ in the data folder
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

IMAGE_COUNT, EPOCHS = 20_000, 3


def main(folder: str) -> None:
    train, val = load("fashion-mnist"), load("fashion-mnist", "val")
    network = NETWORKS["vgg11"].build()
    initialise(network, 0)
    fit = Fit(
        network.to(memory_format=torch.channels_last),
        train.batch(range(IMAGE_COUNT)),
        train.labels[:IMAGE_COUNT],
        epochs=EPOCHS,
        batch=128,
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=1e-4,
        schedule="cosine",
    )
    for _ in range(fit.steps):
        fit.advance()
        sys.stderr.write(f"epoch {fit.step}: loss {fit.loss:.3f}\n")
    weights = {name: value.contiguous() for name, value in network.eval().state_dict().items()}
    save_file(weights, Path(folder) / Path(NETWORKS["vgg11"].weights).name)
    sys.stdout.write(f"accuracy {accuracy(network, val.batch(), val.labels):.3f} on val\n")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main(*sys.argv[1:])
