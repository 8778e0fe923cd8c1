"""Test DistilledSet: files keep every bit, the units of imported images are never guessed, damage is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from PIL import Image

from explore import build
from explore.data import ZCA, DistilledSet, load
from explore.errors import DataMissing, InvalidInput, RecordingDamaged, UnknownName

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def images(n: int = 6, channels: int = 3) -> torch.Tensor:
    return torch.randn(n, channels, 8, 8, generator=torch.Generator().manual_seed(0))


def distilled_set(**more: Any) -> DistilledSet:
    images_ = {
        "images": images(),
        "labels": torch.arange(6) % 3,
        "class_names": ("a", "b", "c"),
        "mean": MEAN,
        "std": STD,
    }
    return DistilledSet(**{**images_, **more})  # type: ignore[arg-type]


def whitening() -> ZCA:
    return ZCA().fit(torch.randn(200, 3, 8, 8, generator=torch.Generator().manual_seed(1)))


SOFT = torch.softmax(torch.randn(6, 3, generator=torch.Generator().manual_seed(2)), 1)
SETS = {
    "hard": lambda: distilled_set(),
    "soft": lambda: distilled_set(labels=SOFT),
    "whitened": lambda: distilled_set(zca=whitening()),
    "with a rate": lambda: distilled_set(
        learning_rate=0.013,
        provenance={"config": {"method": "dm"}, "step": 3},
        protocol={"epochs": 300},
    ),
    "of unknown units": lambda: distilled_set(mean=(), std=()),
    "grey": lambda: distilled_set(images=images(channels=1), mean=(0.1,), std=(0.3,)),
}


@pytest.mark.parametrize("name", SETS)
def test_a_saved_set_is_loaded_in_the_same_bits(name: str, tmp_path: Path) -> None:
    first = SETS[name]()
    second = DistilledSet.load(first.save(tmp_path / "set.safetensors"))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert first.labels.dtype == second.labels.dtype
    assert (first.zca is None) == (second.zca is None)
    for field in ("learning_rate", "provenance", "protocol"):
        assert getattr(first, field) == getattr(second, field)
    assert [list(first.class_names), *map(list, (first.mean, first.std))] == [
        list(second.class_names),
        *map(list, (second.mean, second.std)),
    ]
    if len(first.mean):
        assert torch.equal(first.to_display(), second.to_display())
    assert not list(tmp_path.glob("*.part"))


def test_a_run_becomes_a_set_with_its_provenance(tmp_path: Path) -> None:
    run: Any = build(
        {"method": "dm", "data": "digits", "preset": "lesson", "steps": 2, "zca": True, "width": 8}
    )
    run.advance()
    distilled = DistilledSet.of(run)
    assert torch.equal(distilled.images, run.images.detach())
    assert list(distilled.class_names) == [str(k) for k in range(10)]
    assert distilled.provenance["step"] == 1
    assert distilled.provenance["config"]["data"]["sha256"] == load("digits").sha256
    displayed = torch.from_numpy(run.source.to_display(run.images))
    assert (distilled.to_display()[:, 0].int() - displayed.int()).abs().max() <= 1
    loaded = DistilledSet.load(distilled.save(tmp_path / "run.safetensors"))
    assert torch.allclose(
        loaded.zca(load("digits").batch([0, 1])),
        run.source.zca(load("digits").batch([0, 1])),
        atol=1e-3,
    )  # type: ignore[misc]
    with pytest.raises(InvalidInput, match="expected a run that distils images"):
        DistilledSet.of(build({"method": "scratch", "data": "digits", "epochs": 1}))


@pytest.mark.parametrize("stored_as", ["variable", "attribute"])
def test_a_result_with_soft_labels_and_a_learned_rate_becomes_a_set(
    stored_as: str, tmp_path: Path
) -> None:
    result = xarray.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images().numpy()),
            "labels": (("image", "class"), SOFT.numpy()),
            "mean": ("channel", np.array(MEAN)),
            "std": ("channel", np.array(STD)),
        },
        attrs={"config": {"method": "mtt"}, "step": 9},
    )
    if stored_as == "variable":
        result["learning_rate"] = (), np.float64(0.25)
    else:
        result.attrs["learning_rate"] = 0.25
    distilled = DistilledSet.of(result)
    assert distilled.learning_rate == 0.25
    assert distilled.soft
    assert torch.equal(distilled.labels, SOFT)
    assert distilled.class_names == ("0", "1", "2")
    assert distilled.provenance["config"] == {"method": "mtt"}
    assert DistilledSet.of(result, ("a", "b", "c")).class_names == ("a", "b", "c")
    loaded = DistilledSet.load(distilled.save(tmp_path / "set.safetensors"))
    assert loaded.learning_rate == 0.25
    assert torch.equal(loaded.labels, SOFT)


def test_a_result_without_a_learned_rate_has_none() -> None:
    result = xarray.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images().numpy()),
            "labels": ("image", np.array([0, 1, 2, 0, 1, 3])),
        }
    )
    distilled = DistilledSet.of(result)
    assert distilled.learning_rate is None
    assert distilled.class_names == ("0", "1", "2", "3")
    with pytest.raises(InvalidInput, match=r"learning_rate must be a number above 0, got -0\.5"):
        DistilledSet.of(result.assign_attrs(learning_rate=-0.5))


def test_the_path_of_a_recording_loads_the_set_beside_it(tmp_path: Path) -> None:
    first = distilled_set()
    first.save(tmp_path / "run.safetensors")
    for name in ("run.zarr", "run.zarr.zip"):
        assert DistilledSet.load(tmp_path / name).sha256 == first.sha256


def test_plain_torch_reads_an_exported_set(tmp_path: Path) -> None:
    distilled = distilled_set(labels=SOFT)
    distilled.to_torch(tmp_path / "out")
    x, y = (
        torch.load(tmp_path / "out" / f"{name}.pt", weights_only=True)
        for name in ("images", "labels")
    )
    assert torch.equal(x, distilled.images)
    assert torch.equal(y, SOFT)
    assert json.loads((tmp_path / "out" / "about.json").read_text())["labels"] == "soft"
    assert torch.equal(distilled.to_dataset()[2][0], distilled.images[2])


def test_pngs_are_the_displayed_images_and_are_marked_as_lossy(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    distilled = distilled_set()
    distilled.to_png(tmp_path / "png")
    folder = ImageFolder(str(tmp_path / "png"))
    assert folder.classes == ["0 a", "1 b", "2 c"]
    pixels = np.stack([np.array(Image.open(path)) for path, _ in folder.samples])
    order = torch.argsort(distilled.labels, stable=True)
    assert np.array_equal(pixels, distilled.to_display()[order].permute(0, 2, 3, 1).numpy())
    assert "clipped" in json.loads((tmp_path / "png" / "about.json").read_text())["lossy"]
    with pytest.raises(InvalidInput, match="their units are unknown"):
        distilled_set(mean=(), std=()).to_png(tmp_path / "none")


# ---- others' sets


def test_units_must_be_given() -> None:
    with pytest.raises(InvalidInput, match="the value range of the images cannot be inferred"):
        DistilledSet.import_(images(), torch.zeros(6, dtype=torch.long), mean=MEAN, std=STD)
    with pytest.raises(UnknownName, match="'normalised'"):
        DistilledSet.import_(
            images(), torch.zeros(6, dtype=torch.long), space="normalised", mean=MEAN, std=STD
        )  # type: ignore[arg-type]


def test_images_in_all_units_give_the_same_set() -> None:
    pixels = torch.randint(
        0, 256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    y, statistics = torch.arange(4), {"mean": MEAN, "std": STD}
    normal = (pixels / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    sets = [
        DistilledSet.import_(pixels, y, space="bytes", **statistics),
        DistilledSet.import_(pixels / 255, y, space="unit", **statistics),
        DistilledSet.import_(normal, y, space="model", **statistics),
    ]
    for distilled in sets:
        assert torch.allclose(distilled.images, normal, atol=1e-6)
        assert torch.equal(distilled.to_display(), pixels)


def test_soft_labels_may_come_as_logits() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    distilled = DistilledSet.import_(
        images(), logits, space="model", mean=MEAN, std=STD, logits=True
    )
    assert torch.allclose(distilled.labels, SOFT)
    with pytest.raises(InvalidInput, match="soft labels must be probabilities"):
        DistilledSet.import_(images(), logits, space="model", mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("images_", "space", "words"),
    [
        (images(), "unit", r"must be in \[0, 1\], got -"),
        (images(), "bytes", "which is not 'bytes'"),
        (images().mul(50).byte(), "unit", "which is not 'unit'"),
        (images().long(), "model", "which is not 'model'"),
        (images().mul(50).long(), "bytes", "which is not 'bytes'"),
        (images().permute(0, 2, 3, 1), "model", r"channels last need .permute\(0, 3, 1, 2\)"),
        ([images(), images(3)], "model", "a list of tensors with different shapes"),
    ],
)
def test_units_that_contradict_the_values_are_refused(images_: Any, space: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        DistilledSet.import_(
            images_, torch.zeros(6, dtype=torch.long), space=space, mean=MEAN, std=STD
        )


def test_a_normalisation_must_be_given() -> None:
    with pytest.raises(InvalidInput, match="pass mean and std for each of the 3 channels"):
        DistilledSet.import_(images(), torch.zeros(6, dtype=torch.long), space="model")


# ---- bad sets and files


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"images": images().long()}, "images must be float"),
        ({"images": images()[0]}, "images must be float"),
        ({"images": images()[:0], "labels": torch.zeros(0)}, "must not be empty"),
        (
            {"images": images().index_fill(0, torch.tensor([4]), float("nan"))},
            "the first is number 4",
        ),
        (
            {"labels": torch.arange(5)},
            r"labels must be integers \[6\], one for each of the images, got",
        ),
        (
            {"labels": torch.arange(6)},
            r"labels must be 0..2, as there are 3 class names; image 3 has 3",
        ),
        ({"labels": torch.zeros(6)}, "labels must be integers .* labels.long"),
        ({"labels": SOFT[:, :2]}, "soft labels have 2 columns, but there are 3 class names"),
        ({"labels": SOFT * 2}, "soft labels must be probabilities that sum to 1 .* image 0"),
        ({"mean": (0.5,)}, "mean must have one number for each of the 3 channels"),
        ({"std": (0.1, 0.0, 0.1)}, r"std\[1\] must be a number above 0, got 0.0"),
        ({"learning_rate": -0.1}, "learning_rate must be a number above 0"),
    ],
)
def test_an_invalid_set_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        distilled_set(**wrong)


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    path = distilled_set().save(tmp_path / "set.safetensors")
    distilled = path.read_bytes()
    for length in (0, 5, len(distilled) // 2, len(distilled) - 1):
        path.write_bytes(distilled[:length])
        with pytest.raises(RecordingDamaged, match="cannot be read"):
            DistilledSet.load(path)
    flipped = bytearray(distilled)
    flipped[-3] ^= 0x40
    path.write_bytes(flipped)
    with pytest.raises(
        RecordingDamaged, match="its images or labels are not those that were saved"
    ):
        DistilledSet.load(path)


def test_files_of_other_programs_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"images": images()}, tmp_path / "other.safetensors")
    with pytest.raises(
        InvalidInput,
        match=r"not written by DistilledSet.save \(it contains images \[6, 3, 8, 8\]\)",
    ):
        DistilledSet.load(tmp_path / "other.safetensors")
    with pytest.raises(DataMissing, match="does not exist"):
        DistilledSet.load(tmp_path / "none.safetensors")
    with pytest.raises(InvalidInput, match=r"is a .safetensors file, got 'set.pt'"):
        distilled_set().save("set.pt")


def test_a_changed_header_is_damage(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    digits = load("digits")
    distilled = DistilledSet(
        digits.batch([0, 1]), digits.labels[:2], digits.class_names, digits.mean, digits.std
    )
    path = distilled.save(tmp_path / "a.safetensors")
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["explore"])
    assert DistilledSet.load(path).std == list(digits.std)
    save_file(tensors, path, {"explore": json.dumps({**about, "std": [0.5]})})
    with pytest.raises(RecordingDamaged, match="its header or its whitening was changed"):
        DistilledSet.load(path)
    del about["seal"]
    save_file(tensors, path, {"explore": json.dumps(about)})
    assert DistilledSet.load(path).sha256 == distilled.sha256
