"""The run of one multi-label training; its frames show samples that are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from explore.core.runs import BaseRun, stream_seed
from explore.core.tensor_validation import as_tensor, check_device
from explore.core.validation import check_choice, describe
from explore.data.multilabel_input import resolve_multilabel
from explore.data.multilabel_set import MultilabelSet
from explore.data.stratification import stratified_split
from explore.errors import InvalidInput
from explore.multilabel.config import TRAINING_METHODS, MultilabelConfig
from explore.multilabel.kernel_mixture import KernelMixture
from explore.multilabel.metrics import average_precision
from explore.multilabel.mixture_density import DensityMixture, mixture_uncertainty
from explore.multilabel.networks import EncoderFactory, MultilabelNetwork, Outputs
from explore.multilabel.recordings import TERM_NAMES, TRAINING, UNCERTAINTY_NAMES
from explore.multilabel.training import MultilabelTraining

if TYPE_CHECKING:
    import xarray


def train(
    data: Any,
    method: str = "kmcl",
    *,
    encoder: EncoderFactory | None = None,
    device: Any = None,
    **options: Any,
) -> MultilabelRun:
    """Return a run that trains a multi-label classifier on your data.

    Pass it to ``record``, or call ``advance`` in a loop.

    Args:
        data: a pair ``(inputs, labels)`` of ``[N, C, H, W]`` images or ``[N, F]`` feature vectors
            and ``[N, K]`` labels of 0 and 1, a ``MultilabelSet``, an ``ImageSet`` with
            ``multi_hot``, or the name of a set.
        method: "bce", "focal", "asl", "multisupcon", "mulsupcon", "kmcl", "kmcl-constant" or
            "probmcl".
        encoder: ``factory(seed)`` that returns a network from samples to features ``[N, D]``, such
            as ``lambda seed: torchvision_network``. By default a small one. Layers that draw random
            numbers in training, such as dropout, use PyTorch's global random state, so that a run
            with them cannot be repeated.
        device: of the computation, such as "cuda"; by default that of the data.
        **options: the other fields of ``MultilabelConfig``.

    Returns:
        A ``Run`` at step 0; its steps are epochs. ``run.network`` is trained in place, and
        ``run.predict`` returns probabilities.

    Raises:
        InvalidInput: see ``MultilabelConfig`` and ``MultilabelSet``; or an encoder that does not
            fit.
        UnknownName: another method.

    Example:
        >>> x, y = torch.randn(60, 8), (torch.rand(60, 3) < 0.4).float()
        >>> run = train((x, y), "asl", epochs=2).run()
        >>> run, run.predict(x).shape
        (MultilabelRun(asl on tensors, step 2 of 2), torch.Size([60, 3]))
    """
    from explore.core.registry import make_config, method as registered_method

    method = check_choice("method", method, TRAINING_METHODS)
    source = resolve_multilabel(data)
    is_default = device is None or (isinstance(device, str) and not device)
    device = source.inputs.device if is_default else check_device(device)
    values = {"method": method, "data": "tensors", "device": str(device), **options}
    return MultilabelRun(make_config(registered_method(method), values), source, encoder)


def build(config: MultilabelConfig, data: Any = None) -> MultilabelRun:
    """Return the run of a configuration."""
    return MultilabelRun(config, resolve_multilabel(config.data if data is None else data))


class MultilabelRun(BaseRun):
    """The training of a multi-label classifier; a step is an epoch.

    Args:
        options: see ``MultilabelConfig``.
        source: all samples; some are held out for the frames.
        encoder: see ``train``.

    Attributes:
        held: the samples that are held out.
        training: a ``MultilabelTraining``.

    Raises:
        InvalidInput: fewer than ten samples.
    """

    def __init__(
        self,
        options: MultilabelConfig,
        source: MultilabelSet,
        encoder: EncoderFactory | None = None,
    ) -> None:
        if len(source) < 10:
            raise InvalidInput(f"a training with held-out samples needs 10, got {len(source)}")
        self.device = check_device(options.device)
        self.name, self.options, self.source = options.method, options, source
        share = min(options.holdout, len(source) // 5) / len(source)
        seed = stream_seed(options.seed, "holdout") % 2**32
        rows, held = stratified_split(source.labels, [1 - share, share], seed)
        self.held = source.subset(held)
        self.training = MultilabelTraining(options, source.subset(rows).to(self.device), encoder)
        self.steps = self.training.steps
        self.class_names = source.label_names
        self.config: Mapping[str, Any] = options.identity(source.describe())

    @property
    def network(self) -> MultilabelNetwork:
        """The network in training."""
        return self.training.network

    @property
    def message(self) -> str:
        """The loss of the last epoch."""
        stage = "classifier, " if self.step > self.options.epochs else ""
        return f"{stage}loss {self.training.loss:.3g}"

    def advance(self) -> None:
        """Train for one epoch."""
        if self.step < self.steps:
            self.training.advance()
            self.step = self.training.step

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the probability of each label, ``[N, K]``, for samples like those of the data.

        Args:
            inputs: images or feature vectors of the shape and type of the data; they are
                normalised in the same way.

        Raises:
            InvalidInput: samples of another shape or type, or with NaN.
        """
        source = self.source
        inputs = as_tensor("inputs", inputs).detach()
        is_vector = inputs.ndim == 2
        if is_vector or inputs.is_floating_point():
            inputs = inputs.float()
        if (
            inputs.ndim < 2
            or inputs.shape[1:] != source.shape
            or inputs.dtype != source.inputs.dtype
        ):
            raise InvalidInput(
                f"samples must be {source.inputs.dtype} [N, {', '.join(map(str, source.shape))}], "
                f"as those of the data, got {describe(inputs)}"
            )
        labels = torch.zeros(len(inputs), len(source.label_names))
        samples = replace(
            source, inputs=inputs, labels=labels, mask=None, name="tensors", options={}
        )
        return self.training.probabilities(samples)

    def snapshot(self) -> xarray.Dataset:
        """Return features, predictions and mixtures of the held-out samples, and mAP on them."""
        outputs = self.training.outputs(self.held)
        values = _visible(outputs)
        probabilities = torch.sigmoid(outputs.logits).cpu().numpy()
        values["probability"] = probabilities.astype(np.float16)
        precision = np.float32("nan")
        if self.training.has_classifier:
            mask = self.held.mask
            per_label = average_precision(probabilities, self.held.labels, mask)
            if np.isfinite(per_label).any():
                precision = np.float32(np.nanmean(per_label))
        values["mean_average_precision"] = precision
        values["loss"] = np.float32(self.training.loss)
        terms = [self.training.terms.get(name, float("nan")) for name in TERM_NAMES]
        values["term"] = np.array(terms, np.float32)
        coordinates: dict[str, Any] = {
            "label": np.array(self.source.label_names, object),
            "present": self.held.labels.cpu().numpy().astype(bool),
            "term_name": np.array(TERM_NAMES, object),
        }
        if self.held.mask is not None:
            coordinates["known"] = self.held.mask.cpu().numpy()
        if "uncertainty" in values:
            coordinates["uncertainty_kind"] = np.array(UNCERTAINTY_NAMES, object)
        if self.held.is_image:
            coordinates["thumbnail"] = _thumbnails(self.held)
        return TRAINING.frame(values, coordinates)

    def result(self) -> xarray.Dataset:
        """Return the probabilities of the held-out samples in full precision."""
        values = {"probability": self.training.probabilities(self.held).cpu().numpy()}
        present = self.held.labels.cpu().numpy().astype(bool)
        return TRAINING.frame(values, {"present": present})

    def summary(self) -> str:
        """Return the mAP on the held-out samples."""
        precision = float(self.snapshot()["mean_average_precision"])
        return f"mAP {precision:.1%} on {len(self.held)} held-out samples"

    def state(self) -> dict[str, Any]:
        """Return the step, weights and optimizers."""
        return {**super().state(), **self.training.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a ``state``."""
        super().restore(state)
        self.training.restore(state)


def _visible(outputs: Outputs) -> dict[str, Any]:
    """Return the embedding of a network's outputs and, of mixtures, the components."""
    mixture = outputs.contrasted
    if isinstance(mixture, DensityMixture):
        measures = mixture_uncertainty(mixture)
        return {
            "embedding": _to_float16(mixture.latent),
            "component_mean": _to_float16(mixture.means),
            "component_variance": _to_float16(mixture.variances),
            "component_weight": _to_float16(mixture.log_weights.exp()),
            "uncertainty": np.stack(
                [measures[name].cpu().numpy() for name in UNCERTAINTY_NAMES]
            ).astype(np.float32),
        }
    if isinstance(mixture, KernelMixture):
        values = {
            "embedding": _to_float16(mixture.features),
            "component_weight": _to_float16(mixture.probabilities),
        }
        if mixture.means.ndim == 2:  # Those of all axes would be too large for a recording.
            values["component_mean"] = _to_float16(mixture.means)
            values["component_variance"] = _to_float16(mixture.variances)
        return values
    return {"embedding": _to_float16(outputs.features)}


def _to_float16(values: torch.Tensor) -> np.ndarray:
    """Return float16 values; larger ones than it can hold become its largest."""
    limit = float(np.finfo(np.float16).max)
    return values.clamp(-limit, limit).cpu().numpy().astype(np.float16)


def _thumbnails(samples: MultilabelSet) -> np.ndarray:
    """Return the first or the first three channels as uint8 ``[n, H, W]`` or ``[n, H, W, 3]``."""
    pixels = samples.to_display(samples.batch()).numpy()
    return pixels[:, 0] if pixels.shape[1] < 3 else pixels[:, :3].transpose(0, 2, 3, 1)
