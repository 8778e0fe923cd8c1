"""What can be folded into the convolutions of a network, read from its traced forward pass."""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from explore.sparseconv.networks.structure import has_hooks, is_plain, is_plain_convolution

FORMAT_FREE_MODULES = (
    nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU,
    nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Mish, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d, nn.Identity, nn.Flatten, nn.Linear,
)  # fmt: skip
"""Modules whose results have the same values whatever the order of their input in memory."""

FORMAT_FREE_FUNCTIONS = frozenset(
    [
        operator.add, operator.iadd, operator.sub, operator.mul, torch.add, torch.mul, torch.cat,
        torch.relu, F.relu, F.relu_, F.relu6, F.gelu, F.silu, torch.sigmoid, torch.tanh,
        F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, torch.flatten,
    ]
)  # fmt: skip
FORMAT_FREE_METHODS = frozenset(["add", "add_", "relu", "relu_", "flatten", "reshape", "mean"])
FLAT_METHODS = ("flatten", "reshape")


class Chain(NamedTuple):
    """A convolution and the modules after it that can be folded into it, by their names."""

    convolution: str
    norm: str | None
    relu: str | None


class NetworkTracer(torch.fx.Tracer):
    """A tracer that enters the blocks of a network, but not its layers or modules with hooks."""

    proxy_buffer_attributes = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is called as a whole."""
        is_layer = isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.Linear | nn.Identity)
        return is_layer or has_hooks(m) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> torch.fx.Graph | None:
    """Return the operations of a network's forward pass, or None if it cannot be traced.

    The forward pass runs on a copy that shares the tensors, as it may store what it computes. A
    network with hooks, or with a forward of its own for this object only, is not traced.
    """
    if has_hooks(network) or "forward" in vars(network):
        return None
    tensors = {id(t): t for t in (*network.parameters(), *network.buffers())}
    try:
        with torch.random.fork_rng(devices=[]):
            return NetworkTracer().trace(copy.deepcopy(network, tensors))
    except Exception:  # control flow that depends on values raises errors of every kind
        return None


def describe_graph(graph: torch.fx.Graph | None) -> list[tuple[Any, ...]] | None:
    """Return the operations of a graph as values that can be compared."""
    if graph is None:
        return None
    return [(node.op, node.target, str(node.args), str(node.kwargs)) for node in graph.nodes]


def find_chains(network: nn.Module, graph: torch.fx.Graph | None) -> dict[str, Chain]:
    """Return what can be folded into each convolution: a batch norm, and a ReLU after it.

    Each is the only user of the output before it, is called once in all, computes as PyTorch
    defines it, and is read by nothing else. A ReLU follows a norm that is folded too, or the
    convolution itself.
    """
    if graph is None:
        return {}
    modules = dict(network.named_modules())
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    private = _names_read_elsewhere(modules, graph)
    chains = {}
    for node in graph.nodes:
        if node.op != "call_module" or not _is_single(str(node.target), calls, private):
            continue
        name = str(node.target)
        convolution = modules[name]
        if not is_plain_convolution(convolution):
            continue
        norm = relu = None
        user = _only_user(node)
        if user is not None and _is_single(str(user.target), calls, private):
            follower = modules.get(str(user.target))
            if follower is not None and can_fold(convolution, follower):
                norm = str(user.target)
                user = _only_user(user)
        if user is not None and _is_single(str(user.target), calls, private):
            follower = modules.get(str(user.target))
            if follower is not None and is_plain(follower, nn.ReLU):
                relu = str(user.target)
        chains[name] = Chain(name, norm, relu)
    return chains


def _is_single(name: str, calls: Counter[str], private: frozenset[str]) -> bool:
    return calls[name] == 1 and name not in private


def _only_user(node: torch.fx.Node) -> torch.fx.Node | None:
    """Return the call of a module with this value alone, if nothing else uses the value."""
    users = list(node.users)
    if len(users) != 1 or users[0].op != "call_module":
        return None
    user = users[0]
    return user if user.args == (node,) and not user.kwargs else None


def _names_read_elsewhere(modules: dict[str, nn.Module], graph: torch.fx.Graph) -> frozenset[str]:
    """Return the names of modules of which something besides their own call may read.

    These are modules within one that is called as a whole, and modules with a parameter that the
    forward pass reads itself or that belongs to several modules.
    """
    names = {str(n.target).rpartition(".")[0] for n in graph.nodes if n.op == "get_attr"}
    inner: set[int] = set()
    for node in graph.nodes:
        if node.op == "call_module":
            parts = list(modules[str(node.target)].modules())[1:]
            inner.update(id(part) for part in parts)
    for module in modules.values():
        if has_hooks(module):
            inner.update(id(part) for part in module.modules())
    owners: dict[int, set[str]] = {}
    for name, module in modules.items():
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                owners.setdefault(tensor.untyped_storage()._cdata, set()).add(name)
    shared = {name for group in owners.values() if len(group) > 1 for name in group}
    return frozenset(names | shared | {n for n, m in modules.items() if id(m) in inner})


def can_fold(convolution: Any, norm: nn.Module) -> bool:
    """Return whether a batch norm is a fixed factor and shift of a convolution's output.

    It is one in evaluation mode with running statistics of the same type. The folded weights must
    be finite.
    """
    if not is_plain(norm, nn.BatchNorm2d) or not isinstance(norm, nn.BatchNorm2d):
        return False
    statistics = (norm.running_mean, norm.running_var)
    if norm.training or not norm.track_running_stats or any(s is None for s in statistics):
        return False
    weight, bias = convolution.weight, convolution.bias
    tensors = [t for t in (weight, bias, *statistics, norm.weight, norm.bias) if t is not None]
    if any(not isinstance(t, torch.Tensor) for t in tensors):
        return False
    same = {(t.dtype, t.device) for t in tensors}
    if len(same) != 1 or weight.dtype not in (torch.float32, torch.float64) or weight.is_meta:
        return False
    if any(t.shape != weight.shape[:1] for t in tensors if t is not weight):
        return False
    return all(bool(t.isfinite().all()) for t in folded_weights(convolution, norm))


def folded_weights(convolution: Any, norm: Any) -> tuple[nn.Parameter, nn.Parameter]:
    """Return weights and bias of a convolution that include a batch norm after it."""
    return fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip


def is_format_free(network: nn.Module, graph: torch.fx.Graph | None) -> bool:
    """Return whether nothing in a forward pass depends on the order of maps in memory.

    Only operations that are known to be free of it count, and the output must be no map: ``view``
    and code outside the network could see the order.
    """
    modules = dict(network.named_modules())
    if graph is None or any(has_hooks(module) for module in modules.values()):
        return False
    return all(_is_free(node, modules) for node in graph.nodes)


def _is_free(node: torch.fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        module = modules[str(node.target)]
        return any(is_plain(module, kind) for kind in FORMAT_FREE_MODULES)
    if node.op == "call_function":
        return node.target in FORMAT_FREE_FUNCTIONS
    if node.op == "call_method":
        return node.target in FORMAT_FREE_METHODS
    if node.op == "output":
        return all(_is_flat(value, modules) for value in _values(node.args))
    return True


def _values(arguments: Any) -> Iterable[Any]:
    if isinstance(arguments, tuple | list):
        for argument in arguments:
            yield from _values(argument)
    else:
        yield arguments


def _is_flat(node: Any, modules: dict[str, nn.Module]) -> bool:
    if not isinstance(node, torch.fx.Node):
        return False
    if node.op == "call_module":
        return type(modules[str(node.target)]) in (nn.Linear, nn.Flatten)
    return (node.op == "call_function" and node.target is torch.flatten) or (
        node.op == "call_method" and node.target in FLAT_METHODS
    )
