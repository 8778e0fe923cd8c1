"""Whole networks: selections are timed and saved; converted networks compute the same."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from explore.data import load
from explore.errors import InvalidInput, UnknownName
from explore.models import architecture
from explore.sparseconv import Selection, SparseConv2d, agreement, convert, load_network, select
from explore.sparseconv.bench import layers as bench, networks as bench_networks
from explore.sparseconv.bench.shapes import LAYER_LISTS, Shape
from explore.sparseconv.networks.tuning_result import MethodChoice

EVERYTHING = MethodChoice("bitmap", (0.0, 1.0), 1.0, {})


def select_all(network: nn.Module, choice: MethodChoice = EVERYTHING) -> Selection:
    """Return a selection of one method for every convolution."""
    names = [
        n
        for n, m in network.named_modules()
        if isinstance(m, nn.Conv2d) and m.groups == 1 and m.dilation == (1, 1)
    ]
    return Selection(dict.fromkeys(names, choice), {})


def converted_layers(network: nn.Module) -> list[SparseConv2d]:
    return [module for module in network.modules() if isinstance(module, SparseConv2d)]


def randomize_norms(network: nn.Module) -> nn.Module:
    """Give batch norms random statistics and weights."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            for values in (module.bias.data, module.running_mean):
                values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
    return network.eval()


# ---- conversion


@pytest.mark.parametrize("name", ["scenes-vgg", "scenes-residual", "scenes-smooth"])
def test_a_converted_network_predicts_the_same_classes(name) -> None:
    network, _ = load_network(name)
    images = load("scenes", "test", size=64, count=60).batch()
    before = copy.deepcopy(network.state_dict())
    for choice in (
        EVERYTHING,
        MethodChoice("bitmap", (0.0, 0.3), 0.3, {}),
        MethodChoice("cps", (0.0, 1.0), 1.0, {}),
    ):
        agreeing, difference = agreement(
            network, convert(network, select_all(network, choice)), images
        )
        assert agreeing == 1
        assert difference < 1e-4
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("kind", ["convnet", "alexnet", "vgg11", "resnet18"])
@pytest.mark.parametrize("fold", [True, False])
def test_every_architecture_is_converted(kind, fold) -> None:
    network = randomize_norms(architecture(kind, 3, 10, 32, width=16, norm="batch"))
    fast, x = convert(network, select_all(network), fold), torch.randn(4, 3, 32, 32)
    assert agreement(network, fast, x)[1] < 1e-4
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert (norms == 0) == fold
    assert not fast(x).requires_grad


def test_a_relu_is_merged_only_if_nothing_else_uses_its_input() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
            self.relu, self.own = nn.ReLU(), nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            a = self.relu(self.one(x))
            b = self.relu(self.two(a))  # the same module again
            c = self.three(b)
            return self.own(c) + c  # the sum needs what was before it

    network = Shared().eval()
    fast, x = convert(network, select_all(network)), torch.randn(2, 4, 6, 6)
    assert torch.allclose(fast(x), network(x), 1e-4, 1e-5)
    assert not any(module.relu for module in converted_layers(fast))
    plain = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
    fast = convert(plain, select_all(plain))
    assert [module.relu for module in converted_layers(fast)] == [True, False]
    assert torch.allclose(fast(x), plain(x), 1e-4, 1e-5)


def test_a_network_that_cannot_be_traced_is_converted_without_folding() -> None:
    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norm(self.conv(x))
            return y if float(y.detach().sum()) > 0 else -y

    network = randomize_norms(Fickle())
    fast, x = convert(network, select_all(network)), torch.randn(2, 3, 6, 6)
    assert torch.allclose(fast(x), network(x), 1e-4, 1e-5)
    assert any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())


def test_dense_maps_and_gradients_use_the_dense_convolution() -> None:
    conv = nn.Conv2d(4, 5, 3, padding=1)
    sparse = SparseConv2d(conv, "bitmap", dense_from=0.2)
    x = torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        assert torch.allclose(sparse(x), conv(x), 1e-4, 1e-5)
    x.requires_grad_()
    sparse(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(sparse.double()(x.detach().double()), conv.double()(x.detach().double()))


def test_invalid_conversions_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU())
    with pytest.raises(InvalidInput, match=r"training mode; call model\.eval\(\)"):
        convert(network, Selection({}, {}))
    network.eval()
    with pytest.raises(InvalidInput, match="no convolution '1'; it has 0"):
        convert(network, Selection({"1": EVERYTHING}, {}))
    with pytest.raises(InvalidInput, match="grouped"):
        convert(network, Selection({"0": EVERYTHING}, {}))


# ---- selection


def test_a_selection_is_measured_saved_and_loaded(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3),
    ).eval()
    reports: list[Any] = []
    selection = select(
        network,
        torch.rand(3, 3, 12, 12),
        pointwise=False,
        seconds=0.001,
        progress=lambda *report: reports.append(report),
    )
    assert sorted(selection.layers) == ["0", "6"], "without the pointwise and the grouped one"
    assert reports == [(1, 2), (2, 2)]
    assert selection.layers["0"].density == (1.0, 1.0)
    assert all(set(choice.seconds) == {"torch", "bitmap"} for choice in selection.layers.values())
    fastest = {
        name: min(choice.seconds, key=choice.seconds.get)
        for name, choice in selection.layers.items()
    }
    seconds = selection.about["whole network, seconds"]
    better = seconds["selected"] < seconds["dense"]
    assert {name: choice.method for name, choice in selection.layers.items()} == (
        fastest if better else dict.fromkeys(fastest, "torch")
    )
    assert all(choice.density[1] <= choice.dense_from <= 1 for choice in selection.layers.values())
    assert sorted(select(network, torch.rand(1, 3, 12, 12), seconds=0.001).layers) == [
        "0",
        "2",
        "6",
    ]
    path = selection.save(tmp_path / "selection.json")
    assert Selection.load(path) == selection
    assert path.stat().st_size < 2000
    assert (
        agreement(network, convert(network, Selection.load(path)), torch.rand(2, 3, 12, 12))[1]
        < 1e-4
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "about": {}, "layers": {"a": {}}}']
)
def test_an_invalid_selection_file_is_refused(text, tmp_path: Path) -> None:
    path = tmp_path / "selection.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"selection\.json"):
        Selection.load(path)


def test_an_unknown_method_in_a_file_is_refused(tmp_path: Path) -> None:
    path = Selection({"a": EVERYTHING}, {}).save(tmp_path / "selection.json")
    path.write_text(
        path.read_text(encoding="utf-8").replace("bitmap", "os.system"), encoding="utf-8"
    )
    with pytest.raises(UnknownName, match=r"os\.system"):
        Selection.load(path)


def test_invalid_arguments_of_select_are_refused() -> None:
    network, x = nn.Sequential(nn.Conv2d(3, 8, 3)).eval(), torch.rand(2, 3, 6, 6)
    with pytest.raises(InvalidInput, match="must hold 'torch'"):
        select(network, x, ["bitmap"])
    with pytest.raises(UnknownName, match="unknown method 'auto'"):
        select(network, x, ["torch", "auto"])
    with pytest.raises(InvalidInput, match="batch must be 1 to 2"):
        select(network, x, batch=3)


# ---- the benchmark


def test_the_benchmark_prints_the_measured_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = [Shape("test", 5, 4, 8, padding=(1, 1)), Shape("test", 5, 4, 9, (1, 3), 2)]
    monkeypatch.setitem(LAYER_LISTS, "tiny", shapes)
    monkeypatch.setattr("explore.core.benchmark.PAUSE", 0)
    json_file, figure = tmp_path / "bench.json", tmp_path / "bench.svg"
    options = ["--layers", "tiny", "--densities", "0.5,0.1", "--rounds", "1", "--seconds", "0.001"]
    bench.main([*options, "--json", str(json_file), "--figure", str(figure)])
    text, values = capsys.readouterr().out, json.loads(json_file.read_text(encoding="utf-8"))
    assert figure.exists()
    assert "8² 5→4 3×3" in text
    assert "9² 5→4 1×3 /2" in text
    assert len(values["rows"]) == 4
    assert all(row["apart"] < 1e-5 for row in values["rows"])
    row = values["rows"][0]
    seconds = row["seconds"]
    ratio = min(seconds["torch"], seconds["torch, channels last"]) / seconds["bitmap"]
    assert f"{ratio:8.2f}" in text


def test_whole_networks_are_timed_and_compared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explore.core.benchmark.PAUSE", 0)
    rows = bench_networks.report(["scenes-vgg"], count=40, rounds=1, seconds=0.002)
    assert [row["batch"] for row in rows] == [1, 16]
    assert all(row["same"] == 1 and row["apart"] < 1e-4 and row["of"] == 6 for row in rows)
    assert all(0 < row[form] < 5 for row in rows for form in ("eager", "folded", "selected"))
    assert capsys.readouterr().out.count("scenes-vgg") == 2


def test_means_are_geometric_and_over_the_right_layers() -> None:
    square, other = Shape("a", 1, 1, 8), Shape("a", 1, 1, 8, (5, 5))
    rows = [
        {
            "shape": shape,
            "density": 0.5,
            "seconds": {"torch": dense, "torch, channels last": 100.0, "bitmap": 1.0},
        }
        for shape, dense in ((square, 2.0), (square, 8.0), (other, 64.0))
    ]
    assert bench.mean_ratio(rows, "bitmap", 0.5, only_3x3=True) == pytest.approx(4)
    assert bench.mean_ratio(rows, "bitmap", 0.5) == pytest.approx(1024 ** (1 / 3))
    assert Shape("a", 2, 3, 9, (3, 5), 2, (1, 2)).operations == 2 * 2 * 3 * 15 * 25


def test_every_layer_of_the_lists_has_outputs() -> None:
    assert len(LAYER_LISTS["inception"]) == 22 - 4, (
        "the spec lists some shapes twice, at other densities"
    )
    assert all(shape.outputs > 0 for shapes in LAYER_LISTS.values() for shape in shapes)
