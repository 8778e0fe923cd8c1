"""Options: the presets have the published values; images that cannot be distilled are refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

import pytest
import torch

from explore.core.registry import make_config, method
from explore.core.validation import MAX_SEED
from explore.data import ImageSet
from explore.data.training_data import TrainingData
from explore.distill import distill
from explore.distill.checks import check_training_images
from explore.distill.config import METHOD_TERMS, PRESETS, DistillConfig, UntrainedConfig
from explore.errors import InvalidInput, UnknownName

# The hyper-parameter table of DataDAM (specification, 3.3); batch and width are DM's.
PAPER = {
    "spatial": 4.0,
    "channel": None,
    "mmd": 0.01,
    "learning_rate": 1.0,
    "momentum": 0.5,
    "loss_scale": 1.0,
    "steps": 8000,
    "batch": 256,
    "width": 128,
    "norm": "instance",
    "augment": "dsa",
    "init": "real",
}
# Where DataDAM's released code differs (3.4).
CODE = {**PAPER, "spatial": 1.0, "loss_scale": 100.0, "steps": 20_000, "batch": 64, "norm": "batch"}


def values(config: DistillConfig, names: dict) -> dict:
    return {name: getattr(config, name) for name in names}


# ---- presets


def test_the_default_is_datadam_as_in_the_paper():
    config = DistillConfig.make()
    assert (config.method, config.preset) == ("datadam", "paper")
    assert values(config, PAPER) == PAPER


def test_the_code_preset_has_the_options_of_the_released_code():
    assert values(DistillConfig.make(preset="code"), CODE) == CODE


@pytest.mark.parametrize("name", METHOD_TERMS)
def test_a_method_is_its_terms(name):
    config = DistillConfig.make(method=name)
    assert (config.spatial, config.channel) == {
        "dm": (None, None),
        "datadam": (4.0, None),
        "channel": (None, 4.0),
        "atom": (4.0, 4.0),
    }[name]
    assert config.mmd == (1.0 if name == "dm" else 0.01)


def test_the_code_of_dm_is_dms_own():
    config = DistillConfig.make(method="dm", preset="code")
    expected = {
        "spatial": None,
        "mmd": 1.0,
        "learning_rate": 1.0,
        "loss_scale": 1.0,
        "steps": 20_000,
        "batch": 256,
        "norm": "instance",
    }
    assert values(config, expected) == expected


@pytest.mark.parametrize("name", ["atom", "channel"])
def test_there_is_no_code_of_methods_without_released_code(name):
    with pytest.raises(
        InvalidInput, match=f"there is no released code of {name}; its presets are lesson and paper"
    ):
        DistillConfig.make(method=name, preset="code")


@pytest.mark.parametrize(
    ("preset", "images_per_class", "rate"),
    [
        ("paper", 50, 1.0),
        ("paper", 51, 10.0),
        ("paper", 100, 10.0),
        ("code", 99, 1.0),
        ("code", 100, 10.0),
        ("lesson", 100, 3.0),
    ],
)
def test_many_images_a_class_are_moved_faster(preset, images_per_class, rate):
    assert (
        DistillConfig.make(preset=preset, images_per_class=images_per_class).learning_rate == rate
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_explicit_options_override_preset_and_method(preset):
    options = {
        "spatial": 2.0,
        "mmd": 0.5,
        "learning_rate": 7.0,
        "images_per_class": 200,
        "norm": "layer",
        "steps": 3,
    }
    assert values(DistillConfig.make(preset=preset, **options), options) == options


def test_lesson_is_small():
    config = DistillConfig.make(preset="lesson")
    assert config.width <= 32
    assert config.batch <= 16
    assert config.steps <= 200


def test_a_config_is_frozen_and_can_be_built_from_its_values():
    config = DistillConfig.make(method="atom", preset="lesson", images_per_class=3)
    assert DistillConfig.make(**asdict(config)) == config
    with pytest.raises(AttributeError):
        config.steps = 5


def test_identity_leaves_out_device_and_steps():
    identity = DistillConfig.make(steps=9, device="cpu").identity({"name": "x"})
    assert "steps" not in identity
    assert "device" not in identity
    assert identity["data"] == {"name": "x"}
    assert identity["learning_rate"] == 1.0


def test_every_option_has_a_help_text():
    for config in (DistillConfig, UntrainedConfig):
        for field in config.__dataclass_fields__.values():
            assert len(field.metadata["help"]) > 5, field.name


def test_options_are_read_without_torch():
    code = "import sys, explore.distill.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- names


def test_an_unknown_method_lists_the_options():
    with pytest.raises(
        UnknownName,
        match=r"unknown method 'datadm'; known: atom, channel, datadam, dm.* Did you mean 'datadam'",
    ):
        DistillConfig.make(method="datadm")
    with pytest.raises(
        UnknownName, match=r"unknown method 'datadm'; known: .*atom.*channel.*datadam.*dm"
    ):
        distill(torch.zeros(4, 1, 8, 8), torch.tensor([0, 0, 1, 1]), "datadm")


def test_an_unknown_preset_lists_the_options():
    with pytest.raises(
        UnknownName,
        match=r"unknown preset 'papers'; known: code, lesson, paper.* Did you mean 'paper'",
    ):
        DistillConfig.make(preset="papers")


def test_an_unknown_option_lists_the_options():
    with pytest.raises(
        InvalidInput, match=r"datadam has no option 'lr'; it has augment, batch, .*learning_rate"
    ):
        make_config(method("datadam"), {"lr": 1.0})


# ---- ranges


@pytest.mark.parametrize(
    ("option", "bad", "rule"),
    [
        ("images_per_class", 0, "a whole number of at least 1"),
        ("steps", 0, "a whole number of at least 1"),
        ("steps", -3, "a whole number of at least 1"),
        ("seed", -1, f"a whole number of at least 0 and at most {MAX_SEED}"),
        ("spatial", 0.0, "a number above 0"),
        ("spatial", float("nan"), "a number above 0"),
        ("channel", -1.0, "a number above 0"),
        ("mmd", -0.1, "a number of at least 0"),
        ("mmd", float("nan"), "a number of at least 0"),
        ("learning_rate", 0.0, "a number above 0"),
        ("learning_rate", float("nan"), "a number above 0"),
        ("momentum", 1.0, "a number of at least 0 and below 1"),
        ("momentum", -0.1, "a number of at least 0 and below 1"),
        ("loss_scale", 0.0, "a number above 0"),
        ("batch", 0, "a whole number of at least 1"),
        ("width", 0, "a whole number of at least 1"),
        ("depth", 1, "a whole number of at least 2"),
        ("probes", 0, "a whole number of at least 1"),
        ("probe_images", 0, "a whole number of at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused(option, bad, rule):
    with pytest.raises(InvalidInput, match=f"{option} must be {rule}, got {bad!r}"):
        DistillConfig.make(**{option: bad})


def test_one_term_must_be_on():
    with pytest.raises(InvalidInput, match="all terms are off; set spatial, channel or mmd"):
        DistillConfig.make(method="dm", mmd=0)
    assert DistillConfig.make(method="datadam", mmd=0).mmd == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("init", "zeros"), ("norm", "instancenorm"), ("precision", "float16"), ("preset", "papers")],
)
def test_an_unknown_value_of_a_choice_is_refused(option, value):
    with pytest.raises(UnknownName, match=f"unknown {option} {value!r}; known: "):
        DistillConfig(**{option: value})


@pytest.mark.parametrize("option", ["zca"])
@pytest.mark.parametrize("value", ["no", 1, None])
def test_a_flag_is_true_or_false(option, value):
    with pytest.raises(InvalidInput, match=f"{option} must be true or false, got {value!r}"):
        DistillConfig(**{option: value})


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [
        ("steps", 0, 1),
        ("seed", -1, f"0 and at most {MAX_SEED}"),
        ("images", 9, 10),
        ("width", 0, 1),
    ],
)
def test_untrained_ranges(option, value, least):
    with pytest.raises(
        InvalidInput, match=f"{option} must be a whole number of at least {least}, got {value}"
    ):
        UntrainedConfig(**{option: value})


# ---- images and labels

IMAGES, LABELS = torch.zeros(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])


def broken(value: float) -> torch.Tensor:
    images = IMAGES.clone()
    images[4, 0, 3, 3] = images[5, 0, 0, 0] = value
    return images


BAD = {
    "no channels": (
        IMAGES[:, 0],
        LABELS,
        r"images must be float \[N, C, H, W\] with N ≥ 1, got torch.float32 \[6, 8, 8\]",
    ),
    "flat": (
        IMAGES.flatten(1),
        LABELS,
        r"images must be float \[N, C, H, W\] with N ≥ 1, got torch.float32 \[6, 64\]",
    ),
    "bytes": (IMAGES.byte(), LABELS, r"images must be float .*, got torch.uint8 \[6, 1, 8, 8\]"),
    "empty": (
        IMAGES[:0],
        LABELS[:0],
        r"images must be float \[N, C, H, W\] with N ≥ 1, got torch.float32 \[0, 1, 8, 8\]",
    ),
    "no pixels": (
        IMAGES[..., :0, :0],
        LABELS,
        r"images must be .* got torch.float32 \[6, 1, 0, 0\]",
    ),
    "oblong": (IMAGES[..., :6], LABELS, "images must be square, got 8×6; crop or resize"),
    "fewer labels": (IMAGES, LABELS[:5], r"labels must be integers \[6\], got torch.int64 \[5\]"),
    "labels as floats": (
        IMAGES,
        LABELS.float(),
        r"labels must be integers \[6\], got torch.float32",
    ),
    "labels as booleans": (IMAGES, LABELS > 0, r"labels must be integers \[6\], got torch.bool"),
    "one hot labels": (
        IMAGES,
        torch.nn.functional.one_hot(LABELS),
        r"labels must be integers \[6\], got torch.int64 \[6, 3\]",
    ),
    "NaN": (broken(float("nan")), LABELS, "2 images hold NaN or Inf, the first is number 4"),
    "Inf": (broken(float("-inf")), LABELS, "2 images hold NaN or Inf, the first is number 4"),
    "a negative label": (IMAGES, LABELS - 1, r"labels must be 0..K-1 without gaps, got -1..1"),
    "a huge label": (
        IMAGES,
        LABELS * 10**15,
        "labels must be 0..K-1 without gaps, got 0..2000000000000000 on 6 images",
    ),
    "a gap": (
        IMAGES,
        LABELS * 2,
        r"class 1 has 0 images, but 1 are needed; labels must be 0..4 without gaps",
    ),
    "labels from 1": (
        IMAGES,
        LABELS + 1,
        r"class 0 has 0 images, but 1 are needed; labels must be 0..3 without gaps",
    ),
    "one class": (
        IMAGES,
        LABELS * 0,
        "there is only one class; distillation needs at least two classes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_images_that_cannot_be_distilled_are_refused(case):
    images, labels, words = BAD[case]
    with pytest.raises(InvalidInput, match=words):
        check_training_images(images, labels)
    with pytest.raises(InvalidInput, match=words):
        distill(images, labels, preset="lesson", steps=1)


def test_the_number_of_classes_is_counted():
    assert check_training_images(IMAGES, LABELS) == 3
    assert check_training_images(IMAGES.double(), LABELS.int()) == 3


@pytest.mark.parametrize("init", ["real", "kcenter"])
def test_a_class_needs_enough_images_to_start_from(init):
    assert check_training_images(IMAGES, LABELS, 2, init) == 3
    with pytest.raises(InvalidInput, match="class 0 has 2 images, but 3 are needed"):
        check_training_images(IMAGES, LABELS, 3, init)
    assert check_training_images(IMAGES, LABELS, 3, "noise") == 3


@pytest.mark.parametrize(
    "bad",
    [{"steps": 0}, {"images_per_class": 0}, {"images_per_class": 3, "init": "real"}, {"lr": 1}],
)
def test_distill_refuses_bad_options(bad):
    with pytest.raises(InvalidInput):
        distill(IMAGES, LABELS, preset="lesson", **bad)


def test_an_unknown_augmentation_is_refused_before_the_run():
    with pytest.raises(UnknownName, match="unknown augmentation 'blur'"):
        distill(IMAGES, LABELS, preset="lesson", augment="crop_blur")


@pytest.mark.parametrize("data", [3, None, (IMAGES,), IMAGES])
def test_data_of_another_kind_is_refused(data):
    with pytest.raises(
        InvalidInput, match=r"data must be the name of a set, an ImageSet or \(images, labels\)"
    ):
        TrainingData(data, check=check_training_images)


def test_an_empty_image_set_is_refused():
    empty = ImageSet(
        "none",
        torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
        torch.zeros(0, dtype=torch.long),
        ("a", "b"),
        (0.5,),
        (0.5,),
    )
    with pytest.raises(InvalidInput, match=r"with N ≥ 1, got torch.uint8 \[0, 1, 8, 8\]"):
        TrainingData(empty, check=check_training_images)
