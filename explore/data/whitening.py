"""ZCA whitening that is fitted once and can be undone."""

from __future__ import annotations

from typing import Self

import torch

from explore.errors import InvalidInput


class ZCA:
    """ZCA whitening of images: ``x' = (x − μ) U diag((s + ε)^-1/2) Uᵀ``.

    Fit it on the real training images once, and apply the same object to everything else. A second
    fit (on distilled images, as in released code) would whiten twice, and is an error.

    Args:
        epsilon: added to the eigenvalues; 0.1 in all dataset-distillation code.

    Example:
        >>> x = torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        >>> zca = ZCA().fit(x)
        >>> bool(torch.allclose(zca.undo(zca(x)), x, atol=1e-5))
        True
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        if not epsilon >= 0:
            raise InvalidInput(f"epsilon must be 0 or more, got {epsilon}")
        self.epsilon = epsilon
        self.mean: torch.Tensor | None = None
        self.forward_matrix: torch.Tensor | None = None
        self.inverse_matrix: torch.Tensor | None = None

    def fit(self, images: torch.Tensor) -> Self:
        """Fit the whitening on images ``[N, C, H, W]`` (N ≥ 2).

        The computation is in float64, which a covariance of thousands of pixels needs.

        Raises:
            InvalidInput: it is fitted already, or there are fewer than two images.
        """
        if self.mean is not None:
            raise InvalidInput(
                "this ZCA is fitted already; fit a new one on real training images, never on "
                "distilled images"
            )
        if images.ndim != 4 or len(images) < 2:
            raise InvalidInput(f"images must be [N, C, H, W] with N ≥ 2, got {list(images.shape)}")
        x = images.flatten(1).double()
        mean = x.mean(0)
        values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / (len(x) - 1))
        values = values.clamp(min=0) + self.epsilon
        self.mean = mean.to(images.dtype)
        self.forward_matrix = ((vectors * values.rsqrt()) @ vectors.T).to(images.dtype)
        self.inverse_matrix = ((vectors * values.sqrt()) @ vectors.T).to(images.dtype)
        return self

    @classmethod
    def of(
        cls,
        mean: torch.Tensor,
        inverse: torch.Tensor,
        epsilon: float = 0.1,
        forward: torch.Tensor | None = None,
    ) -> Self:
        """Create a fitted ZCA from its mean ``[D]`` and the matrix ``[D, D]`` that undoes it.

        Args:
            forward: the matrix that whitens; by default the inverse of ``inverse``.
        """
        zca = cls(epsilon)
        zca.mean, zca.inverse_matrix = mean, inverse
        if forward is None:
            forward = torch.linalg.inv(inverse.double()).to(inverse.dtype)
        zca.forward_matrix = forward
        return zca

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return whitened images of the same shape."""
        mean, matrix = self._matched(self.forward_matrix, images)
        return ((images.flatten(1) - mean) @ matrix).view_as(images)

    def undo(self, images: torch.Tensor) -> torch.Tensor:
        """Undo the whitening of images; returns the same shape."""
        mean, matrix = self._matched(self.inverse_matrix, images)
        return (images.flatten(1) @ matrix + mean).view_as(images)

    def fitted(self) -> dict[str, torch.Tensor]:
        """Return the arguments of ``ZCA.of``: ``mean`` ``[D]``, ``inverse`` and ``forward`` ``[D,
        D]``."""
        if self.mean is None or self.inverse_matrix is None or self.forward_matrix is None:
            raise InvalidInput("this ZCA is not fitted; call fit(real training images) first")
        return {"mean": self.mean, "inverse": self.inverse_matrix, "forward": self.forward_matrix}

    def _matched(
        self, matrix: torch.Tensor | None, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean and a matrix with the dtype and on the device of the images."""
        if matrix is None or self.mean is None:
            raise InvalidInput("this ZCA is not fitted; call fit(real training images) first")
        if images.flatten(1).shape[1] != len(matrix):
            raise InvalidInput(
                f"this ZCA is fitted on images of {len(matrix)} values, got {list(images.shape)}"
            )
        return self.mean.to(images), matrix.to(images)
