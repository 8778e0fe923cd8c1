"""The module that replaces a convolution of a network, and the one in place of a folded norm."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd import forward_ad

from explore.core.validation import check_choice, check_flag, check_number
from explore.errors import InvalidInput
from explore.sparseconv.convolution import METHOD_NAMES, Layer
from explore.sparseconv.formats.geometry import Geometry
from explore.sparseconv.networks.convolution_inputs import module_geometry
from explore.sparseconv.networks.structure import is_plain_convolution

SAMPLES = 6
"""Values of the weights that each call compares; they reveal changes through ``weight.data``."""

SIZE_ATTRIBUTES = ("stride", "padding", "dilation", "groups", "padding_mode")


class SparseConv2d(nn.Conv2d):
    """A convolution that skips zeros; it has the parameters and attributes of the one it replaces.

    It is dense where a sparse one would differ from ``nn.Conv2d`` or be slower: if the maps have
    too few zeros, gradients are needed, maps or weights are not float32 in main memory, a weight is
    NaN or infinite, or PyTorch traces, compiles, maps (``vmap``) or autocasts the network.

    Changed weights are repacked at the next call: those of ``load_state_dict``, of an optimiser,
    of an assignment and of operations in place. Changes of a few values through ``weight.data``,
    which PyTorch does not count, may stay unnoticed; call ``repack`` after them.

    Args:
        module: the convolution that it replaces, whose parameters it shares.
        method: one of ``prepare``. For "auto" and "bitmap" each call measures the density.
        dense_from: density above which the convolution is dense, from 0 to 1.
        relu: set negative outputs to 0.

    Raises:
        InvalidInput: the module is no plain ``nn.Conv2d`` (without hooks or methods of its own), or
            is grouped, dilated or unevenly padded; or an option is out of range.
        UnknownName: no such method.

    Example:
        >>> conv = nn.Conv2d(3, 8, 3)
        >>> sparse = SparseConv2d(conv, "bitmap")
        >>> isinstance(sparse, nn.Conv2d), sparse.weight is conv.weight
        (True, True)
    """

    _packed: _PackedLayer | None = None

    def __init__(
        self, module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False
    ) -> None:
        if not isinstance(module, nn.Module) or not is_plain_convolution(module):
            raise InvalidInput(
                "module must be an nn.Conv2d of PyTorch's own class, without hooks, "
                f"parametrisations or methods of its own, got {type(module).__name__}"
            )
        nn.Module.__init__(self)
        for name, value in vars(module).items():
            if name in ("_parameters", "_buffers", "_modules"):
                vars(self)[name].update(value)
            elif not name.endswith("_hooks"):
                vars(self)[name] = value
        method = check_choice("method", method, METHOD_NAMES)
        self.method = "auto" if method == "bitmap" else method
        self.dense_from = check_number("dense_from", dense_from, at_least=0, at_most=1)
        self.relu = check_flag("relu", relu)
        supported_geometry(module)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the output of the convolution, followed by ReLU if ``relu``."""
        if not torch.jit.is_scripting():  # the other branch is not compiled
            layer = self._layer_for(input)
            if layer is not None:
                return self._sparse(layer, input)
        dense = self._conv_forward(input, self.weight, self.bias)
        return torch.relu(dense) if self.relu else dense

    def repack(self) -> None:
        """Read the weights again at the next call."""
        self._packed = None

    def extra_repr(self) -> str:
        """Return the sizes, the method, and the density from which on it is dense."""
        relu = ", then ReLU" if self.relu else ""
        return f"{super().extra_repr()}, {self.method}, dense from {self.dense_from:.2f}{relu}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the repacked weights, which are rebuilt when they are needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}

    def _layer_for(self, x: torch.Tensor) -> Layer | None:
        """Return the repacked convolution if it computes these maps as ``nn.Conv2d`` does."""
        if (
            type(x) is not torch.Tensor
            or torch.jit.is_tracing()
            or x.dtype is not torch.float32
            or x.ndim != 4
            or not x.is_cpu
            or not x.shape[0]
            or torch.compiler.is_compiling()
            or torch.is_autocast_enabled("cpu")
            or getattr(forward_ad, "_current_level", -1) >= 0
        ):
            return None
        parameters = self._parameters
        if "weight" not in parameters or "bias" not in parameters:
            return None  # pruned or parametrised after the conversion
        weight, bias = parameters["weight"], parameters["bias"]
        if torch.is_grad_enabled() and (
            x.requires_grad
            or (weight is not None and weight.requires_grad)
            or (bias is not None and bias.requires_grad)
        ):
            return None
        packed = self._packed
        if packed is None or not packed.is_current(self, weight, bias):
            packed = self._packed = _pack(self, weight, bias)
        return packed.layer

    def _sparse(self, layer: Layer, x: torch.Tensor) -> torch.Tensor:
        try:
            maps = x
            if self._packed is not None and self._packed.channels_last:
                # PyTorch's outputs have channels last if the weights have.
                maps = x.contiguous(memory_format=torch.channels_last)
            output: torch.Tensor = layer(maps)
        except (InvalidInput, RuntimeError) as error:
            try:  # tensors without memory of their own, such as those of vmap
                dense = self._conv_forward(x, self.weight, self.bias)
            except RuntimeError:
                raise error from None
            output = torch.relu(dense) if self.relu else dense
        return output


class _PackedLayer(NamedTuple):
    """Repacked weights (None if they cannot be used), and what reveals that they are out of date.

    It holds the tensors, so that no others can have their addresses.
    """

    layer: Layer | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    state: tuple[Any, ...]
    sizes: tuple[Any, ...]
    read_samples: Callable[[Any], Any]
    memory: Any
    samples: Any
    channels_last: bool

    def is_current(
        self, module: nn.Conv2d, weight: torch.Tensor | None, bias: torch.Tensor | None
    ) -> bool:
        """Return whether the parameters and sizes of a module are still those."""
        return (
            weight is self.weight
            and bias is self.bias
            and _state(weight, bias) == self.state
            and _sizes(module) == self.sizes
            and self.read_samples(self.memory) == self.samples
        )


_sizes = operator.attrgetter(*SIZE_ATTRIBUTES)


def _state(weight: torch.Tensor | None, bias: torch.Tensor | None) -> tuple[Any, ...]:
    """Return address and version of the parameters; PyTorch counts versions, except in inference
    mode."""
    try:
        if bias is None:
            return () if weight is None else (weight.data_ptr(), weight._version)
        if weight is not None:
            return weight.data_ptr(), weight._version, bias.data_ptr(), bias._version
    except RuntimeError:  # tensors of inference mode have no version, those of vmap no address
        pass
    return ()


def _pack(
    module: SparseConv2d, weight: torch.Tensor | None, bias: torch.Tensor | None
) -> _PackedLayer:
    """Repack the weights of a module, if the compiled convolutions can use them."""
    layer, memory, places, channels_last = None, memoryview(b""), [], False
    tensors = [t for t in (weight, bias) if t is not None]
    usable = weight is not None and all(
        t.dtype is torch.float32 and t.device.type == "cpu" and bool(t.isfinite().all())
        for t in tensors
    )
    if usable and weight is not None:
        try:
            layer = as_layer(module, module.method, module.dense_from, module.relu)
            flat = _in_memory_order(weight.detach())
        except InvalidInput:  # sizes that the formats do not support, or tensors without memory
            layer, flat = None, None
        if layer is not None and flat is not None:
            memory = flat.numpy().data.cast("B").cast("I")
            places = sorted(flat.abs().topk(min(SAMPLES, len(flat))).indices.tolist())
        channels_last = not weight.is_contiguous() and weight.is_contiguous(
            memory_format=torch.channels_last
        )
    read: Callable[[Any], Any] = operator.itemgetter(*places) if places else len
    state, sizes = _state(weight, bias), _sizes(module)
    return _PackedLayer(
        layer, weight, bias, state, sizes, read, memory, read(memory), channels_last
    )


def _in_memory_order(weight: torch.Tensor) -> torch.Tensor | None:
    """Return the values of weights as a vector that shares their memory, if they are contiguous."""
    if weight.is_contiguous():
        return weight.view(-1)
    last = weight.permute(0, 2, 3, 1)
    return last.reshape(-1) if last.is_contiguous() else None


class FoldedNorm(nn.Identity):
    """What stands in place of a batch norm whose factors are in the convolution before it."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if any(name.startswith(prefix) for name in state_dict):
            raise InvalidInput(
                f"the state_dict has the batch norm {prefix.rstrip('.')!r}, which is folded into a "
                "convolution here; load it into the network itself, and convert that again"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


def as_layer(module: nn.Conv2d, method: str, dense_from: float = 1.0, relu: bool = False) -> Layer:
    """Convert a convolution module to a ``Layer``.

    Raises:
        InvalidInput: it is grouped, dilated or unevenly padded.
    """
    geometry, weight = supported_geometry(module), module.weight
    return Layer(weight, module.bias, geometry.stride, geometry.padding, method, relu, dense_from)


def supported_geometry(module: nn.Conv2d) -> Geometry:
    """Return sizes of a convolution on maps that are not too small.

    Raises:
        InvalidInput: it is grouped, dilated or unevenly padded.
    """
    channels, height, width = module.weight.shape[1:]
    geometry = module_geometry(module, (1, channels, 4 * height, 4 * width))
    if geometry is None:
        raise InvalidInput(
            f"{module} is grouped, dilated or padded in a way that the formats do not support"
        )
    return geometry
