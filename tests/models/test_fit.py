"""Test Fit: a hand-written loop as oracle, accuracy on easy data, and that a resumed training ends in the same bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore import record
from explore.core.checkpoint import load_checkpoint, save_checkpoint
from explore.core.runs import stream_seed
from explore.errors import ConfigMismatch, InvalidInput
from explore.models import ConvNet, Fit, accuracy

pytestmark = pytest.mark.usefixtures(
    "_one_thread"
)  # so small a network only waits for a second one


def toy(count: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images 8×8 of three linearly separable classes: a bright bar at the top, in the middle or at the bottom."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randn(count, 1, 8, 8, generator=generator) * 0.3
    for image, label in zip(images, labels, strict=True):
        image[0, 1 + 2 * int(label)] += 2
    return images, labels


def network(norm: str = "instance") -> ConvNet:
    return ConvNet(1, 3, 8, width=4, depth=2, norm=norm, seed=1)


def weights(net: nn.Module) -> torch.Tensor:
    return torch.cat([t.detach().flatten().double() for t in net.state_dict().values()])


def test_separable_classes_are_learnt():
    fit = Fit(network(), *toy(), epochs=12, learning_rate=0.1, batch=16).run()
    assert fit.step == fit.steps == 12
    assert accuracy(fit.network, *toy()) == 1.0
    assert accuracy(fit.network, *toy(90, seed=9)) > 0.97
    assert fit.loss < 0.05


def test_labels_without_meaning_are_not_learnt_from_new_images():
    images, labels = toy(300)
    shuffled = labels[torch.randperm(300, generator=torch.Generator().manual_seed(1))]
    fit = Fit(network(), images, shuffled, epochs=3, learning_rate=0.1, batch=64).run()
    assert accuracy(fit.network, *toy(90, seed=9)) < 0.6


def test_a_run_equals_a_loop_written_by_hand():
    images, labels = toy()
    fit = Fit(network(), images, labels, epochs=4, learning_rate=0.1, batch=16, seed=5).run()
    net = network()
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    for epoch in range(4):
        rate = 0.1 if epoch < 3 else 0.01
        order = torch.randperm(
            60, generator=torch.Generator().manual_seed(stream_seed(5, "batches", epoch))
        )
        for start in range(0, 60, 16):
            rows = order[start : start + 16]
            loss = cross_entropy(net(images[rows]), labels[rows])
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for parameter, v, gradient in zip(
                    net.parameters(), velocity, gradients, strict=True
                ):
                    v.mul_(0.9).add_(gradient + 5e-4 * parameter)
                    parameter.sub_(rate * v)
    torch.testing.assert_close(weights(fit.network), weights(net), rtol=1e-5, atol=1e-6)


def test_loss_is_the_mean_over_images_not_over_batches():
    images, labels = toy(20)
    fit = Fit(network(), images, labels, epochs=1, learning_rate=1e-12, batch=16)
    fit.advance()
    assert fit.loss == pytest.approx(cross_entropy(network()(images), labels).item(), rel=1e-5)
    assert fit.message == f"loss {fit.loss:.3g}"


@pytest.mark.parametrize(("epochs", "full"), [(1, 1), (2, 2), (3, 2), (10, 6), (11, 6), (300, 151)])
def test_the_rate_is_divided_by_10_after_half_of_the_epochs(epochs, full):
    images, labels = toy(3)
    fit, rates = (
        Fit(
            nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
            images,
            labels,
            epochs=epochs,
            learning_rate=0.5,
        ),
        [],
    )
    while fit.step < fit.steps:
        fit.advance()
        rates.append(fit._optimizer.param_groups[0]["lr"])
    assert rates[:full] == [0.5] * full
    assert rates[full:] == pytest.approx([0.05] * (epochs - full))


def test_the_default_options():
    config = Fit(network(), *toy(6)).config
    expected = {
        "epochs": 300,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch": 256,
        "seed": 0,
    }
    assert {name: config[name] for name in expected} == expected


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_resumed_training_ends_in_the_same_bits(norm, stop, tmp_path):
    def fit():
        return Fit(network(norm), *toy(), epochs=6, learning_rate=0.1, batch=16, seed=2)

    complete, first, second = fit().run(), fit(), fit()
    for _ in range(stop):
        first.advance()
    save_checkpoint(first, tmp_path / "fit.npz")
    state = load_checkpoint(tmp_path / "fit.npz")
    second.restore(state)
    assert second.loss == first.loss
    second.run()
    assert torch.equal(weights(second.network), weights(complete.network))
    assert second.loss == complete.loss


def test_advancing_a_restored_run_does_not_change_the_state():
    fit = Fit(network(), *toy(), epochs=9, learning_rate=0.1, batch=16)
    fit.advance()
    state, ends = fit.state(), []
    state_copy = {name: np.array(value, copy=True) for name, value in state.items()}
    for _ in range(2):
        fit.restore(state)
        fit.step = 1
        fit.advance()
        fit.advance()
        ends.append(weights(fit.network))
        assert all(np.array_equal(state[name], value) for name, value in state_copy.items())
    assert torch.equal(*ends)


def test_restoring_step_0_resets_the_momentum():
    fit = Fit(network(), *toy(), epochs=9, learning_rate=0.1, batch=16)
    start = fit.state()
    fit.advance()
    after_one = weights(fit.network)
    fit.restore(start)
    fit.step = 0
    assert math.isnan(fit.loss)
    fit.advance()
    assert torch.equal(weights(fit.network), after_one)


def test_a_recorded_run_resumes_to_the_same_bits(tmp_path):
    def fit(seed=0):
        return Fit(network(), *toy(seed=seed), epochs=4, learning_rate=0.1, batch=16)

    path, complete, stopped = tmp_path / "fit.zarr", fit().run(), fit()
    record(stopped, path, every=1, stop=lambda: stopped.step == 2)
    resumed = fit()
    recording = record(resumed, path, every=1)
    assert torch.equal(weights(resumed.network), weights(complete.network))
    assert recording.step.values.tolist() == [0, 1, 2, 3, 4]
    assert float(recording.accuracy[-1]) == np.float32(accuracy(complete.network, *toy()))
    assert float(recording.loss[-1]) == np.float32(complete.loss)
    with pytest.raises(ConfigMismatch):  # the same shape, but other images
        record(fit(seed=3), path)


def test_order_of_the_images_comes_from_the_seed_alone():
    before = torch.get_rng_state()
    ends = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(ends))
        ends.append(weights(Fit(network(), *toy(), epochs=2, batch=16, seed=seed).run().network))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])
    torch.set_rng_state(before)


def test_a_snapshot_does_not_change_the_run():
    plain, looked_at = (Fit(network("batch"), *toy(), epochs=3, batch=16) for _ in range(2))
    plain.run()
    while looked_at.step < 3:
        looked_at.snapshot()
        looked_at.advance()
    assert torch.equal(weights(plain.network), weights(looked_at.network))


def test_accuracy_counts_hits_in_evaluation_mode_and_puts_each_mode_back():
    class Sees(nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen, self.modes = nn.Dropout().eval(), []

        def forward(self, x):
            self.modes.append((self.training, self.frozen.training))
            return x

    net = Sees()
    net.training = True
    logits = torch.eye(3).repeat(4, 1)
    assert accuracy(net, logits, torch.arange(12) % 3, batch=5) == 1
    assert accuracy(net, logits, torch.zeros(12).long(), batch=5) == pytest.approx(4 / 12)
    assert net.modes == [(False, False)] * 6
    assert (net.training, net.frozen.training) == (True, False)


@pytest.mark.parametrize(
    ("count", "labels", "epochs", "words"),
    [
        (0, 0, 1, "0 images, 0 labels; expected as many"),
        (3, 2, 1, "3 images, 2 labels"),
        (3, 3, 0, "epochs must be a whole number of at least 1 and"),
    ],
)
def test_bad_input_is_named(count, labels, epochs, words):
    with pytest.raises(InvalidInput, match=words):
        Fit(network(), toy(3)[0][:count], toy(3)[1][:labels], epochs=epochs)


@pytest.mark.parametrize(("count", "labels"), [(0, 0), (3, 2)])
def test_accuracy_of_nothing_is_refused(count, labels):
    with pytest.raises(InvalidInput, match=f"{count} images, {labels} labels"):
        accuracy(network(), torch.zeros(count, 1, 8, 8), torch.zeros(labels))
