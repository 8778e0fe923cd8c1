"""A teacher as a file: the same students, and named errors for a missing or another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from explore import build, record
from explore.core.recording import open_recording
from explore.core.resources import shipped
from explore.errors import (
    ConfigMismatch,
    DataMissing,
    ExploreWarning,
    InvalidInput,
    RecordingDamaged,
)
from explore.subclass import Teacher, train

pytestmark = pytest.mark.usefixtures("_one_thread")

QUICK: dict[str, Any] = {
    "data": {"name": "digits", "options": {"size": 8, "margin": 0}},
    "labels": 40,
    "teacher_images": 120,
    "teacher_width": 4,
    "teacher_epochs": 2,
    "epochs": 3,
    "holdout": 20,
}


def make(method: str = "skd", **options: Any) -> Any:
    return build({**QUICK, "method": method, **options})


@pytest.fixture(scope="module")
def first() -> Any:
    return make().run()


@pytest.fixture
def path(first: Any, tmp_path: Path) -> Path:
    return Teacher.of(first).save(tmp_path / "teacher.safetensors")


def test_a_student_of_the_file_equals_a_student_of_the_run(first: Any, path: Path) -> None:
    second = make(teacher=str(path)).run()
    assert (first.steps, second.steps) == (5, 3)
    for ours, theirs in zip(second.student.parameters(), first.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for name, value in second.teacher.state_dict().items():
        assert torch.equal(value, first.teacher.state_dict()[name]), name


def test_the_configuration_names_and_hashes_the_teacher(
    first: Any, path: Path, tmp_path: Path
) -> None:
    run = make("kd", teacher=path)
    description = run.config["teacher"]
    assert json.loads(json.dumps(description)) == description
    assert description["sha256"] == Teacher.load(path).sha256
    assert description["step"] == 2
    assert description["config"]["method"] == "skd"
    record(run, tmp_path / "kd.zarr")
    again = build(open_recording(tmp_path / "kd.zarr").attrs["config"])
    assert again.config == run.config
    other = Teacher.of(make(seed=1).run())
    with pytest.raises(ConfigMismatch, match="teacher: recorded"):
        record(make("kd", teacher=other), tmp_path / "kd.zarr")
    with pytest.warns(ExploreWarning, match="Teacher was computed again and has the hash"):
        make("kd", teacher={**description, "sha256": "0" * 64})


def test_earlier_recordings_have_no_teacher_in_their_configuration() -> None:
    assert "teacher" not in make().config
    assert "teacher" not in open_recording(shipped("data/students-skd.zarr.zip")).attrs["config"]


def test_a_missing_a_damaged_and_another_file_are_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"none\.safetensors does not exist"):
        make(teacher=tmp_path / "none.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    with pytest.raises(RecordingDamaged, match="cannot be read"):
        make(teacher=path)
    changed = bytearray(content)
    changed[-3] ^= 1
    path.write_bytes(bytes(changed))
    with pytest.raises(RecordingDamaged, match="not those that were saved"):
        make(teacher=path)
    record(build({"method": "random", "data": QUICK["data"]}), tmp_path / "set.zarr")
    with pytest.raises(InvalidInput, match="holds images, labels, no teacher"):
        make(teacher=tmp_path / "set.zarr")


def test_a_teacher_of_other_data_subclasses_or_networks_is_refused(path: Path) -> None:
    teacher = Teacher.load(path)
    with pytest.raises(InvalidInput, match="the teacher was trained on digits"):
        make(teacher=path, data={"name": "digits", "options": {"size": 10, "margin": 0}})
    with pytest.raises(InvalidInput, match="with parents"):
        make(teacher=path, parents=[0, 1] * 5)
    with pytest.raises(InvalidInput, match="needs a teacher of random subclasses"):
        make("random-subclasses", teacher=path)
    with pytest.raises(InvalidInput, match="needs a teacher of no subclasses"):
        make("scratch", teacher=path)
    config = {**teacher.provenance["config"], "teacher_width": 5}
    wider = Teacher(teacher.weights, {"config": config, "step": 2})
    with pytest.raises(InvalidInput, match="the weights are those of another network"):
        make(teacher=wider)
    with pytest.raises(InvalidInput, match="it lacks data, method"):
        Teacher(teacher.weights, {})
    with pytest.raises(InvalidInput, match=r"teacher must be a Teacher or the \.safetensors file"):
        make(teacher=3)


def test_only_a_trained_teacher_is_saved() -> None:
    with pytest.raises(InvalidInput, match="has not trained its teacher to the end"):
        Teacher.of(make())
    with pytest.raises(InvalidInput, match="expected a run that trains a teacher"):
        Teacher.of(make("scratch"))


def test_train_takes_a_file_too(tmp_path: Path) -> None:
    x, s = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 4
    options: dict[str, Any] = {"parents": [0, 0, 1, 1], "epochs": 2}
    first = train(x, s, teacher_epochs=2, **options).run()
    path = Teacher.of(first).save(tmp_path / "t.safetensors")
    second = train(x, s, teacher=path, **options)
    assert second.steps == 2
    assert torch.equal(
        torch.cat([p.flatten() for p in second.run().student.parameters()]),
        torch.cat([p.flatten() for p in first.student.parameters()]),
    )
