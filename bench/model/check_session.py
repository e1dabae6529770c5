"""What a worker does to check an import: it runs the file, then the import, and compares."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from adapters.onnx_runner import OnnxRunner, OnnxRuntimeRunner, ReferenceRunner
from adapters.onnxruntime_backend import OnnxRuntimeBackend
from bench.model.batch_independence import mixed_row
from bench.model.output_difference import difference, last_bit
from bench.model.widened import widened
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph

ONNX_RUNTIME, REFERENCE = "onnxruntime", "onnx.reference"


class ImportCheckSession:
    """One file and its import, run by one of both runners; the methods are commands."""

    def __init__(self, started: float) -> None:
        """`started` is when the process was started; unused."""
        self._images: dict[str, np.ndarray] = {}
        self._file_outputs: dict[str, np.ndarray] = {}
        self._others: list[dict[str, np.ndarray]] = []

    def load_runner(self, runner: str) -> dict[str, Any]:
        """Imports what runs both; raises MissingPackageError."""
        if runner == ONNX_RUNTIME:
            OnnxRuntimeBackend.import_framework()
        return {}

    def run_file(
        self, runner: str, file: str, images: str, threads: int, precision: str
    ) -> dict[str, Any]:
        """Runs the file on the pickled arrays `images`, by input name, without optimisations.

        Then again with all of them, and with pixels that are off by the last bit of the file's
        `precision`, which tells how much of its outputs is rounding. onnx.reference runs one in
        bfloat16 as `widened` has it. Replies with the runner's `title` and `version`.
        """
        self._precision = precision
        with Path(images).open("rb") as pickled:
            self._images = pickle.load(pickled)
        self._runner, self._threads = runner, threads
        in_float32 = runner == REFERENCE and precision == "bfloat16"
        model = self._open(widened(file) if in_float32 else file)
        self._file_outputs = model.run(self._images)
        self._others = [model.run(_nudged(self._images, precision))]
        # Not every file can be optimised; there is less to judge by then.
        with contextlib.suppress(Exception):
            if runner == ONNX_RUNTIME:
                self._others.append(self._open(file, optimize=True).run(self._images))
        return {"title": model.title, "version": model.version}

    def run_import(self, graph: str) -> dict[str, Any]:
        """Runs the pickled graph and compares: `outputs`, and the `mixed` images of a batch.

        `reason` says why there is nothing to compare, if so.
        """
        with Path(graph).open("rb") as pickled:
            network: Graph = pickle.load(pickled)
        model = self._open(onnx_io.to_proto(network).SerializeToString())
        outputs = model.run(self._images)
        if outputs.keys() != self._file_outputs.keys():
            reason = f"its outputs are {', '.join(outputs)}, the file's "
            return {"outputs": [], "reason": reason + ", ".join(self._file_outputs)}
        compared = [
            asdict(
                difference(
                    name,
                    array,
                    outputs[name],
                    [other[name] for other in self._others],
                    self._precision,
                )
            )
            for name, array in self._file_outputs.items()
        ]
        return {"outputs": compared, "reason": self._mixed(network, model, outputs)}

    def close(self) -> dict[str, Any]:
        """Nothing outlives the process."""
        return {}

    def _open(self, model: str | bytes, optimize: bool = False) -> OnnxRunner:
        if self._runner == REFERENCE:
            return ReferenceRunner(model)
        return OnnxRuntimeRunner.open(model, self._threads, optimize)

    def _mixed(self, graph: Graph, model: OnnxRunner, together: Mapping[str, np.ndarray]) -> str:
        """Which output of a network for any number of images depends on the others, if one does.

        `together` is what it gave for all of them.
        """
        if graph.batch is not None or not self._images:
            return ""
        rows = np.arange(len(next(iter(self._images.values()))))

        def run(chosen: np.ndarray) -> Mapping[str, np.ndarray]:
            if len(chosen) > 1:
                return together
            return model.run({name: array[chosen] for name, array in self._images.items()})

        mixed = mixed_row(run, rows)
        return "" if mixed is None else f"it mixes the images of a batch: {mixed}"


def _nudged(images: Mapping[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    """The same pixels, each changed by its last bit up or down."""
    step = np.float32(last_bit(precision))
    random = np.random.default_rng(1)
    return {
        name: array * (1 + random.choice([-1, 1], array.shape) * step)
        for name, array in images.items()
    }
