"""Load trained networks by name: small ones that ship, and published ones from weight files."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explore.core.resources import shipped
from explore.core.tensor_validation import as_tensor
from explore.core.validation import check_path, describe
from explore.data.datasets.folders import data_folder
from explore.errors import DataMissing, InvalidInput, UnknownName
from explore.models.trained.network_table import NETWORKS, NetworkEntry

_EXPECTED_FILE = (
    "expected a state_dict as safetensors or by torch.save; no code in a file is executed"
)


def load_network(name: str, weights: str | Path = "") -> tuple[nn.Module, NetworkEntry]:
    """Load a trained network by name, in evaluation mode.

    Args:
        name: "scenes-vgg", "scenes-residual" or "scenes-smooth" (which ship), "resnet20" or
            "resnet56" (CIFAR-10), "vgg11" (Fashion-MNIST; ``scripts/train_vgg.py`` trains it),
            "squeezenet" (ImageNet), or "torchvision:NAME" for any classifier of torchvision.
        weights: a file of weights that replaces the usual one; safetensors, or a file that
            ``torch.load(weights_only=True)`` reads. A classifier of torchvision needs it.

    Returns:
        The network and its entry in the table.

    Raises:
        UnknownName: the network is unknown.
        DataMissing: the file of weights does not exist; the message names it.
        InvalidInput: the weights are of another network, hold NaN or infinities, or are needed and
            not given.

    Example:
        >>> network, _ = load_network("scenes-vgg")
        >>> network(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 5])
    """
    entry = find_network(name)
    file = None if isinstance(weights, str) and not weights else check_path("weights", weights)
    if file is None and not entry.weights:
        raise InvalidInput(
            f"{name} comes without weights; give weights=FILE, its state_dict as safetensors or by "
            "torch.save"
        )
    if file is None:
        ships = entry.weights.startswith("data/")
        file = shipped(entry.weights) if ships else data_folder() / entry.weights
    if not file.is_file():
        raise DataMissing(
            f"weights of {name} are looked for in {file}; put them there, or give weights=FILE"
        )
    with torch.device("meta"):  # no random numbers, so the global random state does not change
        network = entry.build()
    try:
        network.load_state_dict(read_weights(file), assign=True)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error), 300, placeholder=" …")  # it lists every layer
        raise InvalidInput(f"{file} holds no weights of {name}: {reason}") from error
    for layer, values in network.state_dict().items():
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise InvalidInput(f"{file} holds NaN or infinities in {layer}, a weight of {name}")
    return network.eval().requires_grad_(False), entry


def find_network(name: str) -> NetworkEntry:
    """Return the entry of a network, without loading its weights.

    Raises:
        UnknownName: the network is unknown.
        InvalidInput: the name is not a string.
    """
    if not isinstance(name, str):
        raise InvalidInput(
            f"a network is given by its name, such as 'scenes-vgg', got {describe(name)}"
        )
    if not name.startswith("torchvision:"):
        if name not in NETWORKS:
            raise UnknownName("network", name, [*NETWORKS, "torchvision:NAME"])
        return NETWORKS[name]
    from torchvision import models
    from torchvision.models import list_models

    classifier = name.partition(":")[2]
    # Only classifiers: detectors would download weights of their own.
    classifiers = list_models(module=models)
    if classifier not in classifiers:
        raise UnknownName("classifier of torchvision", classifier, classifiers)
    return NetworkEntry(
        name,
        "torchvision.models:get_model",
        (classifier,),
        {"weights": None},
        normalization="imagenet",
    )


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Read the weights in a file as float32, by name; no code in it is executed.

    Raises:
        InvalidInput: the file cannot be read, or holds something else.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own message would suggest to execute the file
        raise InvalidInput(
            f"{file} cannot be read as weights ({type(error).__name__}); {_EXPECTED_FILE}"
        ) from error
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise InvalidInput(
            f"{file} holds no tensors by name, but {type(content).__name__}; {_EXPECTED_FILE}"
        )
    if not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()):
        kinds = sorted({type(value).__name__ for value in content.values()} - {"Tensor"})
        raise InvalidInput(
            f"{file} holds no tensors by name, but also "
            f"{', '.join(kinds) or 'names that are no text'}; "
            f"{_EXPECTED_FILE}"
        )
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in (
            (name, as_tensor(f"{name} in {file}", value)) for name, value in content.items()
        )
    }
