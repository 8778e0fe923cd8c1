"""Benchmark of whole networks: as they are, with folded batch norms, and with selected sparse
convolutions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import Any

import torch
from torch import nn

from explore.core import benchmark
from explore.data import load
from explore.data.normalization import normalize_bytes
from explore.models.trained.loading import load_network
from explore.sparseconv.networks.autotune import select
from explore.sparseconv.networks.comparison import agreement
from explore.sparseconv.networks.convert import convert

BATCH_SIZES = (1, 16)
TABLE_HEAD = """\
milliseconds; sparse: convolutions that left the dense library; logits: largest difference, \
relative;
folded: batch norms in the convolutions
  network          batch    sparse  same class  logits    eager   folded  selected  eager / selected
"""


def load_case(name: str, count: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a network by name, sixteen calibration images and test images, with channels last in
    memory."""
    network, entry = load_network(name)
    description = entry.images or {}

    def images(split: str, most: int) -> torch.Tensor:
        dataset = load(description["name"], **{**description["options"], "split": split})
        indices = torch.arange(len(dataset))[:: max(1, len(dataset) // most)][:most]
        mean, std = entry.statistics or (dataset.mean, dataset.std)
        x = normalize_bytes(dataset.images[indices], mean, std)
        return x.contiguous(memory_format=torch.channels_last)

    return network.to(memory_format=torch.channels_last), images("val", 16), images("test", count)


def candidate(network: nn.Module, images: torch.Tensor, batch: int) -> Callable[[], torch.Tensor]:
    """Return a function that applies a network to the next batch of the images in each call."""
    starts = range(0, max(1, len(images) - batch + 1), batch)
    batches = cycle([images[start : start + batch] for start in starts])
    return lambda: network(next(batches))


def measure(name: str, count: int, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield for each batch size what is selected, whether predictions agree, and the median
    seconds."""
    network, calibration, test = load_case(name, count)
    for batch in BATCH_SIZES:
        selection = select(network, calibration, batch=batch, seconds=seconds)
        folded = convert(network, selection.without_sparse())
        variants = {"eager": network, "folded": folded, "selected": convert(network, selection)}
        same, error = agreement(network, variants["selected"], test)
        candidates = {label: candidate(v, test, batch) for label, v in variants.items()}
        calls = 10 if batch == 1 else 3
        with torch.inference_mode():
            times = benchmark.time_rounds(
                candidates, rounds, pause=benchmark.PAUSE, warmups=2, calls=calls
            )
        sparse = sum(choice.method != "torch" for choice in selection.layers.values())
        yield {
            "network": name,
            "batch": batch,
            "sparse": sparse,
            "of": len(selection.layers),
            "same": same,
            "apart": error,
            **benchmark.medians(times),
        }


def report(
    names: Iterable[str], count: int = 1000, rounds: int = 10, seconds: float = 0.05
) -> list[dict[str, Any]]:
    """Measure networks, print a table line by line, and return its rows."""
    sys.stdout.write(TABLE_HEAD)
    rows = []
    for name in names:
        for row in measure(name, count, rounds, seconds):
            rows.append(row)
            sparse = f"{row['sparse']} of {row['of']}"
            eager, folded, selected = (1e3 * row[key] for key in ("eager", "folded", "selected"))
            sys.stdout.write(
                f"  {name:16}{row['batch']:6}{sparse:>10}{row['same']:12.1%}{row['apart']:8.0e}"
                f"{eager:9.2f}{folded:9.2f}{selected:10.2f}{eager / selected:18.2f}\n"
            )
            sys.stdout.flush()
    return rows
