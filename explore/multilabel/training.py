"""The training of one network with one of the losses, and its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from explore.core.runs import stream_seed
from explore.data.multilabel_set import MultilabelSet
from explore.errors import InvalidInput, RunDiverged
from explore.models.training import Fit, evaluation_mode
from explore.multilabel.classification import asymmetric_loss, focal_loss
from explore.multilabel.config import DEFAULT_ALPHA, MultilabelConfig
from explore.multilabel.contrast import Contrast, mulsupcon_loss, multisupcon_loss
from explore.multilabel.kmcl import kmcl_loss
from explore.multilabel.networks import EncoderFactory, Outputs, create_network
from explore.multilabel.probmcl import probmcl_loss
from explore.multilabel.views import random_view


class MultilabelTraining:
    """The training of a network; a step is an epoch.

    All losses are sums over labels and means over samples. ProbMCL-style training has two stages:
    first encoder and mixture, then a classifier on the frozen encoder.

    Args:
        options: see ``MultilabelConfig``.
        source: the training samples, on the device of the computation.
        encoder: your own; see ``create_network``.

    Attributes:
        network: a ``MultilabelNetwork``.
        terms: the terms of the loss in the last batch, as numbers.
        step, steps: epochs done and planned.

    Raises:
        InvalidInput: fewer than two samples, or an encoder that does not fit.
    """

    def __init__(
        self,
        options: MultilabelConfig,
        source: MultilabelSet,
        encoder: EncoderFactory | None = None,
    ) -> None:
        if len(source) < 2:
            raise InvalidInput(f"a training needs two samples or more, got {len(source)}")
        self.options, self.source = options, source
        self.device = source.inputs.device
        self.has_stages = options.method == "probmcl"
        seed = stream_seed(options.seed, "networks") % 2**32
        self.network = create_network(source, options, seed, encoder).to(self.device)
        self.terms: dict[str, float] = {}
        self.step = 0
        self.steps = options.epochs + (options.classifier_epochs if self.has_stages else 0)
        self._inputs = source.batch()
        self._mask = source.mask
        self._fit = self._create_fit(
            self.network, self._inputs, self._loss, options.epochs, options.learning_rate, True
        )
        self._classifier_fit: Fit | None = None

    @property
    def loss(self) -> float:
        """The mean loss of the last epoch; NaN before the first."""
        fit = self._fit if self._classifier_fit is None else self._classifier_fit
        return fit.loss

    def advance(self) -> None:
        """Train for one epoch.

        Raises:
            RunDiverged: the loss, or a weight after the last step, is not a finite number.
        """
        if self.step < self.options.epochs:
            self._fit.advance()
        else:
            self._start_classifier().advance()
        values = [*self.network.parameters(), *self.network.buffers()]
        if not all(bool(v.isfinite().all()) for v in values):
            raise self._divergence("weights of the network are NaN or infinite")
        self.step += 1

    def _divergence(self, reason: str) -> RunDiverged:
        """Return the error of a training that cannot go on."""
        return RunDiverged(
            f"{reason} in epoch {self.step + 1} of {self.options.method}; the learning rate "
            f"{self.options.learning_rate:g} may be too large"
        )

    def run(self) -> MultilabelTraining:
        """Advance to the end and return the training itself."""
        while self.step < self.steps:
            self.advance()
        return self

    @property
    def has_classifier(self) -> bool:
        """Whether the classifier is trained, at least in part."""
        return self.step > (self.options.epochs if self.has_stages else 0)

    def _create_fit(
        self, network: nn.Module, inputs: Any, loss: Any, epochs: int, rate: float, views: bool
    ) -> Fit:
        options, labels = self.options, self.source.labels
        targets = (labels,) if self._mask is None else (labels, self._mask)
        return Fit(
            network,
            inputs,
            targets,
            loss=loss,
            epochs=epochs,
            learning_rate=rate,
            schedule="cosine",
            optimizer="adam",
            weight_decay=0.0,
            batch=options.batch,
            seed=stream_seed(options.seed, "training"),
            augment=self._augment if views else None,
            pool=self._without_a_single_row if views and self._leaves_a_single_row() else None,
        )

    def _leaves_a_single_row(self) -> bool:
        """Return whether the last batch is a single row, which batch norm may refuse."""
        is_single = len(self.source) % self.options.batch == 1 and not self.has_stages
        return is_single and any(isinstance(m, _BatchNorm) for m in self.network.modules())

    def _without_a_single_row(self, epoch: int) -> torch.Tensor:
        """Return all samples but one, another one in each epoch."""
        count = len(self.source)
        row = stream_seed(self.options.seed, "left out", epoch) % count
        return torch.cat([torch.arange(row), torch.arange(row + 1, count)])

    def _augment(self, samples: torch.Tensor, number: int) -> torch.Tensor:
        """Return a view of each sample, or two for a method that contrasts views."""
        options = self.options
        return torch.cat(
            [
                random_view(
                    samples, options.views, stream_seed(options.seed, "augment", number, view)
                )
                for view in range(2 if self.has_stages else 1)
            ]
        )

    def _loss(
        self, outputs: Outputs, labels: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss of a batch and remember its terms."""
        try:
            terms = loss_terms(self.options, outputs, labels, mask)
        except InvalidInput as error:  # Labels and options are checked; outputs are not.
            raise self._divergence(f"the loss cannot be computed ({error})") from error
        self.terms = {name: float(torch.as_tensor(value).detach()) for name, value in terms.items()}
        total: torch.Tensor = terms["total"]
        return total

    def _start_classifier(self) -> Fit:
        """Return the training of the classifier on the features of the frozen encoder."""
        if self._classifier_fit is None:
            classifier = self.network.classifier
            assert classifier is not None
            self.network.encoder.eval()
            self._classifier_fit = self._create_fit(
                classifier,
                self.outputs(self.source).features,  # Constants: the encoder does not change.
                self._classifier_loss,
                self.options.classifier_epochs,
                max(self.options.learning_rate, 0.01),
                False,
            )
        return self._classifier_fit

    def _classifier_loss(
        self, logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        try:
            return asymmetric_loss(logits, labels, reduction="sample", mask=mask)
        except InvalidInput as error:
            raise self._divergence(f"the loss cannot be computed ({error})") from error

    @torch.no_grad()
    def outputs(self, samples: MultilabelSet, batch: int = 500) -> Outputs:
        """Return features, logits and what is contrasted of all samples, in evaluation mode.

        Raises:
            RunDiverged: features or logits are not finite.
        """
        with evaluation_mode(self.network):
            parts = [
                self.network(samples.batch(rows).to(self.device))
                for rows in torch.arange(len(samples)).split(batch)
            ]
        if not all(bool(p.logits.isfinite().all() & p.features.isfinite().all()) for p in parts):
            raise RunDiverged(
                f"the network of {self.options.method} returns NaN or infinite values after "
                f"{self.step} epochs; the learning rate {self.options.learning_rate:g} may be too "
                "large"
            )
        first = parts[0].contrasted
        contrasted = first
        if isinstance(first, torch.Tensor):
            contrasted = torch.cat([part.contrasted for part in parts])
        elif first is not None:
            columns = zip(*(part.contrasted for part in parts), strict=True)
            contrasted = type(first)(*map(torch.cat, columns))
        return Outputs(
            torch.cat([part.features for part in parts]),
            torch.cat([part.logits for part in parts]),
            contrasted,
        )

    def probabilities(self, samples: MultilabelSet) -> torch.Tensor:
        """Return the predicted probability of each label, ``[N, K]``."""
        return torch.sigmoid(self.outputs(samples).logits)

    def state(self) -> dict[str, Any]:
        """Return the step, the terms of the loss and the state of both stages."""
        state: dict[str, Any] = {"training.step": self.step}
        state |= {f"term.{name}": value for name, value in self.terms.items()}
        for name, fit in (("first", self._fit), ("classifier", self._classifier_fit)):
            if fit is not None:
                state |= {f"{name}.{key}": value for key, value in fit.state().items()}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a ``state``, of this stage or of another."""
        self.step = int(state["training.step"])
        parts: dict[str, dict[str, Any]] = {"term": {}, "first": {}, "classifier": {}}
        for key, value in state.items():
            stage, _, name = key.partition(".")
            if stage in parts:
                parts[stage][name] = value
        self.terms = {name: float(value) for name, value in parts["term"].items()}
        self._fit.restore(parts["first"])
        self._classifier_fit = None
        if parts["classifier"]:
            self._start_classifier().restore(parts["classifier"])


def loss_terms(
    options: MultilabelConfig,
    outputs: Outputs,
    labels: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> dict[str, Any]:
    """Return the terms of a method's loss for a batch, and "total".

    A missing label has no part in the classification. In contrasts and in the likelihood of
    "probmcl" it counts as absent, so that no pair is positive because of it; the reconstruction of
    KMCL leaves its component out.

    Args:
        options: see ``MultilabelConfig``.
        outputs: of the network; of two views of each sample for "probmcl".
        labels: ``[N, K]`` of 0 and 1; any value where a label is missing.
        mask: bool ``[N, K]``, False for missing labels.
    """
    method, weight = options.method, options.contrast_weight_used
    if mask is not None:
        labels = torch.where(mask, labels, 0.0)
    if method.startswith("kmcl"):
        constant = method == "kmcl-constant"
        return kmcl_loss(
            outputs.contrasted,
            labels,
            temperature=options.temperature_used,
            correlation="none" if constant else options.correlation,
            alpha=options.alpha,
            overlap=options.overlap,
            reconstruction_weight=options.reconstruction_weight,
            contrast_weight=weight,
            mask=mask,
        )
    if method == "probmcl":
        return probmcl_loss(
            outputs.contrasted,
            labels,
            alpha=options.alpha or DEFAULT_ALPHA[method],
            overlap=options.overlap,
            temperature=options.temperature_used,
            similarity=options.similarity,
            contrast_weight=weight,
            views=2,
        )
    if method == "asl":
        loss = asymmetric_loss(outputs.logits, labels, reduction="sample", mask=mask)
    elif method == "focal":
        loss = focal_loss(outputs.logits, labels, reduction="sample", mask=mask)
    else:
        loss = asymmetric_loss(outputs.logits, labels, 0, 0, 0, "sample", mask)
    contrast: Contrast | None = None
    if method == "multisupcon":
        alpha = options.alpha or DEFAULT_ALPHA[method]
        contrast = multisupcon_loss(
            outputs.contrasted, labels, options.temperature_used, alpha, options.overlap
        )
    elif method == "mulsupcon":
        contrast = mulsupcon_loss(outputs.contrasted, labels, options.temperature_used)
    if contrast is None:
        return {"classification": loss, "total": loss}
    total = loss + weight * contrast.loss
    return {
        "classification": loss,
        "contrast": contrast.loss,
        "total": total,
        "anchors": contrast.anchors,
        "skipped": contrast.skipped,
    }
