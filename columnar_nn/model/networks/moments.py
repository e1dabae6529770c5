"""Mean and variance of channels, followed through layers as if values were independent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
"""Where a function of a normal value is evaluated, and how much each value counts."""


class Moments(NamedTuple):
    """Mean and variance of each channel, float64 [C]."""

    mean: np.ndarray
    variance: np.ndarray

    def through(self, function: Callable[[np.ndarray], np.ndarray]) -> Moments:
        """Those of a smooth function of each value, by Gauss-Hermite quadrature."""
        deviation = np.sqrt(self.variance)
        values = function(self.mean[:, np.newaxis] + deviation[:, np.newaxis] * _NODES)
        weights = _WEIGHTS / _WEIGHTS.sum()
        return self._of_moments(values @ weights, values**2 @ weights)

    def rectified(self) -> Moments:
        """Those of max(x, 0)."""
        mean, variance = self
        deviation = np.sqrt(variance)
        ratio = mean / deviation
        below = 0.5 * np.array([math.erfc(r / math.sqrt(2.0)) for r in ratio])
        density = np.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
        first = mean * (1.0 - below) + deviation * density
        second = (mean**2 + variance) * (1.0 - below) + mean * deviation * density
        return self._of_moments(first, second)

    def _of_moments(self, first: np.ndarray, second: np.ndarray) -> Moments:
        """From means of values and of their squares; rounding leaves no variance below 0."""
        return Moments(first, np.maximum(second - first**2, 1e-6 * self.variance))

    def convolved(self, weight: np.ndarray, group: int) -> Moments:
        """Those of the filters of a convolution, [filters, channels / group, *window]."""
        filters, channels = weight.shape[:2]
        mean, variance = (moment.reshape(group, 1, -1) for moment in self)
        grouped = weight.reshape(group, filters // group, channels, -1).astype(np.float64)
        return Moments(
            (grouped.sum(axis=3) * mean).sum(axis=2).reshape(-1),
            ((grouped**2).sum(axis=3) * variance).sum(axis=2).reshape(-1),
        )

    def up_convolved(self, weight: np.ndarray) -> Moments:
        """Those of the filters of a transposed convolution whose windows do not overlap."""
        taps = weight.astype(np.float64).reshape(*weight.shape[:2], -1)
        return Moments(
            np.einsum("cfk,c->f", taps, self.mean) / taps.shape[2],
            np.einsum("cfk,c->f", taps**2, self.variance) / taps.shape[2],
        )

    def summed(self, weight: np.ndarray) -> Moments:
        """Those of the sums that a weight [units, channels] makes."""
        mean, variance = (moment.astype(np.float32) for moment in self)
        squares = np.einsum("ij,ij,j->i", weight, weight, variance)
        return Moments((weight @ mean).astype(np.float64), squares.astype(np.float64))

    def plus(self, other: Moments) -> Moments:
        """Those of a sum."""
        return Moments(self.mean + other.mean, self.variance + other.variance)

    def times(self, other: Moments) -> Moments:
        """Those of a product."""
        squares = self.mean**2 * other.variance + other.mean**2 * self.variance
        return Moments(self.mean * other.mean, squares + self.variance * other.variance)

    def scaled(self, factor: np.ndarray | float) -> Moments:
        """Those of the values times `factor`, one or one a channel."""
        return Moments(self.mean * factor, self.variance * factor**2)

    def normalized(self) -> Moments:
        """Those of values that are normalised over the channels of each pixel."""
        variance = self.variance.mean() + self.mean.var()
        return Moments((self.mean - self.mean.mean()) / np.sqrt(variance), self.variance / variance)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The logistic function."""
    gate: np.ndarray = 1.0 / (1.0 + np.exp(-x))
    return gate


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    """Its piecewise linear form, of slope 1/6."""
    gate: np.ndarray = np.clip(x / 6.0 + 0.5, 0.0, 1.0)
    return gate


def silu(x: np.ndarray) -> np.ndarray:
    """x times its sigmoid."""
    gated: np.ndarray = x * sigmoid(x)
    return gated


def hard_swish(x: np.ndarray) -> np.ndarray:
    """x times its hard sigmoid."""
    gated: np.ndarray = x * hard_sigmoid(x)
    return gated


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution's function."""
    errors = np.array([math.erf(value / math.sqrt(2.0)) for value in x.ravel()])
    gated: np.ndarray = 0.5 * x * (1.0 + errors.reshape(x.shape))
    return gated
