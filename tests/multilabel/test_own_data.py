"""Test training on your own data: predictions, kinds of data, and refused input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from multilabel_toys import SMALL, images, options_of, same_bits, vectors
from toys import run_to_end

from explore.data import load
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput, UnknownName
from explore.multilabel import train
from explore.multilabel.config import TRAINING_METHODS
from explore.multilabel.run import MultilabelRun

pytestmark = pytest.mark.usefixtures("_one_thread")


def run_of(method: str = "kmcl", source: MultilabelSet | None = None, **options: Any) -> Any:
    return MultilabelRun(options_of(method, **options), source or vectors())


# ---- predictions


def test_predictions_are_those_of_the_held_out_samples() -> None:
    for source in (vectors(40), images(40)):
        for method in ("kmcl", "probmcl", "bce"):
            run = run_to_end(run_of(method, source))
            predictions = run.predict(run.held.inputs)
            assert np.array_equal(predictions.numpy(), run.result()["probability"])
            assert not predictions.requires_grad
            one = run.predict(run.held.inputs[:1])
            torch.testing.assert_close(one, predictions[:1])


def test_predictions_take_the_types_that_train_takes() -> None:
    source = vectors(40)
    run = train((source.inputs.double().numpy(), source.labels.numpy()), "bce", **SMALL).run()
    expected = run.predict(source.inputs)
    for inputs in (source.inputs.double(), source.inputs.numpy(), source.inputs.half().float()):
        torch.testing.assert_close(run.predict(inputs), expected, rtol=1e-2, atol=1e-2)
    assert torch.equal(run.predict(source.inputs.double()), expected)
    counts = (10 * source.inputs).round().long()
    of_counts = train((counts, source.labels), "bce", **SMALL).run()
    assert torch.equal(of_counts.predict(counts), of_counts.predict(counts.float()))
    floats = train((images(40).inputs.double() / 255, source.labels), "bce", **SMALL).run()
    assert floats.predict(images(40).inputs.double() / 255).shape == (40, 3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(4, 5), r"must be torch.float32 \[N, 6\].*got torch.float32 \[4, 5\]"),
        (torch.zeros(6), r"must be torch.float32 \[N, 6\].*\[6\]"),
        (torch.zeros(4, 1, 8, 8), r"must be torch.float32 \[N, 6\].*\[4, 1, 8, 8\]"),
        (torch.tensor([[0, 0, torch.nan, 0, 0, 0]]), "feature 2 of sample 0 is nan"),
        (torch.zeros(0, 6), "no samples"),
    ],
    ids=["width", "one sample", "images", "NaN", "nothing"],
)
def test_other_vectors_are_not_predicted(inputs: torch.Tensor, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run_of().predict(inputs)


@pytest.mark.parametrize(
    "inputs",
    [torch.zeros(4, 1, 8, 7, dtype=torch.uint8), torch.zeros(4, 1, 8, 8), torch.zeros(4, 64)],
    ids=["size", "floats", "vectors"],
)
def test_other_images_are_not_predicted(inputs: torch.Tensor) -> None:
    with pytest.raises(InvalidInput, match=r"samples must be torch.uint8 \[N, 1, 8, 8\], as those"):
        run_of(source=images()).predict(inputs)


# ---- own data


@pytest.mark.parametrize("kind", ["pair", "lists", "set", "image set"])
def test_all_kinds_of_data_are_accepted(kind: str) -> None:
    source = vectors(40)
    data = {
        "pair": lambda: (source.inputs, source.labels),
        "lists": lambda: [source.inputs.tolist(), source.labels.int().tolist()],
        "set": lambda: source,
        "image set": lambda: load("scenes", count=40, objects=(1, 3)),
    }[kind]()
    run = train(data, "kmcl", **SMALL)
    assert run.config["data"]["name"] == ("scenes" if kind == "image set" else "tensors")
    assert (run.config["method"], run.config["epochs"]) == ("kmcl", 2)
    run_to_end(run)
    assert np.isfinite(run.snapshot()["probability"]).all()
    if kind != "image set":
        assert same_bits(run.network, run_to_end(train(source, "kmcl", **SMALL)).network)


def test_feature_names_and_masks_survive() -> None:
    mask = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) < 0.8
    source = replace(vectors(40, mask=mask), feature_names=tuple("abcdef"))
    run = run_to_end(train(source, "kmcl", **SMALL))
    assert run.predict(source.inputs).shape == (40, 3)
    with pytest.raises(InvalidInput, match=r"feature 1 \('b'\) of sample 0 is inf"):
        run.predict(torch.tensor([[0, torch.inf, 0, 0, 0, 0]]))


def test_a_batch_may_be_larger_than_the_set() -> None:
    for method in TRAINING_METHODS:
        run = run_to_end(train(vectors(12), method, **{**SMALL, "batch": 500}))
        assert np.isfinite(run.snapshot()["loss"])


GOOD = torch.zeros(12, 4), torch.tensor([[1, 0], [0, 1]] * 6)


def changed(place: tuple[int, int], value: float, part: int) -> tuple[torch.Tensor, torch.Tensor]:
    pair = [tensor.float().clone() for tensor in GOOD]
    pair[part][place] = value
    return pair[0], pair[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed((3, 1), torch.nan, 0), "feature 1 of sample 3 is nan"),
        (changed((3, 1), 2.0, 1), r"label 1 \('1'\) of sample 3 is 2; pass mask="),
        (changed((0, 0), torch.nan, 1), r"label 0 \('0'\) of sample 0 is nan; pass mask="),
        ((GOOD[0][:9], GOOD[1][:9]), "held-out samples needs 10, got 9"),
        ((GOOD[0], GOOD[1][:9]), r"labels must be \[12, K\]"),
        ((GOOD[0], GOOD[1][:, 0]), r"labels must be .*\[N, K\]"),
        ((GOOD[0][:, :, None], GOOD[1]), "inputs must be"),
        (GOOD[0], "data must be the name of a set, .* got Tensor"),
    ],
    ids=["NaN", "2", "NaN label", "nine", "rows", "classes", "shape", "no labels"],
)
def test_other_data_are_refused(data: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        train(data, "kmcl", epochs=1)


def test_other_methods_and_options_are_refused() -> None:
    for method in ("softmax", "multilabel-study", "dm"):
        with pytest.raises(UnknownName, match=f"method {method!r}"):
            train(vectors(), method)
    with pytest.raises(InvalidInput, match="asl has no option 'epoch'"):
        train(vectors(), "asl", epoch=3)
    with pytest.raises(InvalidInput, match="alpha"):
        train(vectors(), "probmcl", alpha=1.5)
    with pytest.raises(InvalidInput, match="device 'gpu' cannot be used"):
        train(vectors(), "asl", device="gpu")


def test_the_device_is_that_of_the_data() -> None:
    run = train(vectors(), "asl", **SMALL)
    assert (run.device, run.training.device) == (torch.device("cpu"), torch.device("cpu"))
    assert run.options.device == "cpu", "train() names it; the command line leaves it out"
