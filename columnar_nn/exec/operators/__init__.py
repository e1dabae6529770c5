"""Physical operators, which move batches through a pipeline; each says which plan node it runs.

To add a plan node (`columnar_nn/exec/operators/limit.py` is a short example of all):
 1. `columnar_nn/plan/nodes.py`: the frozen node, or in a file of its own beside; what it answers
    for itself is in `columnar_nn/plan/plan_node.py`: its columns, its expressions if it has any,
    whether several drivers may run it, what is printed between its brackets.
 2. `columnar_nn/plan/builder.py`: the method that checks its arguments and makes it.
 3. One file here: the Operator, by the contract of `columnar_nn/exec/operators/base.py`, with
    `@runs(Node)`; it takes no times. One that computes expressions is an ExpressionOperator
    (`columnar_nn/exec/operators/expression_operator.py`). A node that reads more than one other
    has an operator with `@feeds(Node)` too: it ends the pipelines of the sources that are not run
    in the node's own, and shares a Bridge with it (LocalPartition and LocalExchange in
    `columnar_nn/exec/operators/local_exchange.py`; a hash join's build and probe).
 4. Tests: `tests/exec/` gets a test_<name>.py against plain Python, the builder's method a line in
    `tests/exec/test_operators.py`; `tests/plan/test_plan_text.py` what is printed,
    `tests/plan/test_plan_builder.py` what is refused, and `tests/velox/queries.py` a query if
    pyvelox has the node.

Rewrites, plan text, pipelines, statistics, the timeline and `cnn-bench explain` ask the node and
the operator: nothing else has to know of them.
"""
