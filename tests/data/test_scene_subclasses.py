"""Test that the subclasses of a scene differ in texture or colour, and in nothing else."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from explore.data import load
from explore.data.datasets import _scene_layout
from explore.data.datasets._scene_layout import SHAPE_NAMES, SUBCLASS_STREAM, create_layout
from explore.data.datasets.synthetic_scenes import MEAN, STD, SUBCLASS_NAMES, scenes
from explore.data.image_set import ImageSet
from explore.errors import InvalidInput, UnknownName

PARTS = ("images", "labels", "masks", "subclasses", "multi_hot")
MANY = {"count": 100, "objects": (1, 5), "clutter": (0, 6)}
both = pytest.mark.parametrize("subclass", SUBCLASS_NAMES)


class Turned:
    """A random stream that returns 1 − u where another returns u."""

    def __init__(self, stream: np.random.Generator) -> None:
        self.stream = stream

    def random(self, *shape: Any) -> np.ndarray:
        return 1 - self.stream.random(*shape)


@pytest.fixture
def swapped(monkeypatch: pytest.MonkeyPatch):
    """Return a function that creates the same scenes with every labelled object in the other subclass of its class."""
    usual = _scene_layout.random_stream

    def make(*args: Any, **options: Any) -> ImageSet:
        with monkeypatch.context() as patch:
            patch.setattr(
                _scene_layout,
                "random_stream",
                lambda o, part: (
                    Turned(usual(o, part)) if part == SUBCLASS_STREAM else usual(o, part)
                ),
            )
            return scenes(*args, **options)

    return make


def colours(image_set: ImageSet) -> np.ndarray:
    """Return the mean colour of the labelled object in each image without its soft edge, [N, 3] in bytes."""
    inner = -torch.nn.functional.max_pool2d(-image_set.masks.float()[:, None], 3, 1, 1)
    return ((image_set.images * inner).sum((2, 3)) / inner.sum((2, 3))).numpy()


def accuracy(image_set: ImageSet) -> float:
    """Return the accuracy of a linear classifier of the subclass by the mean colour."""
    x = colours(image_set) / 255
    return cross_val_score(
        LogisticRegression(C=100), x, image_set.subclasses.numpy() % 2, cv=3
    ).mean()


# ---- nothing changed for those who do not ask


def test_the_defaults_give_the_scenes_of_earlier_versions():
    image_set, explicit = scenes(**MANY), scenes(**MANY, subclass="texture", difference=1)
    for part in PARTS:
        assert torch.equal(getattr(image_set, part), getattr(explicit, part))
    assert image_set.options == explicit.options
    assert (image_set.options["subclass"], image_set.options["difference"]) == ("texture", 1.0)
    layout = create_layout(image_set.options)
    assert set(layout.stripe_contrast.ravel().tolist()) == {0.0, float(np.float32(0.17))}
    assert image_set.subclass_names[:4] == (
        "plain disc",
        "striped disc",
        "plain square",
        "striped square",
    )


# ---- the dial


@both
def test_without_a_difference_the_bytes_do_not_depend_on_the_subclass(subclass, swapped):
    image_set, other = (make(**MANY, subclass=subclass, difference=0) for make in (scenes, swapped))
    assert torch.equal(image_set.subclasses ^ 1, other.subclasses)  # 2 · label + second
    for part in ("images", "labels", "masks", "multi_hot"):
        assert torch.equal(getattr(image_set, part), getattr(other, part))


@both
@pytest.mark.parametrize("difference", [0.25, 1, 2])
def test_with_a_difference_every_image_depends_on_it_within_its_mask(subclass, difference, swapped):
    image_set, other = (
        make(**MANY, subclass=subclass, difference=difference) for make in (scenes, swapped)
    )
    differs = (image_set.images != other.images).any(1)
    near = (
        torch.nn.functional.max_pool2d(image_set.masks.float(), 5, 1, 2) > 0
    )  # the soft edge is a pixel wide
    assert differs.any((1, 2)).all()
    assert not (differs & ~near).any()
    for part in ("labels", "masks", "multi_hot"):
        assert torch.equal(getattr(image_set, part), getattr(other, part))


@both
def test_the_dial_moves_the_pixels_in_proportion(subclass, swapped):
    moved = []
    for difference in (0.5, 1.0, 2.0):
        options = {"count": 60, "subclass": subclass, "difference": difference, "clutter": 0}
        a, b = (make(**options).images.float() for make in (scenes, swapped))
        moved.append((a - b).abs().mean().item())
    assert moved[1] == pytest.approx(2 * moved[0], rel=0.05)
    assert moved[2] == pytest.approx(2 * moved[1], rel=0.12)  # more of the bytes are at their ends


@both
@pytest.mark.parametrize("difference", [0, 2])
def test_other_objects_stay_as_they_are(subclass, difference):
    image_set, usual = scenes(**MANY, subclass=subclass, difference=difference), scenes(**MANY)
    layout_a, layout_b = create_layout(image_set.options), create_layout(usual.options)
    for field in ("stripe_contrast", "colour"):
        assert (getattr(layout_a, field)[:, 1:] == getattr(layout_b, field)[:, 1:]).all()
    assert torch.equal(image_set.masks, usual.masks)
    near = torch.nn.functional.max_pool2d(image_set.masks.float(), 5, 1, 2) > 0
    assert not ((image_set.images != usual.images).any(1) & ~near).any()


# ---- colour


def test_a_warm_object_is_redder_and_a_cool_one_bluer_by_a_known_amount(swapped):
    options = {"count": 200, "subclass": "colour", "object_size": (0.25, 0.4), "clutter": 0}
    image_set, other = scenes(**options), swapped(**options)
    warm = np.where(image_set.subclasses % 2 == 1, 1, -1)[:, None]
    np.testing.assert_allclose(
        warm * (colours(image_set) - colours(other)),
        np.tile([2 * 0.12 * 255, 0, -2 * 0.12 * 255], (200, 1)),
        atol=1,
    )
    inside = image_set.masks[:, None].expand_as(image_set.images)
    light, dark = image_set.images[inside].max(), image_set.images[inside].min()
    assert 0 < dark < light < 255  # nothing was clipped, so that the mean over channels is the same


def test_a_colour_subclass_does_not_change_the_lightness():
    image_set = scenes(count=1000, subclass="colour", clutter=0)
    light = colours(image_set).mean(1)
    second = image_set.subclasses.numpy() % 2 == 1
    gap = light[second].mean() - light[~second].mean()
    assert abs(gap) < 4 * light.std() * (4 / len(light)) ** 0.5


def test_a_labelled_object_is_striped_in_no_scene_of_colours():
    layout = create_layout(scenes(count=100, objects=3, subclass="colour", difference=2).options)
    assert not layout.stripe_contrast[:, 0].any()
    assert layout.stripe_contrast[:, 1:].any()


def test_colours_are_plain_at_one_harder_below_and_nothing_at_zero():
    reached = [
        accuracy(scenes(count=600, subclass="colour", difference=d, clutter=0))
        for d in (0, 0.5, 1, 2)
    ]
    assert reached[0] < 0.58  # chance, give or take four standard errors
    assert 0.6 < reached[1] < 0.8
    assert reached[2] > 0.96
    assert reached[3] > 0.999


def test_a_texture_cannot_be_recognised_by_its_mean_colour():
    assert accuracy(scenes(count=600, clutter=0)) < 0.58


@pytest.mark.parametrize("difference", [1, 2])
def test_colour_subclasses_stand_out_and_do_not_tell_the_class(difference):
    image_set = scenes(count=2000, subclass="colour", difference=difference)
    layout = create_layout(image_set.options)
    distances = np.linalg.norm(layout.colour[:, :1] - layout.background, axis=-1)
    assert distances.min() > 0.14  # less than with textures, where it is 0.25
    score = cross_val_score(
        LogisticRegression(), colours(image_set) / 255, image_set.labels.numpy(), cv=2
    ).mean()
    assert score < 0.2 + 4 * np.sqrt(0.16 / 2000)


def test_names_parents_and_balance_of_colours():
    image_set = scenes("val", count=300, subclass="colour")
    assert image_set.subclass_names == tuple(
        f"{kind} {shape}" for shape in SHAPE_NAMES for kind in ("cool", "warm")
    )
    assert image_set.parents == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert (image_set.subclasses.view(-1, 10).sort().values == torch.arange(10)).all()
    assert (image_set.mean, image_set.std) == (MEAN, STD)


@both
def test_a_set_can_be_loaded_from_its_options(subclass):
    image_set = load("scenes", "test", count=20, subclass=subclass, difference=np.float32(0.5))
    reloaded = scenes(**json.loads(json.dumps(image_set.options)))
    assert torch.equal(image_set.images, reloaded.images)
    assert torch.equal(image_set.subclasses, reloaded.subclasses)
    assert image_set.options["difference"] == 0.5
    assert type(image_set.options["difference"]) is float


# ---- bad input


@pytest.mark.parametrize("difference", [-0.1, 2.01, float("nan"), True, "1", None, (0, 1)])
def test_a_difference_out_of_range_is_named(difference):
    with pytest.raises(
        InvalidInput, match=r"difference=.* pass a number from 0.0 to 2.0 \(1 is easy to see\)"
    ):
        scenes(count=5, difference=difference)


@pytest.mark.parametrize("subclass", ["color", "stripes", "", None, ["texture"]])
def test_an_unknown_subclass_lists_the_known(subclass):
    with pytest.raises(
        UnknownName, match=r"unknown subclass of scenes .*; known: colour, texture\."
    ):
        scenes(count=5, subclass=subclass)
