"""Whether a map matters to the network: deletion and insertion curves, and random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.attention._input_checks import check_images, check_targets
from explore.attention._target_layer import check_layer, record_outputs
from explore.attention.class_maps import ActivationMapper
from explore.core.runs import stream_seed
from explore.core.tensor_validation import check_network, check_tensor
from explore.core.validation import check_items, check_seed, check_whole_number
from explore.errors import InvalidInput
from explore.models._checks import check_classes, check_outputs, copy_network
from explore.models.scoring import evaluation_mode, logits_of

if TYPE_CHECKING:
    import xarray

Targets = int | Sequence[int] | torch.Tensor | None


def deletion_curve(
    model: nn.Module,
    images: torch.Tensor,
    cam: torch.Tensor,
    targets: Targets = None,
    steps: int = 16,
    baseline: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the probability of a class while pixels are deleted, the largest map values first.

    Args:
        model: any network that returns logits.
        images: floats ``[N, C, H, W]``, a tensor, an array or a list.
        cam: floats ``[N, H, W]``, at the size of the images.
        targets: one class for all images, or one for each; by default the predicted one.
        steps: equal parts in which the pixels are deleted.
        baseline: ``[N, C, H, W]``, what deleted pixels become; by default the mean of each channel
            of the image.

    Returns:
        ``[N, steps + 1]``: with 0, 1/steps, …, all pixels deleted. A good map makes the curve fall
        early; its mean is the area under it.

    Raises:
        InvalidInput: shapes that do not fit, a target that is no class, or a number of steps below
            1 or above that of pixels.

    Source: RISE (arXiv 1806.07421), section 4.1; the mean colour in place of black is our choice.
    """
    return _curve(model, images, cam, targets, steps, baseline, inserted=False)


def insertion_curve(
    model: nn.Module,
    images: torch.Tensor,
    cam: torch.Tensor,
    targets: Targets = None,
    steps: int = 16,
    baseline: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the probability of a class while pixels are inserted, the largest map values first.

    The arguments are those of ``deletion_curve``; the first column is the baseline alone, the last
    one the whole image. A good map makes the curve rise early.

    Raises:
        InvalidInput: see ``deletion_curve``.

    Source: RISE (arXiv 1806.07421), section 4.1.
    """
    return _curve(model, images, cam, targets, steps, baseline, inserted=True)


def _curve(
    model: nn.Module,
    images: torch.Tensor,
    cam: torch.Tensor,
    targets: Targets,
    steps: int,
    baseline: torch.Tensor | None,
    inserted: bool,
) -> torch.Tensor:
    images = check_images(check_network("model", model), images, finite=True)
    cam = check_tensor("maps", cam, ("N", "H", "W"), finite=True).detach()
    if cam.shape != (len(images), *images.shape[2:]):
        raise InvalidInput(
            f"maps must be [N, H, W] like images [N, C, H, W]; got {list(cam.shape)} and "
            f"{list(images.shape)}"
        )
    pixels = cam[0].numel()
    steps = check_whole_number("steps", steps, 1, pixels)
    if baseline is None:
        baseline = images.mean((2, 3), keepdim=True).expand_as(images)
    else:
        baseline = check_tensor("baseline", baseline, tuple(images.shape), finite=True).to(images)
    wanted = check_targets(targets, len(images))
    logits = check_outputs(logits_of(model, images), len(images))
    classes = logits.argmax(1) if wanted is None else wanted.to(logits.device)
    check_classes("targets", classes, logits)
    # The rank of each pixel, 0 for the largest value.
    order = cam.flatten(1).argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(
        1, order, torch.arange(pixels, device=cam.device).expand_as(order)
    )
    ranks = ranks.view_as(cam)[:, None].to(images.device)
    columns = []
    for step in range(steps + 1):
        first = ranks < round(step * pixels / steps)
        mixed = torch.where(first == inserted, images, baseline)
        probabilities = logits_of(model, mixed).softmax(1)
        columns.append(probabilities.gather(1, classes[:, None]))
    return torch.cat(columns, 1)


def randomized(model: nn.Module, layers: Sequence[str], seed: int = 0) -> nn.Module:
    """Return a copy of a network in which the weights of some layers are shuffled.

    The values of each weight and bias are permuted, so that their distribution stays.

    Args:
        model: any network.
        layers: names of modules as in ``model.named_modules()``; all layers inside a module count.
        seed: of the permutations; the one of a weight depends on its name and the seed alone.

    Raises:
        UnknownName: no layer of this name.
        InvalidInput: no network, no list of names, or a network that cannot be copied.
    """
    seed, model = check_seed(seed), check_network("model", model)
    prefixes = [f"{check_layer(model, name)}." for name in check_items("layers", layers)]
    with torch.inference_mode(False), torch.no_grad():
        changed = copy_network(model)
        for name, parameter in changed.named_parameters():
            if name.startswith(tuple(prefixes)):
                generator = torch.Generator().manual_seed(stream_seed(seed, name))
                order = torch.randperm(parameter.numel(), generator=generator)
                flat = parameter.flatten()[order.to(parameter.device)]
                parameter.copy_(flat.view_as(parameter))
    return changed


def randomization_check(
    model: nn.Module,
    images: torch.Tensor,
    targets: Targets = None,
    layer: str | None = None,
    kind: str = "gradcam",
    seed: int = 0,
) -> xarray.Dataset:
    """Compare maps with those of networks that are shuffled, layer by layer from the output.

    A map that does not change shows edges of the image, and nothing that the network has learnt.

    Args:
        model, images, targets, layer, kind: as for ``gradcam``.
        seed: of the shuffling.

    Returns:
        ``similarity [layer, image]``: the rank correlation (Spearman) of the map with the one of
        the trained network, after this layer and all later ones were shuffled; NaN where one of
        both maps is constant. Coordinate ``layer``: names of convolutions and linear layers, the
        last one to be called first.

    Raises:
        InvalidInput: see ``ActivationMapper``; or a network without convolution or linear layer.

    Source: Adebayo et al., Sanity Checks for Saliency Maps (arXiv 1810.03292), cascading; shuffled
    values in place of a new initialisation are our choice, as they keep the scale of every layer.
    """
    import xarray
    from scipy.stats import spearmanr

    mapper, seed = ActivationMapper(model, layer, kind), check_seed(seed)
    images = check_images(model, images, finite=True)
    trained = mapper(images, targets, warn=False)
    with evaluation_mode(model):
        outputs, _ = record_outputs(model, images[:1])
    layers = list(
        dict.fromkeys(
            name
            for name, module, _ in reversed(outputs)
            if isinstance(module, (nn.Conv2d, nn.Linear))
        )
    )
    if not layers:
        raise InvalidInput("the model has no convolution and no linear layer to shuffle")
    rows = []
    for count in range(1, len(layers) + 1):
        other = ActivationMapper(randomized(model, layers[:count], seed), mapper.layer, kind)
        maps = other(images, trained.targets, warn=False).maps
        pairs = zip(trained.maps.flatten(1), maps.flatten(1), strict=True)
        rows.append([_correlation(spearmanr, *pair) for pair in pairs])
    attrs = {"long_name": "rank correlation with the maps of the trained network", "units": "1"}
    return xarray.Dataset(
        {"similarity": (("layer", "image"), np.array(rows), attrs)},
        {"layer": np.array(layers, object)},
        mapper.describe(tuple(images.shape[1:])),
    )


def _correlation(spearmanr: Any, first: torch.Tensor, second: torch.Tensor) -> float:
    if first.min() == first.max() or second.min() == second.max():
        return float("nan")  # not defined
    return float(spearmanr(first.cpu().numpy(), second.cpu().numpy()).statistic)
