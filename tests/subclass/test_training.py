"""Training students together equals separate trainings; optimizer, schedules and pools of Fit."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from explore.core.checkpoint import load_checkpoint, save_checkpoint
from explore.core.runs import stream_seed
from explore.errors import InvalidInput, RunDiverged, UnknownName
from explore.models import MLP, Fit, MLPs, Several, logits_of
from explore.subclass.config import TEACHING_SIGNALS
from explore.subclass.losses import (
    class_distillation_loss,
    class_logits,
    subclass_distillation_loss,
)
from explore.subclass.objective import Objective, StudentSettings

pytestmark = pytest.mark.usefixtures("_one_thread")

PARENTS = [0, 1, 0, 2, 1]


def single_loss(student: StudentSettings, z, teacher, y, s, soften: str) -> torch.Tensor:
    """Return the loss of one student by the functions of losses.py."""
    signal, t, weight = student.signal, student.temperature, student.distill_weight
    if not signal.teacher:
        return (
            cross_entropy(z, s)
            if signal.hard_labels == "subclass"
            else cross_entropy(class_logits(z, PARENTS), y)
        )
    if signal.level == "subclass":
        return subclass_distillation_loss(z, teacher, y, PARENTS, t, weight)
    return class_distillation_loss(z, teacher, y, PARENTS, t, weight, soften)


def batch(students: int, n: int = 12, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    z, teachers = 2 * torch.randn(2, n, students, len(PARENTS), generator=generator)
    subclasses = torch.randint(len(PARENTS), (n, students), generator=generator)
    return z.requires_grad_(), teachers, torch.tensor(PARENTS)[subclasses], subclasses


MIXED = [
    StudentSettings(TEACHING_SIGNALS[name], w, t)
    for w, t in ((0.5, 4.0), (0.2, 1.0), (1.0, 7.0), (0.0, 2.0))
    for name in TEACHING_SIGNALS
]


@pytest.mark.parametrize("soften", ["subclass", "class"])
@pytest.mark.parametrize(
    "students", [MIXED, MIXED[::-1], MIXED[3:4], MIXED[0:1], MIXED[2:5] * 2], ids=len
)
def test_the_objective_is_the_sum_of_the_single_losses(students, soften):
    z, teachers, y, s = batch(len(students))
    objective = Objective(students, PARENTS, soften)
    total = objective(z, *objective.targets(y, s, teachers))
    expected = sum(
        single_loss(student, z[:, k], teachers[:, k], y[:, k], s[:, k], soften)
        for k, student in enumerate(students)
    )
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
    gradient, expected_gradient = (torch.autograd.grad(value, z)[0] for value in (total, expected))
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)


def test_targets_can_be_indexed_by_sample():
    z, teachers, y, s = batch(len(MIXED))
    objective, some = Objective(MIXED, PARENTS), torch.tensor([7, 2, 2, 11])
    parts = [target[some] for target in objective.targets(y, s, teachers)]
    expected = objective(z[some], *objective.targets(y[some], s[some], teachers[some]))
    torch.testing.assert_close(objective(z[some], *parts), expected)


def test_students_without_a_teacher_need_none():
    students = [
        StudentSettings(TEACHING_SIGNALS[name], 0.5, 4.0) for name in ("scratch", "labels-only")
    ]
    z, _, y, s = batch(2)
    objective = Objective(students, PARENTS)
    expected = cross_entropy(class_logits(z[:, 0], PARENTS), y[:, 0]) + cross_entropy(
        z[:, 1], s[:, 1]
    )
    torch.testing.assert_close(objective(z, *objective.targets(y, s, None)), expected)


@pytest.mark.parametrize("method", ["kd", "skd"])
def test_masked_subclasses_leave_the_objective_finite(method):
    z, teachers, y, s = batch(1)
    z, teachers = z.detach().clone(), teachers.clone()
    teachers[:, :, 2] = -torch.inf
    settings = StudentSettings(TEACHING_SIGNALS[method], 0.5, 4.0)
    objective = Objective([settings], PARENTS)
    for student in (z, z.masked_fill(torch.arange(5) == 2, -torch.inf)):
        loss = objective(student, *objective.targets(y, s, teachers))
        expected = single_loss(
            settings, student[:, 0], teachers[:, 0], y[:, 0], s[:, 0], "subclass"
        )
        torch.testing.assert_close(loss, expected)


# ---- networks side by side


def blobs(n: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 5
    return torch.randn(n, 6, generator=generator) + 2 * torch.eye(6)[labels], labels


def test_mlps_are_networks_of_one_hidden_layer():
    net = MLPs(6, 4, 5, [3, 8])
    x = torch.randn(7, 2, 2, 3)
    for k in range(2):
        hidden = (x[:, k].flatten(1) @ net.hidden[k] + net.hidden_bias[k]).clamp(min=0)
        torch.testing.assert_close(net(x)[:, k], hidden @ net.classifier[k] + net.bias[k])
    torch.testing.assert_close(net(x[:, :1])[:, 1], net(x[:, :1].expand(-1, 2, -1, -1))[:, 1])
    for k, seed in enumerate([3, 8]):
        torch.testing.assert_close(MLP(6, 4, 5, seed)(x[:, k]), net(x)[:, k])
        for stacked, single in zip(
            net.parameters(), MLPs(6, 4, 5, [seed]).parameters(), strict=True
        ):
            assert torch.equal(stacked[k], single[0])
    assert float(net.hidden.detach().abs().max()) <= 6**-0.5
    assert 0.4 < float(net.classifier.detach().abs().max()) <= 0.5


def test_mlps_do_not_change_the_global_random_state():
    before = torch.get_rng_state()
    MLPs(6, 4, 5, [0])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("sizes", [(0, 1, 1, [0]), (1, 0, 1, [0]), (1, 1, 0, [0]), (1, 1, 1, [])])
def test_sizes_of_0_are_refused(sizes):
    with pytest.raises(
        InvalidInput,
        match=r"must be a whole number of at least 1, got 0|seeds must be one for each",
    ):
        MLPs(*sizes)


STUDENTS = [
    StudentSettings(TEACHING_SIGNALS[name], 0.4, t)
    for name, t in (("scratch", 4.0), ("kd", 2.0), ("skd", 4.0), ("labels-only", 1.0))
]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", ["MLPs", "Several"])
def test_a_stack_has_the_results_of_separate_trainings(kind, own):
    """The batches are the same. The students have their own images, or share them."""
    x, s = blobs()
    y, teachers = (
        torch.tensor(PARENTS)[s],
        2 * torch.randn(40, 4, 5, generator=torch.Generator().manual_seed(1)),
    )
    orders = [
        torch.randperm(40, generator=torch.Generator().manual_seed(9 * own * k)) for k in range(4)
    ]
    images = torch.stack([x[order] for order in orders], 1)
    labels, subclasses = (torch.stack([values[order] for order in orders], 1) for values in (y, s))
    seeds, options = (
        [5, 6, 5, 7],
        {
            "epochs": 12,
            "learning_rate": 0.02,
            "optimizer": "adam",
            "weight_decay": 0.0,
            "batch": 16,
        },
    )
    objective = Objective(STUDENTS, PARENTS)
    stack = (
        MLPs(6, 8, 5, seeds) if kind == "MLPs" else Several([MLP(6, 8, 5, seed) for seed in seeds])
    )
    start = logits_of(stack, images)
    together = Fit(
        stack,
        images if own else images[:, :1],
        objective.targets(labels, subclasses, teachers),
        loss=objective,
        schedule="cosine",
        **options,
    ).run()
    losses = 0.0
    for k, settings in enumerate(STUDENTS):
        network, alone = MLP(6, 8, 5, seeds[k]), Objective([settings], PARENTS)
        torch.testing.assert_close(start[:, k], network(images[:, k]))
        targets = (labels[:, k], subclasses[:, k], teachers[:, k])

        def loss(z, y, s, t, settings=settings):
            return single_loss(settings, z, t, y, s, "subclass")

        fit = Fit(network, images[:, k], targets, loss=loss, schedule="cosine", **options).run()
        torch.testing.assert_close(
            logits_of(stack, images)[:, k], logits_of(network, images[:, k]), rtol=1e-3, atol=1e-3
        )
        assert not torch.allclose(logits_of(network, images[:, k]), start[:, k], atol=0.2)
        losses += fit.loss
        assert alone.parents == tuple(PARENTS)
    assert together.loss == pytest.approx(losses, rel=1e-4)


def test_students_with_equal_seeds_and_signals_stay_equal():
    x, s = blobs()
    objective = Objective([STUDENTS[2], STUDENTS[0], STUDENTS[2]], PARENTS)
    z = torch.randn(40, 1, 5).expand(-1, 3, -1)
    targets = objective.targets(
        torch.tensor(PARENTS)[s][:, None].expand(-1, 3), s[:, None].expand(-1, 3), z
    )
    net = MLPs(6, 8, 5, [1, 1, 1])
    Fit(net, x[:, None], targets, loss=objective, epochs=5, optimizer="adam", batch=16).run()
    z = logits_of(net, x[:, None])
    torch.testing.assert_close(z[:, 0], z[:, 2])
    assert not torch.allclose(z[:, 0], z[:, 1], atol=1e-2)


# ---- Fit


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("schedule", ["step", "cosine", "constant"])
def test_adam_equals_pytorchs_in_a_loop_written_by_hand(decay, schedule):
    x, y = blobs()
    fit = Fit(MLP(6, 8, 5, 2), x, y, epochs=5, learning_rate=0.03, schedule=schedule, optimizer="adam",
              weight_decay=decay, batch=16, seed=4).run()  # fmt: skip
    net = MLP(6, 8, 5, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03, weight_decay=decay)
    for epoch in range(5):
        share = {
            "step": 1.0 if epoch < 3 else 0.1,
            "constant": 1.0,
            "cosine": (1 + math.cos(math.pi * epoch / 5)) / 2,
        }[schedule]
        optimizer.param_groups[0]["lr"] = 0.03 * share
        order = torch.randperm(
            40, generator=torch.Generator().manual_seed(stream_seed(4, "batches", epoch))
        )
        for part in order.split(16):
            optimizer.zero_grad()
            cross_entropy(net(x[part]), y[part]).backward()
            optimizer.step()
    torch.testing.assert_close(flat(fit.network), flat(net), rtol=1e-4, atol=1e-5)


def test_a_tuple_of_targets_reaches_the_loss_sample_by_sample():
    x, y = blobs()
    batches = []

    def loss(z, labels, numbers, names):
        batches.append(numbers.clone())
        assert torch.equal(labels, y[numbers])
        assert torch.equal(names, x[numbers])
        return z.square().mean()

    Fit(MLP(6, 3, 5), x, (y, torch.arange(40), x), loss=loss, epochs=2, batch=16).run()
    assert [len(part) for part in batches] == [16, 16, 8] * 2
    assert (
        torch.cat(batches[:3]).sort().values.tolist()
        == torch.cat(batches[3:]).sort().values.tolist()
        == list(range(40))
    )
    with pytest.raises(InvalidInput, match="40 images, 40, 39 labels"):
        Fit(MLP(6, 3, 5), x, (y, y[1:]), loss=loss)
    assert Fit(MLP(6, 3, 5), x, (y, y, y), loss=loss).config["loss"] == "loss"


def test_a_pool_gives_the_samples_of_an_epoch():
    x, y = blobs()
    batches = []

    def loss(z, numbers):
        batches.append(numbers.tolist())
        return cross_entropy(z, y[numbers])

    def pool(epoch):
        return torch.arange(0, 10 * (epoch + 1))

    fit = Fit(MLP(6, 3, 5), x, (torch.arange(40),), loss=loss, epochs=4, batch=100, pool=pool).run()
    assert [sorted(part) for part in batches] == [list(range(10 * k)) for k in (1, 2, 3, 4)]
    assert batches[-1] != sorted(batches[-1])
    assert math.isfinite(fit.loss)
    expected = Fit(MLP(6, 3, 5), x, y, epochs=2, pool=lambda _: torch.arange(40)).run()
    assert torch.equal(
        flat(expected.network), flat(Fit(MLP(6, 3, 5), x, y, epochs=2).run().network)
    )


@pytest.mark.parametrize("stop", [1, 4])
def test_adam_resumes_to_the_same_bits(stop, tmp_path):
    objective = Objective(STUDENTS, PARENTS)
    x, s = blobs()
    targets = objective.targets(
        *(v[:, None].expand(-1, 4) for v in (torch.tensor(PARENTS)[s], s)), torch.zeros(40, 4, 5)
    )

    def fit():
        options = {
            "optimizer": "adam",
            "schedule": "cosine",
            "epochs": 6,
            "batch": 16,
            "learning_rate": 0.02,
        }
        return Fit(
            MLPs(6, 8, 5, range(4)),
            x[:, None],
            targets,
            loss=objective,
            pool=lambda e: torch.arange(20 + 3 * e),
            **options,
        )

    complete, first, second = fit().run(), fit(), fit()
    for _ in range(stop):
        first.advance()
    save_checkpoint(first, tmp_path / "fit.npz")
    state = load_checkpoint(tmp_path / "fit.npz")
    second.restore(state)
    second.run()
    assert torch.equal(flat(second.network), flat(complete.network))
    assert second.loss == complete.loss


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_loss_of_nan_stops_the_training(optimizer):
    x, y = blobs()
    fit = Fit(
        MLP(6, 3, 5),
        x,
        y,
        epochs=9,
        optimizer=optimizer,
        loss=lambda z, y: cross_entropy(z, y) * float("nan"),
    )
    with pytest.raises(
        RunDiverged, match=r"the loss is nan in epoch 1; learning_rate 0\.01 may be too large"
    ):
        fit.run()
    assert fit.step == 0
    with pytest.raises(RunDiverged):
        Fit(MLP(6, 3, 5), x * 1e30, y, epochs=9, learning_rate=1e20, optimizer="sgd").run()


def test_unknown_optimizers_and_schedules_are_named():
    for name in ("optimizer", "schedule"):
        with pytest.raises(UnknownName, match=f"unknown {name} 'adams'"):
            Fit(MLP(6, 3, 5), *blobs(), **{name: "adams"})


def test_training_does_not_change_the_global_random_state():
    before = torch.get_rng_state(), copy.deepcopy(np.random.get_state()[1])  # noqa: NPY002
    Fit(MLP(6, 3, 5), *blobs(), epochs=2, optimizer="adam").run()
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
