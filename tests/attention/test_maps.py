"""Attention maps: a hand-computed 4×4, the formula in NumPy, gradients in float64, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from explore.attention import channel_attention, spatial_attention
from explore.errors import InvalidInput

# Two channels of 4×4 pixels, of which three are active in each.
F = torch.zeros(1, 2, 4, 4)
F[0, 0, 0, 0], F[0, 0, 1, 1], F[0, 0, 3, 3] = 1.0, 2.0, -1.0
F[0, 1, 0, 3], F[0, 1, 1, 1], F[0, 1, 3, 3] = 3.0, -1.0, 1.0
# By hand: the map at (0, 0), (0, 3), (1, 1), (3, 3), zero elsewhere; and the two channel sums.
BY_PIXEL = {1: (1, 3, 3, 2), 2: (1, 9, 5, 2), 3: (1, 27, 9, 2), 4: (1, 81, 17, 2)}
BY_CHANNEL = {1: (4, 5), 2: (6, 11), 3: (10, 29), 4: (18, 83)}

FEATURES = arrays(
    np.float64, (3, 4, 5, 6), elements=st.floats(0.1, 3) | st.floats(-3, -0.1), unique=False
)


def by_hand(power: int) -> torch.Tensor:
    expected = torch.zeros(1, 4, 4)
    expected[0, 0, 0], expected[0, 0, 3], expected[0, 1, 1], expected[0, 3, 3] = BY_PIXEL[power]
    return expected


@pytest.mark.parametrize("power", BY_PIXEL)
def test_spatial_sums_are_those_computed_by_hand(power):
    assert torch.equal(spatial_attention(F, power, normalize=False), by_hand(power))


@pytest.mark.parametrize(("power", "square"), [(1, 23), (2, 111), (3, 815), (4, 6855)])
def test_spatial_maps_are_divided_by_their_length(power, square):
    torch.testing.assert_close(spatial_attention(F, power), by_hand(power) / square**0.5)


@pytest.mark.parametrize("power", BY_CHANNEL)
def test_channel_sums_are_those_computed_by_hand(power):
    assert channel_attention(F, power, normalize=False).tolist() == [list(BY_CHANNEL[power])]


@pytest.mark.parametrize("power", BY_CHANNEL)
def test_channel_vectors_are_divided_by_their_length(power):
    a, b = BY_CHANNEL[power]
    torch.testing.assert_close(
        channel_attention(F, power), torch.tensor([[a, b]]) / (a * a + b * b) ** 0.5
    )


def test_the_default_is_the_papers_fourth_power_normalised():
    assert torch.equal(spatial_attention(F), spatial_attention(F, 4.0, True))
    assert torch.equal(channel_attention(F), channel_attention(F, 4.0, True))


@settings(max_examples=25, deadline=None)
@given(f=FEATURES, power=st.sampled_from([0.5, 1, 1.5, 2, 3, 4, 7]))
def test_both_follow_the_formula_written_in_numpy(f, power):
    raised = np.abs(f) ** power
    spatial, channel = raised.sum(1), raised.sum((2, 3))
    unit_spatial = spatial / np.maximum(np.sqrt((spatial**2).sum((1, 2), keepdims=True)), 1e-12)
    unit_channel = channel / np.maximum(np.sqrt((channel**2).sum(1, keepdims=True)), 1e-12)
    t = torch.from_numpy(f)
    np.testing.assert_allclose(spatial_attention(t, power, normalize=False), spatial, rtol=1e-12)
    np.testing.assert_allclose(channel_attention(t, power, normalize=False), channel, rtol=1e-12)
    np.testing.assert_allclose(spatial_attention(t, power), unit_spatial, rtol=1e-12)
    np.testing.assert_allclose(channel_attention(t, power), unit_channel, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    f=FEATURES,
    power=st.sampled_from([1, 2, 3, 4]),
    factors=arrays(np.float64, 3, elements=st.floats(0.01, 100)),
)
def test_an_images_brightness_changes_nothing(f, power, factors):
    t, scaled = torch.from_numpy(f), torch.from_numpy(f * factors[:, None, None, None])
    torch.testing.assert_close(
        spatial_attention(scaled, power), spatial_attention(t, power), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(
        channel_attention(scaled, power), channel_attention(t, power), rtol=1e-10, atol=1e-12
    )


@settings(max_examples=25, deadline=None)
@given(f=FEATURES, power=st.sampled_from([1, 2, 4]))
def test_maps_are_unit_vectors_without_negative_entries(f, power):
    for attention in (spatial_attention, channel_attention):
        values = attention(torch.from_numpy(f), power).flatten(1)
        assert (values >= 0).all()
        torch.testing.assert_close(values.norm(dim=1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("power", [1, 2, 4])
def test_order_of_what_is_summed_over_does_not_matter_and_of_the_rest_is_kept(power):
    f = torch.rand(3, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    channels, images = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        spatial_attention(f[:, channels], power), spatial_attention(f, power)
    )
    torch.testing.assert_close(
        channel_attention(f.flip(3).transpose(2, 3), power), channel_attention(f, power)
    )
    torch.testing.assert_close(
        channel_attention(f[:, channels], power), channel_attention(f, power)[:, channels]
    )
    torch.testing.assert_close(
        spatial_attention(f.flip(3), power), spatial_attention(f, power).flip(2)
    )
    assert torch.equal(spatial_attention(f[images], power), spatial_attention(f, power)[images])


def test_power_2_of_one_channel_is_its_square_normalised():
    f = torch.randn(4, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    square = f[:, 0] ** 2
    expected = square / square.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(spatial_attention(f, 2), expected)


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_channel_sums_of_a_constant_map_count_its_pixels(power):
    f = torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(5, 2, 4, 7)
    sums = channel_attention(f, power, normalize=False)
    assert sums.shape == (5, 2)
    assert sums[0].tolist() == [28 * 2.0**power, 28 * 3.0**power]


def test_a_high_power_leaves_one_spot():
    f = torch.tensor([1.0, 1.1, 0.9, 1.5]).view(1, 1, 2, 2)
    assert spatial_attention(f, 1).max() < 0.7
    assert spatial_attention(f, 20).max() > 0.99


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_a_dead_map_stays_zero_and_hands_back_finite_gradients(power):
    f = torch.zeros(2, 3, 4, 4, requires_grad=True)
    for attention in (spatial_attention, channel_attention):
        values = attention(f, power)
        assert not values.any()
        (gradient,) = torch.autograd.grad(values.sum(), f)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("power", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_gradients_equal_finite_differences(attention, power, normalize):
    f = torch.randn(2, 3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    f = (f + 0.1 * f.sign()).requires_grad_(True)  # away from 0, where |f| has a kink
    assert torch.autograd.gradcheck(lambda x: attention(x, power, normalize), f)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_type_is_kept(dtype):
    assert spatial_attention(F.to(dtype)).dtype == channel_attention(F.to(dtype)).dtype == dtype


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 5), (1, 2, 3, 4, 5)])
def test_features_of_another_rank_are_refused(attention, shape):
    with pytest.raises(
        InvalidInput,
        match=r"features must be floats \[N, C, H, W\], got torch.float32 \["
        + ", ".join(map(str, shape)),
    ):
        attention(torch.ones(shape))


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
@pytest.mark.parametrize("power", [0, -1, float("nan")])
def test_powers_that_are_not_above_0_are_refused(attention, power):
    with pytest.raises(InvalidInput, match=f"power must be a number above 0, got {power}"):
        attention(F, power)


SCALES = [1e-44, 1e-38, 1e-20, 1e-10, 1e-5, 1e-4, 1.0, 1e5, 1e10, 1e20, 1e37]


@pytest.mark.parametrize("power", [0.5, 1, 2, 3, 4, 20, 1000])
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_unit_maps_are_unit_at_any_scale(attention, power):
    f = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(3)).clamp(-2, 2)
    exact = attention(f.double(), power)
    for scale in SCALES:
        scaled = f * scale
        scaled[1] = f[1]
        maps = attention(scaled, power)
        norms = maps.flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, torch.ones(3), rtol=1e-5, atol=1e-5)
        if scale >= 1e-37:  # below, numbers have fewer digits
            close = {"rtol": 2e-6 * max(power, 10), "atol": 1e-5}
            torch.testing.assert_close(maps.double(), exact, **close)
        assert torch.equal(maps[1], attention(f, power)[1]), "an ordinary image keeps its bits"


@pytest.mark.parametrize("power", [1, 2, 3, 4])
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_ordinary_maps_have_the_bits_of_pytorchs_normalize(attention, power):
    f = torch.randn(9, 8, 8, 8, generator=torch.Generator().manual_seed(4))
    sums = attention(f, power, normalize=False)
    expected = torch.nn.functional.normalize(sums.flatten(1), dim=1).view_as(sums)
    assert torch.equal(attention(f, power), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_halves_are_computed_in_float32(attention, dtype):
    f = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(5)) * 20
    f[1] = 0
    halves = f.to(dtype)
    maps = attention(halves)
    assert maps.dtype == dtype
    assert torch.equal(maps, attention(halves.float()).to(dtype))
    assert not maps[1].any()


@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1.0, 1e30])
@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_both_derivatives_equal_finite_differences_at_any_scale(attention, power, scale):
    f = torch.randn(2, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    f = (f + 0.2 * f.sign()).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: attention(x * scale, power), f)
    assert torch.autograd.gradgradcheck(lambda x: attention(x * scale, power), f)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("power", [0.5, 1, 1.5, 2, 3, 4])
@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_derivatives_at_zeros_are_finite(attention, power, normalize):
    f = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(7)) - 0.5
    f = f.relu()
    f[1] = 0
    f.requires_grad_(True)
    values = attention(f, power, normalize)
    (first,) = torch.autograd.grad(values.square().sum() + values.sum(), f, create_graph=True)
    assert first.isfinite().all()
    if first.requires_grad:
        assert torch.autograd.grad(first.sum(), f)[0].isfinite().all()


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_nan_and_infinities_change_only_their_own_image(attention):
    f = torch.rand(3, 2, 3, 3, generator=torch.Generator().manual_seed(8))
    expected = attention(f)
    f[1, 0, 0, 0] = float("nan")
    maps = attention(f)
    assert maps[1].isnan().any()
    assert torch.equal(maps[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
def test_arrays_and_lists_are_features_too(attention):
    f = torch.rand(2, 2, 3, 3, generator=torch.Generator().manual_seed(9))
    assert torch.equal(attention(f.numpy()), attention(f))
    assert torch.equal(attention(list(f)), attention(f))
    assert torch.equal(attention(f, torch.tensor(2)), attention(f, 2))
    assert attention(f[:0]).shape[0] == 0


@pytest.mark.parametrize("attention", [spatial_attention, channel_attention])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(2, 3, 4, 4, dtype=torch.uint8),), r"features must be floats .* / 255"),
        ((np.ma.masked_less(np.ones((1, 1, 2, 2)), 2),), "features is a masked array"),
        ((F + 0j,), "features must be real numbers"),
        ((F.to("meta"),), "features must hold values"),
        (("cat",), "features must be an array of numbers, got 'cat'"),
        ((F, "4"), "power must be a number above 0, got '4'"),
        ((F, True), "power must be a number above 0, got True"),
        ((F, float("inf")), "power must be a number above 0, got inf"),
        ((F, 4, "no"), "normalize must be true or false, got 'no'"),
    ],
)
def test_other_values_are_refused(attention, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        attention(*arguments)
