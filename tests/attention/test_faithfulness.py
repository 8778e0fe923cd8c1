"""Deletion and insertion against loops over the pixels; shuffled weights and what they change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cam_networks import KIND_NAMES, Returning, count_hooks, flat_network, seeded, uniform
from torch import nn

from explore.attention import (
    ActivationMapper,
    deletion_curve,
    insertion_curve,
    randomization_check,
    randomized,
)
from explore.data import load
from explore.errors import InvalidInput, UnknownName
from explore.models.trained.loading import load_network

CURVES = (deletion_curve, insertion_curve)
LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 3))
seeded(LINEAR).double()
IMAGES = uniform(4, 3, 4, 5, seed=1)
CAM = uniform(4, 4, 5, seed=2)


# ---- curves


def curve_by_loops(
    image: Any, cam: Any, baseline: Any, label: int, steps: int, inserted: bool
) -> list[float]:
    """Return the probabilities of one image; pixels change one at a time."""
    weight, bias = (p.detach().numpy() for p in LINEAR[1].parameters())
    order = sorted(range(cam.size), key=lambda k: (-cam.flat[k], k))
    start, end = (baseline, image) if inserted else (image, baseline)
    curve = []
    for step in range(steps + 1):
        mixed = start.copy()
        for k in order[: round(step * cam.size / steps)]:
            mixed[:, k // 5, k % 5] = end[:, k // 5, k % 5]
        powers = np.exp(weight @ mixed.ravel() + bias)
        curve.append(powers[label] / powers.sum())
    return curve


@pytest.mark.parametrize("own_baseline", [True, False])
@pytest.mark.parametrize("steps", [1, 3, 16, 20])
@pytest.mark.parametrize("curve", CURVES)
def test_curves_equal_loops_over_the_pixels(curve: Any, steps: int, own_baseline: bool) -> None:
    cam = CAM.clone()
    cam[1] = (4 * cam[1]).round() / 4  # with ties
    baseline = uniform(4, 3, 4, 5, seed=3) if own_baseline else None
    labels = [2, 0, 1, 1]
    curves = curve(LINEAR, IMAGES, cam, labels, steps, baseline)
    assert curves.shape == (4, steps + 1)
    for row, label in enumerate(labels):
        image = IMAGES[row].numpy()
        mean = np.broadcast_to(image.mean((1, 2), keepdims=True), image.shape)
        start = baseline[row].numpy() if baseline is not None else mean
        inserted = curve is insertion_curve
        expected = curve_by_loops(image, cam[row].numpy(), start, label, steps, inserted)
        np.testing.assert_allclose(curves[row], expected, rtol=1e-9)


def test_the_first_and_last_columns_are_the_image_and_the_baseline() -> None:
    baseline = uniform(4, 3, 4, 5, seed=3)
    with torch.no_grad():
        image_only = LINEAR(IMAGES).softmax(1)[:, 1]
        baseline_only = LINEAR(baseline).softmax(1)[:, 1]
    deletion = deletion_curve(LINEAR, IMAGES, CAM, 1, 7, baseline)
    insertion = insertion_curve(LINEAR, IMAGES, CAM, 1, 7, baseline)
    torch.testing.assert_close(deletion[:, 0], image_only)
    torch.testing.assert_close(deletion[:, -1], baseline_only)
    torch.testing.assert_close(insertion[:, 0], baseline_only)
    torch.testing.assert_close(insertion[:, -1], image_only)
    # To delete the largest values first is to insert them last.
    torch.testing.assert_close(
        insertion_curve(LINEAR, IMAGES, -CAM, 1, 20, baseline).flip(1),
        deletion_curve(LINEAR, IMAGES, CAM, 1, 20, baseline),
    )


@pytest.mark.parametrize("curve", CURVES)
def test_the_usual_target_is_the_class_predicted_for_the_image(curve: Any) -> None:
    predicted = LINEAR(IMAGES).argmax(1)
    assert len(predicted.unique()) > 1
    expected = curve(LINEAR, IMAGES, CAM, predicted)
    assert torch.equal(curve(LINEAR, IMAGES, CAM), expected)
    assert expected.shape == (4, 17)


def test_curves_are_monotone_where_the_logit_is_the_sum_of_the_map() -> None:
    network = Returning(lambda x: torch.stack([x.sum((1, 2, 3)), x.new_zeros(len(x))], 1))
    images = uniform(4, 1, 4, 5)
    zeros = torch.zeros_like(images)
    deletion = deletion_curve(network, images, images[:, 0], 0, 20, zeros).logit()
    insertion = insertion_curve(network, images, images[:, 0], 0, 20, zeros).logit()
    drops, rises = -deletion.diff(dim=1), insertion.diff(dim=1)
    ordered = images.flatten(1).sort(descending=True).values
    torch.testing.assert_close(drops, ordered)  # the largest pixels change the logit first
    torch.testing.assert_close(rises, ordered)
    reversed_curve = deletion_curve(network, images, -images[:, 0], 0, 20, zeros)
    good = deletion_curve(network, images, images[:, 0], 0, 20, zeros)
    assert (good.mean(1) < reversed_curve.mean(1)).all()


@pytest.mark.parametrize("curve", CURVES)
def test_curves_need_no_gradients_and_leave_the_network_as_it_is(curve: Any) -> None:
    network = nn.Sequential(flat_network()[:4], nn.Dropout(), nn.Flatten(), nn.Linear(210, 4))
    network = network.double().train()
    images, random = uniform(2, 2, 6, 7).requires_grad_(), torch.get_rng_state()
    curves = curve(network, images, uniform(2, 6, 7))
    assert not curves.requires_grad
    assert torch.equal(curve(network, images, uniform(2, 6, 7)), curves)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in network.modules() if module is not network[0])
    with torch.inference_mode():
        assert torch.equal(curve(network, images.detach(), uniform(2, 6, 7)), curves)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": IMAGES[0]},
            r"images must be floats \[N, C, H, W\], got torch.float64 \[3, 4, 5\]",
        ),
        ({"images": [1]}, r"images must be floats \[N, C, H, W\], got torch.int64 \[1\]"),
        (
            {"images": IMAGES[:0], "cam": CAM[:0]},
            r"images must not be empty, got shape \[0, 3, 4, 5\]",
        ),
        ({"cam": CAM[:, :2]}, r"got \[4, 2, 5\] and \[4, 3, 4, 5\]"),
        ({"cam": CAM[:2]}, r"maps must be \[N, H, W\] like images .*got \[2, 4, 5\]"),
        (
            {"cam": CAM[:, None]},
            r"maps must be floats \[N, H, W\], got torch.float64 \[4, 1, 4, 5\]",
        ),
        ({"cam": None}, "maps must be an array of numbers, got None"),
        ({"cam": CAM / 0}, "4 maps hold NaN or Inf"),
        ({"cam": CAM * float("nan")}, "4 maps hold NaN or Inf, the first is number 0"),
        ({"steps": 0}, "steps must be a whole number of at least 1 and at most 20, got 0"),
        ({"steps": 21}, "at most 20, got 21"),
        ({"steps": 1.5}, "steps must be a whole number"),
        (
            {"baseline": IMAGES[:1]},
            r"baseline must be floats \[4, 3, 4, 5\], got torch.float64 \[1, 3",
        ),
        ({"baseline": 0.5}, r"baseline must be floats \[4, 3, 4, 5\], got tensor\(0.5"),
        ({"targets": 3}, "targets must be classes 0 to 2, as the network has 3 logits; got 3"),
        ({"targets": -1}, "targets must be classes of at least 0, got -1"),
        ({"targets": 1.0}, "targets must be whole numbers"),
        ({"targets": [1]}, r"one for each of 4 images, got shape \[1\]"),
        ({"model": Returning(lambda x: x)}, r"must return logits \[N, K\] for N images"),
    ],
)
@pytest.mark.parametrize("curve", CURVES)
def test_curves_refuse_what_does_not_fit(curve: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        curve(**({"model": LINEAR, "images": IMAGES, "cam": CAM} | change))


# ---- shuffled weights


def changed_names(network: nn.Module, other: nn.Module) -> set[str]:
    state = network.state_dict()
    return {
        name for name, value in other.state_dict().items() if not torch.equal(value, state[name])
    }


def test_values_are_permuted_in_the_layers_that_are_named() -> None:
    network = flat_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    other = randomized(network, ["0", "5"])
    assert changed_names(network, other) == {"0.weight", "0.bias", "5.weight", "5.bias"}
    for name, value in other.state_dict().items():
        assert torch.equal(value.flatten().sort().values, before[name].flatten().sort().values)
        assert torch.equal(network.state_dict()[name], before[name])
        assert value.data_ptr() != network.state_dict()[name].data_ptr()
    assert torch.equal(torch.get_rng_state(), random)
    assert changed_names(network, randomized(network, [])) == set()


def test_the_permutation_of_a_weight_depends_on_name_and_seed_alone() -> None:
    network = flat_network()
    single, both, repeated, other = (
        randomized(network, names, seed)
        for names, seed in ((["0"], 3), (["5", "0"], 3), (["0"], 3), (["0"], 4))
    )
    for same in (both, repeated):
        assert torch.equal(same[0].weight, single[0].weight)
        assert torch.equal(same[0].bias, single[0].bias)
    assert not torch.equal(other[0].weight, single[0].weight)
    twins = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40))
    twins[1].load_state_dict(twins[0].state_dict())
    twins = randomized(twins, ["0", "1"])
    assert not torch.equal(twins[0].weight, twins[1].weight)


def test_all_layers_inside_a_module_are_shuffled() -> None:
    network = nn.Sequential(flat_network()[:4], nn.Sequential(nn.Flatten(), nn.Linear(210, 40)))
    expected = {"0.0.weight", "0.0.bias", "0.2.weight", "0.2.bias"}
    assert changed_names(network, randomized(network, ["0"])) == expected
    single = randomized(network, ["0.0", "0.2"])
    assert changed_names(single, randomized(network, ["0"])) == set()
    assert changed_names(single, randomized(network, ["0", "0.2"])) == set()


def test_a_layer_whose_name_begins_like_another_is_not_shuffled() -> None:
    layers = [nn.Flatten(), *(nn.Linear(8, 8) for _ in range(10))]
    network = nn.Sequential(*layers)
    assert changed_names(network, randomized(network, ["1"])) == {"1.weight", "1.bias"}


def test_frozen_networks_and_inference_mode() -> None:
    network = flat_network().requires_grad_(False)
    with torch.inference_mode():
        other = randomized(network, ["2"])
    assert changed_names(network, other) == {"2.weight", "2.bias"}
    assert not other[2].weight.is_inference()
    assert not other[2].weight.requires_grad


def test_unknown_layers_and_seeds_are_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown layer '05'.*Did you mean"):
        randomized(flat_network(), ["05"])
    with pytest.raises(InvalidInput, match="seed must be a whole number of at least 0"):
        randomized(flat_network(), ["5"], -1)


# ---- maps of shuffled networks


class OutOfOrder(nn.Module):
    """A network that registers its layers in another order than it calls them; one is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.last = nn.Linear(4, 3), nn.Conv2d(4, 4, 3)
        self.idle, self.first = nn.Conv2d(4, 4, 1), nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.last(torch.tanh(self.first(x)))) + 1
        return self.head(x.mean((2, 3)))


def test_layers_are_shuffled_from_the_output_to_the_input() -> None:
    network = seeded(OutOfOrder()).train()
    check = randomization_check(network, uniform(2, 3, 9, 8, dtype=torch.float32), layer="first")
    assert check.layer.values.tolist() == ["head", "last", "first"]
    assert check.similarity.dims == ("layer", "image")
    assert check.similarity.shape == (3, 2)
    assert all(module.training for module in network.modules())
    assert count_hooks(network) == 0
    assert check.attrs["layer"] == "first"
    assert check.attrs["receptive_field"] == [3, 3]


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_values_are_rank_correlations_with_maps_of_shuffled_networks(kind: str) -> None:
    network, images = flat_network(), uniform(3, 2, 6, 7) - 0.5
    targets = [0, 3, 1]
    with torch.inference_mode():
        check = randomization_check(network, images, targets, kind=kind, seed=2)
    names = check.layer.values.tolist()
    assert names == ["5", "2", "0"]
    maps = ActivationMapper(network, kind=kind)(images, targets, warn=False).maps.flatten(1)
    for count in range(1, 4):
        other = randomized(network, names[:count], 2)
        shuffled = ActivationMapper(other, kind=kind)(images, targets, warn=False).maps.flatten(1)
        for row in range(3):
            ranks = [  # the mean rank of tied values
                [(values < v).sum().item() + (values <= v).sum().item() for v in values]
                for values in (maps[row], shuffled[row])
            ]
            value = check.similarity.values[count - 1, row]
            if min(len(set(rank)) for rank in ranks) == 1:
                assert np.isnan(value)
            else:
                assert value == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)


def test_maps_of_a_trained_network_depend_on_what_it_learnt() -> None:
    network, _ = load_network("scenes-vgg")
    data = load("scenes", "test", size=64, count=20)
    # With this seed, few maps of the shuffled networks are zero.
    check = randomization_check(network, data.batch(), data.labels, seed=5)
    assert check.layer.values.tolist() == ["22", "17", "14", "10", "7", "3", "0"]
    values = check.similarity.values
    assert values.shape == (7, 20)
    assert (np.isnan(values) | (np.abs(values) <= 1 + 1e-12)).all()
    assert np.isfinite(values[-1]).sum() >= 10
    assert np.nanmean(values[-1]) < 0.5


def test_a_constant_map_has_no_correlation() -> None:
    network = flat_network()
    with torch.no_grad():
        network[5].weight[0] = -1  # the map of class 0 is zero, and stays so however it is shuffled
        network[5].weight[1:] = -2
    values = randomization_check(network, uniform(2, 2, 6, 7), 0).similarity.values
    assert np.isnan(values[0]).all()


def test_a_network_without_weights_is_refused() -> None:
    network = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(InvalidInput, match="no convolution and no linear layer to shuffle"):
        randomization_check(network, uniform(2, 3, 4, 4), 0, "0")
