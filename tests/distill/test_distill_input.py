"""What people pass to distill and evaluate: the same result in every form, or one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from explore import build, record
from explore.data import DistilledSet, ImageSet, load
from explore.data._resolve import loader_options, resolve_dataset
from explore.data.training_data import TrainingData
from explore.distill import EvaluationProtocol, distill, evaluate
from explore.distill.augment import operations_for
from explore.distill.evaluation.checks import check_logits
from explore.distill.evaluation.run import measure_accuracy
from explore.errors import ExploreError, InvalidInput, RunDiverged, UnknownName
from explore.models import ConvNet

pytestmark = pytest.mark.usefixtures("_one_thread")

SMALL: dict[str, Any] = {"preset": "lesson", "width": 4, "steps": 2, "probes": 1, "batch": 4}
DIGITS: dict[str, Any] = {"size": 8, "margin": 0}


def images(channels: int = 1, side: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    # Eighths are the same numbers in every width of float.
    return (torch.randn(12, channels, side, side, generator=generator) * 8).round() / 8


X, Y = images(), torch.arange(12) % 3


class OwnTensor(torch.Tensor):
    pass


def first_step(*data: Any, **options: Any) -> torch.Tensor:
    run = distill(*data, **{**SMALL, "init": "real", **options})
    run.advance()
    return run.images.detach()


FORMS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "float64": lambda: (X.double(), Y),
    "float16": lambda: (X.half(), Y),
    "bfloat16": lambda: (X.bfloat16(), Y),
    "with a gradient": lambda: (X.clone().requires_grad_(), Y),
    "computed with a gradient": lambda: (X.clone().requires_grad_() * 1, Y),
    "a parameter": lambda: (nn.Parameter(X), Y),
    "a derived class": lambda: (X.as_subclass(OwnTensor), Y),
    "channels last in memory": lambda: (X.contiguous(memory_format=torch.channels_last), Y),
    "an array": lambda: (X.numpy(), Y.numpy()),
    "a reversed array": lambda: (X.flip(3).numpy()[..., ::-1], Y.numpy()),
    "lists of tensors": lambda: (list(X), list(Y)),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "a dataset": lambda: (TensorDataset(X, Y),),
    "a pair": lambda: ((X, Y),),
    "labels int8": lambda: (X, Y.to(torch.int8)),
    "labels uint16": lambda: (X, Y.to(torch.uint16)),
    "labels uint64": lambda: (X, Y.numpy().astype(np.uint64)),
    "a distilled set": lambda: (DistilledSet(X, Y, ["a", "b", "c"]),),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_images_and_labels_is_distilled_alike(form: str) -> None:
    assert torch.equal(first_step(*FORMS[form]()), first_step(X, Y))


def test_an_image_set_is_as_good_as_two_tensors() -> None:
    digits = load("digits", **DIGITS)
    expected = first_step(digits.batch(), digits.labels)
    assert torch.equal(first_step(digits), expected)


def test_expanded_images_are_distilled() -> None:
    grey = X.expand(-1, 3, -1, -1)
    assert torch.equal(first_step(grey, Y), first_step(grey.clone(), Y))


def test_no_gradient_reaches_the_images_of_a_user() -> None:
    own = X.clone().requires_grad_()
    first_step(own, Y)
    assert own.grad is None


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "bytes": (X.byte(), Y, r"convert bytes with .float\(\) / 255"),
    "the bytes of a set": (
        load("digits").images,
        load("digits").labels,
        "if they are an ImageSet's, pass the set",
    ),
    "channels last": (images(3).permute(0, 2, 3, 1), Y, r"pass images.permute\(0, 3, 1, 2\)"),
    "no channels": (X[:, 0], Y, r"for grey images pass images\[:, None\]"),
    "integers": (X.int(), Y, "convert them with .float"),
    "complex": (X + 0j, Y, "images must be real numbers"),
    "a masked array": (np.ma.masked_less(X.numpy(), 0), Y, "images is a masked array"),
    "texts": ([["a"]], Y, "images must be an array of numbers"),
    "sparse": (X.to_sparse(), Y, "images must be a plain tensor"),
    "without values": (X.to("meta"), Y, "device 'meta' cannot be used"),
    "not normalised": (X * 1e20, Y, "images must be normalised, got values up to 3.*e.20"),
    "one-hot labels": (X, nn.functional.one_hot(Y), r"pass labels.argmax\(1\)"),
    "a column of labels": (X, Y[:, None], r"pass labels\[:, 0\]"),
    "no labels": (X, None, "labels are missing"),
    "a method for labels": (X, "dm", "name a method by method="),
    "a set and labels": (load("digits"), load("digits").labels, "ImageSet holds its labels"),
    "a path": (Path("photos"), None, "for a folder of images pass {'name': 'folder'"),
    "soft labels": (
        DistilledSet(X, nn.functional.one_hot(Y).float(), ["a", "b", "c"]),
        None,
        "are soft; pass",
    ),
    "a nameless description": ({"options": {}}, None, "needs a name"),
    "options in a list": ({"name": "digits", "options": [1]}, None, "must be names with values"),
    "a name in the options": ({"name": "digits", "options": {"name": "x"}}, None, "no option"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_distilled_is_said(case: str) -> None:
    values, labels, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words):
        distill(values, labels, **SMALL)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 7])
def test_images_that_are_too_small_are_refused_before_the_run(side: int) -> None:
    with pytest.raises(InvalidInput, match="3 poolings need images of 8 or more pixels"):
        distill(images(side=side), Y, **SMALL)
    assert first_step(images(side=max(side, 4)), Y, depth=2).shape[2] == max(side, 4)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("zca", [False, True])
def test_constant_images_give_finite_ones(value: float, zca: bool) -> None:
    assert torch.isfinite(first_step(torch.full_like(X, value), Y, zca=zca)).all()


def test_a_default_of_float64_changes_nothing() -> None:
    expected = first_step(X, Y, init="noise", seed=1)
    torch.set_default_dtype(torch.float64)
    try:
        result = first_step(X, Y, init="noise", seed=1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.dtype == torch.float32
    assert torch.isfinite(result).all()
    assert result.shape == expected.shape


@pytest.mark.parametrize("form", ["array", "list", "bfloat16", "gradient"])
def test_initial_images_come_in_every_form(form: str) -> None:
    start = X[:3]
    forms = {
        "array": start.numpy(),
        "list": start.tolist(),
        "bfloat16": start.bfloat16(),
        "gradient": nn.Parameter(start),
    }
    run = distill(X, Y, **{**SMALL, "init": forms[form]})
    assert torch.equal(run.images.detach(), start)


@pytest.mark.parametrize("count", [10**9, 2**62, 10**400])
def test_a_set_that_would_fill_the_memory_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match="images_per_class are too many"):
        distill(X, Y, **{**SMALL, "images_per_class": count})


@pytest.mark.parametrize("steps", [2**62, 1e200, 10**400])
def test_more_steps_than_a_computer_takes_are_refused(steps: float) -> None:
    with pytest.raises(InvalidInput, match="steps must be at most 1,000,000,000, got"):
        distill(X, Y, **{**SMALL, "steps": steps})


# ---- a loss or an image that is not finite


def test_an_image_that_overflows_stops_the_run_in_its_step() -> None:
    run = distill(X, Y, **{**SMALL, "learning_rate": 1e38, "loss_scale": 1e10})
    before = run.images.detach().clone()
    with pytest.raises(RunDiverged, match="an image is NaN or infinite after step 1"):
        run.advance()
    assert run.step == 0
    assert torch.equal(run.images.detach(), before)


# ---- networks of users


def sequential(*last: nn.Module, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    blocks = [nn.Conv2d(1, 4, 3, padding=1), activation(), nn.Conv2d(4, 4, 3, padding=1)]
    return nn.Sequential(*blocks, activation(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), *last)


class WithOutput(nn.Module):
    """A network whose output has another form."""

    def __init__(self, form: Callable[[torch.Tensor], Any], linear: bool) -> None:
        super().__init__()
        self.body, self.form = sequential(*([nn.Linear(16, 3)] if linear else [])), form

    def forward(self, x: torch.Tensor) -> Any:
        return self.form(self.body(x))


class Oblong(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 2, (3, 5)), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Flatten()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


SHARED = sequential(nn.Linear(16, 3))
FACTORIES: dict[str, tuple[Any, str]] = {
    "a network": (SHARED, r"got a network \(Sequential\); pass the function that creates it"),
    "a number": (3, "network must be a function that takes a seed"),
    "without an argument": (lambda: SHARED, "network must be a function of a seed, but"),
    "a class of networks": (ConvNet, "network must be a function of a seed, but missing"),
    "a function of texts": (len, r"network\(seed\) fails with TypeError"),
    "no network": (lambda seed: seed, r"the result of network\(seed\) must be a network"),
    "the same network": (lambda seed: SHARED, "returns the same network for every seed"),
    "another number of channels": (lambda seed: ConvNet(3, 3, 8, width=4), "must|cannot"),
    "a failure": (lambda seed: WithOutput(lambda x: x["logits"], True), "cannot process images"),
    "a tuple": (lambda seed: WithOutput(lambda x: (x, x), False), "network returns a tuple and"),
    "a dict": (lambda seed: WithOutput(lambda x: {"y": x}, False), "network returns a dict and"),
    "no maps": (lambda seed: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "activation modules"),
    "oblong maps": (lambda seed: Oblong(), r"maps of network must be square, got .* \[6, 4\]"),
}


@pytest.mark.parametrize("case", FACTORIES)
def test_a_factory_that_cannot_be_used_is_refused(case: str) -> None:
    factory, words = FACTORIES[case]
    with pytest.raises(InvalidInput, match=words):
        distill(X, Y, network=factory, **SMALL).run()


def test_weights_that_are_nan_are_refused() -> None:
    def broken(seed: int) -> nn.Module:
        network = sequential(nn.Linear(16, 3))
        nn.init.constant_(network[0].weight, torch.nan)
        return network

    with pytest.raises(InvalidInput, match="network returns NaN or Inf for real images"):
        distill(X, Y, network=broken, **SMALL).advance()


@pytest.mark.parametrize("form", [lambda x: (x, x), lambda x: {"logits": x}])
def test_other_outputs_are_fine_where_a_linear_layer_gives_the_embedding(form: Any) -> None:
    def seeded(other: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
        def create(seed: int) -> nn.Module:
            torch.manual_seed(seed % 2**31)
            return other()

        return create

    plain = first_step(X, Y, network=seeded(lambda: sequential(nn.Linear(16, 3))))
    assert torch.equal(first_step(X, Y, network=seeded(lambda: WithOutput(form, True))), plain)


def test_the_check_of_a_network_changes_neither_it_nor_the_random_state() -> None:
    networks = []

    def create(seed: int) -> nn.Module:
        layers = [
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(),
            nn.Conv2d(4, 4, 3),
        ]
        generator = torch.Generator().manual_seed(seed)
        network = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        for parameter in network.parameters():
            nn.init.normal_(parameter, generator=generator)
        networks.append(network)
        return network

    run = distill(X, Y, network=create, **SMALL)
    torch.manual_seed(0)
    run._call_factory(create, 1)
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    create(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert int(networks[0][1].num_batches_tracked) == 0


# ---- evaluations


def few(count: int = 20) -> DistilledSet:
    train = load("digits", **DIGITS)
    names, units = train.class_names, (train.mean, train.std)
    return DistilledSet(train.batch(range(count)), train.labels[:count], names, *units)


def held_out() -> ImageSet:
    return load("digits", "test", **DIGITS).subset(range(40))


QUICK: dict[str, Any] = {"epochs": 1, "networks": 1, "width": 4}


def test_a_network_that_diverged_gets_no_accuracy() -> None:
    run = evaluate(few(), held_out(), EvaluationProtocol(**{**QUICK, "weight_decay": 1e30}))
    with pytest.raises(RunDiverged, match="convnet, network 0: "):
        run.advance()
    assert run.step == 0
    assert np.isnan(run.snapshot()["accuracy"]).all()


def test_logits_that_are_nan_are_not_scored() -> None:
    network = ConvNet(1, 10, 8, width=4)
    nn.init.constant_(network.classifier.weight, torch.nan)
    with pytest.raises(RunDiverged, match="logits of test images are NaN"):
        measure_accuracy(network, held_out())


@pytest.mark.parametrize("name", ["learned_rate", "soft_labels", "flip"])
@pytest.mark.parametrize("value", ["no", 0, 1.0, [True]])
def test_yes_or_no_is_no_text(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be true or false"):
        EvaluationProtocol(**{name: value})


@pytest.mark.parametrize("kind", ["convnet", "alexnet", "vgg11", "resnet18"])
def test_networks_with_batch_norm_train_on_a_last_batch_of_one_image(kind: str) -> None:
    options = {**QUICK, "norm": "batch", "batch": 16, "architectures": [kind]}
    run = evaluate(few(17), held_out(), EvaluationProtocol(**options))
    run.advance()  # The maps of each norm have more than one pixel.
    assert 0 <= float(run.result()["accuracy"][0, 0]) <= 1


def test_a_norm_that_needs_two_values_is_refused_in_words() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 8), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    with pytest.raises(InvalidInput, match="choose another batch, or another norm"):
        check_logits("mine", network, X[:1], 3)
    check_logits("mine", network, X[:2], 3)


OWN: dict[str, tuple[Any, str]] = {
    "a list": ([], "factories must be a mapping"),
    "an array": (np.zeros(2), "factories must be a mapping"),
    "a network": ({"mine": SHARED}, r"factories\['mine'\] must be a function .*, got a network"),
    "one argument": ({"mine": lambda seed: SHARED}, "of the number of classes and a seed, but"),
    "no network": ({"mine": lambda classes, seed: None}, "must be a network"),
    "a tuple": (
        {"mine": lambda classes, seed: WithOutput(lambda x: (x, x), True)},
        r"mine must return logits \[2, 10\], got a tuple",
    ),
    "fewer classes": (
        {"mine": lambda classes, seed: ConvNet(1, 3, 8, width=4)},
        r"mine must return logits \[2, 10\], got torch.float32 \[2, 3\]",
    ),
    "other images": (
        {"mine": lambda classes, seed: ConvNet(1, classes, 16, width=4)},
        r"mine cannot process images \[2, 1, 8, 8\]|images must be",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_networks_of_users_are_checked_before_their_training(case: str) -> None:
    factories, words = OWN[case]
    with pytest.raises(InvalidInput, match=words):
        evaluate(few(), held_out(), EvaluationProtocol(**QUICK), factories).run()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((3, held_out()), "distilled must be"),
        ((few(), (X, Y)), "test must be an ImageSet, such as load"),
        ((few(), "digits"), "test must be an ImageSet"),
        ((few(), held_out(), {"epochs": 3}), "protocol must be an EvaluationProtocol"),
        ((few(), held_out(), None, None, "", X), "train must be an ImageSet"),
    ],
)
def test_arguments_of_other_types_are_named(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        evaluate(*arguments)


def test_an_evaluation_takes_the_run_that_distilled() -> None:
    run = distill(load("digits", **DIGITS), **SMALL).run()
    assert evaluate(run, held_out(), EvaluationProtocol(**QUICK)).config["distilled"]["sha256"]


def test_a_number_of_no_architecture_is_refused() -> None:
    run = evaluate(few(), held_out(), EvaluationProtocol(**QUICK))
    with pytest.raises(UnknownName, match="unknown architecture 'vit'"):
        run.score("vit", 0)
    with pytest.raises(InvalidInput, match="number must be a whole number"):
        run.trained("convnet", -1)


# ---- mirrored images


@pytest.mark.parametrize(
    ("flip", "data_flip", "mirrored"),
    [(None, None, True), (None, True, True), (None, False, False)]
    + [(flip, says, flip) for flip in (True, False) for says in (None, True, False)],
)
def test_images_are_mirrored_if_the_run_or_else_the_data_say_so(
    flip: bool | None, data_flip: bool | None, mirrored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "explore"):
        operations = operations_for("crop_flip", flip, data_flip)
    assert ("flip" in operations) is mirrored
    assert ("set flip=False" in caplog.text) is (flip is None and data_flip is None)


@pytest.mark.parametrize("flip", [None, False, True])
def test_digits_are_mirrored_nowhere_unless_that_is_asked_for(flip: bool | None) -> None:
    digits = load("digits", **DIGITS)
    run: Any = distill(digits, **{**SMALL, "augment": "dsa", "flip": flip})
    protocol = EvaluationProtocol(**QUICK, augment="dsa", flip=flip)
    scored = evaluate(few(), held_out(), protocol)
    assert ("flip" in run.operations) is ("flip" in scored._operations) is bool(flip)
    assert scored.config["flip"] is bool(flip)
    assert run.config.get("flip", None) is flip


def test_recordings_without_the_option_go_on(tmp_path: Path) -> None:
    run = distill(X, Y, **{**SMALL, "augment": "crop"})
    assert "flip" not in run.config
    scored = evaluate(few(), held_out(), EvaluationProtocol(**QUICK))
    assert scored.config["flip"] is True  # as earlier versions wrote it
    recording = record(scored, tmp_path / "a.zarr")
    assert EvaluationProtocol.of(recording.attrs["config"]) == scored.protocol


# ---- descriptions in files


def test_a_description_starts_no_download(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "explore"):
        assert loader_options({"size": np.int64(8), "download": True}) == {"size": 8}
    assert "asks for a download, which is not started" in caplog.text
    options = {**DIGITS, "download": True}
    assert resolve_dataset({"name": "digits", "options": options})[1].shape[2] == 8


def test_a_folder_named_by_a_distilled_set_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"name": "folder", "options": {"path": str(tmp_path / "none")}}
    distilled = DistilledSet(X, Y, ["a", "b", "c"], provenance={"config": {"data": data}})
    with caplog.at_level(logging.WARNING, "explore"), pytest.raises(ExploreError):
        build({"method": "evaluate", "distilled": distilled})
    assert f"reading the images in {tmp_path / 'none'}, which the distilled set" in caplog.text


def test_options_of_numpy_are_numbers_of_python(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "seed": np.arange(2)[1],
        "images_per_class": np.int64(2),
        "learning_rate": np.float32(0.5),
        "momentum": torch.tensor(0.25),
        "mmd": np.array(0.5),
        "zca": np.bool_(False),
        "flip": np.bool_(True),
        "augment": np.str_("crop"),
    }
    run = distill(X, Y, **{**SMALL, "steps": np.int64(1), **options})
    config = record(run, tmp_path / "a.zarr", every=1).attrs["config"]
    expected = [1, 2, 0.5, 0.25, 0.5, False, True, "crop"]
    assert [config[name] for name in options] == expected
    kinds = [type(run.config[name]) for name in options]
    assert kinds == [int, int, float, float, float, bool, bool, str]


@pytest.mark.parametrize("method", [["dm"], None, 3, np.array(["dm", "mtt"])])
def test_a_method_that_is_no_name_is_refused(method: Any) -> None:
    with pytest.raises(UnknownName, match="unknown method"):
        distill(X, Y, method, **SMALL)


def test_halves_are_whitened_in_float32() -> None:
    half, single = (TrainingData((x, Y), zca=True) for x in (X.half(), X))
    assert torch.equal(half.batch(), single.batch())
