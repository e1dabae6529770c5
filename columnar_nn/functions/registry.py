"""All vector functions by name; a module of them is imported when one of its functions is met."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module

from columnar_nn.functions.vector_function import VectorFunction

MODULES: dict[str, tuple[str, ...]] = {
    "conv2d": ("conv2d",),
    "scale_add": ("vec_scal_add", "vec_scal_mul", "mat_add"),
    "batch_norm": ("batch_norm",),
    "clamps": ("relu", "clip"),
    "activations": (
        *("celu", "elu", "hard_sigmoid", "hard_swish", "leaky_relu", "mish", "selu", "sigmoid"),
        *("softplus", "softsign", "tanh", "thresholded_relu", "gelu", "gelu_tanh", "silu"),
        "prelu",
    ),
    "elementary": (
        *("abs", "ceil", "erf", "exp", "floor", "log", "neg", "reciprocal", "round", "sign"),
        "sqrt",
    ),
    "arithmetic": (
        *("vec_add", "vec_sub", "vec_mul", "vec_div", "vec_pow", "vec_max", "vec_min"),
        *("vec_equal", "vec_greater", "vec_greater_or_equal", "vec_less", "vec_less_or_equal"),
        *("vec_and", "vec_or", "vec_keep", "vec_drop"),
    ),
    "pooling": ("max_pool", "avg_pool", "global_avg_pool"),
    "resize": ("resize",),
    "reductions": (
        *("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_l1"),
        *("reduce_l2", "reduce_sum_square"),
    ),
    "lrn": ("lrn",),
    "normalization": ("layer_norm", "group_norm"),
    "mat_mul": ("mat_mul",),
    "matrix_product": ("matrix_product",),
    "softmax": ("softmax", "log_softmax", "hardmax"),
    "argmax": ("argmax", "argmin"),
    "reshape": ("flatten", "reshape"),
    "rearrange": ("slice", "transpose", "pad", "expand", "tile", "gather"),
    "concat": ("concat",),
    "pixels_to_float": ("pixels_to_float",),
    "conv_layer": ("conv_layer",),
    "dense_layer": ("dense_layer",),
    "inverted_bottleneck": ("inverted_bottleneck",),
    "matrix_layer": ("matrix_layer",),
    "pipeline": ("pipeline",),
}
"""The names of the functions of each module, which its FUNCTIONS are."""


class VectorFunctions(MutableMapping[str, VectorFunction]):
    """Functions by name: those of MODULES, and those that users declare."""

    def __init__(self) -> None:
        self._modules = {name: module for module, names in MODULES.items() for name in names}
        self._loaded: dict[str, VectorFunction] = {}

    def __getitem__(self, name: str) -> VectorFunction:
        found = self._loaded.get(name)
        if found is None:
            module = import_module(f"columnar_nn.functions.{self._modules[name]}")
            self._loaded.update((function.name, function) for function in module.FUNCTIONS)
            found = self._loaded[name]
        return found

    def __setitem__(self, name: str, function: VectorFunction) -> None:
        self._loaded[name] = function

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self._modules

    def __iter__(self) -> Iterator[str]:
        yield from self._modules
        yield from (name for name in self._loaded if name not in self._modules)

    def __len__(self) -> int:
        return len({*self._modules, *self._loaded})


VECTOR_FUNCTIONS = VectorFunctions()
