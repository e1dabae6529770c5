"""Numba's front end without its back end: a Python function to LLVM's language.

What is internal to numba is used here and in `convention` alone. Its bytecode analysis, type
inference and lowering are taken; its own LLVM pipeline, wrappers for Python, run time and file
cache are not. They are what makes numba's compiling slow (`kernels.jit` has the measurements), and
without them the object code calls nothing but the C library.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, lowering, typed_passes, untyped_passes
from numba.core import ir as numba_ir
from numba.core.compiler import CompilerBase, CompileResult, Flags, compile_extra
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.cpu import FastMathOptions
from numba.core.imputils import RefType, iternext_impl
from numba.core.registry import cpu_target
from numba.core.typeconv import Conversion
from numba.core.typing.templates import (
    AbstractTemplate,
    ConcreteTemplate,
    Signature,
    infer_global,
)
from numba.extending import lower_builtin, models, register_model

from columnar_nn.kernels.jitted.convention import call, call_as_written
from columnar_nn.kernels.jitted.emitter import Emitter, Value, align_loop
from columnar_nn.kernels.jitted.modules import reached_from

CONVERTS = Conversion.unsafe
"""What a type answers of another that may stand in its place, though not without loss."""


class _Library(codegen.CodeLibrary):
    """The modules of a function and of those that it calls, as they were written."""

    def __init__(self, name: str) -> None:
        super().__init__(cpu_target.target_context.codegen(), name)
        self._modules: list[ir.Module | str] = []
        self._libraries: list[_Library] = []

    def add_ir_module(self, ir_module: ir.Module) -> None:
        self._modules.append(ir_module)

    def add_text(self, module: str) -> None:
        """Adds a module in LLVM's language."""
        self._modules.append(module)

    def add_linking_library(self, library: codegen.CodeLibrary) -> None:
        if isinstance(library, _Library):
            self._libraries.append(library)

    def finalize(self) -> None:
        self._finalized = True

    def get_function(self, name: str) -> ir.Function:
        raise NotImplementedError

    def get_llvm_str(self) -> str:
        return "\n".join(map(str, self.modules()))

    def get_asm_str(self) -> str:
        raise NotImplementedError

    def modules(self) -> list[ir.Module | str]:
        """Each module once, however often its functions are called."""
        found = {id(module): module for module in self._modules}
        for library in self._libraries:
            found.update((id(module), module) for module in library.modules())
        return list(found.values())


_NAMED = (type, type(min))
"""What `range`, `float` and `min` are in Python."""


@register_pass(mutates_CFG=False, analysis_only=False)
class _Meanings(FunctionPass):
    """Puts what is meant in kernels in the place of operators and functions of Python."""

    _name = "meanings"

    def __init__(self) -> None:
        super().__init__()

    def meanings(self) -> Mapping[Any, Any]:
        """What is meant by operators and functions."""
        return MEANINGS

    def run_pass(self, state: Any) -> bool:
        meanings = self.meanings()
        for block in state.func_ir.blocks.values():
            for operation in ("binop", "unary"):
                for expression in block.find_exprs(op=operation):
                    expression.fn = meanings.get(expression.fn, expression.fn)
            for expression in block.find_exprs(op="inplace_binop"):  # nothing changes in place
                function = expression.immutable_fn
                expression.fn = meanings.get(function, function)
            for assignment in block.find_insts(numba_ir.Assign):
                name = assignment.value
                if isinstance(name, numba_ir.Global) and isinstance(name.value, _NAMED):
                    name.value = meanings.get(name.value, name.value)
                    name.name = "meant"
        return True


@register_pass(mutates_CFG=False, analysis_only=False)
class _MeaningsOfPython(_Meanings):
    """As they are in Python, of what a user has written."""

    _name = "meanings of Python"

    def meanings(self) -> Mapping[Any, Any]:
        return MEANINGS_OF_PYTHON


class _Lower(lowering.Lower):
    """Aligns loops."""

    def lower_inst(self, inst: Any) -> None:
        super().lower_inst(inst)
        if isinstance(inst, numba_ir.Jump):  # what does not go back is not changed by it
            align_loop(self.builder.block.terminator)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(typed_passes.NativeLowering):
    """Numba's, of loops that are aligned."""

    _name = "lowering"

    @property
    def lowering_class(self) -> type:
        return _Lower


class _Compiler(CompilerBase):
    """Without closures, literals, inlining of Python, rewrites, array expressions, annotations."""

    meanings: type = _Meanings

    def define_pipelines(self) -> list[PassManager]:
        passes = PassManager("kernel")
        for kind in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            self.meanings,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            _Lowering,
            typed_passes.NoPythonBackend,
        ):
            passes.add_pass(kind, "")
        passes.finalize()
        return [passes]


class _CompilerOfPython(_Compiler):
    """Of what a user has written."""

    meanings = _MeaningsOfPython


def _flags() -> Flags:
    flags = Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.forceinline = True
    flags.nrt = flags.boundscheck = flags.enable_pyobject = False
    flags.error_model = "numpy"
    flags.fastmath = FastMathOptions(False)  # NaN, infinity and the order of sums stay as written
    return flags


def compile_function(
    function: Callable,
    arguments: Sequence[types.Type],
    result: types.Type | None = None,
    pipeline: type[_Compiler] = _Compiler,
) -> CompileResult:
    """A function typed and lowered for arguments, its result inferred if None."""
    library = _Library(function.__qualname__)
    contexts = cpu_target.typing_context, cpu_target.target_context
    with global_compiler_lock:
        return compile_extra(
            *contexts,
            function,
            tuple(arguments),
            result,
            _flags(),
            {},
            library=library,
            pipeline_class=pipeline,
        )


def result_as_written(function: Callable, arguments: Sequence[types.Type]) -> types.Type:
    """Numba's type of what a user's function returns."""
    compiled = compile_function(function, arguments, pipeline=_CompilerOfPython)
    return types.unliteral(compiled.signature.return_type)


def _template(base: type, function: Callable, **attributes: Any) -> types.Function:
    """What numba types calls of a function by."""
    return types.Function(type(function.__name__, (base,), {"key": function, **attributes}))


def inlined(function: Callable) -> Callable:
    """Decorator: a Python function that kernels call, compiled for the types that they give."""
    _inline(function, functools.partial(_compiled, function, _Compiler))
    return function


@functools.cache
def inlined_as_written(function: Callable) -> Callable:
    """A user's function that kernels call: as `inlined`, with Python's meaning of operators."""
    _inline(function, functools.partial(_compiled, function, _CompilerOfPython), call_as_written)
    return function


def compiled_by_numba(signature: Signature) -> Callable[[Callable], Callable]:
    """Decorator: a Python function that kernels call, compiled by numba itself, back end and all.

    That is done at once, since a function that is compiled for another takes over its flags.
    """

    def decorate(function: Callable) -> Callable:
        made = numba.njit(signature)(function).overloads[signature.args]
        name = made.fndesc.mangled_name  # what else is in its library are ways in from Python and C
        library = _Library(name)
        library.add_text(reached_from(name, made.library.get_llvm_str()))
        _inline(function, lambda *_: made._replace(library=library), only=signature.args)
        return function

    return decorate


def inlined_as(function: Callable, *given: types.Type) -> Callable[[Callable], Any]:
    """Decorator: as `inlined`, of what a function of Python is in kernels for some types."""

    def decorate(written: Callable) -> Callable:
        _inline(function, functools.partial(_compiled, written, _Compiler), only=given)
        return written

    return decorate


def _compiled(
    written: Callable, pipeline: type[_Compiler], *arguments: types.Type
) -> CompileResult:
    return compile_function(written, arguments, pipeline=pipeline)


def _inline(
    function: Any,
    compile_for: Callable[..., CompileResult],
    by: Callable = call,
    only: tuple[types.Type, ...] | None = None,
) -> None:
    """Has calls of a function be those of one that is compiled, of any types or of some only."""
    compiled = functools.cache(compile_for)

    def generic(_: AbstractTemplate, arguments: tuple[types.Type, ...], __: Any) -> Any:
        if only is not None and arguments != only:
            return None
        return compiled(*map(types.unliteral, arguments)).signature

    def lower(context: Any, builder: ir.IRBuilder, sig: Signature, values: Any) -> Any:
        callee = compiled(*sig.args)
        context.active_code_library.add_linking_library(callee.library)
        return by(builder, callee, values)

    infer_global(function, _template(AbstractTemplate, function, generic=generic))
    lower_builtin(function, *(only or (types.VarArg(types.Any),)))(lower)


def emitted(*signatures: Signature) -> Callable[[Callable], Any]:
    """Decorator: a function that kernels call, written in the emitting language.

    It is called with an Emitter and a Value an argument, and gives a Value or None. `signatures`
    are those that it may be called with, as `block(block, float32)`; numbers convert to them.
    """

    def decorate(emit: Callable) -> Any:
        emitted_as(emit, *signatures)(emit)
        return emit

    return decorate


def emitted_as(function: Callable, *signatures: Signature) -> Callable[[Callable], Any]:
    """Decorator: as `emitted`, of what a function of Python or an operator is in kernels."""

    def decorate(emit: Callable) -> Any:
        def lower(context: Any, builder: ir.IRBuilder, _: Signature, values: Any) -> Any:
            emitter = Emitter(builder)
            result = emit(emitter, *map(emitter.of, values))
            return context.get_dummy_value() if result is None else result.ir

        infer_global(function, _template(ConcreteTemplate, function, cases=list(signatures)))
        for known in signatures:
            lower_builtin(function, *known.args)(lower)
        return emit

    return decorate


def meant_of(
    operation: Callable, applies: Callable[[types.Type], bool], kind: types.Type
) -> Callable[[Callable], Any]:
    """Decorator: what an operator means of arguments that are all taken as `kind`, and gives that.

    It is written in the emitting language. Of other arguments the operator is numba's. Gives what
    stands for the operator.
    """

    def generic(template: AbstractTemplate, arguments: tuple[types.Type, ...], names: Any) -> Any:
        if all(map(applies, arguments)):
            return kind(*[kind] * len(arguments))
        return template.context.resolve_function_type(operation, arguments, names)

    def decorate(emit: Callable) -> Any:
        def lower(context: Any, builder: ir.IRBuilder, sig: Signature, values: Any) -> Any:
            if all(map(applies, sig.args)):
                emitter = Emitter(builder)
                return emit(emitter, *map(emitter.of, values)).ir
            return context.get_function(operation, sig)(builder, values)

        infer_global(emit, _template(AbstractTemplate, emit, generic=generic))
        lower_builtin(emit, types.VarArg(types.Any))(lower)
        return emit

    return decorate


def _of_integers(emit: Callable) -> Any:
    return emitted(types.int64(types.int64, types.int64))(emit)


class _Range(types.SimpleIterableType):
    """Numba's type of the integers from one up to another."""

    def __init__(self) -> None:
        super().__init__("integers", _RangeIterator("next integer", types.int64))


class _RangeIterator(types.SimpleIteratorType):
    """Numba's type of what goes through them."""


@register_model(_Range)
class _RangeModel(models.StructModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, [("start", types.int64), ("stop", types.int64)])


@register_model(_RangeIterator)
class _RangeIteratorModel(models.StructModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        place = types.EphemeralPointer(types.int64)
        super().__init__(manager, kind, [("place", place), ("stop", types.int64)])


_range = _Range()


@emitted(_range(types.int64), _range(types.int64, types.int64))
def integers(e: Emitter, *bounds: Value) -> Value:
    """What `range` is in a kernel: numba's own counts twice, and may have any step."""
    start, stop = bounds if len(bounds) > 1 else (e.word(0), *bounds)
    return e.of(cgutils.pack_struct(e.builder, [start.ir, stop.ir]))


@lower_builtin("getiter", _Range)
def _iterator(context: Any, builder: ir.IRBuilder, _: Any, values: Sequence[ir.Value]) -> Any:
    start, stop = cgutils.unpack_tuple(builder, values[0], 2)
    before = builder.sub(start, start.type(1))
    return cgutils.pack_struct(builder, [cgutils.alloca_once_value(builder, before), stop])


@lower_builtin("iternext", _RangeIterator)
@iternext_impl(RefType.UNTRACKED)
def _next(_: Any, builder: ir.IRBuilder, __: Any, values: Sequence[ir.Value], result: Any) -> None:
    place, stop = cgutils.unpack_tuple(builder, values[0], 2)
    last = builder.load(place)
    index = builder.add(last, last.type(1))
    builder.store(index, place)
    result.set_valid(builder.icmp_signed("<", index, stop))
    result.yield_(index)


MEANINGS: dict[Any, Any] = {
    range: integers,
    operator.floordiv: _of_integers(lambda e, a, b: a // b),
    operator.mod: _of_integers(lambda e, a, b: a % b),
    min: _of_integers(lambda e, a, b: e.least(a, b)),
    max: _of_integers(lambda e, a, b: e.greatest(a, b)),
}
"""Integers divided are not negative: Python's own divisions have branches. Numba's own `min` and
`max` go through its back end.
"""


MEANINGS_OF_PYTHON: dict[Any, Any] = {}
"""Those of what a user has written: see `python_numbers`."""
