"""The function ``select``, which times each convolution of a network by several methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter
from typing import Any

import numba
import torch
from torch import nn

from explore.core.tensor_validation import check_network
from explore.core.validation import (
    check_callable,
    check_choice,
    check_flag,
    check_items,
    check_number,
    check_whole_number,
)
from explore.errors import InvalidInput
from explore.sparseconv.convolution import METHOD_NAMES
from explore.sparseconv.networks.convert import convert
from explore.sparseconv.networks.convolution_inputs import (
    ConvolutionInput,
    convolution_inputs,
    network_input,
)
from explore.sparseconv.networks.sparse_module import as_layer
from explore.sparseconv.networks.structure import (
    apply_pruning,
    copy_network,
    is_plain_convolution,
)
from explore.sparseconv.networks.tuning_result import MethodChoice, Selection

MAX_TIME_RATIO = 0.97
"""Share of the dense network's time below which a selection is used. A smaller gain is noise."""


MAX_SECONDS = 3600.0
"""The longest time for one method of one convolution."""


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
    """Select the fastest method of each convolution, timed on its real input.

    The times include the encoding of the maps. At the end the whole network is timed with and
    without the selected methods. If it is not faster with them, the dense library is selected for
    all convolutions.

    Args:
        model: any network, in evaluation mode. It is not changed. Convolutions that are grouped,
            dilated or unevenly padded are left out, and those that compute something else than
            PyTorch's own, by hooks, a derived class or a parametrisation.
        images: float ``[N, ...]``, the input of the network: for calibration, not from a test set.
            The outputs of the converted network are compared on the first ``batch`` of them.
        methods: of ``prepare``; "torch" must be one of them.
        batch: number of images that are convolved at a time, as in later use.
        pointwise: include kernels of 1×1.
        seconds: approximate time for each method of each convolution. The whole network takes ten
            times as long. At most an hour.
        progress: called with the number of finished convolutions and of all.

    Raises:
        InvalidInput: there are fewer images than ``batch``, "torch" is missing, the network is in
            training mode, or it differs after the conversion (see ``convert``).
        UnknownName: a method is unknown.

    Example:
        >>> from explore.models import ConvNet
        >>> net = ConvNet(1, 10, 16, width=16, pooling="max").eval()
        >>> selection = select(net, torch.rand(2, 1, 16, 16), seconds=0.001)
        >>> sorted(selection.layers)
        ['blocks.0.conv', 'blocks.1.conv', 'blocks.2.conv']
    """
    methods = _check_methods(methods)
    if check_network("model", model).training:
        raise InvalidInput("the network is in training mode; call model.eval() first")
    images = network_input(model, images, finite=True)
    batch = check_whole_number("batch", batch)
    if not 1 <= batch <= len(images):
        raise InvalidInput(f"batch must be 1 to {len(images)}, the number of images, got {batch}")
    pointwise = check_flag("pointwise", pointwise)
    seconds = check_number("seconds", seconds, above=0, at_most=MAX_SECONDS)
    if progress is not None:
        check_callable("progress", progress, "that takes two numbers")
    network = copy_network(model)
    apply_pruning(network)
    # A module that is called several times is timed on its first input.
    names = {module: name for name, module in reversed(list(network.named_modules()))}
    inputs: dict[str, ConvolutionInput] = {}
    for layer in convolution_inputs(network, images):
        supported = layer.geometry is not None and is_plain_convolution(layer.module)
        if supported and _is_float32(layer.module) and (pointwise or not layer.pointwise):
            inputs.setdefault(names[layer.module], layer)
    choices: dict[str, MethodChoice] = {}
    channels_last = images[:batch].is_contiguous(memory_format=torch.channels_last)
    for count, (name, layer) in enumerate(inputs.items(), 1):
        choices[name] = _fastest_method(layer, channels_last, methods, batch, seconds)
        if progress is not None:
            _report(progress, count, len(inputs))
    about: dict[str, Any] = {"batch": batch, "threads": numba.get_num_threads()}
    about |= {"torch": str(torch.__version__), "numba": numba.__version__}
    return _faster_network(model, images[:batch], Selection(choices, about), seconds)


def _check_methods(methods: Any) -> list[str]:
    names = [name for name in METHOD_NAMES if name != "auto"]
    methods = [check_choice("method", name, names) for name in check_items("methods", methods)]
    if "torch" not in methods:
        raise InvalidInput(
            f"methods must hold 'torch', with which the others are compared; got {methods}"
        )
    return methods


def _report(progress: Callable[[int, int], None], count: int, total: int) -> None:
    try:
        progress(count, total)
    except TypeError as error:
        raise InvalidInput(
            f"progress must be a function that takes two numbers: {error}"
        ) from error


def _is_float32(module: nn.Conv2d) -> bool:
    return all(p.dtype is torch.float32 and bool(p.isfinite().all()) for p in module.parameters())


def _fastest_method(
    layer: ConvolutionInput,
    channels_last: bool,
    methods: Sequence[str],
    batch: int,
    seconds: float,
) -> MethodChoice:
    maps = torch.from_numpy(layer.maps)
    if channels_last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    densities = (maps != 0).flatten(1).float().mean(1)
    layers = {name: as_layer(layer.module, name) for name in methods}
    times: dict[str, list[float]] = {name: [] for name in methods}
    starts = range(0, len(maps) - batch + 1, batch)
    for name, convolve in layers.items():
        convolve(maps[:batch])  # compiles, and allocates the buffers
        times[name].append(_seconds(convolve, maps[:batch]))
    slowest = max(first for (first,) in times.values())
    rounds = max(3, math.ceil(seconds / slowest / len(starts)))
    for _ in range(rounds):
        # Interleaved, so that system noise affects all methods equally.
        for name, convolve in layers.items():
            for start in starts:
                times[name].append(_seconds(convolve, maps[start : start + batch]))
    medians = {name: median(values) for name, values in times.items()}
    method = min(medians, key=lambda name: medians[name])
    low, high = float(densities.min()), float(densities.max())
    dense_from = _dense_threshold(method, medians, float(densities.mean()), high)
    return MethodChoice(method, (low, high), dense_from, medians)


def _dense_threshold(
    method: str, medians: Mapping[str, float], mean_density: float, max_density: float
) -> float:
    """Estimate from which density on the dense convolution is faster.

    The time of a sparse method grows about in proportion to the density. The estimate is not below
    the largest measured density, at which the sparse method was faster.
    """
    if method == "torch":
        return max_density
    return min(1.0, max(max_density, mean_density * medians["torch"] / medians[method]))


def _faster_network(
    model: nn.Module, images: torch.Tensor, selection: Selection, seconds: float
) -> Selection:
    """Return the selection, or one of the dense library if the whole network is not faster.

    A convolution may be faster alone and slower in its network. There the caches hold other data,
    and the threads of PyTorch's last operation are still spinning.
    """
    dense = selection.without_sparse()
    networks = {
        "dense": convert(model, dense, images=images),
        "selected": convert(model, selection, images=images),
    }
    times: dict[str, list[float]] = {name: [] for name in networks}
    end = perf_counter() + 10 * seconds
    with torch.inference_mode():
        while len(times["dense"]) < 3 or perf_counter() < end:
            for name, network in networks.items():
                network(images)
                times[name] += [_seconds(network, images) for _ in range(3)]
    medians = {name: median(values) for name, values in times.items()}
    is_faster = medians["selected"] < MAX_TIME_RATIO * medians["dense"]
    about = {**selection.about, "whole network, seconds": medians}
    return Selection(selection.layers if is_faster else dense.layers, about)


def _seconds(function: Callable[[torch.Tensor], Any], x: torch.Tensor) -> float:
    begin = perf_counter()
    function(x)
    return perf_counter() - begin
