"""Train the two small networks of the lab on activation areas, and print how far their maps can be trusted.

python scripts/train_area_networks.py FOLDER

Weights of all seeds are written to FOLDER as float16; those of seed 0 ship. Networks that exist there
are not trained again. The table is measured on scenes that no network was trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from explore.areas.config import (
    CAM_KINDS,
    CLUTTER_RANGE,
    COMPARISONS,
    CUES,
    OBJECT_SIZES,
    SIDE,
    SIZE_RANGE,
)
from explore.areas.scene_maps import scene_maps, task_labels
from explore.data import load
from explore.models import Fit
from explore.models._init import initialise
from explore.models.trained.scene_network import shallow_network

SEEDS = range(5)
TRAINING = {"optimizer": "adam", "learning_rate": 3e-3, "schedule": "cosine", "batch": 64}


def train(cue: str, seed: int) -> nn.Module:
    options = {"size": SIDE, "object_size": SIZE_RANGE, "clutter": CLUTTER_RANGE}
    images = load("scenes", count=5000, seed=seed, **options)
    labels, class_names = task_labels(images, cue)
    network = shallow_network(classes=len(class_names))
    initialise(network, seed)
    fit = Fit(network, images.batch(), labels, epochs=12, seed=seed, **TRAINING)
    for _ in range(fit.steps):
        fit.advance()
        sys.stderr.write(f"{cue}, seed {seed}, epoch {fit.step}: loss {fit.loss:.3f}\n")
    return network.eval()


def load_or_train(folder: Path, cue: str, seed: int) -> nn.Module:
    file = folder / f"{CUES[cue]}-{seed}.safetensors"
    if not file.exists():
        weights = train(cue, seed).state_dict()
        save_file({k: v.half() if v.is_floating_point() else v for k, v in weights.items()}, file)
    weights = {k: v.float() if v.is_floating_point() else v for k, v in load_file(file).items()}
    network = shallow_network(classes=len(weights["13.bias"]))
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def main(folder: str) -> None:
    place = Path(folder)
    networks = {cue: [load_or_train(place, cue, seed) for seed in SEEDS] for cue in CUES}
    write = sys.stdout.write
    write("area by object size, all amounts of clutter, trained network, true class\n\n")
    write(f"| cue | kind | {' | '.join(f'{size:.2f}' for size in OBJECT_SIZES)} |\n")
    write(f"|---|---|{'---|' * len(OBJECT_SIZES)}\n")
    for cue in CUES:
        for kind in CAM_KINDS:
            cells = [
                spread([
                    float(scene_maps(cue, size, None, kind=kind, count=200, network=n).areas.mean())
                    for n in networks[cue]
                ])
                for size in OBJECT_SIZES
            ]  # fmt: skip
            write(f"| {cue} | {kind} | {' | '.join(cells)} |\n")
    write("\nall sizes: pointing game / mass inside the object\n\n")
    write(f"| cue | kind | {' | '.join(COMPARISONS)} |\n|---|---|{'---|' * len(COMPARISONS)}\n")
    for cue in CUES:
        for kind in CAM_KINDS:
            cells = []
            for comparison in COMPARISONS:
                found = [
                    scene_maps(cue, None, None, comparison, kind, count=200, network=n)
                    for n in networks[cue]
                ]
                pointing = spread([maps.pointing for maps in found])
                cells.append(f"{pointing} / {spread([maps.mass for maps in found])}")
            write(f"| {cue} | {kind} | {' | '.join(cells)} |\n")
    objects = [
        float(scene_maps("outline", s, None, count=200).object_shares.mean()) for s in OBJECT_SIZES
    ]
    write(f"\nmean share of the object: {', '.join(f'{share:.2f}' for share in objects)}\n")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main(*sys.argv[1:])
