"""Kernels of the columnar engine: bind one to layouts and weights, run a program of them.

    image = Layout("uint8", (3, 32, 32))
    pixels = pixels_to_float(image)
    conv = conv2d(pixels.output_layout, weight, bias, activation=RELU)
    logits = dense(conv.output_layout, matrix, offsets)
    program = Program(
        (Step(pixels, (0,), 1), Step(conv, (1,), 2), Step(logits, (2,), 3)), (0,), (3,)
    )
    program.run([images], [logits_array])

Binding functions take the `Layout` of their inputs and weights as NumPy arrays, pack the
weights, and return a `BoundKernel`, whose `output_layout` the next one takes. Convolutions
write nchw16c; pooling reads and writes it; `dense` reads either and writes planar features.
A kernel is compiled when its program first runs, or taken from the cache (`cache`).

A family of kernels is two files of one name. `kernels/pool.py` holds its record, a NamedTuple of
what its kernels know of a layer (`parameters`), and the functions that bind them by filling it.
`kernels/jitted/pool.py` holds the kernels, Python functions that read the record by name and are
compiled by numba (`jitted`); it is imported only where the cache lacks one of them, for a process
that compiles nothing must not import numba. Families that few networks need are imported when first
used; those of them that have a function of their own name, `normalization`, `rearrange`, `reorder`,
`resize` and `softmax`, from their files, as a module has one thing of a name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from columnar_nn.kernels.activation import NO_ACTIVATION, RELU, Activation
from columnar_nn.kernels.conv2d import choose_algorithm, conv2d
from columnar_nn.kernels.dense import dense
from columnar_nn.kernels.elementwise import binary, pixels_to_float, scale_add, unary
from columnar_nn.kernels.layout import BoundKernel, Layout
from columnar_nn.kernels.program import Program, Step
from columnar_nn.kernels.python_function import PythonFunction
from columnar_nn.kernels.threads import Threads

if TYPE_CHECKING:
    from columnar_nn.kernels.bfloat16 import choose_bfloat16, conv2d_bfloat16, dense_bfloat16
    from columnar_nn.kernels.bfloat16_matrix import matrix_product_bfloat16
    from columnar_nn.kernels.bfloat16_reorder import narrow, widen
    from columnar_nn.kernels.columns import ColumnFunction, Kind
    from columnar_nn.kernels.matrix import matrix_product
    from columnar_nn.kernels.pool import average_pool, global_average_pool, max_pool
    from columnar_nn.kernels.reduce import REDUCTIONS, local_response_normalization, reduction
    from columnar_nn.kernels.reorder import channels_first, channels_last, concat
    from columnar_nn.kernels.rows import of_row
    from columnar_nn.kernels.team import Team, TeamProgram, useful_parts

_WHEN_USED = {
    "choose_bfloat16": "bfloat16",
    "conv2d_bfloat16": "bfloat16",
    "dense_bfloat16": "bfloat16",
    "matrix_product_bfloat16": "bfloat16_matrix",
    "narrow": "bfloat16_reorder",
    "widen": "bfloat16_reorder",
    "ColumnFunction": "columns",
    "Kind": "columns",
    "matrix_product": "matrix",
    "average_pool": "pool",
    "global_average_pool": "pool",
    "max_pool": "pool",
    "REDUCTIONS": "reduce",
    "local_response_normalization": "reduce",
    "reduction": "reduce",
    "channels_first": "reorder",
    "channels_last": "reorder",
    "concat": "reorder",
    "of_row": "rows",
    "Team": "team",
    "TeamProgram": "team",
    "useful_parts": "team",
}
"""The module of each name that is imported when it is first used."""

__all__ = [
    "NO_ACTIVATION",
    "REDUCTIONS",
    "RELU",
    "Activation",
    "BoundKernel",
    "ColumnFunction",
    "Kind",
    "Layout",
    "Program",
    "PythonFunction",
    "Step",
    "Team",
    "TeamProgram",
    "Threads",
    "average_pool",
    "binary",
    "channels_first",
    "channels_last",
    "choose_algorithm",
    "choose_bfloat16",
    "concat",
    "conv2d",
    "conv2d_bfloat16",
    "dense",
    "dense_bfloat16",
    "global_average_pool",
    "local_response_normalization",
    "matrix_product",
    "matrix_product_bfloat16",
    "max_pool",
    "narrow",
    "of_row",
    "pixels_to_float",
    "reduction",
    "scale_add",
    "unary",
    "useful_parts",
    "widen",
]


def __getattr__(name: str) -> Any:
    if name not in _WHEN_USED:
        raise AttributeError(f"module {__name__!r} has no name {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_WHEN_USED[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
