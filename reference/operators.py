"""Which function evaluates which ONNX operator.

A function takes the operator's inputs in order (None for an absent one) and its attributes by
name, and returns its one output.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reference import activations, arithmetic, movement
from reference.average_pool import average_pool, global_average_pool
from reference.batch_normalization import batch_normalization
from reference.conv import conv
from reference.gemm import gemm
from reference.lrn import lrn
from reference.mat_mul import mat_mul
from reference.max_pool import max_pool
from reference.pad import pad
from reference.reduce_mean import reduce_mean
from reference.softmax import log_softmax, softmax

OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "Add": arithmetic.add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Clip": activations.clip,
    "Concat": movement.concat,
    "Conv": conv,
    "Div": arithmetic.div,
    "Dropout": movement.dropout,
    "Elu": activations.elu,
    "Flatten": movement.flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "HardSigmoid": activations.hard_sigmoid,
    "HardSwish": activations.hard_swish,
    "Identity": movement.identity,
    "LRN": lrn,
    "LeakyRelu": activations.leaky_relu,
    "LogSoftmax": log_softmax,
    "MatMul": mat_mul,
    "MaxPool": max_pool,
    "Mul": arithmetic.mul,
    "PRelu": activations.prelu,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": activations.relu,
    "Reshape": movement.reshape,
    "Sigmoid": activations.sigmoid,
    "Slice": movement.slice_,
    "Softmax": softmax,
    "Squeeze": movement.squeeze,
    "Sub": arithmetic.sub,
    "Tanh": activations.tanh,
    "Transpose": movement.transpose,
    "Unsqueeze": movement.unsqueeze,
}
