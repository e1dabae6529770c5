"""A program: kernels on random odd shapes, every array against a page that no one may touch."""

from __future__ import annotations

import random
import sys

from hypothesis import Phase, given, seed, settings
from kernels import guarded
from kernels.convolutions import Case, check
from kernels.test_conv2d import cases
from soak.soaking import still_alive


def main() -> None:
    first, shapes = map(int, sys.argv[2:])
    with guarded.guarded_kernels():
        check_shapes(first, shapes)


def check_shapes(first: int, shapes: int) -> None:
    @seed(first)
    @settings(max_examples=shapes, phases=[Phase.generate], deadline=None, database=None)
    @given(cases())
    def check_convolution(case: Case) -> None:
        for algorithm in case.algorithms():
            still_alive()
            print(case, algorithm, flush=True)
            check(case, algorithm)

    check_convolution()
    chance = random.Random(first)
    for _ in range(shapes):
        still_alive()
        channels, height, width = (
            chance.choice((1, 2, 15, 16, 17, 33)),
            *chance.choices(range(1, 24), k=2),
        )
        guarded.other_kernels((channels, height, width))


if __name__ == "__main__":
    main()
