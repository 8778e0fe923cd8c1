"""Attention matching: a loop by hand as oracle, resumed runs, and images that are optimised."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from explore import build, record
from explore.core.checkpoint import load_checkpoint, save_checkpoint
from explore.core.runs import stream_seed
from explore.data import ZCA, ImageSet, load
from explore.data.coresets import select
from explore.data.training_data import TrainingData
from explore.distill import DistillRun, distill
from explore.distill.augment import augment, draw_augmentation
from explore.distill.config import METHOD_TERMS, DistillConfig
from explore.distill.probe import to_seven_bits
from explore.errors import ConfigMismatch, InvalidInput, RunDiverged
from explore.models import ConvNet, Fit, accuracy

pytestmark = pytest.mark.usefixtures("_one_thread")

COUNTS = (3, 12, 6)  # the first class has fewer images than a batch of 5
SMALL = {
    "preset": "lesson",
    "width": 6,
    "depth": 2,
    "batch": 5,
    "steps": 9,
    "probes": 2,
    "probe_images": 4,
}


def toy(channels: int = 1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 8×8 images of three classes, each bright in another corner."""
    labels = torch.cat([torch.full((n,), k) for k, n in enumerate(COUNTS)])
    images = (
        torch.randn(len(labels), channels, 8, 8, generator=torch.Generator().manual_seed(seed))
        * 0.3
    )
    for image, label in zip(images, labels, strict=True):
        image[:, 4 * (int(label) // 2) :, 4 * (int(label) % 2) :][:, :4, :4] += 1.5
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + 1))
    return images[order], labels[order]


def small(
    method: str = "datadam", network: Callable[[int], nn.Module] | None = None, **options
) -> DistillRun:
    return distill(*toy(), method, network=network, **{**SMALL, **options})


def advance(run: DistillRun, steps: int) -> DistillRun:
    for _ in range(steps):
        run.advance()
    return run


# ---- against a loop by hand


def loss_by_hand(net, real, synthetic, options) -> torch.Tensor:
    """Compute the loss with one forward pass for each class and batch."""
    total = torch.zeros(())
    for x, s in zip(real, synthetic, strict=True):
        (maps, psi), (own, own_psi) = net.taps_and_embed(x), net.taps_and_embed(s)
        total = total + options.mmd * (psi.mean(0) - own_psi.mean(0)).square().sum()
        for f, g in zip(maps[:-1], own[:-1], strict=True):
            for power, dims in ((options.spatial, 1), (options.channel, (2, 3))):
                if power:
                    z, t = (
                        normalize(h.abs().pow(power).sum(dims).flatten(1), dim=1).mean(0)
                        for h in (f, g)
                    )
                    total = total + (z - t).square().sum()
    return total


@pytest.mark.parametrize("method", METHOD_TERMS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"images_per_class": 3},
        {"images_per_class": 2, "augment": "dsa", "seed": 4},
        {"loss_scale": 10.0, "momentum": 0.9, "learning_rate": 0.2, "init": "real"},
    ],
    ids=["plain", "three a class", "augmented", "scaled"],
)
def test_three_steps_equal_the_loop_written_by_hand(method, options):
    run = small(method, **options)
    options_of_run, (images, labels) = run.options, toy()
    own = run.images.detach().clone().requires_grad_(True)
    optimizer = torch.optim.SGD(
        [own], lr=options_of_run.learning_rate, momentum=options_of_run.momentum
    )
    for step in (1, 2, 3):
        net = ConvNet(
            1, 3, 8, width=6, depth=2, seed=stream_seed(options_of_run.seed, "networks", step)
        )
        pick = np.random.default_rng(stream_seed(options_of_run.seed, "batches", step))
        real, synthetic = [], []
        for k in range(3):
            members = (labels == k).nonzero().flatten().numpy()
            x = images[pick.choice(members, min(5, len(members)), replace=False)]
            s = own[k * options_of_run.images_per_class : (k + 1) * options_of_run.images_per_class]
            if options_of_run.augment == "dsa":
                operations = ("color", "crop", "cutout", "flip", "scale", "rotate")
                draw = draw_augmentation(
                    operations, stream_seed(options_of_run.seed, "augment", step, k)
                )
                x, s = augment(x, draw), augment(s, draw)
            real.append(x)
            synthetic.append(s)
        loss = loss_by_hand(net, real, synthetic, options_of_run)
        optimizer.zero_grad()
        (options_of_run.loss_scale * loss).backward()
        optimizer.step()
        run.advance()
        assert run.loss == pytest.approx(loss.item(), rel=1e-4)
    assert run.step == 3
    torch.testing.assert_close(run.images.detach(), own.detach(), rtol=1e-5, atol=1e-5)
    assert (run.images.detach() - small(method, **options).images.detach()).abs().max() > 1e-3


def test_with_batch_norm_all_classes_go_through_the_network_together():
    run = small("datadam", norm="batch", images_per_class=2)
    own = run.images.detach().clone().requires_grad_(True)
    net = ConvNet(
        1, 3, 8, width=6, depth=2, norm="batch", seed=stream_seed(0, "networks", 1)
    ).train()
    images, labels = toy()
    indices = run.source.sample(5, stream_seed(0, "batches", 1))
    maps, psi = net.taps_and_embed(images[indices])
    own_maps, own_psi = net.taps_and_embed(own)
    loss = torch.zeros(())
    for k in range(3):
        real, synthetic = labels[indices] == k, torch.arange(6) // 2 == k
        loss = (
            loss + run.options.mmd * (psi[real].mean(0) - own_psi[synthetic].mean(0)).square().sum()
        )
        z, s = (normalize(f.pow(4).sum(1).flatten(1), dim=1) for f in (maps[0], own_maps[0]))
        loss = loss + (z[real].mean(0) - s[synthetic].mean(0)).square().sum()
    loss.backward()
    start = run.images.detach().clone()
    run.advance()
    assert run.loss == pytest.approx(loss.item(), rel=1e-4)
    torch.testing.assert_close(
        run.images.detach(), start - run.options.learning_rate * own.grad, rtol=1e-4, atol=1e-5
    )


def test_the_code_preset_runs():
    run = distill(*toy(), "datadam", preset="code", width=6, depth=2, batch=5, steps=2)
    before = run.images.detach().clone()
    run.advance()
    assert np.isfinite(run.loss)
    assert (run.images.detach() - before).abs().max() > 1e-3


def test_bfloat16_follows_float32_roughly():
    exact, rough = advance(small(), 3), advance(small(precision="bfloat16"), 3)
    assert not torch.equal(exact.images, rough.images)
    assert rough.loss == pytest.approx(exact.loss, rel=0.1)


# ---- initial images


def test_noise_is_standard_normal_and_of_the_seed():
    run = small(init="noise", images_per_class=200)
    assert run.images.shape == (600, 1, 8, 8)
    assert run.images.mean().abs() < 0.02
    assert (run.images.std() - 1).abs() < 0.02
    assert torch.equal(run.images, small(init="noise", images_per_class=200).images)
    assert not torch.equal(run.images, small(init="noise", images_per_class=200, seed=1).images)


def test_real_starts_are_distinct_images_of_their_class():
    images, labels = toy()
    copy = images.clone()
    run = distill(copy, labels, **{**SMALL, "init": "real", "images_per_class": 3})
    assert run.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    indices = [int((images == own).flatten(1).all(1).nonzero()) for own in run.images.detach()]
    assert labels[indices].tolist() == run.labels.tolist()
    assert len(set(indices)) == 9
    advance(run, 2)
    assert torch.equal(copy, images)  # the real images themselves are not moved


def test_kcenter_starts_are_the_coreset_of_the_pixels():
    images, labels = toy()
    run = small(init="kcenter", images_per_class=2)
    assert torch.equal(run.images.detach(), images[select(images, labels, "kcenter", 2)])


# ---- repeated runs


def bits(run: DistillRun) -> bytes:
    return run.images.detach().numpy().tobytes()


@pytest.mark.parametrize("method", METHOD_TERMS)
def test_the_same_seed_ends_in_the_same_bits(method):
    first, second, other = (
        bits(advance(small(method, seed=seed, augment="dsa"), 4)) for seed in (3, 3, 4)
    )
    assert first == second != other


def test_more_planned_steps_do_not_change_the_first_steps():
    assert bits(advance(small(steps=9), 4)) == bits(advance(small(steps=500), 4))


def test_a_snapshot_does_not_change_the_run():
    plain, inspected = small(augment="dsa", norm="batch"), small(augment="dsa", norm="batch")
    for _ in range(4):
        inspected.snapshot()
        inspected.result()
        inspected.state()
        inspected.advance()
    assert bits(advance(plain, 4)) == bits(inspected)


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_a_resumed_run_ends_in_the_same_bits(stop, tmp_path):
    expected, first, second = (small(augment="dsa", images_per_class=2) for _ in range(3))
    save_checkpoint(advance(first, stop), tmp_path / "run.npz")
    state = load_checkpoint(tmp_path / "run.npz")
    second.restore(state)
    advance(second, 6 - stop)
    assert bits(advance(expected, 6)) == bits(second)
    assert expected.loss == second.loss


def test_advancing_a_restored_run_does_not_change_the_state():
    run = advance(small(), 2)
    state, ends = run.state(), []
    copies = {name: np.array(value, copy=True) for name, value in state.items()}
    for _ in range(2):
        run.restore(state)
        run.step = 2
        ends.append(bits(advance(run, 3)))
        assert all(np.array_equal(state[name], value) for name, value in copies.items())
    assert ends[0] == ends[1]


def test_a_state_of_other_images_is_refused():
    with pytest.raises(
        InvalidInput, match=r"the state has images \(6, 1, 8, 8\), but this run has \(3, 1, 8, 8\)"
    ):
        small().restore(small(images_per_class=2).state())


def test_recordings_of_all_and_of_few_steps_end_in_the_same_frame(tmp_path):
    ends = []
    for every in (1, 100):
        run = small(steps=5)
        recording = record(run, tmp_path / f"{every}.zarr", every=every)
        ends.append((bits(run), recording.isel(step=-1).load()))
    assert ends[0][0] == ends[1][0]
    assert ends[0][1].equals(ends[1][1])


def test_a_recording_of_other_data_is_not_continued(tmp_path):
    record(small(steps=1), tmp_path / "run.zarr")
    other = distill(*toy(seed=5), **{**SMALL, "steps": 1})
    with pytest.raises(ConfigMismatch, match="sha256"):
        record(other, tmp_path / "run.zarr")


@pytest.mark.parametrize(("split", "size"), [("train", 16), ("test", 16), ("val", 8)])
def test_the_config_of_a_run_builds_it_again(split, size):
    digits = load("digits", split, size=size, margin=0)
    options = {"method": "atom", **SMALL, "steps": 3}
    first = build(options, digits)
    rebuilt = build({**first.config, "steps": 3})
    assert rebuilt.config == first.config
    assert bits(advance(first, 2)) == bits(advance(rebuilt, 2))


def test_a_run_from_tensors_cannot_be_built_again_without_them():
    with pytest.raises(
        InvalidInput, match=r"this run was made from tensors.* pass data=\(images, labels\)"
    ):
        build(small().config)
    assert bits(build({**small().config, "steps": 9}, toy())) == bits(small())


def global_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.mark.parametrize("init", ["noise", "real", "kcenter"])
def test_global_random_state_is_neither_used_nor_changed(init):
    before = global_states()
    digits = load("digits", size=8, margin=0)
    ends = []
    for seed in (1, 2):
        states = before
        if seed == 2:
            random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)  # noqa: NPY002
            states = global_states()
        run = build({"method": "atom", **SMALL, "augment": "dsa", "init": init}, digits)
        run.advance()
        run.snapshot()
        run.result()
        run.restore(run.state())
        run.advance()
        assert global_states() == states
        ends.append(bits(run))
    assert ends[0] == ends[1]


# ---- augmentation


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_digits_are_never_mirrored(name):
    images, labels = toy()
    digits = ImageSet(
        name, (images * 50 + 100).clamp(0, 255).byte(), labels, ("a", "b", "c"), (0.4,), (0.2,)
    )
    run = build({"method": "datadam", **SMALL, "augment": "dsa"}, digits)
    assert run.operations == ("color", "crop", "cutout", "scale", "rotate")


def test_other_images_are_mirrored():
    assert small(augment="dsa").operations == (
        "color",
        "crop",
        "cutout",
        "flip",
        "scale",
        "rotate",
    )
    assert (
        "flip"
        in build({"method": "dm", **SMALL, "augment": "dsa"}, load("scenes", count=30)).operations
    )


@pytest.mark.parametrize("operation", ["color", "crop", "cutout", "flip", "scale", "rotate"])
def test_real_and_synthetic_images_have_the_same_augmentation(operation):
    """With equal real and synthetic images the loss is zero for any draw."""
    images, labels = toy()
    order = labels.argsort(stable=True)
    keep = torch.cat([order[labels[order] == k][:3] for k in range(3)])
    run = distill(
        images[keep],
        labels[keep],
        **{**SMALL, "images_per_class": 3, "batch": 3, "augment": operation},
    )
    start = images[keep].clone()
    for _ in range(4):
        with torch.no_grad():
            run.images.copy_(start)
        run.advance()
        assert run.loss < 1e-9


# ---- networks of the user


def test_a_network_factory_of_the_user_is_used():
    seeds = []

    def network(seed: int) -> nn.Module:
        seeds.append(seed)
        net = nn.Sequential(
            *(
                nn.Conv2d(1, 5, 3, padding=1),
                nn.BatchNorm2d(5),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            ),
            *(nn.Conv2d(5, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3)),
        )
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(
                    torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
                    * 0.3
                )
        return net

    run = small("atom", network=network)
    before = run.images.detach().clone()
    advance(run, 2)
    assert seeds == [stream_seed(0, "networks", step) for step in (1, 2)]
    assert (run.images.detach() - before).abs().max() > 1e-4
    assert run.snapshot().attention_1.shape == (3, 8, 8)
    assert "network" in run.config["network"]
    assert run.config != small("atom").config


def test_a_network_without_activation_maps_is_refused():
    run = small(network=lambda seed: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    with pytest.raises(InvalidInput, match="at least 2 activation modules"):
        run.snapshot()
    with pytest.raises(InvalidInput, match="at least 2 activation modules"):
        run.advance()


# ---- frames and results


def test_a_frame_shows_images_maps_and_distances():
    run = advance(small("atom", images_per_class=2), 1)
    frame = run.snapshot()
    assert dict(frame.image.sizes) == {"label": 3, "copy": 2, "y": 8, "x": 8}
    assert frame.image.dtype == np.uint8
    assert dict(frame.attention_1.sizes) == {"label": 3, "y_1": 8, "x_1": 8}
    assert dict(frame.channel_1.sizes) == {"label": 3, "c_1": 6}
    assert "attention_2" not in frame  # the last block is not matched
    assert frame.attention_distance.shape == (3, 1)
    assert float(frame.loss) == np.float32(run.loss)
    assert all(
        "long_name" in frame[name].attrs and "units" in frame[name].attrs
        for name in frame.data_vars
    )
    assert frame.label.values.tolist() == ["0", "1", "2"]


def test_distances_of_a_frame_are_means_over_the_probe_networks():
    run = advance(small("datadam", probes=3), 2)
    images, labels = toy()
    indices = run.source.sample(4, stream_seed(0, "probe"))
    spatial, embedding, maps = [], [], []
    for i in range(3):
        net = ConvNet(1, 3, 8, width=6, depth=2, seed=stream_seed(0, "probe", i))
        (f, *_), psi = net.taps_and_embed(images[indices])
        (g, *_), own_psi = net.taps_and_embed(run.images)
        z, s = (normalize(h.pow(4).sum(1).flatten(1), dim=1) for h in (f, g))
        z, psi = (
            torch.stack([values[labels[indices] == k].mean(0) for k in range(3)])
            for values in (z, psi)
        )
        spatial.append((z - s).square().sum(1))
        embedding.append((psi - own_psi).square().sum(1))
        maps.append(z)
    frame = run.snapshot()
    np.testing.assert_allclose(
        frame.attention_distance[:, 0], torch.stack(spatial).mean(0).detach(), rtol=1e-4
    )
    np.testing.assert_allclose(
        frame.embedding_distance, torch.stack(embedding).mean(0).detach(), rtol=1e-4
    )
    expected = torch.stack(maps).mean(0).view(3, 8, 8).detach().numpy()
    np.testing.assert_allclose(
        frame.real_attention_1.values.astype(float), expected, rtol=9e-3, atol=1e-3
    )


def test_maps_have_seven_significant_bits():
    values = torch.cat(
        [
            torch.zeros(1),
            torch.rand(2000, generator=torch.Generator().manual_seed(0)),
            torch.ones(1),
        ]
    )
    rounded = to_seven_bits(values)
    assert rounded.dtype == np.float16
    np.testing.assert_allclose(rounded.astype(float), values, rtol=2**-7 + 2**-11, atol=0)
    assert (rounded[0], rounded[-1]) == (0, 1)
    significands, _ = np.frexp(rounded.astype(float))
    assert (significands * 2**7 % 1 == 0).all()


def test_coloured_images_are_shown_in_colour():
    run = distill(*toy(channels=3), **SMALL)
    assert dict(run.snapshot().image.sizes) == {"label": 3, "copy": 1, "y": 8, "x": 8, "rgb": 3}


@pytest.mark.parametrize("zca", [False, True])
def test_the_result_contains_what_converts_it_to_pixels(zca):
    digits = load("digits", size=8, margin=0)
    run = build({"method": "dm", **SMALL, "zca": zca, "init": "real"}, digits)
    result = run.result()
    images = result["images"].values
    assert images.dtype == np.float32
    assert (images == run.images.detach().numpy()).all()
    assert result.labels.values.tolist() == list(range(10))
    if zca:
        images = (
            images.reshape(10, -1) @ result.zca_inverse.values + result.zca_mean.values
        ).reshape(images.shape)
    undone = images * result["std"].values[:, None, None] + result["mean"].values[:, None, None]
    indices = run.source.sample(1, stream_seed(0, "init"))
    np.testing.assert_allclose(undone * 255, digits.images[indices].numpy(), atol=0.1)
    assert (run.source.to_display(run.images) == digits.images[indices][:, 0].numpy()).all()


def test_a_result_is_a_copy():
    run = small()
    result = run.result()
    before = result["images"].values.copy()
    run.advance()
    assert (result["images"].values == before).all()


def test_repr_message_and_steps():
    run = small()
    assert repr(run) == "DistillRun(datadam on tensors, step 0 of 9)"
    run.advance()
    assert run.message == f"loss {run.loss:.3g}"
    assert (run.name, run.step, run.steps) == ("datadam", 1, 9)


# ---- sources


def test_zca_is_fitted_on_the_real_images_and_applied_to_every_batch():
    images, labels = toy()
    source = TrainingData((images, labels), zca=True)
    whitened = ZCA().fit(images)(images)
    torch.testing.assert_close(source.batch(), whitened)
    torch.testing.assert_close(source.batch([3, 1]), whitened[[3, 1]])


def test_a_sample_takes_each_class_without_replacement_and_all_of_a_small_one():
    images, labels = toy()
    source = TrainingData((images, labels))
    indices = source.sample(5, 0)
    assert labels[indices].tolist() == [0] * 3 + [1] * 5 + [2] * 5
    assert len(set(indices.tolist())) == 13
    assert (source.sample(5, 0) == indices).all()
    assert (source.sample(5, 1) != indices).any()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_labels_of_any_integer_type_are_accepted(dtype):
    images, labels = toy()
    run = distill(images, labels.to(dtype), **SMALL)
    assert bits(advance(run, 1)) == bits(advance(small(), 1))
    run.snapshot()


def test_images_in_double_precision_are_converted():
    images, labels = toy()
    assert bits(advance(distill(images.double(), labels, **SMALL), 1)) == bits(advance(small(), 1))


def test_tensors_are_shown_over_the_range_of_the_real_ones():
    images, labels = toy()
    pixels = TrainingData((images, labels)).to_display(images)
    expected = (images - images.min()) / (images.max() - images.min()) * 255
    assert (pixels == expected.round().numpy()[:, 0]).all()
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_a_set_of_fewer_classes_keeps_their_names():
    digits = load("digits", size=8, margin=0)
    run = build({"method": "dm", **SMALL}, digits.subset(digits.labels < 3))
    assert run.snapshot().label.values.tolist() == ["0", "1", "2"]


# ---- images that are optimised


def test_sixty_steps_of_the_lesson_reduce_the_attention_distance():
    run = build({"method": "datadam", "data": "digits", "preset": "lesson", "steps": 60})
    before = float(run.snapshot().attention_distance.mean())
    assert float(advance(run, 60).snapshot().attention_distance.mean()) < 0.4 * before


@pytest.mark.parametrize("method", ["dm", "channel", "atom"])
def test_every_method_reduces_the_distance_that_it_matches(method):
    run = build({"method": method, "data": "digits", "preset": "lesson", "steps": 20, "width": 16})
    name = {
        "dm": "embedding_distance",
        "channel": "channel_distance",
        "atom": "attention_distance",
    }[method]
    before = float(run.snapshot()[name].mean())
    assert float(advance(run, 20).snapshot()[name].mean()) < 0.75 * before


def test_distilled_digits_train_better_networks_than_noise():
    held_out = load("digits", "val")
    run = build({"method": "datadam", "data": "digits", "preset": "lesson", "steps": 60})
    scores = []
    for _ in range(2):
        net = ConvNet(1, 10, 16, width=16, seed=3)
        Fit(net, run.images.detach().clone(), run.labels, epochs=40, learning_rate=0.05).run()
        scores.append(accuracy(net, held_out.batch(), held_out.labels))
        advance(run, 60 if len(scores) == 1 else 0)
    assert scores[1] > scores[0] + 0.2


def test_options_reach_the_run():
    run = build(
        {"method": "datadam", **SMALL, "width": 8, "norm": "group", "learning_rate": 0.3}, toy()
    )
    assert isinstance(run.options, DistillConfig)
    assert run.options.learning_rate == 0.3
    run.advance()
    assert run._convnet.blocks[0].conv.out_channels == 8
    assert len(run._convnet.blocks) == 2
    assert run._convnet.blocks[0].norm.num_groups == 4


def test_a_run_that_diverges_keeps_its_images() -> None:
    digits = load("digits")
    run = distill(
        digits.batch(),
        digits.labels,
        "dm",
        preset="lesson",
        width=8,
        batch=4,
        learning_rate=1e30,
        steps=50,
    )
    states = []

    def to_the_end() -> None:
        while run.step < run.steps:
            states.append((run.step, run.images.detach().clone()))
            run.advance()

    with pytest.raises(RunDiverged, match="learning_rate 1e\\+30 may be too large"):
        to_the_end()
    assert run.step == states[-1][0]
    assert torch.equal(run.images, states[-1][1])
