"""convert: a network whose convolutions are computed as a selection says, with the same outputs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from explore.errors import InvalidInput
from explore.sparseconv.convolution import Layer
from explore.sparseconv.networks.density import geometry_of
from explore.sparseconv.networks.tuning_result import Selection


class SparseConv2d(nn.Module):
    """A convolution that skips zeros; dense where a map has too few of them, and where a gradient is wanted.

    Args:
        module: the convolution that it stands for; its weights are taken as they are now.
        method: one of ``prepare``; "auto" counts at each call.
        dense_from: density from which on it is dense.
        relu: whether negative outputs become 0.
    """

    def __init__(
        self, module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False
    ) -> None:
        super().__init__()
        self.dense, self.relu = module, relu
        self._layer: Layer = as_layer(
            module, "auto" if method == "bitmap" else method, dense_from, relu
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the module would give (and ReLU after it)."""
        plain = (
            x.device.type == "cpu"
            and x.dtype == torch.float32
            and x.ndim == 4
            and not x.requires_grad
        )
        if plain and not (torch.is_grad_enabled() and self.dense.weight.requires_grad):
            found: torch.Tensor = self._layer(x)
            return found
        y: torch.Tensor = self.dense(x)
        return torch.relu(y) if self.relu else y

    def extra_repr(self) -> str:
        """The method, and from which density on it is dense."""
        return f"{self._layer.method}, dense from {self._layer.dense_from:.2f}"


def convert(model: nn.Module, selection: Selection, fold: bool = True) -> nn.Module:
    """A copy of a network that computes its convolutions as a selection says; outputs agree within 1e-4 relative.

    Args:
        model: the network that was selected for (or one of the same make), in evaluation mode; it is not changed.
        selection: from ``select``.
        fold: put batch norms into the convolution before them, and ReLUs that only follow one converted convolution into
            it, where PyTorch can trace the network's forward pass (``torch.fx``); else they stay.

    Returns:
        A network for inference on the CPU, with channels last in memory.

    Raises:
        InvalidInput: a network in training mode, or without a convolution that the selection names.

    Example:
        >>> from explore.models import ConvNet
        >>> from explore.sparseconv.networks.tuning_result import Choice
        >>> net = ConvNet(1, 10, 16, width=16, pooling="max").eval()
        >>> chosen = Selection({"blocks.1.conv": Choice("bitmap", (0.0, 1.0), 1.0, {})}, {})
        >>> fast, x = convert(net, chosen), torch.rand(2, 1, 16, 16)
        >>> bool(torch.allclose(fast(x), net(x), rtol=1e-4, atol=1e-5))
        True
    """
    if model.training:
        raise InvalidInput("the network is in training mode; call model.eval() first")
    network = copy.deepcopy(model).requires_grad_(False)
    modules = dict(network.named_modules())
    if unknown := [
        name for name in selection.layers if not isinstance(modules.get(name), nn.Conv2d)
    ]:
        known = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
        raise InvalidInput(
            f"the network has no convolution {unknown[0]!r}; it has {', '.join(known)}"
        )
    followers = _followers(network) if fold else {}
    for name, after in followers.items():
        norm = modules.get(after[0]) if after else None
        if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
            _put(network, name, fuse_conv_bn_eval(modules[name], norm))
            _put(network, after[0], nn.Identity())
    for name, choice in selection.layers.items():
        if choice.method == "torch":
            continue
        module: Any = network.get_submodule(name)
        relu = next(
            (after for after in followers.get(name, ()) if isinstance(modules[after], nn.ReLU)),
            None,
        )
        _put(
            network, name, SparseConv2d(module, choice.method, choice.dense_from, relu is not None)
        )
        if relu is not None:
            _put(network, relu, nn.Identity())
    return network.to(memory_format=torch.channels_last)


def as_layer(module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False) -> Layer:
    """A convolution module as a ``Layer``.

    Raises:
        InvalidInput: it is grouped, dilated or unevenly padded.
    """
    kernel = tuple(int(size) for size in module.kernel_size)
    geometry = geometry_of(module, (1, module.in_channels, 4 * kernel[0], 4 * kernel[1]))
    if geometry is None:
        raise InvalidInput(
            f"{module} is grouped, dilated or padded in a way that the formats do not know"
        )
    padding, weight = geometry.padding, module.weight
    return Layer(weight, module.bias, geometry.stride, padding, method, relu, dense_from)


class _Tracer(torch.fx.Tracer):
    """Looks into blocks of a network, but not into its layers, of whatever class they are."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Convolutions, norms and ReLUs are left whole."""
        whole = isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.Linear)
        return whole or super().is_leaf_module(m, module_qualified_name)


def _followers(network: nn.Module) -> dict[str, list[str]]:
    """Of each convolution, the batch norm and the ReLU module that take its output, if nothing else does and they are used
    once; empty where the forward pass cannot be traced."""
    try:
        nodes = list(_Tracer().trace(network).nodes)
    except Exception:  # control flow that depends on values: every kind of error
        return {}
    modules = dict(network.named_modules())
    times: dict[str, int] = {}
    for node in nodes:
        if node.op == "call_module":
            times[node.target] = times.get(node.target, 0) + 1
    found: dict[str, list[str]] = {}
    for node in nodes:
        if (
            node.op != "call_module"
            or not isinstance(modules[node.target], nn.Conv2d)
            or times[node.target] > 1
        ):
            continue
        chain, now = [], node
        for kind in (nn.BatchNorm2d, nn.ReLU):
            users = list(now.users)
            once = len(users) == 1 and users[0].op == "call_module" and times[users[0].target] == 1
            if once and isinstance(modules[users[0].target], kind):
                now = users[0]
                chain.append(now.target)
        found[node.target] = chain
    return found


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Set the submodule of this name."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def agreement(
    model: nn.Module, converted: nn.Module, images: torch.Tensor, batch: int = 50
) -> tuple[float, float]:
    """Share of images that two networks name alike, and the largest difference of a logit, relative to the largest one.

    Args:
        model, converted: networks that return ``[N, classes]``.
        images: what they take.
        batch: images at a time.
    """
    same, apart, largest = 0, 0.0, 0.0
    with torch.inference_mode():
        for some in images.split(batch):
            one, other = model(some), converted(some)
            same += int((one.argmax(1) == other.argmax(1)).sum())
            apart, largest = (
                max(apart, float((one - other).abs().max())),
                max(largest, float(one.abs().max())),
            )
    return same / len(images), apart / largest if largest else float(np.inf if apart else 0.0)
