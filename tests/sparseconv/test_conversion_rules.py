"""What a conversion replaces, what it leaves alone, and what it refuses."""

from __future__ import annotations

import copy
import io
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_networks import norm, relative_difference, select_convolutions
from torch import nn
from torch.nn.utils import parametrizations, prune

from explore.data import ImageSet
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.sparseconv import (
    CPSStream,
    DensityConfig,
    DensityRun,
    Geometry,
    Selection,
    SparseConv2d,
    activation_density,
    agreement,
    conv2d,
    convert,
    density_bound,
    encode,
    encode_cps_stream,
    multiply,
    prepare,
    select,
)
from explore.sparseconv.networks.sparse_module import FoldedNorm
from explore.sparseconv.networks.tuning_result import MethodChoice

pytestmark = pytest.mark.usefixtures("_one_thread")


def chain() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), norm(), nn.ReLU(), nn.Conv2d(4, 4, 3)
    return nn.Sequential(*layers).eval()


def maps(*shape: int) -> torch.Tensor:
    return torch.relu(
        torch.randn(shape or (2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    )


def converted(network: nn.Module, **options: Any) -> nn.Module:
    return convert(network, select_convolutions(network), **options)


def kinds(network: nn.Module) -> list[str]:
    return [type(module).__name__ for module in network.children()]


# ---- what is folded


def test_a_norm_and_a_relu_are_folded() -> None:
    network = chain()
    fast = converted(network)
    assert kinds(fast) == ["SparseConv2d", "FoldedNorm", "Identity", "SparseConv2d"]
    assert relative_difference(network, fast, maps()) < 1e-5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda net: net[0].register_forward_hook(lambda m, a, y: None), "Conv2d BatchNorm2d ReLU"),
        (lambda net: net[1].register_forward_hook(lambda m, a, y: None), "SparseConv2d BatchNorm2d ReLU"),
        (lambda net: net[2].register_forward_pre_hook(lambda m, a: None), "SparseConv2d FoldedNorm ReLU"),
        (lambda net: net[1].train(), "SparseConv2d BatchNorm2d ReLU"),
        (lambda net: net[1].double(), "SparseConv2d BatchNorm2d ReLU"),
        (lambda net: setattr(net[1], "track_running_stats", False), "SparseConv2d BatchNorm2d ReLU"),
        (lambda net: net[1].running_var.fill_(torch.nan), "SparseConv2d BatchNorm2d ReLU"),
        (lambda net: net[1].running_var.fill_(-1), "SparseConv2d BatchNorm2d ReLU"),
        (lambda net: setattr(net[0], "weight", net[0].weight.requires_grad_()), "SparseConv2d FoldedNorm Identity"),
        (lambda net: prune.l1_unstructured(net[0], "weight", 0.5), "SparseConv2d FoldedNorm Identity"),
        (lambda net: parametrizations.weight_norm(net[0]), "ParametrizedConv2d BatchNorm2d ReLU"),
        (lambda net: net.register_forward_hook(lambda m, a, y: y * 2), "SparseConv2d BatchNorm2d ReLU"),
    ],
)  # fmt: skip
def test_only_fixed_norms_and_plain_layers_are_folded(change: Callable[..., Any], expected) -> None:
    network = chain()
    change(network)
    assert kinds(converted(network))[:3] == expected.split()


def test_a_hooked_block_is_not_folded_across() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.norm = nn.Sequential(nn.Conv2d(3, 4, 3)), norm()
            self.block.register_forward_hook(lambda m, a, y: y + 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.block(x))

    network = Net().eval()
    fast = converted(network)
    assert isinstance(fast.norm, nn.BatchNorm2d)
    assert relative_difference(network, fast, maps()) < 1e-5


def test_tracing_leaves_nothing_in_the_network_and_no_trace_in_hooks() -> None:
    calls: list[Any] = []

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.block = nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU())
            self.block.register_forward_hook(lambda m, a, y: calls.append(y))
            self.stored: Any = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.stored = self.block(self.conv(x)) + torch.rand(1)
            return self.stored

    network = Net().eval()
    torch.manual_seed(3)
    fast = converted(network)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), expected), "the random state is unchanged"
    assert calls == []
    assert fast.stored is None
    assert network.stored is None


def test_a_forward_pass_that_looks_at_classes_is_not_changed() -> None:
    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = chain()

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            features = []
            for layer in self.layers:
                x = layer(x)
                if isinstance(layer, nn.ReLU | nn.BatchNorm2d):
                    features.append(x)
            return features

    network = Features().eval()
    fast, x = converted(network), maps()
    with torch.no_grad():
        for a, b in zip(network(x), fast(x), strict=True):
            assert torch.allclose(a, b, 1e-4, 1e-5)
    assert isinstance(fast.layers[0], SparseConv2d)

    class Exact(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x) if type(self.conv) is nn.Conv2d else x

    with pytest.raises(InvalidInput, match="depends on the class"):
        converted(Exact().eval())


def test_images_reveal_what_cannot_be_traced() -> None:
    class Exact(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            x = self.conv(x if type(self.conv) is nn.Conv2d else 2 * x)
            return self.last(x) if float(x.sum()) > -1e9 else x

    network = Exact().eval()
    with pytest.raises(InvalidInput, match="first at 'conv'"):
        converted(network, images=maps())
    assert isinstance(converted(chain(), images=maps().numpy()), nn.Sequential)
    with pytest.raises(InvalidInput, match="images must be floats"):
        converted(chain(), images=torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(InvalidInput, match=r"cannot compute outputs of images \[1, 5, 8, 8\]"):
        converted(chain(), images=torch.zeros(1, 5, 8, 8))


# ---- names, tied weights, attributes


def test_a_layer_in_a_list_is_replaced_too() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), norm()
            self.order = [(self.conv, {"next": self.norm})]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ((conv, after),) = self.order
            return after["next"](conv(x))

    network = Net().eval()
    fast = converted(network)
    assert isinstance(fast.order[0][0], SparseConv2d)
    assert relative_difference(network, fast, maps()) < 1e-5


def test_two_methods_for_two_names_of_one_layer_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    network.add_module("again", network[0])
    choice = MethodChoice("bitmap", (0, 1), 1, {})
    with pytest.raises(InvalidInput, match="two methods for the convolution 'again'"):
        convert(
            network.eval(),
            Selection({"0": choice, "again": MethodChoice("torch", (0, 1), 1, {})}, {}),
        )
    fast = convert(network, Selection({"again": choice}, {}))
    assert isinstance(fast[0], SparseConv2d)
    assert fast[0] is fast.again


def test_the_replacement_offers_what_a_convolution_has() -> None:
    conv = nn.Conv2d(3, 4, (3, 1), 2, (1, 0))
    conv.note = "mine"
    sparse = SparseConv2d(conv, "bitmap")
    assert isinstance(sparse, nn.Conv2d)
    for name in (*nn.Conv2d.__constants__, "transposed", "note", "weight", "bias"):
        assert getattr(sparse, name) is getattr(conv, name), name
    assert list(sparse.state_dict()) == list(conv.state_dict())
    x = maps()
    with torch.no_grad():
        assert torch.allclose(sparse(input=x), conv(input=x), 1e-4, 1e-5)


@pytest.mark.parametrize("module", [nn.Linear(2, 2), "conv", nn.ConvTranspose2d(1, 1, 1)])
def test_other_modules_cannot_become_sparse(module) -> None:
    with pytest.raises(InvalidInput, match=r"module must be an nn\.Conv2d of PyTorch's own class"):
        SparseConv2d(module, "bitmap")


# ---- the life of a converted network


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.load_state_dict({k: torch.ones_like(v) for k, v in m.state_dict().items()}),
        lambda m: m.load_state_dict(
            {k: torch.ones_like(v) for k, v in m.state_dict().items()}, assign=True
        ),
        lambda m: m.weight.data.mul_(2),
        lambda m: (m.bias.data.add_(1), m.weight.data.zero_()),
        lambda m: setattr(m.weight, "data", torch.ones_like(m.weight)),
        lambda m: setattr(m, "weight", nn.Parameter(torch.ones(4, 3, 3, 3), requires_grad=False)),
        lambda m: setattr(m, "bias", None),
        lambda m: setattr(m, "stride", (2, 2)),
        lambda m: setattr(m, "padding", 0),
        lambda m: m.weight[0, 0, 0].fill_(torch.inf),
        lambda m: prune.l1_unstructured(m, "weight", 0.5),
        lambda m: parametrizations.weight_norm(m),
        lambda m: m.to(memory_format=torch.channels_last).weight.neg_(),
    ],
)
def test_changed_weights_are_repacked(change) -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False)
    sparse, x = SparseConv2d(copy.deepcopy(conv), "bitmap"), maps()
    sparse(x)
    change(sparse)
    change(conv)
    assert torch.allclose(sparse(x), conv(x), 1e-4, 1e-5, equal_nan=True)


def test_an_optimiser_step_is_noticed() -> None:
    conv = nn.Conv2d(3, 4, 3)
    sparse, x = SparseConv2d(conv, "bitmap"), maps()
    with torch.no_grad():
        sparse(x)
    optimiser = torch.optim.SGD(sparse.parameters(), 0.1)
    sparse(x).sum().backward()
    optimiser.step()
    with torch.no_grad():
        assert torch.allclose(sparse(x), conv(x), 1e-4, 1e-5)


def test_a_state_dict_of_the_network_does_not_fit_folded_layers() -> None:
    network = chain()
    fast = converted(network)
    assert isinstance(fast[1], FoldedNorm)
    with pytest.raises(InvalidInput, match="has the batch norm '1', which is folded"):
        fast.load_state_dict(network.state_dict(), strict=False)
    fast.load_state_dict(fast.state_dict())


def saved(network: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.parametrize(
    "use",
    [
        copy.deepcopy,
        lambda net: pickle.loads(pickle.dumps(net)),
        saved,
        nn.DataParallel,
        torch.fx.symbolic_trace,
        lambda net: torch.jit.trace(net, maps(1, 3, 8, 8), check_trace=False),
        lambda net: torch.export.export(net, (maps(),)).module(),
        lambda net: lambda x: torch.vmap(lambda i: net(i[None])[0])(x),
        lambda net: lambda x: torch.func.functional_call(net, dict(net.named_parameters()), x),
        lambda net: lambda x: torch.func.jvp(net, (x,), (x,))[0],
        lambda net: copy.deepcopy(net).double().float(),
        lambda net: converted(net),
    ],
    ids=range(12),
)
def test_a_converted_network_can_be_used_like_any_other(use) -> None:
    network = chain()
    with torch.inference_mode():
        fast = converted(network)
    x = maps()
    with torch.no_grad():
        assert torch.allclose(use(fast)(x), network(x), 1e-4, 1e-5)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning"
)
def test_a_converted_network_can_be_scripted() -> None:
    network = chain()
    with torch.no_grad():
        scripted = torch.jit.script(converted(network))
        assert torch.allclose(scripted(maps()), network(maps()), 1e-4, 1e-5)
    with pytest.raises(InvalidInput, match="model is a ScriptModule"):
        convert(scripted, Selection({}, {}))


def test_forward_gradients_and_input_gradients_are_those_of_the_network() -> None:
    network = chain()
    fast, x = converted(network), maps()
    with torch.no_grad():
        expected = torch.func.jvp(network, (x,), (x,))[1]
        assert torch.allclose(torch.func.jvp(fast, (x,), (x,))[1], expected, 1e-3, 1e-5)
    gradients = []
    for net in (network, fast):
        leaf = x.clone().requires_grad_()
        net(leaf).sum().backward()
        gradients.append(leaf.grad)
    assert torch.allclose(*gradients, 1e-3, 1e-5)


@pytest.mark.parametrize(
    "x",
    [
        maps()[:0],
        maps()[0],
        maps().double(),
        maps().expand(2, 3, 8, 8).flip(-1),
        maps().transpose(2, 3),
        maps(2, 3, 8, 16)[..., ::2],
        maps().contiguous(memory_format=torch.channels_last),
        nn.Parameter(maps(), requires_grad=False),
        torch.full((1, 3, 8, 8), torch.nan),
    ],
    ids=range(9),
)
def test_maps_of_any_kind_give_what_the_convolution_gives(x: torch.Tensor) -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1).requires_grad_(False).to(x.dtype)
    sparse = SparseConv2d(copy.deepcopy(conv), "bitmap", relu=True)
    expected, actual = torch.relu(conv(x)), sparse(x)
    assert actual.dtype == expected.dtype
    assert torch.allclose(actual, expected, 1e-4, 1e-5, equal_nan=True)
    assert actual.shape == expected.shape


def test_maps_of_another_number_of_channels_are_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="is for 3 channels, x has 5"), torch.no_grad():
        SparseConv2d(nn.Conv2d(3, 4, 3), "bitmap")(maps(1, 5, 8, 8))


def test_networks_of_other_types_stay_in_their_type() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        network = chain().to(dtype)
        fast = converted(network)
        with torch.no_grad():
            assert torch.equal(fast(maps().to(dtype)), network(maps().to(dtype))) or (
                dtype is torch.float64
            )
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert converted(chain())(maps()).dtype == torch.bfloat16


def test_views_of_the_outputs_still_work() -> None:
    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = chain()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.layers(x)
            return x.view(len(x), -1)

    network = Viewed().eval()
    fast = converted(network)
    assert relative_difference(network, fast, maps()) < 1e-5
    with torch.no_grad():
        assert converted(chain())(maps()).view(2, -1).shape == (2, 144)
        flat = nn.Sequential(chain(), nn.Flatten()).eval()
        assert converted(flat)[0][0].weight.is_contiguous(memory_format=torch.channels_last)


def test_networks_that_cannot_be_copied_are_refused() -> None:
    class Same(nn.ReLU):
        def __deepcopy__(self, memo: Any) -> nn.Module:
            return self

    network = nn.Sequential(nn.Conv2d(3, 3, 1), Same()).eval()
    with pytest.raises(InvalidInput, match=r"copy\.deepcopy loses '1'"):
        converted(network)
    network[1] = nn.ReLU()
    network.file = io.TextIOWrapper(io.BytesIO())
    with pytest.raises(InvalidInput, match="model cannot be copied"):
        converted(network)


def test_other_arguments_are_refused() -> None:
    network, empty = chain(), Selection({}, {})
    for model in ("net", None, nn.Conv2d):
        with pytest.raises(InvalidInput, match="model must be a network"):
            convert(model, empty)
    with pytest.raises(InvalidInput, match="selection must be a Selection"):
        convert(network, {"0": "bitmap"})
    with pytest.raises(InvalidInput, match="fold must be true or false"):
        convert(network, empty, fold="no")


# ---- selections


def test_a_selection_leaves_out_what_is_not_replaced() -> None:
    network = nn.Sequential(
        *chain(),
        prune.l1_unstructured(nn.Conv2d(4, 4, 1), "weight", 0.5),
        parametrizations.weight_norm(nn.Conv2d(4, 4, 1)),
        nn.Flatten(),
    ).eval()
    network[3].register_forward_hook(lambda m, a, y: y + 1)
    selection = select(network, maps().double().numpy(), seconds=np.float64(0.001), batch=2.0)
    assert sorted(selection.layers) == ["0", "4"]
    assert relative_difference(network, convert(network, selection), maps()) < 1e-4
    pixels = (255 * maps(4, 3, 8, 8)).clamp(0, 255).byte()
    digits = ImageSet("toy", pixels, torch.zeros(4).long(), ("a",), (0.5,) * 3, (0.5,) * 3)
    assert sorted(select(network, digits, seconds=0.001).layers) == ["0", "4"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "net"}, "model must be a network"),
        ({"model": nn.Sequential(nn.Conv2d(3, 3, 1))}, "in training mode"),
        ({"images": torch.full((2, 3, 8, 8), torch.nan)}, "images hold NaN or Inf"),
        ({"images": torch.ones(2, 3, 8, 8).byte()}, "images must be floats"),
        ({"images": "cat.png"}, "images must be an array of numbers"),
        ({"images": maps(2, 5, 8, 8)}, "does not take images of float32"),
        ({"methods": "torch"}, "methods must be a list"),
        ({"methods": [["torch"]]}, "unknown method"),
        ({"batch": 1.5}, "batch must be a whole number"),
        ({"batch": True}, "batch must be a whole number"),
        ({"pointwise": "no"}, "pointwise must be true or false"),
        ({"seconds": 0}, "seconds must be a number above 0"),
        ({"seconds": torch.nan}, "seconds must be a number"),
        ({"progress": 3}, "progress must be a function"),
    ],
)
def test_other_arguments_of_select_are_refused(arguments, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        select(**{"model": chain(), "images": maps(), "seconds": 0.001, **arguments})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["layers"]["a"].update(density=[0, 2]), "density must be a number"),
        (lambda c: c["layers"]["a"].update(density=5), "density must be a list"),
        (lambda c: c["layers"]["a"].update(density=[0, 1, 2]), "density must be two numbers"),
        (lambda c: c["layers"]["a"].update(dense_from="0.5"), "dense_from must be a number"),
        (lambda c: c["layers"]["a"].update(dense_from=float("nan")), "dense_from must be a number"),
        (lambda c: c["layers"]["a"].update(seconds={"torch": "1"}), "seconds"),
        (lambda c: c["layers"]["a"].update(seconds=[1]), "seconds must be a mapping"),
        (lambda c: c["layers"]["a"].update(method=["torch"]), "unknown method"),
        (lambda c: c.update(layers=[1]), "is no selection"),
        (lambda c: c.update(layers={"a": 1}), "is no selection"),
        (lambda c: c.update(about=[1]), "about must be a mapping"),
        (lambda c: c.update(format={"a": 1}), "this version reads 1"),
    ],
)
def test_a_selection_file_of_somebody_else_is_refused(change, words, tmp_path) -> None:
    choice = MethodChoice("torch", (0.1, 0.2), 0.5, {"torch": 1.0})
    path = Selection({"a": choice}, {}).save(tmp_path / "s.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InvalidInput, match=words):
        Selection.load(path)


def test_a_selection_file_that_is_none_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "s.json"
    with pytest.raises(DataMissing, match="there is no selection"):
        Selection.load(path)
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InvalidInput, match="is no selection"):
        Selection.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="is no selection"):
        Selection.load(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        Selection.load(tmp_path)
    for bad in (None, 3, "", "a\0b"):
        with pytest.raises(InvalidInput, match="path must be a path"):
            Selection.load(bad)
    with pytest.raises(InvalidInput, match="cannot be written"):
        Selection({}, {}).save(tmp_path / "no" / "s.json")
    with pytest.raises(InvalidInput, match="about must hold numbers"):
        Selection({}, {"a": {1, 2}}).save(path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Selection({}, {"batch": np.int64(3)}).save("~/t.json") == tmp_path / "t.json"
    assert Selection.load("~/t.json").about == {"batch": 3}


def test_values_of_a_selection_are_checked() -> None:
    assert MethodChoice("cps", (np.float32(0), 1), np.float64(1), {}) == MethodChoice(
        "cps", (0.0, 1.0), 1.0, {}
    )
    with pytest.raises(UnknownName, match="unknown method 'fast'"):
        MethodChoice("fast", (0, 1), 1, {})
    with pytest.raises(InvalidInput, match=r"layers\['a'\] must be a MethodChoice"):
        Selection({"a": "bitmap"}, {})
    with pytest.raises(InvalidInput, match="layers must be a mapping"):
        Selection([("a", 1)], {})


# ---- agreement, single layers


def test_agreement_sees_nan_and_refuses_what_are_no_logits() -> None:
    good = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    bad = copy.deepcopy(good)
    bad[1].bias.data[1] = torch.nan
    x = torch.rand(5, 1, 2, 2)
    assert agreement(good, bad, x)[1] == float("inf")
    assert agreement(good, good, x.numpy(), batch=2) == (1.0, 0.0)
    for arguments, words in (
        ((good, good, x[:0]), "images must not be empty"),
        ((good, good, x, 0), "batch must be a whole number of at least 1"),
        ((good, "net", x), "converted must be a network"),
        ((good, nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), x), r"converted returns \[5, 2\]"),
        ((nn.Flatten(0), good, x), r"must return logits \[N, classes\], got \[20\]"),
    ):
        with pytest.raises(InvalidInput, match=words):
            agreement(*arguments)


@pytest.mark.parametrize(
    "method", ["auto", "bitmap", "torch", "im2col", "mec", "cscc", "cpo", "cps"]
)
def test_no_maps_have_no_outputs(method) -> None:
    weight = torch.randn(5, 3, 3, 3)
    y = conv2d(torch.zeros(0, 3, 8, 9), weight, stride=(2, 1), padding=1, method=method)
    assert y.shape == (0, 5, 4, 9)
    assert y.shape == F.conv2d(torch.zeros(0, 3, 8, 9), weight, stride=(2, 1), padding=1).shape
    assert conv2d(np.zeros((0, 3, 8, 9), np.float32), weight, method=method).shape == (0, 5, 6, 7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"relu": "no"}, "relu must be true or false"),
        ({"relu": 1}, "relu must be true or false"),
        ({"method": ["cps"]}, "unknown method"),
        ({"stride": 10**30}, "stride must be an integer"),
        ({"stride": "2"}, "stride must be an integer"),
        ({"padding": (1, 2, 3)}, "padding must be an integer"),
    ],
)
def test_other_arguments_of_prepare_are_refused(arguments, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        prepare(np.ones((2, 3, 3, 3), np.float32), **arguments)


@pytest.mark.parametrize("method", ["bitmap", "torch", "cps", "im2col"])
def test_outputs_that_no_memory_holds_are_refused(method) -> None:
    x, weight = np.ones((1, 3, 6, 7), np.float32), np.ones((4, 3, 3, 3), np.float32)
    for padding, words in (
        (2**20, "pad less"),
        (2**30, "pad less"),
        (10**30, "at most 2147483647"),
    ):
        with pytest.raises(InvalidInput, match=words):
            conv2d(x, weight, padding=padding, method=method)


# ---- other doors


STREAM = encode_cps_stream(np.eye(3, dtype=np.float32), 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: multiply("x", np.ones((1, 1, 2, 2), np.float32)), "encoding must be one of"),
        (lambda: density_bound("layer"), "geometry must be a Geometry"),
        (lambda: Geometry((1, 1, 3, 3), 2).pad(np.ones((3, 3))), "x must be maps"),
        (lambda: Geometry((1, 1, 3, 3), 2).crop([[[[1.0]]]]), "padded must be maps"),
        (lambda: Geometry((1, 1, 3, 3), 2, padding=2**20), "pad less"),
        (lambda: encode(np.eye(3, dtype=np.float32), 2, trim="no"), "trim must be true or false"),
        (lambda: encode(np.eye(3, dtype=np.float32), 2, index_bytes=[2]), "index_bytes must be"),
        (lambda: encode(np.eye(3, dtype=np.float32), 2, method=["cpo"]), "unknown method"),
        (lambda: STREAM.readings("all"), "pointers must be true or false"),
        (lambda: encode_cps_stream(np.ones((40, 40), np.float32), 2).readings(), "small map"),
        (lambda: CPSStream("g", [], [], ()), "geometry must be a Geometry"),
        (lambda: CPSStream(STREAM.geometry, "text", [], ()), "values must be an array"),
        (lambda: DensityRun("density"), "options must be a DensityConfig"),
        (lambda: DensityRun(DensityConfig(), model="vgg"), "model must be a network"),
        (lambda: activation_density(chain(), maps(), layers=3), "layers must be a list of names"),
    ],
)  # fmt: skip
def test_other_doors_name_their_arguments(call, words) -> None:
    with pytest.raises(InvalidInput, match=words):
        call()


def test_whole_floats_and_tensors_are_sizes() -> None:
    x = np.ones((1, 1, 6, 6), np.float32)
    geometry = Geometry((1, 1, 6, 6), 3, 2, (1, 0))
    assert encode(x, 3.0, np.float64(2), torch.tensor([1, 0])).geometry == geometry
    assert Geometry(torch.tensor([1, 1, 6, 6]), torch.tensor(3), [2.0, 2], (1, 0)) == geometry
