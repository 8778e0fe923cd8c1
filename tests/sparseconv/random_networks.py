"""Random networks of every ingredient that a conversion could get wrong."""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from explore.sparseconv import Selection
from explore.sparseconv.networks.tuning_result import MethodChoice

WIDTH = 4


class Own(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


class OwnInner(nn.Conv2d):
    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> torch.Tensor:
        return super()._conv_forward(input, weight - weight.mean(), bias)


class OwnWeights(nn.Conv2d):
    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.normal_(0, 0.3)
            if self.bias is not None:
                self.bias.normal_()


class OwnNorm(nn.BatchNorm2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + 1


class OwnReLU(nn.ReLU):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).clamp(max=0.5)


class Half(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / 2


def patch(module: nn.Module, name: str) -> nn.Module:
    original = getattr(type(module), name)
    setattr(module, name, types.MethodType(lambda self, *a: 3 * original(self, *a), module))
    return module


def hook(kind: str) -> Callable[[nn.Module], nn.Module]:
    def add(module: nn.Module) -> nn.Module:
        if kind == "before":
            module.register_forward_pre_hook(lambda m, a: (2 * a[0],))
        elif kind == "before, kwargs":
            module.register_forward_pre_hook(lambda m, a, k: ((a[0] - 1,), k), with_kwargs=True)
        elif kind == "after":
            module.register_forward_hook(lambda m, a, y: y + 1)
        elif kind == "after, kwargs":
            module.register_forward_hook(lambda m, a, k, y: 2 * y, with_kwargs=True)
        else:
            module.register_full_backward_hook(lambda m, gi, go: None)
        return module

    return add


HOOKS = {
    f"hook {kind}": hook(kind)
    for kind in ("before", "before, kwargs", "after", "after, kwargs", "backward")
}


def old_weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(module)


def pruned_and_loaded(module: nn.Module) -> nn.Module:
    """A pruned convolution that got new weights after its last forward pass."""
    prune.random_unstructured(module, "weight", 0.5)
    module.load_state_dict(
        {name: torch.rand_like(v).round() - 0.4 for name, v in module.state_dict().items()}
    )
    return module


def parametrized(module: nn.Module) -> nn.Module:
    parametrize.register_parametrization(module, "weight", Half())
    return module


def with_numbers(module: Any) -> nn.Module:
    module.stride, module.padding, module.dilation = 1, 1, 1
    return module


CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
    "no bias": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding="same", bias=False),
    "1×1": lambda: nn.Conv2d(WIDTH, WIDTH, 1),
    "grouped": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=2),
    "reflect": lambda: nn.Conv2d(WIDTH, WIDTH, 3, padding=1, padding_mode="reflect"),
    "numbers": lambda: with_numbers(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
    "derived": lambda: Own(WIDTH, WIDTH, 3, padding=1),
    "derived inside": lambda: OwnInner(WIDTH, WIDTH, 3, padding=1),
    "derived weights": lambda: OwnWeights(WIDTH, WIDTH, 3, padding=1),
    "patched": lambda: patch(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), "forward"),
    "patched inside": lambda: patch(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), "_conv_forward"),
    "pruned": lambda: prune.l1_unstructured(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), "weight", 0.5),
    "pruned and loaded": lambda: pruned_and_loaded(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
    "pruned twice": lambda: prune.random_unstructured(
        prune.ln_structured(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), "weight", 0.25, 2, 0), "bias", 2
    ),
    "pruned, hook": lambda: hook("after")(
        prune.l1_unstructured(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), "weight", 0.5)
    ),
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
    "old weight norm": lambda: old_weight_norm(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
    "old spectral norm": lambda: nn.utils.spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
    "parametrised": lambda: parametrized(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
    **{
        name: lambda add=add: add(nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
        for name, add in HOOKS.items()
    },
}


def norm(**options: Any) -> nn.BatchNorm2d:
    module = nn.BatchNorm2d(WIDTH, **options).eval()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.5, 2) if "var" in name else value.normal_()
    return module


def flag_off() -> nn.BatchNorm2d:
    module = norm()
    module.track_running_stats = False
    return module


def own_norm() -> nn.Module:
    module = OwnNorm(WIDTH).eval()
    module.load_state_dict(norm().state_dict())
    return module


NORMS: dict[str, Callable[[], nn.Module]] = {
    "plain": norm,
    "no factors": lambda: norm(affine=False),
    "no statistics": lambda: norm(track_running_stats=False),
    "flag off": flag_off,
    "training": lambda: norm().train(),
    "derived": own_norm,
    "patched": lambda: patch(norm(), "forward"),
    **{name: lambda add=add: add(norm()) for name, add in HOOKS.items()},
}

RELUS: dict[str, Callable[[], nn.Module]] = {
    "plain": nn.ReLU,
    "in place": lambda: nn.ReLU(inplace=True),
    "derived": OwnReLU,
    "patched": lambda: patch(nn.ReLU(), "forward"),
    "hook after": lambda: hook("after")(nn.ReLU()),
    "hook before": lambda: hook("before")(nn.ReLU()),
}

PARTS = {"convolution": CONVOLUTIONS, "norm": NORMS, "relu": RELUS}
ROUTES = ("name", "name", "name", "alias", "list", "block", "hooked block", "plain list")
GLUE = (
    "", "", "", "", "relu", "relu_", "save", "add", "read weight", "read bias", "read sizes",
    "read norm", "branch", "twice", "store", "look",
)  # fmt: skip


class Step(NamedTuple):
    """One layer of a random network: what it is, how it is reached, and what comes after it."""

    part: str
    variant: str
    route: str = "name"
    glue: str = ""
    same_as: int = -1


class Program(list[Step]):
    """Steps that a copy of a network shares."""

    def __deepcopy__(self, memo: Any) -> Program:
        return self


class RandomNetwork(nn.Module):
    """A network of steps. Some share a layer or its weights, or are reached by other names."""

    def __init__(self, steps: list[Step], tie: bool) -> None:
        super().__init__()
        self.steps = Program(steps)
        self.all = nn.ModuleList()
        self.outside: list[nn.Module] = []
        layers: list[nn.Module] = []
        for number, step in enumerate(steps):
            layer = PARTS[step.part][step.variant]()
            if 0 <= step.same_as < number and steps[step.same_as].part == step.part:
                layer = layers[step.same_as]
            layers.append(layer)
            if step.route in ("name", "alias", "plain list"):
                self.add_module(f"layer{number}", layer)
            if step.route in ("alias", "list"):
                self.all.append(layer)
            else:
                self.all.append(nn.Identity())
            if "block" in step.route:
                block = nn.Sequential(layer)
                self.add_module(f"block{number}", block)
                if step.route.startswith("hooked"):
                    block.register_forward_hook(lambda m, a, y: y - 0.5)
            self.outside.append(layer)
        if tie:
            plain = [m for m in layers if type(m) is nn.Conv2d and "weight" in m._parameters]
            for module in plain[1:]:
                if module.weight.shape == plain[0].weight.shape:
                    module.weight = plain[0].weight

    def __repr__(self) -> str:
        return f"RandomNetwork({self.steps})"

    def layer(self, number: int) -> nn.Module:
        route = self.steps[number].route
        if route in ("alias", "list"):
            return self.all[number]
        if route == "plain list":
            return self.outside[number]
        return getattr(self, f"block{number}" if "block" in route else f"layer{number}")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = 1 * x
        saved = x
        for number, step in enumerate(self.steps):
            layer = self.layer(number)
            before = x
            x = layer(x)
            inner = layer[0] if isinstance(layer, nn.Sequential) else layer
            if step.glue == "relu":
                x = F.relu(x)
            elif step.glue == "relu_":
                x = F.relu_(x)
            elif step.glue == "save":
                saved = x
            elif step.glue == "add":
                x = x + saved
            elif step.glue == "read weight" and step.part == "convolution":
                x = x * (1 + inner.weight.mean())
            elif step.glue == "read bias" and step.part == "convolution" and inner.bias is None:
                x = x + 1
            elif step.glue == "read sizes" and step.part == "convolution":
                x = x * (inner.out_channels / inner.kernel_size[0])
            elif step.glue == "read norm" and step.part == "norm" and inner.weight is not None:
                x = x + inner.weight.view(1, -1, 1, 1)
            elif step.glue == "branch" and float(x.detach().sum()) > 0:
                x = x + 1
            elif step.glue == "twice":
                x = x + layer(before)
            elif step.glue == "store":
                self.stored = x
            elif step.glue == "look" and isinstance(layer, nn.ReLU):
                x = x + 1
        return x.flatten(1)


@st.composite
def networks(draw: Any) -> tuple[RandomNetwork, torch.Tensor]:
    """Return a random network in evaluation mode (but for some of its norms), and its input."""
    parts = draw(st.lists(st.sampled_from(["convolution", "norm", "relu"]), min_size=1, max_size=6))
    if "convolution" not in parts:
        parts = ["convolution", *parts]
    steps = []
    for number, part in enumerate(parts):
        variants = list(PARTS[part])
        # Plain layers are frequent, so that something can be folded.
        variant = draw(st.sampled_from(["plain"] * len(variants) + variants))
        again = draw(st.integers(-4, number - 1))
        steps.append(
            Step(part, variant, draw(st.sampled_from(ROUTES)), draw(st.sampled_from(GLUE)), again)
        )
    torch.manual_seed(draw(st.integers(0, 1000)))
    network = RandomNetwork(steps, draw(st.booleans()))
    network.training = False
    for module in network.modules():
        if not isinstance(module, nn.BatchNorm2d):
            module.training = False
    x = torch.randn(2, WIDTH, 6, 6)
    if draw(st.booleans()):
        x = torch.relu(x)
    return network, x


def select_convolutions(network: nn.Module, method: str = "bitmap") -> Selection:
    """Return a selection of one method for every convolution that the formats support."""
    choice = MethodChoice(method, (0.0, 1.0), 1.0, {})
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
    ]
    return Selection(dict.fromkeys(names, choice), {})


def relative_difference(network: nn.Module, converted: nn.Module, x: torch.Tensor) -> float:
    """Return the largest difference of two networks' outputs, relative to the largest output."""
    with torch.no_grad():
        expected, actual = network(x), converted(x)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    scale = max(0.05, float(expected.abs().max()))
    return float((actual - expected).abs().max()) / scale


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(network.state_dict())
