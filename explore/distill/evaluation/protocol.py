"""Fair evaluation: networks trained from scratch on a small set and scored on test images; every result keeps its protocol."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.runs import BaseRun, stream_seed
from explore.data._resolve import resolve_dataset
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.data.overlap import shared_images
from explore.data.whitening import ZCA
from explore.distill.augment import augment, draw_augmentation, strategy
from explore.distill.evaluation.config import EvaluateConfig, EvaluationProtocol
from explore.errors import DataMissing, ExploreWarning, InvalidInput, UnknownName
from explore.models._fused.module import fused_blocks
from explore.models.architectures import ARCHITECTURES, architecture
from explore.models.training import Fit, hits

if TYPE_CHECKING:
    import xarray

log = logging.getLogger("explore")

TOGETHER = 50
"""Test images that go through a network at once: the maps of 500, say, would leave a CPU's cache."""

Factory = Callable[[int, int], nn.Module]
"""``factory(classes, seed)`` returns a new network."""


def evaluate(
    distilled: DistilledSet,
    test: ImageSet,
    protocol: EvaluationProtocol | None = None,
    factories: Mapping[str, Factory] | None = None,
    device: str = "",
    train: ImageSet | None = None,
) -> EvaluationRun:
    """A run that trains networks on a distilled set, one a step, and scores each on test images.

    Args:
        distilled: the set.
        test: what is scored on; nothing is chosen by it. Settings are chosen on a "val" split.
        protocol: see ``EvaluationProtocol``.
        factories: your own networks by name, ``factory(classes, seed)``, in place of ``protocol.architectures``.
        device: where to compute.
        train: the real images that the set was made from, where they are at hand: test images that are among them are
            counted, in a warning and in the result's line.

    Raises:
        InvalidInput: images of other sizes or normalisation than the test set, other classes, or a test set that the
            distilled set was made from.

    Warns:
        ExploreWarning: test images that are among ``train``, or in the distilled set itself.

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> few = DistilledSet(digits.batch(range(20)), digits.labels[:20], digits.class_names, digits.mean, digits.std)
        >>> evaluate(few, load("digits", "test"), EvaluationProtocol(epochs=2, networks=3))
        EvaluationRun(evaluate on digits, step 0 of 3)
    """
    return EvaluationRun(
        distilled, test, protocol or EvaluationProtocol(), factories, device, train
    )


def build(config: EvaluateConfig, data: Any = None) -> EvaluationRun:
    """The registry's builder: the distilled set from its file, test images and the real ones it was made from by name."""
    distilled = distilled_of(config.distilled)
    source = (distilled.provenance.get("config") or {}).get("data") or {}
    given = config.data or source if data is None else data
    named = isinstance(given, str | Mapping)
    test = _test_images(given, source, config.split) if named else given
    if not isinstance(test, ImageSet):
        raise InvalidInput(
            f"data must be the name of a set or an ImageSet, got {type(test).__name__}"
        )
    protocol, train, split = (
        EvaluationProtocol.of(config),
        _real_images(source),
        config.split if named else "",
    )
    return EvaluationRun(distilled, test, protocol, device=config.device, train=train, split=split)


def _test_images(given: Any, source: Mapping[str, Any], split: str) -> ImageSet | None:
    """The part ``split`` of a set by its name or description; with the options of the set that was distilled, if it is that."""
    known: Mapping[str, Any] = {"name": given} if isinstance(given, str) else given
    if not known.get("name"):
        raise InvalidInput(
            "nothing is known of the data that the set was distilled from; give data=, the set to score on"
        )
    if known["name"] == "tensors":
        raise InvalidInput(
            "the set was distilled from tensors, of which no test images are known; give data=, an ImageSet"
        )
    options = known.get(
        "options", source.get("options", {}) if known["name"] == source.get("name") else {}
    )
    return resolve_dataset({"name": known["name"], "options": {**options, "split": split}})[0]


def _real_images(source: Mapping[str, Any]) -> ImageSet | None:
    """The set that was distilled, where it can be loaded here."""
    if source.get("name") in (None, "tensors"):
        return None
    try:
        return resolve_dataset(source)[0]
    except (
        DataMissing,
        InvalidInput,
    ) as error:  # not here, or somebody's own images, which have no name to load them by
        log.info("whether test images are among the real ones is not checked: %s", error)
        return None


def distilled_of(given: Any) -> DistilledSet:
    """A distilled set from whatever names it.

    Args:
        given: the set, its file, the recording beside which its file lies, or what an evaluation's recording says of it
            (or the config of a run that makes one): then it is distilled again, which may take long.

    Raises:
        InvalidInput: none of these, or a set whose making is not known.
    """
    from explore.core.registry import build as built

    if isinstance(given, DistilledSet):
        return given
    if isinstance(given, str | Path) and str(given):
        return DistilledSet.load(given)
    config = (
        given.get("config", given if "method" in given else None)
        if isinstance(given, Mapping)
        else None
    )
    if config:
        far = given.get("step") if "config" in given else None
        steps = {"steps": max(1, far)} if far is not None and "steps" in _fields(config) else {}
        run = built({**config, **steps})
        log.info("distilling again: %r", run)
        while run.step < (run.steps if far is None else far):
            run.advance()
        return DistilledSet.of(run)
    raise InvalidInput(
        f"distilled must be a .safetensors file, a recording beside one, or a DistilledSet; got {given!r}"
    )


def _fields(config: Mapping[str, Any]) -> Mapping[str, Any]:
    from explore.core.registry import method, resolve

    return resolve(method(config["method"]).config).__dataclass_fields__


class EvaluationRun(BaseRun):
    """Networks trained on one distilled set; a ``Run`` whose step is a network. Made by ``evaluate``."""

    name = "evaluate"

    def __init__(
        self,
        distilled: DistilledSet,
        test: ImageSet,
        protocol: EvaluationProtocol,
        factories: Mapping[str, Factory] | None = None,
        device: str = "",
        train: ImageSet | None = None,
        split: str = "",
    ) -> None:
        self.distilled, self.test, self.protocol = distilled, test, protocol
        self.device = torch.device(device or "cpu")
        check_test(distilled, test)
        self.overlap = _said_overlap(distilled, test, train)
        if factories is None:
            unknown = [name for name in protocol.architectures if name not in ARCHITECTURES]
            if unknown:
                raise UnknownName("architecture", unknown[0], ARCHITECTURES)
        self.factories: Mapping[str, Factory] = factories or {
            name: self._usual(name) for name in protocol.architectures
        }
        self.steps = len(self.factories) * protocol.networks
        self.class_names = distilled.class_names
        self._found = np.full((len(self.factories), protocol.networks), np.nan, np.float32)
        made = {
            "config": distilled.provenance.get("config"),
            "step": distilled.provenance.get("step"),
        }
        about = {**made, "shape": list(distilled.images.shape), "sha256": distilled.sha256}
        names = list(self.factories)
        split = split or str(test.options.get("split", "test"))
        settings = EvaluateConfig(
            **(vars(protocol) | {"architectures": names, "distilled": about, "split": split})
        )
        tested = {
            "name": test.name,
            "options": dict(test.options),
            "shape": list(test.images.shape),
            "sha256": test.sha256,
        }
        self.config: Mapping[str, Any] = settings.identity(tested)

    @property
    def message(self) -> str:
        """The mean so far."""
        known = self._found[np.isfinite(self._found)]
        return f"accuracy {known.mean():.1%}" if len(known) else "accuracy not known yet"

    def advance(self) -> None:
        """Train and score one network."""
        if self.step >= self.steps:
            return
        number, row = divmod(self.step, len(self.factories))
        self._found[row, number] = self.score(list(self.factories)[row], number)
        self.step += 1

    def score(self, name: str, number: int) -> float:
        """Test accuracy of network ``number`` of an architecture."""
        return scored(self.trained(name, number), self.test, self.distilled.zca, self.device)

    def trained(self, name: str, number: int) -> nn.Module:
        """Network ``number`` of an architecture, trained on the distilled set; the same at each call."""
        protocol, distilled = self.protocol, self.distilled
        seed = stream_seed(protocol.seed, "evaluation", number)
        network = self.factories[name](len(distilled.class_names), seed).to(self.device)
        labels = (
            distilled.labels
            if protocol.soft_labels or not distilled.soft
            else distilled.labels.argmax(1)
        )
        rate = distilled.learning_rate if protocol.learned_rate else None
        operations = strategy(protocol.augment, protocol.flip)

        def changed(x: torch.Tensor, batch: int) -> torch.Tensor:
            return augment(
                x, draw_augmentation(operations, stream_seed(seed, "augment", batch), len(x))
            )

        fit = Fit(
            network,
            distilled.images.to(self.device),
            labels.to(self.device),
            epochs=protocol.epochs,
            learning_rate=rate or protocol.learning_rate,
            momentum=protocol.momentum,
            weight_decay=protocol.weight_decay,
            batch=protocol.batch,
            seed=seed,
            augment=changed if operations else None,
        )
        with fused_blocks():
            fit.run()
        return network

    def _usual(self, name: str) -> Factory:
        _, channels, size, _ = self.distilled.images.shape
        width, norm = self.protocol.width, self.protocol.norm
        return lambda classes, seed: architecture(
            name, channels, classes, size, width=width, norm=norm, seed=seed
        )

    def snapshot(self) -> xarray.Dataset:
        """Accuracy ``[architecture, network]``; NaN where a network is still to be trained."""
        import xarray

        about = {"long_name": "test accuracy", "units": "1"}
        known = {"architecture": ("architecture", np.array(list(self.factories), object))}
        return xarray.Dataset(
            {"accuracy": (("architecture", "network"), self._found.copy(), about)}, known
        )

    def result(self) -> xarray.Dataset:
        """The same, with the protocol, and in ``attrs["line"]`` how it was obtained."""
        return self.snapshot().assign_attrs(config=dict(self.config), line=self.line())

    def summary(self) -> str:
        """Return how the numbers were obtained, in one line for a paper."""
        return self.line()

    def line(self) -> str:
        """How the numbers were obtained, in one line for a paper."""
        p, known = self.protocol, self._found[np.isfinite(self._found)]
        spread = f" ± {100 * known.std(ddof=1):.1f}" if len(known) > 1 else ""
        rate = (
            f"{self.distilled.learning_rate:g} (learned)"
            if p.learned_rate and self.distilled.learning_rate
            else f"{p.learning_rate:g}"
        )
        kinds = ", ".join(self.factories)
        labels = "soft labels" if self.distilled.soft and p.soft_labels else "hard labels"
        score = f"{100 * known.mean():.1f}{spread} %" if len(known) else "not measured"
        split = self.config["split"]
        shared = (
            f"; {self.overlap} test images are among the real training images"
            if self.overlap
            else ""
        )
        return (
            f"{score}, mean and standard deviation of {len(known)} networks ({kinds}, {p.width} wide, {p.norm} norm) "
            f"on the {len(self.test):,} {split} images of {self.test.name}; "
            f"trained on {len(self.distilled)} images with {labels} for {p.epochs} epochs by SGD, rate {rate} / 10 at half, "
            f"momentum {p.momentum:g}, weight decay {p.weight_decay:g}, batch {p.batch}, augmentation {p.augment}; "
            f"last epoch, nothing chosen on test images{shared}."
        )

    def state(self) -> dict[str, Any]:
        """What was found."""
        return {**super().state(), "found": self._found.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``."""
        super().restore(state)
        self._found = np.array(state["found"], np.float32)


@torch.no_grad()
def scored(
    network: nn.Module, test: ImageSet, zca: ZCA | None = None, device: torch.device | str = "cpu"
) -> float:
    """Share of test images whose largest logit is their label; batches are made as they are needed."""
    count = 0
    for part in torch.arange(len(test)).split(
        TOGETHER if torch.device(device).type == "cpu" else 1000
    ):
        images = test.batch(part).to(device)
        with fused_blocks():
            count += hits(network, zca(images) if zca else images, test.labels[part].to(device))
    return count / len(test)


def check_test(distilled: DistilledSet, test: ImageSet) -> None:
    """Refuse a test set that the distilled set cannot be scored on."""
    ours, theirs = list(distilled.images.shape[1:]), list(test.images.shape[1:])
    if ours != theirs:
        raise InvalidInput(f"distilled images are {ours}, test images {theirs}; load the same size")
    names, known_names = list(distilled.class_names), list(test.class_names)
    if len(names) != len(known_names):
        given = f"the distilled set has {len(names)} classes, the test set {len(known_names)}"
        raise InvalidInput(f"{given}: it was made from other data")
    if names != known_names and sorted(names) == sorted(known_names):
        raise InvalidInput(
            f"the classes of the distilled set stand in another order ({names}) than those of the test set"
        )
    if len(distilled.mean) and not np.allclose(
        [*distilled.mean, *distilled.std], [*test.mean, *test.std], atol=1e-4
    ):
        given = f"mean {list(distilled.mean)}, std {list(distilled.std)}"
        known = f"{list(test.mean)}, {list(test.std)}"
        raise InvalidInput(
            f"the distilled set is normalised by {given}, the test set by {known}: other data?"
        )
    source = (distilled.provenance.get("config") or {}).get("data") or {}
    if source.get("sha256") == test.sha256:
        raise InvalidInput(
            f"the set was distilled from these very test images ({test.name}); score it on others"
        )


def _said_overlap(distilled: DistilledSet, test: ImageSet, train: ImageSet | None) -> int:
    """How many test images are among the real ones; a warning where any is."""
    known = 0 if train is None else len(shared_images(train, test))
    if known:
        text = f"{known:,} of the {len(test):,} test images of {test.name} are also among the images it was distilled from"
        warnings.warn(
            f"{text} (same pixels); what is scored on those is memory", ExploreWarning, stacklevel=4
        )
    if distilled.zca is None and len(distilled.mean):
        own = len(shared_images(distilled.to_display(), test))
        if own:
            text = f"{own:,} test images of {test.name} are in the distilled set itself: was it chosen from the test part?"
            warnings.warn(text, ExploreWarning, stacklevel=4)
    return known
