"""Evaluation: networks are trained from scratch on a distilled set and tested on test images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.core.products import describe_product
from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import check_device
from explore.data.distilled_set import DistilledSet
from explore.data.image_set import ImageSet
from explore.data.whitening import ZCA
from explore.distill.augment import augment, draw_augmentation, strategy
from explore.distill.config import MAPS_NOTE, uses_maps
from explore.distill.evaluation.checks import check_test_images, count_overlap
from explore.distill.evaluation.config import EvaluateConfig, EvaluationProtocol
from explore.distill.evaluation.sources import (
    resolve_distilled_set,
    resolve_real_images,
    resolve_test_images,
    source_of,
)
from explore.distill.recordings import EVALUATION
from explore.errors import InvalidInput, UnknownName
from explore.models._fused.module import fused_blocks
from explore.models.architectures import ARCHITECTURES, architecture
from explore.models.training import Fit, hits

if TYPE_CHECKING:
    import xarray

CPU_CHUNK = 50
"""Test images in one forward pass: the maps of 500 images would not fit in the cache of a CPU."""

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
        distilled: the set.
        test: the test images. Options should be chosen on a "val" split.
        protocol: see ``EvaluationProtocol``.
        factories: your own networks by name, ``factory(classes, seed)``, in place of
            ``protocol.architectures``.
        device: where to compute.
        train: the real images that were distilled, if they are available. Test images among them
            are counted, in a warning and in the result's line.

    Raises:
        InvalidInput: the test images have another size, normalisation or other classes, or the set
            was distilled from them.
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
    protocol = protocol or EvaluationProtocol()
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
        self.distilled, self.test, self.protocol = distilled, test, protocol
        self.device, self.class_names = check_device(device), distilled.class_names
        check_test_images(distilled, test)
        self.overlap = count_overlap(distilled, test, train)
        self.factories: Mapping[str, ModelFactory] = factories or {
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
        """Train and test one network."""
        if self.step >= self.steps:
            return
        number, row = divmod(self.step, len(self.factories))
        self._accuracy[row, number] = self.score(list(self.factories)[row], number)
        self.step += 1

    def score(self, name: str, number: int) -> float:
        """Return the test accuracy of network ``number`` of an architecture."""
        network = self.trained(name, number)
        return measure_accuracy(network, self.test, self.distilled.zca, self.device)

    def trained(self, name: str, number: int) -> nn.Module:
        """Return network ``number`` of an architecture, trained on the distilled set.

        Each call trains it again and returns the same weights.
        """
        protocol, distilled = self.protocol, self.distilled
        seed = stream_seed(protocol.seed, "evaluation", number)
        network = self.factories[name](len(distilled.class_names), seed).to(self.device)
        labels = distilled.labels
        if distilled.soft and not protocol.soft_labels:
            labels = labels.argmax(1)
        operations = strategy(protocol.augment, protocol.flip)

        def change(images: torch.Tensor, batch: int) -> torch.Tensor:
            draw_seed = stream_seed(seed, "augment", batch)
            return augment(images, draw_augmentation(operations, draw_seed, len(images)))

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
        with fused_blocks():
            fit.run()
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

    def _factory(self, name: str) -> ModelFactory:
        if name not in ARCHITECTURES:
            raise UnknownName("architecture", name, ARCHITECTURES)
        _, channels, size, _ = self.distilled.images.shape
        width, norm = self.protocol.width, self.protocol.norm
        return lambda classes, seed: architecture(
            name, channels, classes, size, width=width, norm=norm, seed=seed
        )


@torch.no_grad()
def measure_accuracy(
    network: nn.Module, test: ImageSet, zca: ZCA | None = None, device: torch.device | str = "cpu"
) -> float:
    """Return the share of test images whose largest logit is that of their label."""
    count, chunk = 0, CPU_CHUNK if torch.device(device).type == "cpu" else 1000
    for indices in torch.arange(len(test)).split(chunk):
        images = test.batch(indices).to(device)
        with fused_blocks():
            count += hits(network, zca(images) if zca else images, test.labels[indices].to(device))
    return count / len(test)
