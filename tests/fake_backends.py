"""Backends that behave, or misbehave, in a way that their configuration names."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from adapters.base import Backend, Configuration, Description, image_array
from columnar_nn.errors import MissingPackageError, UnsupportedOperatorError
from columnar_nn.model.graph import Graph, Node, TensorSpec

BEHAVIOURS = (
    "wrong",
    "wrong_but_for_the_first",
    "nan",
    "constant",
    "abort",
    "abort_on_many",
    "hang",
    "raise",
    "garbage",
    "unimplemented",
    "short",
    "slow",
    "gated",
)

GATE = "FAKE_BACKENDS_GATE"
"""Names the FIFO at which what is gated waits, while it is there, for its writer to end."""


def tiny_graph() -> Graph:
    """Flatten and a dense layer of ten outputs over images [3, 32, 32]."""
    random = np.random.default_rng(1)
    weight = random.standard_normal((10, 3072)).astype(np.float32)
    return Graph(
        "tiny",
        (
            Node("flatten", "Flatten", ("image",), ("flatten",), {"axis": 1}),
            Node("dense", "Gemm", ("flatten", "weight"), ("logits",), {"transB": 1}),
        ),
        (TensorSpec("image", (None, 3, 32, 32)),),
        (TensorSpec("logits", (None, 10)),),
        {"weight": weight},
    )


class FakeBackend(Backend):
    """Computes tiny_graph with NumPy in float32."""

    name = "fake"
    package = "numpy"
    extra = ""
    configurations: ClassVar = {
        "fine": Configuration("as it should be", "default"),
        **{name: Configuration(f"{name} on purpose", "variant") for name in BEHAVIOURS},
    }

    def _build(self) -> None:
        if self.settings.configuration == "unimplemented":
            raise UnsupportedOperatorError("fake", [("dense", "Gemm", "left out on purpose")])
        self._weight = self.graph.weights["weight"]
        self._first: np.ndarray | None = None

    def describe(self) -> Description:
        return Description(
            versions={"fake": "1.0"},
            precision="float32",
            layout="NCHW",
            algorithm=self.settings.algorithm,
            threads=self.settings.threads,
            notes=(f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}",),
        )

    def _to_input(self, batch: pa.RecordBatch) -> np.ndarray:
        return image_array(batch)

    def _compute(self, model_input: np.ndarray) -> np.ndarray:
        behaviour = self.settings.configuration
        if behaviour == "abort" or (behaviour == "abort_on_many" and len(model_input) > 2):
            print("about to abort", file=sys.stderr, flush=True)
            os.abort()
        if behaviour == "hang":
            time.sleep(3600)
        if behaviour == "raise":
            raise ValueError("on purpose\nand at length")
        if behaviour == "garbage":
            print('{"times": [0]}', flush=True)
            os.write(1, b"\xff\x00 not text\n")
            print('{"failure": "CRASHED"}', file=sys.stderr, flush=True)
        if behaviour == "slow":
            time.sleep(0.02 * len(model_input))
        if behaviour == "gated":
            with contextlib.suppress(FileNotFoundError):
                Path(os.environ[GATE]).read_bytes()
        logits: np.ndarray = model_input.reshape(len(model_input), -1) @ self._weight.T
        if behaviour == "wrong_but_for_the_first":
            if self._first is None:
                self._first = model_input[0]
            known = (model_input == self._first).reshape(len(model_input), -1).all(axis=1)
            logits = np.where(known[:, None], logits, logits[:, ::-1])
        return logits

    def _to_arrays(self, result: np.ndarray) -> Sequence[np.ndarray]:
        behaviour = self.settings.configuration
        if behaviour == "wrong":
            result = result[:, ::-1]
        if behaviour == "nan":
            result[-1, 3] = np.nan
        if behaviour == "constant":
            result = np.ones_like(result)
        if behaviour == "short":
            result = result[1:]
        return [result]


class MissingBackend(FakeBackend):
    """One whose package is not installed."""

    name = "missing"
    configurations: ClassVar = {"default": Configuration("not installed", "default")}

    @classmethod
    def import_framework(cls) -> None:
        raise MissingPackageError("missing", "missing-extra")
