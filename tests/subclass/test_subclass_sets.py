"""Subclass runs on all kinds of data sets: real sets, folders, sets with agreement, and scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explore import build
from explore.data import ImageSet, data_folder, load
from explore.errors import InvalidInput
from explore.subclass import table
from explore.subclass.training_data import SubclassData

pytestmark = pytest.mark.usefixtures("_one_thread")
QUICK = {"teacher_width": 4, "teacher_epochs": 1, "epochs": 2, "labels": 60, "teacher_images": 120}


def finished_run(**options: Any) -> Any:
    run: Any = build({"method": "skd", **QUICK, **options})
    while run.step < run.steps:
        run.advance()
    return run


def annotated_set(n: int = 60) -> ImageSet:
    """Return a set with two classes by a majority of annotators, who agree on half of it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    subclasses = torch.arange(n) % 4
    agreement = torch.where(subclasses % 2 == 0, 1.0, 4 / 7)
    names = ("A, 7 of 7", "A, 4 of 7", "B, 7 of 7", "B, 4 of 7")
    labels = {
        "subclasses": subclasses,
        "subclass_names": names,
        "parents": (0, 0, 1, 1),
        "agreement": agreement,
    }
    return ImageSet("annotated", images, subclasses // 2, ("A", "B"), (0.5,), (0.25,), **labels)


def test_a_curriculum_starts_with_full_agreement() -> None:
    run: Any = build(
        {"method": "labels-only", "labels": 0, "epochs": 4, "curriculum": True, "holdout": 12},
        annotated_set(),
    )
    indices = run.curriculum()
    agreement = run.source.agreement[run.source.order(0, 12)[1]]
    assert bool((agreement[indices(0)] == 1).all())
    assert bool((agreement[indices(1)] == 1).all())
    assert len(indices(0)) == int((agreement == 1).sum()) > 0
    assert len(indices(2)) == len(indices(3)) == len(agreement)
    while run.step < run.steps:
        run.advance()
    assert np.isfinite(run.student_fit.loss)


def test_a_curriculum_needs_agreement() -> None:
    with pytest.raises(
        InvalidInput,
        match="curriculum needs the agreement of annotators, which digits does not have",
    ):
        build({"method": "scratch", "data": "digits", "curriculum": True})


def test_a_folder_of_folders_is_a_set(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 3)):
        for name in ("cell/round", "cell/long", "debris/dust"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
                    folder / f"{k}.png"
                )
    data = {"name": "folder", "options": {"path": str(tmp_path)}}
    options = {
        "labels": [10],
        "widths": [4],
        "seeds": 2,
        "updates": 3,
        "teacher_updates": 2,
        "teacher_width": 2,
    }
    run: Any = build({"method": "subclass-study", "data": data, **options})
    while run.step < run.steps:
        run.advance()
    assert run.source.parents == (0, 0, 1)
    assert run.source.class_names == ("cell", "debris")
    assert table(run.result())["accuracy"].between(0, 1).all()


def test_the_classes_of_scenes_are_shapes() -> None:
    data = {"name": "scenes", "options": {"count": 200, "subclass": "colour", "difference": 0.5}}
    run = finished_run(data=data, student="convnet", width=4)
    assert run.source.class_names == ("disc", "square", "ring", "cross", "triangle")
    assert len(run.source.parents) == 10


def test_own_subclasses_can_be_regrouped() -> None:
    scenes = load("scenes", count=100)
    textures = SubclassData(scenes, [0, 1] * 5)
    assert textures.parents == (0, 1) * 5
    assert torch.equal(textures[:].labels, scenes.subclasses % 2)  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="parents has 3 entries, but there are 10"):
        SubclassData(scenes, [0, 1, 0])


@pytest.mark.data("cifar10")
def test_animals_and_vehicles_are_unequal_classes() -> None:
    run = finished_run(data={"name": "cifar10-jpeg", "options": {"count": 40}})
    assert run.source.class_names == ("animal", "vehicle")
    assert sorted(np.bincount(run.source.parents)) == [4, 6]
    names = dict(zip(run.source.subclass_names, run.source.parents, strict=True))
    assert {name for name, k in names.items() if k == 1} == {
        "airplane",
        "automobile",
        "ship",
        "truck",
    }


def test_cells_of_other_patients_are_classified() -> None:
    if not (data_folder() / "crc_phenotypes.npz").exists():
        pytest.skip(f"needs {data_folder() / 'crc_phenotypes.npz'}, which is missing")
    run = finished_run(
        data="crc-phenotypes", labels=400, teacher_images=0, teacher_epochs=6, teacher_width=16
    )
    assert run.source.parents == (0, 0, 1, 0)
    frame = run.snapshot()
    # by a margin above the 75 % of always saying "non-cancerous": they can be learnt
    assert float(frame["teacher_accuracy"]) > 0.78
    assert set(run.source.subclass_names) == {"fibroblast", "inflammatory", "epithelial", "others"}


@pytest.mark.data("MNIST/raw")
def test_mnist_is_two_halves() -> None:
    run = finished_run(data={"name": "mnist", "options": {"size": 14}})
    assert run.source.class_names == ("0 to 4", "5 to 9")
