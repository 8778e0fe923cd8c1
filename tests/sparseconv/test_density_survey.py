"""Density surveys: shares, work and sizes against loops and unfold; nothing in a network is changed; bad input is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from sparse_oracles import brute_sizes, literal_cpo, made, stored
from torch import nn
from torch.nn.functional import pad, relu, unfold

from explore import record
from explore.core.registry import build
from explore.data import load
from explore.errors import DataMissing, ExploreError, InvalidInput, UnknownName
from explore.models import Taps
from explore.sparseconv import DensityConfig, DensityRun, activation_density, encode
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.formats.recorded_maps import FORMAT_NAMES, read_levels
from explore.sparseconv.networks.density import (
    ConvolutionInput,
    convolved_maps,
    frame,
    geometry_of,
    work_left,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def net(*layers: nn.Module) -> nn.Sequential:
    made = nn.Sequential(*layers).eval()
    for index, parameter in enumerate(made.parameters()):
        parameter.data = noise(*parameter.shape, seed=index)
    return made


def expected_layer(
    module: nn.Conv2d, x: torch.Tensor, padding: tuple[int, int]
) -> dict[str, float]:
    """Density, work left and sizes of what a convolution takes in, one image, by unfolding and by loops."""
    c = x.shape[1]
    (kh, kw), (_, sw) = module.kernel_size, module.stride
    columns = unfold((x != 0).float(), module.kernel_size, padding=padding, stride=module.stride)
    padded = pad((x != 0).int(), (padding[1], padding[1], padding[0], padding[0]))[0]
    tall, wide = padded.shape[1:]
    windows = [range(s, s + kw) for s in range(0, wide - kw + 1, sw)]
    lowered = sum(int(padded[:, :, window].sum()) for window in windows)
    read = sorted({j for window in windows for j in window})
    once = int(padded[:, :, read].sum())
    classes = -(-kw // sw)
    return {
        "density": float((x != 0).double().mean()),
        "work": float(columns.double().mean()),
        "im2col": c * kh * kw * columns.shape[2],
        "mec": c * kw * tall * len(windows),
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
    found = activation_density(model, images)
    assert found.density.dims == ("image", "layer")
    assert found["bytes"].dims == ("image", "layer", "format")
    assert found.layer.values.tolist() == ["0", "2"]
    assert found["format"].values.tolist() == list(FORMAT_NAMES)
    module = model[2]
    for n in range(3):
        x = relu(model[0](images[n : n + 1]))
        expected = expected_layer(module, x, padding)
        row = found.isel(image=n, layer=1)
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
    assert found["shape"].values.tolist() == [[2, 9, 11], [5, 9, 11]]
    assert found.filters.values.tolist() == [5, 3]
    assert found.kernel.values[1].tolist() == list(module.kernel_size)
    assert found.stride.values[1].tolist() == list(module.stride)
    assert found.padding.values[1].tolist() == list(padding)
    assert found.pointwise.values.tolist() == [False, module.kernel_size == (1, 1)]


@pytest.mark.parametrize("seed", range(12))
def test_work_is_the_filled_share_of_the_im2col_matrix(seed: int) -> None:
    random = np.random.default_rng(seed)
    kernel, stride, padding = (
        (int(a), int(b))
        for a, b in random.integers([[1, 1], [1, 1], [0, 0]], [[5, 5], [4, 4], [3, 3]])
    )
    case = made(2, 3, 1, (8, 9), kernel, stride, padding, [0.0, 0.2, 0.7, 1.0][seed % 4], seed)
    matrix = unfold(torch.from_numpy(case.x != 0).float(), kernel, padding=padding, stride=stride)
    geometry = Geometry(case.x.shape, kernel, stride, padding)
    assert work_left(case.x, geometry) == pytest.approx(float(matrix.mean()), rel=1e-6, abs=1e-12)
    sizes = brute_sizes(case)
    one = case._replace(x=case.x[:1, :1])
    seen = [
        ConvolutionInput(
            "a",
            nn.Conv2d(1, 1, kernel, stride, padding),
            one.x,
            Geometry(one.x.shape, kernel, stride, padding),
        )
    ]
    values, _, pointers = literal_cpo(one)
    assert len(values) == len(stored(one))
    assert float(frame(seen).elements.sel(layer="a", format="cpo")) == 2 * len(values) + sum(
        map(len, pointers)
    )
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
def test_what_the_formats_do_not_know_has_a_density_and_no_size(options: dict[str, Any]) -> None:
    model = net(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, **options))
    x = noise(1, 1, 8, 8)
    found = activation_density(model, x).isel(image=0, layer=1)
    assert float(found.density) == float((relu(model[0](x)) != 0).double().mean())
    assert np.isnan(found["bytes"].values).all()
    assert np.isnan(found.elements.values).all()
    assert np.isnan(float(found.work))
    assert found.padding.values.tolist() == [-1, -1]
    assert found.kernel.values.tolist() == list(model[2].kernel_size)
    kept = frame(convolved_maps(model, x), maps=True)
    assert kept.offset.values.tolist() == [-1, -1]  # pointwise, unknown
    assert kept["levels"].size == 0


def test_other_kinds_of_convolution_are_none() -> None:
    model = net(nn.ConvTranspose2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Flatten(2), nn.Conv1d(2, 2, 3))
    assert activation_density(model, noise(1, 1, 8, 8)).layer.values.tolist() == ["1"]


def test_a_module_called_twice_is_seen_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(relu(self.conv(x)))

    model, x = Twice(), noise(1, 2, 6, 6)
    found = activation_density(model, x)
    assert found.layer.values.tolist() == ["conv", "conv#2"]
    assert found.density.values[0].tolist() == [
        1.0,
        float((relu(model.conv(x)) != 0).double().mean()),
    ]


def test_a_convolution_called_by_name_is_seen_and_so_is_one_whose_name_has_a_number_sign() -> None:
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


def test_inputs_are_those_before_anybody_overwrites_them() -> None:
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
    seen = convolved_maps(model, x)
    for layer, maps in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(layer.maps, maps)


def test_minus_zero_is_zero_and_nan_is_a_value() -> None:
    x = torch.tensor([[[[0.0, -0.0, float("nan")], [float("inf"), 1e-40, 0.0]]]])
    assert activation_density(net(nn.Conv2d(1, 1, 1)), x).density.item() == 0.5


def test_half_precision_is_seen_too() -> None:
    model = net(nn.Conv2d(1, 2, 3)).to(torch.bfloat16)
    assert activation_density(model, noise(1, 1, 5, 5).to(torch.bfloat16)).density.item() == 1


def test_chosen_layers_alone_in_the_order_they_are_computed() -> None:
    model, x = (
        net(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3)),
        noise(2, 1, 9, 9),
    )
    whole = activation_density(model, x)
    for layers in (["4", "0"], iter(["4", "0"]), ("0", "4")):
        xarray.testing.assert_identical(
            activation_density(model, x, layers), whole.sel(layer=["0", "4"])
        )
    assert activation_density(model, x, "2").layer.values.tolist() == ["2"]


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("training", [False, True])
def test_the_network_and_the_random_state_are_left_as_they_are(training: bool) -> None:
    model = net(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).train(
        training
    )
    model[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random, modes = torch.get_rng_state(), [m.training for m in model.modules()]
    found = activation_density(model, noise(3, 1, 9, 9))
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert hooks(model) == 0
    own = nn.BatchNorm2d(4).train(training)  # what is seen is what this mode computes
    own.load_state_dict(model[1].state_dict())
    share = [float((relu(own(model[0](x[None]))) != 0).double().mean()) for x in noise(3, 1, 9, 9)]
    if training:
        assert found.density.values[:, 1].tolist() == share


def test_after_an_error_it_is_as_it_was_too() -> None:
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
    "an array": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), np.zeros((1, 1, 4, 4))),
        "tensor of floats.*ndarray",
    ),
    "none": (
        lambda: activation_density(net(nn.Conv2d(1, 1, 3)), torch.zeros(0, 1, 4, 4)),
        "must not be empty",
    ),
    "a function": (
        lambda: activation_density(torch.relu, noise(1, 1, 4, 4)),
        "must be a torch network",
    ),
    "dropout": (
        lambda: activation_density(
            nn.Sequential(nn.Conv2d(1, 1, 3), nn.Dropout()), noise(1, 1, 4, 4)
        ),
        r"1 is a dropout in training mode.*model.eval\(\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_surveyed_is_said(case: str) -> None:
    call, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words) as caught:
        call()
    assert len(str(caught.value)) < 500


# ---- runs

X, Y = noise(6, 1, 8, 8), torch.tensor([0, 2, 1, 1, 0, 2])


def own(images: int = 3, maps: bool = False, seed: int = 0) -> DensityRun:
    model = net(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2), nn.Conv2d(2, 2, 1)
    )
    return DensityRun(DensityConfig(images=images, maps=maps, seed=seed), (X, Y), model)


def test_a_run_over_tensors_and_a_network_of_ones_own(tmp_path: Path) -> None:
    run = own(maps=True)
    random = torch.get_rng_state()
    recording = record(run, tmp_path / "own.zarr")
    assert torch.equal(torch.get_rng_state(), random)
    assert recording.sizes["step"] == 3
    assert recording.attrs["config"]["model"] == "your Sequential"
    chosen = recording["index"].values
    assert len(set(chosen.tolist())) == 3
    assert recording["label"].values.tolist() == Y[chosen].tolist()
    assert recording["class"].values.tolist() == ["0", "1", "2"]
    alone = activation_density(run.network, X[chosen])
    for name in ("density", "work", "bytes", "elements"):
        np.testing.assert_array_equal(recording[name].values, alone[name].values)
    assert recording["offset"].values.tolist() == [0, 64, -1]
    for k, at in enumerate(chosen):
        maps = relu(run.network[0](X[at][None]))[0].detach().numpy()
        kept = recording["levels"].isel(step=k).values
        np.testing.assert_array_equal(read_levels(kept, 64, maps.shape) != 0, maps != 0)
        np.testing.assert_array_equal(read_levels(kept, 0, (1, 8, 8)) != 0, X[at].numpy() != 0)
        grey = recording["picture"].isel(step=k).values
        assert (grey[..., 0] == grey[..., 2]).all()
        assert (grey.min(), grey.max()) == (0, 255)
        assert int(grey[..., 0].argmax()) == int(X[at, 0].argmax())


def test_images_are_drawn_by_the_seed_and_never_twice() -> None:
    drawn = {seed: own(6, seed=seed)._order.tolist() for seed in range(3)}
    assert all(order == list(range(6)) for order in drawn.values())
    some = {tuple(own(2, seed=seed)._order.tolist()) for seed in range(8)}
    assert len(some) > 3
    assert own(99).steps == 5  # all there are


def test_a_set_of_one_image_is_no_run() -> None:
    with pytest.raises(InvalidInput, match="the set has 1 image; a survey has two at least"):
        DensityRun(DensityConfig(), (X[:1], Y[:1]), net(nn.Conv2d(1, 1, 3)))


def test_named_sets_are_normalised_as_they_say_or_as_the_network_learnt() -> None:
    data = load("scenes", "test", size=64, count=4)
    run = build({"method": "density", "images": 4}, data=data)
    assert torch.equal(run._batch(2), data.batch([2]))
    run._statistics = ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    by_hand = data.images[2].double() / 255
    for c, (mean, std) in enumerate(zip(*run._statistics, strict=True)):
        by_hand[c] = (by_hand[c] - mean) / std
    torch.testing.assert_close(run._batch(2)[0], by_hand.float())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2, 3], "data must be the name of a set"),
        (np.zeros(3), "data must be the name of a set"),
        ((X.numpy(), Y), "images must be a torch tensor.*ndarray"),
        ((X, Y.tolist()), "labels must be a torch tensor.*list"),
        ((X[:0], Y[:0]), "N ≥ 1"),
        ((X[:, 0], Y), r"\[N, C, H, W\]"),
        ((X.byte(), Y), "/ 255"),
        ((X, Y[:4]), r"labels must be integers \[6\]"),
        ((X, Y.float()), "labels must be integers"),
        ((X, Y - 1), "got -1 to 1"),
        ((X, Y + 10**9), "labels must be 0 to 100000"),
        ((X / 0, Y), "6 images hold NaN or Inf, the first is number 0"),
    ],
)
def test_tensors_that_are_no_images_with_labels_are_refused(data: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        DensityRun(DensityConfig(), data, net(nn.Conv2d(1, 1, 3)))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"images": 1}, InvalidInput, "images must be a whole number ≥ 2, got 1"),
        ({"images": 2.5}, InvalidInput, "images must be a whole number"),
        ({"seed": -1}, InvalidInput, "seed must be a whole number ≥ 0"),
        ({"maps": 3}, InvalidInput, "maps must be true or false, got 3"),
        ({"model": 3}, InvalidInput, "model must be a text, got 3"),
        (
            {"model": "scenes-vgq"},
            UnknownName,
            "unknown network 'scenes-vgq'.*Did you mean 'scenes-vgg'",
        ),
        ({"model": "scenes-vgq", "data": "digits"}, UnknownName, "Did you mean 'scenes-vgg'"),
        ({"model": "torchvision:fcn_resnet50"}, UnknownName, "classifier of torchvision"),
        ({"model": "torchvision:resnet18"}, InvalidInput, "data='imagenette'"),
        ({"model": "torchvision:resnet18", "data": "digits"}, InvalidInput, "weights=FILE"),
        ({"weights": "nowhere.pth", "data": "digits"}, DataMissing, "nowhere.pth"),
        ({"data": "digitz"}, UnknownName, "digitz"),
        ({"device": "gpu", "data": "digits"}, InvalidInput, "device 'gpu' cannot be used"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: dict[str, Any], kind: type[ExploreError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build({"method": "density", **options})


def test_images_that_a_network_does_not_take_are_said_when_they_are_looked_at() -> None:
    run = build({"method": "density", "data": "digits"})
    with pytest.raises(InvalidInput, match=r"does not take images of float32 \[1, 1, 16, 16\]"):
        run.snapshot()


def test_a_network_of_ones_own_needs_images() -> None:
    with pytest.raises(InvalidInput, match="which images are to go through the network"):
        DensityRun(DensityConfig(), model=net(nn.Conv2d(1, 1, 3)))


def test_geometry_of_plain_modules_is_that_of_torch() -> None:
    for options, padding in PLAIN:
        module = nn.Conv2d(2, 1, **options)
        geometry = geometry_of(module, (1, 2, 9, 11))
        assert geometry is not None
        assert geometry.padding == padding
        assert geometry.output == tuple(module(torch.zeros(1, 2, 9, 11)).shape[2:])
