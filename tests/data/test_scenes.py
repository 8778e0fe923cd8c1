"""Test scenes: reproducible images, masks and labels that match the pixels, and options."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from explore.data.datasets._scene_layout import (
    NOISE_STREAM,
    PARTNERS,
    SHAPE_NAMES,
    create_layout,
    random_stream,
)
from explore.data.datasets._scene_painting import VISIBLE_SHARE, object_coverage, paint
from explore.data.datasets.synthetic_scenes import MEAN, STD, scenes
from explore.data.image_set import ImageSet, channel_statistics
from explore.errors import InvalidInput, UnknownName

MANY = {"count": 120, "objects": (1, 5), "object_size": (0.2, 0.4), "clutter": (0, 6)}
PARTS = ("images", "labels", "masks", "subclasses", "multi_hot")
# Areas of the five shapes in the unit circle, by school geometry.
CROSS = 4 * (2 * 0.3) * 0.954 - (2 * 0.3) ** 2
AREAS = (np.pi, 2.0, np.pi * (1 - 0.52**2), CROSS, 3 * np.sqrt(3) / 4)


def are_equal(a: ImageSet, b: ImageSet) -> bool:
    return all(torch.equal(getattr(a, part), getattr(b, part)) for part in PARTS)


def repaint(image_set: ImageSet, **changed: np.ndarray) -> np.ndarray:
    """Return the images of a set after a change of their layout, with the same noise."""
    return paint(
        create_layout(image_set.options)._replace(**changed),
        image_set.options["size"],
        random_stream(image_set.options, NOISE_STREAM),
    )[0]


# ---- made the same again


@pytest.mark.parametrize(
    "options",
    [
        {"count": 30},
        MANY,
        {**MANY, "cooccurrence": 0.5},
        {"count": 3, "size": 47, "seed": 2**40, "clutter": 0},
    ],
)
def test_the_same_arguments_give_the_same_bytes(options):
    image_set = scenes(**options)
    assert are_equal(image_set, scenes(**options))
    assert are_equal(image_set, scenes(**json.loads(json.dumps(image_set.options))))
    assert image_set.sha256 == scenes(**image_set.options).sha256


def test_global_random_state_is_neither_used_nor_changed():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    first = scenes(count=20)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    assert are_equal(first, scenes(count=20))


@settings(max_examples=15, deadline=None)
@given(
    small_count=st.integers(1, 90),
    more=st.integers(0, 60),
    seed=st.integers(0, 2**63 - 1),
    objects=st.integers(1, 5),
)
def test_fewer_images_are_the_first_of_more(small_count, more, seed, objects):
    large = scenes(count=small_count + more, seed=seed, objects=objects)
    assert are_equal(
        scenes(count=small_count, seed=seed, objects=objects), large.subset(slice(small_count))
    )


def test_splits_and_seeds_share_no_scene():
    sets = [
        scenes(split, count=200, seed=seed) for split in ("train", "val", "test") for seed in (0, 1)
    ]
    assert (
        len({image.numpy().tobytes() for image_set in sets for image in image_set.images}) == 1200
    )
    spots = np.concatenate([create_layout(image_set.options).geometry[:, 0] for image_set in sets])
    for column in spots.T[:2]:  # not the same place under another noise either
        assert len(np.unique(column)) > 1195


def test_one_dial_leaves_the_rest_in_place():
    plain, crowded = scenes(count=100, clutter=0), scenes(count=100, clutter=12, objects=3)
    assert torch.equal(plain.masks, crowded.masks)
    assert torch.equal(plain.subclasses, crowded.subclasses)
    fine = scenes(count=100, clutter=0, size=64)
    coarse = torch.nn.functional.avg_pool2d(fine.masks.float()[:, None], 2)[:, 0] > 0.5
    overlap = (coarse & plain.masks).sum((1, 2)) / (coarse | plain.masks).sum((1, 2))
    assert overlap.mean() > 0.9


# ---- what is painted


@pytest.mark.parametrize("size", [32, 47, 128])
def test_shapes_types_and_values(size):
    image_set = scenes(count=20, size=size, objects=(1, 3))
    assert (image_set.images.shape, image_set.images.dtype) == ((20, 3, size, size), torch.uint8)
    assert (image_set.masks.shape, image_set.masks.dtype) == ((20, size, size), torch.bool)
    assert (image_set.labels.dtype, image_set.subclasses.dtype, image_set.multi_hot.dtype) == (
        torch.int64,
        torch.int64,
        torch.float32,
    )
    assert image_set.multi_hot.shape == (20, 5)
    assert image_set.masks.any((1, 2)).all()
    assert image_set.images.float().std((1, 2, 3)).min() > 5


def test_default_counts():
    assert [len(scenes(split)) for split in ("train", "val", "test")] == [2000, 500, 500]


@pytest.mark.parametrize(("object_size", "clutter"), [((0.18, 0.30), 4), (0.45, 0), (0.12, 8)])
def test_mask_is_where_the_object_changes_the_image(object_size, clutter):
    image_set = scenes(count=200, object_size=object_size, clutter=clutter)
    bare = repaint(image_set, is_requested=np.zeros((200, 1), bool))
    differs = torch.from_numpy((bare != image_set.images.numpy()).any(1))
    near, nearer = (
        torch.nn.functional.max_pool2d(image_set.masks.float(), k, 1, k // 2) > 0 for k in (5, 3)
    )
    assert not (
        differs & ~near
    ).any()  # beside the mask only the soft edge, a pixel wide, a little more at sharp tips
    assert (differs & ~nearer).sum() < 0.01 * image_set.masks.sum()
    assert (differs & image_set.masks).sum() > 0.995 * image_set.masks.sum()


@pytest.mark.parametrize("kind", range(5), ids=SHAPE_NAMES)
@pytest.mark.parametrize("radius", [0.1, 0.3, 0.48])
def test_mask_and_cover_have_the_area_of_the_shape(kind, radius):
    image_set = scenes(count=200, size=128, object_size=radius, clutter=0)
    selection = image_set.labels == kind
    expected = AREAS[kind] * (radius * 128) ** 2
    areas = image_set.masks[selection].sum((1, 2)).double()
    edge = 10 * radius * 128  # no outline is longer than that
    assert (areas - expected).abs().max() < 0.25 * edge
    assert areas.mean().item() == pytest.approx(expected, rel=0.02)
    layout = create_layout(image_set.options)
    cover, _ = object_coverage(layout, 0, ((np.arange(128) + 0.5) / 128).astype(np.float32))
    assert cover[selection.numpy()].sum((1, 2)) == pytest.approx(expected, rel=0.02)


def test_object_size_acts_on_every_image():
    radii = (0.08, 0.16, 0.24, 0.32, 0.4, 0.48)
    areas = torch.stack(
        [scenes(count=100, object_size=radius).masks.sum((1, 2)) for radius in radii]
    )
    assert (areas.diff(dim=0) > 0).all()


def test_object_size_stays_within_its_range_and_the_image():
    image_set = scenes(count=500, object_size=[0.1, 0.4], objects=5)
    spot = create_layout(image_set.options).geometry
    centre, radius = spot[..., :2], spot[..., 4]
    assert 0.1 <= radius[:, 0].min() < 0.11
    assert 0.39 < radius[:, 0].max() <= 0.4
    assert (centre - radius[..., None]).min() > -1e-6
    assert (centre + radius[..., None]).max() < 1 + 1e-6
    assert (radius[:, 1:] < 0.91 * radius[:, :1]).all()  # the labelled object is the largest


def test_clutter_acts_on_the_background():
    spreads = []
    for clutter in (0, 2, 4, 8, 16):
        image_set = scenes(count=300, clutter=clutter)
        outside = np.where(image_set.masks[:, None], np.nan, image_set.images)
        spreads.append(np.nanvar(outside, (2, 3)).mean())
    assert (np.diff(spreads) > 0.1 * spreads[0]).all()


def test_ranges_include_both_ends():
    layout = create_layout(scenes(count=400, objects=(2, 4), clutter=(1, 3)).options)
    assert set(layout.is_requested.sum(1)) == {2, 3, 4}
    assert set((layout.clutter_geometry[..., 7] > 0).sum(1)) == {1, 2, 3}
    assert are_equal(
        scenes(count=20, objects=2, clutter=3), scenes(count=20, objects=(2, 2), clutter=[3, 3])
    )


# ---- labels


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_labels_and_subclasses_are_balanced(split):
    image_set = scenes(split, count=300)
    assert (image_set.labels.view(-1, 5).sort().values == torch.arange(5)).all()
    assert (image_set.subclasses.view(-1, 10).sort().values == torch.arange(10)).all()
    assert len(image_set.labels.view(-1, 5).unique(dim=0)) > 30  # in no fixed order


def test_a_subclass_belongs_to_one_class_and_says_so():
    image_set = scenes(count=200)
    assert torch.equal(image_set.subclasses // 2, image_set.labels)
    assert len(image_set.subclass_names) == 10
    for label, subclass in zip(image_set.labels, image_set.subclasses, strict=True):
        texture, shape = image_set.subclass_names[subclass].split()
        assert shape == image_set.class_names[label]
        assert texture == ("plain", "striped")[subclass % 2]


def test_stripes_are_visible():
    image_set = scenes(count=300, object_size=(0.25, 0.45))
    inner = -torch.nn.functional.max_pool2d(
        -image_set.masks.float(), 3, 1, 1
    )  # without the soft edge
    light = image_set.images.float().mean(1)
    mean = (light * inner).sum((1, 2)) / inner.sum((1, 2))
    spread = (((light - mean[:, None, None]) ** 2 * inner).sum((1, 2)) / inner.sum((1, 2))).sqrt()
    striped = image_set.subclasses % 2 == 1
    assert spread[striped].min() > 2 * spread[~striped].max()


def test_one_object_makes_one_hot_and_more_contain_the_label():
    assert torch.equal(
        scenes(count=50).multi_hot, torch.nn.functional.one_hot(scenes(count=50).labels, 5).float()
    )
    image_set = scenes(**MANY)
    assert set(image_set.multi_hot.unique().tolist()) == {0.0, 1.0}
    assert (image_set.multi_hot.gather(1, image_set.labels[:, None]) == 1).all()
    assert (
        scenes(count=200, objects=3).multi_hot.sum(1).mean() > 2.8
    )  # there is room for nearly all


def test_visible_objects_are_labelled_and_others_are_not_painted():
    image_set = scenes(**MANY)
    layout, grid = create_layout(image_set.options), ((np.arange(32) + 0.5) / 32).astype(np.float32)
    covers = [object_coverage(layout, j, grid)[0].astype(float) for j in range(5)]
    left_out = 0
    for i in range(len(image_set)):
        free = np.ones((32, 32))
        for j, kind in enumerate(layout.classes[i]):
            share = (covers[j][i] * free).sum() / covers[j][i].sum()
            present = bool(layout.is_requested[i, j]) and share >= VISIBLE_SHARE
            assert bool(image_set.multi_hot[i, kind]) == present
            free *= 1 - covers[j][i] * present
            left_out += bool(layout.is_requested[i, j]) and not present
    assert left_out > 5  # both cases were met
    expected = layout.is_requested & np.take_along_axis(
        image_set.multi_hot.numpy() > 0, layout.classes, 1
    )
    assert (repaint(image_set, is_requested=expected) == image_set.images.numpy()).all()
    for j in range(5):
        fewer = expected.copy()
        fewer[:, j] = False
        assert (
            (repaint(image_set, is_requested=fewer) != image_set.images.numpy()).any((1, 2, 3))
            == expected[:, j]
        ).all()


# ---- labels that occur together


def partner_shares(labels: torch.Tensor, multi_hot: torch.Tensor) -> torch.Tensor:
    """Return the share of the images of each class in which the partner of the class is visible."""
    has_partner = multi_hot.gather(1, torch.tensor(PARTNERS)[labels][:, None])[:, 0]
    return torch.stack([has_partner[labels == k].mean() for k in range(5)])


def test_the_dial_raises_the_share_of_partners():
    dials = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    shares = []
    for dial in dials.tolist():
        image_set = scenes(count=2000, objects=2, object_size=0.15, cooccurrence=dial)
        shares.append(partner_shares(image_set.labels, image_set.multi_hot))
    shares = torch.stack(shares)
    assert (shares.diff(dim=0) > 0.05).all()
    visible = shares[-1]  # In the last set, only partners that are hidden are missing.
    assert visible.min() > 0.97
    expected = visible * (dials + (1 - dials) / 4)[:, None]
    assert (shares - expected).abs().max() < 0.08


def test_partners_are_named():
    names = [SHAPE_NAMES[k] for k in PARTNERS]
    assert names == ["square", "disc", "cross", "ring", "disc"]


def test_more_objects_come_after_the_partner():
    layout = create_layout(scenes(count=300, objects=4, cooccurrence=1).options)
    assert (layout.classes[:, 1] == np.array(PARTNERS)[layout.classes[:, 0]]).all()
    assert all(len(set(row)) == 4 for row in layout.classes.tolist())
    assert len({tuple(row) for row in layout.classes[:, 2:].tolist()}) > 6, "in any order"


def test_the_dial_changes_the_other_classes_only():
    plain, paired = (scenes(count=100, objects=2, cooccurrence=dial) for dial in (0, 1))
    assert torch.equal(plain.labels, paired.labels)
    assert torch.equal(plain.subclasses, paired.subclasses)
    assert torch.equal(plain.masks, paired.masks)
    before, after = create_layout(plain.options), create_layout(paired.options)
    for part in ("geometry", "colour", "background", "clutter_geometry"):
        assert np.array_equal(getattr(before, part), getattr(after, part)), part
    assert are_equal(scenes(count=30), scenes(count=30, cooccurrence=1)), "one object has no other"


def test_without_the_dial_scenes_and_their_options_are_those_of_old_recordings():
    image_set = scenes(count=3, objects=4, cooccurrence=0.0)
    assert "cooccurrence" not in image_set.options
    assert are_equal(image_set, scenes(count=3, objects=4))
    classes = create_layout(image_set.options).classes.tolist()
    assert classes == [[3, 4, 2, 0], [4, 1, 0, 3], [0, 3, 1, 4]], (
        "the draws changed; old recordings differ"
    )
    assert scenes(count=3, cooccurrence=1).options["cooccurrence"] == 1.0


# ---- colours


def test_colour_does_not_tell_the_class():
    image_set = scenes(count=2000)
    layout = create_layout(image_set.options)
    features = {
        "mean of the image": image_set.images.float().mean((2, 3)).numpy(),
        "colour of the object": PolynomialFeatures(2).fit_transform(layout.colour[:, 0]),
        "colours behind it": layout.background.reshape(-1, 6),
    }
    for name, x in features.items():
        x = StandardScaler().fit_transform(x)
        accuracy = cross_val_score(LogisticRegression(), x, image_set.labels.numpy(), cv=2).mean()
        assert accuracy < 0.2 + 4 * np.sqrt(0.16 / 2000), name


@pytest.mark.parametrize("options", [{}, {"object_size": 0.48, "clutter": 0}])
def test_classes_have_the_same_mean_colour_although_their_areas_differ(options):
    image_set = scenes(count=2500, **options)
    means = image_set.images.double().mean((2, 3))
    for kind in range(5):
        class_means = means[image_set.labels == kind]
        assert (
            (class_means.mean(0) - means.mean(0)).abs()
            < 4 * class_means.std(0) / len(class_means) ** 0.5
        ).all(), SHAPE_NAMES[kind]


def test_objects_stand_out_from_the_background():
    layout = create_layout(scenes(count=2000, objects=5).options)
    distances = np.linalg.norm(layout.colour[:, :, None] - layout.background[:, None], axis=-1)
    assert distances.min() > 0.25


def test_normalisation_is_the_same_for_all_and_right_for_the_defaults():
    mean, std = channel_statistics(scenes().images)
    assert mean == pytest.approx(MEAN, abs=0.01)
    assert std == pytest.approx(STD, abs=0.01)
    for other in (scenes("test", count=5), scenes(count=5, object_size=0.45, clutter=0)):
        assert (other.mean, other.std) == (MEAN, STD)


# ---- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 31}, "size=31 .* integer from 32 to 128"),
        ({"size": 32.5}, "size=32.5 .* integer"),
        ({"size": "32"}, "size='32' .* integer"),
        ({"clutter": "14"}, "clutter='14'"),
        ({"clutter": np.ones((2, 2))}, r"clutter=float64 \[2, 2\]"),
        (
            {"count": 10**7, "size": 128},
            "a set of 10000000 scenes needs .* GB, more than .*; choose fewer",
        ),
        ({"size": (32, 64)}, r"size=\(32, 64\)"),
        ({"count": 0}, "count=0 .* from 1 "),
        ({"count": True}, "count=True"),
        ({"objects": 6}, "objects=6 .* from 1 to 5"),
        ({"objects": (3, 2)}, r"objects=\(3, 2\) .* such as \(1, 5\)"),
        ({"objects": (1, 2, 3)}, r"objects=\(1, 2, 3\)"),
        ({"objects": ()}, r"objects=\(\)"),
        ({"objects": None}, "objects=None"),
        ({"object_size": 0.5}, "object_size=0.5 .* from 0.05 to 0.48"),
        ({"object_size": float("nan")}, "object_size=nan"),
        ({"object_size": "large"}, "object_size='large'"),
        ({"object_size": (0.01, 0.3)}, "object_size"),
        ({"clutter": -1}, "clutter=-1 .* from 0 to 64"),
        ({"clutter": (1, 2.5)}, "clutter"),
        ({"cooccurrence": 1.5}, "cooccurrence=1.5 .* from 0.0 to 1.0"),
        ({"cooccurrence": (0, 1)}, "cooccurrence"),
        ({"cooccurrence": float("nan")}, "cooccurrence=nan"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": None}, "seed=None"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(InvalidInput, match=words):
        scenes(**options)


def test_an_unknown_split_lists_the_known():
    with pytest.raises(
        UnknownName, match=r"'training'; known: test, train, val.* Did you mean 'train'"
    ):
        scenes("training")


def test_numpy_numbers_are_accepted():
    image_set = scenes(count=np.int64(5), object_size=np.float32(0.25), clutter=(np.int32(1), 2))
    assert type(image_set.options["count"]) is int
    assert json.loads(json.dumps(image_set.options)) == image_set.options
