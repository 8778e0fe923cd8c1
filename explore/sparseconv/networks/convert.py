"""The function ``convert``, which replaces the convolutions of a network as a selection says."""

from __future__ import annotations

import copy
import math
from collections import Counter
from typing import Any

import torch
import torch.fx
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from explore.errors import InvalidInput
from explore.sparseconv.convolution import Layer
from explore.sparseconv.networks.convolution_inputs import module_geometry
from explore.sparseconv.networks.tuning_result import Selection


class SparseConv2d(nn.Module):
    """A convolution that skips zeros.

    It is dense if the maps have too few zeros, or if gradients are needed.

    Args:
        module: the convolution that it replaces. Later changes of its weights have no effect.
        method: one of ``prepare``. For "auto" and "bitmap" each call measures the density.
        dense_from: density above which the convolution is dense.
        relu: set negative outputs to 0.
    """

    def __init__(
        self, module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False
    ) -> None:
        super().__init__()
        self.dense, self.relu = module, relu
        method = "auto" if method == "bitmap" else method
        self._layer: Layer = as_layer(module, method, dense_from, relu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of the module, followed by ReLU if ``relu``."""
        weight = self.dense.weight
        needs_gradient = (torch.is_grad_enabled() and weight.requires_grad) or x.requires_grad
        supported = x.device.type == "cpu" and x.dtype == torch.float32 and x.ndim == 4
        if supported and not needs_gradient:
            sparse: torch.Tensor = self._layer(x)
            return sparse
        dense: torch.Tensor = self.dense(x)
        return torch.relu(dense) if self.relu else dense

    def extra_repr(self) -> str:
        """Return the method, and the density from which on it is dense."""
        return f"{self._layer.method}, dense from {self._layer.dense_from:.2f}"


def convert(model: nn.Module, selection: Selection, fold: bool = True) -> nn.Module:
    """Copy a network and replace its convolutions as a selection says.

    The outputs agree within 1e-4 relative.

    Args:
        model: the network of the selection (or one with the same layers), in evaluation mode. It is
            not changed.
        selection: from ``select``.
        fold: merge each batch norm into the convolution before it, and each ReLU that only follows
            one converted convolution into that. This needs a forward pass that PyTorch can trace
            (``torch.fx``); otherwise nothing is merged.

    Returns:
        A network for inference on the CPU, with channels last in memory.

    Raises:
        InvalidInput: the network is in training mode, or has no convolution of a name in the
            selection.

    Example:
        >>> from explore.models import ConvNet
        >>> from explore.sparseconv.networks.tuning_result import MethodChoice
        >>> net = ConvNet(1, 10, 16, width=16, pooling="max").eval()
        >>> choice = MethodChoice("bitmap", (0.0, 1.0), 1.0, {})
        >>> selection = Selection({"blocks.1.conv": choice}, {})
        >>> fast, x = convert(net, selection), torch.rand(2, 1, 16, 16)
        >>> bool(torch.allclose(fast(x), net(x), rtol=1e-4, atol=1e-5))
        True
    """
    if model.training:
        raise InvalidInput("the network is in training mode; call model.eval() first")
    network = copy.deepcopy(model).requires_grad_(False)
    modules = dict(network.named_modules())
    convolutions = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    for name in selection.layers:
        if name not in convolutions:
            raise InvalidInput(
                f"the network has no convolution {name!r}; it has {', '.join(convolutions)}"
            )
    followers = _followers(network) if fold else {}
    for name, names in followers.items():
        norm = modules[names[0]] if names else None
        if isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
            _replace(network, name, fuse_conv_bn_eval(modules[name], norm))
            _replace(network, names[0], nn.Identity())
    for name, choice in selection.layers.items():
        if choice.method != "torch":
            relus = [n for n in followers.get(name, ()) if isinstance(modules[n], nn.ReLU)]
            module: Any = network.get_submodule(name)
            sparse = SparseConv2d(module, choice.method, choice.dense_from, bool(relus))
            _replace(network, name, sparse)
            for relu in relus:
                _replace(network, relu, nn.Identity())
    return network.to(memory_format=torch.channels_last)


def as_layer(module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False) -> Layer:
    """Convert a convolution module to a ``Layer``.

    Raises:
        InvalidInput: it is grouped, dilated or unevenly padded.
    """
    # The geometry gives the padding. Any map that is not too small will do.
    height, width = (4 * int(size) for size in module.kernel_size)
    geometry = module_geometry(module, (1, module.in_channels, height, width))
    if geometry is None:
        raise InvalidInput(
            f"{module} is grouped, dilated or padded in a way that the formats do not support"
        )
    padding, weight = geometry.padding, module.weight
    return Layer(weight, module.bias, geometry.stride, padding, method, relu, dense_from)


class _Tracer(torch.fx.Tracer):
    """A tracer that enters the blocks of a network but not its layers, also of derived classes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is a layer."""
        is_layer = isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.Linear)
        return is_layer or super().is_leaf_module(m, module_qualified_name)


def _followers(network: nn.Module) -> dict[str, list[str]]:
    """Return the batch norm and the ReLU that can be merged into each convolution.

    They are the only users of its output, and all of them are called once. The result is empty if
    the forward pass cannot be traced.
    """
    try:
        nodes = list(_Tracer().trace(network).nodes)
    except Exception:  # control flow that depends on values raises errors of every kind
        return {}
    modules = dict(network.named_modules())
    nodes = [node for node in nodes if node.op == "call_module"]
    calls = Counter(node.target for node in nodes)
    followers: dict[str, list[str]] = {}
    for node in nodes:
        if isinstance(modules[node.target], nn.Conv2d) and calls[node.target] == 1:
            followers[node.target] = names = []
            last = node
            for kind in (nn.BatchNorm2d, nn.ReLU):
                users = list(last.users)
                if len(users) == 1 and users[0].op == "call_module":
                    name = users[0].target
                    if calls[name] == 1 and isinstance(modules[name], kind):
                        last = users[0]
                        names.append(name)
    return followers


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, module)


def agreement(
    model: nn.Module, converted: nn.Module, images: torch.Tensor, batch: int = 50
) -> tuple[float, float]:
    """Compare the outputs of two networks.

    Args:
        model, converted: networks that return ``[N, classes]``.
        images: their input.
        batch: number of images at a time.

    Returns:
        The share of images with the same predicted class, and the largest difference of a logit,
        relative to the largest logit.
    """
    same, difference, largest = 0, 0.0, 0.0
    with torch.inference_mode():
        for part in images.split(batch):
            logits, converted_logits = model(part), converted(part)
            same += int((logits.argmax(1) == converted_logits.argmax(1)).sum())
            difference = max(difference, float((logits - converted_logits).abs().max()))
            largest = max(largest, float(logits.abs().max()))
    if not largest:
        return same / len(images), math.inf if difference else 0.0
    return same / len(images), difference / largest
