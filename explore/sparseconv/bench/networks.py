"""Benchmark of whole networks: as they are, with batch norms folded, and with the convolutions that a selection chose."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from time import perf_counter, sleep
from typing import Any

import torch
from torch import nn

from explore.data import load
from explore.sparseconv.config import NETWORKS
from explore.sparseconv.networks.autotune import select
from explore.sparseconv.networks.convert import agreement, convert
from explore.sparseconv.networks.model_zoo import load_network

PAUSE = 0.02
"""Seconds before each form, in which threads of the one before stop spinning."""
BATCHES = (1, 16)


def prepared(name: str, count: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A known network, sixteen images to choose with, and test images; with channels last in memory."""
    network, known = load_network(name)
    usual = dict(NETWORKS[name])

    def images(split: str, most: int) -> torch.Tensor:
        found = load(usual["name"], **{**usual["options"], "split": split})
        chosen = torch.arange(len(found))[:: max(1, len(found) // most)][:most]
        if known.statistics is None:
            x = found.batch(chosen)
        else:
            mean, std = (torch.tensor(values)[:, None, None] for values in known.statistics)
            x = (found.images[chosen].float() / 255 - mean) / std
        return x.contiguous(memory_format=torch.channels_last)

    return network.to(memory_format=torch.channels_last), images("val", 16), images("test", count)


def timed(
    forms: Mapping[str, nn.Module], images: torch.Tensor, batch: int, rounds: int, calls: int
) -> dict[str, float]:
    """Median seconds of each form for a batch; in turn, each after a pause and two calls that are not counted."""
    taken: dict[str, list[float]] = {name: [] for name in forms}
    with torch.inference_mode():
        for turn in range(rounds):
            for name, form in forms.items():
                sleep(PAUSE)
                form(images[:batch])
                form(images[:batch])
                for call in range(calls):
                    start = (turn * calls + call) * batch % max(1, len(images) - batch + 1)
                    begin = perf_counter()
                    form(images[start : start + batch])
                    taken[name].append(perf_counter() - begin)
    return {name: statistics.median(times) for name, times in taken.items()}


def measure(name: str, count: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Both batch sizes of a network: what was chosen, whether it names the same classes, and how long it takes."""
    network, calibration, test = prepared(name, count)
    rows = []
    for batch in BATCHES:
        selection = select(network, calibration, batch=batch, seconds=seconds)
        folded = convert(network, selection.without_sparse())
        forms = {"eager": network, "folded": folded, "selected": convert(network, selection)}
        same, apart = agreement(network, forms["selected"], test)
        found = timed(forms, test, batch, rounds, 10 if batch == 1 else 3)
        sparse = sum(choice.method != "torch" for choice in selection.layers.values())
        rows.append(
            {
                "network": name,
                "batch": batch,
                "sparse": sparse,
                "of": len(selection.layers),
                "same": same,
                "apart": apart,
                **found,
            }
        )
    return rows


def report(
    names: list[str], count: int = 1000, rounds: int = 10, seconds: float = 0.05
) -> list[dict[str, Any]]:
    """Measure networks and print a table."""
    out = sys.stdout
    out.write(
        "milliseconds; sparse: convolutions that left the dense library; logits: largest difference, relative;\n"
    )
    out.write("folded: batch norms in the convolutions\n")
    head = (
        "network",
        "batch",
        "sparse",
        "same class",
        "logits",
        "eager",
        "folded",
        "selected",
        "eager / selected",
    )
    widths = (-16, 6, 10, 12, 8, 9, 9, 10, 18)

    def line(*cells: str) -> None:
        found = (
            cell.ljust(-width) if width < 0 else cell.rjust(width)
            for cell, width in zip(cells, widths, strict=True)
        )
        out.write(f"  {''.join(found)}\n")

    line(*head)
    rows = []
    for name in names:
        for row in measure(name, count, rounds, seconds):
            rows.append(row)
            times = [f"{1e3 * row[form]:.2f}" for form in ("eager", "folded", "selected")]
            sparse, ratio = (
                f"{row['sparse']} of {row['of']}",
                f"{row['eager'] / row['selected']:.2f}",
            )
            line(
                name,
                str(row["batch"]),
                sparse,
                f"{row['same']:.1%}",
                f"{row['apart']:.0e}",
                *times,
                ratio,
            )
            out.flush()
    return rows
