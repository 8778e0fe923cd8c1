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
