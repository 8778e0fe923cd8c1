"""What areas and scene maps are given: every input is right or refused by its name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explore.areas import AreasConfig, ComplexityConfig, ComplexityRun
from explore.areas.complexity_table import table
from explore.areas.recordings import find_recording
from explore.areas.scene_maps import SceneMaps, scene_maps, task_labels
from explore.errors import DataMissing, ExploreError, InvalidInput, RunDiverged
from explore.models.trained.loading import load_network

IMAGES, LABELS = torch.rand(10, 3, 32, 32), torch.arange(10) % 5


def spoiled_network() -> Any:
    network = copy.deepcopy(load_network("scenes-outline")[0])
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    return network


def maps(**options: Any) -> SceneMaps:
    return scene_maps(**{"cue": "outline", "object_size": 0.3, "clutter": 2, "count": 4, **options})


def complexity(data: Any, **options: Any) -> ComplexityRun:
    config = {"network": "scenes-outline", "kind": "gradcam", "batch": 8, **options}
    return ComplexityRun(ComplexityConfig(**config), data)


def test_numbers_of_any_type_give_the_same_maps() -> None:
    expected = maps().maps
    assert torch.equal(maps(object_size=np.float64(0.3), clutter=np.array(2)).maps, expected)
    assert torch.equal(maps(count=np.int64(4), seed=torch.tensor(0)).maps, expected)
    ranges = [maps(object_size=kind([0.1, 0.4])).maps for kind in (tuple, list, np.array)]
    assert torch.equal(ranges[0], ranges[1])
    assert torch.equal(ranges[0], ranges[2])


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("cue", lambda: maps(cue=["outline"])),
        ("comparison", lambda: maps(comparison=None)),
        ("object_size", lambda: maps(object_size="0.3")),
        ("object_size", lambda: maps(object_size=[[0.1], [0.2]])),
        ("object_size", lambda: maps(object_size=float("nan"))),
        ("clutter", lambda: maps(clutter={1: 2})),
        ("count", lambda: maps(count=0)),
        ("count", lambda: maps(count=2**40)),
        ("seed", lambda: maps(seed=-1)),
        ("network", lambda: maps(network="resnet20")),
        ("kind", lambda: maps(kind=["gradcam"])),
        ("images", lambda: task_labels(IMAGES, "texture")),
        ("recording", lambda: find_recording(3)),
        ("recording", lambda: find_recording(["a"])),
        ("recording", lambda: find_recording("\0")),
        ("recordings", lambda: table(3)),
        ("recordings", lambda: table([3])),
        ("threshold", lambda: AreasConfig(threshold="0.5")),
        ("images", lambda: AreasConfig(images=True)),
        ("skip_unreadable", lambda: ComplexityConfig(skip_unreadable="no")),
        ("images", lambda: complexity((IMAGES[0], LABELS))),
        ("images", lambda: complexity((IMAGES * float("nan"), LABELS))),
        ("labels", lambda: complexity((IMAGES, LABELS.float()))),
        ("path", lambda: complexity({"name": "files", "options": {"path": 3}})),
        ("path", lambda: complexity({"name": "files"})),
    ],
)
def test_odd_arguments_are_named(words: str, call: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=words):
        call()


@pytest.mark.parametrize("data", [np.zeros((2, 3)), "\0", "x" * 5000, {}, {"name": ["x"]}, 3])
def test_other_data_are_refused_in_words(data: Any) -> None:
    with pytest.raises(ExploreError):
        complexity(data)


def test_a_recording_may_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(DataMissing):
        find_recording(tmp_path / "none.zarr")


@pytest.mark.parametrize(
    "changes",
    [
        {"scenes": None},
        {"labels": torch.zeros(4)},
        {"labels": torch.full((4,), 9)},
        {"class_names": "abc"},
        {"maps": torch.full((4, 2, 2), float("nan"))},
        {"maps": torch.zeros(3, 2, 2)},
        {"accuracy": float("nan")},
    ],
)
def test_scene_maps_are_checked(changes: dict[str, Any]) -> None:
    good = maps()
    names = ("scenes", "labels", "class_names", "maps", "accuracy")
    parts = {name: getattr(good, name) for name in names}
    with pytest.raises(InvalidInput, match=next(iter(changes))):
        SceneMaps(**{**parts, **changes})


def test_a_network_of_nan_is_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunDiverged, match="the network of outline returns logits of NaN"):
        maps(network=spoiled_network())
    run = complexity((IMAGES, LABELS))
    with torch.no_grad():
        for parameter in run._mapper.model.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(RunDiverged, match="network 'scenes-outline' returns logits of NaN"):
        run.advance()
