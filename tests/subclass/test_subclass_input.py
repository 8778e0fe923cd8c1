"""Teachers, students, labels and images as people have them: right, or refused in words."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn

from explore.data import load
from explore.errors import ExploreWarning, InvalidInput, RunDiverged
from explore.subclass import Teacher, class_logits, compare, label_bits, report, train
from explore.subclass._network_checks import LogitsOf
from explore.subclass.config import StudyConfig, SubclassConfig

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(66, 1, 8, 8, generator=GENERATOR)  # one is held out
S, PARENTS = torch.arange(66) % 4, [0, 0, 1, 1]
Out = namedtuple("Out", "logits aux")


def train_briefly(images=X, subclasses=S, parents=PARENTS, **options):
    """Return a run after one epoch of the teacher and one of the student."""
    settings = {"teacher_epochs": 1, "epochs": 1, "holdout": 1, "teacher_width": 0}
    run = train(images, subclasses, parents, **{**settings, **options}).run()
    assert np.isfinite(run.snapshot().student_logits).all()
    return run


def flat(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), *more)


class Returns(nn.Module):
    """A network whose output is changed."""

    def __init__(self, change) -> None:
        super().__init__()
        self.net, self.change = flat(), change

    def forward(self, x):
        return self.change(self.net(x))


def with_norm(outputs: int, seed: int) -> nn.Module:
    layers = [nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, outputs)]
    return nn.Sequential(nn.Flatten(), *layers)


# ---- what networks return

WRAPPED_OUTPUTS = {
    "tuple": lambda z: (z, z[:, :1]),
    "list": lambda z: [z],
    "dictionary": lambda z: {"loss": 3, "logits": z},
    "named tuple": lambda z: Out(z, None),
    "float64": lambda z: z.double(),
    "bfloat16": lambda z: z.bfloat16(),
}


@pytest.mark.parametrize("change", WRAPPED_OUTPUTS.values(), ids=WRAPPED_OUTPUTS)
def test_logits_are_taken_from_what_a_teacher_returns(change):
    run = train_briefly(teacher=Returns(change))
    assert isinstance(run.teacher, LogitsOf)
    plain = train_briefly(teacher=Returns(lambda z: z))
    torch.testing.assert_close(
        run.teacher(X), plain.teacher(X), atol=0.02, rtol=0.01
    )  # bfloat16 has three digits
    assert run.config["teacher"] == plain.config["teacher"]


@pytest.mark.parametrize("change", [WRAPPED_OUTPUTS["tuple"], WRAPPED_OUTPUTS["dictionary"]])
def test_students_and_factories_of_teachers_may_return_them_too(change):
    def factory(outputs, seed):
        return Returns(change)

    run = train_briefly(student=factory, teacher=factory)
    assert run.predict(X).shape == (66, 2)
    before = Returns(change).net[1].weight
    assert not torch.equal(run.student.network.net[1].weight, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_images_become_the_type_of_the_teacher(dtype):
    run, plain = train_briefly(teacher=flat().to(dtype)), train_briefly(teacher=flat())
    torch.testing.assert_close(run.teacher(X), plain.teacher(X), atol=0.05, rtol=0.05)
    assert run.teacher(X).dtype == torch.float32


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (Returns(lambda z: z[:, :, None, None]), r"returns \[2, 4, 1, 1\] .*append nn.Flatten"),
        (Returns(lambda z: z.detach().numpy()), "must return a tensor of logits, .*; got ndarray"),
        (Returns(lambda z: [[z], z]), "must return a tensor of logits, .*; got list"),
        (Returns(lambda z: {"scores": z}), "got dict"),
        (Returns(lambda z: None), "got NoneType"),
        (Returns(lambda z: z.argmax(1)), "must return a tensor of logits"),
        (Returns(lambda z: z * float("nan")), "the teacher returns NaN or Inf for image 0"),
        (Returns(lambda z: z / 0), "the teacher returns NaN or Inf for image 0"),
        (Returns(lambda z: {}["a"]), "the teacher cannot take images of shape"),
        (nn.Sequential(nn.Conv2d(3, 4, 8), nn.Flatten()), "the teacher cannot take images"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), r"returns \[2, 2\] for 2 images"),
        (lambda x: x.flatten(1)[:, :4], r"teacher must be factory\(outputs, seed\).*failed"),
        (3, r"teacher must be factory\(outputs, seed\).*; got int"),
        (flat().to("meta"), "the teacher cannot take images"),
    ],
)
def test_other_teachers_are_refused(teacher, words):
    with pytest.raises(InvalidInput, match=words):
        train_briefly(teacher=teacher)


def test_probabilities_are_no_logits():
    with pytest.warns(ExploreWarning, match="outputs of the teacher look like probabilities"):
        train_briefly(teacher=flat(nn.Softmax(1)))
    train_briefly(teacher=flat(nn.LogSoftmax(1)))  # whose softmax is the same as that of logits


def test_lazy_parallel_and_normed_teachers_are_accepted():
    torch.manual_seed(0)
    for teacher in (
        nn.Sequential(nn.Flatten(), nn.LazyLinear(4)),
        nn.DataParallel(flat()),
        nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(64, 4))),
        nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(4)),
        with_norm(4, 0),
    ):
        assert train_briefly(teacher=teacher).teacher is teacher


def test_weights_of_types_without_numpy_have_a_hash():
    teacher = flat()
    teacher.register_buffer("short", torch.ones(2, dtype=torch.bfloat16))
    assert len(train_briefly(teacher=teacher).config["teacher"]["sha256"]) == 64


def test_a_teacher_that_is_damaged_elsewhere_is_refused_before_its_student():
    class Damaged(nn.Module):
        def forward(self, x):
            z = x.flatten(1)[:, :4].clone()
            z[x[:, 0, 0, 0] == X[:, 0, 0, 0].max()] = float("nan")
            return z

    with pytest.raises(
        (InvalidInput, RunDiverged), match="the teacher returns NaN or Inf for 1 of"
    ):
        train_briefly(teacher=Damaged())


# ---- trainings that cannot work


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"student": with_norm, "batch": 64},
            r"the student cannot be trained on a batch of 1 \(the last of 65 images in batches of 64",
        ),
        ({"student": with_norm, "batch": 1}, "the student cannot be trained on a batch of 1: "),
        (
            {"teacher": with_norm, "teacher_batch": 64},
            r"the teacher cannot be trained on a batch of 1 \(the last of 65",
        ),
        (
            {"student": lambda outputs, seed: flat().requires_grad_(False)},
            "the student has no parameter that is trained",
        ),
        (
            {"teacher": lambda outputs, seed: flat().requires_grad_(False)},
            "the teacher has no parameter that is trained",
        ),
        (
            {"student": lambda outputs, seed: Returns(lambda z: z.detach())},
            "its logits do not depend on its parameters",
        ),
        ({"student": flat()}, r"student must be factory\(outputs, seed\).*; got Sequential"),
        ({"student": lambda outputs, seed: 1 / 0}, "the call with .* failed: division by zero"),
        ({"student": 3}, r"student must be factory\(outputs, seed\).*; got int"),
    ],
)
def test_trainings_that_would_fail_are_refused_before_they_start(options, words):
    with pytest.raises(InvalidInput, match=words):
        train(X, S, PARENTS, **{"holdout": 1, "teacher_width": 0, **options})


def test_the_trial_of_a_student_changes_nothing():
    networks = []

    def factory(outputs, seed):
        torch.manual_seed(5)
        network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 4))
        networks.append((network, {k: v.clone() for k, v in network.state_dict().items()}))
        torch.manual_seed(7)
        return network

    train(X, S, PARENTS, teacher=flat(), student=factory, batch=30, holdout=1)
    network, before = networks[0]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.initial_seed() == 7
    expected = torch.Generator().manual_seed(7)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=expected))


def test_norms_that_see_two_or_more_images_are_trained():
    train_briefly(student=with_norm, batch=32 + 1)
    train_briefly(student=with_norm, batch=65)


def test_errors_inside_a_training_are_named():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = flat(), 0

        def forward(self, x):
            if self.training and len(x) == 64:
                raise KeyError("not today")
            return self.net(x)

    with pytest.raises(InvalidInput, match=r"the student failed in its training: .*not today"):
        train_briefly(student=lambda outputs, seed: Fails(), batch=64)


def test_the_end_of_a_training_is_looked_at():
    class Explodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = flat()

        def forward(self, x):
            z = self.net(x)
            changed = (self.net[1].weight - flat()[1].weight).abs().max() > 0
            return z * float("nan") if bool(changed) else z

    for role in ("student", "teacher"):
        options = {role: lambda outputs, seed: Explodes()}
        with pytest.raises(RunDiverged, match=r"NaN or (Inf|infinite)"):
            train_briefly(**options, batch=53, teacher_batch=53, holdout=200)


# ---- images and labels


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.bfloat16(),
        lambda x: x.half(),
        lambda x: x.double(),
        lambda x: x.clone().requires_grad_(),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
    ],
)
def test_floats_of_all_kinds_are_images(convert):
    run, plain = train_briefly(images=convert(X)), train_briefly()
    torch.testing.assert_close(run.predict(X), plain.predict(X), atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    "convert",
    [
        lambda s: s.tolist(),
        lambda s: s.numpy(),
        lambda s: s.int(),
        lambda s: s.byte(),
        lambda s: s.to(torch.uint16),
        lambda s: s.numpy().astype(np.uint64),
    ],
)
def test_integers_of_all_kinds_are_subclasses(convert):
    assert torch.equal(train_briefly(subclasses=convert(S)).predict(X), train_briefly().predict(X))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": (X.clamp(0, 1) * 255).byte()}, r"images must be float .*\.float\(\) / 255"),
        ({"images": "digits"}, "images must be"),
        ({"images": np.ma.masked_less(X.numpy(), 0)}, "images is a masked array"),
        ({"subclasses": S.float()}, r"subclasses must be integers \[66\], .*\.long\(\)"),
        ({"subclasses": nn.functional.one_hot(S)}, r"for one-hot labels pass .*argmax"),
        ({"subclasses": S > 1}, "subclasses must be integers"),
        ({"subclasses": S + 1}, "sample 3 has subclass 4; there are 0..3"),
        ({"subclasses": S - 1}, "sample 0 has subclass -1"),
        ({"subclasses": None}, "images need subclasses"),
        ({"parents": [0.0, 0.0, 1.0, 1.0]}, "parents must be a list of integers.*convert floats"),
        ({"parents": ["cat", "cat", "dog", "dog"]}, "parents must be a list of integers"),
        ({"parents": {0: 0, 1: 0, 2: 1, 3: 1}}, r"got a dictionary.*list\(parents.values\(\)\)"),
        ({"parents": [1, 1, 2, 2]}, "leave class 0 without a subclass"),
        ({"parents": np.ma.masked_equal(PARENTS, 1)}, "parents is a masked array"),
        ({"parents": None}, "tensors have no superclasses"),
        ({"images": X[:4], "subclasses": S[:4]}, "there must be 5 or more, got 4"),
        (
            {"images": X[..., :5], "teacher_width": 8},
            "square images .*teacher_width=0 trains an mlp",
        ),
        ({"images": X[..., :2, :2], "teacher_width": 8}, "with H ≥ 4"),
        ({"temperature": 1e-46}, "temperature must be a number of at least 0.001"),
        ({"method": ["skd"]}, r"unknown method \['skd'\]"),
    ],
)
def test_other_data_are_refused(changed, words):
    with pytest.raises(InvalidInput, match=words):
        train_briefly(**changed)


@pytest.mark.parametrize(
    "parents",
    [np.array(PARENTS), torch.tensor(PARENTS), tuple(PARENTS), np.array(PARENTS, np.int8)],
)
def test_parents_of_all_kinds_name_one_run(parents):
    assert train_briefly(parents=parents).config == train_briefly().config
    assert SubclassConfig(parents=np.array(PARENTS)).parents == PARENTS


@pytest.mark.parametrize("shape", [(7,), (7, 3), (1, 4, 4, 4), (1, 8, 5), (1, 1, 1)])
def test_samples_of_all_shapes_are_accepted(shape):
    images = torch.randn(66, *shape, generator=GENERATOR)
    assert train_briefly(images=images).predict(images).shape == (66, 2)


def test_a_set_is_as_good_as_its_tensors():
    digits = load("digits", size=8, margin=0)
    run = train(digits, teacher_epochs=1, epochs=1, labels=50)
    assert run.class_names == ("0 to 4", "5 to 9")
    assert run.run().predict(digits.batch([0, 1])).shape == (2, 2)
    with pytest.raises(InvalidInput, match="an ImageSet holds its subclasses; omit subclasses"):
        train(digits, digits.labels)


def test_very_high_temperatures_are_trained_without_rounding():
    high, higher = (train_briefly(temperature=t, distill_weight=1.0) for t in (1e3, 1e6))
    torch.testing.assert_close(high.predict(X), higher.predict(X), atol=1e-3, rtol=1e-2)
    assert float(higher.snapshot().loss) == pytest.approx(float(high.snapshot().loss), rel=1e-2)


def test_large_logits_in_frames_are_finite():
    run = train_briefly(teacher=Returns(lambda z: z * 1e6))
    logits = run.snapshot().teacher_logits.values
    assert np.isfinite(logits).all()
    assert np.abs(logits).max() == np.finfo(np.float16).max


# ---- studies


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": []}, "labels must be a list of different values"),
        ({"widhts": [4]}, "has no option 'widhts'"),
        ({"positive": 2}, r"positive must be one of the classes 0..1, got 2"),
        ({"temperatures": [0]}, "temperatures must be a number of at least 0.001"),
        ({"methods": "skd"}, "methods must be a list of different values"),
    ],
)
def test_studies_refuse_bad_options(options, words):
    with pytest.raises(InvalidInput, match=words):
        compare((X, S), (X, S), PARENTS, **{"labels": [20], "widths": [4], "seeds": 1, **options})


def test_studies_refuse_scores_on_other_images_and_bad_students():
    with pytest.raises(InvalidInput, match=r"have the shape \[1, 4, 4\], those of the training"):
        compare((X, S), (X[..., :4, :4], S), PARENTS, labels=[20], widths=[4], seeds=1)
    options = {"labels": [33], "widths": [4], "seeds": 1, "batch": 32, "methods": ["scratch"]}
    with pytest.raises(InvalidInput, match=r"a batch of 1 \(the last of 33 images"):
        compare((X, S), (X, S), PARENTS, student=with_norm, **options).run()
    assert StudyConfig(parents=np.array(PARENTS)).parents == PARENTS


# ---- functions


def test_class_logits_of_lists_and_arrays():
    assert class_logits([[0.0, 0.0, 1.0]], [0, 0, 1]).exp()[0, 0] == pytest.approx(2)
    array = class_logits(np.zeros((2, 3), np.float32), np.array([0, 0, 1]))
    assert array.dtype == torch.float32
    half = class_logits(torch.zeros(2, 3).half(), [0, 0, 1])
    assert half.dtype == torch.float16
    assert class_logits(torch.zeros(0, 3), [0, 0, 1]).shape == (0, 2)
    assert class_logits(torch.tensor([[float("nan"), 0.0, 1.0]]), [0, 0, 1]).isnan()[0, 0]
    for wrong in ("a", None, torch.zeros(2, 3, dtype=torch.long), torch.tensor(1.0), [[1j]]):
        with pytest.raises(InvalidInput, match="subclass_logits"):
            class_logits(wrong, [0, 0, 1])


@pytest.mark.parametrize("kind", ["soft", "mutual", "argmax"])
def test_bits_refuse_masks_and_bear_any_error_state(kind):
    z = np.ma.masked_array([[0.0, 0, 9], [50, 0, 0]], [[0, 0, 0], [1, 1, 1]])
    with pytest.raises(InvalidInput, match="logits is a masked array"):
        label_bits(z, [0, 0, 1], kind=kind)
    for logits in (torch.tensor(z.data, requires_grad=True), z.data.tolist()):
        with np.errstate(all="raise"):
            same = label_bits(logits, [0, 0, 1], 1e-46, kind)
        assert same == pytest.approx(label_bits(z.data, [0, 0, 1], 1e-46, kind))
    with pytest.raises(InvalidInput, match="unknown kind of label bits"):
        label_bits(z.data, [0, 0, 1], kind=["soft"])


def test_reports_take_numbers_of_all_kinds():
    p, y = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]), [0, 0, 1]
    expected = report(p, y)["brier"]
    for same in (p.double(), p.numpy(), p.tolist(), p.clone().requires_grad_()):
        assert report(same, np.array(y, np.uint8), np.int64(1), 10.0)["brier"] == pytest.approx(
            expected
        )
    assert report(p.half(), y)["brier"] == pytest.approx(expected, abs=1e-2)
    for changed, words in (
        ({"probabilities": np.ma.masked_less(p.numpy(), 0.5)}, "masked array"),
        ({"labels": [True, False, True]}, "labels must be whole numbers"),
        ({"positive": "1"}, "positive must be a whole number"),
        ({"bins": "a"}, "bins must be a whole number"),
    ):
        with pytest.raises(InvalidInput, match=words):
            report(**{"probabilities": p, "labels": y, **changed})


# ---- teachers as files


def trained_teacher() -> Teacher:
    return Teacher.of(train_briefly())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "skid"}, "unknown method 'skid'"),
        ({"teacher_width": "x"}, "teacher_width must be a whole number"),
        ({"prior": "no"}, "prior must be true or false"),
        ({"parents": [0, 2]}, "leave class 1 without"),
        ({"data": 3}, "must have name, shape and sha256"),
    ],
)
def test_teachers_with_another_config_are_refused(changes, words):
    teacher = trained_teacher()
    config = {**teacher.provenance["config"], **changes}
    with pytest.raises(InvalidInput, match=words):
        Teacher(teacher.weights, {**teacher.provenance, "config": config})


def test_teachers_with_other_weights_are_refused():
    teacher = trained_teacher()
    name = next(iter(teacher.weights))
    for wrong, words in (
        ({name: teacher.weights[name] * float("nan")}, f"weights '{name}' hold NaN or Inf"),
        ({name: "a"}, f"weights '{name}' must be an array of numbers"),
    ):
        with pytest.raises(InvalidInput, match=words):
            Teacher({**teacher.weights, **wrong}, teacher.provenance)
    for provenance in (None, {}, {"config": 3}):
        with pytest.raises(InvalidInput, match="config"):
            Teacher(teacher.weights, provenance)


def test_a_file_that_names_a_huge_teacher_allocates_nothing():
    teacher = trained_teacher()
    config = {**teacher.provenance["config"], "teacher_width": 10**9}
    huge = Teacher(teacher.weights, {**teacher.provenance, "config": config})
    with pytest.raises(InvalidInput, match="another network than teacher_width 1000000000 names"):
        train(X, S, PARENTS, teacher=huge)
