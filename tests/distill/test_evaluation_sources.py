"""Sources of an evaluation: files, recordings, configs; overlap with test images; damaged files."""

from __future__ import annotations

import json
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import DATA, DM, record_set
from toys import bits, run_to_end

from explore import build, record
from explore.data import DistilledSet, ImageSet, load
from explore.data._product_file import path_beside
from explore.distill import EvaluationProtocol, evaluate
from explore.distill.evaluation.config import EvaluateConfig
from explore.distill.evaluation.run import measure_accuracy
from explore.distill.evaluation.sources import resolve_distilled_set
from explore.errors import DataMissing, ExploreError, ExploreWarning, InvalidInput, RecordingDamaged

pytestmark = pytest.mark.usefixtures("_one_thread")
SMALL: dict[str, Any] = {"size": 8, "margin": 0}
QUICK: dict[str, Any] = {"epochs": 2, "networks": 2, "width": 4}
THREE_STEPS = {**DM, "steps": 3}


@pytest.fixture(scope="module")
def train() -> ImageSet:
    return load("digits", **SMALL)


@pytest.fixture(scope="module")
def test_images() -> ImageSet:
    return load("digits", "test", **SMALL)


def of_images(images: ImageSet, indices: Any = slice(0, 40), **more: Any) -> DistilledSet:
    return DistilledSet(
        images.batch(indices),
        images.labels[indices],
        images.class_names,
        images.mean,
        images.std,
        **more,
    )


def coreset(method: str = "random", **options: Any) -> Any:
    return run_to_end(build({"method": method, "data": DATA, **options}))


# ---- overlap


def test_test_images_among_the_real_ones_are_counted(
    train: ImageSet, test_images: ImageSet
) -> None:
    pixels = torch.cat([train.images, test_images.images[[3, 5, 8]]])
    real_images = replace(
        train, images=pixels, labels=torch.cat([train.labels, test_images.labels[[3, 5, 8]]])
    )
    with pytest.warns(
        ExploreWarning,
        match="3 of the 400 test images of digits are also among the images that were distilled",
    ):
        run = evaluate(
            of_images(train), test_images, EvaluationProtocol(**QUICK), train=real_images
        )
    assert run.overlap == 3
    assert "; 3 test images are among the real training images." in run.line()


def test_a_set_from_the_test_split_is_reported(train: ImageSet, test_images: ImageSet) -> None:
    with pytest.warns(
        ExploreWarning, match="40 test images of digits are in the distilled set itself"
    ):
        evaluate(of_images(test_images), test_images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = evaluate(of_images(train), test_images, train=train)
        unknown = evaluate(replace(of_images(test_images), mean=(), std=()), test_images)
    assert (run.overlap, unknown.overlap) == (0, 0)
    assert "among the real training images" not in run.line()


def test_a_warning_points_to_the_caller(test_images: ImageSet) -> None:
    with pytest.warns(ExploreWarning, match="in the distilled set itself") as caught:
        evaluate(of_images(test_images), test_images)
    assert [warning.filename for warning in caught] == [__file__]


# ---- descriptions of a set


def test_a_set_is_loaded_from_each_description(tmp_path: Path) -> None:
    run = coreset()
    path = tmp_path / "a.zarr"
    file = record_set({"method": "random", "data": DATA}, path)
    distilled = DistilledSet.of(run)
    assert resolve_distilled_set(distilled) is distilled
    description = {"config": dict(run.config), "step": run.step}
    ways: list[Any] = [
        file,
        str(file),
        path,
        f"{path}/",
        path_beside(path),
        tmp_path / "a.zarr.zip",
        run.config,
        description,
    ]
    ways.append(
        json.loads(
            json.dumps(build({"method": "evaluate", "distilled": distilled}).config["distilled"])
        )
    )
    for way in ways:
        resolved = resolve_distilled_set(way)
        assert resolved.sha256 == distilled.sha256, way
        assert list(resolved.class_names) == list(distilled.class_names)


def test_a_missing_set_is_distilled_again_to_the_same_step() -> None:
    run: Any = build({**DM, "steps": 9})
    for _ in range(3):
        run.advance()
    description = build({"method": "evaluate", "distilled": DistilledSet.of(run)}).config[
        "distilled"
    ]
    assert description["step"] == 3
    assert resolve_distilled_set(description).sha256 == description["sha256"]
    assert resolve_distilled_set({**run.config, "steps": 3}).sha256 == description["sha256"]


def test_a_set_from_step_0_is_distilled_again() -> None:
    distilled = DistilledSet.of(build(THREE_STEPS))
    assert (
        resolve_distilled_set({"config": distilled.provenance["config"], "step": 0}).sha256
        == distilled.sha256
    )


@pytest.mark.parametrize("changes", [{}, {"step": None}])
def test_a_config_without_a_step_is_distilled_to_its_end(changes: dict[str, Any]) -> None:
    run = coreset()
    assert (
        resolve_distilled_set({"config": dict(run.config), **changes}).sha256
        == DistilledSet.of(run).sha256
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "",
            "distilled must be a .safetensors file, a recording beside one, or a DistilledSet; got ''",
        ),
        (None, "got None"),
        (3, "got 3"),
        ({}, "got {}"),
        ({"config": None, "step": None, "sha256": "ab"}, "distilled must be"),
        ("a.pt", "a distilled set is a .safetensors file, got 'a.pt'"),
        ({"method": "dmm"}, "unknown method 'dmm'"),
        ({"method": "dm", "data": {"name": "tensors", "shape": [3]}}, "made from tensors"),
    ],
)
def test_other_descriptions_are_refused(value: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        resolve_distilled_set(value)


def test_a_recording_without_its_set_says_which_file_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record_set({"method": "random", "data": DATA}, path).unlink()
    with pytest.raises(DataMissing, match=r"a\.safetensors does not exist"):
        resolve_distilled_set(path)


def test_a_run_that_distils_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a run that distils images"):
        resolve_distilled_set(
            {"method": "untrained", "data": DATA, "steps": 1, "width": 4, "images": 100}
        )


# ---- from the registry


def test_default_test_images_are_those_of_the_distilled_data_set(test_images: ImageSet) -> None:
    run: Any = build({"method": "evaluate", "distilled": DistilledSet.of(coreset()), **QUICK})
    assert run.config["data"]["sha256"] == test_images.sha256
    assert (run.config["split"], run.config["data"]["options"]["split"]) == ("test", "test")
    val: Any = build(
        {"method": "evaluate", "distilled": DistilledSet.of(coreset()), "split": "val", **QUICK}
    )
    assert val.config["data"]["sha256"] == load("digits", "val", **SMALL).sha256
    assert "on the 100 val images of digits" in val.line()


def test_test_images_by_name_description_or_set(train: ImageSet, test_images: ImageSet) -> None:
    large, small = of_images(load("digits")), of_images(train)
    runs = [
        build({"method": "evaluate", "distilled": large, "data": "digits"}),
        build({"method": "evaluate", "distilled": small, "data": DATA}),
        build({"method": "evaluate", "distilled": small}, data=test_images),
        build({"method": "evaluate", "distilled": small, "data": test_images}),
    ]
    assert [run.config["data"]["shape"] for run in runs] == [
        [400, 1, 16, 16],
        *[[400, 1, 8, 8]] * 3,
    ]
    assert len({json.dumps(run.config, sort_keys=True) for run in runs[1:]}) == 1


def test_a_given_image_set_keeps_the_name_of_its_split(train: ImageSet) -> None:
    run: Any = build(
        {"method": "evaluate", "distilled": of_images(train)}, data=load("digits", "val", **SMALL)
    )
    assert run.config["split"] == "val"


def test_a_set_of_unnamed_data_is_evaluated_on_given_images(
    train: ImageSet, test_images: ImageSet
) -> None:
    own_images = replace(train, name="mine", options={})
    distilled = DistilledSet.of(run_to_end(build({"method": "random"}, data=own_images)))
    run: Any = build(
        {"method": "evaluate", "distilled": distilled},
        data=replace(test_images, name="mine", options={}),
    )
    assert run.config["data"]["name"] == "mine"
    with pytest.raises(InvalidInput, match="unknown data set 'mine'"):
        build({"method": "evaluate", "distilled": distilled})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "",
            "it is unknown which data the set was distilled from; give data=, the set to test on",
        ),
        ({"options": {}}, "it is unknown which data the set was distilled from"),
        ("digit", "unknown data set 'digit'.*Did you mean 'digits'"),
        (
            (torch.zeros(2, 1, 8, 8), torch.zeros(2)),
            "data must be the name of a set or an ImageSet",
        ),
        ({"name": "tensors", "shape": [3]}, "which have no test images; give data=, an ImageSet"),
    ],
)
def test_unknown_test_images_are_refused(data: Any, words: str, train: ImageSet) -> None:
    with pytest.raises(InvalidInput, match=words):
        build({"method": "evaluate", "distilled": of_images(train), "data": data})


def test_a_recorded_config_builds_the_same_evaluation(tmp_path: Path) -> None:
    first: Any = build(
        {
            "method": "evaluate",
            "distilled": DistilledSet.of(coreset(seed=2)),
            "split": "val",
            "seed": 5,
            **QUICK,
        }
    )
    recording = record(first, tmp_path / "a.zarr")
    rebuilt = build(recording.attrs["config"])
    assert json.loads(json.dumps(rebuilt.config)) == json.loads(json.dumps(first.config))
    assert bits(run_to_end(rebuilt).result()) == bits(first.result())
    assert EvaluationProtocol.of(recording.attrs["config"]) == first.protocol
    assert EvaluationProtocol.of(EvaluateConfig(**QUICK)) == EvaluationProtocol(**QUICK)


def test_the_score_is_the_share_of_hits_whatever_the_batches(test_images: ImageSet) -> None:
    class BrightestPixel(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(x.flatten(1).argmax(1) % 10, 10).float()

    predictions = BrightestPixel()(test_images.batch()).argmax(1)
    assert measure_accuracy(BrightestPixel(), test_images) == pytest.approx(
        float((predictions == test_images.labels).float().mean())
    )
    odd = test_images.subset(slice(0, 51))
    assert measure_accuracy(BrightestPixel(), odd) == pytest.approx(
        float((predictions[:51] == odd.labels).float().mean())
    )


# ---- soft labels, damage


def test_soft_labels_of_another_width_are_refused(train: ImageSet, test_images: ImageSet) -> None:
    soft = torch.full((40, 11), 1 / 11)
    with pytest.raises(
        InvalidInput, match="soft labels have 11 columns, but there are 10 class names"
    ):
        of_images(train).__class__(
            train.batch(range(40)), soft, train.class_names, train.mean, train.std
        )
    eleven_classes = replace(of_images(train), labels=soft, class_names=tuple(map(str, range(11))))
    with pytest.raises(InvalidInput, match="the distilled set has 11 classes, the test set 10"):
        evaluate(eleven_classes, test_images)


def tiny_file(path: Path) -> tuple[DistilledSet, bytes]:
    distilled = DistilledSet(
        torch.randn(2, 1, 2, 2),
        torch.tensor([0, 1]),
        ("a", "b"),
        (0.5,),
        (0.25,),
        learning_rate=0.5,
    )
    return distilled, distilled.save(path).read_bytes()


def test_a_file_with_a_changed_byte_is_damaged_or_the_same_set(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    distilled, content = tiny_file(path)
    for position in range(len(content)):
        for flip in (0x01, 0x20, 0x80):
            changed = bytearray(content)
            changed[position] ^= flip
            path.write_bytes(changed)
            try:
                resolved = DistilledSet.load(path)
            except ExploreError:
                continue
            assert resolved.sha256 == distilled.sha256, position


def test_tensors_with_a_bit_changed_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    _, content = tiny_file(path)
    start = 8 + struct.unpack("<Q", content[:8])[0]
    for position in range(start, len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x40
        path.write_bytes(changed)
        with pytest.raises(RecordingDamaged, match=r"a\.safetensors"):
            DistilledSet.load(path)


@pytest.mark.parametrize("header", ["{", "[]", "{}", '{"format": 1}', '{"format": "one"}'])
def test_an_incomplete_header_is_damage(header: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(
        {"images": torch.zeros(1, 1, 2, 2), "labels": torch.zeros(1)},
        tmp_path / "a.safetensors",
        {"explore": header},
    )
    with pytest.raises(RecordingDamaged, match=r"a\.safetensors"):
        DistilledSet.load(tmp_path / "a.safetensors")


def test_a_file_of_a_later_format_asks_for_a_newer_explore(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(
        {"images": torch.zeros(1, 1, 2, 2)},
        tmp_path / "a.safetensors",
        {"explore": '{"format": 2}'},
    )
    with pytest.raises(InvalidInput, match=r"has format 2, .* up to 1; install a newer version"):
        DistilledSet.load(tmp_path / "a.safetensors")


def test_accuracies_of_networks_that_are_not_trained_yet_are_nan(
    train: ImageSet, test_images: ImageSet
) -> None:
    run = evaluate(of_images(train), test_images, EvaluationProtocol(**{**QUICK, "networks": 3}))
    assert run.message == "no accuracy yet"
    assert "not measured" in run.line()
    run.advance()
    assert np.isfinite(run.snapshot()["accuracy"].values).tolist() == [[True, False, False]]
    assert "mean and standard deviation of 1 networks" in run.line()
