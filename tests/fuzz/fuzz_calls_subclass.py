"""Valid calls of subclass distillation."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from fuzz_calls_data import digits
from fuzz_calls_models import random
from fuzz_judge import Call

from explore.subclass import Teacher, lab, train

PARENTS = [0, 0, 1, 1]
SMALL: dict[str, Any] = {"epochs": 1, "teacher_epochs": 1, "holdout": 4, "width": 4}


def logits(seed: int = 0) -> torch.Tensor:
    return random(6, 4, seed=seed) * 2


def labels() -> torch.Tensor:
    return torch.arange(6) % 2


def loss(**more: Any) -> dict[str, Any]:
    return {
        "student": logits(),
        "teacher": logits(1),
        "labels": labels(),
        "parents": list(PARENTS),
        "temperature": 4.0,
        "distill_weight": 0.5,
        **more,
    }


def training() -> dict[str, Any]:
    return {
        "images": random(24, 1, 8, 8),
        "subclasses": torch.arange(24) % 4,
        "parents": list(PARENTS),
        "method": "skd",
        "classes": None,
        "teacher": None,
        "student": None,
        "device": "",
        **SMALL,
    }


@cache
def trained() -> Any:
    return train(**training()).run()


def teacher() -> Teacher:
    return Teacher.of(trained())


def flat_network(outputs: int, seed: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, outputs))


LOSS = {
    "labels": "label",
    "parents": "subclass|class",
    "student": "logits",
    "teacher": "logits",
    "subclass_logits": "logits|subclasses",
    "counts": "subclasses",
}

CALLS = {
    "explore.subclass.subclass_distillation_loss": Call(loss, names=LOSS),
    "explore.subclass.class_distillation_loss": Call(lambda: loss(soften="subclass"), names=LOSS),
    "explore.subclass.auxiliary_loss": Call(lambda: {"logits": logits(), "temperature": 1.0}),
    "explore.subclass.class_logits": Call(
        lambda: {"subclass_logits": logits(), "parents": list(PARENTS)}, names=LOSS
    ),
    "explore.subclass.class_probabilities": Call(
        lambda: {
            "subclass_logits": logits(),
            "parents": list(PARENTS),
            "temperature": 1.0,
            "soften": "subclass",
        },
        names=LOSS,
    ),
    "explore.subclass.count_bits": Call(
        lambda: {"counts": [3, 2, 4, 1], "parents": list(PARENTS)}, names=LOSS
    ),
    "explore.subclass.label_bits": Call(
        lambda: {
            "subclass_logits": logits(),
            "parents": list(PARENTS),
            "temperature": 1.0,
            "kind": "soft",
        },
        names=LOSS,
    ),
    "explore.subclass.prior_correction": Call(lambda: {"parents": list(PARENTS)}, names=LOSS),
    "explore.subclass.report": Call(
        lambda: {
            "probabilities": logits().softmax(1)[:, :2]
            / logits().softmax(1)[:, :2].sum(1, keepdim=True),
            "labels": labels(),
            "positive": 1,
            "bins": 5,
        },
        names={"probabilities": "probabilit", "labels": "label", "positive": "class"},
    ),
    "explore.subclass.table": Call(
        lambda: {"study": lab.study_of("digits"), "measure": "accuracy", "against": "scratch"},
        names={"study": "recording", "against": "method|lesson"},
    ),
    "explore.subclass.train": Call(
        training,
        after=lambda run: run.run().predict(random(4, 1, 8, 8)),
        names={
            **LOSS,
            "images": "subclasses",
            "subclasses": "subclass|label",
            "classes": "class|label",
            "teacher": "teacher|file",
        },
        accepts={"teacher: empty text": "the default"},
    ),
    "explore.subclass.compare": Call(
        lambda: {
            "train": digits(),
            "test": digits(),
            "parents": [0] * 5 + [1] * 5,
            "teacher": None,
            "student": None,
            "labels": [20],
            "teacher_images": [20],
        },
        after=str,
        names={"train": "data|images", "test": "data|images", "parents": "class"},
        accepts={
            f"{role}: {kind}": "a function; called when the study begins"
            for role in ("teacher", "student")
            for kind in ("function", "class")
        },
    ),
    "explore.subclass.SubclassRun.predict": Call(
        lambda: {"self": trained(), "images": random(4, 1, 8, 8)}
    ),
    "explore.subclass.Teacher": Call(
        lambda: {"weights": teacher().weights, "provenance": teacher().provenance},
        after=lambda made: None,
        names={"weights": "weight|tensor", "provenance": "teacher"},
        accepts={"weights: dict": "looked at when the network is made"},
    ),
    "explore.subclass.Teacher.load": Call(
        lambda: {"self": Teacher, "path": str(teacher().save("t.safetensors"))},
        after=lambda made: made.weights,
        names={"path": "file|recording|t.safetensors"},
    ),
    "explore.subclass.Teacher.network": Call(
        lambda: {"self": teacher(), "source": trained().source, "kind": "subclass"},
        names={"kind": "subclasses|kind"},
        skip={"source": "the data of the run"},
    ),
    "explore.subclass.Teacher.of": Call(
        lambda: {"self": Teacher, "run": trained()}, after=lambda made: made.weights
    ),
    "explore.subclass.Teacher.save": Call(
        lambda: {"self": teacher(), "path": "t.safetensors"},
        after=str,
        names={"path": "safetensors"},
    ),
    # The lab.
    "explore.subclass.lab.bits_over_temperature": Call(
        lambda: {"recording": lab.recording_of("skd")}, after=str
    ),
    "explore.subclass.lab.explorer_of": Call(
        lambda: {"recording": lab.recording_of("skd"), "*others": lab.recording_of("kd")},
        after=str,
        names={"*others": "recording"},
    ),
    "explore.subclass.lab.live": Call(
        lambda: {
            "labels": [50],
            "widths": [2],
            "temperatures": [4.0],
            "seeds": 1,
            "data": "digits",
        },
        after=str,
        accepts={f"{name}: generator": "numbers" for name in ("labels", "widths", "temperatures")},
        names={"data": "data set"},
    ),
    "explore.subclass.lab.one_image": Call(
        lambda: {"recording": lab.recording_of("skd"), "image": 1}, after=str
    ),
    "explore.subclass.lab.recording_of": Call(
        lambda: {"lesson": "skd"}, after=str, names={"lesson": "method"}
    ),
    "explore.subclass.lab.study_of": Call(
        lambda: {"data": "digits"}, after=str, names={"data": "study"}
    ),
    "explore.subclass.lab.training": Call(
        lambda: {"left": "skd", "right": "scratch"},
        after=str,
        names={"left": "method|lesson", "right": "method|lesson"},
    ),
    "explore.subclass.lab.widths": Call(
        lambda: {"study": "digits"}, after=str, names={"study": "recording"}
    ),
}
