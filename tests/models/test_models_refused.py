"""What networks refuse: sizes, names and seeds, images and graphs that do not fit, and what is converted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from explore.data import load_graph_set
from explore.errors import InvalidInput
from explore.models import (
    GCN,
    MLP,
    ConvNet,
    DenseGraphs,
    MLPs,
    Several,
    SparseGraphs,
    Taps,
    accuracy,
    architecture,
    logits_of,
)
from explore.models.trained.loading import load_network

CONVNET = {"channels": 1, "classes": 10, "size": 16, "width": 8}
ARCHITECTURE = {"name": "alexnet", **CONVNET}
MLP_SIZES = {"inputs": 16, "width": 8, "outputs": 10}
GCN_SIZES = {"features": 3, "classes": 2, "width": 4}


@pytest.mark.parametrize(
    ("create", "valid", "change", "message"),
    [
        (ConvNet, CONVNET, {"width": 0}, "width must be a whole number of at least 1, got 0"),
        (ConvNet, CONVNET, {"width": "8"}, "width must be a whole number"),
        (ConvNet, CONVNET, {"channels": 0}, "channels must be a whole number"),
        (ConvNet, CONVNET, {"classes": True}, "classes must be a whole number"),
        (ConvNet, CONVNET, {"size": 0}, "size must be a whole number"),
        (ConvNet, CONVNET, {"size": (16, 16)}, "size must be a whole number"),
        (ConvNet, CONVNET, {"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        (ConvNet, CONVNET, {"depth": 5}, "5 poolings need images of 32 or more pixels"),
        (ConvNet, CONVNET, {"depth": 10**9}, "poolings need images of 2.1000000000 or more"),
        (ConvNet, CONVNET, {"depth": 10**12, "pooling": "none"}, "would have .* weights"),
        (ConvNet, CONVNET, {"width": 10**6}, "would have 1.8e.13 weights, more than 1e.09"),
        (ConvNet, CONVNET, {"width": 1e300}, "far more than 1e100 weights"),
        (ConvNet, CONVNET, {"norm": "group", "width": 6}, "norm 'group' needs .* got 6"),
        (ConvNet, CONVNET, {"size": 1, "pooling": "none"}, "norm 'instance' of a map of one pixel"),
        (ConvNet, CONVNET, {"norm": ["batch"]}, "unknown norm"),
        (ConvNet, CONVNET, {"activation": None}, "unknown activation None"),
        (ConvNet, CONVNET, {"seed": -1}, "seed must be a whole number of at least 0"),
        (ConvNet, CONVNET, {"seed": 2**64}, "seed must be a whole number"),
        (architecture, ARCHITECTURE, {"name": ["vgg11"]}, "unknown architecture"),
        (architecture, ARCHITECTURE, {"width": 0}, "width must be a whole number"),
        (architecture, ARCHITECTURE, {"width": 10**9}, "would have .* weights"),
        (architecture, ARCHITECTURE, {"width": 6, "norm": "group"}, "norm 'group' needs .* got 6"),
        (architecture, ARCHITECTURE, {"width": 4, "norm": "group"}, "norm 'group' needs .* got 6"),
        (architecture, ARCHITECTURE, {"size": "16"}, "size must be a whole number"),
        (architecture, ARCHITECTURE, {"seed": None}, "seed must be a whole number"),
        (MLP, MLP_SIZES, {"inputs": "16"}, "inputs must be a whole number of at least 1, got '16'"),
        (MLP, MLP_SIZES, {"width": 0}, "width must be a whole number"),
        (MLP, MLP_SIZES, {"width": 10**12}, "would have .* weights"),
        (MLPs, MLP_SIZES, {"seeds": 3}, "seeds must be a list, got 3"),
        (MLPs, MLP_SIZES, {"seeds": []}, "seeds must be one for each network, got none"),
        (MLPs, MLP_SIZES, {"seeds": [0, -1]}, "seed must be a whole number"),
        (Several, {}, {"networks": []}, "networks must be one or more"),
        (Several, {}, {"networks": [lambda x: x]}, r"networks\[0\] must be a network"),
        (GCN, GCN_SIZES, {"seed": -1}, "seed must be a whole number"),
        (GCN, GCN_SIZES, {"width": 10**9}, "would have .* weights"),
        (SparseGraphs, {}, {"graphs": [1]}, "graphs must be a GraphSet"),
        (Taps, {}, {"model": ConvNet}, "model must be a network"),
        (Taps, {"model": nn.ReLU()}, {"layers": "conv"}, "layers must be a list of names"),
        (Taps, {"model": nn.ReLU()}, {"inputs": "no"}, "inputs must be true or false"),
        (load_network, {"name": "scenes-vgg"}, {"weights": 3}, "weights must be a path, got 3"),
    ],
)
def test_networks_are_not_created_from_other_values(
    create: Any, valid: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        create(**(valid | change))


def test_numbers_of_numpy_are_numbers() -> None:
    network = ConvNet(np.int64(1), np.array(10), 16.0, width=torch.tensor(8), seed=np.int32(3))  # type: ignore[arg-type]
    expected = ConvNet(1, 10, 16, width=8, seed=3)
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


NET = ConvNet(1, 3, 16, width=4)
IMAGES = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", ["__call__", "embed", "taps"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.numpy(), r"images must be a tensor of floats \[N, 1, H, W\], got float32"),
        (IMAGES[0], r"images must be a tensor of floats \[N, 1, H, W\]"),
        (IMAGES.expand(-1, 3, -1, -1), r"\[N, 1, H, W\], got torch.float32 \[4, 3, 16, 16\]"),
        (IMAGES[:, :, :5, :5], r"3 poolings need images of 8 or more pixels a side, got \[4, 1, 5"),
        ((IMAGES * 0).byte(), "images must be floats, got torch.uint8 .* / 255"),
        (IMAGES.to("meta"), "images must be on the device of the network, cpu, got meta"),
    ],
)
def test_a_convnet_refuses_images_that_do_not_fit(method: str, images: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        getattr(NET, method)(images)


def test_a_convnet_takes_floats_of_another_width() -> None:
    assert torch.equal(NET(IMAGES.double()), NET(IMAGES))
    assert NET(IMAGES.half()).dtype == torch.float32
    with pytest.raises(InvalidInput, match="give images of the size with which"):
        NET(torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("network", "inputs", "message"),
    [
        (MLP(16, 4, 3), np.zeros((2, 16)), "inputs must be a tensor of floats"),
        (MLP(16, 4, 3), torch.zeros(16), "inputs must be a tensor of floats"),
        (MLP(16, 4, 3), torch.zeros(2, 15), "a sample must have 16 values, got 15"),
        (MLP(16, 4, 3), torch.zeros(2, 16).long(), "inputs must be floats, got torch.int64"),
        (MLPs(16, 4, 3, [0, 1]), torch.zeros(2, 3, 16), r"\[N, 1 or 2, ...\], got"),
        (
            Several([NET, NET]),
            torch.zeros(2, 3, 1, 16, 16),
            r"inputs must be a tensor \[N, 2, ...\]",
        ),
        (Several([NET, ConvNet(1, 4, 16, width=4)]), IMAGES[:, None], "the same number of logits"),
        (GCN(3, 2, width=4), IMAGES, "graphs must be SparseGraphs.* or DenseGraphs"),
    ],
)
def test_networks_refuse_inputs_that_do_not_fit(network: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        network(inputs)


def test_graphs_that_do_not_fit_are_refused() -> None:
    graphs = load_graph_set("motifs", count=4)
    dense = DenseGraphs.of(graphs)
    with pytest.raises(InvalidInput, match="a node must have 3 features"):
        GCN(3, 2, width=4)(dense)
    with pytest.raises(InvalidInput, match="mask must be a tensor"):
        DenseGraphs(dense.features, dense.adjacency, dense.mask.numpy())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"true or false for mask, got .* torch\.float32$"):
        DenseGraphs(dense.features, dense.adjacency, dense.mask.float())
    with pytest.raises(InvalidInput, match="nodes must be smaller, got 1000000"):
        DenseGraphs.of(graphs, 10**6)
    with pytest.raises(InvalidInput, match="unknown pool 'max'"):
        dense.pool(dense.features, "max")


class Returning(nn.Module):
    """A network that returns what a function makes of its logits."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.network, self.function = NET, function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.network(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": lambda x: x}, "network must be a network"),
        ({"network": Returning(lambda z: (z, z))}, "it returns tuple; wrap it"),
        ({"network": Returning(lambda z: {"logits": z})}, "it returns dict; wrap it"),
        ({"network": Returning(lambda z: z[0])}, r"it returns \[3\]; wrap it"),
        ({"network": Returning(lambda z: z * float("nan"))}, "logits that are NaN or infinite"),
        ({"network": Returning(lambda z: z / 0)}, "logits that are NaN or infinite, .* image 0"),
        ({"images": IMAGES * float("nan")}, "logits that are NaN or infinite"),
        ({"images": IMAGES.expand(-1, 3, -1, -1)}, "images must be a tensor of floats"),
        ({"images": IMAGES[:0]}, "images"),
        ({"images": torch.tensor(1.0)}, "images"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
    ],
)
def test_scores_of_other_networks_and_images_are_refused(
    change: dict[str, Any], message: str
) -> None:
    options = {"network": NET, "images": IMAGES} | change
    with pytest.raises(InvalidInput, match=message):
        logits_of(**options)
    with pytest.raises(InvalidInput, match=message):
        accuracy(**options, labels=torch.arange(4) % 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(4), r"labels must be integers \[4\], got torch.float32"),
        (torch.eye(4)[:, :3], "labels must be integers .* pass labels.argmax"),
        (torch.arange(4), "labels must be classes 0 to 2, as the network has 3 logits; got 3"),
        (torch.arange(4) - 1, "got -1 in image 0"),
        (torch.zeros(3).long(), "4 images, 3 labels"),
    ],
)
def test_labels_of_an_accuracy_are_checked(labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        accuracy(NET, IMAGES, labels)


def test_scores_take_arrays_and_other_widths() -> None:
    expected = logits_of(NET, IMAGES)
    for images in (IMAGES.numpy(), IMAGES.double(), list(IMAGES), IMAGES.clone().requires_grad_()):
        assert torch.equal(logits_of(NET, images), expected)
    labels = expected.argmax(1)
    assert accuracy(NET, IMAGES.numpy(), labels.numpy().astype(np.uint16)) == 1


def test_weights_that_are_nan_are_refused(tmp_path: Any) -> None:
    network, _ = load_network("scenes-vgg")
    state = {name: values.clone() for name, values in network.state_dict().items()}
    first = next(name for name, values in state.items() if values.is_floating_point())
    state[first].view(-1)[0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(InvalidInput, match=f"nan.pth holds NaN or infinities in {first}"):
        load_network("scenes-vgg", tmp_path / "nan.pth")
