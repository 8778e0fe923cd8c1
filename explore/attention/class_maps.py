"""Class activation maps of any network: which parts of an image raise the score of a class."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import interpolate, one_hot

from explore.attention._cam_kinds import (
    CAM_SUMS,
    scale_maps,
    smooth_gradcam_plus_plus_sum,
)
from explore.attention._input_checks import check_images, check_shape, check_targets
from explore.attention._target_layer import check_layer, find_layer
from explore.attention.kinds import CAM_KINDS
from explore.attention.receptive_field import receptive_field
from explore.core.runs import stream_seed
from explore.core.tensor_validation import check_network, check_tensor
from explore.core.validation import (
    check_choice,
    check_flag,
    check_items,
    check_number,
    check_seed,
    check_whole_number,
)
from explore.errors import ExploreWarning, InvalidInput
from explore.models._checks import check_classes, check_outputs, run_network
from explore.models.scoring import evaluation_mode

MAX_NAMED_MAPS = 5
"""How many maps a warning names at most."""

MAX_COPIES = 10_000
MAX_SIDE = 16_384
"""Larger numbers would take hours or gigabytes; a digit too many is more likely."""


class ClassMaps(NamedTuple):
    """Maps of a batch, and what they belong to.

    Attributes:
        maps: float ``[N, h, w]``, at the resolution of the layer; in [0, 1] if normalised.
        targets: int64 ``[N]``, the class of each map.
        logits: float ``[N, K]``, the output of the network.
        valid: bool ``[N]``; False where the map was constant or not finite and became zeros.
    """

    maps: torch.Tensor
    targets: torch.Tensor
    logits: torch.Tensor
    valid: torch.Tensor


class ActivationMapper:
    """Computes the class activation maps of one network at one layer.

    The part of the network before the layer runs without gradients, and the gradient goes back only
    to the layer. So a map costs little more than a forward pass. The network computes in evaluation
    mode, and gets its mode back; hooks exist only during a call.

    Args:
        model: any network that returns logits ``[N, K]``.
        layer: name of a module as in ``model.named_modules()``; by default the last map before
            global pooling or the classifier.
        kind: "gradcam", "hirescam", "layercam", "gradcam++" or "smoothgradcam++". All are sums of
            channels after a ReLU. Kinds without gradients are not offered: Eigen-CAM has no class,
            and Score-CAM and Ablation-CAM need one forward pass for each channel.
        copies, noise: of "smoothgradcam++": number of noisy copies, and standard deviation of the
            noise in the units of the images.
        seed: of that noise. The noise of an image does not depend on the other images.

    Raises:
        InvalidInput: the model is no ``nn.Module``, or a number is out of range.
        UnknownName: an unknown kind, or no layer of this name.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        ...     nn.Flatten(), nn.Linear(2, 2, bias=False)).requires_grad_(False)
        >>> _ = net[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        >>> _ = net[4].weight.copy_(torch.eye(2))
        >>> mapper = ActivationMapper(net)
        >>> mapper(torch.tensor([[[[2.0, 1.0], [0.0, -2.0]]]]), targets=0).maps
        tensor([[[1.0000, 0.5000],
                 [0.0000, 0.0000]]])
        >>> mapper.layer
        '1'
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str | None = None,
        kind: str = "gradcam",
        *,
        copies: int = 4,
        noise: float = 0.3,
        seed: int = 0,
    ) -> None:
        self.model = check_network("model", model)
        self.kind = check_choice("kind", kind, CAM_KINDS)
        self.copies = check_whole_number("copies", copies, 1, MAX_COPIES)
        self.noise = check_number("noise", noise, at_least=0)
        self.seed = check_seed(seed)
        self.layer = ""
        if layer is not None and not (isinstance(layer, str) and not layer):
            self.layer = check_layer(model, layer)

    def __call__(
        self,
        images: torch.Tensor,
        targets: int | Sequence[int] | torch.Tensor | None = None,
        *,
        batch: int = 64,
        normalize: bool = True,
        warn: bool = True,
        numbers: Sequence[int] | None = None,
    ) -> ClassMaps:
        """Return the map of each image for its target.

        Args:
            images: floats ``[N, C, H, W]``, a tensor, an array or a list; they get the device and
                the type of the network.
            targets: one class for all images, or one for each; by default the class with the
                largest logit.
            batch: images in a forward pass; more do not need more memory.
            normalize: scale each map to [0, 1] by its own minimum and maximum.
            warn: warn of maps that became zeros.
            numbers: the number of each image in its set, which with the seed determines its noise;
                by default 0, 1, 2, …

        Raises:
            InvalidInput: images or targets of another form, images that the network cannot compute,
                a target that is no class, an output that is not ``[N, K]``, or a layer that returns
                no map.
        """
        images = check_images(self.model, images)
        batch = check_whole_number("batch", batch, 1)
        normalize, warn = check_flag("normalize", normalize), check_flag("warn", warn)
        wanted = check_targets(targets, len(images))
        if numbers is None:
            numbers = range(len(images))
        else:
            numbers = [check_whole_number("numbers", n, 0) for n in check_items("numbers", numbers)]
        if len(numbers) != len(images):
            raise InvalidInput(f"numbers must be {len(images)}, one per image, got {len(numbers)}")
        # Gradients are possible although the caller may have switched them off.
        with torch.inference_mode(False), torch.enable_grad(), evaluation_mode(self.model):
            if images.is_inference():
                images = images.clone()  # autograd cannot keep the original
            if not self.layer:
                self.layer = find_layer(self.model, images[:1])
            parts = []
            for start in range(0, len(images), batch):
                rows = slice(start, start + batch)
                classes = None if wanted is None else wanted[rows]
                parts.append(self._maps(images[rows], classes, numbers[rows]))
        maps, chosen, logits = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        scaled, valid = scale_maps(maps)
        if not valid.all():
            if warn:
                self._warn(chosen, valid)
            maps = torch.where(valid[:, None, None], maps, 0)
        return ClassMaps(scaled if normalize else maps, chosen, logits, valid)

    def describe(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what identifies the maps of images ``(C, H, W)``, for the attributes of a Dataset.

        It has kind, network, layer, the layer's resolution and its receptive field in pixels.
        """
        shape = check_shape(shape)
        parameter = next(self.model.parameters(), torch.zeros(()))
        image = torch.zeros(1, *shape, device=parameter.device, dtype=parameter.dtype)
        maps = self(image, 0, warn=False).maps
        description: dict[str, Any] = {
            "kind": self.kind,
            "network": type(self.model).__name__,
            "layer": self.layer,
            "resolution": list(maps.shape[1:]),
            "receptive_field": list(receptive_field(self.model, self.layer, shape)),
        }
        if self.kind == "smoothgradcam++":
            description |= {"copies": self.copies, "noise": self.noise, "seed": self.seed}
        return description

    def _maps(
        self, images: torch.Tensor, targets: torch.Tensor | None, numbers: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return maps before scaling, targets and logits of a batch."""
        f, g, targets, logits = self._pass(images, targets)
        if self.kind in CAM_SUMS:
            return CAM_SUMS[self.kind](f, g).relu(), targets, logits
        noise = self._noise(images, numbers)
        copies = [self._pass(images + values, targets)[:2] for values in noise]
        features, gradients = (list(tensors) for tensors in zip(*copies, strict=True))
        return smooth_gradcam_plus_plus_sum(f, features, gradients).relu(), targets, logits

    def _pass(
        self, images: torch.Tensor, targets: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the layer's map, the gradient of the target's logit, targets and logits."""
        with torch.no_grad():  # until the layer
            f, logits = self._forward(images)
        if not logits.requires_grad:  # the network itself switches gradients off and on again
            f, logits = self._forward(images)
        targets = logits.detach().argmax(1) if targets is None else targets.to(logits.device)
        check_classes("targets", targets, logits)
        gradient = None
        if logits.requires_grad:
            chosen = one_hot(targets, logits.shape[1]).to(logits)
            (gradient,) = torch.autograd.grad(logits, f, chosen, allow_unused=True)
        if gradient is None:
            raise InvalidInput(f"the logits do not depend on layer {self.layer!r}")
        return f.detach(), gradient, targets, logits.detach()

    def _forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the layer's map, from which on gradients are recorded, and the logits."""
        taps: list[torch.Tensor] = []

        def tap(module: nn.Module, args: Any, output: Any) -> torch.Tensor:
            if not isinstance(output, torch.Tensor) or output.ndim != 4:
                is_tensor = isinstance(output, torch.Tensor)
                returned = list(output.shape) if is_tensor else type(output).__name__
                raise InvalidInput(
                    f"layer {self.layer!r} must return a map [N, C, H, W], it returns {returned}"
                )
            torch.set_grad_enabled(True)  # until the end of the innermost no_grad
            taps.append(output.detach().requires_grad_())
            return taps[-1].clone()  # a later layer may work in place

        handle = self.model.get_submodule(self.layer).register_forward_hook(tap)
        try:
            logits = check_outputs(run_network(self.model, images), len(images))
        finally:
            handle.remove()
        if not taps:
            raise InvalidInput(f"layer {self.layer!r} is not called in a forward pass")
        return taps[-1], logits

    def _noise(self, images: torch.Tensor, numbers: Sequence[int]) -> Iterator[torch.Tensor]:
        """Draw the noise of each copy, image by image, so that it does not depend on the batch."""
        generators = [
            torch.Generator().manual_seed(stream_seed(self.seed, "noise", number))
            for number in numbers
        ]
        for _ in range(self.copies):
            noise = [torch.randn(images.shape[1:], generator=g) for g in generators]
            yield self.noise * torch.stack(noise).to(images)

    def _warn(self, targets: torch.Tensor, valid: torch.Tensor) -> None:
        rows = (~valid).nonzero().flatten().tolist()
        named = [f"image {row} (class {int(targets[row])})" for row in rows[:MAX_NAMED_MAPS]]
        rest = f" and {len(rows) - len(named)} more" if len(rows) > len(named) else ""
        warnings.warn(
            f"{len(rows)} of {len(targets)} maps of layer {self.layer!r} are zero, constant or not "
            f"finite, and became zeros: {', '.join(named)}{rest}",
            ExploreWarning,
            stacklevel=4,
        )


def gradcam(
    model: nn.Module,
    images: torch.Tensor,
    targets: int | Sequence[int] | torch.Tensor | None = None,
    layer: str | None = None,
    size: int | tuple[int, int] | str | None = None,
    *,
    kind: str = "gradcam",
    normalize: bool = True,
    **options: Any,
) -> torch.Tensor:
    """Return where an image raises the score of a class: a class activation map.

    Args:
        model: any network that returns logits; it computes in evaluation mode and keeps its mode.
        images: floats ``[N, C, H, W]``, as for ``ActivationMapper``.
        targets: one class for all images, or one for each; by default the predicted one.
        layer: name of a module; by default the last map before global pooling or the classifier.
        size: (height, width) or side in pixels to which maps are resized, bilinear; by default the
            size of the images. "layer" keeps the resolution of the layer.
        kind: see ``ActivationMapper``.
        normalize: scale each map to [0, 1] by its own minimum and maximum.
        **options: ``copies``, ``noise`` and ``seed`` of ``ActivationMapper``.

    Returns:
        ``[N, H, W]``, on the device of the logits. A map that is zero, constant or not finite is
        zeros, with a warning.

    Raises:
        InvalidInput, UnknownName: see ``ActivationMapper``.

    Source: Grad-CAM (arXiv 1610.02391); the other kinds: see ``explore.attention._cam_kinds``.

    Example:
        >>> from explore.models import ConvNet
        >>> gradcam(ConvNet(1, 10, 16, width=8), torch.rand(2, 1, 16, 16), targets=3).shape
        torch.Size([2, 16, 16])
    """
    mapper = ActivationMapper(model, layer, kind, **_check_options(options))
    images = check_images(model, images)
    is_layer = isinstance(size, str) and size == "layer"
    sides = (1, 1) if is_layer else _check_size(images.shape[-2:] if size is None else size)
    maps = mapper(images, targets, normalize=normalize).maps
    return maps if is_layer else resize_maps(maps, sides)


def resize_maps(maps: torch.Tensor, size: Any) -> torch.Tensor:
    """Resize maps ``[N, h, w]`` to a side, or to (height, width), bilinear.

    Raises:
        InvalidInput: the size is neither a whole number nor two of them.
    """
    maps = check_tensor("maps", maps, ("N", "h", "w"))
    sides = _check_size(size)
    return interpolate(maps[:, None], sides, mode="bilinear", align_corners=False)[:, 0]


def _check_size(size: Any) -> tuple[int, int]:
    sides = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    height, width = (check_whole_number("size", side, 1, MAX_SIDE) for side in sides)
    return height, width


def _check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of ``ActivationMapper``, if they are."""
    for name in options:
        check_choice("option", name, ("copies", "noise", "seed"))
    return options
