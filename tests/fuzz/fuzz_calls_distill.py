"""Valid calls of dataset distillation and its evaluation."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import xarray
from fuzz_calls_data import distilled_set, image_set
from fuzz_calls_models import images, labels, maps, random
from fuzz_judge import Call

from explore import build, record
from explore.distill import (
    EvaluationProtocol,
    ExpertTrajectories,
    draw_augmentation,
    evaluate,
    lab,
)

LESSON = {"preset": "lesson", "width": 4, "batch": 2, "probe_images": 2, "probes": 1, "steps": 1}
PROTOCOL = {"epochs": 1, "networks": 1, "width": 4, "architectures": ["convnet"], "batch": 8}


def protocol() -> EvaluationProtocol:
    return EvaluationProtocol(**PROTOCOL)


def test_set() -> Any:
    return image_set()


def taps(seed: int = 0) -> list[torch.Tensor]:
    return [random(4, 2, 4, 4, seed=seed), random(4, 5, seed=seed + 1)]


@cache
def recording() -> xarray.Dataset:
    return lab.recording_of("digits", "datadam")


@cache
def evaluation() -> xarray.Dataset:
    return record(evaluate(distilled_set(), test_set(), protocol())).load()


def comparison() -> dict[str, Any]:
    return {"a": evaluation(), "b": evaluation()}


@cache
def experts() -> Any:
    data = {"name": "digits", "options": {"size": 8, "margin": 0}}
    return build(
        {"method": "experts", "data": data, "count": 1, "epochs": 1, "width": 2, "depth": 2}
    ).run()


def trajectories() -> ExpertTrajectories:
    return ExpertTrajectories.of(experts())


DATA = {"images": "image", "labels": "label|class"}
SETS = {"sets": "set", "test": "test|labels|images", "distilled": "set"}

CALLS = {
    "explore.distill.distill": Call(
        lambda: {
            "images": images(),
            "labels": labels(),
            "method": "datadam",
            "images_per_class": 1,
            "steps": 1,
            "seed": 0,
            "network": None,
            "augment": "none",
            "device": "",
            **{name: value for name, value in LESSON.items() if name != "steps"},
        },
        after=lambda run: run.run().images,
        names=DATA,
        accepts={"augment: empty text": "the method's own"},
    ),
    "explore.distill.attention_matching_loss": Call(
        lambda: {
            "real_taps": taps(),
            "synthetic_taps": taps(2),
            "spatial": 4.0,
            "channel": 4.0,
            "mmd": 0.01,
        },
        names={"real_taps": "taps|features|maps", "synthetic_taps": "taps|features|maps"},
    ),
    "explore.distill.augment": Call(
        lambda: {"images": images(), "draw": draw_augmentation(("flip", "color"), 0, 6)}
    ),
    "explore.distill.draw_augmentation": Call(
        lambda: {"operations": ("flip", "color"), "seed": 0, "images": 4},
        after=lambda draw: None,
        names={"operations": "operation"},
        accepts={f"operations: empty {kind}": "none" for kind in ("list", "array", "tensor")},
    ),
    "explore.distill.common_pattern_dropout": Call(
        lambda: {
            "student": random(10),
            "target": random(10, seed=1),
            "start": random(10, seed=2) + 1,
            "drop_ratio": 0.2,
        }
    ),
    "explore.distill.enhance_gradient": Call(
        lambda: {"grad": images(), "cam": maps(), "beta": 1.0, "threshold": "mean"},
        names={"grad": "gradient", "cam": "map"},
        accepts={
            f"threshold: {number}": "a level"
            for number in ("-1", "0", "1.5", "1e-300", "1e200", "2**62")
        },
    ),
    "explore.distill.evaluate": Call(
        lambda: {
            "distilled": distilled_set(),
            "test": test_set(),
            "protocol": protocol(),
            "factories": None,
            "device": "",
            "train": None,
        },
        after=lambda run: run.run().result(),
        names={**SETS, "factories": "factory", "train": "train|images", "distilled": "set|file"},
        accepts={"protocol: None": "the usual protocol, which takes long"},
    ),
    "explore.distill.compare": Call(
        lambda: {
            "sets": {"a": distilled_set()},
            "test": test_set(),
            "protocol": protocol(),
            "progress": None,
            "stop": None,
        },
        names={**SETS, "protocol": "protocol"},
        accepts={"protocol: None": "the usual protocol, which takes long"},
    ),
    "explore.distill.compare_results": Call(
        lambda: {"results": comparison(), "unlike": False, "against": "a"},
        names={"results": "recording|evaluation", "against": "set|to compare with"},
        accepts={"against: empty text": "no comparison"},
    ),
    "explore.distill.starting_points": Call(
        lambda: {"train": image_set(), "per_class": 1, "seed": 0, "draws": 1},
        names={"train": "images|set"},
    ),
    "explore.distill.EvaluationProtocol": Call(
        lambda: dict(PROTOCOL),
        after=str,
        accepts={
            "augment: empty text": "the method's own",
            "architectures: text array": "names",
            "architectures: generator": "names",
        },
    ),
    "explore.distill.EvaluationProtocol.of": Call(
        lambda: {"self": EvaluationProtocol, "config": protocol()},
        after=str,
        names={"config": "protocol|evaluation"},
        accepts={"config: dict": "what it lacks has its default"},
    ),
    "explore.distill.EvaluationProtocol.unlike": Call(
        lambda: {"self": protocol(), "other": protocol()}, after=list, names={"other": "protocol"}
    ),
    "explore.distill.EvaluationRun.score": Call(
        lambda: {
            "self": evaluate(distilled_set(), test_set(), protocol()),
            "name": "convnet",
            "number": 0,
        },
        names={"name": "architecture"},
    ),
    "explore.distill.EvaluationRun.trained": Call(
        lambda: {
            "self": evaluate(distilled_set(), test_set(), protocol()),
            "name": "convnet",
            "number": 0,
        },
        names={"name": "architecture"},
    ),
    "explore.distill.ExpertTrajectories": Call(
        lambda: {
            "parameters": trajectories().parameters,
            "class_names": trajectories().class_names,
            "provenance": trajectories().provenance,
        }
    ),
    "explore.distill.ExpertTrajectories.first": Call(lambda: {"self": trajectories(), "count": 1}),
    "explore.distill.ExpertTrajectories.load": Call(
        lambda: {"self": ExpertTrajectories, "path": str(trajectories().save("e.safetensors"))},
        names={"path": "file|recording|e.safetensors"},
    ),
    "explore.distill.ExpertTrajectories.of": Call(
        lambda: {"self": ExpertTrajectories, "run": experts()}
    ),
    "explore.distill.ExpertTrajectories.save": Call(
        lambda: {"self": trajectories(), "path": "e.safetensors"},
        after=str,
        names={"path": "safetensors"},
    ),
    # The labs.
    "explore.distill.lab.explorer_of": Call(lambda: {"recording": recording()}, after=str),
    "explore.distill.lab.live": Call(
        lambda: {"data": "digits", "method": "dm", "steps": 2},
        after=str,
        names={"data": "data set"},
        accepts={"folder": "the name of a folder"},
    ),
    "explore.distill.lab.one_run": Call(
        lambda: {"data": "digits", "method": "dm"}, after=str, names={"data": "recordings of"}
    ),
    "explore.distill.lab.recording_of": Call(
        lambda: {"data": "digits", "method": "dm"}, after=str, names={"data": "recordings of"}
    ),
    "explore.distill.lab.side_by_side": Call(
        lambda: {"data": "digits", "left": "datadam", "right": "dm"},
        after=str,
        names={"data": "recordings of", "left": "method", "right": "method"},
    ),
    "explore.distill.lab.untrained_networks": Call(lambda: {"recording": None}, after=str),
    "explore.areas.lab.areas_over_steps": Call(
        lambda: {"*recordings": "datadam"},
        after=str,
        names={"*recordings": "recording|path"},
    ),
    "explore.areas.lab.complexity": Call(
        lambda: {"recording": "data/complexity-imagenette.zarr.zip"}, after=str
    ),
    "explore.areas.lab.object_areas": Call(lambda: {"count": 10}, after=str),
    "explore.areas.lab.photographs": Call(lambda: {"count": 1}, after=lambda explorer: None),
    "explore.areas.lab.photograph_explorer": Call(
        lambda: {"count": 1}, after=lambda explorer: None
    ),
}
