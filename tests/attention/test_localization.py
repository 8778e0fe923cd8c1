"""Areas and agreement with masks: cases by hand, NumPy, ties, maps of zeros, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from explore.attention import activation_area, mass_inside, overlap, pointing_game
from explore.errors import InvalidInput

# By hand. Above 0.5: 3 of 6 pixels; the mean is 2.7 / 6 = 0.45, above it: 4 of 6.
CAM = torch.tensor([[[1.0, 0.6, 0.5], [0.0, 0.6, 0.0]]])
MASK = torch.tensor([[[True, False, True], [True, False, False]]])
NONE, ALL = torch.zeros_like(MASK), torch.ones_like(MASK)
ZERO = torch.zeros_like(CAM)

MAPS = arrays(np.float64, (4, 3, 5), elements=st.integers(0, 8).map(lambda n: n / 8))
MASKS = arrays(np.bool_, (4, 3, 5))
MEASURES = (pointing_game, mass_inside, overlap)


# ---- cases by hand


@pytest.mark.parametrize(
    ("threshold", "area"),
    [
        (0.5, 3 / 6),
        ("mean", 4 / 6),
        (0, 4 / 6),
        (0.6, 1 / 6),
        (1, 0),
        (-1, 1),
        (np.float64(0.55), 0.5),
    ],
)
def test_the_area_is_the_share_above_the_threshold(threshold: Any, area: float) -> None:
    torch.testing.assert_close(activation_area(CAM, threshold), torch.tensor([area]).float())


def test_the_usual_threshold_is_one_half() -> None:
    assert activation_area(CAM).item() == activation_area(CAM, 0.5).item() == 0.5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4), (7, 7), (13, 11)])
def test_areas_of_constant_maps_and_of_one_pixel(height: int, width: int) -> None:
    ones = torch.ones(2, height, width)
    assert activation_area(ones).tolist() == [1, 1]
    assert (
        activation_area(0 * ones).tolist() == activation_area(0 * ones, "mean").tolist() == [0, 0]
    )
    hot = 0 * ones
    hot[0, -1, 0] = hot[1, 0, -1] = 1
    # Comp-DD's complexity is one minus the area.
    complexity = 1 - activation_area(hot)
    expected = torch.full((2,), 1 - 1 / (height * width))
    torch.testing.assert_close(complexity, expected)


@pytest.mark.parametrize("value", [0.1, 0.2, 0.3, 0.7, 0.9, 1.0, 1e-20, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_in_a_constant_map_is_above_its_mean(value: float, dtype: torch.dtype) -> None:
    for side in range(1, 15):
        maps = torch.full((1, side, side), value, dtype=dtype)
        assert activation_area(maps, "mean").item() == 0, side


@pytest.mark.parametrize(
    ("measure", "mask", "value"),
    [
        (pointing_game, MASK, 1),
        (pointing_game, ~MASK, 0),
        (pointing_game, ALL, 1),
        (pointing_game, NONE, 0),
        (mass_inside, MASK, 1.5 / 2.7),
        (mass_inside, ~MASK, 1.2 / 2.7),
        (mass_inside, ALL, 1),
        (mass_inside, NONE, 0),
        (overlap, MASK, 1 / 5),  # above: 3 pixels, mask: 3 pixels, both: 1 pixel
        (overlap, ~MASK, 2 / 4),
        (overlap, ALL, 3 / 6),
        (overlap, NONE, 0),
    ],
)
def test_measures_are_those_computed_by_hand(
    measure: Any, mask: torch.Tensor, value: float
) -> None:
    torch.testing.assert_close(measure(CAM, mask), torch.tensor([value]).float())


def test_overlap_takes_a_threshold() -> None:
    assert overlap(CAM, MASK, 0.9).item() == pytest.approx(1 / 3)
    assert overlap(CAM, MASK, 0).item() == pytest.approx(2 / 5)
    assert overlap(CAM, MASK, 2).item() == 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("mask", [MASK, ALL, NONE])
def test_a_map_of_zeros_agrees_with_no_mask(measure: Any, mask: torch.Tensor) -> None:
    assert measure(ZERO, mask).tolist() == [0]


@pytest.mark.parametrize(
    ("tied", "share"), [([0], 1), ([0, 1], 1 / 2), ([1, 4, 2], 1 / 3), ([5], 0)]
)
def test_tied_largest_values_count_by_their_share(tied: list[int], share: float) -> None:
    maps = torch.zeros(1, 6)
    maps[0, tied] = 0.8
    assert pointing_game(maps.view(1, 2, 3), MASK).item() == pytest.approx(share)


def test_a_constant_map_has_the_share_of_the_mask() -> None:
    maps = torch.full((1, 2, 3), 0.3)
    assert mass_inside(maps, MASK).item() == pytest.approx(3 / 6)
    assert pointing_game(maps, MASK).item() == pytest.approx(3 / 6)


# ---- NumPy, and properties


@given(maps=MAPS, masks=MASKS, threshold=st.sampled_from([0, 0.3, 0.5, 0.625]))
def test_measures_equal_loops_over_the_pixels(maps: Any, masks: Any, threshold: float) -> None:
    cams, inside = torch.from_numpy(maps), torch.from_numpy(masks)
    for n in range(len(maps)):
        flat, mask = maps[n].ravel().tolist(), masks[n].ravel().tolist()
        above = [value > threshold for value in flat]
        mean = sum(flat) / 15  # exact: eighths
        best = [k for k in range(15) if flat[k] == max(flat)]
        union = sum(a or b for a, b in zip(above, mask, strict=True))
        both = sum(a and b for a, b in zip(above, mask, strict=True))
        values = {
            "area": (activation_area(cams, threshold), sum(above) / 15),
            "above the mean": (activation_area(cams, "mean"), sum(v > mean for v in flat) / 15),
            "pointing": (
                pointing_game(cams, inside),
                sum(mask[k] for k in best) / len(best) if max(flat) > 0 else 0,
            ),
            "mass": (
                mass_inside(cams, inside),
                sum(v for v, m in zip(flat, mask, strict=True) if m) / (sum(flat) or 1),
            ),
            "overlap": (overlap(cams, inside, threshold), both / union if union else 0),
        }
        for name, (computed, expected) in values.items():
            assert computed.shape == (4,)
            assert computed[n].item() == pytest.approx(expected, abs=1e-6), name


@given(maps=MAPS, masks=MASKS)
def test_mirrored_maps_and_masks_agree_alike_and_larger_values_change_no_share(
    maps: Any, masks: Any
) -> None:
    cams, inside = torch.from_numpy(maps), torch.from_numpy(masks)
    for measure in MEASURES:
        torch.testing.assert_close(
            measure(cams.flip(2).transpose(1, 2), inside.flip(2).transpose(1, 2)),
            measure(cams, inside),
        )
    for measure in (pointing_game, mass_inside):
        torch.testing.assert_close(measure(4 * cams, inside), measure(cams, inside))
    torch.testing.assert_close(activation_area(4 * cams, "mean"), activation_area(cams, "mean"))
    total = mass_inside(cams, inside) + mass_inside(cams, ~inside)
    torch.testing.assert_close(total, (cams.sum((1, 2)) > 0).double())


def test_the_mean_threshold_is_each_maps_own() -> None:
    maps = torch.stack([CAM[0], 0.1 * CAM[0], ZERO[0]])
    torch.testing.assert_close(activation_area(maps, "mean"), torch.tensor([4 / 6, 4 / 6, 0]))


# ---- refusals


BAD_MAPS = [
    (torch.zeros(3, 4), r"maps must be floats \[N, H, W\], got torch.float32 \[3, 4\]"),
    (torch.zeros(1, 1, 3, 4), r"got torch.float32 \[1, 1, 3, 4\]"),
    (
        torch.zeros(1, 3, 4, dtype=torch.int64),
        r"maps must be floats \[N, H, W\], got torch.int64 \[1, 3, 4\]",
    ),
    (np.zeros((1, 3, 4), np.uint8), r"maps must be floats \[N, H, W\], got torch.uint8"),
    (torch.zeros(0, 3, 4), r"maps must not be empty, got shape \[0, 3, 4\]"),
    (torch.zeros(2, 0, 4), r"maps must not be empty, got shape \[2, 0, 4\]"),
]


@pytest.mark.parametrize(("maps", "message"), BAD_MAPS)
def test_maps_of_another_form_are_refused(maps: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        activation_area(maps)
    for measure in MEASURES:
        with pytest.raises(InvalidInput, match=message):
            measure(maps, torch.zeros(maps.shape, dtype=torch.bool))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            MASK.float(),
            r"masks must be true or false \[N, H, W\], got torch.float32 \[1, 2, 3\]; compare them",
        ),
        (MASK[0], r"masks must be true or false \[N, H, W\], got torch.bool \[2, 3\]"),
        (torch.cat([MASK, MASK]), r"masks must be \[1, 2, 3\] like the maps, got \[2, 2, 3\]"),
        (None, "masks must be an array of numbers, got None"),
    ],
)
def test_masks_of_another_form_are_refused(measure: Any, masks: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        measure(CAM, masks)


@pytest.mark.parametrize("threshold", ["median", None, float("nan"), float("inf"), True, [0.5]])
def test_thresholds_that_are_no_numbers_are_refused(threshold: Any) -> None:
    with pytest.raises(InvalidInput, match="threshold must be a number"):
        activation_area(CAM, threshold)
    with pytest.raises(InvalidInput, match="threshold must be a number"):
        overlap(CAM, MASK, threshold)


def test_the_mean_is_no_threshold_of_the_overlap() -> None:
    with pytest.raises(InvalidInput, match="threshold must be a number, got 'mean'"):
        overlap(CAM, MASK, "mean")  # type: ignore[arg-type]


def test_negative_values_have_no_mass() -> None:
    with pytest.raises(InvalidInput, match=r"maps must be at least 0, got -0\.25"):
        mass_inside(CAM - 0.25, MASK)


def test_arrays_lists_and_halves_are_maps_too() -> None:
    for maps in (CAM.numpy(), CAM.tolist(), CAM.double(), CAM.half()):
        assert torch.allclose(activation_area(maps), activation_area(CAM))
        for measure in MEASURES:
            assert torch.allclose(
                measure(maps, MASK.tolist()).float(), measure(CAM, MASK), atol=1e-3
            )


def test_sums_that_overflow_are_scaled() -> None:
    maps = torch.tensor([[[3e38, 3e38], [3e38, 0.0]], [[1.0, 1.0], [2.0, 0.0]]])
    masks = torch.tensor([[[True, True], [False, False]]]).expand(2, 2, 2)
    assert mass_inside(maps, masks).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert activation_area(maps, "mean").tolist() == [0.75, 0.25]
    halves = torch.full((1, 40, 40), 60000.0).half()
    assert mass_inside(halves, torch.ones(1, 40, 40, dtype=torch.bool)).tolist() == [1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_that_are_not_finite_are_refused(value: float) -> None:
    maps = CAM.clone()
    maps[0, 0, 0] = value
    with pytest.raises(InvalidInput, match="1 maps hold NaN or Inf, the first is number 0"):
        activation_area(maps)
    for measure in MEASURES:
        with pytest.raises(InvalidInput, match="1 maps hold NaN or Inf"):
            measure(maps, MASK)
