"""ZCA whitening that is fitted once and can be undone."""

from __future__ import annotations

from typing import Any, Self

import torch

from explore.core.tensor_validation import as_tensor, check_finite, check_tensor
from explore.core.validation import check_number, describe
from explore.data._memmap import check_memory
from explore.errors import InvalidInput


class ZCA:
    """ZCA whitening of images: ``x' = (x − μ) U diag((s + ε)^-1/2) Uᵀ``.

    Fit it on the real training images once, and apply the same object to everything else. A second
    fit (on distilled images, as in released code) would whiten twice, and is an error. Bytes, other
    whole numbers and halves are computed as floats.

    Args:
        epsilon: added to the eigenvalues; 0.1 in all dataset-distillation code. It can be 0 only
            for more images than an image has values.

    Raises:
        InvalidInput: ``epsilon`` is no number of at least 0.

    Example:
        >>> x = torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        >>> zca = ZCA().fit(x)
        >>> bool(torch.allclose(zca.undo(zca(x)), x, atol=1e-5))
        True
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        self.epsilon = check_number("epsilon", epsilon, at_least=0)
        self.mean: torch.Tensor | None = None
        self.forward_matrix: torch.Tensor | None = None
        self.inverse_matrix: torch.Tensor | None = None

    def fit(self, images: Any) -> Self:
        """Fit the whitening on images ``[N, C, H, W]`` (N ≥ 2).

        The computation is in float64, which a covariance of thousands of pixels needs. The matrices
        have the type of the images if that is float32 or float64, and otherwise float32.

        Raises:
            InvalidInput: it is fitted already, there are fewer than two images, a value is not
                finite or too large, the matrices would not fit into the memory, or ``epsilon`` is 0
                and the images do not vary in every direction.
        """
        if self.mean is not None:
            raise InvalidInput(
                "this ZCA is fitted already; fit a new one on real training images, never on "
                "distilled images"
            )
        images = as_tensor("images", images).detach()
        if images.ndim != 4 or len(images) < 2 or not images.numel():
            raise InvalidInput(f"images must be [N, C, H, W] with N ≥ 2, got {describe(images)}")
        check_finite("images", images)
        size = images[0].numel()
        check_memory(5 * 8 * size**2, f"a whitening of images of {size} values", "smaller images")
        x = images.flatten(1).double()
        mean = x.mean(0)
        covariance = (x - mean).T @ (x - mean) / (len(x) - 1)
        if not covariance.isfinite().all():
            raise InvalidInput("the images are too large to be whitened; divide them first")
        values, vectors = torch.linalg.eigh(covariance)
        values = values.clamp(min=0)
        if not self.epsilon and values[0] <= values[-1] * size * torch.finfo(values.dtype).eps:
            raise InvalidInput(
                f"with epsilon 0, the {len(x)} images must vary in all {size} directions; pass a "
                "larger epsilon, such as 0.1, or more images"
            )
        values = values + self.epsilon
        dtype = _computed_type(images)
        matrices = [(vectors * scale) @ vectors.T for scale in (values.rsqrt(), values.sqrt())]
        forward, inverse = (matrix.to(dtype) for matrix in matrices)
        if not (forward.isfinite().all() and inverse.isfinite().all()):
            raise InvalidInput(
                "the images are too small or too large, or epsilon is; scale them first"
            )
        self.mean, self.forward_matrix, self.inverse_matrix = mean.to(dtype), forward, inverse
        return self

    @classmethod
    def of(cls, mean: Any, inverse: Any, epsilon: float = 0.1, forward: Any = None) -> Self:
        """Create a fitted ZCA from its mean ``[D]`` and the matrix ``[D, D]`` that undoes it.

        Args:
            mean, inverse: finite floats.
            epsilon: that of the fit.
            forward: the matrix that whitens; by default the inverse of ``inverse``.

        Raises:
            InvalidInput: other shapes, whole numbers, NaN or infinities, or a matrix without an
                inverse.

        Example:
            >>> zca = ZCA.of(torch.zeros(4), 2 * torch.eye(4))
            >>> zca(torch.ones(1, 1, 2, 2)).flatten().tolist()
            [0.5, 0.5, 0.5, 0.5]
        """
        zca = cls(epsilon)
        mean = check_tensor("mean", mean, ("D",), finite=True).detach()
        shape = getattr(inverse, "shape", ())
        if shape and shape[0] != len(mean):
            raise InvalidInput(
                f"mean must have one value for each row of inverse, got {len(mean)} values for "
                f"{describe(inverse)}"
            )
        inverse = check_tensor("inverse", inverse, (len(mean),) * 2, finite=True).detach()
        dtype = _computed_type(inverse)
        if forward is None:
            try:
                forward = torch.linalg.inv(inverse.double())
            except RuntimeError as error:
                raise InvalidInput(
                    "inverse is singular, so no whitening belongs to it; pass forward as well"
                ) from error
        forward = check_tensor("forward", forward, (len(mean),) * 2, finite=True).detach()
        zca.mean = mean.to(_computed_type(mean))
        zca.inverse_matrix, zca.forward_matrix = inverse.to(dtype), forward.to(dtype)
        check_finite("rows of forward", zca.forward_matrix)
        return zca

    def __call__(self, images: Any) -> torch.Tensor:
        """Return whitened images of the same shape.

        The result has the type of the images if that is a type of floats, and otherwise float32.

        Raises:
            InvalidInput: it is not fitted, or on images of another size.
        """
        images, x, mean, matrix = self._matched(self.forward_matrix, images)
        return _restore((x - mean) @ matrix, images)

    def undo(self, images: Any) -> torch.Tensor:
        """Undo the whitening of images; returns the same shape.

        The result has the type of the images if that is a type of floats, and otherwise float32.

        Raises:
            InvalidInput: it is not fitted, or on images of another size.
        """
        images, x, mean, matrix = self._matched(self.inverse_matrix, images)
        return _restore(x @ matrix + mean, images)

    def fitted(self) -> dict[str, torch.Tensor]:
        """Return the arguments of ``ZCA.of``: ``mean`` ``[D]``, ``inverse`` and ``forward`` ``[D,
        D]``."""
        if self.mean is None or self.inverse_matrix is None or self.forward_matrix is None:
            raise InvalidInput("this ZCA is not fitted; call fit(real training images) first")
        return {"mean": self.mean, "inverse": self.inverse_matrix, "forward": self.forward_matrix}

    def _matched(
        self, matrix: torch.Tensor | None, images: Any
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the images, their values ``[N, D]`` as floats, the mean and a matrix like them."""
        if matrix is None or self.mean is None:
            raise InvalidInput("this ZCA is not fitted; call fit(real training images) first")
        images = as_tensor("images", images)
        if images.ndim < 2 or images.flatten(1).shape[1] != len(matrix):
            raise InvalidInput(
                f"this ZCA is fitted on images of {len(matrix)} values, got {list(images.shape)}"
            )
        x = images.flatten(1).to(_computed_type(images))
        return images, x, self.mean.to(x), matrix.to(x)


def _computed_type(x: torch.Tensor) -> torch.dtype:
    """Return the type in which a tensor is computed: float64 if it has that, else float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _restore(x: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return a result in the shape of the images, and in their type if that is one of floats."""
    result = x.view(images.shape)
    return result.to(images.dtype) if images.is_floating_point() else result
