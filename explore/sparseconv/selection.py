"""Selection: which convolutions of a network are faster by the bitmap engine, timed once on real activations, kept as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Self

import numba
import torch
from torch import nn

from explore.errors import InvalidInput, UnknownName
from explore.sparseconv.density import Seen, convolved_maps
from explore.sparseconv.layer import METHODS, Layer

FORMAT = 1

WORTH = 0.97
"""Share of the dense network's time below which a selection is worth while; closer is noise."""


@dataclass(frozen=True)
class Choice:
    """What was found out about one convolution.

    Attributes:
        method: the fastest.
        density: the smallest and the largest density seen, of single images.
        dense_from: density from which on the dense convolution is taken to be faster.
        seconds: medians of each method, on the calibration images.
    """

    method: str
    density: tuple[float, float]
    dense_from: float
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Selection:
    """What was chosen for each convolution of a network, and where it was timed.

    Attributes:
        layers: by the names of the network's convolutions, as in ``model.named_modules()``.
        about: batch size, threads, versions, medians of the whole network (batch norms folded) without and with the selection.
    """

    layers: Mapping[str, Choice]
    about: Mapping[str, Any]

    def __repr__(self) -> str:
        sparse = sum(choice.method != "torch" for choice in self.layers.values())
        return f"Selection({sparse} of {len(self.layers)} convolutions leave the dense library)"

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        out = Path(path)
        kept = {"format": FORMAT, "about": dict(self.about), "layers": {name: asdict(c) for name, c in self.layers.items()}}
        out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        return out

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            InvalidInput: the file is something else.
        """
        try:
            kept = json.loads(Path(path).read_text(encoding="utf-8"))
            if kept["format"] != FORMAT:
                raise InvalidInput(f"{path} has format {kept['format']}, this version reads {FORMAT}")
            layers = {
                name: Choice(c["method"], (c["density"][0], c["density"][1]), float(c["dense_from"]), c["seconds"])
                for name, c in kept["layers"].items()
            }
            if odd := [c.method for c in layers.values() if c.method not in METHODS]:
                raise UnknownName("method", odd[0], METHODS)
            return cls(layers, kept["about"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"{path} is no selection: {error!r}") from error


def select(
    model: nn.Module,
    images: torch.Tensor,
    methods: Sequence[str] = ("torch", "bitmap"),
    *,
    batch: int = 1,
    pointwise: bool = False,
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
    if odd := [name for name in methods if name not in METHODS or name == "auto"]:
        raise UnknownName("method", odd[0], [name for name in METHODS if name != "auto"])
    if "torch" not in methods:
        raise InvalidInput(f"methods must hold 'torch', what the others are compared with; got {list(methods)}")
    if not 1 <= batch <= len(images):
        raise InvalidInput(f"batch must be 1 to {len(images)}, the number of images, got {batch}")
    found: dict[str, Choice] = {}
    chosen = [one for one in convolved_maps(model, images) if one.geometry is not None and (pointwise or not one.pointwise)]
    first: dict[str, Seen] = {}
    for one in chosen:
        first.setdefault(one.name.partition("#")[0], one)  # a module that is called twice is timed once
    for done, (name, one) in enumerate(first.items()):
        found[name] = _timed(one, images[:batch].is_contiguous(memory_format=torch.channels_last), methods, batch, seconds)
        if progress is not None:
            progress(done + 1, len(first))
    about: dict[str, Any] = {"batch": batch, "threads": numba.get_num_threads()}
    about |= {"torch": str(torch.__version__), "numba": numba.__version__}
    return _as_a_whole(model, images[:batch], Selection(found, about), seconds)


def _as_a_whole(model: nn.Module, images: torch.Tensor, selection: Selection, seconds: float) -> Selection:
    """The selection, or one without sparse convolutions if the whole network is not faster with them.

    Alone a convolution may win and yet lose in its network: PyTorch's threads go on spinning for milliseconds after each of
    its operations, and share the cores with whoever comes next.
    """
    from explore.sparseconv.conversion import convert

    dense = Selection({name: replace(choice, method="torch") for name, choice in selection.layers.items()}, {})
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
    return Selection(selection.layers if better else dense.layers, {**selection.about, "whole network, seconds": whole})


def _timed(one: Seen, last: bool, methods: Sequence[str], batch: int, seconds: float) -> Choice:
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
    if method != "torch":  # time grows with density, about in proportion: where would the dense one win?
        most = min(1.0, max(most, float(shares.mean()) * medians["torch"] / medians[method]))
    return Choice(method, (float(shares.min()), float(shares.max())), most, medians)


def as_layer(module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False) -> Layer:
    """A convolution module as a ``Layer``.

    Raises:
        InvalidInput: it is grouped, dilated or unevenly padded.
    """
    from explore.sparseconv.density import geometry_of

    kernel = tuple(int(size) for size in module.kernel_size)
    geometry = geometry_of(module, (1, module.in_channels, 4 * kernel[0], 4 * kernel[1]))
    if geometry is None:
        raise InvalidInput(f"{module} is grouped, dilated or padded in a way that the formats do not know")
    padding, weight = geometry.padding, module.weight
    return Layer(weight, module.bias, geometry.stride, padding, method, relu, dense_from)
