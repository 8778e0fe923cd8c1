"""Attention on graphs: the structural attention that is matched, and the attention of nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from explore.core.tensor_validation import as_tensor, check_finite, check_network, check_tensor
from explore.core.validation import check_choice, check_number, check_whole_number, describe
from explore.data.graph_set import GraphSet
from explore.errors import ExploreError, InvalidInput
from explore.graphs.config import NODE_ATTENTION_KINDS
from explore.graphs.powers import STORED_POWERS, raise_to, safe_scale
from explore.graphs.sources import as_graph_set, in_type
from explore.models.graph_batch import SparseGraphs
from explore.models.training import evaluation_mode

EPSILON = 1e-12
"""Added to the norm by which a map is divided, so that a map of zeros stays zero."""


def structural_attention(hidden: Any, mask: Any = None, power: float = 2.0) -> torch.Tensor:
    """Return the structural attention of a layer: second moments of powers of its channels.

    ``P = hidden ** power`` with one row for each node of all graphs; the map is ``P^T P`` divided
    by the sum of its absolute entries. It does not depend on the numbering of nodes or graphs, and
    graphs of any size can be compared.

    Args:
        hidden: ``[..., d]``, values of at least 0, as after ReLU. All axes but the last are nodes.
            Values of any magnitude are used; halves are computed in float32.
        mask: bool ``[...]``, False for padding nodes.
        power: exponent p.

    Returns:
        ``[d, d]``, symmetric, with the sum 1, in the type of ``hidden``; zeros if all values are
        zero.

    Raises:
        InvalidInput: hidden has fewer than two axes or NaN, or values below 0 and a power that is
            not whole; the mask is not of bool or has another shape.

    Source: GSTAM (arXiv 2408.16871), its released code for one graph per class. For more, that code
    adds graphs node by node before the product, so that the map depends on the numbering of nodes;
    here every graph enters by its own product (our reading).

    Example:
        >>> structural_attention(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), power=1.0)
        tensor([[0.2000, 0.0000],
                [0.0000, 0.8000]])
    """
    hidden = check_tensor("hidden", hidden, (...,), empty=True)
    if hidden.ndim < 2:
        raise InvalidInput(f"hidden must be [..., nodes, d], got {list(hidden.shape)}")
    power = check_number("power", power, above=0)
    if mask is not None:
        mask = as_tensor("mask", mask)
        if mask.shape != hidden.shape[:-1] or mask.dtype != torch.bool:
            raise InvalidInput(
                f"mask must be bool {list(hidden.shape[:-1])}, as hidden is {list(hidden.shape)}, "
                f"got {mask.dtype} {list(mask.shape)}"
            )
        hidden = torch.where(mask.to(hidden.device)[..., None], hidden, 0)
    check_finite("rows of hidden", hidden)
    if power != int(power) and bool((hidden < 0).any()):
        raise InvalidInput(
            f"hidden must be at least 0 for the power {power:g}, got {float(hidden.min()):.3g}; "
            "use the values after ReLU, or a whole power"
        )
    values = hidden if hidden.dtype == torch.float64 else hidden.float()
    powers = raise_to(safe_scale(values, power), power).flatten(0, -2)
    product = powers.T @ powers
    result = product / (product.abs().sum() + EPSILON)
    return result.to(hidden.dtype)


def node_attention(
    model: nn.Module,
    graph: Any,
    kind: str = "energy",
    target: int | None = None,
    power: float = 2.0,
) -> torch.Tensor:
    """Return the attention of each node after each layer of a network, in evaluation mode.

    * "energy": ``sum_j h_vj^(2 p)``, the share of node v in the trace of the structural attention.
      It has no class: it says where activations are, not what decided.
    * "gradcam": ``ReLU(sum_j alpha_j h_vj)`` with ``alpha_j`` the mean over nodes of the derivative
      of the logit of the class ``target``. It says which nodes spoke for this class.

    Args:
        model: ``GCN``, ``PygClassifier``, or any network that is called with ``(x, edge_index,
            batch)`` and whose layers are PyTorch Geometric's message passing modules.
        graph: a ``GraphSet``, or one graph of PyTorch Geometric or networkx.
        kind: see above.
        target: class for "gradcam"; by default the predicted one of each graph.
        power: p of "energy".

    Returns:
        ``[layers, nodes]``, at least 0, not normalised. Energies that float32 cannot hold are those
        of values that are divided by their largest one in this layer. Modes, flags and gradients of
        the network are as before.

    Raises:
        InvalidInput: a class that the network does not have, a network without layers that can be
            seen, layers that do not reach the logits or have NaN, or a graph that cannot be used.
        UnknownName: another kind.

    Source: "energy" is our reading of GSTAM's map; "gradcam" is Pope et al., CVPR 2019.

    Example:
        >>> from explore.data import load_graph_set
        >>> from explore.models import GCN
        >>> graphs = load_graph_set("motifs", count=2)
        >>> node_attention(GCN(31, 2, width=8), graphs.subset([0])).shape
        torch.Size([3, 24])
    """
    kind = check_choice("kind", kind, NODE_ATTENTION_KINDS)
    power = check_number("power", power, above=0)
    if kind == "energy" and target is not None:  # "gradcam" checks it against the classes.
        check_whole_number("target", target, at_least=0)
    model = check_network("model", model)
    graphs = as_graph_set(graph)
    with evaluation_mode(model):
        if kind == "energy":
            with torch.no_grad():
                layers, _ = layer_outputs(model, graphs)
                for layer in layers:
                    check_finite("nodes in a layer", layer, "the network or the features are bad")
                # The absolute value changes no whole power, and layers may come before ReLU.
                scaled = [safe_scale(h.abs(), power, limits=STORED_POWERS) for h in layers]
                return torch.stack([raise_to(h, power).square().sum(1) for h in scaled])
        with torch.enable_grad():
            # Gradients start at the features, so the parameters may be frozen.
            features = graphs.features.detach().requires_grad_(True)
            layers, logits = layer_outputs(model, replace(graphs, features=features))
            gradients = _class_gradients(layers, logits, len(graphs), target)
    batch = SparseGraphs(graphs.to(logits.device))
    attention = []
    for hidden, gradient in zip(layers, gradients, strict=True):
        alpha = batch.pool(gradient, "mean")[batch.graphs.graph_of_node]
        attention.append((alpha * hidden.detach()).sum(1).relu())
    result = torch.stack(attention)
    if not bool(result.isfinite().all()):
        raise InvalidInput(
            "the attention is NaN or infinite; the network diverged, or the features are too large"
        )
    return result


def _class_gradients(
    layers: list[torch.Tensor], logits: torch.Tensor, count: int, target: int | None
) -> list[torch.Tensor]:
    """Return the derivatives of each graph's logit of its class, ``[nodes, d]`` for each layer."""
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != count:
        raise InvalidInput(
            f"the network must return logits [{count}, classes], one row for each graph, got "
            f"{list(logits.shape) if isinstance(logits, torch.Tensor) else describe(logits)}"
        )
    if target is None:
        targets = logits.argmax(1)
    else:
        target = check_whole_number("target", target, at_least=0, at_most=logits.shape[1] - 1)
        targets = torch.full((count,), target, device=logits.device)
    gradients: list[torch.Tensor | None] = [None]
    if all(tensor.requires_grad for tensor in (logits, *layers)):
        scores = logits.gather(1, targets[:, None]).sum()
        gradients = list(torch.autograd.grad(scores, layers, allow_unused=True))
    if any(gradient is None for gradient in gradients):
        raise InvalidInput(
            "a layer of the network does not reach its logits, so it has no gradcam; use the kind "
            "'energy'"
        )
    return [gradient for gradient in gradients if gradient is not None]


def layer_outputs(model: nn.Module, graphs: GraphSet) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the values of all nodes after each layer, ``[nodes, d]`` each, and the logits.

    Raises:
        InvalidInput: see ``node_attention``.
    """
    graphs = for_network(model, graphs)
    try:
        return _layer_outputs(model, graphs)
    except ExploreError:
        raise
    except Exception as error:  # The network of somebody else may fail in any way.
        raise InvalidInput(
            f"{type(model).__name__} cannot take graphs with {graphs.features.shape[1]} features: "
            f"{error}"
        ) from error


def for_network(model: nn.Module, graphs: GraphSet) -> GraphSet:
    """Return graphs on the device of a network and with features of its type."""
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        return graphs
    # Gradients start at the features, so they are replaced only if they must be.
    graphs = graphs if graphs.features.device == weight.device else graphs.to(weight.device)
    return in_type(graphs, weight.dtype)


def _layer_outputs(model: nn.Module, graphs: GraphSet) -> tuple[list[torch.Tensor], torch.Tensor]:
    if all(hasattr(model, name) for name in ("hidden", "embed", "classify")):
        network: Any = model
        batch = SparseGraphs(graphs)
        layers: list[torch.Tensor] = network.hidden(batch)
        return layers, network.classify(network.embed(layers[-1], batch))
    layers = []
    hooks = [
        module.register_forward_hook(_store_in(layers))
        for module in model.modules()
        if any(kind.__name__ == "MessagePassing" for kind in type(module).__mro__)
    ]
    if not hooks:
        raise InvalidInput(
            f"{type(model).__name__} has no message passing modules of PyTorch Geometric; use GCN, "
            "or give it methods hidden, embed and classify like those of explore.models.GCN"
        )
    try:
        logits = model(graphs.features, graphs.edges, graphs.graph_of_node)
    finally:
        for hook in hooks:
            hook.remove()
    nodes = len(graphs.features)
    are_tensors = all(isinstance(hidden, torch.Tensor) and hidden.ndim == 2 for hidden in layers)
    if not layers or not are_tensors or any(len(hidden) != nodes for hidden in layers):
        sizes = ", ".join(str(len(hidden)) for hidden in layers) or "no rows"
        raise InvalidInput(
            f"each layer must return one row for each of the {nodes} nodes, got {sizes}; networks "
            "that drop or merge nodes are not supported"
        )
    return layers, logits


def _store_in(layers: list[torch.Tensor]) -> Callable[..., None]:
    def store(module: nn.Module, inputs: Any, output: Any) -> None:
        layers.append(output[0] if isinstance(output, tuple) else output)

    return store
