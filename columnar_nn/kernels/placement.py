"""Where a program's inner buffers lie: memory is used again once nothing reads it any more.

Or side by side, for threads that share an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from columnar_nn.record import ValueRecord


class Buffer(ValueRecord):
    """Bytes that must be kept from step `first` to step `last`, both included."""

    num_bytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether some step needs both."""
        return self.first <= other.last and other.first <= self.last


class Placement(ValueRecord):
    """Byte offset of every buffer by number, and bytes in all.

    `least_bytes` is the most that some step needs at once, below which no placement can go;
    `unshared_bytes` what the buffers would take side by side.
    """

    offsets: Mapping[int, int]
    num_bytes: int
    least_bytes: int
    unshared_bytes: int


_ROUNDS = 4
"""Orders that are tried: on the networks built in the third reaches what more would reach."""


def place(buffers: Mapping[int, Buffer]) -> Placement:
    """The largest buffer first, each as low as those that it meets leave room for.

    So do Pisarchyk and Lee (arXiv:2001.03288, greedy by size). Where some step needs less at once,
    the buffer that ends last is the first of another round, up to _ROUNDS of them. It reaches
    the least on every network built in but vit_tiny (1.002), without that not on mobilenet_v3
    (1.17) and densenet121 (1.05). In the order of the steps resnet50 took 1.5 times, plain9 1.3
    times the least; by lifetimes, by products with sizes, or into the smallest gap that fits it was
    the first round's or more.
    """
    least = max((_needed(buffers, buffer.first) for buffer in buffers.values()), default=0)
    order = sorted(buffers, key=lambda number: (-buffers[number].num_bytes, number))
    found: list[tuple[int, dict[int, int]]] = []
    while not found or (len(found) < _ROUNDS and found[-1][0] > least):
        offsets = _lowest(buffers, order)
        ends = {number: offset + buffers[number].num_bytes for number, offset in offsets.items()}
        found.append((max(ends.values(), default=0), offsets))
        last = max(ends, key=lambda number: (ends[number], number), default=None)
        order.sort(key=lambda number: number != last)
    num_bytes, offsets = min(found, key=lambda entry: entry[0])
    unshared = sum(buffer.num_bytes for buffer in buffers.values())
    return Placement(offsets, num_bytes, least, unshared)


def _lowest(buffers: Mapping[int, Buffer], order: Iterable[int]) -> dict[int, int]:
    """Offsets of buffers, each as low as those before it in an order leave room for."""
    offsets: dict[int, int] = {}
    for number in order:
        buffer = buffers[number]
        met = [
            (offsets[other], buffers[other]) for other in offsets if buffer.meets(buffers[other])
        ]
        offset = 0
        for start, other in sorted(met, key=lambda entry: entry[0]):
            if offset + buffer.num_bytes <= start:
                break
            offset = max(offset, start + other.num_bytes)
        offsets[number] = offset
    return offsets


def side_by_side(placement: Placement, buffers: Mapping[int, Buffer]) -> Placement:
    """One after the other, none where another was."""
    offsets, end = {}, 0
    for number, buffer in buffers.items():
        offsets[number], end = end, end + buffer.num_bytes
    return placement.replaced(offsets=offsets, num_bytes=end)


def _needed(buffers: Mapping[int, Buffer], step: int) -> int:
    """Bytes of the buffers that a step needs; it is most at some buffer's first step."""
    return sum(b.num_bytes for b in buffers.values() if b.first <= step <= b.last)
