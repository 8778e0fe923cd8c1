"""Test runs of one training: held-out samples, frames, and resuming at each step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from multilabel_toys import LABELS, SMALL, images, options_of, same_bits, vectors, weights_of
from sklearn.metrics import average_precision_score
from torch import nn
from toys import bits, record_and_kill, run_to_end

from explore import open_recording, record
from explore.data.multilabel_set import MultilabelSet
from explore.multilabel import KernelMixture, average_precision, mixture_uncertainty, train
from explore.multilabel.config import TRAINING_METHODS
from explore.multilabel.recordings import TERM_NAMES, UNCERTAINTY_NAMES
from explore.multilabel.run import MultilabelRun

pytestmark = pytest.mark.usefixtures("_one_thread")

each_method = pytest.mark.parametrize("method", TRAINING_METHODS)
HALF_MAXIMUM = float(np.finfo(np.float16).max)


def run_of(method: str = "kmcl", source: MultilabelSet | None = None, **options: Any) -> Any:
    return MultilabelRun(options_of(method, **options), source or vectors())


def encoder_with_norm(seed: int) -> nn.Module:
    """Return an encoder of six features with statistics, whose weights PyTorch draws."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))


# ---- held-out samples


@pytest.mark.parametrize(("holdout", "expected"), [(5, 5), (8, 8), (150, 8)])
def test_some_samples_are_held_out(holdout: int, expected: int) -> None:
    source = vectors(40)
    run = run_of(source=source, holdout=holdout)
    assert len(run.held) == pytest.approx(expected, abs=1)
    rows = [tuple(row) for part in (run.held, run.training.source) for row in part.inputs.tolist()]
    assert sorted(rows) == sorted(map(tuple, source.inputs.tolist()))
    assert run.held.label_counts.tolist() == pytest.approx(
        (source.label_counts * len(run.held) / 40).tolist(), abs=1.5
    )
    assert run.snapshot().sizes["point"] == len(run.held)


def test_other_seeds_hold_out_other_samples() -> None:
    first, second, other = (run_of(seed=seed).held for seed in (0, 0, 1))
    assert torch.equal(first.inputs, second.inputs)
    assert not torch.equal(first.inputs, other.inputs)


@each_method
def test_training_never_sees_held_out_samples(method: str) -> None:
    source = vectors(40)
    run = run_to_end(run_of(method, source))
    is_held = (source.inputs[:, None] == run.held.inputs).all(2).any(1)
    changed = replace(source, inputs=torch.where(is_held[:, None], 9.0, source.inputs))
    other = run_to_end(run_of(method, changed))
    assert bool((other.held.inputs == 9).all())
    assert same_bits(run.network, other.network)
    assert bits(run.snapshot()) != bits(other.snapshot())


# ---- frames


@pytest.mark.parametrize("has_mask", [False, True])
@pytest.mark.parametrize("method", ["asl", "kmcl", "probmcl"])
def test_frames_hold_the_outputs_of_the_held_out_samples(method: str, has_mask: bool) -> None:
    mask = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) < 0.8 if has_mask else None
    run = run_to_end(run_of(method, vectors(40, mask=mask)))
    frame, outputs = run.snapshot(), run.training.outputs(run.held)
    probabilities = torch.sigmoid(outputs.logits)
    present = run.held.labels.numpy().astype(bool)
    assert frame["label"].values.tolist() == list(LABELS)
    assert np.array_equal(frame["present"], present)
    assert np.array_equal(frame["probability"], probabilities.numpy().astype(np.float16))
    assert ("known" in frame) is has_mask
    if has_mask:
        assert np.array_equal(frame["known"], run.held.mask.numpy())
        expected = np.nanmean(average_precision(probabilities, run.held.labels, run.held.mask))
    else:
        expected = average_precision_score(present, probabilities.numpy())
    assert float(frame["mean_average_precision"]) == pytest.approx(expected, abs=1e-6)
    assert run.summary() == f"mAP {expected:.1%} on {len(present)} held-out samples"
    assert float(frame["loss"]) == np.float32(run.training.loss)
    terms = dict(zip(TERM_NAMES, frame["term"].values, strict=True))
    for name, value in terms.items():
        assert value == pytest.approx(run.training.terms.get(name, np.nan), nan_ok=True)
    mixture = outputs.contrasted
    if method == "asl":
        assert np.array_equal(frame["embedding"], outputs.features.numpy().astype(np.float16))
        assert not {"component_mean", "uncertainty"} & set(frame.variables)
        return
    points = mixture.features if method == "kmcl" else mixture.latent
    weights = mixture.probabilities if method == "kmcl" else mixture.log_weights.exp()
    assert np.array_equal(frame["embedding"], points.numpy().astype(np.float16))
    assert np.array_equal(frame["component_weight"], weights.numpy().astype(np.float16))
    assert np.array_equal(frame["component_mean"], mixture.means.numpy().astype(np.float16))
    assert np.array_equal(frame["component_variance"], mixture.variances.numpy().astype(np.float16))
    assert ("uncertainty" in frame) is (method == "probmcl")
    if method == "probmcl":
        measures = mixture_uncertainty(mixture)
        for name in UNCERTAINTY_NAMES:
            values = frame["uncertainty"].sel(uncertainty_kind=name)
            assert np.array_equal(values, measures[name].numpy())
    assert np.array_equal(run.result()["probability"], probabilities.numpy())
    assert np.array_equal(run.result()["present"], present)


def test_components_of_all_axes_are_not_recorded() -> None:
    frame = run_of("kmcl", covariance="anisotropic").snapshot()
    assert not {"component_mean", "component_variance"} & set(frame.variables)
    assert frame["component_weight"].shape == (8, 3)
    assert frame["embedding"].shape == (8, 128)


def test_the_precision_is_unknown_before_there_is_a_classifier() -> None:
    run = run_of("probmcl")
    precisions, messages = [], []
    while run.step < run.steps:
        precisions.append(float(run.snapshot()["mean_average_precision"]))
        run.advance()
        messages.append(run.message)
    precisions.append(float(run.snapshot()["mean_average_precision"]))
    assert np.isnan(precisions).tolist() == [True, True, True, False, False]
    assert [message.split("loss")[0] for message in messages] == ["", "", *["classifier, "] * 2]
    assert run.message == f"classifier, loss {run.training.loss:.3g}"
    other = run_of("asl")
    assert np.isnan(float(other.snapshot()["mean_average_precision"]))
    other.advance()
    assert np.isfinite(float(other.snapshot()["mean_average_precision"]))


@pytest.mark.parametrize("method", ["kmcl", "probmcl"])
def test_huge_values_stay_finite_in_frames(method: str) -> None:
    run = run_of(method)
    head = run.network.contrast_head
    with torch.no_grad():
        head.variances.weight.fill_(1e6)
        head.variances.bias.fill_(1e6)
        head.means.bias.fill_(-1e9)
    frame = run.snapshot()
    for name in ("component_mean", "component_variance", "component_weight", "embedding"):
        assert np.isfinite(frame[name]).all(), name
        assert frame[name].dtype == np.float16
    assert (frame["component_variance"] == HALF_MAXIMUM).all()
    assert (frame["component_mean"] == -HALF_MAXIMUM).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_thumbnails_are_the_images(channels: int) -> None:
    run = run_of("asl", images(40, channels=channels))
    thumbnails = run.snapshot()["thumbnail"]
    pixels = run.held.inputs.permute(0, 2, 3, 1).numpy()
    expected = pixels[..., 0] if channels < 3 else pixels[..., :3]
    assert thumbnails.dtype == np.uint8
    assert np.array_equal(thumbnails, expected)
    assert thumbnails.dims[3:] == (() if channels < 3 else ("rgb",))


def test_feature_vectors_have_no_thumbnails() -> None:
    assert "thumbnail" not in run_of("asl").snapshot()


@each_method
def test_frames_and_predictions_do_not_change_the_run(method: str) -> None:
    source = vectors(40)
    plain, watched = run_of(method, source), run_of(method, source)
    while watched.step < watched.steps:
        watched.snapshot()
        watched.result()
        watched.predict(source.inputs)
        watched.summary()
        watched.advance()
    assert same_bits(run_to_end(plain).network, watched.network)


def test_nothing_happens_after_the_end() -> None:
    run = run_to_end(run_of("probmcl"))
    before = weights_of(run.network)
    run.advance()
    assert run.step == run.steps == 4
    assert same_bits(run.network, before)


# ---- resuming


def own_run(method: str, source: str = "vectors") -> MultilabelRun:
    data = vectors(30) if source == "vectors" else images(30)
    encoder = encoder_with_norm if source == "vectors" else None
    options = {**SMALL, "epochs": 3, "classifier_epochs": 3, "batch": 12}
    return train(data, method, encoder=encoder, **options)


QUICK = {("kmcl", "vectors"), ("probmcl", "images"), ("mulsupcon", "vectors")}


@pytest.mark.parametrize(
    ("method", "source"),
    [
        pytest.param(m, s, marks=[] if (m, s) in QUICK else [pytest.mark.slow])
        for m in TRAINING_METHODS
        for s in ("vectors", "images")
    ],
)
def test_a_recording_is_resumed_from_each_step(method: str, source: str, tmp_path: Path) -> None:
    """The contract tests stop at one step: for probmcl, at the end of the first stage."""
    complete = own_run(method, source)
    expected = record(complete, every=1).load()
    assert bits(record(own_run(method, source), every=1).load()) == bits(expected)
    for stop in range(1, complete.steps):
        path = tmp_path / f"{stop}.zarr"
        first = own_run(method, source)
        record(first, path, every=1, stop=lambda run=first, step=stop: run.step >= step)  # type: ignore[misc]
        assert first.step == stop
        resumed = own_run(method, source)
        recording = record(resumed, path, every=1)
        assert bits(recording) == bits(expected)
        assert bits(resumed.result()) == bits(complete.result())
        assert same_bits(resumed.network, complete.network)


KILLED = """
import os
os.environ.update(OMP_NUM_THREADS="1")
import torch, sklearn.datasets, explore.multilabel.run
from explore import build
torch.set_num_threads(1)
def make():
    return build(OPTIONS)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kmcl", "probmcl", "mulsupcon"])
def test_a_killed_training_resumes_to_the_same_bits(method: str, tmp_path: Path) -> None:
    from explore import build

    data = {"name": "scenes", "options": {"count": 60}}
    options = {**SMALL, "epochs": 4, "classifier_epochs": 4, "method": method, "data": data}
    paths = {
        step: tmp_path / f"{step}.zarr" for step in ("1", "3", "6")[: 2 + (method == "probmcl")]
    }
    run = build(options)
    expected = record(run, every=1)
    record_and_kill(
        KILLED.replace("OPTIONS", repr(options)),
        *((path, step, 0.01) for step, path in paths.items()),
    )
    for path in paths.values():
        recording = open_recording(path)
        assert bits(recording) == bits(expected.isel(step=slice(recording.sizes["step"])))
        resumed = build(options)
        assert bits(record(resumed, path, every=1)) == bits(expected)
        assert bits(resumed.result()) == bits(run.result())


def test_a_run_describes_itself() -> None:
    run = run_of("kmcl")
    assert repr(run) == "MultilabelRun(kmcl on tensors, step 0 of 2)"
    assert tuple(run.class_names) == LABELS
    assert isinstance(run.training.outputs(run.held).contrasted, KernelMixture)
    assert run_of("probmcl").steps == 4
