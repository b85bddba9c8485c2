"""Singular values and vectors of a matrix, through the product with its own transpose.

The product G of a matrix M, (m, n), with its transpose has the squared singular values of M as
eigenvalues, and the singular vectors of M's shorter side as eigenvectors. It costs a fraction of a
decomposition of M. In float64 a squared singular value has an error of about 1e-16 times the
largest one: sums of squares are exact to many digits, and a singular value below 1e-8 times the
largest one is noise.
"""

import torch
from torch import Tensor


def squared_singular_values(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Compute squared singular values, largest first, and the shorter side's singular vectors.

    matrix: (m, n) float64. Returns (k,) and columns (k, k) with k = min(m, n). The vectors are left
    singular vectors if m ≤ n, else right ones.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares, vectors = torch.linalg.eigh(wide @ wide.T)
    return squares.flip(0).clamp(min=0), vectors.flip(1)


def leading_components(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Find factors (m, r) and (r, n) whose product is the sum of the first r singular components.

    By Eckart and Young, it is the matrix of rank r that is nearest to `matrix`, (m, n) float64.
    """
    _, vectors = squared_singular_values(matrix)
    leading = vectors[:, :rank]
    if matrix.shape[0] <= matrix.shape[1]:
        return leading, leading.T @ matrix
    return matrix @ leading, leading.T
