"""Vector functions: one file each (close relatives share one), collected by `registry`.

To add a vector function:
 1. `kernels/<name>.py`: a binding function that takes layouts and weights and returns a
    BoundKernel, named in `kernels/__init__.py`, and its code in `kernels/emit/`; not needed where
    a kernel exists.
 2. `functions/<name>.py`: a VectorFunction in `FUNCTIONS`: its name, the shape rule (those of
    `model/shape_rules/` serve), `assemble` (layouts in and out, the kernel), `operations`, and
    `defaults`, those of the ONNX operator from `model/operators.py`. A new file is named in
    `MODULES` of `functions/registry.py`.
 3. `lowering/`: which ONNX operator it computes, by `@lowers`; the operator itself is added by the
    checklist in `model/operators.py`.
 4. `plan/rewrites/`: only if it can be fused with its neighbours.
 5. Tests: the kernel in `tests/kernels/` against the reference and in `tests/kernels/guarded.py`,
    the function in `tests/exec/test_vector_functions.py` and `tests/exec/test_non_finite.py`. The
    case's line in `tests/conformance/onnx_gaps_columnar.py` goes: that test fails until it does.
2 and 3 are done for a unary function of each element that `kernels.UNARY` names: its name in snake
case makes it the one of the operator in the table.

To add an operator (a plan node that is executed):
 1. `plan.py`: the frozen node, its output type, and its place in `PlanNode`.
 2. `plan_builder.py`: the method that checks its arguments and makes it.
 3. `plan_text.py`: what stands between its brackets, in `_DETAILS`.
 4. `operators/<name>.py`: the Operator, by the contract of `operators/base.py`; it takes no times.
 5. `task.py`: `Task._operator` makes it; `rewrites/gather_drivers.py` if several drivers may
    run it.
 6. Tests: `tests/exec/test_<name>.py` against plain Python, `tests/plan/test_plan_text.py`.
"""
