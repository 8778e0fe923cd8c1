"""Recordings contain what their kind declares, and methods of other topics run in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray

from explore import build, record
from explore.core import registry
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.core.schema import RecordingKind
from explore.data import DistilledSet, load
from explore.distill import EvaluationProtocol, distill, evaluate
from explore.distill.catalog import TOPIC
from explore.distill.figures.evolution import Evolution, evolution
from explore.distill.recordings import (
    ATTENTION_MATCHING,
    CORESET,
    EVALUATION,
    EXPERTS,
    TRAJECTORY_MATCHING,
    UNTRAINED,
)
from explore.errors import InvalidInput, UnknownName

pytestmark = pytest.mark.usefixtures("_one_thread")
SMALL_DIGITS = {"name": "digits", "options": {"size": 8, "margin": 0}}
KINDS = {
    "evaluate": EVALUATION,
    "untrained": UNTRAINED,
    "random": CORESET,
    "class-mean": CORESET,
    "experts": EXPERTS,
    "mtt": TRAJECTORY_MATCHING,
    "datm": TRAJECTORY_MATCHING,
    "edf": TRAJECTORY_MATCHING,
}


def declaration(kind: RecordingKind, name: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return dimensions and attributes that a kind declares for a variable or coordinate."""
    number = (re.findall(r"_(\d+)$", name) or ["0"])[0]
    for pattern, variable in {**kind.variables, **kind.coordinates}.items():
        if pattern.format(block=number) == name:
            texts = {"long_name": variable.long_name.format(block=number), "units": variable.units}
            dims = tuple(dim.format(block=number) for dim in variable.dims)
            return dims, {key: text for key, text in texts.items() if text}
    raise AssertionError(f"{name} is not declared by {kind.name}")


def check_declared(frame: xarray.Dataset, kind: RecordingKind) -> None:
    for name, variable in frame.variables.items():
        if name != "step":
            dims, attributes = declaration(kind, str(name))
            assert variable.dims == dims[: variable.ndim], name
            recorded = {key: variable.attrs[key] for key in attributes}
            assert recorded == attributes, name


@pytest.mark.parametrize("method", [row.name for row in TOPIC.methods if row.recordings])
def test_shipped_recordings_have_the_declared_variables(method: str) -> None:
    kind = KINDS.get(method, ATTENTION_MATCHING)
    for file in registry.method(method).recordings:
        recording = open_recording(shipped(file))
        assert kind.check(recording) == [recording]
        check_declared(recording.isel(step=0), kind)


@pytest.mark.parametrize("method", ["random", "class-mean", "evaluate", "experts", "mtt", "edf"])
def test_frames_have_the_declared_variables(method: str) -> None:
    run = build({"method": method, **registry.method(method).tiny})
    check_declared(run.snapshot(), KINDS[method])


def test_a_recording_of_another_kind_is_refused() -> None:
    survey = open_recording(shipped("data/digits-untrained.zarr.zip"))
    with pytest.raises(InvalidInput, match="expected a recording of an attention-matching run"):
        evolution(survey)
    run = open_recording(shipped("data/digits-dm.zarr.zip"))
    with pytest.raises(InvalidInput, match='expected a recording of the method "untrained"'):
        UNTRAINED.check(run)


TRAJECTORY = """
from dataclasses import dataclass
from typing import Any

import torch

from explore.core.catalog import Method, Topic
from explore.core.config import BaseConfig, option, seed_option
from explore.data.training_data import TrainingData
from explore.distill.probe import Probe
from explore.distill.run import DistilledSetRun


@dataclass(frozen=True, kw_only=True)
class TrajectoryConfig(BaseConfig):
    method: str = option("trajectory", "trajectory")
    data: Any = option("digits", "name of the data set")
    images_per_class: int = option(1, "images of each class", at_least=1)
    steps: int = option(3, "steps", at_least=1)
    seed: int = seed_option()
    device: str = option("", "where to compute")


class TrajectoryRun(DistilledSetRun):
    name = "trajectory"

    def __init__(self, options, data):
        self.options, self.steps = options, options.steps
        super().__init__(TrainingData(data, device=options.device), options.images_per_class)
        self.config = options.identity(self.source.describe())
        self.hard_labels = self.labels
        self.labels = torch.nn.functional.one_hot(self.labels).float()
        self.images = self.source.batch(self.source.sample(options.images_per_class, 0)).clone()
        self.learning_rate = torch.tensor(0.5)

    def advance(self):
        self.images *= 0.5
        self.learning_rate = self.learning_rate / 2
        self.step += 1

    def snapshot(self):
        from explore.models import ConvNet

        channels, size, _ = self.source.shape
        network = ConvNet(channels, self.source.classes, size, width=4, seed=0)
        return Probe(self.source, [network], 2, 0).frame(self.images, self.hard_labels, 0.0)


def build(config, data=None):
    return TrajectoryRun(config, config.data if data is None else data)


TOPIC = Topic("toy-distill", (Method(
    "trajectory", "a toy", f"{__name__}:build", f"{__name__}:TrajectoryConfig", family="distill",
    product=".safetensors",
),))
"""


@pytest.fixture
def _trajectory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    path = tmp_path / "toy_trajectory.py"
    path.write_text(TRAJECTORY, encoding="utf-8")
    monkeypatch.setenv("EXPLORE_TOPICS", "")
    registry.add_topic(str(path))
    yield
    monkeypatch.undo()
    registry.forget()


@pytest.mark.usefixtures("_trajectory")
def test_distill_builds_any_method_of_its_family(tmp_path: Path) -> None:
    digits, test = load("digits", size=8, margin=0), load("digits", "test", size=8, margin=0)
    run: Any = distill(digits.batch(), digits.labels, "trajectory", images_per_class=2, steps=2)
    assert type(run).__name__ == "TrajectoryRun"
    assert len(run.images) == 20
    with pytest.raises(InvalidInput, match="trajectory creates its own networks; omit network="):
        distill(digits.batch(), digits.labels, "trajectory", network=lambda seed: None)

    run = build({"method": "trajectory", "data": SMALL_DIGITS, "steps": 2})
    recording = record(run, tmp_path / "a.zarr", every=1)
    data = evolution(recording)
    assert "trajectory at step 2" in Evolution(data).describe(data)
    distilled = DistilledSet.load(tmp_path / "a.zarr")
    assert distilled.soft
    assert distilled.learning_rate == 0.125
    protocol = EvaluationProtocol(epochs=1, networks=1, width=4, learned_rate=True)
    line = evaluate(distilled, test, protocol).run().line()
    assert "with soft labels" in line
    assert "rate 0.125 (learned)" in line
    assert np.isfinite(run.result()["learning_rate"])


def test_distill_refuses_methods_of_other_families() -> None:
    with pytest.raises(UnknownName, match="unknown method 'random'; known: atom, channel"):
        distill(torch.zeros(4, 1, 8, 8), torch.tensor([0, 0, 1, 1]), "random")
