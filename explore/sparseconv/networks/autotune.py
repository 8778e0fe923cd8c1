"""select: which convolutions of a network are faster by another method, timed once on real activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numba
import torch
from torch import nn

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.convolution import METHOD_NAMES
from explore.sparseconv.networks.convert import as_layer, convert
from explore.sparseconv.networks.density import ConvolutionInput, convolved_maps
from explore.sparseconv.networks.tuning_result import Choice, Selection

WORTH = 0.97
"""Share of the dense network's time below which a selection is worth while; closer is noise."""


def select(
    model: nn.Module,
    images: torch.Tensor,
    methods: Sequence[str] = ("torch", "bitmap"),
    *,
    batch: int = 1,
    pointwise: bool = True,
    seconds: float = 0.1,
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Time every convolution of a network by each method, on what it really takes in; packing of the maps is counted.

    In the end the whole network is timed with all that was chosen and without: if that is not faster, nothing is chosen.

    Args:
        model: any network, in evaluation mode; convolutions that are grouped, dilated or unevenly padded are left out.
        images: float32 ``[N, ...]``, what the network takes: for calibration, not from a test set.
        methods: of ``prepare``; "torch" must be one of them.
        batch: images that are convolved at a time, as they will be later.
        pointwise: also kernels of 1×1.
        seconds: spent on each method of each convolution, about, and ten times as many on the whole network.
        progress: called with the number of convolutions done and of all.

    Raises:
        InvalidInput: fewer images than ``batch``, or no "torch".
        UnknownName: no such method.

    Example:
        >>> from explore.models import ConvNet
        >>> net = ConvNet(1, 10, 16, width=16, pooling="max").eval()
        >>> found = select(net, torch.rand(2, 1, 16, 16), seconds=0.001)
        >>> sorted(found.layers)
        ['blocks.0.conv', 'blocks.1.conv', 'blocks.2.conv']
    """
    if odd := [name for name in methods if name not in METHOD_NAMES or name == "auto"]:
        raise UnknownName("method", odd[0], [name for name in METHOD_NAMES if name != "auto"])
    if "torch" not in methods:
        raise InvalidInput(
            f"methods must hold 'torch', what the others are compared with; got {list(methods)}"
        )
    if not 1 <= batch <= len(images):
        raise InvalidInput(f"batch must be 1 to {len(images)}, the number of images, got {batch}")
    found: dict[str, Choice] = {}
    chosen = [
        one
        for one in convolved_maps(model, images)
        if one.geometry is not None and (pointwise or not one.pointwise)
    ]
    first: dict[str, ConvolutionInput] = {}
    for one in chosen:
        first.setdefault(
            one.name.partition("#")[0], one
        )  # a module that is called twice is timed once
    for done, (name, one) in enumerate(first.items()):
        found[name] = _timed(
            one,
            images[:batch].is_contiguous(memory_format=torch.channels_last),
            methods,
            batch,
            seconds,
        )
        if progress is not None:
            progress(done + 1, len(first))
    about: dict[str, Any] = {"batch": batch, "threads": numba.get_num_threads()}
    about |= {"torch": str(torch.__version__), "numba": numba.__version__}
    return _as_a_whole(model, images[:batch], Selection(found, about), seconds)


def _as_a_whole(
    model: nn.Module, images: torch.Tensor, selection: Selection, seconds: float
) -> Selection:
    """The selection, or one without sparse convolutions if the whole network is not faster with them.

    Alone a convolution may win and yet lose in its network: there it finds other things in the caches, and threads that
    PyTorch's last operation left watching.
    """
    dense = selection.without_sparse()
    networks = {"dense": convert(model, dense), "selected": convert(model, selection)}
    taken: dict[str, list[float]] = {name: [] for name in networks}
    end = perf_counter() + 10 * seconds
    with torch.inference_mode():
        while len(taken["dense"]) < 3 or perf_counter() < end:
            for name, network in networks.items():
                network(images)
                for _ in range(3):
                    begin = perf_counter()
                    network(images)
                    taken[name].append(perf_counter() - begin)
    whole = {name: median(times) for name, times in taken.items()}
    better = whole["selected"] < WORTH * whole["dense"]
    return Selection(
        selection.layers if better else dense.layers,
        {**selection.about, "whole network, seconds": whole},
    )


def _timed(
    one: ConvolutionInput, last: bool, methods: Sequence[str], batch: int, seconds: float
) -> Choice:
    module, maps = one.module, torch.from_numpy(one.maps)
    if last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    shares = (maps != 0).flatten(1).float().mean(1)
    layers = {name: as_layer(module, name) for name in methods}
    taken: dict[str, list[float]] = {name: [] for name in methods}
    starts = range(0, len(maps) - batch + 1, batch)
    for name, layer in layers.items():
        layer(maps[:batch])  # compiled, and its buffers made
        begin = perf_counter()
        layer(maps[:batch])
        taken[name].append(perf_counter() - begin)
    rounds = max(3, math.ceil(seconds / max(times[0] for times in taken.values()) / len(starts)))
    for _ in range(rounds):
        for name, layer in layers.items():  # in turn, so that all meet the same weather
            for start in starts:
                some = maps[start : start + batch]
                begin = perf_counter()
                layer(some)
                taken[name].append(perf_counter() - begin)
    medians = {name: median(times) for name, times in taken.items()}
    method = min(medians, key=lambda name: medians[name])
    most = float(shares.max())
    if (
        method != "torch"
    ):  # time grows with density, about in proportion: where would the dense one win?
        most = min(1.0, max(most, float(shares.mean()) * medians["torch"] / medians[method]))
    return Choice(method, (float(shares.min()), float(shares.max())), most, medians)
