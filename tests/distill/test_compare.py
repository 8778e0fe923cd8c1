"""Comparisons: every row under the same protocol, the rivals what they are called."""

from __future__ import annotations

import numpy as np
import torch

from explore.data import load
from explore.distill.compare import compare, starting_points
from explore.models.convnet import ConvNet
from explore.models.fit import Fit, accuracy
from explore.runs import stream_seed


def test_a_row_is_what_a_plain_training_gives() -> None:
    digits, test = load("digits"), load("digits", "test").subset(slice(0, 50))
    x, y = digits.batch(slice(0, 20)), digits.labels[:20]
    result = compare({"mine": lambda _: (x, y)}, test, networks=2, seed=3, epochs=3, width=8)
    for number in range(2):
        seed = stream_seed(3, "evaluation", number)
        network = ConvNet(1, 10, 16, width=8, seed=seed)
        Fit(network, x, y, epochs=3, seed=seed).run()
        assert np.float32(accuracy(network, test.batch(), test.labels)) == result.accuracy.values[0, number]


def test_the_rivals_are_what_they_are_called() -> None:
    digits = load("digits").subset(slice(0, 300))
    rivals = starting_points(digits, seed=1)
    assert list(rivals) == ["random", "herding = k-center", "class mean"]
    images, labels = rivals["class mean"](0)
    assert labels.tolist() == list(range(10))
    assert torch.allclose(images[4], digits.batch()[digits.labels == 4].mean(0))
    assert not torch.equal(rivals["random"](0)[0], rivals["random"](1)[0])
    images, labels = rivals["herding = k-center"](0)
    real = digits.batch()[digits.labels == 7]
    nearest = (real - real.mean(0)).flatten(1).norm(dim=1).argmin()
    assert torch.equal(images[labels == 7][0], real[nearest])


def test_a_stopped_comparison_keeps_what_it_has() -> None:
    digits, test = load("digits"), load("digits", "test").subset(slice(0, 20))
    x, y = digits.batch(slice(0, 10)), digits.labels[:10]
    told: list[str] = []
    sets = {"a": lambda _: (x, y), "b": lambda _: (x, y)}
    result = compare(sets, test, 2, progress=lambda *said: told.append(said[2]), stop=lambda: len(told) >= 1, epochs=1, width=8)
    assert np.isfinite(result.accuracy.values).tolist() == [[True, False], [False, False]]
    assert result.attrs["protocol"]["epochs"] == 1
