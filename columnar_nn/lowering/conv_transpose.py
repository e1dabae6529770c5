"""ConvTranspose as convolutions that make all pixels of a step, and a shuffle.

With a stride of s, pixel q * s + r of the result sees every s-th entry of the filter, from one
that r decides on, at the pixels q, q - 1, ... of the input. Each r has a filter of its own. Those
that see as many pixels, from the same one on, are made by one convolution of stride 1, as channels
that then lie side by side: a single one if the stride divides the filter. No zeros are inserted,
neither into the image nor into the filters, where an infinity would become NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from columnar_nn.expressions.expression import Expression
from columnar_nn.lowering.registry import Gap, call, lowers, need_one_tensor
from columnar_nn.lowering.window import convolved
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.window import Window, conv_transpose_window


class Phases(NamedTuple):
    """Places in a step of one axis that see the pixels first, first + spacing, ... back from q.

    `entries` are those of the filter that each of them sees there.
    """

    places: list[int]
    entries: list[list[int]]
    first: int
    spacing: int

    @property
    def last(self) -> int:
        """How far back the last pixel lies."""
        return self.first + self.spacing * (len(self.entries[0]) - 1)


@lowers("ConvTranspose")
def _conv_transpose(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    filters, bias = operands.constant(1, "the filters"), operands.constant(2, "the bias")
    assert filters is not None
    window, group = conv_transpose_window(operands), operands.attribute("group")
    rank = len(window.output)
    if rank > 3:
        raise Gap(f"{rank} spatial dimensions; kernels convolve 1 to 3")
    step = _Step(operands, inputs[0], window, _as_of_conv(filters, group), bias, group)
    return step.result()


class _Step:
    """One transposed convolution on its way to an expression."""

    def __init__(
        self,
        operands: Operands,
        image: Expression,
        window: Window,
        filters: np.ndarray,
        bias: np.ndarray | None,
        group: int,
    ) -> None:
        self._operands, self._image, self._window = operands, image, window
        self._filters, self._group = filters, group
        self._row = [size for size in operands.shape(0)[1:] if size is not None]
        self._rank = rank = len(window.output)
        strides, pads = window.strides, window.pads
        self._phases = [
            _phases(window.kernel_shape[i], strides[i], window.dilations[i]) for i in range(rank)
        ]
        seen = [sum(len(p.places) for p in phases) for phases in self._phases]
        self._blind = [stride - n for stride, n in zip(strides, seen, strict=True)]
        self._begin = [pads[i] // strides[i] for i in range(rank)]
        self._counts = [
            -(-(pads[i] + window.output[i]) // strides[i]) - self._begin[i] for i in range(rank)
        ]
        self._bias = None if any(self._blind) else bias
        self._added_bias = bias if any(self._blind) else None

    def result(self) -> Expression:
        """The pixels of all steps side by side, without what the padding crops."""
        rank, strides, counts = self._rank, self._window.strides, self._counts
        value = self._places([])
        channels = len(self._filters)
        order = [0, *(axis for i in range(rank) for axis in (1 + rank + i, 1 + i))]
        whole = [n * s for n, s in zip(counts, strides, strict=True)]
        if max(strides) > 1:
            value = self._call("transpose", value, perm=order)
        value = self._call("reshape", value, shape=[channels, *whole])
        starts = [self._window.pads[i] % strides[i] for i in range(rank)]
        stops = [start + size for start, size in zip(starts, self._window.output, strict=True)]
        if any(starts) or stops != whole:
            bounds = {"starts": [0, *starts], "stops": [channels, *stops]}
            value = self._call("slice", value, **bounds, steps=[1] * (rank + 1))
        if self._added_bias is not None:
            value = call(self._operands, "vec_scal_add", [value], {"bias": self._added_bias})
        return value

    def _places(self, chosen: list[Phases]) -> Expression:
        """[filters, places in a step..., steps...] of the phases chosen along the first axes."""
        axis = len(chosen)
        if axis == self._rank:
            return self._convolved(chosen)
        phases = self._phases[axis]
        parts = [self._places([*chosen, of_places]) for of_places in phases]
        value = parts[0]
        if len(parts) > 1:
            value = call(self._operands, "concat", parts, axis=2 + axis)
        places = [place for of_places in phases for place in of_places.places]
        if self._blind[axis]:  # places that see no pixel at all
            ends = [0] * (1 + 2 * self._rank)
            ends[1 + axis] = self._blind[axis]
            value = self._call("pad", value, pads=[*[0] * len(ends), *ends])
            places += [p for p in range(self._window.strides[axis]) if p not in places]
        if places != sorted(places):
            order = {"indices": np.argsort(places)}
            value = call(self._operands, "gather", [value], order, axis=2 + axis)
        return value

    def _convolved(self, chosen: Sequence[Phases]) -> Expression:
        """One convolution of stride 1: the places that see as much along each axis."""
        rank, counts, begin = self._rank, self._counts, self._begin
        before = [phases.last - begin[i] for i, phases in enumerate(chosen)]
        after = [
            begin[i] + counts[i] - phases.first - self._row[1 + i]
            for i, phases in enumerate(chosen)
        ]
        image, row = self._image, self._row
        if min(*before, *after) < 0:  # pixels that only cropped ones would see
            ends = list(zip(row[1:], before, after, strict=True))
            crops = [  # positive where no pixel is left but a zero of the padding
                [min(b, max(0, 1 - size - a)) for size, b, a in ends],
                [min(a, max(0, 1 - size - b)) for size, b, a in ends],
            ]
            image = self._call("pad", image, pads=[0, *crops[0], 0, *crops[1]])
            row = [row[0], *(n + b + a for n, b, a in zip(row[1:], *crops, strict=True))]
            before, after = (
                [pad - crop for pad, crop in zip(pads, cropped, strict=True)]
                for pads, cropped in zip((before, after), crops, strict=True)
            )
        kernel = self._filters
        for axis, phases in enumerate(chosen):
            kernel = np.take(kernel, np.array(phases.entries)[:, ::-1], axis=2 + 2 * axis)
        # [filters, channels, place, entry, place, entry, ...]
        order = [0, *(2 + 2 * i for i in range(rank)), 1, *(3 + 2 * i for i in range(rank))]
        kernel = kernel.transpose(order)
        places, taps = kernel.shape[1 : 1 + rank], kernel.shape[2 + rank :]
        kernel = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[1 + rank], *taps))
        window = Window(
            kernel_shape=tuple(taps),
            strides=(1,) * rank,
            dilations=tuple(phases.spacing for phases in chosen),
            pads=(*before, *after),
            output=tuple(counts),
        )
        bias = None if self._bias is None else np.repeat(self._bias, math.prod(places))
        result = convolved(self._operands, image, row, kernel, bias, window, self._group)
        if math.prod(self._window.strides) == 1:
            return result
        return self._call("reshape", result, shape=[len(self._filters), *places, *counts])

    def _call(self, function: str, value: Expression, **attributes: Any) -> Expression:
        return call(self._operands, function, [value], **attributes)


def _as_of_conv(filters: np.ndarray, group: int) -> np.ndarray:
    """Filters [C, M/group, kernel...] as those of a Conv, [M, C/group, kernel...]."""
    channels, filters_a_group, *kernel = filters.shape
    grouped = filters.reshape(group, channels // group, filters_a_group, *kernel).swapaxes(1, 2)
    return grouped.reshape(group * filters_a_group, channels // group, *kernel)


def _phases(kernel: int, stride: int, dilation: int) -> list[Phases]:
    """The places in a step of one axis that see a pixel, by which ones they see."""
    spacing = dilation // math.gcd(dilation, stride)
    found: dict[tuple[int, int], Phases] = {}
    for place in range(stride):
        entries = [entry for entry in range(kernel) if (entry * dilation - place) % stride == 0]
        if entries:
            first = (entries[0] * dilation - place) // stride
            phases = found.setdefault((first, len(entries)), Phases([], [], first, spacing))
            phases.places.append(place)
            phases.entries.append(entries)
    return list(found.values())
