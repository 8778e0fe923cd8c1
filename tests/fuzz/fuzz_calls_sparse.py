"""Valid calls of convolutions that skip zeros."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from fuzz_calls_models import images, network, random
from fuzz_judge import Call

from explore.sparseconv import (
    Encoding,
    Geometry,
    Layer,
    Selection,
    convert,
    encode,
    encode_cps_stream,
    prepare,
)
from explore.sparseconv.networks.tuning_result import MethodChoice

CHOICE = MethodChoice("bitmap", (0.0, 1.0), 1.0, {})


def x() -> torch.Tensor:
    values = random(1, 2, 6, 6)
    return values * (random(1, 2, 6, 6, seed=5) > 1)


def weight() -> torch.Tensor:
    return random(3, 2, 3, 3, seed=6)


def bias() -> torch.Tensor:
    return random(3, seed=7)


def layer() -> Layer:
    return prepare(weight(), bias(), padding=1)


def encoding() -> Encoding:
    return encode(x(), 3)


def geometry() -> Geometry:
    return Geometry((1, 2, 6, 6), 3, 1, 1)


def selection() -> Selection:
    return Selection({"blocks.1.conv": CHOICE}, {})


@cache
def converted() -> Any:
    return convert(network(), selection())


def sizes(**more: Any) -> dict[str, Any]:
    return {"stride": 1, "padding": 1, **more}


NAN_IS_NO_ZERO = {
    f"{name}: one {value}": "it counts as a value that is not zero"
    for name in ("x", "images")
    for value in ("NaN", "Inf")
}
PADDING = {f"padded: one {value}": "it lies in the padding" for value in ("NaN", "Inf")}

CALLS = {
    "explore.sparseconv.conv2d": Call(
        lambda: {"x": x(), "weight": weight(), "bias": bias(), **sizes(method="auto")}
    ),
    "explore.sparseconv.encode": Call(
        lambda: {"x": x(), "kernel_size": 3, **sizes(method="cpo")},
        after=lambda code: code.nbytes,
        names={"kernel_size": "kernel"},
        accepts=NAN_IS_NO_ZERO,
    ),
    "explore.sparseconv.encode_cps_stream": Call(
        lambda: {"x": x(), "kernel_size": 3, **sizes(index_bytes=2)},
        after=lambda code: code.values,
        names={"kernel_size": "kernel"},
    ),
    "explore.sparseconv.CPSStream.readings": Call(
        lambda: {"self": encode_cps_stream(x()[:, :1], 3), "pointers": True}, after=list
    ),
    "explore.sparseconv.prepare": Call(
        lambda: {"weight": weight(), "bias": bias(), **sizes(method="bitmap", relu=True)},
        after=lambda convolve: convolve(x()),
    ),
    "explore.sparseconv.Layer": Call(
        lambda: {
            "weight": weight(),
            "bias": bias(),
            **sizes(method="bitmap", relu=True, dense_from=0.9),
        },
        after=lambda convolve: convolve(x()),
    ),
    "explore.sparseconv.Layer.__call__": Call(lambda: {"self": layer(), "x": x()}),
    "explore.sparseconv.multiply": Call(
        lambda: {"encoding": encoding(), "weight": weight(), "bias": bias(), "last": False}
    ),
    "explore.sparseconv.Encoding.compression_ratio": Call(
        lambda: {"self": encoding(), "versus": "im2col", "unit": "bytes"},
        names={"versus": "format"},
    ),
    "explore.sparseconv.Encoding.convolve": Call(
        lambda: {"self": encoding(), "weight": weight(), "bias": bias()}
    ),
    "explore.sparseconv.Geometry": Call(
        lambda: {"shape": (1, 2, 6, 6), "kernel_size": 3, "stride": 1, "padding": 1},
        after=str,
        names={"kernel_size": "kernel"},
    ),
    "explore.sparseconv.Geometry.crop": Call(
        lambda: {"self": geometry(), "padded": geometry().pad(x().numpy())}, accepts=PADDING
    ),
    "explore.sparseconv.Geometry.pad": Call(lambda: {"self": geometry(), "x": x().numpy()}),
    "explore.sparseconv.density_bound": Call(
        lambda: {
            "geometry": geometry(),
            "versus": "cscc",
            "lowered_density": 0.5,
            "index_bytes": 4,
            "pointer_bytes": 4,
        },
        names={"lowered_density": "density", "versus": "format"},
    ),
    "explore.sparseconv.activation_density": Call(
        lambda: {"model": network(), "images": images(), "layers": ["blocks.1.conv"]},
        names={"model": "network", "layers": "convolution"},
        accepts=NAN_IS_NO_ZERO,
    ),
    "explore.sparseconv.agreement": Call(
        lambda: {"model": network(), "converted": converted(), "images": images(), "batch": 4},
        names={"model": "network", "converted": "network"},
    ),
    "explore.sparseconv.convert": Call(
        lambda: {"model": network(), "selection": selection(), "fold": True},
        after=lambda net: net(images()),
        names={"model": "network"},
    ),
    "explore.sparseconv.select": Call(
        lambda: {
            "model": network(),
            "images": images(),
            "methods": ["torch", "bitmap"],
            "batch": 1,
            "pointwise": True,
            "seconds": 0.0001,
            "progress": None,
        },
        after=lambda chosen: sorted(chosen.layers),
        names={"model": "network", "methods": "method"},
    ),
    "explore.sparseconv.load_network": Call(
        lambda: {"name": "scenes-vgg", "weights": ""},
        after=lambda pair: pair[0],
        names={"name": "network"},
        accepts={"weights: empty text": "the default"},
    ),
    "explore.sparseconv.Selection.load": Call(
        lambda: {"self": Selection, "path": str(selection().save("selection.json"))},
        after=str,
        names={"path": "file|selection.json"},
    ),
    "explore.sparseconv.Selection.save": Call(
        lambda: {"self": selection(), "path": "selection.json"},
        after=str,
        accepts={"path": "the name of a file"},
    ),
    # The lab.
    "explore.sparseconv.lab.copies": Call(
        lambda: {"x": (x()[0, 0, :4, :4].numpy() > 1.3) * 2.0, "kernel_size": 3},
        after=str,
        names={"kernel_size": "kernel", "x": "map|cell"},
    ),
    "explore.sparseconv.lab.neighbour_values": Call(
        lambda: {"network": "scenes-vgg", "image": 1},
        after=str,
        names={"network": "recording|zip file"},
    ),
    "explore.sparseconv.lab.patterns": Call(
        lambda: {"*networks": "scenes-vgg"}, after=str, names={"*networks": "recording|zip file"}
    ),
    "explore.sparseconv.lab.densities": Call(
        lambda: {"*networks": "scenes-vgg"}, after=str, names={"*networks": "recording|zip file"}
    ),
    "explore.sparseconv.lab.survey": Call(
        lambda: {"name": "scenes-vgg"}, after=str, names={"name": "recording|network|zip file"}
    ),
}
