"""Evaluation: networks are trained from scratch on a distilled set and tested on test images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.products import describe_product
from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device, check_network
from explore.core.validation import check_choice, check_whole_number, describe
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.data.training_data import may_flip
from explore.data.whitening import ZCA
from explore.distill.augment import apply_draw, draw_augmentation, operations_for
from explore.distill.config import FLIP, MAPS_NOTE, uses_maps
from explore.distill.evaluation.checks import (
    check_factories,
    check_image_sets,
    check_logits,
    check_test_images,
    count_overlap,
)
from explore.distill.evaluation.config import EvaluateConfig, EvaluationProtocol
from explore.distill.evaluation.sources import (
    resolve_distilled_set,
    resolve_real_images,
    resolve_test_images,
    source_of,
)
from explore.distill.recordings import EVALUATION
from explore.errors import InvalidInput, RunDiverged
from explore.models._checks import call_function, check_outputs, run_network
from explore.models._fused.module import fused_blocks
from explore.models.architectures import ARCHITECTURES, architecture
from explore.models.scoring import evaluation_mode
from explore.models.training import Fit

if TYPE_CHECKING:
    import xarray

CPU_CHUNK = 50
"""Test images in one forward pass: the maps of 500 images would not fit in the cache of a CPU."""

FORWARD_IMAGES = 500
"""Test images in one forward pass of an accelerator."""

ModelFactory = Callable[[int, int], nn.Module]
"""``factory(classes, seed)`` returns a new network."""


def evaluate(
    distilled: DistilledSet,
    test: ImageSet,
    protocol: EvaluationProtocol | None = None,
    factories: Mapping[str, ModelFactory] | None = None,
    device: str = "",
    train: ImageSet | None = None,
) -> EvaluationRun:
    """Return a run that trains networks on a distilled set, one in each step, and tests them.

    Args:
        distilled: the set; or its file, the recording beside it, or the run that distilled it.
        test: the test images, an ``ImageSet``. Options should be chosen on a "val" split.
        protocol: see ``EvaluationProtocol``.
        factories: your own networks by name, ``factory(classes, seed)``, in place of
            ``protocol.architectures``.
        device: where to compute.
        train: the real images that were distilled, if they are available. Test images among them
            are counted, in a warning and in the result's line.

    Raises:
        InvalidInput: the test images have another size, normalisation or other classes, or the set
            was distilled from them; or arguments of other types.
        UnknownName: an unknown architecture.

    Warns:
        ExploreWarning: test images are among ``train``, or in the distilled set itself.

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> images, labels = digits.batch(range(20)), digits.labels[:20]
        >>> few = DistilledSet(images, labels, digits.class_names, digits.mean, digits.std)
        >>> evaluate(few, load("digits", "test"), EvaluationProtocol(epochs=2, networks=3))
        EvaluationRun(evaluate on digits, step 0 of 3)
    """
    distilled = resolve_distilled_set(distilled)
    check_image_sets(test, train)
    protocol = EvaluationProtocol() if protocol is None else protocol
    if not isinstance(protocol, EvaluationProtocol):
        raise InvalidInput(
            f"protocol must be an EvaluationProtocol, got {describe(protocol)}; create it by "
            "EvaluationProtocol(epochs=...)"
        )
    return EvaluationRun(distilled, test, protocol, factories, device, train)


def build(config: EvaluateConfig, data: Any = None) -> EvaluationRun:
    """Build the run for the registry, with data sets from their files and by their names."""
    distilled = resolve_distilled_set(config.distilled)
    source = source_of(distilled)
    if data is None:
        data = config.data or source
    test, split = data, ""
    if isinstance(data, str | Mapping):
        test, split = resolve_test_images(data, source, config.split), config.split
    if not isinstance(test, ImageSet):
        raise InvalidInput(
            f"data must be the name of a set or an ImageSet, got {type(test).__name__}"
        )
    protocol, train = EvaluationProtocol.of(config), resolve_real_images(source)
    return EvaluationRun(distilled, test, protocol, device=config.device, train=train, split=split)


class EvaluationRun(BaseRun):
    """Networks that are trained on one distilled set, one in each step; see ``evaluate``."""

    name = "evaluate"

    def __init__(
        self,
        distilled: DistilledSet,
        test: ImageSet,
        protocol: EvaluationProtocol,
        factories: Mapping[str, ModelFactory] | None = None,
        device: str = "",
        train: ImageSet | None = None,
        split: str = "",
    ) -> None:
        self.distilled, self.test = distilled, test
        self.protocol = protocol = self._with_flip(protocol)
        self.device, self.class_names = check_device(device), distilled.class_names
        check_test_images(distilled, test)
        self.overlap = count_overlap(distilled, test, train)
        own = check_factories(factories)
        self._has_own_networks = bool(own)
        self.factories: Mapping[str, ModelFactory] = own or {
            name: self._factory(name) for name in protocol.architectures
        }
        self.steps = len(self.factories) * protocol.networks
        self._accuracy = np.full((len(self.factories), protocol.networks), np.nan, np.float32)
        options = {
            **vars(protocol),
            "architectures": list(self.factories),
            "split": split or str(test.options.get("split", "test")),
            "distilled": {
                **describe_product(distilled),
                "shape": list(distilled.images.shape),
            },
        }
        description = {
            "name": test.name,
            "options": dict(test.options),
            "shape": list(test.images.shape),
            "sha256": test.sha256,
        }
        self.config: Mapping[str, Any] = EvaluateConfig(**options).identity(description)

    @property
    def message(self) -> str:
        """The mean accuracy so far, for a progress bar."""
        values = self._finite_accuracy()
        return f"accuracy {values.mean():.1%}" if len(values) else "no accuracy yet"

    def advance(self) -> None:
        """Train and test one network.

        Raises:
            RunDiverged: its loss, weights or logits are not finite numbers; it gets no accuracy.
            InvalidInput: it cannot process the images, or returns no logits of these classes.
        """
        if self.step >= self.steps:
            return
        number, row = divmod(self.step, len(self.factories))
        self._accuracy[row, number] = self.score(list(self.factories)[row], number)
        self.step += 1

    def score(self, name: str, number: int) -> float:
        """Return the test accuracy of network ``number`` of an architecture.

        Raises:
            UnknownName, RunDiverged, InvalidInput: see ``trained``.
        """
        network = self.trained(name, number)
        try:
            return measure_accuracy(network, self.test, self.distilled.zca, self.device)
        except RunDiverged as error:
            raise RunDiverged(f"{name}, network {number}: {error}") from error

    def trained(self, name: str, number: int) -> nn.Module:
        """Return network ``number`` of an architecture, trained on the distilled set.

        Each call trains it again and returns the same weights.

        Raises:
            UnknownName: no architecture of this evaluation.
            RunDiverged: the loss or a weight is NaN or infinite; the message names the network.
            InvalidInput: the network cannot process the images, or returns no logits.
        """
        protocol, distilled = self.protocol, self.distilled
        name = check_choice("architecture", name, self.factories)
        number = check_whole_number("number", number, at_least=0)
        seed = stream_seed(protocol.seed, "evaluation", number)
        network = self._network(name, seed)
        labels = distilled.labels
        if distilled.soft and not protocol.soft_labels:
            labels = labels.argmax(1)
        operations = self._operations

        def change(images: torch.Tensor, batch: int) -> torch.Tensor:
            draw_seed = stream_seed(seed, "augment", batch)
            return apply_draw(images, draw_augmentation(operations, draw_seed, len(images)))

        fit = Fit(
            network,
            distilled.images.to(self.device),
            labels.to(self.device),
            epochs=protocol.epochs,
            learning_rate=self._learned_rate() or protocol.learning_rate,
            momentum=protocol.momentum,
            weight_decay=protocol.weight_decay,
            batch=protocol.batch,
            seed=seed,
            augment=change if operations else None,
        )
        try:
            with fused_blocks():
                fit.run()
        except RunDiverged as error:
            raise RunDiverged(f"{name}, network {number}: {error}") from error
        return network

    def snapshot(self) -> xarray.Dataset:
        """Return the accuracy ``[architecture, network]``; NaN before a network is trained."""
        names = np.array(list(self.factories), object)
        return EVALUATION.frame({"accuracy": self._accuracy.copy()}, {"architecture": names})

    def result(self) -> xarray.Dataset:
        """Return the accuracy with the protocol, and in ``attrs["line"]`` how it was measured."""
        return self.snapshot().assign_attrs(config=dict(self.config), line=self.line())

    def summary(self) -> str:
        """Return the accuracy and how it was measured, in one line for a paper."""
        p, values, learned_rate = self.protocol, self._finite_accuracy(), self._learned_rate()
        spread = f" ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else ""
        score = f"{100 * values.mean():.1f}{spread} %" if len(values) else "not measured"
        rate = f"{learned_rate:g} (learned)" if learned_rate else f"{p.learning_rate:g}"
        labels = "soft labels" if self.distilled.soft and p.soft_labels else "hard labels"
        overlap = f"; {self.overlap} test images are among the real training images"
        maps = f"; {MAPS_NOTE}" if uses_maps(self.config["distilled"]) else ""
        return (
            f"{score}, mean and standard deviation of {len(values)} networks "
            f"({', '.join(self.factories)}, {p.width} wide, {p.norm} norm) "
            f"on the {len(self.test):,} {self.config['split']} images of {self.test.name}; "
            f"trained on {len(self.distilled)} images with {labels} for {p.epochs} epochs by SGD, "
            f"rate {rate} / 10 at half, momentum {p.momentum:g}, weight decay {p.weight_decay:g}, "
            f"batch {p.batch}, augmentation {p.augment}; "
            f"last epoch, nothing chosen on test images{overlap if self.overlap else ''}{maps}."
        )

    line = summary

    def state(self) -> dict[str, Any]:
        """Return the step and the accuracies."""
        return {**super().state(), "found": self._accuracy.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self._accuracy = np.array(state["found"], np.float32)

    def _finite_accuracy(self) -> np.ndarray:
        return self._accuracy[np.isfinite(self._accuracy)]

    def _learned_rate(self) -> float | None:
        return self.distilled.learning_rate if self.protocol.learned_rate else None

    def _with_flip(self, protocol: EvaluationProtocol) -> EvaluationProtocol:
        """Return the protocol with a decision whether images are mirrored, as recordings hold it.

        It is true where nothing would be mirrored anyway, as in recordings of earlier versions.
        """
        self._operations = operations_for(protocol.augment, protocol.flip, may_flip(self.test))
        if protocol.flip is not None:
            return protocol
        return replace(protocol, flip=FLIP in self._operations or not protocol.mirrors)

    def _network(self, name: str, seed: int) -> nn.Module:
        """Return a new network that can be trained on the distilled images."""
        distilled, batch = self.distilled, self.protocol.batch
        label = f"factories[{name!r}]"
        network = call_function(label, self.factories[name], len(distilled.class_names), seed)
        network = check_network(f"the result of {label}", network)
        network = network.to(self.device, torch.float32)
        # The last batch of an epoch may hold one image, with which batch norm may fail.
        is_alone = len(distilled) % batch == 1 or batch == 1
        if self._has_own_networks or (is_alone and self.protocol.norm == "batch"):
            images = distilled.images[: 1 if is_alone else 2].to(self.device)
            check_logits(name, network, images, len(distilled.class_names))
        return network

    def _factory(self, name: str) -> ModelFactory:
        check_choice("architecture", name, ARCHITECTURES)
        _, channels, size, _ = self.distilled.images.shape
        width, norm = self.protocol.width, self.protocol.norm
        return lambda classes, seed: architecture(
            name, channels, classes, size, width=width, norm=norm, seed=seed
        )


@torch.no_grad()
def measure_accuracy(
    network: nn.Module, test: ImageSet, zca: ZCA | None = None, device: torch.device | str = "cpu"
) -> float:
    """Return the share of test images whose largest logit is that of their label.

    Raises:
        RunDiverged: a logit is NaN, so that none is the largest.
        InvalidInput: there are no test images.
    """
    if not len(test):
        raise InvalidInput(f"the test set {test.name} has no images; choose another split")
    count, chunk = 0, CPU_CHUNK if torch.device(device).type == "cpu" else 1000
    for indices in torch.arange(len(test)).split(chunk):
        images = test.batch(indices).to(device)
        images = zca(images) if zca else images
        with fused_blocks(), evaluation_mode(network):
            parts = [run_network(network, part) for part in images.split(FORWARD_IMAGES)]
        logits = check_outputs(torch.cat(parts), len(images))
        if logits.isnan().any():
            raise RunDiverged("logits of test images are NaN; the learning rate may be too large")
        count += int((logits.argmax(1) == test.labels[indices].to(device)).sum())
    return count / len(test)
