"""DSA: each operation against another computation, shared draws, no global random state."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.ndimage import affine_transform

from explore.distill.augment import OPERATIONS, Draw, augment, draw_augmentation, strategy
from explore.errors import UnknownName

UNIT = st.floats(0, 1, exclude_max=True)
NEARLY_1 = math.nextafter(1.0, 0.0)


def images(
    count: int = 3, channels: int = 3, side: int = 16, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    return torch.randn(
        count,
        channels,
        side,
        side,
        dtype=dtype,
        generator=torch.Generator().manual_seed(count + side),
    )


def draw(operation: str, a: float = 0.0, b: float = 0.0, c: float = 0.0) -> Draw:
    return Draw(operation, np.array([[a, b, c]]))


# ---- operation by operation


@settings(max_examples=20, deadline=None)
@given(a=UNIT, b=UNIT, c=UNIT)
def test_color_is_brightness_then_saturation_then_contrast(a, b, c):
    x = images(dtype=torch.float64)
    expected = x.numpy() + (a - 0.5)
    for n in range(3):
        for row in range(16):
            for column in range(16):
                pixel = expected[n, :, row, column]
                expected[n, :, row, column] = (pixel - pixel.mean()) * 2 * b + pixel.mean()
        expected[n] = (expected[n] - expected[n].mean()) * (0.5 + c) + expected[n].mean()
    np.testing.assert_allclose(augment(x, draw("color", a, b, c)), expected, rtol=1e-10, atol=1e-12)


def test_color_in_the_middle_changes_nothing():
    torch.testing.assert_close(augment(images(), draw("color", 0.5, 0.5, 0.5)), images())


@settings(max_examples=20, deadline=None)
@given(a=UNIT, b=UNIT, side=st.sampled_from([8, 15, 16, 28, 32]))
def test_crop_is_pad_and_slice(a, b, side):
    x, reach = images(side=side).numpy(), round(side / 8 + 1e-9)
    dy, dx = math.floor(a * (2 * reach + 1)), math.floor(b * (2 * reach + 1))
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    cropped = augment(torch.from_numpy(x), draw("crop", a, b)).numpy()
    assert (cropped == padded[:, :, dy : dy + side, dx : dx + side]).all()


def test_crop_reaches_all_shifts_of_an_eighth_equally_often():
    spot = torch.zeros(1, 1, 16, 16)
    spot[0, 0, 8, 8] = 1
    counts = Counter()
    for a in (np.arange(50) + 0.5) / 50:
        row, column = augment(spot, draw("crop", a, 0.5))[0, 0].nonzero()[0].tolist()
        counts[row - 8] += 1
        assert column == 8
    assert counts == dict.fromkeys(range(-2, 3), 10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("operation", ["crop", "cutout"])
def test_numbers_near_1_select_the_last_position_in_every_dtype(operation, dtype):
    x = images(side=32, dtype=dtype)
    augmented = augment(x, draw(operation, NEARLY_1, NEARLY_1))
    if operation == "crop":
        assert torch.equal(augmented[:, :, :-4, :-4], x[:, :, 4:, 4:])
        assert not augmented[:, :, -4:].any()
    else:
        assert (augmented == 0).sum() >= 3 * 3 * 8 * 8


@pytest.mark.parametrize("side", [8, 15, 16, 28, 30])
def test_cutout_is_a_square_of_half_the_side_clipped_at_the_border(side):
    hole = int(0.5 * side + 0.5)
    centres = side + 1 - hole % 2  # as the released code draws them
    x = torch.ones(1, 2, side, side)
    for centre_y in range(centres):
        centre_x = (3 * centre_y) % centres
        expected = np.ones((side, side))
        top, left = centre_y - hole // 2, centre_x - hole // 2
        expected[max(top, 0) : top + hole, max(left, 0) : left + hole] = 0
        augmented = augment(
            x, draw("cutout", (centre_y + 0.5) / centres, (centre_x + 0.5) / centres)
        )
        assert (augmented == torch.from_numpy(expected)).all()
        if 0 <= top <= side - hole and 0 <= left <= side - hole:
            assert (augmented[0, 0] == 0).sum() == hole * hole


def test_flip_is_a_mirror_in_half_of_the_draws():
    x = images()
    assert torch.equal(augment(x, draw("flip", 0.49)), x.flip(3))
    assert torch.equal(augment(x, draw("flip", 0.5)), x)


def by_scipy(x: torch.Tensor, matrix: np.ndarray) -> np.ndarray:
    """Sample each plane at ``matrix`` (row, column) around its centre, bilinear, zero outside."""
    centre = (np.array(x.shape[2:]) - 1) / 2
    offset = centre - matrix @ centre
    warped = [
        [affine_transform(plane, matrix, offset, order=1, mode="grid-constant") for plane in image]
        for image in x.numpy()
    ]
    return np.array(warped)


@settings(max_examples=20, deadline=None)
@given(a=UNIT, b=UNIT, side=st.sampled_from([15, 16]))
def test_scale_samples_a_stretched_grid(a, b, side):
    x = images(side=side, dtype=torch.float64)
    stretch = [1 / 1.2 + u * (1.2 - 1 / 1.2) for u in (b, a)]  # rows, columns
    np.testing.assert_allclose(
        augment(x, draw("scale", a, b)), by_scipy(x, np.diag(stretch)), rtol=1e-9, atol=1e-9
    )


@settings(max_examples=20, deadline=None)
@given(a=UNIT, side=st.sampled_from([15, 16]))
def test_rotate_turns_by_up_to_15_degrees(a, side):
    x = images(side=side, dtype=torch.float64)
    angle = math.radians((2 * a - 1) * 15)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    np.testing.assert_allclose(
        augment(x, draw("rotate", a)), by_scipy(x, matrix), rtol=1e-9, atol=1e-9
    )


def test_a_larger_factor_shows_a_smaller_object():
    x = torch.zeros(1, 1, 32, 32)
    x[:, :, 12:20, 12:20] = 1
    small, large = (
        augment(x, draw("scale", NEARLY_1, NEARLY_1)).sum(),
        augment(x, draw("scale", 0, 0)).sum(),
    )
    assert small.item() == pytest.approx(64 / 1.2**2, rel=0.03)
    assert large.item() == pytest.approx(64 * 1.2**2, rel=0.03)


@pytest.mark.parametrize(
    ("operation", "numbers"),
    [("rotate", (0.5, 0, 0)), ("scale", (5 / 11, 5 / 11, 0)), ("crop", (0.5, 0.5, 0))],
)
def test_the_middle_of_the_range_is_the_image_itself(operation, numbers):
    torch.testing.assert_close(augment(images(), draw(operation, *numbers)), images())


# ---- one draw for many


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_draw_does_the_same_to_every_image_of_every_batch(operation):
    shared = Draw(operation, np.random.default_rng(3).random((1, 3)))
    real, synthetic = images(5), images(2)
    synthetic[1] = real[4]
    a, b = augment(real, shared), augment(synthetic, shared)
    torch.testing.assert_close(a[4], b[1])
    torch.testing.assert_close(a, torch.cat([augment(image[None], shared) for image in real]))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_many_draws_change_each_image_differently(operation):
    x = images(1).expand(6, -1, -1, -1)
    numbers = np.random.default_rng(4).random((6, 3))
    augmented = augment(x, Draw(operation, numbers))
    single = [augment(x[:1], Draw(operation, numbers[i : i + 1])) for i in range(6)]
    torch.testing.assert_close(augmented, torch.cat(single))
    assert len({image.numpy().tobytes() for image in augmented}) > 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_type_and_input_do_not_change(operation, dtype):
    x = images(dtype=dtype)
    before = x.clone()
    augmented = augment(x, Draw(operation, np.full((1, 3), 0.2)))
    assert (augmented.shape, augmented.dtype) == (x.shape, dtype)
    assert torch.equal(x, before)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_flow_through(operation):
    x = images(1, 2, 6, dtype=torch.float64).requires_grad_(True)
    shared = Draw(operation, np.full((1, 3), 0.3))
    assert torch.autograd.gradcheck(lambda y: augment(y, shared), x)
    assert torch.autograd.grad(augment(x, shared).sum(), x)[0].any()


def test_without_a_draw_the_images_do_not_change():
    x = images()
    assert augment(x, None) is x
    assert draw_augmentation((), 0) is None


def test_draws_come_from_the_seed_and_choose_evenly():
    first = draw_augmentation(OPERATIONS, 5, images=4)
    repeated = draw_augmentation(OPERATIONS, 5, images=4)
    assert first.operation == repeated.operation
    assert (first.numbers == repeated.numbers).all()
    assert first.numbers.shape == (4, 3)
    many = [draw_augmentation(OPERATIONS, seed) for seed in range(3000)]
    counts = Counter(each.operation for each in many)
    assert set(counts) == set(OPERATIONS)
    assert max(abs(count - 500) for count in counts.values()) < 5 * math.sqrt(3000 / 6 * 5 / 6)
    numbers = np.concatenate([each.numbers for each in many])
    assert numbers.shape == (3000, 3)
    assert 0 <= numbers.min() < 0.01 < 0.99 < numbers.max() < 1
    assert np.abs(numbers.mean(0) - 0.5).max() < 0.03


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = [augment(images(), draw_augmentation((operation,), 7)) for operation in OPERATIONS]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.manual_seed(2)
    second = [augment(images(), draw_augmentation((operation,), 7)) for operation in OPERATIONS]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# ---- strategies


@pytest.mark.parametrize(
    ("name", "flip", "operations"),
    [
        ("dsa", True, ("color", "crop", "cutout", "flip", "scale", "rotate")),
        ("dsa", False, ("color", "crop", "cutout", "scale", "rotate")),
        ("rotate_flip", True, ("rotate", "flip")),
        ("rotate_flip", False, ("rotate",)),
        ("crop", True, ("crop",)),
        ("none", True, ()),
        ("", True, ()),
    ],
)
def test_strategies(name, flip, operations):
    assert strategy(name, flip) == operations


def test_an_unknown_operation_lists_the_known():
    with pytest.raises(
        UnknownName,
        match="unknown augmentation 'blur'; known: color, crop, cutout, flip, rotate, scale",
    ):
        strategy("crop_blur")
