"""What a training refuses, what it converts, and that a network that diverged is never a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.errors import InvalidInput, RunDiverged
from explore.models import ConvNet, Fit

X = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def fit(**change: Any) -> Fit:
    network = ConvNet(1, 3, 8, width=4)
    return Fit(**({"network": network, "images": X, "labels": Y, "epochs": 2, "batch": 5} | change))


class Returning(nn.Module):
    """A network that returns what a function makes of its logits."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.network, self.function = ConvNet(1, 3, 8, width=4), function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.network(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": ConvNet}, "network must be a network .*; call the function that makes one"),
        ({"network": nn.Flatten()}, "must have weights to train, but it has none"),
        (
            {"network": ConvNet(1, 3, 8, width=4).requires_grad_(False)},
            "they are all frozen; call network.requires_grad_",
        ),
        ({"network": nn.Sequential(nn.Flatten(), nn.LazyLinear(3))}, "lazy layers"),
        ({"images": "cat"}, "images must be an array of numbers"),
        ({"images": torch.where(X > 2, torch.nan, X)}, "images hold NaN or Inf"),
        ({"labels": Y[:5]}, "12 images, 5 labels"),
        ({"labels": Y.float()}, "labels must be integers .* labels.long"),
        ({"labels": Y > 0}, "labels must be integers"),
        ({"labels": torch.eye(3)[Y].long()}, "labels must be integers .* labels.argmax"),
        ({"labels": torch.eye(3)[Y] * torch.nan}, "labels hold NaN or Inf"),
        ({"labels": Y - 1}, "labels must be 0.*, got -1 in image 0"),
        ({"epochs": "3"}, "epochs must be a whole number"),
        ({"epochs": 10**30}, "epochs must be a whole number"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number of at least 0"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number"),
        ({"learning_rate": 1e300}, "learning_rate must be a number"),
        ({"learning_rate": "0.1"}, "learning_rate must be a number"),
        ({"momentum": 1.0}, "momentum must be a number of at least 0 and below 1, got 1"),
        ({"momentum": -1}, "momentum must be a number of at least 0 and below 1, got -1"),
        ({"momentum": float("nan")}, "momentum must be a number"),
        ({"weight_decay": float("inf")}, "weight_decay must be a number of at least 0"),
        ({"weight_decay": -1}, "weight_decay must be a number of at least 0"),
        ({"loss": "mse"}, "loss must be a function"),
        ({"augment": True}, "augment must be a function"),
        ({"pool": [0, 1]}, "pool must be a function"),
        ({"schedule": ["step"]}, "unknown schedule"),
    ],
)
def test_a_training_is_not_created_from_other_values(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fit(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": Y + 1}, "labels must be classes 0 to 2, as the network has 3 logits; got 3"),
        ({"images": (X * 0).byte()}, "images must be floats, got torch.uint8"),
        ({"images": X[:, 0]}, r"\[N, 1, H, W\]"),
        ({"images": X.expand(-1, 3, -1, -1)}, r"\[N, 1, H, W\], got torch.float32 \[5, 3"),
        ({"network": Returning(lambda z: (z, z))}, "it returns tuple; wrap it"),
        ({"network": Returning(lambda z: {"logits": z})}, "it returns dict; wrap it"),
        ({"loss": lambda z, y: cross_entropy(z, y, reduction="none")}, "loss must return the mean"),
        ({"loss": lambda z, y: 1.0}, "loss must return the mean .* got 1.0"),
        ({"loss": lambda z, y: z.detach().sum()}, "loss must return the mean"),
        ({"loss": lambda z: z.sum()}, "the loss cannot be computed from outputs and labels"),
        ({"labels": torch.zeros(12, 4)}, "the loss cannot be computed from outputs and labels"),
        ({"augment": lambda x: x}, "augment.batch, number. fails with TypeError"),
        ({"pool": lambda epoch: []}, "the result of pool must not be empty"),
        ({"pool": lambda epoch: [0.5]}, "the result of pool must be whole numbers"),
        ({"pool": lambda epoch: [0, 12]}, "indices of images, 0..11, got 0..12"),
        ({"batch": 11, "network": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 3))},
         "leaves no last batch of one image"),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_computed_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fit(**change).run()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("epochs", [1, 3])
def test_a_network_that_diverged_is_an_error_also_in_the_last_step(
    optimizer: str, epochs: int
) -> None:
    run = fit(learning_rate=1e30, optimizer=optimizer, epochs=epochs, batch=12, schedule="constant")
    with pytest.raises(RunDiverged, match=r"in epoch .*; learning_rate 1e\+30 may be too large"):
        run.run()


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_weight_that_becomes_nan_in_the_last_step_is_an_error(name: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    handle = getattr(network[1], name).register_hook(lambda g: g * torch.nan)
    with pytest.raises(RunDiverged, match="a weight is NaN or infinite in epoch 1"):
        fit(network=network, epochs=1, batch=12).run()
    handle.remove()


def test_statistics_of_a_norm_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(RunDiverged):
        fit(network=ConvNet(1, 3, 8, width=4, norm="batch"), images=X * 1e30, epochs=1).run()


def test_other_forms_of_images_and_labels_train_the_same_network() -> None:
    def weights(**change: Any) -> list[torch.Tensor]:
        return list(fit(**change).run().network.parameters())

    expected = weights()
    for change in (
        {"images": X.numpy()},
        {"images": X.double()},
        {"images": list(X)},
        {"images": X.clone().requires_grad_()},
        {"labels": Y.numpy()},
        {"labels": Y.tolist()},
        {"labels": tuple(Y.tolist())},
        {"labels": Y.to(torch.uint8)},
        {"labels": Y.to(torch.uint16)},
        {"epochs": np.int64(2), "batch": torch.tensor(5), "learning_rate": np.float64(0.01)},
    ):
        for ours, theirs in zip(weights(**change), expected, strict=True):
            assert torch.equal(ours, theirs), change


def test_soft_labels_of_another_width_are_those_of_the_network() -> None:
    soft = torch.rand(12, 3, generator=torch.Generator().manual_seed(1)).softmax(1)
    runs = [fit(labels=labels).run() for labels in (soft, soft.numpy().astype(np.float64))]
    assert runs[0].loss == runs[1].loss
    assert 0 <= float(runs[0].snapshot().accuracy) <= 1
