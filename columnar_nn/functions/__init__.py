"""Vector functions: one file each (close relatives share one), collected by `registry`.

To add a vector function:
 1. `kernels/`: a binding function that takes layouts and weights and returns a BoundKernel,
    and its code in `kernels/emit/`; not needed where a kernel exists.
 2. `functions/<name>.py`: a VectorFunction in `FUNCTIONS`: its name, the shape rule (those of
    `model/shape_rules/` serve), `assemble` (layouts in and out, the kernel), `operations`.
 3. `functions/registry.py`: the module in `MODULES`.
 4. `expression_rules/`: which ONNX operator it computes, in `RULES`.
 5. `rewrites/`: only if it can be fused with its neighbours.
 6. Tests: `tests/kernels/` against the reference, and the case's line in
    `tests/conformance/onnx_gaps_columnar.py` goes: that test fails until it does.
"""
