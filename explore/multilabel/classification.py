"""Losses of a multi-label classifier: binary cross entropy, focal and asymmetric loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from explore.core.validation import check_choice, check_flag, check_number
from explore.errors import InvalidInput
from explore.multilabel._checks import (
    check_labels,
    check_mask,
    check_result,
    check_values,
    full_precision,
)

REDUCTIONS = ("mean", "sample", "sum")
SMALLEST = 1e-12
"""The smallest p_m whose logarithm is taken; the loss of such a label is 0."""

SMALL_CLIP = 1e-6
"""At a smaller clip, 1 − p_m may round to 0 for certain predictions."""

MOST_GAMMA = 1e6
"""The largest exponent; already at a much smaller one only labels of p_m = 1 count."""


@full_precision
def asymmetric_loss(
    logits: Any,
    labels: Any,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    reduction: str = "mean",
    mask: Any = None,
    focus_gradient: bool = False,
) -> torch.Tensor:
    """Return the asymmetric loss (ASL) of a batch.

    With p = sigmoid(logit) and p_m = max(p − clip, 0), a positive label costs
    −(1 − p)^gamma_pos log p, a negative label −p_m^gamma_neg log(1 − p_m). With both gammas and
    clip 0 this is the binary cross entropy, with equal gammas and clip 0 the focal loss.

    Args:
        logits: ``[N, K]``; halves are computed in float32.
        labels: ``[N, K]`` of 0 and 1.
        gamma_neg, gamma_pos: focusing exponents of negative and positive labels, at most a
            million.
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
    reduction = check_choice("reduction", reduction, REDUCTIONS)
    gamma_neg = check_number("gamma_neg", gamma_neg, at_least=0, at_most=MOST_GAMMA)
    gamma_pos = check_number("gamma_pos", gamma_pos, at_least=0, at_most=MOST_GAMMA)
    clip = check_number("clip", clip, at_least=0, below=1)
    focus_gradient = check_flag("focus_gradient", focus_gradient)
    logits = check_values("logits", logits, ("N", "K"))
    labels = check_labels(labels, mask).to(logits)
    if logits.shape != labels.shape:
        raise InvalidInput(
            f"logits {list(logits.shape)} and labels {list(labels.shape)} must have one shape"
        )
    if mask is not None:
        mask = check_mask(mask, tuple(labels.shape)).to(logits.device)
    log_p, log_not = logsigmoid(logits), logsigmoid(-logits)
    if clip:
        shifted = (torch.sigmoid(logits) - clip).clamp(min=0)
        log_shifted = shifted.clamp(min=SMALLEST).log()
        if clip >= SMALL_CLIP:
            # 1 − p_m is at least ``clip``, so its logarithm is finite.
            log_not_shifted = torch.log1p(-shifted)
        else:
            smallest = torch.full_like(log_not, math.log(clip))
            log_not_shifted = torch.logaddexp(log_not, smallest).clamp(max=0)
    else:
        log_shifted, log_not_shifted = log_p, log_not
    with torch.set_grad_enabled(focus_gradient and torch.is_grad_enabled()):
        # Powers of probabilities, as exponentials, have finite gradients for every exponent.
        focus_pos, focus_neg = (gamma_pos * log_not).exp(), (gamma_neg * log_shifted).exp()
    loss = -torch.where(labels > 0, focus_pos * log_p, focus_neg * log_not_shifted)
    if mask is not None:
        loss = torch.where(mask, loss, 0.0)
    total = loss.sum()
    if reduction == "sample":
        total = total / max(len(loss), 1)
    elif reduction == "mean":
        total = total / max(loss.numel() if mask is None else int(mask.sum()), 1)
    return check_result("the loss", total, "logits")


def focal_loss(
    logits: Any,
    labels: Any,
    gamma: float = 2.0,
    reduction: str = "mean",
    mask: Any = None,
) -> torch.Tensor:
    """Return the focal loss: both kinds of labels are focused by the same exponent.

    Arguments, errors and reductions are those of ``asymmetric_loss``; the gradient passes through
    the focusing factors.

    Source: Lin et al., arXiv 1708.02002, equation 4, without the weight of the classes.

    Example:
        >>> focal_loss(torch.zeros(1, 2), torch.tensor([[1, 0]]), gamma=2.0)
        tensor(0.1733)
    """
    gamma = check_number("gamma", gamma, at_least=0, at_most=MOST_GAMMA)
    return asymmetric_loss(logits, labels, gamma, gamma, 0.0, reduction, mask, True)
