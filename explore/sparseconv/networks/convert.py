"""The function ``convert``, which replaces the convolutions of a network as a selection says."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from explore.core.tensor_validation import check_network
from explore.core.validation import check_flag, describe
from explore.errors import InvalidInput
from explore.sparseconv.networks.comparison import check_same_outputs
from explore.sparseconv.networks.convolution_inputs import network_input
from explore.sparseconv.networks.folding import (
    Chain,
    describe_graph,
    find_chains,
    folded_weights,
    is_format_free,
    trace,
)
from explore.sparseconv.networks.sparse_module import FoldedNorm, SparseConv2d
from explore.sparseconv.networks.structure import (
    apply_pruning,
    copy_network,
    is_plain_convolution,
    pruning_hooks,
    replace_module,
)
from explore.sparseconv.networks.tuning_result import MethodChoice, Selection


def convert(
    model: nn.Module, selection: Selection, fold: bool = True, images: Any = None
) -> nn.Module:
    """Copy a network and replace its convolutions as a selection says.

    The outputs agree within 1e-4 relative. Only convolutions that compute as PyTorch defines them
    are replaced: those with hooks, of derived classes, with methods of their own or with
    parametrisations (weight norm, spectral norm) stay dense, and nothing is merged into them.
    Pruned convolutions get their effective weights. A module with several names is replaced under
    each of them.

    Args:
        model: the network of the selection (or one with the same layers), in evaluation mode. It is
            not changed.
        selection: from ``select``.
        fold: merge each batch norm into the convolution before it, and each ReLU that only follows
            one converted convolution into that. This needs a forward pass that PyTorch can trace
            (``torch.fx``) and that depends on no attribute that is changed later; what cannot be
            traced is not merged. A state_dict of the network itself does not fit a merged one.
        images: float ``[N, ...]``, the input of the network, with which the outputs of both are
            compared once; None compares the traced operations only.

    Returns:
        A network for inference on the CPU. Its weights have channels last in memory if those of the
        network have, or if nothing in the forward pass depends on it.

    Raises:
        InvalidInput: the network is in training mode or cannot be copied, has no convolution of a
            name in the selection, or computes something else after the conversion, as its forward
            pass depends on the class of its layers; the message names the layer.

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
    fold = check_flag("fold", fold)
    if not isinstance(selection, Selection):
        raise InvalidInput(
            "selection must be a Selection, from select or Selection.load, "
            f"got {describe(selection)}"
        )
    if check_network("model", model).training:
        raise InvalidInput("the network is in training mode; call model.eval() first")
    if images is not None:
        images = network_input(model, images, finite=True)
    with torch.inference_mode(mode=False), torch.no_grad():
        network, chains = _convert_copy(model, selection, fold)
        if images is not None:
            names = {name for c in chains.values() for name in _changed_names(c, network)}
            check_same_outputs(model, network, images, names)
    return network


def _convert_copy(
    model: nn.Module, selection: Selection, fold: bool
) -> tuple[nn.Module, dict[str, Chain]]:
    """Return the converted copy of a network, and what was folded in it.

    The operations of its forward pass must be those of the network.

    Raises:
        InvalidInput: they are not, even without folding.
    """
    attempts = [(True, True)] if fold else []
    for prune, merge in (*attempts, (True, False), (False, False)):
        network = copy_network(model)
        is_pruned = any(pruning_hooks(module) for module in network.modules())
        if is_pruned and prune:
            could_trace = trace(network) is not None
            apply_pruning(network)
        graph = trace(network)
        if is_pruned and prune and could_trace and graph is None:
            continue  # the forward pass reads a mask
        expected = describe_graph(graph)
        format_free = is_format_free(network, graph) or _has_channels_last(network)
        choices = _choices(network, selection)
        chains = find_chains(network, graph) if merge else {}
        _replace_layers(network, choices, chains)
        same = expected is None or describe_graph(trace(network)) == expected
        if not same and not merge:  # a forward pass with random branches never looks the same
            same = describe_graph(trace(copy_network(model))) != expected
        if same:
            if format_free:
                network = network.to(memory_format=torch.channels_last)
            return network, chains
    raise InvalidInput(
        "the forward pass of model depends on the class or the attributes of its layers, so that "
        "they cannot be replaced; leave the convolutions that it looks at out of the selection"
    )


def _choices(network: nn.Module, selection: Selection) -> dict[nn.Module, MethodChoice]:
    """Return the choice for each convolution that can be replaced.

    Raises:
        InvalidInput: a name is none of a convolution, or two names of one have different methods.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    convolutions = {name: m for name, m in modules.items() if isinstance(m, nn.Conv2d)}
    choices: dict[nn.Module, MethodChoice] = {}
    for name, choice in selection.layers.items():
        if name not in convolutions:
            raise InvalidInput(
                f"the network has no convolution {name!r}; it has "
                f"{', '.join(convolutions) or 'none'}"
            )
        module = convolutions[name]
        if choices.setdefault(module, choice).method != choice.method:
            raise InvalidInput(
                f"selection has two methods for the convolution {name!r}, which has several names; "
                "select one of them"
            )
    return {module: c for module, c in choices.items() if is_plain_convolution(module)}


def _replace_layers(
    network: nn.Module, choices: dict[nn.Module, MethodChoice], chains: dict[str, Chain]
) -> None:
    """Fold norms and replace convolutions in place."""
    modules: dict[str, Any] = dict(network.named_modules())
    relus = {}
    for name, chain in chains.items():
        convolution = modules[name]
        if chain.norm is not None:
            weight, bias = folded_weights(convolution, modules[chain.norm])
            convolution.weight = nn.Parameter(weight, requires_grad=False)
            convolution.bias = nn.Parameter(bias, requires_grad=False)
            replace_module(network, modules[chain.norm], FoldedNorm())
        if chain.relu is not None:
            relus[convolution] = modules[chain.relu]
    for module, choice in choices.items():
        if choice.method != "torch" and isinstance(module, nn.Conv2d):
            relu = relus.get(module)
            sparse = SparseConv2d(module, choice.method, choice.dense_from, relu is not None)
            replace_module(network, module, sparse)
            if relu is not None:
                replace_module(network, relu, nn.Identity())


def _changed_names(chain: Chain, network: nn.Module) -> tuple[str, ...]:
    """Return the names of a chain whose outputs include what is folded after them."""
    merges_relu = getattr(network.get_submodule(chain.convolution), "relu", False)
    if chain.norm is None:
        return (chain.convolution,) if merges_relu else ()
    return (chain.convolution, chain.norm) if merges_relu else (chain.convolution,)


def _has_channels_last(network: nn.Module) -> bool:
    """Return whether convolutions of a network have channels last in memory already."""
    return any(
        isinstance(module, nn.Conv2d)
        and not module.weight.is_contiguous()
        and module.weight.is_contiguous(memory_format=torch.channels_last)
        for module in network.modules()
    )
