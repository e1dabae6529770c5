"""Whether floats are all finite: what decides if Winograd's algorithm may be used."""

from __future__ import annotations

import ctypes

from columnar_nn.kernels.jit import Kernel

_KERNEL = Kernel("finite", "spoil", num_arguments=3)


def is_finite(address: int, items: int) -> bool:
    """Whether none of `items` float32 from an address on is NaN or infinite."""
    spoiled = ctypes.c_float()
    _KERNEL.run(address, items, ctypes.addressof(spoiled))
    return spoiled.value == 0.0
