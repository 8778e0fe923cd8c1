"""Density and sizes of the inputs of convolutions, against loops and unfold; invalid networks and images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from sparse_oracles import brute_sizes, literal_cpo, make_case, net, noise, stored_positions
from torch import nn
from torch.nn.functional import pad, relu, unfold

from explore.errors import InvalidInput
from explore.models import Taps
from explore.sparseconv import activation_density, encode
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES
from explore.sparseconv.networks.convolution_inputs import (
    ConvolutionInput,
    convolution_inputs,
    module_geometry,
)
from explore.sparseconv.networks.density import density_frame, work_left


def expected_layer(
    module: nn.Conv2d, x: torch.Tensor, padding: tuple[int, int]
) -> dict[str, float]:
    """Return density, work and sizes of the input of a convolution, by unfolding and loops."""
    c = x.shape[1]
    (kh, kw), (_, sw) = module.kernel_size, module.stride
    columns = unfold((x != 0).float(), module.kernel_size, padding=padding, stride=module.stride)
    padded = pad((x != 0).int(), (padding[1], padding[1], padding[0], padding[0]))[0]
    height, width = padded.shape[1:]
    windows = [range(s, s + kw) for s in range(0, width - kw + 1, sw)]
    lowered = sum(int(padded[:, :, window].sum()) for window in windows)
    read = sorted({j for window in windows for j in window})
    once = int(padded[:, :, read].sum())
    classes = -(-kw // sw)
    return {
        "density": float((x != 0).double().mean()),
        "work": float(columns.double().mean()),
        "im2col": c * kh * kw * columns.shape[2],
        "mec": c * kw * height * len(windows),
        "cscc": len(windows) + 1 + 2 * lowered,
        "cpo": classes * (len(windows) + 1) + 2 * once,
    }


PLAIN: list[tuple[dict[str, Any], tuple[int, int]]] = [
    ({"kernel_size": 3}, (0, 0)),
    ({"kernel_size": 3, "padding": 1}, (1, 1)),
    ({"kernel_size": 3, "padding": "same"}, (1, 1)),
    ({"kernel_size": (5, 3), "padding": "same"}, (2, 1)),
    ({"kernel_size": 3, "padding": "valid"}, (0, 0)),
    ({"kernel_size": (2, 4), "padding": (2, 0), "stride": (1, 3)}, (2, 0)),
    ({"kernel_size": 3, "padding": 1, "stride": 2}, (1, 1)),
    ({"kernel_size": 2, "stride": 3}, (0, 0)),
    ({"kernel_size": 1}, (0, 0)),
    ({"kernel_size": 1, "stride": 2}, (0, 0)),
    ({"kernel_size": (1, 7), "padding": (0, 3)}, (0, 3)),
]


@pytest.mark.parametrize(("options", "padding"), PLAIN)
def test_density_work_and_sizes_are_those_of_loops(
    options: dict[str, Any], padding: tuple[int, int]
) -> None:
    model = net(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 3, **options))
    images = noise(3, 2, 9, 11, seed=7)
    survey = activation_density(model, images)
    assert survey.density.dims == ("image", "layer")
    assert survey["bytes"].dims == ("image", "layer", "format")
    assert survey.layer.values.tolist() == ["0", "2"]
    assert survey["format"].values.tolist() == list(FORMAT_NAMES)
    module = model[2]
    for n in range(3):
        x = relu(model[0](images[n : n + 1]))
        expected = expected_layer(module, x, padding)
        row = survey.isel(image=n, layer=1)
        assert float(row.density) == pytest.approx(expected["density"], abs=1e-12)
        assert float(row.work) == pytest.approx(expected["work"], rel=1e-6)
        for name in ("im2col", "mec", "cscc", "cpo"):
            assert float(row.elements.sel(format=name)) == expected[name]
        assert row["bytes"].values[:2].tolist() == [4 * expected["im2col"], 4 * expected["mec"]]
        for name in ("cscc", "cpo", "cps"):
            own = encode(x.detach().numpy(), module.kernel_size, module.stride, padding, name)
            assert (float(row["bytes"].sel(format=name)), float(row.elements.sel(format=name))) == (
                own.nbytes,
                own.elements,
            )
    assert survey["shape"].values.tolist() == [[2, 9, 11], [5, 9, 11]]
    assert survey.filters.values.tolist() == [5, 3]
    assert survey.kernel.values[1].tolist() == list(module.kernel_size)
    assert survey.stride.values[1].tolist() == list(module.stride)
    assert survey.padding.values[1].tolist() == list(padding)
    assert survey.pointwise.values.tolist() == [False, module.kernel_size == (1, 1)]


@pytest.mark.parametrize("seed", range(12))
def test_work_is_the_filled_share_of_the_im2col_matrix(seed: int) -> None:
    random = np.random.default_rng(seed)
    kernel, stride, padding = (
        (int(a), int(b))
        for a, b in random.integers([[1, 1], [1, 1], [0, 0]], [[5, 5], [4, 4], [3, 3]])
    )
    case = make_case(2, 3, 1, (8, 9), kernel, stride, padding, [0.0, 0.2, 0.7, 1.0][seed % 4], seed)
    matrix = unfold(torch.from_numpy(case.x != 0).float(), kernel, padding=padding, stride=stride)
    geometry = Geometry(case.x.shape, kernel, stride, padding)
    assert work_left(case.x, geometry) == pytest.approx(float(matrix.mean()), rel=1e-6, abs=1e-12)
    sizes = brute_sizes(case)
    single = case._replace(x=case.x[:1, :1])
    inputs = [
        ConvolutionInput(
            "a",
            nn.Conv2d(1, 1, kernel, stride, padding),
            single.x,
            Geometry(single.x.shape, kernel, stride, padding),
        )
    ]
    values, _, pointers = literal_cpo(single)
    assert len(values) == len(stored_positions(single))
    assert float(density_frame(inputs).elements.sel(layer="a", format="cpo")) == 2 * len(
        values
    ) + sum(map(len, pointers))
    assert geometry.output == (sizes.oh, sizes.ow)


ODD: list[dict[str, Any]] = [
    {"kernel_size": 3, "groups": 2},
    {"kernel_size": 3, "groups": 4},
    {"kernel_size": 3, "dilation": 2},
    {"kernel_size": 3, "dilation": (1, 2)},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
    {"kernel_size": (2, 3), "padding": "same"},
    {"kernel_size": 4, "padding": "same"},
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("options", ODD)
def test_unsupported_convolutions_have_a_density_and_no_size(options: dict[str, Any]) -> None:
    model = net(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, **options))
    x = noise(1, 1, 8, 8)
    layer = activation_density(model, x).isel(image=0, layer=1)
    assert float(layer.density) == float((relu(model[0](x)) != 0).double().mean())
    assert np.isnan(layer["bytes"].values).all()
    assert np.isnan(layer.elements.values).all()
    assert np.isnan(float(layer.work))
    assert layer.padding.values.tolist() == [-1, -1]
    assert layer.kernel.values.tolist() == list(model[2].kernel_size)
    frame = density_frame(convolution_inputs(model, x), maps=True)
    assert frame.offset.values.tolist() == [-1, -1]  # pointwise, unknown
    assert frame["levels"].size == 0


def test_only_conv2d_is_measured() -> None:
    model = net(nn.ConvTranspose2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Flatten(2), nn.Conv1d(2, 2, 3))
    assert activation_density(model, noise(1, 1, 8, 8)).layer.values.tolist() == ["1"]


def test_a_module_called_twice_is_measured_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(relu(self.conv(x)))

    model, x = Twice(), noise(1, 2, 6, 6)
    survey = activation_density(model, x)
    assert survey.layer.values.tolist() == ["conv", "conv#2"]
    assert survey.density.values[0].tolist() == [
        1.0,
        float((relu(model.conv(x)) != 0).double().mean()),
    ]


def test_keyword_calls_and_names_with_a_number_sign_are_measured() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("a#2", nn.Conv2d(2, 3, 3))
            self.linear = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(input=getattr(self, "a#2")(input=x).mean((2, 3)))

    model, x = Named(), noise(1, 2, 6, 6)
    assert activation_density(model, x).layer.values.tolist() == ["a#2"]
    with Taps(model, inputs=True) as taps:
        model(x)
    assert torch.equal(taps.maps["a#2"], x)
    assert taps.embedding is not None
    assert taps.embedding.shape == (1, 3)


def test_inputs_are_copied_before_they_are_overwritten() -> None:
    class Overwriting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.second = (
                nn.Conv2d(1, 4, 3),
                nn.ReLU(inplace=True),
                nn.Conv2d(4, 1, 3),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.act(self.first(x))
            z = self.second(y)
            y.zero_()
            x.zero_()
            return z

    model, x = Overwriting(), noise(1, 1, 8, 8)
    expected = [x.clone().numpy(), relu(model.first(x)).detach().numpy()]
    inputs = convolution_inputs(model, x)
    for layer, maps in zip(inputs, expected, strict=True):
        np.testing.assert_array_equal(layer.maps, maps)


def test_minus_zero_is_zero_and_nan_is_a_value() -> None:
    x = torch.tensor([[[[0.0, -0.0, float("nan")], [float("inf"), 1e-40, 0.0]]]])
    assert activation_density(net(nn.Conv2d(1, 1, 1)), x).density.item() == 0.5


def test_half_precision_is_measured() -> None:
    model = net(nn.Conv2d(1, 2, 3)).to(torch.bfloat16)
    assert activation_density(model, noise(1, 1, 5, 5).to(torch.bfloat16)).density.item() == 1


def test_selected_layers_are_in_order_of_computation() -> None:
    model, x = (
        net(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3)),
        noise(2, 1, 9, 9),
    )
    all_layers = activation_density(model, x)
    for layers in (["4", "0"], iter(["4", "0"]), ("0", "4")):
        xarray.testing.assert_identical(
            activation_density(model, x, layers), all_layers.sel(layer=["0", "4"])
        )
    assert activation_density(model, x, "2").layer.values.tolist() == ["2"]


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("training", [False, True])
def test_the_network_and_the_random_state_do_not_change(training: bool) -> None:
    model = net(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).train(
        training
    )
    model[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random, modes = torch.get_rng_state(), [m.training for m in model.modules()]
    survey = activation_density(model, noise(3, 1, 9, 9))
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert hooks(model) == 0
    own = nn.BatchNorm2d(4).train(training)  # what is seen is what this mode computes
    own.load_state_dict(model[1].state_dict())
    share = [float((relu(own(model[0](x[None]))) != 0).double().mean()) for x in noise(3, 1, 9, 9)]
    if training:
        assert survey.density.values[:, 1].tolist() == share


def test_the_network_does_not_change_after_an_error() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.Linear(77, 1))
    before = model[0].running_mean.clone()
    with pytest.raises(InvalidInput, match="does not take images of float32"):
        activation_density(model, noise(2, 1, 9, 9))
    assert torch.equal(model[0].running_mean, before)
    assert hooks(model) == 0


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no convolution": (
        lambda: activation_density(nn.Sequential(nn.Flatten()), noise(1, 1, 4, 4)),
        "network has none",
    ),
    "Conv1d": (
        lambda: activation_density(net(nn.Flatten(2), nn.Conv1d(1, 1, 3)), noise(1, 1, 4, 4)),
        "the network has none",
    ),
    "a layer": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), noise(1, 1, 4, 4), ["1"]),
        r"'1'; the network has 0",
    ),
    "no layers": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), noise(1, 1, 4, 4), []),
        "no convolution took in maps",
    ),
    "channels": (
        lambda: activation_density(net(nn.Conv2d(3, 1, 3)), noise(1, 1, 4, 4)),
        r"images of float32 \[1, 1, 4, 4\]",
    ),
    "too small": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 7)), noise(1, 1, 4, 4)),
        "does not take images",
    ),
    "one image": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), noise(1, 4, 4)),
        r"\[N, C, H, W\]",
    ),
    "bytes": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), torch.zeros(1, 1, 4, 4).byte()),
        "floats.*got torch.uint8",
    ),
    "an array of bytes": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), np.zeros((1, 1, 4, 4), np.uint8)),
        "floats.*got uint8",
    ),
    "none": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), torch.zeros(0, 1, 4, 4)),
        "must not be empty",
    ),
    "a function": (
        lambda: activation_density(torch.relu, noise(1, 1, 4, 4)),
        r"model must be a network \(torch\.nn\.Module\)",
    ),
    "dropout": (
        lambda: activation_density(
            nn.Sequential(nn.Conv2d(1, 1, 3), nn.Dropout()), noise(1, 1, 4, 4)
        ),
        r"1 is a dropout in training mode.*model.eval\(\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_networks_and_images_are_refused(case: str) -> None:
    call, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words) as caught:
        call()
    assert len(str(caught.value)) < 500


def test_geometry_of_a_module_equals_torch() -> None:
    for options, padding in PLAIN:
        module = nn.Conv2d(2, 1, **options)
        geometry = module_geometry(module, (1, 2, 9, 11))
        assert geometry is not None
        assert geometry.padding == padding
        assert geometry.output == tuple(module(torch.zeros(1, 2, 9, 11)).shape[2:])
