"""Eigenvectors of a small symmetric matrix by Jacobi's rotations: the same figures on every machine.

Source: G. H. Golub and C. F. Van Loan, Matrix Computations, section 8.5 (cyclic Jacobi).
"""

from __future__ import annotations

import math

import numpy as np

from detectors.compiling import seldom

SWEEPS = 60


@seldom
def eigenvectors(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues in falling order and the unit eigenvectors, one a row."""
    size = symmetric.shape[0]
    a, vectors = np.empty((size, size)), np.zeros((size, size))
    for p in range(size):
        vectors[p, p] = 1.0
        for q in range(size):
            a[p, q] = symmetric[p, q]
    for _ in range(SWEEPS):
        off = 0.0
        for p in range(size):
            for q in range(p + 1, size):
                off += a[p, q] * a[p, q]
        if off < 1e-28:
            break
        for p in range(size):
            for q in range(p + 1, size):
                if a[p, q] != 0:
                    _rotate(a, vectors, p, q)
    values = np.empty(size)
    for i in range(size):
        values[i] = a[i, i]
    _put_in_order(values, vectors)
    return values, vectors


@seldom
def _put_in_order(values: np.ndarray, vectors: np.ndarray) -> None:
    """Let the values fall, each with its row. By hand: numpy's argsort takes seconds to compile."""
    for i in range(values.size):
        greatest = i
        for j in range(i + 1, values.size):
            greatest = j if values[j] > values[greatest] else greatest
        values[i], values[greatest] = values[greatest], values[i]
        for k in range(values.size):
            vectors[i, k], vectors[greatest, k] = vectors[greatest, k], vectors[i, k]


@seldom
def _rotate(a: np.ndarray, vectors: np.ndarray, p: int, q: int) -> None:
    """Turn the plane of rows p and q so that a[p, q] becomes 0."""
    theta = (a[q, q] - a[p, p]) / (2 * a[p, q])
    tangent = (1.0 if theta >= 0 else -1.0) / (abs(theta) + math.sqrt(theta * theta + 1))
    cosine = 1 / math.sqrt(tangent * tangent + 1)
    sine = tangent * cosine
    for k in range(a.shape[0]):
        left, right = a[k, p], a[k, q]
        a[k, p] = cosine * left - sine * right
        a[k, q] = sine * left + cosine * right
    for k in range(a.shape[0]):
        left, right = a[p, k], a[q, k]
        a[p, k] = cosine * left - sine * right
        a[q, k] = sine * left + cosine * right
    for k in range(a.shape[0]):
        left, right = vectors[p, k], vectors[q, k]
        vectors[p, k] = cosine * left - sine * right
        vectors[q, k] = sine * left + cosine * right
