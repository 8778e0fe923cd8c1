"""Losses of a multi-label classifier: binary cross entropy, focal and asymmetric loss."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from explore.core.validation import check_choice, check_number
from explore.errors import InvalidInput
from explore.multilabel._checks import check_finite, check_labels, full_precision, widen

REDUCTIONS = ("mean", "sample", "sum")
SMALLEST = 1e-12
"""The smallest p_m whose logarithm is taken; the loss of such a label is 0."""


@full_precision
def asymmetric_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    reduction: str = "mean",
    mask: torch.Tensor | None = None,
    focus_gradient: bool = False,
) -> torch.Tensor:
    """Return the asymmetric loss (ASL) of a batch.

    With p = sigmoid(logit) and p_m = max(p − clip, 0), a positive label costs
    −(1 − p)^gamma_pos log p, a negative label −p_m^gamma_neg log(1 − p_m). With both gammas and
    clip 0 this is the binary cross entropy, with equal gammas and clip 0 the focal loss.

    Args:
        logits: ``[N, K]``.
        labels: ``[N, K]`` of 0 and 1.
        gamma_neg, gamma_pos: focusing exponents of negative and positive labels.
        clip: probability margin m of negative labels, in [0, 1).
        reduction: "mean" over all known labels; "sample": sum over labels, mean over samples;
            "sum" over all, as in the released code. The mean over N × K labels has 1 / (N K) of
            the gradient of the sum.
        mask: bool ``[N, K]``, False for missing labels, which cost nothing. None: all are known.
        focus_gradient: let the gradient also pass through the focusing factors. The released
            training does not.

    Returns:
        A scalar; with no known label an exact 0, connected to the logits.

    Raises:
        InvalidInput: labels other than 0 and 1, shapes that do not match, logits that are not
            finite, or a negative gamma.

    Source: Ben-Baruch et al., arXiv 2009.14119, equations 4 to 7.

    Example:
        >>> logits, labels = torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 0]])
        >>> bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
        >>> bool(torch.isclose(asymmetric_loss(logits, labels, 0, 0, 0), bce))
        True
    """
    check_choice("reduction", reduction, REDUCTIONS)
    check_number("gamma_neg", gamma_neg, at_least=0)
    check_number("gamma_pos", gamma_pos, at_least=0)
    check_number("clip", clip, at_least=0, below=1)
    logits = widen(logits)
    if logits.shape != labels.shape:
        raise InvalidInput(
            f"logits {list(logits.shape)} and labels {list(labels.shape)} must have one shape"
        )
    check_finite("logits", logits)
    positive = check_labels(labels, mask).to(logits.dtype)
    log_p, log_not = logsigmoid(logits), logsigmoid(-logits)
    if clip:
        # 1 − p_m is at least ``clip``, so its logarithm is finite.
        shifted = (torch.sigmoid(logits) - clip).clamp(min=0)
        log_shifted, log_not_shifted = shifted.clamp(min=SMALLEST).log(), torch.log1p(-shifted)
    else:
        log_shifted, log_not_shifted = log_p, log_not
    with torch.set_grad_enabled(focus_gradient and torch.is_grad_enabled()):
        # Powers of probabilities, as exponentials, have finite gradients for every exponent.
        focus_pos, focus_neg = (gamma_pos * log_not).exp(), (gamma_neg * log_shifted).exp()
    loss = -torch.where(positive > 0, focus_pos * log_p, focus_neg * log_not_shifted)
    if mask is not None:
        loss = torch.where(mask, loss, 0.0)
    if reduction == "sum":
        return loss.sum()
    if reduction == "sample":
        return loss.sum() / max(len(loss), 1)
    count = loss.numel() if mask is None else int(mask.sum())
    return loss.sum() / max(count, 1)


def focal_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    gamma: float = 2.0,
    reduction: str = "mean",
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the focal loss: both kinds of labels are focused by the same exponent.

    Arguments, errors and reductions are those of ``asymmetric_loss``; the gradient passes through
    the focusing factors.

    Source: Lin et al., arXiv 1708.02002, equation 4, without the weight of the classes.

    Example:
        >>> focal_loss(torch.zeros(1, 2), torch.tensor([[1, 0]]), gamma=2.0)
        tensor(0.1733)
    """
    return asymmetric_loss(logits, labels, gamma, gamma, 0.0, reduction, mask, True)
