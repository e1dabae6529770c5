"""Convolutions as data: shapes and attributes, the algorithms that apply, their error bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from closeness import assert_close
from kernels.images import error, narrow, normal, run

from columnar_nn.kernels import (
    NO_ACTIVATION,
    RELU,
    Activation,
    BoundKernel,
    Layout,
    choose_algorithm,
    conv2d,
    conv2d_bfloat16,
)
from columnar_nn.kernels.bfloat16_product import UNIT
from reference.conv import conv

RELU6 = Activation(0.0, 6.0)

BOUNDS = {"direct": 1e-5, "textbook": 1e-5, "winograd": 5e-5}


@dataclass(frozen=True)
class Case:
    """One convolution; `groups` divides channels and filters."""

    channels: int
    filters: int
    size: tuple[int, int]
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: Activation = NO_ACTIVATION
    residual: bool = False
    kind: str = "nchw16c"

    @property
    def attributes(self) -> dict:
        return {
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
        }

    @property
    def layout(self) -> Layout:
        return Layout(self.kind, (self.channels, *self.size))

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return (self.filters, self.channels // self.groups, *self.kernel)

    def algorithms(self) -> list[str]:
        """Every algorithm that can compute it."""
        choice = choose_algorithm(
            self.layout, np.ones(self.weight_shape), groups=self.groups, **self.attributes
        )
        return [*sorted(choice.costs), "textbook"]


def check(case: Case, algorithm: str, images: np.ndarray | None = None) -> None:
    """Fails unless an algorithm agrees with the reference within its bound.

    The textbook's gets its images planar, whatever the case says.

    Images may hold NaN and infinity, which must come out where the reference has them.
    """
    if algorithm == "textbook":
        case = replace(case, kind="planar")
    image = normal(1, 2, case.channels, *case.size) if images is None else images
    weight, bias = normal(2, *case.weight_shape), normal(3, case.filters)
    kernel = conv2d(
        case.layout,
        weight,
        bias,
        groups=case.groups,
        activation=case.activation,
        algorithm=algorithm,
        residual=case.residual,
        **case.attributes,
    )
    with np.errstate(invalid="ignore"):
        expected = conv(
            image.astype(np.float64),
            weight.astype(np.float64),
            bias.astype(np.float64),
            group=case.groups,
            **case.attributes,
        )
    inputs = [image]
    if case.residual:
        inputs.append(normal(4, *expected.shape))
        expected = expected + inputs[1]
    expected = np.clip(expected, case.activation.low, case.activation.high)
    actual, bound = run(kernel, *inputs), BOUNDS[algorithm.partition("_")[0]]
    if images is None:
        assert error(actual, expected) < bound
    else:
        largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        assert_close(actual, expected.astype(np.float32), rtol=0, atol=bound * float(largest))


def in_bfloat16(
    case: Case, algorithm: str = "direct"
) -> tuple[BoundKernel, list[np.ndarray], np.ndarray]:
    """The kernel of a case, its inputs, and what NumPy makes of them, rounded, in float64."""
    image, weight = normal(1, 2, case.channels, *case.size), normal(2, *case.weight_shape)
    bias = normal(3, case.filters)
    kernel = conv2d_bfloat16(
        Layout("nhwc_bf16", (case.channels, *case.size)),
        weight,
        bias,
        groups=case.groups,
        activation=case.activation,
        algorithm=algorithm,
        residual=case.residual,
        **case.attributes,
    )
    expected = conv(narrow(image), narrow(weight), bias, group=case.groups, **case.attributes)
    inputs = [image]
    if case.residual:
        inputs.append(normal(4, *expected.shape))
        expected = expected + narrow(inputs[1])
    return kernel, inputs, np.clip(expected, case.activation.low, case.activation.high)


def check_in_bfloat16(case: Case) -> None:
    """Fails unless values are the nearest bfloat16 of sums that float32 rounds in another order.

    Or, by Winograd's algorithm, within its bound, and by root mean squares as near as is expected.
    """
    kernel, inputs, expected = in_bfloat16(case)
    noise = 1e-5 * float(np.abs(expected).max())
    assert_close(run(kernel, *inputs), expected, rtol=2.0**-8, atol=noise)
    kernel, inputs, expected = in_bfloat16(case, "winograd")
    if "winograd" in kernel.name:
        errors = run(kernel, *inputs) - expected
        assert np.abs(errors).max() < kernel.error_bound * np.abs(inputs[0]).max()
        terms = case.channels * 9 * (expected != case.activation.low).mean()
        assert np.sqrt(np.square(errors).mean()) < 4 * UNIT * np.sqrt(terms)


CASES = (
    Case(16, 16, (10, 11)),
    Case(17, 33, (13, 9), pads=(1, 1, 1, 1), activation=RELU, residual=True),
    Case(1, 1, (5, 4), pads=(1, 0, 2, 1)),
    Case(64, 64, (22, 22), activation=RELU),
    Case(3, 16, (12, 15), kind="planar", activation=RELU6),
    Case(3, 17, (31, 33), (7, 7), (2, 2), (3, 3, 3, 3), kind="planar"),
    Case(3, 10, (13, 14), (3, 5), (2, 3), (3, 3, 3, 3), (2, 2), kind="planar"),
    Case(40, 3, (9, 10), pads=(1, 1, 1, 1), activation=RELU, residual=True),
    Case(40, 40, (9, 8), (3, 3), (2, 2), (1, 1, 1, 1), groups=40, residual=True),
    Case(17, 17, (7, 23), (5, 5), (1, 1), (2, 2, 2, 2), groups=17, activation=RELU6, residual=True),
    Case(20, 20, (6, 15), (3, 4), (1, 2), (2, 1, 0, 2), groups=20),
    Case(64, 32, (9, 7), (1, 1)),
    Case(24, 40, (10, 13), (1, 1), activation=Activation(0.5, 6.0), residual=True),
    Case(21, 24, (7, 15), pads=(1, 1, 1, 1), residual=True),
    Case(3, 5, (9, 31), strides=(2, 2), pads=(0, 0, 1, 1), activation=RELU6, kind="planar"),
    Case(3, 40, (32, 48), (16, 16), (16, 16), kind="planar"),
    Case(5, 20, (6, 33), (2, 16), (1, 2), kind="planar"),
    Case(20, 32, (9, 7), (1, 1), (2, 2)),
    Case(40, 70, (1, 1), (1, 1), activation=RELU6),
    Case(17, 10, (9, 9), (5, 5), (1, 2), (2, 2, 2, 2), (1, 2)),
    Case(32, 64, (9, 9), groups=4),
    Case(12, 24, (9, 9), pads=(1, 1, 1, 1), groups=4),
    Case(33, 1, (21, 5), (3, 1)),
)
"""A few of every kind: each vector width and the memory guard run these."""


def main() -> None:
    """Checks every case; run as a program where the environment changes the kernels."""
    for case in CASES:
        for algorithm in case.algorithms():
            print(case, algorithm, flush=True)
            check(case, algorithm)
        check_in_bfloat16(case)


if __name__ == "__main__":
    main()
