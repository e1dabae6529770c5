"""Physical operators, which move batches through a pipeline; each says which plan node it runs.

CONTRIBUTING.md lists what a new one touches; `columnar_nn/exec/operators/limit.py` is a short
example of all of it.
"""
