"""Fair evaluation: networks trained from scratch on a small set and scored on test images; every result keeps its protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from explore.data.distilled import DistilledSet
from explore.data.imageset import ImageSet
from explore.distill.augment import augment, draw_augmentation, strategy
from explore.errors import InvalidInput, UnknownName
from explore.models.architectures import ARCHITECTURES, architecture
from explore.models.fit import Fit, accuracy
from explore.runs import stream_seed

if TYPE_CHECKING:
    import pandas
    import xarray

Factory = Callable[[int, int], nn.Module]
"""``factory(classes, seed)`` returns a new network."""


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """How networks are trained on a distilled set; what must be equal for two numbers to be compared.

    The network at the last epoch is scored, never the best one on the test images.

    Attributes:
        epochs, learning_rate, momentum, weight_decay, batch: of SGD; the rate is divided by 10 at half.
        learned_rate: use the set's own learned rate, where it has one, in place of ``learning_rate``.
        soft_labels: train on soft labels as they are; else on their largest.
        augment: "none", "dsa" or operations such as "crop_flip".
        flip: whether "dsa" flips; not for digits, whose mirror images are others.
        width, norm: of the networks.
        architectures: names of ``explore.models.architecture``.
        networks: how many of each.
        seed: of their weights and of the order of images.

    Raises:
        InvalidInput, UnknownName: a value is out of range or not known; the message names it.

    Source: the DC line's (arXiv 2006.05929): 300 epochs without augmentation, 1,000 with DSA.

    Example:
        >>> EvaluationProtocol(epochs=1000, augment="dsa").unlike(EvaluationProtocol())
        'epochs 1000 and 300, augment dsa and none'
    """

    epochs: int = 300
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    learned_rate: bool = False
    soft_labels: bool = True
    augment: str = "none"
    flip: bool = True
    width: int = 32
    norm: str = "instance"
    architectures: Sequence[str] = ("convnet",)
    networks: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch": 1, "width": 1, "networks": 1, "seed": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InvalidInput(f"{name} must be a whole number ≥ {low}, got {value!r}")
        if not self.learning_rate > 0:
            raise InvalidInput(f"learning_rate must be above 0, got {self.learning_rate!r}")
        strategy(self.augment)
        names = list(self.architectures)
        if isinstance(self.architectures, str) or not names or len(set(names)) < len(names):
            raise InvalidInput(f"architectures must be a list of different names, got {self.architectures!r}")
        object.__setattr__(self, "architectures", tuple(names))

    def unlike(self, other: EvaluationProtocol) -> str:
        """What differs, of all that must not; how many networks of which kind, and their seed, may."""
        free = {"networks", "architectures", "seed"}
        differing = [f.name for f in fields(self) if f.name not in free and getattr(self, f.name) != getattr(other, f.name)]
        return ", ".join(f"{name} {getattr(self, name)} and {getattr(other, name)}" for name in differing)


def evaluate(
    distilled: DistilledSet,
    test: ImageSet,
    protocol: EvaluationProtocol | None = None,
    factories: Mapping[str, Factory] | None = None,
    device: str = "",
) -> EvaluationRun:
    """A run that trains networks on a distilled set, one a step, and scores each on test images.

    Args:
        distilled: the set.
        test: what is scored on; nothing is chosen by it. Settings are chosen on a "val" split.
        protocol: see ``EvaluationProtocol``.
        factories: your own networks by name, ``factory(classes, seed)``, in place of ``protocol.architectures``.
        device: where to compute.

    Raises:
        InvalidInput: images of other sizes or normalisation than the test set, other classes, or a test set that the
            distilled set was made from.

    Example:
        >>> from explore.data import load
        >>> digits = load("digits")
        >>> few = DistilledSet(digits.batch(range(20)), digits.labels[:20], digits.class_names, digits.mean, digits.std)
        >>> evaluate(few, load("digits", "test"), EvaluationProtocol(epochs=2, networks=3))
        EvaluationRun(digits, network 0 of 3)
    """
    return EvaluationRun(distilled, test, protocol or EvaluationProtocol(), factories, device)


class EvaluationRun:
    """Networks trained on one distilled set; a ``Run`` whose step is a network. Made by ``evaluate``."""

    name = "evaluate"

    def __init__(
        self,
        distilled: DistilledSet,
        test: ImageSet,
        protocol: EvaluationProtocol,
        factories: Mapping[str, Factory] | None = None,
        device: str = "",
    ) -> None:
        self.distilled, self.test, self.protocol = distilled, test, protocol
        self.device = torch.device(device or "cpu")
        check_test(distilled, test)
        if factories is None:
            unknown = [name for name in protocol.architectures if name not in ARCHITECTURES]
            if unknown:
                raise UnknownName("architecture", unknown[0], ARCHITECTURES)
        self.factories: Mapping[str, Factory] = factories or {name: self._usual(name) for name in protocol.architectures}
        self.step, self.steps = 0, len(self.factories) * protocol.networks
        self._found = np.full((len(self.factories), protocol.networks), np.nan, np.float32)
        kept = {**asdict(protocol), "architectures": list(self.factories)}
        about = {"name": "distilled", "shape": list(distilled.images.shape), "sha256": distilled.sha256}
        tested = {"name": test.name, "options": dict(test.options), "sha256": test.sha256}
        self.config: Mapping[str, Any] = {
            "method": self.name,
            "seed": protocol.seed,
            "protocol": kept,
            "data": about,
            "test": tested,
        }

    def __repr__(self) -> str:
        return f"EvaluationRun({self.test.name}, network {self.step} of {self.steps})"

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
        name = list(self.factories)[row]
        network = self.trained(name, number)
        images = self.test.batch()
        if self.distilled.zca:
            images = self.distilled.zca(images)
        self._found[row, number] = accuracy(network, images.to(self.device), self.test.labels.to(self.device))
        self.step += 1

    def trained(self, name: str, number: int) -> nn.Module:
        """Network ``number`` of an architecture, trained on the distilled set; the same at each call."""
        protocol, distilled = self.protocol, self.distilled
        seed = stream_seed(protocol.seed, "evaluation", number)
        network = self.factories[name](len(distilled.class_names), seed).to(self.device)
        labels = distilled.labels if protocol.soft_labels or not distilled.soft else distilled.labels.argmax(1)
        rate = distilled.learning_rate if protocol.learned_rate else None
        operations = strategy(protocol.augment, protocol.flip)

        def changed(x: torch.Tensor, batch: int) -> torch.Tensor:
            return augment(x, draw_augmentation(operations, stream_seed(seed, "augment", batch), len(x)))

        Fit(
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
        ).run()
        return network

    def _usual(self, name: str) -> Factory:
        _, channels, size, _ = self.distilled.images.shape
        width, norm = self.protocol.width, self.protocol.norm
        return lambda classes, seed: architecture(name, channels, classes, size, width=width, norm=norm, seed=seed)

    def snapshot(self) -> xarray.Dataset:
        """Accuracy ``[architecture, network]``; NaN where a network is still to be trained."""
        import xarray

        about = {"long_name": "test accuracy", "units": "1"}
        known = {"architecture": ("architecture", np.array(list(self.factories), object))}
        return xarray.Dataset({"accuracy": (("architecture", "network"), self._found.copy(), about)}, known)

    def result(self) -> xarray.Dataset:
        """The same, with the protocol, and in ``attrs["line"]`` how it was obtained."""
        return self.snapshot().assign_attrs(config=dict(self.config), line=self.line())

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
        split = self.test.options.get("split", "test")
        return (
            f"{score}, mean and standard deviation of {len(known)} networks ({kinds}, {p.width} wide, {p.norm} norm) "
            f"on the {len(self.test):,} {split} images of {self.test.name}; "
            f"trained on {len(self.distilled)} images with {labels} for {p.epochs} epochs by SGD, rate {rate} / 10 at half, "
            f"momentum {p.momentum:g}, weight decay {p.weight_decay:g}, batch {p.batch}, augmentation {p.augment}; "
            "last epoch, nothing chosen on test images."
        )

    def state(self) -> dict[str, Any]:
        """What was found."""
        return {"found": self._found.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back (or on) to a ``state``."""
        self._found = np.array(state["found"], np.float32)


def compare_results(results: Mapping[str, xarray.Dataset], unlike: bool = False) -> pandas.DataFrame:
    """One row a result: mean, standard deviation, n, and the paired difference from the first with its 95 % interval.

    Args:
        results: name → ``EvaluationRun.result()``; network k of one is paired with network k of the other.
        unlike: allow other protocols and test sets beside each other.

    Raises:
        InvalidInput: unlike protocols or test sets; says what differs.
    """
    import pandas
    from scipy.special import stdtrit

    configs = {name: result.attrs["config"] for name, result in results.items()}
    first_name, first = next(iter(configs.items()))
    for name, config in configs.items():
        difference = EvaluationProtocol(**first["protocol"]).unlike(EvaluationProtocol(**config["protocol"]))
        if config["test"]["sha256"] != first["test"]["sha256"]:
            difference = ", ".join(filter(None, [difference, "other test images"]))
        if difference and not unlike:
            raise InvalidInput(
                f"{first_name} and {name} were not evaluated alike: {difference}. Evaluate both alike, or give unlike=True"
            )
    base = results[first_name]["accuracy"].values.ravel()
    rows = []
    for name, result in results.items():
        values = result["accuracy"].values.ravel()
        row: dict[str, Any] = {
            "set": name,
            "accuracy": float(np.nanmean(values)),
            "std": float(np.nanstd(values, ddof=1)),
            "n": len(values),
        }
        apart = values - base if values.shape == base.shape else np.array([])
        if name != first_name and len(apart) > 1:
            half = float(stdtrit(len(apart) - 1, 0.975) * apart.std(ddof=1) / np.sqrt(len(apart)))
            row |= {f"minus {first_name}": float(apart.mean()), "±": half}
        rows.append(row)
    return pandas.DataFrame(rows)


def check_test(distilled: DistilledSet, test: ImageSet) -> None:
    """Refuse a test set that the distilled set cannot be scored on."""
    ours, theirs = list(distilled.images.shape[1:]), list(test.images.shape[1:])
    if ours != theirs:
        raise InvalidInput(f"distilled images are {ours}, test images {theirs}; load the same size")
    ours, theirs = len(distilled.class_names), len(test.class_names)  # type: ignore[assignment]
    if ours != theirs:
        raise InvalidInput(f"the distilled set has {ours} classes, the test set {theirs}: it was made from other data")
    if len(distilled.mean) and not np.allclose([*distilled.mean, *distilled.std], [*test.mean, *test.std], atol=1e-4):
        given = f"mean {list(distilled.mean)}, std {list(distilled.std)}"
        known = f"{list(test.mean)}, {list(test.std)}"
        raise InvalidInput(f"the distilled set is normalised by {given}, the test set by {known}: other data?")
    source = distilled.provenance.get("config", {}).get("data", {})
    if source.get("sha256") == test.sha256:
        raise InvalidInput(f"the set was distilled from these very test images ({test.name}); score it on others")
